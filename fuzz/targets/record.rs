//! The input is a stored record: decoded as a blob, opened by a KMS that answers rightly, opened with a key, pushed on.
#![no_main]

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;

use cyborg_kms_fuzz::*;
use libfuzzer_sys::fuzz_target;

struct Engine(*mut cyborg_kms_engine);
// SAFETY: the C API lets many threads use it.
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

/// Undoes a bit flip, as the KMS of the vectors does.
unsafe extern "C" fn flip(
    _: *const c_char,
    _: *const u8,
    _: usize,
    data: *const u8,
    len: usize,
    reply: *mut cyborg_kms_reply,
    _: *mut c_void,
) {
    // SAFETY: as the library promises its callbacks; the reply is this callback's.
    unsafe {
        let bytes: Vec<u8> = match len {
            0 => Vec::new(),
            len => std::slice::from_raw_parts(data, len).iter().map(|byte| byte ^ 0x5a).collect(),
        };
        cyborg_kms_reply_bytes(reply, bytes.as_ptr(), bytes.len(), 0);
    }
}

fn the_engine() -> *mut cyborg_kms_engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let made = ENGINE.get_or_init(|| {
        let engine = engine(
            "kms: {registry: {flip: {provider: \"external:flip\", key_id: any, max_retries: 0}}}\ncache: {ttl: 0s}\n",
        );
        let callbacks = cyborg_kms_provider_callbacks {
            struct_size: size_of::<cyborg_kms_provider_callbacks>(),
            wrap: Some(flip),
            unwrap: Some(flip),
            destroy: None,
        };
        let registered = call!(cyborg_kms_engine_register_provider(
            engine,
            c"flip".as_ptr(),
            &raw const callbacks,
            null_mut()
        ));
        assert_eq!(registered, CYBORG_KMS_OK);
        Engine(engine)
    });
    made.0
}

/// A blob that decodes has an encoding that decodes to the same fields.
fn round_trip(data: &[u8]) -> Option<*mut cyborg_kms_blob> {
    let (mut blob, mut again, mut encoded) = (null_mut(), null_mut(), null_mut());
    let status = call!(cyborg_kms_blob_decode(data.as_ptr(), data.len(), &raw mut blob));
    if status != CYBORG_KMS_OK {
        assert_eq!(status, CYBORG_KMS_CORRUPT);
        return None;
    }
    let status = call!(cyborg_kms_blob_encode(blob, &raw mut encoded));
    assert_eq!(status, CYBORG_KMS_OK);
    // SAFETY: live handles of this function's; what getters give lives as long.
    unsafe {
        let (at, len) = (cyborg_kms_buffer_data(encoded), cyborg_kms_buffer_len(encoded));
        assert_eq!(call!(cyborg_kms_blob_decode(at, len, &raw mut again)), CYBORG_KMS_OK);
        let fields = |blob: *const cyborg_kms_blob| {
            let mut len = 0;
            let wrapped = cyborg_kms_blob_wrapped_kek(blob, &raw mut len);
            let wrapped = if len == 0 { Vec::new() } else { std::slice::from_raw_parts(wrapped, len).to_vec() };
            (wrapped, cyborg_kms_blob_version(blob), cyborg_kms_blob_created_at(blob))
        };
        assert_eq!(fields(blob), fields(again));
        cyborg_kms_buffer_free(encoded);
        cyborg_kms_blob_free(again);
    }
    Some(blob)
}

fuzz_target!(|data: &[u8]| {
    let blob = round_trip(data);
    let engine = the_engine();
    *RECORD.lock().expect("unpoisoned") = (!data.is_empty()).then(|| data.to_vec());
    for name in [c"flipped", c"rotated"] {
        let mut index = null_mut();
        if call!(cyborg_kms_index_open(engine, name.as_ptr(), &raw mut index)) == CYBORG_KMS_OK {
            use_index(index);
        }
        // SAFETY: NULL, or ours.
        unsafe { cyborg_kms_index_free(index) };
    }
    let (mut index, kek) = (null_mut(), kek(3));
    let opened =
        call!(cyborg_kms_index_open_with_key(engine, c"none".as_ptr(), kek.as_ptr(), 32, &raw mut index));
    if opened == CYBORG_KMS_OK {
        use_index(index);
    }
    let mut store = null_mut();
    assert_eq!(call!(cyborg_kms_engine_store(engine, &raw mut store)), CYBORG_KMS_OK);
    if let Some(blob) = blob {
        call!(cyborg_kms_blob_set_wrapped_kek(blob, kek.as_ptr(), kek.len()));
        call!(cyborg_kms_blob_set_version(blob, 9));
        if call!(cyborg_kms_push_index_kms(store, c"none".as_ptr(), blob)) == CYBORG_KMS_OK {
            let pushed = RECORD.lock().expect("unpoisoned").clone().unwrap_or_default();
            let blob = round_trip(&pushed).expect("what a push writes can be read");
            // SAFETY: ours.
            unsafe { cyborg_kms_blob_free(blob) };
        }
    }
    // SAFETY: each is NULL or ours.
    unsafe {
        cyborg_kms_store_free(store);
        cyborg_kms_index_free(index);
        cyborg_kms_blob_free(blob.unwrap_or(null_mut()));
    }
});
