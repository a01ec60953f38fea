//! The input is a configuration: it opens and reloads, or is refused with a message.
#![no_main]

use std::ffi::CString;
use std::ptr::null_mut;

use cyborg_kms_fuzz::*;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(yaml) = CString::new(data) else { return };
    let known = [CYBORG_KMS_OK, CYBORG_KMS_CONFIG, CYBORG_KMS_UNSUPPORTED, CYBORG_KMS_INVALID_ARGUMENT];
    let (mut store, mut engine) = (null_mut(), null_mut());
    assert_eq!(call!(cyborg_kms_store_open(c"memory://".as_ptr(), &raw mut store)), CYBORG_KMS_OK);
    // With a store of the caller's, so that no folder of the input's choice is made.
    let status = call!(cyborg_kms_engine_open_yaml_with_store(yaml.as_ptr(), store, &raw mut engine));
    assert!(known.contains(&status), "{status}");
    assert_eq!(status == CYBORG_KMS_OK, !engine.is_null());
    if status == CYBORG_KMS_OK {
        assert_eq!(call!(cyborg_kms_engine_reload(engine, yaml.as_ptr())), CYBORG_KMS_OK);
        let mut index = null_mut();
        call!(cyborg_kms_index_open(engine, c"none".as_ptr(), &raw mut index));
        assert!(index.is_null());
    }
    // SAFETY: each is NULL or ours.
    unsafe {
        cyborg_kms_engine_free(engine);
        cyborg_kms_store_free(store);
    }
});
