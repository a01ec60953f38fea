//! KEKs with a lifetime: one entry for each index, found without a lock, loaded once for all who wait.

mod entry;
mod load;
mod loading;
mod own;
mod sweeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

pub use entry::{Entry, LiveKeys};
pub use load::{Former, Load, Loaded, Use, is_passing};
pub use own::OwnEntries;
pub use sweeper::{Sweeper, Work};

use crate::clock::{Clock, SECOND};
use crate::name::IndexName;
use crate::striped::{Shared, Striped};
use crate::sys::fork;

/// How many entries are looked at to find one to evict.
const EVICTION_SAMPLE: usize = 32;
/// How many are passed over on the way because a handle is open on them.
const EVICTION_SEARCH: usize = 1024;

/// How exactly the time of the last opening is kept, in nanoseconds: writing it slows the other threads down.
const OPENED_PRECISION: u64 = SECOND / 10;

/// From so many entries on, the map is kept a quarter full: the map itself lets it fill up to nine tenths, and then
/// finding a name takes several tries.
const ROOMY_FROM: usize = 64;

/// The entries of an engine.
#[derive(Debug)]
pub struct Cache {
    entries: papaya::HashMap<Box<str>, Cached, foldhash::fast::RandomState>,
    max_entries: AtomicUsize,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Cached {
    entry: Striped<Entry>,
    /// `Clock::tick` of the last opening, nearly, for eviction.
    opened_at: AtomicU64,
    /// Removed from the map, or about to be.
    gone: AtomicBool,
}

impl Cached {
    /// Says that it leaves the map, unless a handle is open on it: such an entry must be found by who opens it again
    /// and by `evict`. One of this and [`Cached::share`] sees the other.
    fn leave(&self) -> bool {
        self.gone.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let leaves = !self.entry.is_shared();
        self.gone.store(leaves, Ordering::Relaxed);
        leaves
    }

    /// A handle, where the entry stays in the map.
    #[inline]
    fn share(&self) -> Option<Shared<Entry>> {
        let shared = self.entry.share();
        fence(Ordering::SeqCst);
        (!self.gone.load(Ordering::Relaxed)).then_some(shared)
    }
}

impl Cache {
    /// An empty cache of at most `max_entries` indexes.
    pub fn new(max_entries: usize, clock: Arc<dyn Clock>) -> Cache {
        Cache {
            entries: papaya::HashMap::builder()
                .hasher(foldhash::fast::RandomState::default())
                // Else a map that no longer grows stays spread over two tables.
                .resize_mode(papaya::ResizeMode::Blocking)
                .build(),
            max_entries: AtomicUsize::new(max_entries),
            clock,
        }
    }

    /// Changes the limit; takes effect with the next entry.
    pub fn set_max_entries(&self, max_entries: usize) {
        self.max_entries.store(max_entries, Ordering::Relaxed);
    }

    /// How many indexes have an entry.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// How long ago the KMS was asked for the oldest keys that may be used now; 0 where there are none.
    pub fn oldest_key_age(&self, now: u64) -> u64 {
        let entries = self.entries.pin();
        let ages = entries.values().filter(|cached| cached.entry.is_valid(now));
        ages.map(|cached| now.saturating_sub(cached.entry.as_of())).max().unwrap_or(0)
    }

    /// The entry of an index that is cached and may be used now. The path of an index that is opened again.
    #[inline]
    pub fn hit(&self, name: &str) -> Option<Shared<Entry>> {
        let entries = self.entries.pin();
        let cached = entries.get(name)?;
        let tick = self.clock.tick();
        if !cached.entry.is_live_at(tick) {
            return None;
        }
        if tick.saturating_sub(cached.opened_at.load(Ordering::Relaxed)) > OPENED_PRECISION {
            cached.opened_at.store(tick, Ordering::Relaxed);
        }
        cached.share()
    }

    /// The entry of an index, made where there is none.
    pub fn entry(&self, name: &IndexName) -> Shared<Entry> {
        // The map's writers can wait for one another; a child must not wait for one that it does not have.
        let _no_fork = fork::no_fork();
        let entries = self.entries.pin();
        if let Some(cached) = entries.get(name.as_str()) {
            return cached.entry.share();
        }
        let (count, limit) = (entries.len(), self.max_entries.load(Ordering::Relaxed));
        if count < limit && count >= ROOMY_FROM && count.is_power_of_two() {
            entries.reserve(3 * count);
        }
        while entries.len() >= limit && self.evict_one() {}
        let cached = entries.get_or_insert_with(name.as_str().into(), || Cached {
            entry: Striped::new(Entry::new(name.clone(), Arc::clone(&self.clock))),
            opened_at: AtomicU64::new(self.clock.tick()),
            gone: AtomicBool::new(false),
        });
        cached.entry.share()
    }

    /// The entry of an index where there is one, whatever it holds.
    pub fn find(&self, name: &IndexName) -> Option<Shared<Entry>> {
        self.entries.pin().get(name.as_str()).and_then(Cached::share)
    }

    /// Removes the entry of an index that turned out not to be there, unless someone got keys, a handle or a failure
    /// that stands for a while.
    pub fn forget_if_empty(&self, name: &IndexName) {
        let _no_fork = fork::no_fork();
        let entries = self.entries.pin();
        let idle = |cached: &Cached| !cached.entry.has_keys() && !cached.entry.has_failed() && cached.leave();
        let _ = entries.remove_if(name.as_str(), |_, cached| idle(cached));
    }

    /// Wipes the keys of one index, or of all: the next use asks the KMS.
    pub fn evict(&self, name: Option<&IndexName>) {
        let _no_fork = fork::no_fork();
        let entries = self.entries.pin();
        match name {
            Some(name) => {
                if let Some(cached) = entries.get(name.as_str()) {
                    cached.entry.clear();
                }
                drop(entries);
                self.forget_if_empty(name);
            }
            None => {
                for (_, cached) in &entries {
                    cached.entry.clear();
                }
                entries.retain(|_, cached| !cached.leave());
            }
        }
    }

    /// Evicts the least recently opened of some entries that no handle is open on: one with handles must be found
    /// by whoever opens it again, and by `evict`. Returns whether there was one.
    fn evict_one(&self) -> bool {
        let entries = self.entries.pin();
        let oldest = entries
            .iter()
            .take(EVICTION_SEARCH)
            .filter(|(_, cached)| !cached.entry.is_shared())
            .take(EVICTION_SAMPLE)
            .min_by_key(|(_, cached)| cached.opened_at.load(Ordering::Relaxed));
        let Some((name, cached)) = oldest else { return false };
        if let Ok(Some(_)) = entries.remove_if(name, |_, cached| cached.leave()) {
            cached.entry.clear();
        }
        // A handle that was opened since keeps it; there may be another to evict.
        true
    }

    /// Leaves every entry to the handles that are open on it, and gives them: no opening finds them any more.
    pub fn forget_all(&self) -> Vec<Arc<Entry>> {
        let _no_fork = fork::no_fork();
        let mut left = Vec::new();
        self.entries.pin().retain(|_, cached| {
            cached.gone.store(true, Ordering::Relaxed);
            left.push(Arc::clone(cached.entry.value()));
            false
        });
        left
    }
}
