//! What an engine tells a monitoring system, as OpenMetrics text.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Core;
use crate::error::{Result, Status, fail};
use crate::provider::BreakerState;
use crate::sys::fork;

/// From a key in the same machine to a KMS on another continent that is asked several times, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    slot: String,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    slot: String,
    operation: &'static str,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSlot {
    slot: String,
}

/// What is counted for each slot and operation.
pub(super) struct Metrics {
    calls: Family<Answered, Counter>,
    retries: Family<Asked, Counter>,
    durations: Family<Asked, Histogram>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            calls: Family::default(),
            retries: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// One request to a KMS and what came of it.
    pub(super) fn asked(&self, slot: &str, operation: &'static str, status: Status, took: Duration) {
        // A child must not find the families locked by a thread that it does not have.
        let _no_fork = fork::no_fork();
        let answered = Answered { slot: slot.to_owned(), operation, status: status.to_string() };
        self.calls.get_or_create(&answered).inc();
        self.durations.get_or_create(&Asked { slot: slot.to_owned(), operation }).observe(took.as_secs_f64());
    }

    /// A request that repeats another.
    pub(super) fn retried(&self, slot: &str, operation: &'static str) {
        let _no_fork = fork::no_fork();
        self.retries.get_or_create(&Asked { slot: slot.to_owned(), operation }).inc();
    }
}

impl Core {
    /// All there is to tell, in the text format of OpenMetrics 1.0.
    pub(super) fn metrics(&self) -> Result<String> {
        let mut registry = Registry::with_prefix("cyborg_kms");
        self.register_kms(&mut registry);
        self.register_counts(&mut registry);
        let mut out = String::new();
        let _no_fork = fork::no_fork();
        text::encode(&mut out, &registry)
            .map_err(|error| fail!(Internal, "the metrics can't be written: {error}"))?;
        Ok(out)
    }

    fn register_kms(&self, registry: &mut Registry) {
        let metrics = &self.metrics;
        registry.register(
            "kms_calls",
            "Requests to a KMS, by outcome, retries included",
            metrics.calls.clone(),
        );
        registry.register("kms_retries", "Requests that repeat another", metrics.retries.clone());
        let help = "How long a KMS took to answer";
        registry.register_with_unit("kms_call_duration", help, Unit::Seconds, metrics.durations.clone());
        let breakers = Family::<OfSlot, Gauge>::default();
        for (slot, state) in self.providers.breaker_states() {
            let number = match state {
                BreakerState::Closed => 0,
                BreakerState::Open => 1,
                BreakerState::Trying => 2,
            };
            breakers.get_or_create(&OfSlot { slot }).set(number);
        }
        let help =
            "0: the KMS is asked; 1: it is left alone, since it did not answer; 2: one request tries it";
        registry.register("kms_breaker_state", help, breakers);
    }

    fn register_counts(&self, registry: &mut Registry) {
        let stats = self.stats();
        for (name, help, value) in [
            ("cache_hits", "Openings that found the KEK in the cache", stats.cache_hits),
            ("cache_misses", "Openings that did not", stats.cache_misses),
            ("coalesced_waits", "Callers that waited for a load of another", stats.coalesced_waits),
            (
                "stale_served",
                "KEKs used on beyond their lifetime, since the KMS was silent",
                stats.stale_served,
            ),
            ("audit_failures", "Audit events that could not be written", stats.audit_failures),
            ("store_reads", "Envelope records read", stats.store_reads),
            ("store_writes", "Envelope records written or removed", stats.store_writes),
        ] {
            registry.register(name, help, ConstCounter::new(value));
        }
        let entries = i64::try_from(stats.cache_entries).unwrap_or(i64::MAX);
        registry.register("cache_entries", "Indexes in the cache now", ConstGauge::new(entries));
        let age = Duration::from_nanos(self.cache.oldest_key_age(self.clock.now())).as_secs_f64();
        let help = "How long ago the KMS was asked for the oldest KEK that may be used now; 0: there is none";
        registry.register_with_unit("oldest_kek_age", help, Unit::Seconds, ConstGauge::new(age));
    }
}
