//! What the engine tells the audit trail.

use super::Core;
use crate::audit::{Event, Intent, Operation};
use crate::blob::Record;
use crate::call::Call;
use crate::error::{Error, Result, Status};
use crate::name::IndexName;

impl Core {
    /// Runs what changes an index between its intent and its outcome. `work` gives the intent what it learns for the
    /// outcome. Where the intent can't be written, nothing is run (`audit.on_error: fail`).
    pub(crate) fn audited<T>(
        &self,
        call: &Call,
        event: impl FnOnce() -> Event,
        work: impl FnOnce(&mut Intent<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut intent = self.audit.begin(call, event)?;
        let result = work(&mut intent);
        intent.end(&result);
        result
    }

    /// Tells of a refusal by the library itself; gives the error back.
    pub(crate) fn refused(
        &self,
        call: &Call,
        operation: Operation,
        name: &IndexName,
        record: &Record,
        error: Error,
    ) -> Error {
        let told: Result<()> =
            self.audit.done(call, || on(operation, name, Some(record)), Err(error.clone()));
        told.err().unwrap_or(error)
    }
}

/// An event on an index, of which the record may have been read.
pub(super) fn on(operation: Operation, name: &IndexName, record: Option<&Record>) -> Event {
    let mut event = Event::new(operation, name);
    if let Some(record) = record {
        event.record(record);
    }
    event
}

/// Whether a status is a "no" to whoever wants the key, or a sign that someone meddled with the record.
pub(super) fn is_refusal(status: Status) -> bool {
    matches!(
        status,
        Status::AccessDenied
            | Status::KeyDisabled
            | Status::KeyNotFound
            | Status::AuthenticationFailed
            | Status::Corrupt
            | Status::RolledBack
            | Status::Config
            | Status::Expired
    )
}
