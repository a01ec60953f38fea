//! A circuit breaker for each slot: a KMS that is silent again and again is left alone for a while, so that callers
//! learn at once that it is away, and it is not met by all of them when it comes back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, SECOND};
use crate::error::{Error, Result, Status, fail};
use crate::log::{Fields, Level, write};
use crate::sys::fork;

/// So many silences in a row open it.
const SILENCES: u32 = 8;
/// It stays open for so long, twice that after each trial that fails.
const FIRST_PAUSE: u64 = SECOND;
/// But no longer than this.
const LONGEST_PAUSE: u64 = 30 * SECOND;

/// Whether a slot's KMS is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is not.
    Open,
    /// One request tries it.
    Trying,
}

/// The breaker of one slot.
#[derive(Debug)]
pub struct Breaker {
    slot: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    silences: u32,
    pause: u64,
    /// 0: closed.
    open_until: u64,
    /// The process whose request tries; a child does not wait for its parent's.
    tried_by: Option<u64>,
}

/// The right to ask the KMS once; what came of it is told by [`Permit::note`]. Dropped without that it says nothing.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    is_trial: bool,
}

impl Breaker {
    /// A closed one.
    pub fn new(slot: &str, clock: Arc<dyn Clock>) -> Breaker {
        Breaker { slot: slot.to_owned(), clock, state: Mutex::default() }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let _no_fork = fork::no_fork();
        let mut state: MutexGuard<'_, State> = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut state)
    }

    /// Whether the KMS may be asked now: `KMS_UNAVAILABLE` while it is left alone.
    pub fn admit(&self) -> Result<Permit<'_>> {
        let now = self.clock.now();
        let process = fork::generation();
        let verdict = self.with(|state| {
            if state.open_until == 0 {
                return Ok(false);
            }
            if now < state.open_until {
                return Err(state.open_until - now);
            }
            if state.tried_by == Some(process) {
                return Err(FIRST_PAUSE);
            }
            state.tried_by = Some(process);
            Ok(true)
        });
        match verdict {
            Ok(is_trial) => Ok(Permit { breaker: self, is_trial }),
            Err(left) => Err(self.left_alone(left)),
        }
    }

    fn left_alone(&self, left: u64) -> Error {
        let milliseconds = Duration::from_nanos(left).as_millis().max(1) as u64;
        fail!(
            KmsUnavailable,
            "slot {:?}: its KMS has not answered {SILENCES} times in a row and is left alone for {milliseconds} ms more; \
             check the way to it",
            self.slot
        )
        .with_retry_after_ms(milliseconds)
    }

    /// What it is doing, for the metrics.
    pub fn state(&self) -> BreakerState {
        let now = self.clock.now();
        self.with(|state| match state.open_until {
            0 => BreakerState::Closed,
            _ if state.tried_by == Some(fork::generation()) => BreakerState::Trying,
            until if now < until => BreakerState::Open,
            _ => BreakerState::Trying,
        })
    }

    /// Returns whether this opened it.
    fn silence(&self, is_trial: bool) -> bool {
        let now = self.clock.now();
        self.with(|state| {
            state.silences = state.silences.saturating_add(1);
            // Who was admitted before it opened says nothing new.
            // Another's answer may have closed it since the trial began.
            let is_trial = is_trial && state.open_until != 0;
            let opens = is_trial || (state.open_until == 0 && state.silences >= SILENCES);
            if opens {
                let longer = (state.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                state.pause = if is_trial { longer } else { FIRST_PAUSE };
                state.open_until = now + state.pause;
                state.tried_by = None;
            }
            opens && !is_trial
        })
    }

    /// Returns whether this closed it.
    fn answer(&self) -> bool {
        self.with(|state| std::mem::take(state).open_until != 0)
    }

    fn log(&self, message: &str) {
        let fields = Fields::new().text("slot", &self.slot);
        write(Level::Warn, "cyborg_kms::provider", message, &fields);
    }
}

impl Permit<'_> {
    /// What came of it. Throttling and refusals are answers, too.
    pub fn note<T>(self, result: &Result<T>) {
        match result {
            Err(error) if is_silence(error) && !is_a_page(error) => {
                if self.breaker.silence(self.is_trial) {
                    self.breaker.log("the KMS does not answer and is left alone for a while");
                }
            }
            // The caller's own end, or a page of whoever stands on the way: it may be meant for this one request.
            Err(error) if error.status() == Status::Cancelled || is_a_page(error) => return,
            _ => {
                if self.breaker.answer() {
                    self.breaker.log("the KMS answers again");
                }
            }
        }
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.breaker.with(|state| state.tried_by = None);
        }
    }
}

fn is_silence(error: &Error) -> bool {
    matches!(error.status(), Status::KmsUnavailable | Status::Timeout)
}

/// An HTTP answer that is not the KMS's, as providers tell it.
fn is_a_page(error: &Error) -> bool {
    let status = error.provider_code().strip_prefix("HTTP ");
    is_silence(error) && status.is_some_and(|status| status.starts_with(['3', '4']))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Hand {
        fn advance(&self, nanoseconds: u64) {
            self.0.fetch_add(nanoseconds, Ordering::SeqCst);
        }
    }

    impl Clock for Hand {
        fn now(&self) -> u64 {
            SECOND + self.0.load(Ordering::SeqCst)
        }

        fn tick(&self) -> u64 {
            self.now()
        }

        fn unix_seconds(&self) -> i64 {
            0
        }
    }

    fn silent() -> Result<()> {
        Err(fail!(KmsUnavailable, "silence"))
    }

    fn opened() -> (Breaker, Arc<Hand>) {
        let clock = Arc::new(Hand::default());
        let breaker = Breaker::new("prod", Arc::clone(&clock) as Arc<dyn Clock>);
        for _ in 0..SILENCES {
            breaker.admit().unwrap().note(&silent());
        }
        (breaker, clock)
    }

    #[test]
    fn it_opens_tries_and_closes() {
        let (breaker, clock) = opened();
        let error = breaker.admit().unwrap_err();
        assert_eq!((error.status(), error.retry_after_ms()), (Status::KmsUnavailable, 1000));
        assert_eq!(breaker.state(), BreakerState::Open);

        clock.advance(FIRST_PAUSE);
        let trial = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "one at a time");
        assert_eq!(breaker.state(), BreakerState::Trying);
        trial.note(&silent());
        assert_eq!(breaker.admit().unwrap_err().retry_after_ms(), 2000);

        clock.advance(2 * FIRST_PAUSE);
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().note(&Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.admit().unwrap().note(&silent());
        assert!(breaker.admit().is_ok());
    }

    #[test]
    fn the_pause_grows_to_its_limit() {
        let (breaker, clock) = opened();
        for _ in 0..10 {
            clock.advance(LONGEST_PAUSE);
            breaker.admit().unwrap().note(&silent());
        }
        assert_eq!(
            u128::from(breaker.admit().unwrap_err().retry_after_ms()),
            Duration::from_nanos(LONGEST_PAUSE).as_millis()
        );
    }

    #[test]
    fn a_page_of_someone_on_the_way_is_no_silence() {
        let breaker = Breaker::new("prod", Arc::new(Hand::default()));
        let page = || Result::<()>::Err(fail!(KmsUnavailable, "a page").with_provider("HTTP 403", ""));
        for _ in 0..SILENCES * 2 {
            breaker.admit().unwrap().note(&page());
        }
        let fault = || Result::<()>::Err(fail!(KmsUnavailable, "a fault").with_provider("HTTP 503", ""));
        for _ in 0..SILENCES {
            breaker.admit().unwrap().note(&fault());
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn refusals_and_throttling_are_answers() {
        let clock = Arc::new(Hand::default());
        let breaker = Breaker::new("prod", clock);
        for round in 0..SILENCES * 3 {
            let result: Result<()> =
                if round % (SILENCES - 1) == 0 { Err(fail!(Throttled, "slower")) } else { silent() };
            breaker.admit().unwrap().note(&result);
        }
        breaker.admit().unwrap().note(&Result::<()>::Err(fail!(AccessDenied, "no")));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_cancelled_trial_leaves_the_next_one_to_others() {
        let (breaker, clock) = opened();
        clock.advance(FIRST_PAUSE);
        breaker.admit().unwrap().note(&Result::<()>::Err(fail!(Cancelled, "not wanted any more")));
        assert!(breaker.admit().is_ok());
    }
}
