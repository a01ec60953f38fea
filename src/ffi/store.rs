//! Stores as C sees them.

use std::ffi::c_char;
use std::sync::Arc;

use super::arg;
use super::error::cyborg_kms_error;
use super::handle::Counted;
use super::status::{cyborg_kms_status, guard, guard_value};
use crate::store::{self, Store};

/// A place for envelope records. Used by many threads at once. Owned by the caller: `cyborg_kms_store_free`.
#[derive(Debug)]
pub struct cyborg_kms_store {
    _opaque: [u8; 0],
}

impl Counted for cyborg_kms_store {
    type Value = Arc<dyn Store>;
}

/// Opens a store.
///
/// `url`: "memory://" (a new one each time); a path such as "/var/lib/db" or "file:///var/lib/db" (made with mode 0700
/// where it is missing); "s3://bucket/prefix?region=eu-west-1", "gs://bucket/prefix", "az://container/prefix?account=name",
/// whose query has the keys of `storage` in the configuration (docs/stores.md). An object store is asked nothing before
/// the first request: a bucket that is missing, or credentials that are, are found out then.
/// `out`: gets a store of the caller's: `cyborg_kms_store_free`.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL, not UTF-8, empty), `CONFIG` (a URL that means nothing, an unknown key),
/// `STORAGE` (the folder can't be made or used), `UNSUPPORTED` (not built in).
///
/// # Safety
/// `url` is NULL or NUL-terminated; `out` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_store_open(
    url: *const c_char,
    out: *mut *mut cyborg_kms_store,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            *out = cyborg_kms_store::give(store::open(arg::text(url, "url")?)?);
            Ok(())
        })
    }
}

/// One more reference to the same store, for a thread of its own; each is freed. NULL for NULL. Any thread.
///
/// # Safety
/// `store` is NULL or a store that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_store_retain(store: *mut cyborg_kms_store) -> *mut cyborg_kms_store {
    // SAFETY: as the caller promises.
    guard_value(std::ptr::null_mut(), || unsafe { cyborg_kms_store::retain(store) })
}

/// Frees a store; NULL does nothing. An engine that uses it keeps it alive.
///
/// # Safety
/// `store` is NULL or a store that has not been freed and that no other call uses; it is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_store_free(store: *mut cyborg_kms_store) {
    // SAFETY: as the caller promises.
    guard_value((), || unsafe { cyborg_kms_store::release(store) });
}
