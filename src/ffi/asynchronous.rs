//! Opening without blocking.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use super::arg;
use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::handle::{Counted, Owned};
use super::index::{cyborg_kms_index, cyborg_kms_open_options, open_options};
use super::status::{cyborg_kms_status, guard_value};
use crate::engine::{Engine, OpenOptions};
use crate::error::{Error, Result, Status};
use crate::index::Index;
use crate::runtime::start_thread;

/// Gets the outcome: an index or an error, owned by the callback.
pub type cyborg_kms_index_callback = Option<
    unsafe extern "C" fn(
        status: cyborg_kms_status,
        index: *mut cyborg_kms_index,
        error: *mut cyborg_kms_error,
        user_data: *mut c_void,
    ),
>;

/// Opens an index on a thread of the library, as `cyborg_kms_index_open_with_options` does. Returns at once.
///
/// `callback`: runs once, on a library thread, and owns the index (`cyborg_kms_index_free`) or the error that it gets;
/// also for what is wrong with the arguments, and with `CANCELLED` where the engine is freed or its scope cancelled
/// meanwhile. Where the system gives no thread it runs on this one. A NULL callback: nothing. It may use and free what
/// it got and start further openings; what it does holds up one of 64 threads.
/// Any thread. A store with `CYBORG_KMS_STORE_CALLER_THREAD`: `UNSUPPORTED`.
///
/// # Safety
/// `engine` is NULL or has not been freed; `index_name` is NULL or NUL-terminated; `options` is NULL or points to
/// `struct_size` bytes; `callback` may be called with `user_data` on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_open_async(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    options: *const cyborg_kms_open_options,
    callback: cyborg_kms_index_callback,
    user_data: *mut c_void,
) {
    let Some(callback) = callback else { return };
    let done = Done { callback, user_data };
    guard_value((), || {
        // SAFETY: as the caller promises.
        let wanted = unsafe { wanted(engine, index_name, options) };
        match wanted {
            Ok((engine, name, options)) => {
                engine.open_index_async(name, &options, move |outcome| done.tell(outcome));
            }
            Err(error) => done.tell_elsewhere(error),
        }
    });
}

/// # Safety
/// As for `cyborg_kms_index_open_async`.
unsafe fn wanted<'a>(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    options: *const cyborg_kms_open_options,
) -> Result<(&'a Engine, &'a str, OpenOptions<'a>)> {
    // SAFETY: as the caller promises.
    unsafe {
        let engine = arg::counted(engine, "engine")?;
        let name = arg::text(index_name, "index_name")?;
        let options = arg::sized(options, "options")?;
        let options = options.map(|options| open_options(&options)).transpose()?;
        Ok((engine, name, options.unwrap_or_default()))
    }
}

/// The caller's callback with what it gets.
struct Done {
    callback:
        unsafe extern "C" fn(cyborg_kms_status, *mut cyborg_kms_index, *mut cyborg_kms_error, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the caller lets the callback run on another thread with its data.
unsafe impl Send for Done {}

impl Done {
    fn tell(self, outcome: Result<Index>) {
        let (status, index, error) = match outcome {
            Ok(index) => (Status::Ok, cyborg_kms_index::give(index), std::ptr::null_mut()),
            Err(error) => (error.status(), std::ptr::null_mut(), cyborg_kms_error::give(error.into())),
        };
        // SAFETY: the callback is the caller's; index and error become its own.
        unsafe { (self.callback)(status as cyborg_kms_status, index, error, self.user_data) };
    }

    /// On a thread of the library, where there may be no engine to have one of.
    fn tell_elsewhere(self, error: Error) {
        let shared = Arc::new(Mutex::new(Some((self, error))));
        let take = |shared: &Mutex<Option<(Done, Error)>>| {
            shared.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        let other = Arc::clone(&shared);
        let started = start_thread("tell", move || {
            if let Some((done, error)) = take(&other) {
                done.tell(Err(error));
            }
        });
        if started.is_err()
            && let Some((done, error)) = take(&shared)
        {
            done.tell(Err(error));
        }
    }
}
