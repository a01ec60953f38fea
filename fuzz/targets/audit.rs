//! The input is an audit log's file: verified without a key and with one, with a head and without. It ends with half a
//! line or not; an engine appends to it whatever it is, and then the end is right.
#![no_main]

use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use cyborg_kms_fuzz::*;
use libfuzzer_sys::fuzz_target;

struct Place {
    folder: tempfile::TempDir,
    engine: *mut cyborg_kms_engine,
}
// SAFETY: the C API lets many threads use the engine.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// In memory where that can be: each input makes a line durable.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| Place { folder: folder(), engine: engine("{}") })
}

/// Verifies it; gives the status and the report.
fn verify(path: &std::ffi::CStr, key: &[u8], head: Option<&std::ffi::CStr>) -> (cyborg_kms_status, String) {
    let mut report = null_mut();
    let head = head.map_or(null(), std::ffi::CStr::as_ptr);
    // An empty one is refused, unless it is none.
    let at = if key.is_empty() { null() } else { key.as_ptr() };
    let status = call!(cyborg_kms_audit_verify(path.as_ptr(), at, key.len(), head, &raw mut report));
    (status, take(report))
}

fn take(buffer: *mut cyborg_kms_buffer) -> String {
    if buffer.is_null() {
        return String::new();
    }
    // SAFETY: a live buffer of ours, freed here.
    unsafe {
        let bytes = std::slice::from_raw_parts(cyborg_kms_buffer_data(buffer), cyborg_kms_buffer_len(buffer));
        let text = std::str::from_utf8(bytes).expect("UTF-8").to_owned();
        cyborg_kms_buffer_free(buffer);
        text
    }
}

fuzz_target!(|data: &[u8]| {
    let Place { folder, engine } = place();
    let file = folder.path().join("audit.log");
    let path = text(file.to_str().expect("UTF-8"));
    std::fs::write(&file, data).expect("a disk with space");
    let (without, report) = verify(&path, &[], None);
    assert!([CYBORG_KMS_OK, CYBORG_KMS_NOT_FOUND, CYBORG_KMS_CORRUPT].contains(&without), "{without} {report}");
    assert_eq!(report.contains("\"fault\":null"), without == CYBORG_KMS_OK, "{report}");
    let (with, report) = verify(&path, &kek(1), None);
    assert!(with != CYBORG_KMS_OK || without == CYBORG_KMS_OK, "a key makes nothing right: {report}");

    let mut head = null_mut();
    let has_head = call!(cyborg_kms_audit_head(path.as_ptr(), &raw mut head)) == CYBORG_KMS_OK;
    let head = text(&take(head));
    if has_head {
        let (with_head, report) = verify(&path, &[], Some(&head));
        assert_eq!(with_head, without, "its own head changes nothing: {report}");
    }
    // Appended to by an engine of now: a new one each time, or it would say that its lines are gone.
    let reload = text(&format!("audit: {{path: {}, on_error: fail}}\n", file.display()));
    let off = text("{}");
    assert_eq!(call!(cyborg_kms_engine_reload(*engine, reload.as_ptr())), CYBORG_KMS_OK);
    let (mut index, key) = (null_mut(), kek(2));
    *RECORD.lock().expect("unpoisoned") = None;
    let made = call!(cyborg_kms_index_create_with_key(
        *engine,
        c"a".as_ptr(),
        c"".as_ptr(),
        key.as_ptr(),
        32,
        &raw mut index
    ));
    assert_eq!(made, CYBORG_KMS_OK);
    // SAFETY: ours.
    unsafe { cyborg_kms_index_free(index) };
    assert_eq!(call!(cyborg_kms_engine_reload(*engine, off.as_ptr())), CYBORG_KMS_OK);
    if without == CYBORG_KMS_OK || without == CYBORG_KMS_NOT_FOUND {
        let (now, report) = verify(&path, &[], has_head.then_some(head.as_c_str()));
        assert_eq!(now, CYBORG_KMS_OK, "what was right goes on right: {report}");
    }
});
