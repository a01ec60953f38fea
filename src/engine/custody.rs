//! In whose care a KEK is: a slot's KMS, or the caller's alone (provider `none`).

use std::sync::Arc;

use super::Core;
use crate::blob::WrappedKek;
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

    /// The wrap that the record of an index holds of its KEK, after proof that it can be undone. The one place where
    /// a KEK is wrapped: further recipients are to be added here.
    pub(super) fn wrap(
        &self,
        core: &Core,
        call: &Call,
        name: &IndexName,
        kek: &SecretKey,
    ) -> Result<WrappedKek> {
        match &self.kms {
            Some(slot) => core.wrap(call, name, slot, kek),
            None => Ok(WrappedKek {
                kms_name: self.kms_name.clone(),
                provider: "none".to_owned(),
                ..WrappedKek::default()
            }),
        }
    }
}
