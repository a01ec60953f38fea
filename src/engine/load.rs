//! From a record to the keys of an index: read, unwrap by the slot's KMS, check, unwrap the data keys.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::Core;
use super::audit::{is_refusal, on};
use super::core::nanoseconds;
use super::stats::count;
use crate::audit::Operation;
use crate::blob::{self, Binding, Record, State, WrappedKek};
use crate::cache::{Entry, Former, Load, Loaded, is_passing};
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
    core: &'a Arc<Core>,
    given: Option<&'a SecretKey>,
    /// What the audit trail calls it.
    operation: Operation,
    asked_kms: Cell<bool>,
    /// Since when what the KMS said is known, by the engine's clock.
    as_of: Cell<u64>,
    /// The record that was read, for the audit trail.
    seen: RefCell<Option<Arc<Record>>>,
}

/// A record, until when it may be sealed by, and why it is not the store's present one, if so.
type Known = (Arc<Record>, u64, Option<Error>);

impl<'a> Loader<'a> {
    pub(super) fn new(core: &'a Arc<Core>, given: Option<&'a SecretKey>, operation: Operation) -> Loader<'a> {
        Loader {
            core,
            given,
            operation,
            asked_kms: Cell::new(false),
            as_of: Cell::new(core.clock.now()),
            seen: RefCell::default(),
        }
    }

    /// The record. What was read last serves on while the store fails.
    fn record(&self, call: &Call, name: &IndexName, former: &Former, now: u64) -> Result<Known> {
        count(&self.core.counters.store_reads);
        match blob::live_record(&*self.core.store, call, name) {
            Ok(record) => {
                let max_age = nanoseconds(self.core.cache_settings().max_record_age);
                Ok((Arc::new(record), now.saturating_add(max_age), None))
            }
            Err(error) => match &former.record {
                Some((record, seal_until)) if is_store_trouble(&error) => {
                    let fields = Fields::new().text("index", name.as_str()).text("operation", "get");
                    write(
                        Level::Warn,
                        "cyborg_kms::store",
                        &format!("the last record read serves on: {error}"),
                        &fields,
                    );
                    Ok((Arc::clone(record), *seal_until, Some(error)))
                }
                _ => Err(error),
            },
        }
    }

    /// Since when what the KMS said is known, by the engine's clock.
    pub(super) fn as_of(&self) -> u64 {
        self.as_of.get()
    }

    /// The record's keys, and the wrap that gave the KEK: not the record's own where a push brought a wrong one.
    pub(super) fn keys(
        &self,
        call: &Call,
        name: &IndexName,
        record: Arc<Record>,
        former: Option<&Keys>,
    ) -> Result<(Keys, WrappedKek)> {
        let primary = match self.keys_by(call, name, &record, &record.wrap, former) {
            Err(error) if record.replaced.is_some() && is_wrong_wrap(error.status()) => error,
            result => return result.map(|keys| (keys, record.wrap.clone())),
        };
        let mut others = Vec::new();
        // A push brought this wrap. It can't say what it is bound to: perhaps, as in CyborgDB's way, to nothing.
        if record.wrap.binding != Binding::None {
            others.push(WrappedKek { binding: Binding::None, ..record.wrap.clone() });
        }
        // What it replaced may still be right.
        others.extend(record.replaced.clone());
        for other in others {
            match self.keys_by(call, name, &record, &other, former) {
                Ok(keys) => {
                    let fields = Fields::new().text("index", name.as_str()).text("slot", &other.kms_name);
                    let message =
                        format!("the wrap that was pushed does not open the index as it should: {primary}");
                    write(Level::Warn, "cyborg_kms::engine", &message, &fields);
                    return Ok((keys, other));
                }
                // Silence about it is no proof that the index is lost.
                Err(error) if is_passing(error.status()) => return Err(error),
                Err(_) => {}
            }
        }
        Err(primary)
    }

    fn keys_by(
        &self,
        call: &Call,
        name: &IndexName,
        record: &Arc<Record>,
        wrap: &WrappedKek,
        former: Option<&Keys>,
    ) -> Result<Keys> {
        let (kek, capabilities) = self.kek(call, name, record, wrap)?;
        Keys::open(&self.core.arena, name, Arc::clone(record), kek, capabilities, former)
    }

    fn kek(
        &self,
        call: &Call,
        name: &IndexName,
        record: &Record,
        wrap: &WrappedKek,
    ) -> Result<(SecretKey, u32)> {
        match (wrap.provider.as_str(), self.given) {
            ("none", Some(given)) => Ok((given.duplicate()?, self.core.capabilities_of_none(name, wrap)?)),
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
                self.asked_kms.set(true);
                let unwrapped = if *wrap == record.wrap {
                    self.core.unwrap_by_any(call, name, &slot, record)?
                } else {
                    self.core.unwrap(call, name, &slot, wrap)?
                };
                self.as_of.set(self.as_of.get().min(unwrapped.as_of.unwrap_or(u64::MAX)));
                Ok((unwrapped.kek, slot.capabilities & CAN_ALL))
            }
        }
    }
}

impl Loader<'_> {
    fn read_and_unwrap(&self, call: &Call, name: &IndexName, former: &Former) -> Result<Loaded> {
        // Before anything is asked: a lifetime must not outlast what a revocation allows.
        let now = self.core.clock.now();
        self.as_of.set(now);
        let (record, seal_until, trouble) = self.record(call, name, former, now)?;
        self.seen.replace(Some(Arc::clone(&record)));
        check_state(name, &record)?;
        check_epoch(name, &record, former.epoch)?;
        let keys = Arc::new(self.keys(call, name, record, former.keys.as_deref())?.0);
        let as_of = self.as_of.get();
        let valid_until = as_of.saturating_add(self.core.lifetime());
        Ok(Loaded { keys, as_of, valid_until, ends_at: self.core.ends_at(valid_until), seal_until, trouble })
    }

    /// Whether it belongs into the audit log. Of refreshes only the refusal that ends the use of the index: each index
    /// has one in each lifetime, and a refused one with each try.
    fn is_to_be_told(&self, failure: Option<&Error>, former: &Former) -> bool {
        let is_refusal = failure.is_some_and(|error| is_refusal(error.status()));
        match self.operation {
            Operation::Open => self.asked_kms.get() || is_refusal,
            _ => is_refusal && former.record.is_some(),
        }
    }
}

impl Load for Loader<'_> {
    fn load(&self, call: &Call, name: &IndexName, former: &Former) -> Result<Loaded> {
        self.asked_kms.set(false);
        let loaded = self.read_and_unwrap(call, name, former);
        let record = self.seen.take();
        if !self.is_to_be_told(loaded.as_ref().err(), former) {
            return loaded;
        }
        self.core.audit.done(call, || on(self.operation, name, record.as_deref()), loaded)
    }

    fn asked_kms(&self) -> bool {
        self.asked_kms.get()
    }

    fn note_waiting(&self) {
        count(&self.core.counters.coalesced_waits);
    }

    fn note_stale(&self, name: &IndexName, silence: &Error) {
        count(&self.core.counters.stale_served);
        let fields = Fields::new().text("index", name.as_str()).text("status", &silence.status().to_string());
        let message = format!("the KEK is used beyond its lifetime, since its KMS is silent: {silence}");
        write(Level::Warn, "cyborg_kms::cache", &message, &fields);
    }
}

impl Core {
    /// How long ago the record was read.
    pub(crate) fn record_age(&self, entry: &Entry) -> u64 {
        let read_at = entry.seal_until().saturating_sub(nanoseconds(self.cache_settings().max_record_age));
        self.clock.now().saturating_sub(read_at)
    }

    /// How long keys may be used once the KMS gave them. With a ttl of 0 an open handle still has a second,
    /// or each page would ask the KMS.
    pub(super) fn lifetime(&self) -> u64 {
        match nanoseconds(self.cache_settings().ttl) {
            0 => SECOND,
            ttl => ttl,
        }
    }

    /// When keys end that were valid until then, where their KMS is silent.
    pub(super) fn ends_at(&self, valid_until: u64) -> u64 {
        valid_until.saturating_add(nanoseconds(self.cache_settings().stale_if_unavailable))
    }
}

/// `KEY_DISABLED` for an index that may not be used.
pub(super) fn check_state(name: &IndexName, record: &Record) -> Result<()> {
    match record.state {
        State::Enabled => Ok(()),
        State::Disabled => Err(fail!(KeyDisabled, "index {name} is disabled: enable it first")),
        State::PendingDeletion | State::Deleted => {
            Err(fail!(KeyDisabled, "index {name} is to be deleted: cancel the deletion and enable it first"))
        }
    }
}

/// Whoever has used a newer record must not go on with an older one: its data keys may be others.
pub(super) fn check_epoch(name: &IndexName, record: &Record, seen: u64) -> Result<()> {
    if record.epoch >= seen {
        return Ok(());
    }
    Err(fail!(
        RolledBack,
        "index {name}: its record is at epoch {}, {seen} has been used: an old record, or CyborgDB's kind of one, was \
         put in its place. Restore the newest, or evict the index to go on with this one",
        record.epoch
    ))
}

/// Whatever a store says but "there is none" and "it is damaged" tells nothing of the record.
fn is_store_trouble(error: &Error) -> bool {
    !matches!(error.status(), Status::NotFound | Status::Corrupt)
}

/// Failures that say that the wrap is not by that key or not of this KEK. A slot or key that is not there is no such
/// thing: taking a key away must end the use of the index.
fn is_wrong_wrap(status: Status) -> bool {
    matches!(status, Status::AuthenticationFailed | Status::Corrupt)
}
