//! Opening without blocking.

use std::ffi::{c_char, c_void};

use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::handle::Owned;
use super::index::{cyborg_kms_index, cyborg_kms_open_options};
use super::status::{cyborg_kms_status, guard_value};

/// Gets the outcome: an index or an error, owned by the callback.
pub type cyborg_kms_index_callback = Option<
    unsafe extern "C" fn(
        status: cyborg_kms_status,
        index: *mut cyborg_kms_index,
        error: *mut cyborg_kms_error,
        user_data: *mut c_void,
    ),
>;

/// Opens an index without blocking; the callback runs once and owns what it gets.
///
/// In this version it runs on this thread, at once, with `UNSUPPORTED`. A NULL callback: nothing.
///
/// # Safety
/// `engine` is NULL or has not been freed; `index_name` is NULL or NUL-terminated; `options` is NULL or points to
/// `struct_size` bytes; `callback` may be called with `user_data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_open_async(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    options: *const cyborg_kms_open_options,
    callback: cyborg_kms_index_callback,
    user_data: *mut c_void,
) {
    let _ = (engine, index_name, options);
    let Some(callback) = callback else { return };
    guard_value((), || {
        let error = super::lifecycle::not_yet("cyborg_kms_index_open_async");
        let status = error.status() as cyborg_kms_status;
        // SAFETY: the callback is the caller's, the error becomes its own.
        unsafe { callback(status, std::ptr::null_mut(), cyborg_kms_error::give(error.into()), user_data) };
    });
}
