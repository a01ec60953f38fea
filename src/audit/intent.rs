//! An operation that is under way, and in the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::event::Event;
use super::trail::{Setup, Trail};
use crate::blob::Record;
use crate::error::{Error, Result, fail};
use crate::registry::Slot;

/// Writes the outcome at its end; `INTERNAL` where it is dropped without one, by a panic. Of no trail it does nothing.
#[derive(Debug)]
#[must_use]
pub struct Intent<'a>(Option<Box<Begun<'a>>>);

#[derive(Debug)]
struct Begun<'a> {
    trail: &'a Trail,
    setup: Arc<Setup>,
    event: Event,
}

impl<'a> Intent<'a> {
    pub(super) fn of_nothing() -> Intent<'a> {
        Intent(None)
    }

    pub(super) fn new(trail: &'a Trail, setup: Arc<Setup>, event: Event) -> Intent<'a> {
        Intent(Some(Box::new(Begun { trail, setup, event })))
    }

    /// Of the slot by which it is done, for the outcome.
    pub fn slot(&mut self, slot: &Slot) {
        if let Some(begun) = &mut self.0 {
            begun.event.slot(slot);
        }
    }

    /// Of the record that was found, or written, for the outcome.
    pub fn record(&mut self, record: &Record) {
        if let Some(begun) = &mut self.0 {
            begun.event.record(record);
        }
    }

    /// How it ended.
    pub fn end<T>(mut self, result: &Result<T>) {
        self.finish(result.as_ref().err());
    }

    fn finish(&mut self, failure: Option<&Error>) {
        if let Some(begun) = self.0.take() {
            begun.trail.end(&begun.setup, begun.event, failure);
        }
    }
}

impl Drop for Intent<'_> {
    fn drop(&mut self) {
        if self.0.is_some() {
            let error = fail!(Internal, "the operation ended without an outcome");
            // Perhaps while another panic unwinds: a second one, of a callback, would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.finish(Some(&error))));
        }
    }
}
