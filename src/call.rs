//! What comes with every call: how long it may take, whether it is still wanted, how fast it may ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, fail};
use crate::provider::Pacer;
use crate::registry::Slot;

/// How long a waiting call may take to notice that it was cancelled.
pub(crate) const CANCEL_POLL: Duration = Duration::from_millis(10);

/// Ends the calls that carry it.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Cancel>);

#[derive(Debug, Default)]
struct Cancel {
    cancelled: AtomicBool,
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// Calls under way and to come end with `CANCELLED`.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// Whether it was.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
            || self.0.parent.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    /// A token that is cancelled with this one, or by itself.
    #[must_use]
    pub fn child(&self) -> CancelToken {
        CancelToken(Arc::new(Cancel { cancelled: AtomicBool::new(false), parent: Some(self.clone()) }))
    }
}

/// The limits of one call of the API, handed down to stores and providers.
#[derive(Debug, Clone, Default)]
pub struct Call {
    deadline: Option<Instant>,
    cancel: Option<CancelToken>,
    principal: Option<Arc<str>>,
    pacer: Option<Arc<Pacer>>,
    /// Its first request has waited for its turn already.
    has_turn: bool,
}

impl Call {
    /// A call without a limit of its own; stores and providers still have theirs.
    pub fn unbounded() -> Call {
        Call::default()
    }

    /// The same call, ending after `limit` at the latest.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Call {
        let end = Instant::now() + limit;
        let deadline = Some(self.deadline.map_or(end, |deadline| deadline.min(end)));
        Call { deadline, ..self.clone() }
    }

    /// The same call, ended by `token` too.
    #[must_use]
    pub fn cancelled_by(&self, token: &CancelToken) -> Call {
        Call { cancel: Some(token.clone()), ..self.clone() }
    }

    /// The same call on behalf of `principal`, for the audit trail.
    #[must_use]
    pub fn acting_for(&self, principal: &str) -> Call {
        Call { principal: Some(principal.into()), ..self.clone() }
    }

    /// The same call, whose requests to a KMS wait for their turn.
    #[must_use]
    pub fn paced_by(&self, pacer: &Arc<Pacer>) -> Call {
        Call { pacer: Some(Arc::clone(pacer)), ..self.clone() }
    }

    /// Waits until a slot's KMS may be asked for the first time.
    pub(crate) fn first_turn(&self, slot: &Slot) -> Result<()> {
        if self.has_turn { Ok(()) } else { self.turn(slot) }
    }

    /// Waits until a slot's KMS may be asked.
    pub(crate) fn turn(&self, slot: &Slot) -> Result<()> {
        self.pacer.as_ref().map_or(Ok(()), |pacer| pacer.turn(self, slot))
    }

    /// A call with the pacer of this one and none of its limits, for one request that has its turn.
    pub(crate) fn detached(&self) -> Call {
        Call { pacer: self.pacer.clone(), has_turn: true, ..Call::default() }
    }

    /// What came of asking it.
    pub(crate) fn note_answer(&self, slot: &Slot, failure: Option<&Error>) {
        if let Some(pacer) = &self.pacer {
            pacer.note(slot, failure);
        }
    }

    /// Who acts, where the caller has said it.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// When it must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time left, `None` without a limit.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether its time has passed.
    pub fn is_over(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Whether it is not wanted any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    /// `CANCELLED` or, when the time is over, `TIMEOUT`; `what` is what was being done.
    pub fn check(&self, what: &str) -> Result<()> {
        if self.is_cancelled() {
            return Err(fail!(Cancelled, "{what}: the call was cancelled"));
        }
        match self.remaining() {
            Some(Duration::ZERO) => {
                Err(fail!(Timeout, "{what}: the deadline passed; try again, or allow more time"))
            }
            _ => Ok(()),
        }
    }

    /// How long to wait for something at once: until the deadline, but where the call can be cancelled, so
    /// briefly that this is noticed.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match (self.remaining(), &self.cancel) {
            (left, None) => left,
            (left, Some(_)) => Some(left.unwrap_or(CANCEL_POLL).min(CANCEL_POLL)),
        }
    }

    /// Waits for `pause`, or fails when the call ends before.
    pub fn sleep(&self, pause: Duration) -> Result<()> {
        let end = Instant::now() + pause;
        loop {
            self.check("waiting to try again")?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(self.patience().map_or(left, |patience| patience.min(left)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn limits_only_shrink() {
        let call = Call::unbounded().within(Duration::from_secs(1));
        let longer = call.within(Duration::from_secs(9));
        assert_eq!(call.deadline(), longer.deadline());
        assert!(call.check("test").is_ok());
        let over = call.within(Duration::ZERO);
        assert_eq!(over.check("test").unwrap_err().status(), Status::Timeout);
        assert_eq!(over.sleep(Duration::from_secs(60)).unwrap_err().status(), Status::Timeout);
    }

    #[test]
    fn a_cancelled_call_ends_at_once() {
        let token = CancelToken::default();
        let call = Call::unbounded().cancelled_by(&token);
        assert!(call.check("test").is_ok());
        token.cancel();
        assert_eq!(call.sleep(Duration::from_secs(60)).unwrap_err().status(), Status::Cancelled);
    }
}
