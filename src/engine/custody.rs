//! In whose care a KEK is: a slot's KMS, or the caller's alone (provider `none`).

use std::sync::Arc;

use super::Core;
use crate::blob::{Record, WrappedKek};
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::error::Result;
use crate::name::IndexName;
use crate::registry::{CAN_ALL, ProviderKind, Slot};

/// Who wraps a KEK from now on.
pub(super) struct Custody {
    kms_name: String,
    /// Not there for provider `none`.
    kms: Option<Arc<Slot>>,
    /// As the audit trail tells of it; a slot of provider `none`, too.
    slot: Option<Arc<Slot>>,
    /// Whether CyborgDB is to open the records.
    pub(super) is_compatible: bool,
    /// What the indexes may do.
    pub(super) capabilities: u32,
}

/// A KEK's wraps.
pub(super) struct Wraps {
    own: WrappedKek,
    recipients: Vec<WrappedKek>,
    /// Since when what the slot's KMS said is known, by the engine's clock.
    pub(super) as_of: u64,
}

impl Wraps {
    /// Puts them into a record, in place of those that it had.
    pub(super) fn put_into(self, record: &mut Record) {
        record.wrap = self.own;
        record.recipients = self.recipients;
    }
}

impl Custody {
    /// The care of a slot; "" is provider `none` without one.
    pub(super) fn of(core: &Core, kms_name: &str) -> Result<Custody> {
        let slot = if kms_name.is_empty() { None } else { Some(core.slot(kms_name)?) };
        Ok(Custody {
            kms_name: kms_name.to_owned(),
            is_compatible: slot
                .as_ref()
                .map_or_else(|| core.config.load().cyborgdb_compatible, |slot| slot.cyborgdb_compatible),
            capabilities: slot.as_ref().map_or(CAN_ALL, |slot| slot.capabilities & CAN_ALL),
            kms: slot.clone().filter(|slot| slot.provider != ProviderKind::None),
            slot,
        })
    }

    /// The slot, where there is one.
    pub(super) fn slot(&self) -> Option<&Slot> {
        self.slot.as_deref()
    }

    /// Whether the caller brings the KEK each time.
    pub(super) fn is_none(&self) -> bool {
        self.kms.is_none()
    }

    /// The wraps that the record of an index holds of its KEK, each after proof that it can be undone: by the slot and
    /// by all of its recipients, or it fails. The one place where a KEK is wrapped.
    pub(super) fn wrap(&self, core: &Core, call: &Call, name: &IndexName, kek: &SecretKey) -> Result<Wraps> {
        let Some(slot) = &self.kms else {
            let kms_name = self.kms_name.clone();
            let own = WrappedKek { kms_name, provider: "none".to_owned(), ..WrappedKek::default() };
            return Ok(Wraps { own, recipients: Vec::new(), as_of: core.clock.now() });
        };
        let (own, as_of) = core.wrap(call, name, slot, kek)?;
        let by = |recipient: &String| {
            let wrapped = core.slot(recipient).and_then(|slot| core.wrap(call, name, &slot, kek));
            let wrapped = wrapped.map(|(wrap, _)| wrap);
            wrapped.map_err(|error| error.context(format!("recipient {recipient:?} of slot {:?}", slot.name)))
        };
        Ok(Wraps { own, recipients: slot.recipients.iter().map(by).collect::<Result<_>>()?, as_of })
    }
}
