//! The outcome of a call, as a number that never changes its meaning.

/// Status numbers of the C API. A number is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// It worked.
    Ok = 0,
    /// An argument is NULL, too long, too short, not UTF-8, or does not fit the index.
    InvalidArgument = 1,
    /// There is no such record.
    NotFound = 2,
    /// There is such a record already.
    AlreadyExists = 3,
    /// Someone else changed the record: read and try again.
    Conflict = 4,
    /// A stored record or a sealed page is damaged, or a KMS gave another KEK back.
    Corrupt = 5,
    /// Not built in, or not for this kind of index.
    Unsupported = 6,
    /// Wrong key, wrong AAD, altered bytes.
    AuthenticationFailed = 7,
    /// The KMS, its credentials or a capability say no.
    AccessDenied = 8,
    /// Disabled or pending deletion, here or in the KMS.
    KeyDisabled = 9,
    /// The KMS does not answer or answers that it can't.
    KmsUnavailable = 10,
    /// The KMS asks for fewer requests.
    Throttled = 11,
    /// The deadline passed.
    Timeout = 12,
    /// The store failed.
    Storage = 13,
    /// The configuration is wrong or lacks something.
    Config = 14,
    /// The caller's buffer is too small; nothing was written to it.
    BufferTooSmall = 15,
    /// A defect of the library or of a callback.
    Internal = 16,
    /// The caller cancelled it.
    Cancelled = 17,
    /// The KMS has no such key.
    KeyNotFound = 18,
    /// The record is older than one that the caller has seen.
    RolledBack = 19,
    /// A key set lacks a part.
    KeySetIncomplete = 20,
    /// Past its time.
    Expired = 21,
}

impl Status {
    /// Every status, in the order of its number.
    pub const ALL: [Status; 22] = [
        Status::Ok,
        Status::InvalidArgument,
        Status::NotFound,
        Status::AlreadyExists,
        Status::Conflict,
        Status::Corrupt,
        Status::Unsupported,
        Status::AuthenticationFailed,
        Status::AccessDenied,
        Status::KeyDisabled,
        Status::KmsUnavailable,
        Status::Throttled,
        Status::Timeout,
        Status::Storage,
        Status::Config,
        Status::BufferTooSmall,
        Status::Internal,
        Status::Cancelled,
        Status::KeyNotFound,
        Status::RolledBack,
        Status::KeySetIncomplete,
        Status::Expired,
    ];

    /// The status with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Status> {
        Status::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The name without its prefix, such as `NOT_FOUND`, NUL-terminated so that C can have it.
    pub fn name(self) -> &'static std::ffi::CStr {
        match self {
            Status::Ok => c"OK",
            Status::InvalidArgument => c"INVALID_ARGUMENT",
            Status::NotFound => c"NOT_FOUND",
            Status::AlreadyExists => c"ALREADY_EXISTS",
            Status::Conflict => c"CONFLICT",
            Status::Corrupt => c"CORRUPT",
            Status::Unsupported => c"UNSUPPORTED",
            Status::AuthenticationFailed => c"AUTHENTICATION_FAILED",
            Status::AccessDenied => c"ACCESS_DENIED",
            Status::KeyDisabled => c"KEY_DISABLED",
            Status::KmsUnavailable => c"KMS_UNAVAILABLE",
            Status::Throttled => c"THROTTLED",
            Status::Timeout => c"TIMEOUT",
            Status::Storage => c"STORAGE",
            Status::Config => c"CONFIG",
            Status::BufferTooSmall => c"BUFFER_TOO_SMALL",
            Status::Internal => c"INTERNAL",
            Status::Cancelled => c"CANCELLED",
            Status::KeyNotFound => c"KEY_NOT_FOUND",
            Status::RolledBack => c"ROLLED_BACK",
            Status::KeySetIncomplete => c"KEY_SET_INCOMPLETE",
            Status::Expired => c"EXPIRED",
        }
    }

    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(self) -> bool {
        matches!(self, Status::KmsUnavailable | Status::Throttled | Status::Timeout | Status::Conflict)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name().to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_positions() {
        for (number, status) in Status::ALL.iter().enumerate() {
            assert_eq!(*status as usize, number);
            assert_eq!(Status::from_number(number as u32), Some(*status));
        }
        assert_eq!(Status::from_number(22), None);
    }
}
