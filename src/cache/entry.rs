//! The keys of one index and their lifetime.

mod loads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwapOption, Guard};

use super::load::{Loaded, Use};
use super::loading::{LoadState, Loading};
use crate::blob::Record;
use crate::clock::{Clock, SECOND};
use crate::keys::Keys;
use crate::name::IndexName;
use crate::sys::fork;

/// Keys in use by one call; they are not wiped before it ends.
pub type LiveKeys = Guard<Option<Arc<Keys>>>;

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
}
