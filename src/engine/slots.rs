//! Slots and their providers: which one a record names, and asking it.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Core;
use super::stats::count;
use crate::blob::{self, WrappedKek};
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::error::{Error, Result, Status, fail};
use crate::log::{Fields, Level, is_enabled, write};
use crate::name::IndexName;
use crate::provider::{BreakerState, Unwrapped, Wrapped, with_retries};
use crate::registry::{CAN_ALL, ProviderKind, Slot};

/// The name that `check` binds its random bytes to; an index of this name has other bytes.
const CHECK_NAME: &str = "cyborg_kms check";

impl Core {
    /// The slot with this name.
    pub(super) fn slot(&self, kms_name: &str) -> Result<Arc<Slot>> {
        let config = self.config.load();
        config.slots.get(kms_name).map(Arc::clone).ok_or_else(|| {
            let known = config.slots.keys().min_by_key(|known| strsim::levenshtein(known, kms_name));
            let nearest = known.map(|known| format!(" (the nearest is {known:?})")).unwrap_or_default();
            fail!(
                Config,
                "there is no slot {kms_name:?} in the registry{nearest}: add it under kms.registry, then reload the \
                 configuration (cyborg_kms_engine_reload)"
            )
        })
    }

    /// The slot that a wrap names, which must itself name the wrap's key: a record never brings in a key,
    /// or whoever can write the store would choose the KMS.
    pub(super) fn slot_of(&self, name: &IndexName, wrap: &WrappedKek) -> Result<Arc<Slot>> {
        let slot = self.slot(&wrap.kms_name).map_err(|error| error.context(format!("index {name}")))?;
        if slot.provider.to_string() != wrap.provider {
            return Err(fail!(
                Config,
                "index {name} was wrapped by provider {:?}, slot {:?} has {}: give the record's provider a slot of \
                 that name",
                wrap.provider,
                slot.name,
                slot.provider
            ));
        }
        if slot.key_for(&wrap.key_id).is_none() {
            return Err(fail!(
                Config,
                "index {name} was wrapped by key {:?}, which slot {:?} does not name: if that key may be used, add it \
                 to the slot's former_key_ids",
                wrap.key_id,
                slot.name
            ));
        }
        Ok(slot)
    }

    /// What an index of provider `none` may do: all, or what a slot of its name says.
    pub(super) fn capabilities_of_none(&self, name: &IndexName, wrap: &WrappedKek) -> Result<u32> {
        if wrap.kms_name.is_empty() {
            return Ok(CAN_ALL);
        }
        // A slot that is gone may have granted less than all.
        Ok(self.slot_of(name, wrap)?.capabilities & CAN_ALL)
    }

    /// Wraps, and proves that the wrap can be undone. With the wrap comes since when what the KMS said is known, by the
    /// engine's clock.
    pub(super) fn wrap(
        &self,
        call: &Call,
        name: &IndexName,
        slot: &Arc<Slot>,
        kek: &SecretKey,
    ) -> Result<(WrappedKek, u64)> {
        self.refuse_lost_key(call, slot)?;
        let asked_at = self.clock.now();
        let provider = self.provider(slot)?;
        let wrapped: Wrapped = self.ask(call, slot, "wrap", |call| provider.wrap(call, name, kek))?;
        let wrap = WrappedKek {
            kms_name: slot.name.clone(),
            provider: slot.provider.to_string(),
            key_id: slot.key_id.clone(),
            region: slot.region.clone(),
            wrapped_kek: wrapped.bytes,
            binding: wrapped.binding,
            key_version: wrapped.key_version,
            mechanism: wrapped.mechanism,
        };
        let back = self.unwrap(call, name, slot, &wrap)?;
        if !back.kek.ct_eq(kek) {
            return Err(fail!(
                Corrupt,
                "slot {:?}: its KMS gave back another KEK than it had wrapped; nothing was stored. Check the KMS",
                slot.name
            ));
        }
        Ok((wrap, back.as_of.map_or(asked_at, |as_of| as_of.min(asked_at))))
    }

    /// `create: true` makes a key file that is missing; not where one was lost: a new key opens none of the indexes
    /// that the lost one guards, and would hide the loss.
    fn refuse_lost_key(&self, call: &Call, slot: &Slot) -> Result<()> {
        if slot.provider != ProviderKind::Local || !slot.create || Path::new(&slot.key_id).exists() {
            return Ok(());
        }
        let mut guarded = Ok(None);
        self.store.list(call, None, &mut |name| {
            guarded = self.guards(call, slot, name).map(|guards| guards.then(|| name.clone()));
            matches!(guarded, Ok(None))
        })?;
        // It may be there by now, made by whoever created that index.
        let guarded = guarded?.filter(|_| !Path::new(&slot.key_id).exists());
        guarded.map_or(Ok(()), |name| {
            Err(fail!(
                KeyNotFound,
                "slot {:?}: the key file {} is gone, and index {name} was wrapped by it: restore it from its backup. To \
                 begin anew with another key, name another file",
                slot.name,
                slot.key_id
            ))
        })
    }

    /// Whether the slot's key file guards this index.
    fn guards(&self, call: &Call, slot: &Slot, name: &IndexName) -> Result<bool> {
        match blob::live_record(&*self.store, call, name) {
            Ok(record) => Ok(record.wrap.provider == "local" && record.wrap.key_id == slot.key_id),
            Err(error) if matches!(error.status(), Status::NotFound | Status::Corrupt) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Undoes a wrap by its slot's provider.
    pub(super) fn unwrap(
        &self,
        call: &Call,
        name: &IndexName,
        slot: &Arc<Slot>,
        wrap: &WrappedKek,
    ) -> Result<Unwrapped> {
        let provider = self.provider(slot)?;
        self.ask(call, slot, "unwrap", |call| provider.unwrap(call, name, wrap))
    }

    /// One operation of a KMS, tries included: counted, and each try logged.
    fn ask<T>(
        &self,
        call: &Call,
        slot: &Slot,
        operation: &'static str,
        attempt: impl Fn(&Call) -> Result<T>,
    ) -> Result<T> {
        let breaker = self.providers.breaker(slot, &self.clock);
        // Before the time that the KMS has begins.
        call.first_turn(slot)?;
        let is_first = Cell::new(true);
        let attempt = |call: &Call| {
            if !is_first.replace(false) {
                call.turn(slot)?;
            }
            let permit = breaker.admit()?;
            let start = Instant::now();
            count(&self.counters.kms_calls);
            let result = attempt(call);
            if result.is_err() {
                count(&self.counters.kms_errors);
            }
            // A deadline of the caller's that left the KMS no time says nothing of the KMS.
            if !(call.is_over() && start.elapsed() < slot.request_timeout) || result.is_ok() {
                permit.note(&result);
            }
            call.note_answer(slot, result.as_ref().err());
            let status = result.as_ref().err().map_or(Status::Ok, Error::status);
            self.metrics.asked(&slot.name, operation, status, start.elapsed());
            log_attempt(slot, operation, start, &result);
            result
        };
        let may_retry = || {
            let may = breaker.state() != BreakerState::Open;
            if may {
                count(&self.counters.kms_retries);
                self.metrics.retried(&slot.name, operation);
            }
            may
        };
        with_retries(call, slot, attempt, may_retry)
            .map_err(|error| error.context(format!("slot {:?}: {operation} failed", slot.name)))
    }

    /// A wrap and unwrap of random bytes, by one slot or by all that have a KMS.
    pub(super) fn check(&self, call: &Call, kms_name: Option<&str>) -> Result<()> {
        let slots: Vec<Arc<Slot>> = match kms_name {
            Some(kms_name) => vec![self.slot(kms_name)?],
            None => {
                let config = self.config.load();
                config
                    .slots
                    .values()
                    .filter(|slot| slot.provider != ProviderKind::None)
                    .map(Arc::clone)
                    .collect()
            }
        };
        let name = IndexName::new(CHECK_NAME)?;
        for slot in slots {
            self.wrap(call, &name, &slot, &self.arena.random_key()?)?;
        }
        // No index waits for it, so nothing would end its lifetime.
        self.ask_anew();
        Ok(())
    }
}

fn log_attempt<T>(slot: &Slot, operation: &str, start: Instant, result: &Result<T>) {
    if is_enabled(Level::Debug) {
        let error = result.as_ref().err();
        let fields = Fields::new()
            .text("slot", &slot.name)
            .text("operation", operation)
            .text("outcome", &error.map_or(Status::Ok, Error::status).to_string())
            .text("request_id", error.map_or("", Error::request_id))
            .number("duration_ms", u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
        write(Level::Debug, "cyborg_kms::provider", "asked the KMS", &fields);
    }
}
