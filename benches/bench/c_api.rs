//! The C API as a C program calls it; a failed call ends the run with its message.

#![allow(unsafe_code)] // the C API is what is measured

use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use cyborg_kms::ffi;

/// A NUL-terminated copy.
pub fn text(text: &str) -> CString {
    CString::new(text).expect("no NUL in it")
}

/// Calls a function whose last parameter is `error`.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let mut error: *mut ffi::cyborg_kms_error = null_mut();
        // SAFETY: every pointer is a live handle, NULL where that is allowed, or of a value that outlives the call.
        let status = unsafe { ffi::$function($($argument,)* &raw mut error) };
        if status != 0 {
            fail(stringify!($function), error);
        }
    }};
}

#[cold]
fn fail(function: &str, error: *const ffi::cyborg_kms_error) -> ! {
    // SAFETY: a failed call set `error`; nobody frees it.
    let message = unsafe { CStr::from_ptr(ffi::cyborg_kms_error_message(error)) };
    panic!("{function}: {}", message.to_string_lossy())
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $free:ident) => {
        $(#[$doc])*
        pub struct $name(*mut ffi::$raw);

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: owned, and freed here only.
                unsafe { ffi::$free(self.0) };
            }
        }
    };
}

handle!(/** An engine. */ Engine, cyborg_kms_engine, cyborg_kms_engine_free);
handle!(/** An open index. */ Index, cyborg_kms_index, cyborg_kms_index_free);
handle!(/** A store. */ Store, cyborg_kms_store, cyborg_kms_store_free);
handle!(/** A record's fields. */ Blob, cyborg_kms_blob, cyborg_kms_blob_free);

// SAFETY: the C API lets many threads use these handles at once.
unsafe impl Sync for Engine {}
// SAFETY: as for Engine.
unsafe impl Sync for Index {}
// SAFETY: as for Engine.
unsafe impl Sync for Store {}

impl Engine {
    /// `cyborg_kms_engine_open_yaml`
    pub fn open(yaml: &str) -> Engine {
        let (yaml, mut out) = (text(yaml), null_mut());
        call!(cyborg_kms_engine_open_yaml(yaml.as_ptr(), &raw mut out));
        Engine(out)
    }

    /// `cyborg_kms_engine_register_provider`
    pub fn register(&self, name: &str, callbacks: &ffi::cyborg_kms_provider_callbacks) {
        let name = text(name);
        call!(cyborg_kms_engine_register_provider(self.0, name.as_ptr(), callbacks, null_mut::<c_void>()));
    }

    /// `cyborg_kms_index_create`
    pub fn create_index(&self, name: &CStr, slot: &CStr) -> Index {
        let mut out = null_mut();
        call!(cyborg_kms_index_create(self.0, name.as_ptr(), slot.as_ptr(), &raw mut out));
        Index(out)
    }

    /// `cyborg_kms_index_open`
    pub fn open_index(&self, name: &CStr) -> Index {
        let mut out = null_mut();
        call!(cyborg_kms_index_open(self.0, name.as_ptr(), &raw mut out));
        Index(out)
    }

    /// `cyborg_kms_engine_evict`, of all
    pub fn evict(&self) {
        call!(cyborg_kms_engine_evict(self.0, null()));
    }

    /// `cyborg_kms_engine_check`
    pub fn check(&self, slot: &CStr) {
        call!(cyborg_kms_engine_check(self.0, slot.as_ptr()));
    }

    /// `cyborg_kms_engine_reload`
    pub fn reload(&self, yaml: &str) {
        let yaml = text(yaml);
        call!(cyborg_kms_engine_reload(self.0, yaml.as_ptr()));
    }

    /// `cyborg_kms_engine_sync`, at a rate of requests
    pub fn sync(&self, requests_per_second: u32) {
        let options = ffi::cyborg_kms_sync_options {
            struct_size: size_of::<ffi::cyborg_kms_sync_options>(),
            dry_run: std::mem::MaybeUninit::new(false),
            concurrency: 0,
            requests_per_second,
        };
        let no_report = null_mut();
        call!(cyborg_kms_engine_sync(self.0, &raw const options, None, null_mut(), no_report));
    }

    /// `cyborg_kms_engine_stats`: calls to a KMS so far
    pub fn kms_calls(&self) -> u64 {
        // SAFETY: plain numbers: all zero is a value.
        let mut stats: ffi::cyborg_kms_stats = unsafe { std::mem::zeroed() };
        stats.struct_size = size_of::<ffi::cyborg_kms_stats>();
        call!(cyborg_kms_engine_stats(self.0, &raw mut stats));
        stats.kms_calls
    }
}

impl Index {
    /// `cyborg_kms_index_encrypt` in place: the plaintext is at `page[32..page.len() - 16]`
    pub fn encrypt_in_place(&self, aad: &[u8], page: &mut [u8]) {
        let (at, len) = (page.as_mut_ptr(), page.len());
        let mut sealed = 0;
        call!(cyborg_kms_index_encrypt(
            self.0,
            aad.as_ptr(),
            aad.len(),
            at.cast_const().wrapping_add(32),
            len - 48,
            at,
            len,
            &raw mut sealed,
        ));
        assert_eq!(sealed, len);
    }

    /// `cyborg_kms_index_decrypt` into another buffer
    pub fn decrypt(&self, aad: &[u8], sealed: &[u8], out: &mut [u8]) {
        let mut len = 0;
        call!(cyborg_kms_index_decrypt(
            self.0,
            aad.as_ptr(),
            aad.len(),
            sealed.as_ptr(),
            sealed.len(),
            out.as_mut_ptr(),
            out.len(),
            &raw mut len,
        ));
        assert_eq!(len, sealed.len() - 48);
    }

    /// `cyborg_kms_index_generate_data_key`: the key and its wrapped form
    pub fn generate_data_key(&self) -> ([u8; 32], [u8; 80]) {
        let (mut key, mut wrapped, mut buffer) = ([0; 32], [0; 80], null_mut());
        call!(cyborg_kms_index_generate_data_key(self.0, key.as_mut_ptr(), key.len(), &raw mut buffer));
        // SAFETY: the buffer is owned, has 80 bytes, and is freed once.
        unsafe {
            ffi::cyborg_kms_buffer_data(buffer).copy_to_nonoverlapping(wrapped.as_mut_ptr(), wrapped.len());
            ffi::cyborg_kms_buffer_free(buffer);
        }
        (key, wrapped)
    }

    /// `cyborg_kms_index_unwrap_data_key`
    pub fn unwrap_data_key(&self, wrapped: &[u8; 80]) -> [u8; 32] {
        let mut key = [0; 32];
        call!(cyborg_kms_index_unwrap_data_key(
            self.0,
            wrapped.as_ptr(),
            wrapped.len(),
            key.as_mut_ptr(),
            key.len(),
        ));
        key
    }

    /// `cyborg_kms_index_encrypt_detached` in place
    pub fn encrypt_detached(&self, aad: &[u8], page: &mut [u8], overhead: &mut [u8; 48]) {
        let at = page.as_mut_ptr();
        call!(cyborg_kms_index_encrypt_detached(
            self.0,
            aad.as_ptr(),
            aad.len(),
            at.cast_const(),
            page.len(),
            at,
            overhead.as_mut_ptr().cast(),
        ));
    }

    /// `cyborg_kms_index_decrypt_detached` into another buffer
    pub fn decrypt_detached(&self, aad: &[u8], ciphertext: &[u8], overhead: &[u8; 48], out: &mut [u8]) {
        call!(cyborg_kms_index_decrypt_detached(
            self.0,
            aad.as_ptr(),
            aad.len(),
            ciphertext.as_ptr(),
            ciphertext.len(),
            overhead.as_ptr().cast(),
            out.as_mut_ptr(),
        ));
    }
}

impl Store {
    /// `cyborg_kms_store_open`
    pub fn open(root: &Path) -> Store {
        Store::open_url(root.to_str().expect("a UTF-8 path"))
    }

    /// The same by a URL.
    pub fn open_url(url: &str) -> Store {
        let (url, mut out) = (text(url), null_mut());
        call!(cyborg_kms_store_open(url.as_ptr(), &raw mut out));
        Store(out)
    }

    /// `cyborg_kms_create_index_kms`
    pub fn create(&self, name: &CStr, blob: &Blob) {
        call!(cyborg_kms_create_index_kms(self.0, name.as_ptr(), blob.0));
    }

    /// `cyborg_kms_push_index_kms`
    pub fn push(&self, name: &CStr, blob: &Blob) {
        call!(cyborg_kms_push_index_kms(self.0, name.as_ptr(), blob.0));
    }

    /// `cyborg_kms_get_index_kms`
    pub fn get(&self, name: &CStr) -> Blob {
        let mut out = null_mut();
        call!(cyborg_kms_get_index_kms(self.0, name.as_ptr(), &raw mut out));
        Blob(out)
    }
}

impl Blob {
    /// A record as CyborgDB's service would store it for AWS KMS.
    pub fn sample() -> Blob {
        // SAFETY: no arguments; NULL is not returned.
        let blob = Blob(ffi::cyborg_kms_blob_new());
        call!(cyborg_kms_blob_set_kms_name(blob.0, c"prod".as_ptr()));
        call!(cyborg_kms_blob_set_provider(blob.0, c"aws-kms".as_ptr()));
        call!(cyborg_kms_blob_set_key_id(blob.0, c"arn:aws:kms:us-east-1:123456789012:key/abcd".as_ptr()));
        call!(cyborg_kms_blob_set_region(blob.0, c"us-east-1".as_ptr()));
        blob.set_wrapped_kek(&[7; 60]);
        call!(cyborg_kms_blob_set_version(blob.0, 1));
        call!(cyborg_kms_blob_set_created_at(blob.0, 1_763_760_000));
        blob
    }

    /// `cyborg_kms_blob_set_wrapped_kek`
    pub fn set_wrapped_kek(&self, wrapped: &[u8]) {
        call!(cyborg_kms_blob_set_wrapped_kek(self.0, wrapped.as_ptr(), wrapped.len()));
    }
}
