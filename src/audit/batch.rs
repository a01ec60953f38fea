//! Lines of one process that are written together: who comes while another waits for the lock goes with it.

use std::sync::{Arc, Mutex, PoisonError};

use super::append::is_callers_own;
use super::event::Event;
use crate::call::Call;
use crate::error::Result;
use crate::flight::Flight;
use crate::sys::fork;

/// An event that is in the log.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) seq: u64,
    pub(super) line: String,
}

type Lines = Arc<Vec<Written>>;

/// The batch that can still be joined.
#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: Option<Batch>,
    /// Whose memory this is: the parent's batch is never written by the child.
    process: u64,
}

#[derive(Debug)]
struct Batch {
    events: Vec<Event>,
    flight: Arc<Flight<Lines>>,
}

/// Who writes a batch.
pub(super) enum Seat<'a> {
    Pilot(Pilot<'a>),
    /// `place`: the event's within the batch.
    Passenger {
        flight: Arc<Flight<Lines>>,
        place: usize,
    },
}

impl Batches {
    fn with<T>(&self, change: impl FnOnce(&mut Option<Batch>) -> T) -> T {
        let _no_fork = fork::no_fork();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process != fork::generation() {
            *state = State { open: None, process: fork::generation() };
        }
        change(&mut state.open)
    }

    /// Joins the batch, or begins one.
    pub(super) fn board(&self, event: Event) -> Seat<'_> {
        self.with(|open| match open {
            Some(batch) => {
                batch.events.push(event);
                Seat::Passenger { flight: Arc::clone(&batch.flight), place: batch.events.len() - 1 }
            }
            None => {
                let flight = Flight::new();
                *open = Some(Batch { events: vec![event], flight: Arc::clone(&flight) });
                Seat::Pilot(Pilot { batches: self, flight })
            }
        })
    }

    fn take(&self, flight: &Arc<Flight<Lines>>) -> Vec<Event> {
        self.with(|open| {
            let batch = open.take_if(|batch| Arc::ptr_eq(&batch.flight, flight));
            batch.map_or_else(Vec::new, |batch| batch.events)
        })
    }
}

/// Writes a batch; tells those who joined on every path, a panic's too.
pub(super) struct Pilot<'a> {
    batches: &'a Batches,
    flight: Arc<Flight<Lines>>,
}

impl Pilot<'_> {
    /// What is to be written; nobody joins from here on.
    pub(super) fn close(&self) -> Vec<Event> {
        self.batches.take(&self.flight)
    }

    /// Tells how it went. Where this caller's time was over the others try again.
    pub(super) fn land(self, call: &Call, written: Result<Lines>) -> Result<Lines> {
        // Who joins after the lock was not had would wait for a batch that is over.
        self.batches.take(&self.flight);
        if !matches!(&written, Err(error) if is_callers_own(call, error.status())) {
            self.flight.land(written.clone());
        }
        written
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        self.batches.take(&self.flight);
        self.flight.abandon();
    }
}
