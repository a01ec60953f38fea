//! Version, random keys, wiping: what needs no handle.

use std::ffi::{CStr, c_char, c_void};

use zeroize::Zeroize;

use super::arg;
use super::error::cyborg_kms_error;
use super::status::{cyborg_kms_status, guard, guard_value};
use crate::error::fail;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// What the library answers to `cyborg_kms_abi_version`; a program compares it with this constant of its header.
pub const CYBORG_KMS_ABI_VERSION: u32 = 0;

/// The library's version, such as "0.1.0". Static. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn cyborg_kms_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The number of the ABI; it grows with an incompatible change only. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn cyborg_kms_abi_version() -> u32 {
    CYBORG_KMS_ABI_VERSION
}

/// Fills `out` with a random key of the operating system's (`getrandom`).
///
/// `out_len`: 1 byte and up; a KEK has 32. Any thread.
/// Returns `INVALID_ARGUMENT` (NULL, or no bytes), `INTERNAL` (the system gives no random bytes).
///
/// # Safety
/// `out` points to `out_len` writable bytes; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_random_key(
    out: *mut u8,
    out_len: usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            if out_len == 0 {
                return Err(fail!(InvalidArgument, "out_len is 0: a key needs bytes"));
            }
            crate::crypto::secret::random(arg::bytes_mut(out, out_len, "out")?)
        })
    }
}

/// Overwrites `len` bytes with zeros, in a way that no compiler removes. NULL does nothing. Any thread.
///
/// # Safety
/// `data` is NULL or points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_wipe(data: *mut c_void, len: usize) {
    guard_value((), || {
        // SAFETY: as the caller promises.
        if let Ok(bytes) = unsafe { arg::bytes_mut(data.cast(), len, "data") } {
            bytes.zeroize();
        }
    });
}
