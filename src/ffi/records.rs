//! CyborgDB's four functions on a store, and the list.

use std::ffi::{CString, c_char, c_void};

use super::arg;
use super::blob::cyborg_kms_blob;
use super::error::cyborg_kms_error;
use super::handle::Owned;
use super::status::{cyborg_kms_status, guard};
use super::store::cyborg_kms_store;
use crate::blob;
use crate::call::Call;
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::name::IndexName;

/// Gets the name of an index, borrowed for the call. Returns false to stop.
pub type cyborg_kms_name_callback =
    Option<unsafe extern "C" fn(index_name: *const c_char, user_data: *mut c_void) -> bool>;

/// # Safety
/// `index_name` is NULL or NUL-terminated.
pub(super) unsafe fn name(index_name: *const c_char) -> Result<IndexName> {
    // SAFETY: as the caller promises.
    IndexName::new(unsafe { arg::text(index_name, "index_name") }?)
}

/// Stores the record of a new index: a strict insert.
///
/// `index_name`: 1 byte up to 220 bytes percent-encoded. `blob`: is not changed.
/// Atomic and durable when it returns. Any thread.
/// Returns `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `STORAGE`, `TIMEOUT` (the lock of another process), `CORRUPT` (what
/// is stored there is no record). An object store also `ACCESS_DENIED`, `THROTTLED`, `CONFIG` (region, credentials) and
/// `UNSUPPORTED` (its server passes over the conditions of writes; nothing was written).
///
/// # Safety
/// `store` and `blob` are NULL or have not been freed; `index_name` is NULL or NUL-terminated; `error` is NULL or a
/// valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_create_index_kms(
    store: *mut cyborg_kms_store,
    index_name: *const c_char,
    blob: *const cyborg_kms_blob,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let (store, name, value) =
                (arg::counted(store, "store")?, name(index_name)?, arg::owned(blob, "blob")?);
            blob::create(&**store, &Call::unbounded(), &name, SystemClock.unix_seconds(), value.blob())
        })
    }
}

/// Stores a record, whether there is one or not: an idempotent upsert. It sets what a blob holds and keeps the rest
/// of a record; of one with data keys it keeps the wrap that it replaces, too.
///
/// Atomic and durable when it returns. Any thread.
/// Returns `INVALID_ARGUMENT`, `STORAGE`, `TIMEOUT`, `CONFLICT` (others keep changing it), `CORRUPT` (what is stored
/// there is no record: delete it first). An object store also what create returns.
///
/// # Safety
/// As for `cyborg_kms_create_index_kms`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_push_index_kms(
    store: *mut cyborg_kms_store,
    index_name: *const c_char,
    blob: *const cyborg_kms_blob,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let (store, name, value) =
                (arg::counted(store, "store")?, name(index_name)?, arg::owned(blob, "blob")?);
            blob::push(&**store, &Call::unbounded(), &name, SystemClock.unix_seconds(), value.blob())
        })
    }
}

/// Reads the record of an index.
///
/// `out`: gets a blob of the caller's: `cyborg_kms_blob_free`. Any thread.
/// Returns `INVALID_ARGUMENT`, `NOT_FOUND`, `CORRUPT` (what is stored there is no record), `STORAGE`. An object store also
/// `ACCESS_DENIED`, `THROTTLED`, `TIMEOUT`, `CONFIG` (region, credentials).
///
/// # Safety
/// `store` is NULL or has not been freed; `index_name` is NULL or NUL-terminated; `out` is NULL or a valid place;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_get_index_kms(
    store: *mut cyborg_kms_store,
    index_name: *const c_char,
    out: *mut *mut cyborg_kms_blob,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let (store, name) = (arg::counted(store, "store")?, name(index_name)?);
            *out = cyborg_kms_blob::give(blob::get(&**store, &Call::unbounded(), &name)?.into());
            Ok(())
        })
    }
}

/// Removes the record of an index, and with it the wraps of its keys: what they protect can't be read any more.
/// That there is none is fine.
///
/// Durable when it returns. Any thread.
/// Returns `INVALID_ARGUMENT`, `STORAGE`, `TIMEOUT`. An object store also what get returns.
///
/// # Safety
/// `store` is NULL or has not been freed; `index_name` is NULL or NUL-terminated; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_delete_index_kms(
    store: *mut cyborg_kms_store,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            blob::delete(&**arg::counted(store, "store")?, &Call::unbounded(), &name(index_name)?)
        })
    }
}

/// Names every index that has a record, in the order of the encoded names.
///
/// `start_after`: an index name to go on behind, or NULL. `callback`: runs on this thread; it may use the store.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL store or callback, a name that can't be), `STORAGE`. An object store also
/// what get returns.
///
/// # Safety
/// `store` is NULL or has not been freed; `start_after` is NULL or NUL-terminated; `callback` may be called with
/// `user_data`; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_list_index_kms(
    store: *mut cyborg_kms_store,
    start_after: *const c_char,
    callback: cyborg_kms_name_callback,
    user_data: *mut c_void,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let store = arg::counted(store, "store")?;
            let start = arg::optional_text(start_after, "start_after")?.map(IndexName::new).transpose()?;
            let callback =
                callback.ok_or_else(|| crate::error::fail!(InvalidArgument, "callback is NULL"))?;
            store.list(&Call::unbounded(), start.as_ref(), &mut |name| {
                // A checked name has no NUL.
                CString::new(name.as_str()).is_ok_and(|name| callback(name.as_ptr(), user_data))
            })
        })
    }
}
