//! Rotation, states, deletion, sync: declared, so that programs compile; they come with a later version.

use std::ffi::{c_char, c_void};

use super::arg;
use super::buffer::cyborg_kms_buffer;
use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::records;
use super::status::{cyborg_kms_status, guard};
use crate::error::{Error, Result, fail};

/// What a rotation changes: one of the `CYBORG_KMS_ROTATE_*` constants.
pub type cyborg_kms_rotation = u32;

/// The same KEK, wrapped anew.
pub const CYBORG_KMS_ROTATE_REWRAP: cyborg_kms_rotation = 0;
/// A new KEK, the data keys wrapped anew under it, the former KEK kept under it.
pub const CYBORG_KMS_ROTATE_KEK: cyborg_kms_rotation = 1;
/// A new data key for new pages; old pages stay readable.
pub const CYBORG_KMS_ROTATE_DATA_KEY: cyborg_kms_rotation = 2;

/// Settings of a sync.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cyborg_kms_sync_options {
    /// `sizeof(cyborg_kms_sync_options)`.
    pub struct_size: usize,
    /// Reports only.
    pub dry_run: bool,
    /// How many indexes at once; 0: the default.
    pub concurrency: u32,
    /// Requests a second to each slot's KMS; 0: the slot's setting.
    pub requests_per_second: u32,
}

/// Hears of each index that sync is done with. Returns false to stop.
pub type cyborg_kms_progress_callback = Option<
    unsafe extern "C" fn(
        done: u64,
        total: u64,
        index_name: *const c_char,
        status: cyborg_kms_status,
        user_data: *mut c_void,
    ) -> bool,
>;

/// The error of a call that comes with a later version.
pub(super) fn not_yet(function: &str) -> Error {
    fail!(
        Unsupported,
        "{function} is declared but comes with a later version than {}: nothing was done",
        env!("CARGO_PKG_VERSION")
    )
}

/// # Safety
/// `engine` is NULL or has not been freed; `index_name` is NULL or NUL-terminated.
unsafe fn of_an_index(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    function: &str,
) -> Result<()> {
    // SAFETY: as the caller promises.
    unsafe {
        arg::counted(engine, "engine")?;
        records::name(index_name)?;
    }
    Err(not_yet(function))
}

/// Rotates the keys of an index: wraps its KEK anew, or gives it a new KEK or data key.
///
/// `rotation`: `CYBORG_KMS_ROTATE_*`. `kms_name`: the slot that wraps from now on; NULL: its own.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_rotate(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    rotation: cyborg_kms_rotation,
    kms_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            check_rotation(rotation)?;
            arg::optional_text(kms_name, "kms_name")?;
            of_an_index(engine, index_name, "cyborg_kms_index_rotate")
        })
    }
}

/// The same for an index of provider none, or from and to none (`kms_name` "").
///
/// `old_kek`: the KEK that is now in use, 32 bytes; NULL where a KMS has it. `new_kek`: the new one; NULL where it stays or a
/// KMS gets a random one.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_rotate_with_key(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    rotation: cyborg_kms_rotation,
    kms_name: *const c_char,
    old_kek: *const u8,
    old_kek_len: usize,
    new_kek: *const u8,
    new_kek_len: usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            check_rotation(rotation)?;
            arg::optional_text(kms_name, "kms_name")?;
            arg::bytes(old_kek, old_kek_len, "old_kek")?;
            arg::bytes(new_kek, new_kek_len, "new_kek")?;
            of_an_index(engine, index_name, "cyborg_kms_index_rotate_with_key")
        })
    }
}

/// Forgets a data key that no page uses any more: what it sealed can never be read again.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_retire_data_key(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    data_key_id: u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let _ = data_key_id;
            of_an_index(engine, index_name, "cyborg_kms_index_retire_data_key")
        })
    }
}

/// Forgets a former KEK: what was encrypted under it can never be read again.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_retire_kek(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    version: u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let _ = version;
            of_an_index(engine, index_name, "cyborg_kms_index_retire_kek")
        })
    }
}

/// Refuses every use of an index from now on.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_disable(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { guard(error, || of_an_index(engine, index_name, "cyborg_kms_index_disable")) }
}

/// Undoes `cyborg_kms_index_disable`.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_enable(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { guard(error, || of_an_index(engine, index_name, "cyborg_kms_index_enable")) }
}

/// Disables an index and has sync delete it when the waiting period is over.
///
/// `waiting_hours`: 24 to 8,760.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_schedule_deletion(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    waiting_hours: u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let _ = waiting_hours;
            of_an_index(engine, index_name, "cyborg_kms_index_schedule_deletion")
        })
    }
}

/// Undoes `cyborg_kms_index_schedule_deletion`; leaves the index disabled.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_cancel_deletion(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { guard(error, || of_an_index(engine, index_name, "cyborg_kms_index_cancel_deletion")) }
}

/// Deletes an index at once: removes its wrapped keys.
///
/// `out_receipt_json`: gets a receipt; may be NULL. `cyborg_kms_delete_index_kms` on the engine's store removes a record
/// in this version.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_delete(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    out_receipt_json: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            if !out_receipt_json.is_null() {
                arg::handle_place(out_receipt_json, "out_receipt_json")?;
            }
            of_an_index(engine, index_name, "cyborg_kms_index_delete")
        })
    }
}

/// Describes an index as JSON; no KMS is asked.
///
/// `cyborg_kms_get_index_kms` and the getters of an open index tell some of it in this version.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_describe(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    out_json: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            arg::handle_place(out_json, "out_json")?;
            of_an_index(engine, index_name, "cyborg_kms_index_describe")
        })
    }
}

/// Holds every stored record against the registry and mends what drifted.
///
/// `options`, `callback`, `out_json`: may be NULL.
///
/// `UNSUPPORTED` in this version; `INVALID_ARGUMENT` for arguments that can't be.
///
/// # Safety
/// Handles are NULL or have not been freed; texts are NULL or NUL-terminated; the other pointers are valid for their
/// lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_sync(
    engine: *mut cyborg_kms_engine,
    options: *const cyborg_kms_sync_options,
    callback: cyborg_kms_progress_callback,
    user_data: *mut c_void,
    out_json: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            if !out_json.is_null() {
                arg::handle_place(out_json, "out_json")?;
            }
            let _ = (options, callback, user_data);
            arg::counted(engine, "engine")?;
            Err(not_yet("cyborg_kms_engine_sync"))
        })
    }
}

fn check_rotation(rotation: cyborg_kms_rotation) -> Result<()> {
    if rotation > CYBORG_KMS_ROTATE_DATA_KEY {
        return Err(fail!(InvalidArgument, "rotation {rotation}: only 0, 1 and 2 are known"));
    }
    Ok(())
}
