//! Sync.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;

use super::arg;
use super::buffer::cyborg_kms_buffer;
use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::lifecycle::json;
use super::status::{cyborg_kms_status, guard};
use crate::engine::SyncOptions;

/// Settings of a sync.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cyborg_kms_sync_options {
    /// `sizeof(cyborg_kms_sync_options)`.
    pub struct_size: usize,
    /// Says what would be done, and does nothing. No KMS is asked.
    pub dry_run: MaybeUninit<bool>,
    /// How many indexes at once, each on a thread of the library, at most 256; 0: 8.
    pub concurrency: u32,
    /// Requests a second to each slot's KMS, at most 1,000,000; 0: the slot's `requests_per_second`.
    pub requests_per_second: u32,
}

/// Hears of each index that a sync is done with: how many that are, of how many, its name (borrowed for the call), and
/// `CYBORG_KMS_OK` or why it failed. Returns false to stop.
///
/// Runs on the thread that called `cyborg_kms_engine_sync`, which waits for it meanwhile. Indexes come in any order. It must
/// not call the same engine.
pub type cyborg_kms_progress_callback = Option<
    unsafe extern "C" fn(
        done: u64,
        total: u64,
        index_name: *const c_char,
        status: cyborg_kms_status,
        user_data: *mut c_void,
    ) -> bool,
>;

/// Holds every stored record against the registry: what drifted (provider, key, region, recipients) is wrapped anew, what
/// is due by `rewrap_after`, `rotate_kek_after`, `rotate_data_key_after` is rotated, indexes whose deletion is due are
/// deleted (`docs/operating.md`). Each change is one atomic write, as by `cyborg_kms_index_rotate` and `_delete`, and in
/// the audit log. Several may run at once, in several processes.
///
/// `options`: NULL is the default. `callback`: may be NULL. `out_json`: gets a report of the caller's
/// (`docs/operating.md`), UTF-8 without a NUL: `cyborg_kms_buffer_free`; may be NULL.
///
/// What fails for one index (its slot is gone, its record is damaged, its KMS says no) is in the report, and the others go
/// on: `CYBORG_KMS_OK` does not say that nothing failed. It can take hours: a REWRAP is three requests of the slot's
/// `requests_per_second`. It can be stopped, by the callback or with its scope, and be run again: what is done stays done.
/// Any thread; the library's own threads do the work, but with a store of `CYBORG_KMS_STORE_CALLER_THREAD`, where the caller's
/// does. Returns `INVALID_ARGUMENT`, what the store answers when it is listed (`STORAGE`, `ACCESS_DENIED`, `TIMEOUT`, …), and
/// `TIMEOUT` and `CANCELLED` where its scope ends it.
///
/// # Safety
/// `engine` is NULL or has not been freed; `options` is NULL or points to `struct_size` bytes; `callback` may be called with
/// `user_data` until this returns; `out_json` is NULL or a valid place; `error` is NULL or a valid place.
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
            let engine = arg::counted(engine, "engine")?;
            let options = arg::sized(options, "options")?.map(sync_options).unwrap_or_default();
            let report = engine.sync(&options, |done, total, name, status| {
                callback.is_none_or(|callback| {
                    // A checked name has no NUL.
                    let name = CString::new(name).unwrap_or_default();
                    callback(done, total, name.as_ptr(), status as cyborg_kms_status, user_data)
                })
            })?;
            if !out_json.is_null() {
                *arg::handle_place(out_json, "out_json")? = json(report);
            }
            Ok(())
        })
    }
}

fn sync_options(options: cyborg_kms_sync_options) -> SyncOptions {
    // SAFETY: a byte, which the caller or `sized` has set; what is no `bool` must not be read as one.
    let dry_run = unsafe { options.dry_run.as_ptr().cast::<u8>().read() };
    SyncOptions {
        dry_run: dry_run != 0,
        concurrency: options.concurrency,
        requests_per_second: options.requests_per_second,
    }
}
