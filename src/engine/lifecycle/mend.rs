//! What sync does to an index: a rotation that is still wanted when the record is read for the write, since others may
//! have done it meanwhile.

use std::sync::Arc;

use super::hold::{Held, Next, Work, rewrite};
use super::rotate::{Rotate, Rotation};
use crate::audit::Operation;
use crate::blob::{Record, WrappedKek};
use crate::call::Call;
use crate::engine::Core;
use crate::error::{Result, fail};
use crate::name::IndexName;

/// A rotation by the slot that the record names.
pub(in crate::engine) struct Mend<'a> {
    kms_name: &'a str,
    rotate: Rotate<'a>,
    is_wanted: &'a dyn Fn(&Record) -> bool,
}

impl<'a> Mend<'a> {
    /// For a record of this slot; `is_wanted` says whether one still needs it.
    pub(in crate::engine) fn new(
        rotation: Rotation,
        kms_name: &'a str,
        is_wanted: &'a dyn Fn(&Record) -> bool,
    ) -> Mend<'a> {
        let rotate = Rotate { rotation, kms_name: Some(kms_name), old: None, new: None };
        Mend { kms_name, rotate, is_wanted }
    }

    /// Does it; `CONFLICT` where it is not wanted any more.
    pub(in crate::engine) fn run(&self, core: &Arc<Core>, call: &Call, name: &IndexName) -> Result<()> {
        rewrite(core, call, name, None, self)
    }

    /// What forbids it, as far as that can be told without a KMS.
    pub(in crate::engine) fn check(&self, core: &Core, name: &IndexName, record: &Record) -> Result<()> {
        Work::check(self, core, name, record)?;
        core.slot_of(name, &self.found(core, name, record.clone()).wrap).map(drop)
    }
}

impl Work for Mend<'_> {
    fn operation(&self) -> Operation {
        self.rotate.operation()
    }

    fn check(&self, core: &Core, name: &IndexName, record: &Record) -> Result<()> {
        if record.wrap.kms_name != self.kms_name || !(self.is_wanted)(record) {
            return Err(fail!(
                Conflict,
                "index {name}: someone else did at the same time what sync was about to do; this was not done"
            ));
        }
        self.rotate.check(core, name, record)
    }

    /// A slot that was given another key and does not name the former one any more leaves that to another slot, which
    /// unwraps what the former key wrapped, or to its recipients. A new data key leaves the wrap as it is.
    fn found(&self, core: &Core, name: &IndexName, mut record: Record) -> Record {
        if self.rotate.rotation == Rotation::DataKey || core.slot_of(name, &record.wrap).is_ok() {
            return record;
        }
        let config = core.config.load();
        let others =
            config.slots.keys().map(|slot| WrappedKek { kms_name: slot.clone(), ..record.wrap.clone() });
        let slot = config.slots.get(&record.wrap.kms_name);
        let recipients = record.recipients.iter().filter(|wrap| {
            // The record's MAC is over the binding.
            wrap.binding == record.wrap.binding
                && slot.is_some_and(|slot| slot.recipients.contains(&wrap.kms_name))
        });
        let wrap = others.chain(recipients.cloned()).find(|wrap| core.slot_of(name, wrap).is_ok());
        // Without one the loading says what is missing.
        if let Some(wrap) = wrap {
            record.wrap = wrap;
        }
        record
    }

    fn next(&self, core: &Core, call: &Call, name: &IndexName, held: &Held) -> Result<Next> {
        self.rotate.next(core, call, name, held)
    }
}
