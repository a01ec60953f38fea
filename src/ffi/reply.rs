//! Answers of callbacks.

use std::ffi::c_char;

use super::arg;
use super::handle::Owned;
use super::status::{cyborg_kms_status, guard_value};
use crate::error::{Error, Status, fail};
use crate::reply::Reply;

/// What a callback answers through: once, from any thread, at once or later. Freed without an answer, that call
/// is `INTERNAL`.
#[derive(Debug)]
pub struct cyborg_kms_reply {
    _opaque: [u8; 0],
}

impl Owned for cyborg_kms_reply {
    type Value = Reply;
}

/// Answers with bytes, which are copied, and takes the reply over.
///
/// `data`, `len`: the answer; NULL and 0 where no bytes are due. `revision`: what a store hands out for the record,
/// 0 where there is none. An empty answer where bytes are due is `INTERNAL` for the call. NULL reply: nothing.
/// Any thread.
///
/// # Safety
/// `reply` is NULL or a reply that has not been answered or freed; `data` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_reply_bytes(
    reply: *mut cyborg_kms_reply,
    data: *const u8,
    len: usize,
    revision: u64,
) {
    guard_value((), || {
        // SAFETY: as the caller promises.
        let Some(reply) = (unsafe { cyborg_kms_reply::take(reply) }) else { return };
        // SAFETY: as the caller promises.
        match unsafe { arg::bytes(data, len, "the reply's data") } {
            Ok(bytes) => reply.bytes(bytes, revision),
            Err(error) => reply.error(error.with_status(Status::Internal)),
        }
    });
}

/// Answers with a failure and takes the reply over.
///
/// `status`: what the call returns; `OK` or an unknown number is `INTERNAL`. `provider_code`, `message`: copied, may
/// be NULL, shown with U+FFFD for what is no UTF-8; never put a secret into them. NULL reply: nothing. Any thread.
///
/// # Safety
/// `reply` is NULL or a reply that has not been answered or freed; the texts are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_reply_error(
    reply: *mut cyborg_kms_reply,
    status: cyborg_kms_status,
    provider_code: *const c_char,
    message: *const c_char,
) {
    guard_value((), || {
        // SAFETY: as the caller promises.
        let Some(reply) = (unsafe { cyborg_kms_reply::take(reply) }) else { return };
        // SAFETY: as the caller promises.
        reply.error(unsafe { failure(status, provider_code, message) });
    });
}

/// # Safety
/// The texts are NULL or NUL-terminated.
unsafe fn failure(status: cyborg_kms_status, provider_code: *const c_char, message: *const c_char) -> Error {
    // SAFETY: as the caller promises.
    let (code, message) = unsafe { (arg::shown_text(provider_code), arg::shown_text(message)) };
    let message = message.unwrap_or("the callback gave no message".into());
    match Status::from_number(status) {
        None | Some(Status::Ok) => {
            fail!(Internal, "the callback answered with a failure of status {status}: {message}")
        }
        Some(status) => Error::new(status, message).with_provider(code.unwrap_or_default(), ""),
    }
}

/// Frees a reply without an answer: `INTERNAL` for the call. NULL does nothing. Any thread.
///
/// # Safety
/// `reply` is NULL or a reply that has not been answered or freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_reply_free(reply: *mut cyborg_kms_reply) {
    // SAFETY: as the caller promises.
    guard_value((), || drop(unsafe { cyborg_kms_reply::take(reply) }));
}
