//! Errors as C sees them.

use std::ffi::{CString, c_char};

use super::handle::Owned;
use super::status::{CYBORG_KMS_OK, cyborg_kms_status, guard_value};
use crate::error::Error;

/// Why a call failed. Owned by the caller: `cyborg_kms_error_free`.
#[derive(Debug)]
pub struct cyborg_kms_error {
    _opaque: [u8; 0],
}

impl Owned for cyborg_kms_error {
    type Value = ErrorTexts;
}

/// An error with its texts as C strings, which live as long as it.
#[derive(Debug)]
pub struct ErrorTexts {
    error: Error,
    message: CString,
    provider_code: CString,
    request_id: CString,
}

impl From<Error> for ErrorTexts {
    fn from(error: Error) -> ErrorTexts {
        // Errors have no control characters, so no NUL either.
        let text = |text: &str| CString::new(text).unwrap_or_default();
        ErrorTexts {
            message: text(error.message()),
            provider_code: text(error.provider_code()),
            request_id: text(error.request_id()),
            error,
        }
    }
}

/// # Safety
/// NULL or a live error.
unsafe fn get<T>(error: *const cyborg_kms_error, none: T, read: impl FnOnce(&ErrorTexts) -> T) -> T {
    // SAFETY: as the caller promises.
    unsafe { cyborg_kms_error::borrow(error) }.map_or(none, read)
}

/// The error's status; OK for NULL. Any thread.
///
/// # Safety
/// `error` is NULL or an error that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_status(error: *const cyborg_kms_error) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { get(error, CYBORG_KMS_OK, |texts| texts.error.status() as cyborg_kms_status) }
}

/// One line that says what is wrong and what to do, with the whole cause; never key material. "" for NULL.
///
/// Borrowed from the error, as long as it lives. Any thread.
///
/// # Safety
/// `error` is NULL or an error that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_message(error: *const cyborg_kms_error) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { get(error, c"".as_ptr(), |texts| texts.message.as_ptr()) }
}

/// The provider's own code, such as "AccessDeniedException"; "" where there is none, and for NULL.
///
/// Borrowed from the error, as long as it lives. Any thread.
///
/// # Safety
/// `error` is NULL or an error that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_provider_code(error: *const cyborg_kms_error) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { get(error, c"".as_ptr(), |texts| texts.provider_code.as_ptr()) }
}

/// The provider's request id, for its support; "" where there is none, and for NULL.
///
/// Borrowed from the error, as long as it lives. Any thread.
///
/// # Safety
/// `error` is NULL or an error that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_request_id(error: *const cyborg_kms_error) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { get(error, c"".as_ptr(), |texts| texts.request_id.as_ptr()) }
}

/// Whether the same call may succeed later without anyone changing anything. False for NULL. Any thread.
///
/// # Safety
/// `error` is NULL or an error that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_is_retryable(error: *const cyborg_kms_error) -> bool {
    // SAFETY: as the caller promises.
    unsafe { get(error, false, |texts| texts.error.is_retryable()) }
}

/// How long the server asked to wait, in milliseconds; 0 where it did not, and for NULL. Any thread.
///
/// # Safety
/// `error` is NULL or an error that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_retry_after_ms(error: *const cyborg_kms_error) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { get(error, 0, |texts| texts.error.retry_after_ms()) }
}

/// Whether the change may have happened all the same (an answer was lost): opening the index tells. False for
/// NULL. Any thread.
///
/// # Safety
/// `error` is NULL or an error that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_outcome_unknown(error: *const cyborg_kms_error) -> bool {
    // SAFETY: as the caller promises.
    unsafe { get(error, false, |texts| texts.error.is_outcome_unknown()) }
}

/// Frees an error; NULL does nothing.
///
/// # Safety
/// `error` is NULL or an error that has not been freed; it is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_error_free(error: *mut cyborg_kms_error) {
    // SAFETY: as the caller promises.
    guard_value((), || drop(unsafe { cyborg_kms_error::take(error) }));
}
