//! What happens to an index over the years: its keys are rotated and retired, it is disabled, enabled, deleted.

mod delete;
mod describe;
mod hold;
mod memory;
mod mend;
mod retire;
mod rotate;
mod state;
mod time;
mod under;

pub(super) use delete::{Receipt, delete};
pub(super) use mend::Mend;
pub use rotate::Rotation;
pub(super) use time::rfc3339;

use super::Engine;
use crate::error::Result;
use crate::name::IndexName;
use rotate::Rotate;
use state::StateChange;

impl Engine {
    /// Wraps the KEK anew, or gives the index a new KEK or data key; `kms_name`: the slot that wraps from now on,
    /// `None` being the index's own.
    pub fn rotate(&self, name: &str, rotation: Rotation, kms_name: Option<&str>) -> Result<()> {
        self.rotate_with_key(name, rotation, kms_name, None, None)
    }

    /// The same for an index of provider `none`, or from and to `none` (`kms_name` ""): the KEK in use, and the new
    /// one.
    pub fn rotate_with_key(
        &self,
        name: &str,
        rotation: Rotation,
        kms_name: Option<&str>,
        old_kek: Option<&[u8]>,
        new_kek: Option<&[u8]>,
    ) -> Result<()> {
        let key = |bytes: Option<&[u8]>| bytes.map(|bytes| self.core().arena.key_from(bytes)).transpose();
        let name = IndexName::new(name)?;
        let work = Rotate { rotation, kms_name, old: key(old_kek)?, new: key(new_kek)? };
        rotate::rotate(self.core(), &self.call(), &name, &work)
    }

    /// Forgets a data key that no page uses any more.
    pub fn retire_data_key(&self, name: &str, id: u32) -> Result<()> {
        retire::data_key(self.core(), &self.call(), &IndexName::new(name)?, id)
    }

    /// Forgets the former KEK that was in force at an envelope version.
    pub fn retire_kek(&self, name: &str, version: u32) -> Result<()> {
        retire::kek(self.core(), &self.call(), &IndexName::new(name)?, version)
    }

    /// Refuses every use from now on.
    pub fn disable(&self, name: &str) -> Result<()> {
        self.change_state(name, StateChange::Disable)
    }

    /// Undoes `disable`.
    pub fn enable(&self, name: &str) -> Result<()> {
        self.change_state(name, StateChange::Enable)
    }

    /// Refuses every use, and has the index deleted when `waiting_hours`, 24 to 8,760, are over.
    pub fn schedule_deletion(&self, name: &str, waiting_hours: u32) -> Result<()> {
        self.change_state(name, StateChange::ScheduleDeletion { waiting_hours })
    }

    /// Undoes `schedule_deletion`; the index stays disabled.
    pub fn cancel_deletion(&self, name: &str) -> Result<()> {
        self.change_state(name, StateChange::CancelDeletion)
    }

    fn change_state(&self, name: &str, change: StateChange) -> Result<()> {
        state::change(self.core(), &self.call(), &IndexName::new(name)?, change)
    }

    /// Deletes at once: the wrapped keys are gone. Gives a receipt as JSON (`docs/operating.md`).
    pub fn delete(&self, name: &str) -> Result<String> {
        delete(self.core(), &self.call(), &IndexName::new(name)?, &|_| true)?.to_json()
    }

    /// What is stored of an index, as JSON (`docs/operating.md`); no KMS is asked.
    pub fn describe(&self, name: &str) -> Result<String> {
        describe::describe(self.core(), &self.call(), &IndexName::new(name)?)
    }
}
