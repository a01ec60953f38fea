//! How the keys come: one caller loads them, the others wait for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Entry, NEVER};
use crate::cache::load::{
    Former, Load, Loaded, Use, ends_only_this_caller, is_passing, is_silence, is_worth_a_pause,
};
use crate::cache::loading::{LoadState, Seat};
use crate::call::Call;
use crate::clock::SECOND;
use crate::error::{Error, Result, Status, fail};
use crate::flight::Flight;
use crate::keys::Keys;

/// How long a failure of the KMS is answered without asking it again.
const FAILURE_LIFETIME: u64 = SECOND;

/// How long the keys of a silent KMS are used on before it is asked once more.
const STALE_PAUSE: u64 = 2 * SECOND;

/// How long a call waits for the KMS where there are keys that may be used on without it.
const STALE_PATIENCE: Duration = Duration::from_secs(1);

/// A load that others outdate so often is taken for this one call, but not kept: it began after the call did.
const MAX_OUTDATED: usize = 8;

impl Entry {
    /// The keys, loaded if need be. Callers that come meanwhile share one load.
    pub fn get(&self, call: &Call, loader: &dyn Load, what_for: Use) -> Result<Arc<Keys>> {
        let mut outdated = 0;
        loop {
            if let Some(keys) = self.live_now(what_for) {
                return Ok(keys);
            }
            let flight = {
                let mut loading = self.loading.lock();
                // The flight that was under way may have landed since.
                if self.live_now(what_for).is_some() {
                    continue;
                }
                let now = self.clock.now();
                let failure =
                    loading.recent_failure(now, what_for).and_then(|()| self.awaited(&loading, now));
                failure.map(|()| loading.join_or_start(now))
            };
            let result = flight.and_then(|seat| self.ride(&self.patient(call), loader, seat, &mut outdated));
            match result {
                Ok(Some(loaded)) => return self.usable(loaded, what_for),
                Ok(None) => {}
                // The caller's own end is no silence of the KMS's.
                Err(error) if call.check("loading").is_err() => return Err(error),
                Err(error) => {
                    let keys = self.stale(loader, &error).and_then(|()| self.live_now(what_for));
                    return keys.ok_or(error);
                }
            }
        }
    }

    /// Nobody waits for a load that takes so long where there are keys that may be used on.
    fn awaited(&self, loading: &LoadState, now: u64) -> Result<()> {
        let patience = STALE_PATIENCE.as_nanos() as u64;
        let is_slow = loading.flight.is_some() && now.saturating_sub(loading.started_at) >= patience;
        if is_slow && now < self.ends_at() {
            return Err(fail!(Timeout, "index {}: the KMS has not answered yet", self.name));
        }
        Ok(())
    }

    /// The call, waiting only briefly where there are keys that may be used on.
    fn patient(&self, call: &Call) -> Call {
        if self.clock.now() < self.ends_at() { call.within(STALE_PATIENCE) } else { call.clone() }
    }

    /// Has the keys of a silent KMS used on for a while, if they may. `None`: they may not.
    pub fn stale(&self, loader: &dyn Load, silence: &Error) -> Option<()> {
        if !is_silence(silence.status()) {
            return None;
        }
        {
            // Under the lock: what was wiped must not come back.
            let _loading = self.loading.lock();
            let now = self.clock.now();
            if now < self.valid_until() {
                return Some(());
            }
            if now >= self.ends_at() || self.keys.load().is_none() {
                return None;
            }
            self.valid_until.store((now + STALE_PAUSE).min(self.ends_at()), Ordering::Release);
            self.checked_until.store(NEVER, Ordering::SeqCst);
        }
        loader.note_stale(&self.name, silence);
        Some(())
    }

    /// Loads anew, whatever is there: by a load that starts after this call.
    pub fn refresh(&self, call: &Call, loader: &dyn Load) -> Result<Loaded> {
        let seen = self.loading.lock().started;
        let mut outdated = 0;
        loop {
            let (flight, fresh) = {
                let mut loading = self.loading.lock();
                let flight = loading.join_or_start(self.clock.now());
                (flight, loading.started > seen)
            };
            match self.ride(call, loader, flight, &mut outdated) {
                Ok(Some(loaded)) if fresh => return Ok(loaded),
                Err(error) if fresh || call.check("refreshing").is_err() => return Err(error),
                _ => {}
            }
        }
    }

    /// Has the record read again out of turn, which happens once in each `pause`; waits for a load under way.
    /// `None`: it was read within the pause, what is there now is all that is known.
    pub fn reread(&self, call: &Call, loader: &dyn Load, pause: u64) -> Result<Option<Loaded>> {
        let mut outdated = 0;
        loop {
            let seat = {
                let mut loading = self.loading.lock();
                if loading.flight.is_none() {
                    let now = self.clock.now();
                    if loading.reread_at.is_some_and(|last| now.saturating_sub(last) < pause) {
                        return Ok(None);
                    }
                    loading.reread_at = Some(now);
                }
                loading.join_or_start(self.clock.now())
            };
            let own = matches!(seat, Seat::Pilot { .. });
            let loaded = self.ride(call, loader, seat, &mut outdated)?;
            // A load that was under way may have read the record too early.
            if own && loaded.is_some() {
                return Ok(loaded);
            }
        }
    }

    /// Loads, or waits for the one who does. `None`: to be tried again.
    fn ride(
        &self,
        call: &Call,
        loader: &dyn Load,
        seat: Seat,
        outdated: &mut usize,
    ) -> Result<Option<Loaded>> {
        match seat {
            Seat::Passenger(flight) => {
                loader.note_waiting();
                flight.wait(call, "waiting for the KEK")
            }
            Seat::Pilot { flight, generation } => {
                let pilot = Pilot { entry: self, flight };
                let result = loader.load(call, &self.name, &self.former());
                let landed = pilot.land(call, loader, generation, &result).is_some();
                *outdated += usize::from(!landed);
                if landed || *outdated == MAX_OUTDATED { result.map(Some) } else { Ok(None) }
            }
        }
    }

    fn former(&self) -> Former {
        let (record, epoch) = {
            let loading = self.loading.lock();
            (loading.record.clone(), loading.epoch)
        };
        Former { keys: self.keys.load_full(), record, epoch }
    }

    /// A load can bring keys that may open pages but not seal: the record could not be read for too long.
    fn usable(&self, loaded: Loaded, what_for: Use) -> Result<Arc<Keys>> {
        if what_for == Use::Seal && self.clock.now() >= loaded.seal_until {
            let error = fail!(
                Storage,
                "index {}: its envelope record could not be read for longer than cache.max_record_age, so nothing \
                 more is sealed; check the store",
                self.name
            );
            // The load itself went well: without this each page would ask the KMS again.
            self.loading.lock().unsealable = Some((self.clock.now() + FAILURE_LIFETIME, error.clone()));
            return Err(error);
        }
        self.used.store(true, Ordering::Relaxed);
        Ok(loaded.keys)
    }

    fn fail(&self, loading: &mut LoadState, error: &Error, asked_kms: bool) {
        if asked_kms && is_worth_a_pause(error.status()) {
            loading.failure = Some((self.clock.now() + FAILURE_LIFETIME, error.clone()));
        }
        if error.status() == Status::NotFound {
            // Deleted: what is created under the name now begins anew.
            loading.epoch = 0;
        }
        if !is_passing(error.status()) {
            loading.record = None;
            self.wipe();
        }
    }
}

/// Ends the flight on every path, a panic's too.
struct Pilot<'a> {
    entry: &'a Entry,
    flight: Arc<Flight<Loaded>>,
}

impl Pilot<'_> {
    /// Keeps what was loaded and tells those who wait. `None`: evicted, replaced or deleted meanwhile, so what was
    /// loaded may be what was just taken away.
    fn land(self, call: &Call, loader: &dyn Load, generation: u64, result: &Result<Loaded>) -> Option<()> {
        let mut loading = self.entry.loading.lock();
        if loading.generation != generation {
            return None;
        }
        match result {
            Ok(loaded) => self.entry.store(&mut loading, loaded.clone()),
            // Whoever waits takes over.
            Err(error) if ends_only_this_caller(call, error) => return Some(()),
            Err(error) => self.entry.fail(&mut loading, error, loader.asked_kms()),
        }
        loading.flight = None;
        drop(loading);
        self.flight.land(result.clone());
        Some(())
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        let mut loading = self.entry.loading.lock();
        if loading.flight.as_ref().is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            loading.flight = None;
        }
        drop(loading);
        self.flight.abandon();
    }
}
