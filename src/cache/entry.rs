//! The keys of one index and their lifetime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};

use super::load::{
    Former, Load, Loaded, Use, ends_only_this_caller, is_passing, is_silence, is_worth_a_pause,
};
use super::loading::{LoadState, Loading, Seat};
use crate::blob::Record;
use crate::call::Call;
use crate::clock::{Clock, SECOND};
use crate::error::{Error, Result, Status, fail};
use crate::flight::Flight;
use crate::keys::Keys;
use crate::name::IndexName;
use crate::sys::fork;

/// Keys in use by one call; they are not wiped before it ends.
pub type LiveKeys = Guard<Option<Arc<Keys>>>;

/// How long a failure of the KMS is answered without asking it again.
const FAILURE_LIFETIME: u64 = SECOND;

/// How long the keys of a silent KMS are used on before it is asked once more.
const STALE_PAUSE: u64 = 2 * SECOND;

/// How long a call waits for the KMS where there are keys that may be used on without it.
const STALE_PATIENCE: Duration = Duration::from_secs(1);

/// A load that others outdate so often is taken for this one call, but not kept: it began after the call did.
const MAX_OUTDATED: usize = 8;

/// How long a comparison of the lifetimes with the clock holds, where they last at least as long: each writes to
/// what all threads read.
const CHECK_HOLDS: u64 = SECOND / 100;

/// No comparison holds.
const NEVER: u64 = 0;

/// Keeps the keys of one index while they may be kept.
#[derive(Debug)]
pub struct Entry {
    name: IndexName,
    clock: Arc<dyn Clock>,
    keys: ArcSwapOption<Keys>,
    /// The record that was read last; not secret, so it outlives the keys.
    record: ArcSwapOption<Record>,
    valid_until: AtomicU64,
    /// When the KMS was asked for the keys.
    as_of: AtomicU64,
    /// The end of the keys whose KMS is silent; not before `valid_until`.
    ends_at: AtomicU64,
    seal_until: AtomicU64,
    /// Until this tick nothing has to be compared.
    checked_until: AtomicU64,
    /// Whether anyone used the keys since they were loaded: idle ones are not refreshed.
    used: AtomicBool,
    /// The process whose sweeper watches the entry; 0: none does.
    watched_by: AtomicU64,
    /// The process in which the entry waits for a thread that refreshes it; 0: it does not.
    queued_by: AtomicU64,
    loading: Loading,
}

impl Entry {
    /// An entry without keys.
    pub fn new(name: IndexName, clock: Arc<dyn Clock>) -> Entry {
        Entry {
            name,
            clock,
            keys: ArcSwapOption::empty(),
            record: ArcSwapOption::empty(),
            valid_until: AtomicU64::new(0),
            as_of: AtomicU64::new(0),
            ends_at: AtomicU64::new(0),
            seal_until: AtomicU64::new(0),
            checked_until: AtomicU64::new(NEVER),
            used: AtomicBool::new(false),
            watched_by: AtomicU64::new(0),
            queued_by: AtomicU64::new(0),
            loading: Loading::default(),
        }
    }

    /// The index.
    pub fn name(&self) -> &IndexName {
        &self.name
    }

    /// The record that was read last.
    pub fn last_record(&self) -> Option<Arc<Record>> {
        self.record.load_full()
    }

    /// When the keys' lifetime ends, unless the KMS is silent.
    pub fn valid_until(&self) -> u64 {
        self.valid_until.load(Ordering::Acquire)
    }

    /// When the KMS was asked for the keys.
    pub fn as_of(&self) -> u64 {
        self.as_of.load(Ordering::Acquire)
    }

    /// When the keys end, also where the KMS is silent.
    pub fn ends_at(&self) -> u64 {
        self.ends_at.load(Ordering::Acquire)
    }

    /// When sealing ends, since the record was not read again.
    pub fn seal_until(&self) -> u64 {
        self.seal_until.load(Ordering::Acquire)
    }

    /// The keys, where they may be used now; `tick` is the clock's. No lock, no system call but the clock's, which is the kernel's page.
    #[inline]
    pub fn live(&self, tick: u64, what_for: Use) -> Option<LiveKeys> {
        if tick >= self.checked_until.load(Ordering::Relaxed) && !self.check_lifetime(tick, what_for) {
            return None;
        }
        let keys = self.keys.load();
        keys.is_some().then_some(keys)
    }

    /// Whether the keys may be read with now. Where that was compared just before, nothing but the tick is looked at.
    #[inline]
    pub(super) fn is_live_at(&self, tick: u64) -> bool {
        tick < self.checked_until.load(Ordering::Acquire) || self.live(tick, Use::Read).is_some()
    }

    #[cold]
    fn check_lifetime(&self, tick: u64, what_for: Use) -> bool {
        let now = self.clock.now();
        if now >= self.valid_until()
            || (what_for == Use::Seal && now >= self.seal_until.load(Ordering::Acquire))
        {
            return false;
        }
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        // Reads alone must not vouch for sealing, so only a check that holds for both is remembered.
        let end = self.valid_until().min(self.seal_until.load(Ordering::Acquire));
        if now.saturating_add(CHECK_HOLDS) < end {
            self.checked_until.store(tick.saturating_add(CHECK_HOLDS), Ordering::SeqCst);
            // `wipe` ends the lifetime, then forgets the check: whoever is late with the check sees the end.
            if self.valid_until.load(Ordering::SeqCst) == 0 {
                self.checked_until.store(NEVER, Ordering::SeqCst);
                return false;
            }
        }
        true
    }

    /// Whether the keys were used since the last time that this was asked.
    pub fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Whether this process's sweeper must be told of the entry; it is taken as told from here on.
    pub fn needs_watch(&self) -> bool {
        let process = fork::generation();
        self.watched_by.swap(process, Ordering::AcqRel) != process
    }

    /// The sweeper looks no more.
    pub fn unwatched(&self) {
        self.watched_by.store(0, Ordering::Release);
    }

    /// Whether the entry is to be queued for a refresh; it is taken as queued from here on.
    pub fn enqueue(&self) -> bool {
        let process = fork::generation();
        self.queued_by.swap(process, Ordering::AcqRel) != process
    }

    /// It has left the queue.
    pub fn dequeued(&self) {
        self.queued_by.store(0, Ordering::Release);
    }

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

    fn live_now(&self, what_for: Use) -> Option<Arc<Keys>> {
        self.live(self.clock.tick(), what_for).and_then(|keys| keys.as_ref().map(Arc::clone))
    }

    /// Whether there are keys that may be used now.
    pub fn is_live(&self) -> bool {
        self.live_now(Use::Read).is_some()
    }

    /// Whether there are keys that may be used at `now`: a look that does not count as a use.
    pub fn is_valid(&self, now: u64) -> bool {
        now < self.valid_until() && self.keys.load().is_some()
    }

    /// Whether there are keys that may be used now, or as soon as the KMS turns out to be silent.
    pub fn has_keys(&self) -> bool {
        self.clock.now() < self.ends_at() && self.keys.load().is_some()
    }

    /// Whether someone is loading now.
    pub fn is_loading(&self) -> bool {
        self.loading.lock().flight.is_some()
    }

    /// Whether the last load failed so recently that its failure still stands.
    pub fn has_failed(&self) -> bool {
        let loading = self.loading.lock();
        loading.recent_failure(self.clock.now(), Use::Seal).is_err()
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

    /// Keys that were just made (at creation), as if loaded. Outdates loads under way.
    pub fn install(&self, loaded: Loaded) {
        let mut loading = self.loading.lock();
        loading.generation += 1;
        // Created anew: what was before does not count.
        loading.epoch = 0;
        self.store(&mut loading, loaded);
    }

    /// What a write of this process starts from: the generation that `renew` compares, the keys, and the highest epoch that
    /// was read.
    pub fn standing(&self) -> (u64, Option<Arc<Keys>>, u64) {
        let loading = self.loading.lock();
        (loading.generation, self.keys.load_full(), loading.epoch)
    }

    /// Keys as a write of this process left them, in the place of those before it. Where the keys were wiped from
    /// outside since `generation`, or none are in use (those of a silent KMS are), only the record is kept: the next
    /// use loads. Outdates loads under way, which may bring what was before the write. Returns whether the keys are in
    /// use now.
    pub fn renew(&self, generation: u64, loaded: Loaded) -> bool {
        let mut loading = self.loading.lock();
        let is_as_seen = loading.generation == generation && self.clock.now() < self.ends_at();
        let known = self.keys.load_full().filter(|_| is_as_seen);
        loading.generation += 1;
        match known {
            // A load has found what others wrote after this write.
            Some(known) if known.record.epoch > loaded.keys.record.epoch => true,
            Some(_) => {
                self.store(&mut loading, loaded);
                true
            }
            None => {
                self.forget(&mut loading);
                self.record.store(Some(Arc::clone(&loaded.keys.record)));
                false
            }
        }
    }

    /// Ends the use of the keys: the next call reads the record, and does not go back to an older one.
    pub fn stop(&self) {
        let mut loading = self.loading.lock();
        loading.generation += 1;
        self.forget(&mut loading);
    }

    fn store(&self, loading: &mut LoadState, loaded: Loaded) {
        (loading.failure, loading.unsealable) = (None, None);
        loading.record = Some((Arc::clone(&loaded.keys.record), loaded.seal_until));
        loading.epoch = loading.epoch.max(loaded.keys.record.epoch);
        self.seal_until.store(loaded.seal_until, Ordering::Release);
        self.as_of.store(loaded.as_of, Ordering::Release);
        self.ends_at.store(loaded.ends_at, Ordering::Release);
        self.valid_until.store(loaded.valid_until, Ordering::Release);
        self.checked_until.store(NEVER, Ordering::SeqCst);
        self.record.store(Some(Arc::clone(&loaded.keys.record)));
        self.keys.store(Some(loaded.keys));
    }

    /// Forgets the keys; wiped when the last call that uses them ends. A load under way starts anew.
    pub fn clear(&self) {
        let mut loading = self.loading.lock();
        loading.generation += 1;
        loading.epoch = 0;
        self.forget(&mut loading);
    }

    fn forget(&self, loading: &mut LoadState) {
        (loading.failure, loading.unsealable, loading.record) = (None, None, None);
        self.wipe();
    }

    /// Forgets the keys where their lifetime is over. Returns whether none are left.
    pub fn expire(&self, now: u64) -> bool {
        let _loading = self.loading.lock();
        if now >= self.ends_at() {
            self.wipe();
        }
        self.keys.load().is_none()
    }

    fn wipe(&self) {
        self.ends_at.store(0, Ordering::Release);
        self.valid_until.store(0, Ordering::SeqCst);
        self.checked_until.store(NEVER, Ordering::SeqCst);
        self.keys.store(None);
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
