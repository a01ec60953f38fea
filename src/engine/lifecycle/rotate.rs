//! Rotation: the same KEK wrapped anew, a new KEK, a new data key.

use std::sync::Arc;

use super::hold::{Held, Next, Work, rewrite};
use super::under::{former_kek, move_under};
use crate::audit::Operation;
use crate::blob::{FormerKek, Kind, Record};
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::engine::Core;
use crate::engine::custody::Custody;
use crate::error::{Result, fail};
use crate::keys::{fresh_data_key, give_data_keys};
use crate::name::IndexName;

/// What a rotation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The same KEK, wrapped anew.
    Rewrap,
    /// A new KEK, the data keys wrapped anew under it, the former KEK kept under it.
    Kek,
    /// A new data key for new pages.
    DataKey,
}

/// A rotation as it was asked for.
pub(super) struct Rotate<'a> {
    pub(super) rotation: Rotation,
    /// The slot that wraps from now on, "" being provider `none`; `None`: the index's own.
    pub(super) kms_name: Option<&'a str>,
    /// The KEK in use, where the caller has it.
    pub(super) old: Option<SecretKey>,
    /// The new one, where the caller brings it.
    pub(super) new: Option<SecretKey>,
}

/// Rotates in one write.
pub(super) fn rotate(core: &Arc<Core>, call: &Call, name: &IndexName, work: &Rotate<'_>) -> Result<()> {
    rewrite(core, call, name, work.old.as_ref(), work)
}

impl Work for Rotate<'_> {
    fn operation(&self) -> Operation {
        match self.rotation {
            Rotation::Rewrap => Operation::Rewrap,
            Rotation::Kek => Operation::RotateKek,
            Rotation::DataKey => Operation::RotateDataKey,
        }
    }

    fn check(&self, core: &Core, name: &IndexName, record: &Record) -> Result<()> {
        let custody = self.custody(core, record)?;
        self.check_kind(name, record, &custody)?;
        self.check_old(name, record, &custody)?;
        self.check_new(name, record, &custody)
    }

    fn next(&self, core: &Core, call: &Call, name: &IndexName, held: &Held) -> Result<Next> {
        match self.rotation {
            Rotation::Rewrap => self.rewrap(core, call, name, held),
            Rotation::Kek => self.new_kek(core, call, name, held),
            Rotation::DataKey => new_data_key(core, name, held),
        }
    }
}

impl Rotate<'_> {
    /// Who has the KEK afterwards.
    fn custody(&self, core: &Core, record: &Record) -> Result<Custody> {
        Custody::of(core, self.kms_name.unwrap_or(&record.wrap.kms_name))
    }

    /// What this kind of record can't do.
    fn check_kind(&self, name: &IndexName, record: &Record, custody: &Custody) -> Result<()> {
        if self.rotation == Rotation::DataKey && self.kms_name.is_some_and(|to| to != record.wrap.kms_name) {
            return Err(fail!(
                InvalidArgument,
                "index {name}: a new data key is not wrapped by a slot: leave kms_name out, or rewrap"
            ));
        }
        if record.kind == Kind::CyborgDb && self.rotation != Rotation::Rewrap {
            return Err(fail!(
                Unsupported,
                "index {name} holds only its KEK (CyborgDB's kind of record), so it can only be rewrapped: a REWRAP to \
                 a slot without cyborgdb_compatible gives it data keys, then it can be rotated"
            ));
        }
        if record.kind == Kind::Ours && custody.is_compatible && self.rotation != Rotation::DataKey {
            return Err(fail!(
                Unsupported,
                "index {name} has data keys, which records of a cyborgdb_compatible slot can't hold: name a slot \
                 without it"
            ));
        }
        Ok(())
    }

    /// Whether the caller gives the KEK in use where he has it, and only there.
    fn check_old(&self, name: &IndexName, record: &Record, custody: &Custody) -> Result<()> {
        let leaves_a_kms = self.rotation == Rotation::Rewrap && custody.is_none();
        if record.wrap.provider == "none" {
            if self.old.is_none() {
                return Err(fail!(
                    InvalidArgument,
                    "index {name} has provider none: give the KEK that is in use as old_kek \
                     (cyborg_kms_index_rotate_with_key)"
                ));
            }
        } else if leaves_a_kms && self.proof().is_none() {
            return Err(fail!(
                InvalidArgument,
                "index {name}: without a KMS nobody but you will have its KEK: give it as new_kek, to show that you \
                 do (cyborg_kms_index_export_kek, then cyborg_kms_index_rotate_with_key)"
            ));
        } else if !leaves_a_kms && self.old.is_some() {
            return Err(fail!(
                InvalidArgument,
                "index {name} is in the care of slot {:?}, which has its KEK: leave old_kek out",
                record.wrap.kms_name
            ));
        }
        Ok(())
    }

    /// Whether the caller brings a new KEK where one is needed, and only there.
    fn check_new(&self, name: &IndexName, record: &Record, custody: &Custody) -> Result<()> {
        let leaves_a_kms = custody.is_none() && record.wrap.provider != "none";
        match self.rotation {
            Rotation::Kek if custody.is_none() && self.new.is_none() => Err(fail!(
                InvalidArgument,
                "index {name}: with provider none the new KEK is yours: give it as new_kek"
            )),
            Rotation::Rewrap if self.new.is_some() && !leaves_a_kms => Err(fail!(
                InvalidArgument,
                "index {name}: REWRAP keeps the KEK: leave new_kek out, or rotate with CYBORG_KMS_ROTATE_KEK"
            )),
            Rotation::DataKey if self.new.is_some() => Err(fail!(
                InvalidArgument,
                "index {name}: DATA_KEY keeps the KEK and makes its data key by itself: leave new_kek out"
            )),
            _ => Ok(()),
        }
    }

    /// The KEK of an index that leaves its KMS: the caller must have it, or it would be lost.
    fn proof(&self) -> Option<&SecretKey> {
        self.new.as_ref().or(self.old.as_ref())
    }

    fn rewrap(&self, core: &Core, call: &Call, name: &IndexName, held: &Held) -> Result<Next> {
        let mut record = held.record();
        let (kek, custody) = (&held.keys.kek, self.custody(core, &record)?);
        if custody.is_none() {
            if self.proof().is_none_or(|proof| !proof.ct_eq(kek)) {
                return Err(fail!(
                    AuthenticationFailed,
                    "index {name}: the KEK that was given is not the one in use; nothing was changed"
                ));
            }
            // From now on the caller alone has it.
            record.recipients.clear();
        }
        custody.wrap(core, call, name, kek)?.put_into(&mut record);
        record.envelope_version = next_version(name, last_version(&record))?;
        if record.kind == Kind::CyborgDb && !custody.is_compatible {
            give_data_keys(&core.arena, name, &mut record, kek, core.clock.unix_seconds())?;
        }
        Ok(Next { record, kek: kek.duplicate()?, capabilities: custody.capabilities })
    }

    fn new_kek(&self, core: &Core, call: &Call, name: &IndexName, held: &Held) -> Result<Next> {
        let mut record = held.record();
        let (old, custody) = (&held.keys.kek, self.custody(core, &record)?);
        let kek = match &self.new {
            Some(new) => new.duplicate()?,
            None => core.arena.random_key()?,
        };
        if kek.ct_eq(old) {
            return Err(fail!(
                InvalidArgument,
                "index {name}: the new KEK is the one in use; give another, or rewrap"
            ));
        }
        custody.wrap(core, call, name, &kek)?.put_into(&mut record);
        move_under(&core.arena, name, &mut record, old, &kek)?;
        let last_version = last_version(&record);
        let wrapped = former_kek(&core.arena, name, last_version, old, &kek)?;
        record.former_keks.push(FormerKek { last_version, wrapped });
        // Of the KEK, as with CyborgDB; data key 0 still tells how old the index is.
        record.created_at = core.clock.unix_seconds();
        record.envelope_version = next_version(name, last_version)?;
        Ok(Next { record, kek, capabilities: custody.capabilities })
    }
}

fn new_data_key(core: &Core, name: &IndexName, held: &Held) -> Result<Next> {
    let mut record = held.record();
    let now = core.clock.unix_seconds();
    // The current key is the highest, and is never retired: so no id comes twice.
    let highest = record.data_keys.iter().map(|key| key.id).max().unwrap_or_default();
    let id = highest.checked_add(1).ok_or_else(|| {
        fail!(Unsupported, "index {name}: it has had all data keys that there can be: copy it to a new index")
    })?;
    let current = record.current_data_key;
    for key in record.data_keys.iter_mut().filter(|key| key.id == current) {
        // 0 would say that it is current.
        key.superseded_at = now.max(1);
    }
    record.data_keys.push(fresh_data_key(&core.arena, name, &held.keys.kek, id, now)?);
    record.current_data_key = id;
    Next::of_same_kek(held, record)
}

/// The version that the present KEK is in force up to. A push can have set it back below a former KEK's.
fn last_version(record: &Record) -> u32 {
    let former = record.former_keks.iter().map(|former| former.last_version).max();
    former.map_or(record.envelope_version, |former| record.envelope_version.max(former.saturating_add(1)))
}

fn next_version(name: &IndexName, last: u32) -> Result<u32> {
    last.checked_add(1).ok_or_else(|| {
        fail!(
            Unsupported,
            "index {name}: its envelope version is the highest that there can be: push the record with a lower one"
        )
    })
}
