//! Status numbers, and what every export goes through.

use std::any::Any;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::cyborg_kms_error;
use super::handle::Owned;
use crate::error::{Error, Result, Status, fail};

/// The outcome of a call: one of the `CYBORG_KMS_*` status constants.
pub type cyborg_kms_status = u32;

/// It worked.
pub const CYBORG_KMS_OK: cyborg_kms_status = 0;
/// An argument is NULL, too long, too short, not UTF-8, or does not fit the index.
pub const CYBORG_KMS_INVALID_ARGUMENT: cyborg_kms_status = 1;
/// There is no such record.
pub const CYBORG_KMS_NOT_FOUND: cyborg_kms_status = 2;
/// There is such a record already.
pub const CYBORG_KMS_ALREADY_EXISTS: cyborg_kms_status = 3;
/// Someone else changed the record: read and try again.
pub const CYBORG_KMS_CONFLICT: cyborg_kms_status = 4;
/// A stored record or a sealed page is damaged, or a KMS gave another KEK back.
pub const CYBORG_KMS_CORRUPT: cyborg_kms_status = 5;
/// Not built in, not in this version, or not for this kind of index.
pub const CYBORG_KMS_UNSUPPORTED: cyborg_kms_status = 6;
/// Wrong key, wrong AAD, altered bytes, or another index's record.
pub const CYBORG_KMS_AUTHENTICATION_FAILED: cyborg_kms_status = 7;
/// The KMS, its credentials or a capability say no.
pub const CYBORG_KMS_ACCESS_DENIED: cyborg_kms_status = 8;
/// Disabled or pending deletion, here or in the KMS.
pub const CYBORG_KMS_KEY_DISABLED: cyborg_kms_status = 9;
/// The KMS does not answer, or answers that it can't.
pub const CYBORG_KMS_KMS_UNAVAILABLE: cyborg_kms_status = 10;
/// The KMS asks for fewer requests; `cyborg_kms_error_retry_after_ms` says how long to wait.
pub const CYBORG_KMS_THROTTLED: cyborg_kms_status = 11;
/// The deadline passed.
pub const CYBORG_KMS_TIMEOUT: cyborg_kms_status = 12;
/// The store failed: full, read-only, gone.
pub const CYBORG_KMS_STORAGE: cyborg_kms_status = 13;
/// The configuration is wrong or lacks something, such as a slot.
pub const CYBORG_KMS_CONFIG: cyborg_kms_status = 14;
/// The caller's buffer is too small; nothing was written to it and the length says what is needed.
pub const CYBORG_KMS_BUFFER_TOO_SMALL: cyborg_kms_status = 15;
/// A defect of the library or of a callback.
pub const CYBORG_KMS_INTERNAL: cyborg_kms_status = 16;
/// The caller cancelled it, or the engine ended.
pub const CYBORG_KMS_CANCELLED: cyborg_kms_status = 17;
/// The KMS has no such key.
pub const CYBORG_KMS_KEY_NOT_FOUND: cyborg_kms_status = 18;
/// The record is older than one that the caller has seen. Not to be tried again.
pub const CYBORG_KMS_ROLLED_BACK: cyborg_kms_status = 19;
/// A key set lacks a part.
pub const CYBORG_KMS_KEY_SET_INCOMPLETE: cyborg_kms_status = 20;
/// Past its time.
pub const CYBORG_KMS_EXPIRED: cyborg_kms_status = 21;

/// The name of a status without its prefix, such as "NOT_FOUND"; "UNKNOWN" for a number that is none.
///
/// The text is static. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn cyborg_kms_status_name(status: cyborg_kms_status) -> *const c_char {
    Status::from_number(status).map_or(c"UNKNOWN", Status::name).as_ptr()
}

/// Runs the body of an export: a failure or a panic goes to `error`, where that is not NULL.
///
/// # Safety
/// `error` is NULL or a valid place for a pointer.
#[inline]
pub(super) unsafe fn guard(
    error: *mut *mut cyborg_kms_error,
    body: impl FnOnce() -> Result<()>,
) -> cyborg_kms_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => CYBORG_KMS_OK,
        // SAFETY: as the caller promises.
        Ok(Err(failure)) => unsafe { report(error, failure) },
        // SAFETY: as the caller promises.
        Err(panic) => unsafe { report(error, panicked(&*panic)) },
    }
}

/// For exports without a status: a panic ends here, and `otherwise` is returned.
#[inline]
pub(super) fn guard_value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

#[cold]
unsafe fn report(error: *mut *mut cyborg_kms_error, failure: Error) -> cyborg_kms_status {
    let status = failure.status() as cyborg_kms_status;
    // SAFETY: as the caller of `guard` promises.
    if let Some(place) = unsafe { error.as_mut() } {
        *place = cyborg_kms_error::give(failure.into());
    }
    status
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    fail!(Internal, "the library panicked ({text}); please report this. The handle stays usable")
}
