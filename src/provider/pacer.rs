//! A rate for the requests of one long piece of work, for each slot, over all its threads: a KMS's quota is shared with
//! those who open indexes meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::call::{CANCEL_POLL, Call, CancelToken};
use crate::error::{Error, Result, Status, fail};
use crate::registry::Slot;

/// A thread that wakes late makes up for so much, and no more is sent at once.
const SLACK: Duration = Duration::from_millis(100);
/// A KMS that throttles is left alone for so long, where it does not say how long itself.
const PAUSE: Duration = Duration::from_millis(500);
/// Each step, down at most and up, takes so long.
const STEP: Duration = Duration::from_secs(1);
/// Throttled again and again, so many requests a second are still sent.
const SLOWEST: f64 = 1.0;

/// Spaces the requests of every call that carries it.
#[derive(Debug)]
pub struct Pacer {
    /// Instead of the slots' own rates.
    rate: Option<u32>,
    slots: Mutex<HashMap<String, Arc<Pace>>>,
    stop: CancelToken,
}

impl Pacer {
    /// At the slots' own rates, or at this one. Once `stop` is cancelled no further request gets its turn.
    pub fn new(rate: Option<u32>, stop: CancelToken) -> Pacer {
        Pacer { rate, slots: Mutex::default(), stop }
    }

    /// Waits for the turn of one request to a slot's KMS.
    pub fn turn(&self, call: &Call, slot: &Slot) -> Result<()> {
        let pace = self.pace(slot);
        let at = pace.book(Instant::now());
        loop {
            if self.stop.is_cancelled() {
                return Err(fail!(Cancelled, "slot {:?}: stopped before its KMS was asked", slot.name));
            }
            call.check("waiting for the turn of a request")?;
            let left = pace.left(at, Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            call.sleep(left.min(CANCEL_POLL))?;
        }
    }

    /// Takes note of what the KMS answered: it is asked less where it throttles.
    pub fn note(&self, slot: &Slot, failure: Option<&Error>) {
        if let Some(error) = failure.filter(|error| error.status() == Status::Throttled) {
            self.pace(slot).slow_down(Instant::now(), Duration::from_millis(error.retry_after_ms()));
        }
    }

    fn pace(&self, slot: &Slot) -> Arc<Pace> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = slots.get(&slot.name) {
            return Arc::clone(pace);
        }
        let rate = self.rate.unwrap_or(slot.requests_per_second);
        let pace = Arc::new(Pace::new(rate, Instant::now()));
        slots.insert(slot.name.clone(), Arc::clone(&pace));
        pace
    }
}

/// The pace of one slot.
#[derive(Debug)]
struct Pace {
    /// Requests a second.
    allowed: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Less than what is allowed, after the KMS has throttled.
    rate: f64,
    /// Of the next request.
    next_at: Instant,
    /// Nothing is sent before.
    paused_until: Instant,
    /// Since when the rate is what it is.
    changed_at: Instant,
}

impl Pace {
    /// 0: no limit.
    fn new(rate: u32, now: Instant) -> Pace {
        let allowed = if rate == 0 { f64::INFINITY } else { f64::from(rate) };
        let state = State { rate: allowed, next_at: now, paused_until: now, changed_at: now };
        Pace { allowed, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next request may be sent.
    fn book(&self, now: Instant) -> Instant {
        let mut state = self.lock();
        while state.rate < self.allowed && now.saturating_duration_since(state.changed_at) >= STEP {
            state.rate = (state.rate + self.allowed / 10.0).min(self.allowed);
            state.changed_at += STEP;
        }
        let at = state.next_at.max(now.checked_sub(SLACK).unwrap_or(now));
        state.next_at = at + Duration::from_secs_f64(1.0 / state.rate);
        at
    }

    /// How long a request that is due at `at` has to wait still.
    fn left(&self, at: Instant, now: Instant) -> Duration {
        at.max(self.lock().paused_until).saturating_duration_since(now)
    }

    /// The KMS throttles, and asks to wait for so long.
    fn slow_down(&self, now: Instant, asked: Duration) {
        let mut state = self.lock();
        // Of requests that were under way at once each is throttled: they say it once.
        if now.saturating_duration_since(state.changed_at) >= STEP || state.rate == self.allowed {
            state.rate = (state.rate / 2.0).max(SLOWEST.min(self.allowed));
            state.changed_at = now;
        }
        let pause = if asked.is_zero() { PAUSE } else { asked };
        state.paused_until = state.paused_until.max(now + pause);
        state.next_at = state.next_at.max(state.paused_until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many requests are sent between two times where eight threads send as fast as they may.
    fn sent(pace: &Pace, from: Instant, until: Instant) -> usize {
        (0..).take_while(|_| pace.left(pace.book(from), from) < until - from).count()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_second_has_more_requests_than_are_allowed() {
        for rate in [1, 3, 100, 997] {
            let start = Instant::now();
            let pace = Pace::new(rate, start);
            let booked: Vec<Instant> = (0..rate * 5).map(|_| pace.book(start)).collect();
            for (first, at) in booked.iter().enumerate() {
                let within = booked[first..].iter().take_while(|other| **other - *at < SECOND).count();
                assert!(within <= rate as usize + 1, "{within} at {rate}");
            }
            assert!(booked[booked.len() - 1] - start < 5 * SECOND, "and no fewer");
        }
    }

    #[test]
    fn who_comes_late_makes_up_for_a_little() {
        let start = Instant::now();
        let pace = Pace::new(100, start);
        pace.book(start);
        let later = start + 60 * SECOND;
        let at_once = (0..100).take_while(|_| pace.left(pace.book(later), later).is_zero()).count();
        assert_eq!(at_once, 11, "a tenth of a second's requests, and the one that is due");
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let start = Instant::now();
        let pace = Pace::new(0, start);
        assert!((0..10_000).all(|_| pace.left(pace.book(start), start).is_zero()));
        pace.slow_down(start, Duration::ZERO);
        assert_eq!(pace.left(pace.book(start), start), PAUSE, "but for a KMS that throttles");
    }

    #[test]
    fn throttling_halves_the_rate_once_for_all_who_were_under_way_and_it_comes_back() {
        let start = Instant::now();
        let pace = Pace::new(100, start);
        let waiting = pace.book(start);
        for _ in 0..8 {
            pace.slow_down(start, 2 * SECOND);
        }
        assert_eq!(pace.left(waiting, start), 2 * SECOND, "who has a turn already waits, too");
        assert_eq!(pace.lock().rate, 50.0);
        let resumed = start + 2 * SECOND;
        // Two steps up have passed by then.
        assert!((70..=71).contains(&sent(&pace, resumed, resumed + SECOND)));
        pace.book(start + 60 * SECOND);
        assert_eq!(pace.lock().rate, 100.0);
    }

    #[test]
    fn throttled_for_ever_it_still_tries() {
        let start = Instant::now();
        for (rate, slowest) in [(1, 1.0), (100, 1.0)] {
            let pace = Pace::new(rate, start);
            for second in 0..20 {
                pace.slow_down(start + second * SECOND, Duration::ZERO);
            }
            assert_eq!(pace.lock().rate, slowest);
        }
    }
}
