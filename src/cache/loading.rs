//! Where the loading of an entry stands: who is at it, what failed, what was read last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::load::{Loaded, Use};
use crate::blob::Record;
use crate::error::{Error, Result};
use crate::flight::Flight;
use crate::sys::fork;

/// The state of loading, behind its lock, which is never held while store or KMS is asked.
#[derive(Debug, Default)]
pub(super) struct Loading(Mutex<LoadState>);

#[derive(Debug, Default)]
pub(super) struct LoadState {
    pub(super) flight: Option<Arc<Flight<Loaded>>>,
    /// Grows with each load that starts: who asks for a refresh wants one that started after.
    pub(super) started: u64,
    /// When the last one did.
    pub(super) started_at: u64,
    /// Grows when the keys are wiped from outside: a load that started before must not bring them back.
    pub(super) generation: u64,
    /// The highest epoch that was read.
    pub(super) epoch: u64,
    pub(super) failure: Option<(u64, Error)>,
    /// The same for sealing alone: the record is too old.
    pub(super) unsealable: Option<(u64, Error)>,
    /// The record that was read last and until when it may be sealed by, for the time when the store fails.
    pub(super) record: Option<(Arc<Record>, u64)>,
    /// When the record was last read again for an unknown data key.
    pub(super) reread_at: Option<u64>,
    /// Which process's memory this is: a flight of the parent's never lands in the child.
    process: u64,
}

/// Who does a load.
pub(super) enum Seat {
    Pilot { flight: Arc<Flight<Loaded>>, generation: u64 },
    Passenger(Arc<Flight<Loaded>>),
}

impl Loading {
    pub(super) fn lock(&self) -> Locked<'_> {
        let no_fork = fork::no_fork();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process != fork::generation() {
            state.process = fork::generation();
            state.flight = None;
        }
        Locked { state, _no_fork: no_fork }
    }
}

impl LoadState {
    /// The failure that still stands, if one does.
    pub(super) fn recent_failure(&self, now: u64, what_for: Use) -> Result<()> {
        let unsealable = self.unsealable.iter().filter(|_| what_for == Use::Seal);
        match self.failure.iter().chain(unsealable).find(|(until, _)| now < *until) {
            Some((_, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    pub(super) fn join_or_start(&mut self, now: u64) -> Seat {
        match &self.flight {
            Some(flight) => Seat::Passenger(Arc::clone(flight)),
            None => {
                let flight = Flight::new();
                self.flight = Some(Arc::clone(&flight));
                self.started += 1;
                self.started_at = now;
                Seat::Pilot { flight, generation: self.generation }
            }
        }
    }
}

/// The state of loading, locked so that a fork finds it whole.
pub(super) struct Locked<'a> {
    state: MutexGuard<'a, LoadState>,
    _no_fork: fork::NoFork,
}

impl std::ops::Deref for Locked<'_> {
    type Target = LoadState;

    fn deref(&self) -> &LoadState {
        &self.state
    }
}

impl std::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut LoadState {
        &mut self.state
    }
}
