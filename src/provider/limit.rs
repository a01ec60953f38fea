//! How many callbacks of one provider run at once: one that hangs must not take the threads of the others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::call::Call;
use crate::error::Result;
use crate::sys::fork;

/// Callbacks of one provider that are in the caller's code at once.
const MAX_UNDER_WAY: usize = 32;
/// How long who waits for a turn sleeps between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Counts the callbacks of one provider.
#[derive(Debug, Default)]
pub struct Limit {
    count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct Count {
    under_way: usize,
    /// Whose threads these are.
    process: u64,
}

/// The right to run one callback, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    limit: Arc<Limit>,
    process: u64,
}

impl Limit {
    /// Waits for a turn, until the call ends.
    pub fn turn(self: &Arc<Limit>, call: &Call, what: &str) -> Result<Turn> {
        let process = fork::generation();
        loop {
            {
                let _no_fork = fork::no_fork();
                let mut count = self.lock(process);
                if count.under_way < MAX_UNDER_WAY {
                    count.under_way += 1;
                    return Ok(Turn { limit: Arc::clone(self), process });
                }
            }
            call.check(what)?;
            // Not by a condition variable: who wakes from it holds the lock unguarded against a fork.
            std::thread::sleep(call.remaining().unwrap_or(PAUSE).min(PAUSE));
        }
    }

    fn lock(&self, process: u64) -> MutexGuard<'_, Count> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if count.process != process {
            // The parent's callbacks are not under way in a child.
            *count = Count { under_way: 0, process };
        }
        count
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _no_fork = fork::no_fork();
        let mut count = self.limit.lock(fork::generation());
        if self.process == count.process {
            count.under_way -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn further_calls_wait_for_their_turn() {
        let limit = Arc::new(Limit::default());
        let call = Call::unbounded();
        let mut turns: Vec<Turn> = (0..MAX_UNDER_WAY).map(|_| limit.turn(&call, "test").unwrap()).collect();
        let brief = call.within(Duration::from_millis(5));
        assert_eq!(limit.turn(&brief, "test").unwrap_err().status(), Status::Timeout);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| limit.turn(&call, "test").unwrap());
            turns.pop();
            drop(waiting.join().unwrap());
        });
        drop(turns);
        assert_eq!(limit.lock(fork::generation()).under_way, 0);
    }
}
