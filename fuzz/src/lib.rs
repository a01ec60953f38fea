//! What the targets share: the C API with its errors checked, and a store that serves the fuzzer's bytes.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;

pub use cyborg_kms::ffi::*;

/// Calls a function whose last parameter is `error`; gives its status, the error checked and freed.
#[macro_export]
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let mut error: *mut $crate::cyborg_kms_error = std::ptr::null_mut();
        // SAFETY: every pointer is a live handle, NULL where that is allowed, or of a value that outlives the call.
        let status = unsafe { $crate::$function($($argument,)* &raw mut error) };
        $crate::judge(stringify!($function), status, error);
        status
    }};
}

/// A failure has an error of the same status with a message of one line, a success none; nothing is a defect.
pub fn judge(function: &str, status: cyborg_kms_status, error: *mut cyborg_kms_error) {
    if status == CYBORG_KMS_OK {
        assert!(error.is_null(), "{function} succeeded and set an error");
        return;
    }
    assert!(!error.is_null(), "{function} failed without an error");
    // SAFETY: a live error of ours; the message lives as long.
    unsafe {
        assert_eq!(cyborg_kms_error_status(error), status);
        let message = CStr::from_ptr(cyborg_kms_error_message(error)).to_str().expect("UTF-8");
        assert!(message.len() > 10 && !message.contains('\n'), "{function}: {message:?}");
        assert!(status != CYBORG_KMS_INTERNAL || !message.contains("panic"), "{function}: {message}");
        cyborg_kms_error_free(error);
    }
}

/// A NUL-terminated copy.
pub fn text(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

/// An engine with this configuration and a store that serves [`RECORD`] for every name.
pub fn engine(yaml: &str) -> *mut cyborg_kms_engine {
    let callbacks = cyborg_kms_store_callbacks {
        struct_size: size_of::<cyborg_kms_store_callbacks>(),
        flags: 0,
        get: Some(get),
        put: Some(put),
        remove: Some(remove),
        list: Some(list),
        destroy: None,
    };
    let (mut store, mut engine) = (null_mut(), null_mut());
    let opened = call!(cyborg_kms_store_open_callbacks(&raw const callbacks, null_mut(), &raw mut store));
    assert_eq!(opened, CYBORG_KMS_OK);
    let yaml = text(yaml);
    let opened = call!(cyborg_kms_engine_open_yaml_with_store(yaml.as_ptr(), store, &raw mut engine));
    assert_eq!(opened, CYBORG_KMS_OK);
    // SAFETY: the engine has a reference of its own.
    unsafe { cyborg_kms_store_free(store) };
    engine
}

/// The stored record of every name; `None`: there is none.
pub static RECORD: Mutex<Option<Vec<u8>>> = Mutex::new(None);
static REVISION: Mutex<u64> = Mutex::new(1);

fn refuse(reply: *mut cyborg_kms_reply, status: cyborg_kms_status) {
    // SAFETY: the reply is this callback's, texts may be NULL.
    unsafe { cyborg_kms_reply_error(reply, status, null(), null()) };
}

unsafe extern "C" fn get(_: *const c_char, reply: *mut cyborg_kms_reply, _: *mut c_void) {
    match &*RECORD.lock().expect("unpoisoned") {
        None => refuse(reply, CYBORG_KMS_NOT_FOUND),
        // SAFETY: the reply is this callback's, the bytes live for the call.
        Some(record) => unsafe {
            cyborg_kms_reply_bytes(reply, record.as_ptr(), record.len(), *REVISION.lock().expect("unpoisoned"));
        },
    }
}

unsafe extern "C" fn put(
    _: *const c_char,
    data: *const u8,
    len: usize,
    expected: u64,
    reply: *mut cyborg_kms_reply,
    _: *mut c_void,
) {
    // SAFETY: as the library promises its callbacks.
    let data = unsafe { std::slice::from_raw_parts(data, len) }.to_vec();
    let (mut record, mut revision) = (RECORD.lock().expect("unpoisoned"), REVISION.lock().expect("unpoisoned"));
    if expected != if record.is_some() { *revision } else { CYBORG_KMS_REVISION_ABSENT } {
        return refuse(reply, CYBORG_KMS_CONFLICT);
    }
    *revision += 1;
    *record = Some(data);
    // SAFETY: the reply is this callback's.
    unsafe { cyborg_kms_reply_bytes(reply, null(), 0, *revision) };
}

unsafe extern "C" fn remove(_: *const c_char, _: u64, reply: *mut cyborg_kms_reply, _: *mut c_void) {
    *RECORD.lock().expect("unpoisoned") = None;
    // SAFETY: the reply is this callback's.
    unsafe { cyborg_kms_reply_bytes(reply, null(), 0, 0) };
}

unsafe extern "C" fn list(
    _: *const c_char,
    _: cyborg_kms_name_callback,
    _: *mut c_void,
    reply: *mut cyborg_kms_reply,
    _: *mut c_void,
) {
    // SAFETY: the reply is this callback's.
    unsafe { cyborg_kms_reply_bytes(reply, null(), 0, 0) };
}

/// The KEK of the vectors' index with this number; see `tests/vectors/make.rs`.
pub fn kek(number: u8) -> [u8; 32] {
    std::array::from_fn(|at| number.wrapping_mul(40).wrapping_add(at as u8))
}

/// Seals, opens, derives: what works on an index that opened, whatever its record. Returns whether it has data keys.
pub fn use_index(index: *mut cyborg_kms_index) -> bool {
    let (mut sealed, mut opened, mut len) = ([0; 148], [0; 100], 0);
    let page = [7; 100];
    let status = call!(cyborg_kms_index_encrypt(
        index,
        null(),
        0,
        page.as_ptr(),
        page.len(),
        sealed.as_mut_ptr(),
        sealed.len(),
        &raw mut len,
    ));
    let mut key = [0; 32];
    call!(cyborg_kms_index_derive_key(index, c"label".as_ptr(), null(), 0, key.as_mut_ptr(), 32));
    call!(cyborg_kms_index_export_kek(index, 1, key.as_mut_ptr(), 32));
    if status != CYBORG_KMS_OK {
        assert_eq!(status, CYBORG_KMS_UNSUPPORTED, "an open index seals");
        return false;
    }
    let again = call!(cyborg_kms_index_decrypt(
        index,
        null(),
        0,
        sealed.as_ptr(),
        len,
        opened.as_mut_ptr(),
        opened.len(),
        &raw mut len,
    ));
    assert_eq!((again, opened), (CYBORG_KMS_OK, page));
    true
}
