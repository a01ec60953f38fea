//! What an engine counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Core;
use crate::striped::Counter;

/// A reading of the counters, since the engine was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Openings that found the KEK in the cache.
    pub cache_hits: u64,
    /// Openings that did not.
    pub cache_misses: u64,
    /// Indexes in the cache now.
    pub cache_entries: u64,
    /// Wraps and unwraps asked of providers, tries included.
    pub kms_calls: u64,
    /// Those that failed.
    pub kms_errors: u64,
    /// Those that repeated another.
    pub kms_retries: u64,
    /// Callers that waited for a load of another.
    pub coalesced_waits: u64,
    /// How often a KEK was used on beyond its lifetime, for two seconds each, since the KMS did not answer.
    pub stale_served: u64,
    /// Records read.
    pub store_reads: u64,
    /// Records written or removed.
    pub store_writes: u64,
    /// Audit events that could not be written.
    pub audit_failures: u64,
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: AtomicU64,
    pub(crate) kms_calls: AtomicU64,
    pub(crate) kms_errors: AtomicU64,
    pub(crate) kms_retries: AtomicU64,
    pub(crate) coalesced_waits: AtomicU64,
    pub(crate) stale_served: AtomicU64,
    pub(crate) store_reads: AtomicU64,
    pub(crate) store_writes: AtomicU64,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Core {
    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Stats {
            cache_hits: counters.cache_hits.sum(),
            cache_misses: read(&counters.cache_misses),
            cache_entries: self.cache.count() as u64,
            kms_calls: read(&counters.kms_calls),
            kms_errors: read(&counters.kms_errors),
            kms_retries: read(&counters.kms_retries),
            coalesced_waits: read(&counters.coalesced_waits),
            stale_served: read(&counters.stale_served),
            store_reads: read(&counters.store_reads),
            store_writes: read(&counters.store_writes),
            audit_failures: self.audit.failures(),
        }
    }
}
