//! What comes with every call: how long it may take.

use std::time::{Duration, Instant};

use crate::error::{Result, fail};

/// The limits of one call of the API, handed down to stores and providers. Cheap to copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call {
    deadline: Option<Instant>,
}

impl Call {
    /// A call without a limit of its own; stores and providers still have theirs.
    pub fn unbounded() -> Call {
        Call { deadline: None }
    }

    /// The same call, ending after `limit` at the latest.
    #[must_use]
    pub fn within(self, limit: Duration) -> Call {
        let end = Instant::now() + limit;
        Call { deadline: Some(self.deadline.map_or(end, |deadline| deadline.min(end))) }
    }

    /// When it must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time left, `None` without a limit.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// `TIMEOUT` when the time is over; `what` is what was being done.
    pub fn check(&self, what: &str) -> Result<()> {
        match self.remaining() {
            Some(Duration::ZERO) => {
                Err(fail!(Timeout, "{what}: the deadline passed; try again, or allow more time"))
            }
            _ => Ok(()),
        }
    }
}
