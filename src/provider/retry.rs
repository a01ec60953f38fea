//! Retries, in one place for every provider.

use std::time::Duration;

use crate::call::Call;
use crate::crypto::secret::random;
use crate::error::{Result, Status};
use crate::registry::Slot;

/// Repeats what failed for a passing reason, with exponential backoff and full jitter, `max_retries` times, within the
/// slot's deadline and as long as `may_retry` says so.
pub fn with_retries<T>(
    call: &Call,
    slot: &Slot,
    mut attempt: impl FnMut(&Call) -> Result<T>,
    mut may_retry: impl FnMut() -> bool,
) -> Result<T> {
    let call = call.within(slot.deadline);
    let mut waits = backoff(slot.max_retries);
    let mut former = None;
    loop {
        let error = match attempt(&call) {
            // The deadline came while it was tried once more: why it was tried again says more.
            Err(error) if error.status() == Status::Timeout && call.is_over() => {
                return Err(former.unwrap_or(error));
            }
            Err(error) if error.is_retryable() => error,
            result => return result,
        };
        let Some(wait) = waits.next() else { return Err(error) };
        let wait = wait.mul_f64(fraction()?).max(Duration::from_millis(error.retry_after_ms()));
        if call.remaining().is_some_and(|left| left <= wait) || !may_retry() {
            return Err(error);
        }
        former = Some(error);
        call.sleep(wait)?;
    }
}

fn backoff(max_retries: u32) -> impl Iterator<Item = Duration> {
    use backon::BackoffBuilder;
    backon::ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(max_retries as usize)
        .build()
}

/// Between 0 and 1: callers that failed together come back one by one.
fn fraction() -> Result<f64> {
    let mut bytes = [0; 4];
    random(&mut bytes)?;
    Ok(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}
