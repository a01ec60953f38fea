//! The audit log.

use std::ffi::{CString, c_char, c_void};
use std::path::Path;

use zeroize::Zeroizing;

use super::arg;
use super::buffer::cyborg_kms_buffer;
use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::handle::Owned;
use super::status::{cyborg_kms_status, guard};
use crate::audit::{self, Head, Sink};
use crate::crypto::secret::Arena;
use crate::error::fail;

/// Hears of each audit event, as a JSON object (`docs/format.md`, part 6): the line as it is in the file, or the event
/// alone (without `seq`, `prev` and `mac`) where there is no file or it can't be written. Borrowed for the call.
///
/// Runs on the thread of the operation, several at once, and the operation waits for it; `seq` tells the order. It must
/// not call the library.
pub type cyborg_kms_audit_callback =
    Option<unsafe extern "C" fn(event_json: *const c_char, user_data: *mut c_void)>;

struct Target {
    callback: unsafe extern "C" fn(*const c_char, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the contract of the callback says that any thread may call it with its user_data.
unsafe impl Send for Target {}
// SAFETY: likewise, several at once.
unsafe impl Sync for Target {}

impl Target {
    fn event(&self, json: &str) {
        // JSON has no NUL: it is escaped.
        let json = CString::new(json).unwrap_or_default();
        // SAFETY: the text lives for the call; the callback is the caller's.
        unsafe { (self.callback)(json.as_ptr(), self.user_data) };
    }
}

/// Gives the engine's audit events to a callback, besides the file of `audit.path` or without one; NULL ends it.
/// Returns when no thread is in the former callback any more, so that its `user_data` may then be freed.
///
/// Any thread, but not from within the callback. Returns `INVALID_ARGUMENT` (NULL engine).
///
/// # Safety
/// `engine` is NULL or has not been freed; `callback` may be called with `user_data` from any thread until this is called
/// again, or the engine and its indexes are freed; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_set_audit_callback(
    engine: *mut cyborg_kms_engine,
    callback: cyborg_kms_audit_callback,
    user_data: *mut c_void,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let engine = arg::counted(engine, "engine")?;
            engine.set_audit_sink(callback.map(|callback| {
                let target = Target { callback, user_data };
                let sink: Sink = Box::new(move |json| target.event(json));
                sink
            }));
            Ok(())
        })
    }
}

/// Finds the first line of an audit log that was changed, removed or reordered. No engine is needed; other processes
/// may be appending.
///
/// `path`: that of `audit.path`; the full files beside it belong to it. `key`: the 32 bytes that `audit.key_file` holds;
/// NULL with length 0: MACs are not checked, and whoever could write the log could have made the chain anew.
/// `head_json`: what `cyborg_kms_audit_head` gave earlier, kept elsewhere; NULL: a cut end can't be noticed.
/// `out_json`: gets what was found, of the caller's, **also with `CORRUPT`**: `{"path", "files", "lines", "seq", "hash",
/// "recovered", "macs_checked", "head_checked", "fault": null or {"kind": "changed", "removed", "reordered", "mac",
/// "cut" or "torn", "file", "line", "seq", "message"}}`; may be NULL.
/// Any thread; takes as long as reading the files. Returns `INVALID_ARGUMENT` (NULL path, a key that has not 32 bytes,
/// `head_json` that is no head), `NOT_FOUND` (no log there), `STORAGE` (it can't be read), `CORRUPT` (a fault).
///
/// # Safety
/// Texts are NULL or NUL-terminated; `key` is NULL or has `key_len` bytes; `out_json` is NULL or a valid place; `error` is
/// NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_audit_verify(
    path: *const c_char,
    key: *const u8,
    key_len: usize,
    head_json: *const c_char,
    out_json: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            if !out_json.is_null() {
                arg::handle_place(out_json, "out_json")?;
            }
            let path = Path::new(arg::text(path, "path")?);
            // An empty key that is there is a wrong one: without its MACs a forged log would pass.
            let has_key = !key.is_null() || key_len != 0;
            let key = arg::bytes(key, key_len, "key")?;
            let key = has_key.then(|| Arena::new(false).key_from(key)).transpose();
            let key = key.map_err(|error| error.context("what audit.key_file holds, decoded"))?;
            let head = arg::optional_text(head_json, "head_json")?.map(Head::from_json).transpose()?;
            let report = audit::verify(path, key.as_ref(), head.as_ref())?;
            if let Some(place) = out_json.as_mut() {
                *place = cyborg_kms_buffer::give(Zeroizing::new(report.to_json().into_bytes()));
            }
            report.fault.map_or(Ok(()), |fault| Err(fail!(Corrupt, "{}", fault.message)))
        })
    }
}

/// The head of an audit log: the number and hash of its last line. Keep it where whoever can write the log can't, and
/// give it to `cyborg_kms_audit_verify` later.
///
/// `path`: that of `audit.path`. `out_json`: gets `{"seq": 7, "hash": "base64"}`, of the caller's.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL), `NOT_FOUND` (no log there), `STORAGE` (it can't be read, or its end is
/// damaged).
///
/// # Safety
/// `path` is NULL or NUL-terminated; `out_json` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_audit_head(
    path: *const c_char,
    out_json: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out_json, "out_json")?;
            let head = audit::head(Path::new(arg::text(path, "path")?))?;
            *out = cyborg_kms_buffer::give(Zeroizing::new(head.to_json().into_bytes()));
            Ok(())
        })
    }
}
