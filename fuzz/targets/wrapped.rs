//! The input is a wrapped KEK, in a record that is otherwise good: by a `local` slot it opens or is refused.
#![no_main]

use std::os::unix::fs::PermissionsExt;
use std::ptr::null_mut;
use std::sync::OnceLock;

use cyborg_kms_fuzz::*;
use libfuzzer_sys::fuzz_target;

struct Place {
    engine: *mut cyborg_kms_engine,
    store: *mut cyborg_kms_store,
    blob: *mut cyborg_kms_blob,
    _folder: tempfile::TempDir,
}
// SAFETY: the C API lets many threads use engine and store; the blob is used by libFuzzer's one thread.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("wrap.key");
        std::fs::write(&file, b"the wrap key of the vectors (32)").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("set");
        let engine = engine(&format!(
            "kms: {{registry: {{own: {{provider: local, key_id: {}}}}}}}\ncache: {{ttl: 0s}}\n",
            file.display()
        ));
        let (mut store, blob) = (null_mut(), cyborg_kms_blob_new());
        assert_eq!(call!(cyborg_kms_engine_store(engine, &raw mut store)), CYBORG_KMS_OK);
        let path = text(file.to_str().expect("UTF-8"));
        call!(cyborg_kms_blob_set_kms_name(blob, c"own".as_ptr()));
        call!(cyborg_kms_blob_set_provider(blob, c"local".as_ptr()));
        call!(cyborg_kms_blob_set_key_id(blob, path.as_ptr()));
        Place { engine, store, blob, _folder: folder }
    })
}

fuzz_target!(|data: &[u8]| {
    let place = place();
    *RECORD.lock().expect("unpoisoned") = None;
    let set = call!(cyborg_kms_blob_set_wrapped_kek(place.blob, data.as_ptr(), data.len()));
    assert_eq!(set, CYBORG_KMS_OK);
    let made = call!(cyborg_kms_create_index_kms(place.store, c"a".as_ptr(), place.blob));
    assert_eq!(made, CYBORG_KMS_OK);
    let mut index = null_mut();
    let status = call!(cyborg_kms_index_open(place.engine, c"a".as_ptr(), &raw mut index));
    let known = [CYBORG_KMS_OK, CYBORG_KMS_CORRUPT, CYBORG_KMS_AUTHENTICATION_FAILED];
    assert!(known.contains(&status), "{status}");
    assert!(data.len() == 60 || status == CYBORG_KMS_CORRUPT);
    if status == CYBORG_KMS_OK {
        assert!(!use_index(index), "a record of CyborgDB's kind has no data keys");
    }
    // SAFETY: NULL, or ours.
    unsafe { cyborg_kms_index_free(index) };
});
