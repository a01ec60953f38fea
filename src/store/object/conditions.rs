//! Whether a server keeps the conditions that our writes set: found out before the first write, once.
//!
//! A server that passes over `If-None-Match` lets every one of many creators win, and all but the last lose their keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call::Call;
use crate::error::{Error, Result, Status};
use crate::flight::Flight;
use crate::net::PerProcess;

/// What is known of a server.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    are_kept: AtomicBool,
    asking: PerProcess<Mutex<Asking>>,
}

/// Behind a lock that is not held while the server is asked.
#[derive(Debug, Default)]
enum Asking {
    #[default]
    Unknown,
    /// A thread is at it.
    Flying(Arc<Flight<()>>),
    /// They are not kept.
    Refused(Error),
}

enum Seat {
    Pilot(Pilot),
    Passenger(Arc<Flight<()>>),
}

impl Conditions {
    /// Succeeds where the server keeps conditions, which `probe` finds out: by one caller for all who wait.
    pub(super) fn check(&self, call: &Call, probe: &dyn Fn() -> Result<()>) -> Result<()> {
        loop {
            if self.are_kept.load(Ordering::Acquire) {
                return Ok(());
            }
            let asking = self.asking.get(|| Ok(Mutex::default()))?;
            match seat(&asking)? {
                Seat::Passenger(flight) => {
                    if flight.wait(call, "waiting for the check of the store")?.is_some() {
                        return Ok(());
                    }
                }
                Seat::Pilot(pilot) => {
                    let result = probe();
                    if result.is_ok() {
                        self.are_kept.store(true, Ordering::Release);
                    }
                    return pilot.land(call, result);
                }
            }
        }
    }
}

fn lock(asking: &Mutex<Asking>) -> MutexGuard<'_, Asking> {
    asking.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seat(asking: &Arc<Mutex<Asking>>) -> Result<Seat> {
    let mut state = lock(asking);
    match &*state {
        Asking::Refused(error) => Err(error.clone()),
        Asking::Flying(flight) => Ok(Seat::Passenger(Arc::clone(flight))),
        Asking::Unknown => {
            let flight = Flight::new();
            *state = Asking::Flying(Arc::clone(&flight));
            Ok(Seat::Pilot(Pilot { asking: Arc::clone(asking), flight }))
        }
    }
}

/// Who asks. Dropped without landing, by a panic, it leaves the asking to others.
struct Pilot {
    asking: Arc<Mutex<Asking>>,
    flight: Arc<Flight<()>>,
}

impl Pilot {
    fn land(self, call: &Call, result: Result<()>) -> Result<()> {
        match &result {
            // The end of this call says nothing to the others.
            Err(_) if call.check("checking the store").is_err() => {}
            Err(error) if error.status() == Status::Unsupported => {
                *lock(&self.asking) = Asking::Refused(error.clone());
                self.flight.land(result.clone());
            }
            result => {
                *lock(&self.asking) = Asking::Unknown;
                self.flight.land((*result).clone());
            }
        }
        result
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let mut state = lock(&self.asking);
        if matches!(&*state, Asking::Flying(flight) if Arc::ptr_eq(flight, &self.flight)) {
            *state = Asking::Unknown;
        }
        drop(state);
        // Nothing where it has landed.
        self.flight.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;
    use crate::call::CancelToken;
    use crate::error::fail;

    #[test]
    fn many_threads_ask_once() {
        let (conditions, asked) = (Conditions::default(), AtomicUsize::new(0));
        let probe = || {
            asked.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| conditions.check(&Call::unbounded(), &probe).unwrap());
            }
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        conditions.check(&Call::unbounded(), &|| panic!("asked again")).unwrap();
    }

    #[test]
    fn a_failure_is_asked_again_and_a_refusal_is_not() {
        let conditions = Conditions::default();
        let call = Call::unbounded();
        let failed = conditions.check(&call, &|| Err(fail!(Timeout, "no answer")));
        assert_eq!(failed.unwrap_err().status(), Status::Timeout);
        let refused = conditions.check(&call, &|| Err(fail!(Unsupported, "they are not kept")));
        assert_eq!(refused.unwrap_err().status(), Status::Unsupported);
        let refused = conditions.check(&call, &|| Ok(()));
        assert_eq!(refused.unwrap_err().message(), "they are not kept");
    }

    #[test]
    fn the_end_of_the_asking_call_and_a_panic_leave_it_to_others() {
        let conditions = Conditions::default();
        let token = CancelToken::default();
        let cancelled = Call::unbounded().cancelled_by(&token);
        let probe = || {
            token.cancel();
            Err(fail!(Cancelled, "given up"))
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                while !token.is_cancelled() {
                    std::thread::yield_now();
                }
                conditions.check(&Call::unbounded(), &|| Ok(()))
            });
            assert_eq!(conditions.check(&cancelled, &probe).unwrap_err().status(), Status::Cancelled);
            other.join().unwrap().unwrap();
        });
        let conditions = Conditions::default();
        let panicking = || conditions.check(&Call::unbounded(), &|| panic!("a defect"));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).unwrap_err();
        conditions.check(&Call::unbounded(), &|| Ok(())).unwrap();
    }
}
