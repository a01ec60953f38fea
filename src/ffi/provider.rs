//! A provider of the caller's own.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use super::arg;
use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::handle::Owned;
use super::reply::cyborg_kms_reply;
use super::status::{cyborg_kms_status, guard};
use crate::error::{Result, fail};
use crate::provider::ExternalCallbacks;
use crate::reply::Reply;

/// The callbacks of a provider. Each answers through its reply, once; the other arguments are borrowed for the call.
/// They run on threads of the library, several at once, and must not call back into the same engine. An answer that
/// does not come within the slot's `request_timeout` is `TIMEOUT`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cyborg_kms_provider_callbacks {
    /// `sizeof(cyborg_kms_provider_callbacks)`.
    pub struct_size: usize,
    /// Wraps a KEK of 32 bytes under `key_id`, bound to `aad` (empty in a cyborgdb_compatible slot): answers with the
    /// wrap, 1 byte to 64 KiB.
    pub wrap: Option<
        unsafe extern "C" fn(
            key_id: *const c_char,
            aad: *const u8,
            aad_len: usize,
            plaintext: *const u8,
            plaintext_len: usize,
            reply: *mut cyborg_kms_reply,
            user_data: *mut c_void,
        ),
    >,
    /// Undoes it: answers with the 32 bytes, or with a failure when they are not what was wrapped with this AAD.
    pub unwrap: Option<
        unsafe extern "C" fn(
            key_id: *const c_char,
            aad: *const u8,
            aad_len: usize,
            wrapped: *const u8,
            wrapped_len: usize,
            reply: *mut cyborg_kms_reply,
            user_data: *mut c_void,
        ),
    >,
    /// Runs exactly once, when nothing uses the provider any more, also when registering it failed. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

/// The caller's pointer, and what is to be done with it at the end.
#[derive(Debug)]
pub(super) struct UserData {
    pointer: *mut c_void,
    destroy: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

// SAFETY: the contract of the callbacks says that any thread may call them with their user_data.
unsafe impl Send for UserData {}
// SAFETY: likewise, several at once.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(
        pointer: *mut c_void,
        destroy: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    ) -> UserData {
        UserData { pointer, destroy }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the caller gave it for this, and this is the only time.
            unsafe { destroy(self.pointer) };
        }
    }
}

type Callback = unsafe extern "C" fn(
    *const c_char,
    *const u8,
    usize,
    *const u8,
    usize,
    *mut cyborg_kms_reply,
    *mut c_void,
);

struct CProvider {
    wrap: Callback,
    unwrap: Callback,
    user_data: UserData,
}

impl CProvider {
    fn new(callbacks: cyborg_kms_provider_callbacks, user_data: UserData) -> Result<CProvider> {
        let (Some(wrap), Some(unwrap)) = (callbacks.wrap, callbacks.unwrap) else {
            return Err(fail!(InvalidArgument, "callbacks: wrap and unwrap must both be there"));
        };
        Ok(CProvider { wrap, unwrap, user_data })
    }

    fn call(&self, callback: Callback, key_id: &str, aad: &[u8], payload: &[u8], reply: Reply) {
        let Ok(key_id) = CString::new(key_id) else {
            reply.error(fail!(Config, "the slot's key_id has a NUL byte"));
            return;
        };
        let (aad_ptr, payload_ptr) = (aad.as_ptr(), payload.as_ptr());
        let (reply, user_data) = (cyborg_kms_reply::give(reply), self.user_data.pointer());
        // SAFETY: everything borrowed lives for the call; the reply is the callback's.
        unsafe {
            callback(key_id.as_ptr(), aad_ptr, aad.len(), payload_ptr, payload.len(), reply, user_data)
        };
    }
}

impl ExternalCallbacks for CProvider {
    fn wrap(&self, key_id: &str, aad: &[u8], plaintext: &[u8], reply: Reply) {
        self.call(self.wrap, key_id, aad, plaintext, reply);
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.call(self.unwrap, key_id, aad, wrapped, reply);
    }
}

/// Serves the slots that say "provider: external:NAME": hold your own key, an enclave, a KMS we do not know. Until
/// then using such a slot is `CONFIG`.
///
/// `provider_name`: NAME. `callbacks`: copied; `wrap` and `unwrap` must be there. `user_data`: given to each.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL, a callback that is missing, a wrong struct_size),
/// `ALREADY_EXISTS` (the name is registered).
///
/// # Safety
/// `engine` is NULL or has not been freed; `provider_name` is NULL or NUL-terminated; `callbacks` is NULL or points
/// to `struct_size` bytes, and its functions may be called with `user_data` from any thread until `destroy` ran;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_engine_register_provider(
    engine: *mut cyborg_kms_engine,
    provider_name: *const c_char,
    callbacks: *const cyborg_kms_provider_callbacks,
    user_data: *mut c_void,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let (callbacks, known) = arg::sized_prefix(callbacks, "callbacks")?
                .ok_or_else(|| fail!(InvalidArgument, "callbacks is NULL"))?;
            // From here on `destroy` runs on every path.
            let user_data = UserData::new(user_data, callbacks.destroy);
            known?;
            let provider = CProvider::new(callbacks, user_data)?;
            let engine = arg::counted(engine, "engine")?;
            engine.register_provider(arg::text(provider_name, "provider_name")?, Arc::new(provider))
        })
    }
}
