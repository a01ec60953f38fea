//! The input says how a provider of the caller's answers: for each answer a byte that says which kind and its data.
//!
//! | kind | answer | data |
//! | --- | --- | --- |
//! | 0 | the input with bits flipped: right | |
//! | 1 | no bytes | |
//! | 2 | so many bytes | their number |
//! | 3 | a failure | status, length of the texts, the texts |
//! | 4 | none: the reply is freed | |
#![no_main]

use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;

use cyborg_kms_fuzz::*;
use libfuzzer_sys::fuzz_target;

static SCRIPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn next(script: &mut Vec<u8>) -> u8 {
    if script.is_empty() { 0 } else { script.remove(0) }
}

unsafe extern "C" fn answer(
    _: *const c_char,
    _: *const u8,
    _: usize,
    data: *const u8,
    len: usize,
    reply: *mut cyborg_kms_reply,
    _: *mut c_void,
) {
    let mut script = SCRIPT.lock().expect("unpoisoned");
    // SAFETY: as the library promises its callbacks; the reply is this callback's.
    unsafe {
        match next(&mut script) % 5 {
            0 => {
                let bytes: Vec<u8> = std::slice::from_raw_parts(data, len).iter().map(|byte| byte ^ 0x5a).collect();
                cyborg_kms_reply_bytes(reply, bytes.as_ptr(), bytes.len(), 0);
            }
            1 => cyborg_kms_reply_bytes(reply, null(), 0, u64::MAX),
            2 => {
                // Up to more than the longest wrap.
                let bytes = vec![0x77; usize::from(next(&mut script)) * 300 + 32];
                cyborg_kms_reply_bytes(reply, bytes.as_ptr(), bytes.len(), 0);
            }
            3 => {
                let status = u32::from(next(&mut script));
                let len = usize::from(next(&mut script)).min(script.len());
                let mut words: Vec<u8> = script.drain(..len).collect();
                words.retain(|byte| *byte != 0);
                let words = CString::new(words).expect("without NUL");
                cyborg_kms_reply_error(reply, status, words.as_ptr(), words.as_ptr());
            }
            _ => cyborg_kms_reply_free(reply),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    *SCRIPT.lock().expect("unpoisoned") = data.to_vec();
    *RECORD.lock().expect("unpoisoned") = None;
    let engine = engine(
        "kms: {registry: {ours: {provider: \"external:ours\", key_id: k, max_retries: 0}}}\ncache: {ttl: 0s}\n",
    );
    let callbacks = cyborg_kms_provider_callbacks {
        struct_size: size_of::<cyborg_kms_provider_callbacks>(),
        wrap: Some(answer),
        unwrap: Some(answer),
        destroy: None,
    };
    let registered =
        call!(cyborg_kms_engine_register_provider(engine, c"ours".as_ptr(), &raw const callbacks, null_mut()));
    assert_eq!(registered, CYBORG_KMS_OK);
    let mut index = null_mut();
    let created = call!(cyborg_kms_index_create(engine, c"a".as_ptr(), c"ours".as_ptr(), &raw mut index));
    let stored = RECORD.lock().expect("unpoisoned").is_some();
    assert_eq!(created == CYBORG_KMS_OK, stored, "a record without a wrap that can be undone");
    if created == CYBORG_KMS_OK {
        assert!(use_index(index));
        let mut again = null_mut();
        if call!(cyborg_kms_index_open(engine, c"a".as_ptr(), &raw mut again)) == CYBORG_KMS_OK {
            assert!(use_index(again));
        }
        // SAFETY: NULL, or ours.
        unsafe { cyborg_kms_index_free(again) };
        // With a provider that answers rightly it opens, whatever was answered before.
        SCRIPT.lock().expect("unpoisoned").clear();
        let mut last = null_mut();
        let opened = call!(cyborg_kms_index_open(engine, c"a".as_ptr(), &raw mut last));
        assert_eq!(opened, CYBORG_KMS_OK);
        // SAFETY: ours.
        unsafe { cyborg_kms_index_free(last) };
    }
    // SAFETY: each is NULL or ours.
    unsafe {
        cyborg_kms_index_free(index);
        cyborg_kms_engine_free(engine);
    }
});
