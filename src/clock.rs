//! Time, from outside, so that a test can move it.

use std::fmt::Debug;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Where the library reads the time.
pub trait Clock: Send + Sync + Debug {
    /// Nanoseconds on a clock that also runs while the machine sleeps and can't be set
    /// (Linux: `CLOCK_BOOTTIME`). For lifetimes. Costs about 20 ns.
    fn now(&self) -> u64;

    /// Nanoseconds on a clock that may stand still for some milliseconds and stops while the machine
    /// sleeps (Linux: `CLOCK_MONOTONIC_COARSE`). Costs about 5 ns: for the page path, which asks `now`
    /// only when this one has moved.
    fn tick(&self) -> u64;

    /// Unix seconds, for what is stored.
    fn unix_seconds(&self) -> i64;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        crate::sys::clock::boot_nanoseconds()
    }

    fn tick(&self) -> u64 {
        crate::sys::clock::coarse_nanoseconds()
    }

    fn unix_seconds(&self) -> i64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .unwrap_or(0)
    }
}
