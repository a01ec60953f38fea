//! From a record to the keys of an index: read, unwrap by the slot's KMS, check, unwrap the data keys.

use std::sync::Arc;

use super::Core;
use super::core::nanoseconds;
use super::stats::count;
use crate::blob::{self, Record, State, WrappedKek};
use crate::cache::{Load, Loaded};
use crate::call::Call;
use crate::clock::SECOND;
use crate::crypto::secret::SecretKey;
use crate::error::{Error, Result, Status, fail};
use crate::keys::Keys;
use crate::log::{Fields, Level, write};
use crate::name::IndexName;
use crate::registry::CAN_ALL;

/// Loads by an engine's parts; `given` is the KEK that the caller brought.
pub(super) struct Loader<'a> {
    core: &'a Core,
    given: Option<&'a SecretKey>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(core: &'a Core, given: Option<&'a SecretKey>) -> Loader<'a> {
        Loader { core, given }
    }

    /// The record and until when it may be sealed by. What was read last serves on while the store fails.
    fn record(
        &self,
        call: &Call,
        name: &IndexName,
        former: Option<&Loaded>,
        now: u64,
    ) -> Result<(Arc<Record>, u64)> {
        count(&self.core.counters.store_reads);
        match blob::live_record(&*self.core.store, call, name) {
            Ok(record) => {
                let max_age = nanoseconds(self.core.cache_settings().max_record_age);
                Ok((Arc::new(record), now.saturating_add(max_age)))
            }
            Err(error) => match former {
                Some(former) if is_store_trouble(&error) => {
                    let fields = Fields::new().text("index", name.as_str()).text("operation", "get");
                    write(
                        Level::Warn,
                        "cyborg_kms::store",
                        &format!("the last record read serves on: {error}"),
                        &fields,
                    );
                    Ok((Arc::clone(&former.keys.record), former.seal_until))
                }
                _ => Err(error),
            },
        }
    }

    fn keys(
        &self,
        call: &Call,
        name: &IndexName,
        record: Arc<Record>,
        former: Option<&Keys>,
    ) -> Result<Arc<Keys>> {
        let primary = match self.keys_by(call, name, &record, &record.wrap, former) {
            Err(error) if record.replaced.is_some() && is_wrong_wrap(error.status()) => error,
            result => return result,
        };
        // A push replaced the wrap; what it replaced may still be right.
        let Some(replaced) = &record.replaced else { return Err(primary) };
        let keys = self.keys_by(call, name, &record, replaced, former).map_err(|_| primary.clone())?;
        let fields = Fields::new().text("index", name.as_str()).text("slot", &replaced.kms_name);
        let message = format!("the pushed wrap does not open the index, the one before it does: {primary}");
        write(Level::Warn, "cyborg_kms::engine", &message, &fields);
        Ok(keys)
    }

    fn keys_by(
        &self,
        call: &Call,
        name: &IndexName,
        record: &Arc<Record>,
        wrap: &WrappedKek,
        former: Option<&Keys>,
    ) -> Result<Arc<Keys>> {
        let (kek, capabilities) = self.kek(call, name, wrap)?;
        let keys = Keys::open(&self.core.arena, name, Arc::clone(record), kek, capabilities, former)?;
        Ok(Arc::new(keys))
    }

    fn kek(&self, call: &Call, name: &IndexName, wrap: &WrappedKek) -> Result<(SecretKey, u32)> {
        match (wrap.provider.as_str(), self.given) {
            ("none", Some(given)) => Ok((given.duplicate()?, self.core.capabilities_of_none(wrap))),
            ("none", None) => Err(fail!(
                InvalidArgument,
                "index {name} has provider none: its KEK must be given (cyborg_kms_index_open_with_key)"
            )),
            (_, Some(_)) => Err(fail!(
                InvalidArgument,
                "index {name} is in the care of slot {:?}: it is opened without a key",
                wrap.kms_name
            )),
            (_, None) => {
                let slot = self.core.slot_of(name, wrap)?;
                let kek = self.core.unwrap(call, name, &slot, wrap)?;
                Ok((kek, slot.capabilities & CAN_ALL))
            }
        }
    }
}

impl Load for Loader<'_> {
    fn load(&self, call: &Call, name: &IndexName, former: Option<&Loaded>) -> Result<Loaded> {
        // Before anything is asked: a lifetime must not outlast what a revocation allows.
        let now = self.core.clock.now();
        count(&self.core.counters.cache_misses);
        let (record, seal_until) = self.record(call, name, former, now)?;
        check_state(name, &record)?;
        let keys = self.keys(call, name, record, former.map(|former| &*former.keys))?;
        Ok(Loaded { keys, valid_until: now.saturating_add(self.core.lifetime()), seal_until })
    }

    fn note_waiting(&self) {
        count(&self.core.counters.coalesced_waits);
    }
}

impl Core {
    /// How long keys may be used once the KMS gave them. With a ttl of 0 an open handle still has a second,
    /// or each page would ask the KMS.
    pub(super) fn lifetime(&self) -> u64 {
        nanoseconds(self.cache_settings().ttl).max(SECOND)
    }
}

fn check_state(name: &IndexName, record: &Record) -> Result<()> {
    match record.state {
        State::Enabled => Ok(()),
        State::Disabled => Err(fail!(KeyDisabled, "index {name} is disabled: enable it first")),
        State::PendingDeletion | State::Deleted => {
            Err(fail!(KeyDisabled, "index {name} is to be deleted: cancel the deletion and enable it first"))
        }
    }
}

fn is_store_trouble(error: &Error) -> bool {
    matches!(error.status(), Status::Storage | Status::Timeout | Status::Internal | Status::AccessDenied)
}

/// Failures that say that the wrap is not by that key or not of this KEK.
fn is_wrong_wrap(status: Status) -> bool {
    matches!(status, Status::AuthenticationFailed | Status::Corrupt | Status::KeyNotFound | Status::Config)
}
