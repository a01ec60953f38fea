//! The log callback.

use std::ffi::{CString, c_char, c_void};

use super::status::guard_value;
use crate::log::{Level, set_sink};

/// How much is logged: one of the `CYBORG_KMS_LOG_*` constants.
pub type cyborg_kms_log_level = u32;

/// Nothing.
pub const CYBORG_KMS_LOG_OFF: cyborg_kms_log_level = 0;
/// Something is broken.
pub const CYBORG_KMS_LOG_ERROR: cyborg_kms_log_level = 1;
/// Something needs a look.
pub const CYBORG_KMS_LOG_WARN: cyborg_kms_log_level = 2;
/// What an operator wants to know.
pub const CYBORG_KMS_LOG_INFO: cyborg_kms_log_level = 3;
/// Each call of a KMS.
pub const CYBORG_KMS_LOG_DEBUG: cyborg_kms_log_level = 4;
/// Everything.
pub const CYBORG_KMS_LOG_TRACE: cyborg_kms_log_level = 5;

/// Receives a line: its level, the part of the library, a message, and fields as a JSON object such as
/// {"slot":"prod","operation":"unwrap","duration_ms":7}. Nothing secret, ever. The texts are borrowed for the call.
///
/// Runs on any thread that uses the library, several at once. It must not call the library.
pub type cyborg_kms_log_callback = Option<
    unsafe extern "C" fn(
        level: cyborg_kms_log_level,
        target: *const c_char,
        message: *const c_char,
        fields_json: *const c_char,
        user_data: *mut c_void,
    ),
>;

struct Target {
    callback: unsafe extern "C" fn(u32, *const c_char, *const c_char, *const c_char, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the contract of the callback says that any thread may call it with its user_data.
unsafe impl Send for Target {}
// SAFETY: likewise, several at once.
unsafe impl Sync for Target {}

impl Target {
    fn line(&self, level: Level, target: &str, message: &str, fields: &str) {
        let text = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
        let (target, message, fields) = (text(target), text(message), text(fields));
        // SAFETY: the texts live for the call; the callback is the caller's.
        unsafe {
            (self.callback)(level as u32, target.as_ptr(), message.as_ptr(), fields.as_ptr(), self.user_data);
        }
    }
}

/// Sets the process's log callback; NULL, or level `OFF`, ends it. Returns when no thread is in the former callback
/// any more, so that its `user_data` may then be freed. Levels above `TRACE` are `TRACE`.
///
/// Any thread, but not from within the callback.
///
/// # Safety
/// `callback` may be called with `user_data` from any thread until this is called again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_set_log_callback(
    max_level: cyborg_kms_log_level,
    callback: cyborg_kms_log_callback,
    user_data: *mut c_void,
) {
    guard_value((), || {
        let sink = callback.filter(|_| max_level != CYBORG_KMS_LOG_OFF).map(|callback| {
            let target = Target { callback, user_data };
            let sink: crate::log::Sink =
                Box::new(move |level, part, message, fields| target.line(level, part, message, fields));
            sink
        });
        set_sink(max_level, sink);
    });
}
