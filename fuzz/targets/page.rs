//! The input is what a page file could hold: the AAD's length, the AAD, the sealed page. Every way to open it agrees,
//! and whatever opens was sealed by the index. The index is the vectors' "none".
#![no_main]

use std::ptr::null_mut;
use std::sync::OnceLock;

use cyborg_kms_fuzz::*;
use libfuzzer_sys::fuzz_target;

struct Index(*mut cyborg_kms_index);
// SAFETY: the C API lets many threads use it.
unsafe impl Send for Index {}
// SAFETY: as above.
unsafe impl Sync for Index {}

fn the_index() -> *mut cyborg_kms_index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    let made = INDEX.get_or_init(|| {
        let record = include_bytes!("../../tests/vectors/v1/_catalog/config/none.kms.cat");
        *RECORD.lock().expect("unpoisoned") = Some(record.to_vec());
        let (engine, kek, mut index) = (engine("{}"), kek(3), null_mut());
        let opened =
            call!(cyborg_kms_index_open_with_key(engine, c"none".as_ptr(), kek.as_ptr(), 32, &raw mut index));
        assert_eq!(opened, CYBORG_KMS_OK);
        // SAFETY: ours; the index keeps what it needs of it.
        unsafe { cyborg_kms_engine_free(engine) };
        Index(index)
    });
    made.0
}

fuzz_target!(|data: &[u8]| {
    let Some((aad_len, rest)) = data.split_first() else { return };
    let (aad, sealed) = rest.split_at(rest.len().min(usize::from(*aad_len)));
    let index = the_index();

    let mut apart = vec![0xa5; sealed.len()];
    let mut len = 0;
    let status = call!(cyborg_kms_index_decrypt(
        index,
        aad.as_ptr(),
        aad.len(),
        sealed.as_ptr(),
        sealed.len(),
        apart.as_mut_ptr(),
        apart.len(),
        &raw mut len,
    ));
    let known = [CYBORG_KMS_OK, CYBORG_KMS_CORRUPT, CYBORG_KMS_AUTHENTICATION_FAILED];
    assert!(known.contains(&status), "{status}");
    if status != CYBORG_KMS_OK {
        assert_eq!(len, 0);
    }

    let mut in_place = sealed.to_vec();
    let mut in_place_len = 0;
    let at = in_place.as_mut_ptr();
    let again = call!(cyborg_kms_index_decrypt(
        index,
        aad.as_ptr(),
        aad.len(),
        at.cast_const(),
        sealed.len(),
        at,
        sealed.len(),
        &raw mut in_place_len,
    ));
    assert_eq!((again, in_place_len), (status, len));
    assert_eq!(in_place[..len], apart[..len]);

    if let Some(body_len) = sealed.len().checked_sub(CYBORG_KMS_OVERHEAD) {
        let (head, rest) = sealed.split_at(32);
        let (body, tag) = rest.split_at(body_len);
        let mut output = vec![0; body_len];
        let detached = call!(cyborg_kms_index_decrypt_detached(
            index,
            aad.as_ptr(),
            aad.len(),
            body.as_ptr(),
            body_len,
            [head, tag].concat().as_ptr(),
            output.as_mut_ptr(),
        ));
        assert_eq!(detached, status);
        assert_eq!(output[..len], apart[..len]);
        if status != CYBORG_KMS_OK {
            assert!(status == CYBORG_KMS_CORRUPT || output.iter().all(|byte| *byte == 0));
        }
    }

    let mut key = [0xa5; 32];
    let unwrapped =
        call!(cyborg_kms_index_unwrap_data_key(index, sealed.as_ptr(), sealed.len(), key.as_mut_ptr(), 32));
    assert!(known.contains(&unwrapped), "{unwrapped}");
    assert!(unwrapped == CYBORG_KMS_OK || key == [0; 32]);
    let mut id = 0;
    call!(cyborg_kms_page_data_key_id(sealed.as_ptr(), sealed.len(), &raw mut id));
});
