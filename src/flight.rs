//! One load for however many callers wait for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::call::Call;
use crate::error::{Error, Result};

/// A load under way and those who wait for it.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    outcome: Mutex<Outcome<T>>,
    landed: Condvar,
}

#[derive(Debug)]
enum Outcome<T> {
    Flying,
    Landed(std::result::Result<T, Error>),
    /// The caller that flew it gave up or panicked: someone else must fly.
    Abandoned,
}

impl<T: Clone> Flight<T> {
    pub(crate) fn new() -> Arc<Flight<T>> {
        Arc::new(Flight { outcome: Mutex::new(Outcome::Flying), landed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Outcome<T>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, outcome: Outcome<T>) {
        let mut current = self.lock();
        if matches!(*current, Outcome::Flying) {
            *current = outcome;
        }
        self.landed.notify_all();
    }

    pub(crate) fn land(&self, result: Result<T>) {
        self.end(Outcome::Landed(result));
    }

    pub(crate) fn abandon(&self) {
        self.end(Outcome::Abandoned);
    }

    /// The result, or `None` where it was abandoned. Fails when the waiting call ends before;
    /// `what` says what for.
    pub(crate) fn wait(&self, call: &Call, what: &str) -> Result<Option<T>> {
        let mut outcome = self.lock();
        loop {
            match &*outcome {
                Outcome::Landed(result) => return result.clone().map(Some),
                Outcome::Abandoned => return Ok(None),
                Outcome::Flying => call.check(what)?,
            }
            outcome = match call.patience() {
                None => self.landed.wait(outcome).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.landed.wait_timeout(outcome, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
