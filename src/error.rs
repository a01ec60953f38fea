//! The one error type of the library: a status that a program acts on, a line that a person reads.

use std::fmt;

pub use crate::status::Status;

/// What every fallible function of the library returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. Carries no key material, ever: a message names indexes, slots, paths and sizes.
#[derive(Clone)]
pub struct Error {
    detail: Box<Detail>,
}

#[derive(Clone)]
struct Detail {
    status: Status,
    message: String,
    provider_code: String,
    request_id: String,
    retryable: bool,
    retry_after_ms: u64,
    outcome_unknown: bool,
}

impl Error {
    /// An error with its message: one line that says what is wrong and what to do.
    pub fn new(status: Status, message: impl Into<String>) -> Error {
        Error {
            detail: Box::new(Detail {
                status,
                message: one_line(message.into()),
                provider_code: String::new(),
                request_id: String::new(),
                retryable: status.is_retryable(),
                retry_after_ms: 0,
                outcome_unknown: false,
            }),
        }
    }

    /// What `fail!` makes. A function of its own, out of the way: there are a thousand errors, each rare, and their code
    /// would be a tenth of the library.
    #[cold]
    #[inline(never)]
    pub(crate) fn formatted(status: Status, message: fmt::Arguments<'_>) -> Error {
        Error::new(status, message.to_string())
    }

    /// The same error with what was being done in front of its message.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Error {
        self.detail.message = one_line(format!("{what}: {}", self.detail.message));
        self
    }

    /// Under another status, where a layer knows better what it means; it keeps all else.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Error {
        self.detail.status = status;
        self.detail.retryable = status.is_retryable();
        self
    }

    /// With the provider's own code and request id ("" where there is none).
    #[must_use]
    pub fn with_provider(mut self, code: impl Into<String>, request_id: impl Into<String>) -> Error {
        self.detail.provider_code = one_line(code.into());
        self.detail.request_id = one_line(request_id.into());
        self
    }

    /// With another answer to "may the same call succeed later?" than its status gives.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Error {
        self.detail.retryable = retryable;
        self
    }

    /// With the time that the server asked to wait.
    #[must_use]
    pub fn with_retry_after_ms(mut self, milliseconds: u64) -> Error {
        self.detail.retry_after_ms = milliseconds;
        self
    }

    /// For a change that may have happened: an answer was lost, a folder could not be synced.
    #[must_use]
    pub fn with_outcome_unknown(mut self) -> Error {
        self.detail.outcome_unknown = true;
        self
    }

    /// For a change of which a look has shown that it did not happen.
    #[must_use]
    pub fn with_outcome_known(mut self) -> Error {
        self.detail.outcome_unknown = false;
        self
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.detail.status
    }

    /// One line, with the whole cause.
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// The provider's own code, such as `AccessDeniedException`, or "".
    pub fn provider_code(&self) -> &str {
        &self.detail.provider_code
    }

    /// The provider's request id, or "".
    pub fn request_id(&self) -> &str {
        &self.detail.request_id
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.detail.retryable
    }

    /// What the server asked to wait, in milliseconds, or 0.
    pub fn retry_after_ms(&self) -> u64 {
        self.detail.retry_after_ms
    }

    /// Whether the change may have happened all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        self.detail.outcome_unknown
    }
}

/// Messages quote names and foreign texts; a line break or a NUL in them would break a log line or a C string.
fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.detail.status, self.detail.message)
    }
}

impl std::error::Error for Error {}

/// Shorthand for the constructors that nearly every module needs.
macro_rules! fail {
    ($status:ident, $($format:tt)+) => {
        $crate::error::Error::formatted($crate::error::Status::$status, format_args!($($format)+))
    };
}
pub(crate) use fail;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_keeps_its_cause() {
        let error = fail!(Storage, "disk\nfull\0").context("index \"a\"");
        assert_eq!(error.message(), "index \"a\": disk full ");
        assert_eq!(error.status(), Status::Storage);
        assert!(!error.is_retryable());
    }

    #[test]
    fn retryable_follows_the_status_unless_said() {
        assert!(fail!(Throttled, "slow down").is_retryable());
        assert!(!fail!(Throttled, "for ever").with_retryable(false).is_retryable());
        assert!(fail!(Storage, "x").with_status(Status::Timeout).is_retryable());
    }
}
