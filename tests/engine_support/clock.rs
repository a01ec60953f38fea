//! A clock moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cyborg_kms::clock::{Clock, SECOND};

/// Stands until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn new() -> Arc<ManualClock> {
        Arc::new(ManualClock(AtomicU64::new(1000 * SECOND)))
    }

    pub fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn tick(&self) -> u64 {
        self.now()
    }

    fn unix_seconds(&self) -> i64 {
        1_700_000_000 + (self.now() / SECOND) as i64
    }
}
