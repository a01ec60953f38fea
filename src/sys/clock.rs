//! Clocks that std does not offer.

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call; the clock ids used here exist on every Linux
    // that Rust supports, so the call can't fail, and if it did the zeros stay.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// `CLOCK_BOOTTIME`: runs while the machine sleeps, can't be set.
pub fn boot_nanoseconds() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

/// `CLOCK_MONOTONIC_COARSE`: the time of the last timer tick.
pub fn coarse_nanoseconds() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}
