//! How a command ends that does not go well.

use std::io::ErrorKind;

use cyborg_kms::error::{Error, Status};
use serde_json::{Value, json};

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command ended before it was done.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong.
    Error(Error),
    /// Whoever read standard output wants no more.
    Closed,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

impl Failure {
    /// Standard output can't be written.
    pub fn of_output(error: &std::io::Error) -> Failure {
        if error.kind() == ErrorKind::BrokenPipe {
            return Failure::Closed;
        }
        failed(Status::Storage, format!("standard output can't be written: {error}; give it another place"))
    }
}

/// A failure that the command itself has found.
pub fn failed(status: Status, message: impl Into<String>) -> Failure {
    Failure::Error(Error::new(status, message))
}

/// The command line is wrong.
pub fn usage(message: impl Into<String>) -> Failure {
    failed(Status::InvalidArgument, message)
}

/// The process's exit code; the table of `docs/command.md` and of `--help`.
pub fn exit_code(status: Status) -> u8 {
    match status {
        Status::Ok => 0,
        Status::InvalidArgument | Status::Config => 2,
        Status::NotFound => 3,
        Status::AccessDenied | Status::KeyDisabled | Status::KeyNotFound | Status::Expired => 4,
        Status::KmsUnavailable | Status::Throttled | Status::Timeout => 5,
        Status::Corrupt | Status::AuthenticationFailed | Status::RolledBack | Status::KeySetIncomplete => 6,
        Status::AlreadyExists | Status::Conflict => 7,
        Status::Cancelled => 130,
        Status::Unsupported | Status::Storage | Status::BufferTooSmall | Status::Internal => 1,
    }
}

/// An error as `--json` gives it.
pub fn to_json(error: &Error) -> Value {
    json!({
        "status": error.status().to_string(),
        "message": error.message(),
        "exit_code": exit_code(error.status()),
        "retryable": error.is_retryable(),
        "retry_after_ms": error.retry_after_ms(),
        "outcome_unknown": error.is_outcome_unknown(),
        "provider_code": error.provider_code(),
        "request_id": error.request_id(),
    })
}

/// An error of a change, with what became of the index.
pub fn of_change(error: Error, index: &str) -> Failure {
    let interrupted = error.status() == Status::Cancelled;
    Failure::Error(match (error.is_outcome_unknown(), interrupted) {
        (true, _) => error
            .context(format!("it is not known whether it was done, `cyborg-kms inspect {index:?}` tells")),
        (false, true) => error.context("interrupted, and nothing was changed"),
        (false, false) => error,
    })
}

/// A receipt could not be written to standard output, and there is no second one: the error has it.
pub fn receipt_lost(failure: Failure, what: &str, receipt: &str) -> Failure {
    let why = match &failure {
        Failure::Closed => "standard output was closed",
        Failure::Error(error) => error.message(),
    };
    failed(Status::Storage, format!("{what}, keep the receipt from here ({why}): {receipt}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_alone_is_0() {
        for status in Status::ALL {
            assert_eq!(exit_code(status) == 0, status == Status::Ok, "{status}");
        }
    }

    #[test]
    fn a_change_says_what_became_of_it() {
        let message = |error: Error| match of_change(error, "a\"b") {
            Failure::Error(error) => (error.status(), error.message().to_owned()),
            Failure::Closed => unreachable!("it is an error"),
        };
        let cancelled = Error::new(Status::Cancelled, "the call was cancelled");
        let (status, text) = message(cancelled.clone());
        assert_eq!(status, Status::Cancelled);
        assert_eq!(text, "interrupted, and nothing was changed: the call was cancelled");
        let (_, text) = message(cancelled.with_outcome_unknown());
        assert!(
            text.starts_with("it is not known whether it was done, `cyborg-kms inspect \"a\\\"b\"` tells: ")
        );
        let (_, text) = message(Error::new(Status::NotFound, "there is none"));
        assert_eq!(text, "there is none");
    }

    #[test]
    fn a_pipe_that_was_closed_is_no_error() {
        assert!(matches!(Failure::of_output(&ErrorKind::BrokenPipe.into()), Failure::Closed));
        let Failure::Error(error) = Failure::of_output(&ErrorKind::StorageFull.into()) else {
            panic!("a full disk is an error");
        };
        assert_eq!(exit_code(error.status()), 1);
    }
}
