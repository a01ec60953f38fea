//! The envelope record as a value: `cyborg_kms_blob`.

use std::ffi::c_char;

use super::arg;
use super::buffer::cyborg_kms_buffer;
use super::error::cyborg_kms_error;
use super::handle::Owned;
use super::status::{cyborg_kms_status, guard, guard_value};
use crate::blob::Blob;
use crate::error::{Result, fail};

/// An envelope record's fields, CyborgDB's `KMSBlob`. A plain value: one thread at a time. Owned by the caller:
/// `cyborg_kms_blob_free`.
#[derive(Debug)]
pub struct cyborg_kms_blob {
    _opaque: [u8; 0],
}

impl Owned for cyborg_kms_blob {
    type Value = BlobValue;
}

/// A blob with its texts as C strings, which live until they are set anew.
#[derive(Debug, Default)]
pub struct BlobValue {
    blob: Blob,
    kms_name: Text,
    provider: Text,
    key_id: Text,
    region: Text,
}

/// NUL-terminated; a record can hold NULs inside, hence the length of its getter.
#[derive(Debug)]
struct Text(Vec<u8>);

impl Default for Text {
    fn default() -> Text {
        Text::from("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text([text.as_bytes(), b"\0"].concat())
    }
}

impl From<Blob> for BlobValue {
    fn from(blob: Blob) -> BlobValue {
        BlobValue {
            kms_name: blob.kms_name.as_str().into(),
            provider: blob.provider.as_str().into(),
            key_id: blob.key_id.as_str().into(),
            region: blob.region.as_str().into(),
            blob,
        }
    }
}

impl BlobValue {
    /// The fields.
    pub(super) fn blob(&self) -> &Blob {
        &self.blob
    }
}

/// The longest text or wrap that a record could hold.
const MAX_FIELD: usize = crate::store::MAX_RECORD;

/// A blob without texts or wrapped KEK, version 1, created_at 0. Never NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn cyborg_kms_blob_new() -> *mut cyborg_kms_blob {
    guard_value(std::ptr::null_mut(), || cyborg_kms_blob::give(BlobValue::default()))
}

/// Frees a blob; NULL does nothing.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed; it is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_free(blob: *mut cyborg_kms_blob) {
    // SAFETY: as the caller promises.
    guard_value((), || drop(unsafe { cyborg_kms_blob::take(blob) }));
}

/// # Safety
/// `blob` is NULL or a live blob, `text` NULL or NUL-terminated.
unsafe fn set_text(
    blob: *mut cyborg_kms_blob,
    text: *const c_char,
    name: &str,
    field: impl FnOnce(&mut BlobValue) -> (&mut String, &mut Text),
) -> Result<()> {
    // SAFETY: as the caller promises.
    let (value, text) = unsafe { (arg::owned_mut(blob, "blob")?, arg::text(text, name)?) };
    if text.len() > MAX_FIELD {
        return Err(fail!(InvalidArgument, "{name} has {} bytes, a record holds at most 1 MiB", text.len()));
    }
    let (own, c) = field(value);
    *own = text.to_owned();
    *c = text.into();
    Ok(())
}

/// # Safety
/// `blob` is NULL or a live blob, `len` NULL or a valid place.
unsafe fn get_text(
    blob: *const cyborg_kms_blob,
    len: *mut usize,
    field: impl FnOnce(&BlobValue) -> &Text,
) -> *const c_char {
    guard_value(c"".as_ptr(), || {
        // SAFETY: as the caller promises.
        let text = unsafe { cyborg_kms_blob::borrow(blob) }.map(field);
        // SAFETY: as the caller promises.
        if let Some(len) = unsafe { len.as_mut() } {
            *len = text.map_or(0, |text| text.0.len().saturating_sub(1));
        }
        text.map_or(c"".as_ptr(), |text| text.0.as_ptr().cast())
    })
}

/// Sets the slot's name in the registry.
///
/// `kms_name`: copied; "" for none. Returns `INVALID_ARGUMENT` (NULL, not UTF-8, more than 1 MiB).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread uses; `kms_name` is NULL or NUL-terminated;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_set_kms_name(
    blob: *mut cyborg_kms_blob,
    kms_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            set_text(blob, kms_name, "kms_name", |value| (&mut value.blob.kms_name, &mut value.kms_name))
        })
    }
}

/// Sets the provider, such as "aws-kms"; any text is stored.
///
/// `provider`: copied; "" for none. Returns `INVALID_ARGUMENT` (NULL, not UTF-8, more than 1 MiB).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread uses; `provider` is NULL or NUL-terminated;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_set_provider(
    blob: *mut cyborg_kms_blob,
    provider: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            set_text(blob, provider, "provider", |value| (&mut value.blob.provider, &mut value.provider))
        })
    }
}

/// Sets the provider's name of the wrapping key.
///
/// `key_id`: copied; "" for none. Returns `INVALID_ARGUMENT` (NULL, not UTF-8, more than 1 MiB).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread uses; `key_id` is NULL or NUL-terminated;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_set_key_id(
    blob: *mut cyborg_kms_blob,
    key_id: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || set_text(blob, key_id, "key_id", |value| (&mut value.blob.key_id, &mut value.key_id)))
    }
}

/// Sets the provider's region.
///
/// `region`: copied; "" for none. Returns `INVALID_ARGUMENT` (NULL, not UTF-8, more than 1 MiB).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread uses; `region` is NULL or NUL-terminated;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_set_region(
    blob: *mut cyborg_kms_blob,
    region: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || set_text(blob, region, "region", |value| (&mut value.blob.region, &mut value.region)))
    }
}

/// Sets the wrapped KEK.
///
/// `data`, `len`: what the provider gave; copied; empty for provider none.
/// Returns `INVALID_ARGUMENT` (NULL blob, NULL data with a length, more than 1 MiB).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread uses; `data` points to `len` bytes;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_set_wrapped_kek(
    blob: *mut cyborg_kms_blob,
    data: *const u8,
    len: usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let value = arg::owned_mut(blob, "blob")?;
            if len > MAX_FIELD {
                return Err(fail!(
                    InvalidArgument,
                    "the wrapped KEK has {len} bytes, a record holds at most 1 MiB"
                ));
            }
            value.blob.wrapped_kek = arg::bytes(data, len, "data")?.to_vec();
            Ok(())
        })
    }
}

/// Sets the envelope's version, 1 and up: one more with each new wrap.
///
/// Returns `INVALID_ARGUMENT` (NULL blob, version 0).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread uses; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_set_version(
    blob: *mut cyborg_kms_blob,
    version: u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let value = arg::owned_mut(blob, "blob")?;
            if version == 0 {
                return Err(fail!(InvalidArgument, "the envelope version is 0: versions start at 1"));
            }
            value.blob.version = version;
            Ok(())
        })
    }
}

/// Sets the time of creation in unix seconds; may be negative.
///
/// Returns `INVALID_ARGUMENT` (NULL blob).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread uses; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_set_created_at(
    blob: *mut cyborg_kms_blob,
    unix_seconds: i64,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            arg::owned_mut(blob, "blob")?.blob.created_at = unix_seconds;
            Ok(())
        })
    }
}

/// The slot's name in the registry; "" for NULL.
///
/// `len`: gets the length in bytes without the last NUL (a record can hold NULs inside); may be NULL.
/// Borrowed from the blob until it is set anew or freed.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed; `len` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_kms_name(
    blob: *const cyborg_kms_blob,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { get_text(blob, len, |value| &value.kms_name) }
}

/// The provider, such as "aws-kms"; any text is stored; "" for NULL.
///
/// `len`: gets the length in bytes without the last NUL (a record can hold NULs inside); may be NULL.
/// Borrowed from the blob until it is set anew or freed.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed; `len` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_provider(
    blob: *const cyborg_kms_blob,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { get_text(blob, len, |value| &value.provider) }
}

/// The provider's name of the wrapping key; "" for NULL.
///
/// `len`: gets the length in bytes without the last NUL (a record can hold NULs inside); may be NULL.
/// Borrowed from the blob until it is set anew or freed.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed; `len` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_key_id(
    blob: *const cyborg_kms_blob,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { get_text(blob, len, |value| &value.key_id) }
}

/// The provider's region; "" for NULL.
///
/// `len`: gets the length in bytes without the last NUL (a record can hold NULs inside); may be NULL.
/// Borrowed from the blob until it is set anew or freed.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed; `len` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_region(
    blob: *const cyborg_kms_blob,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { get_text(blob, len, |value| &value.region) }
}

/// The wrapped KEK, which is not secret; NULL where it is empty, and for NULL.
///
/// `len`: gets its length in bytes; may be NULL. Borrowed from the blob until it is set anew or freed.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed; `len` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_wrapped_kek(
    blob: *const cyborg_kms_blob,
    len: *mut usize,
) -> *const u8 {
    guard_value(std::ptr::null(), || {
        // SAFETY: as the caller promises.
        let wrapped =
            unsafe { cyborg_kms_blob::borrow(blob) }.map_or(&[][..], |value| &value.blob.wrapped_kek);
        // SAFETY: as the caller promises.
        if let Some(len) = unsafe { len.as_mut() } {
            *len = wrapped.len();
        }
        if wrapped.is_empty() { std::ptr::null() } else { wrapped.as_ptr() }
    })
}

/// The envelope's version; 0 for NULL.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_version(blob: *const cyborg_kms_blob) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { cyborg_kms_blob::borrow(blob) }.map_or(0, |value| value.blob.version)
}

/// The time of creation in unix seconds; 0 for NULL.
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_created_at(blob: *const cyborg_kms_blob) -> i64 {
    // SAFETY: as the caller promises.
    unsafe { cyborg_kms_blob::borrow(blob) }.map_or(0, |value| value.blob.created_at)
}

/// The blob as a stored record of CyborgDB's kind (a FlatBuffer; `docs/format.md`).
///
/// `out`: gets a buffer of the caller's: `cyborg_kms_buffer_free`.
/// Returns `INVALID_ARGUMENT` (NULL, or a record of more than 1 MiB).
///
/// # Safety
/// `blob` is NULL or a blob that has not been freed and that no other thread changes; `out` is NULL or a valid
/// place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_encode(
    blob: *const cyborg_kms_blob,
    out: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            *out = cyborg_kms_buffer::give(arg::owned(blob, "blob")?.blob.encode()?.into());
            Ok(())
        })
    }
}

/// Reads a stored record of either kind; bytes behind it are ignored.
///
/// `out`: gets a blob of the caller's: `cyborg_kms_blob_free`.
/// Returns `INVALID_ARGUMENT` (NULL), `CORRUPT` (no record, a field out of its range, more than 1 MiB).
///
/// # Safety
/// `data` points to `len` bytes; `out` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_blob_decode(
    data: *const u8,
    len: usize,
    out: *mut *mut cyborg_kms_blob,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            *out = cyborg_kms_blob::give(Blob::decode(arg::bytes(data, len, "data")?)?.into());
            Ok(())
        })
    }
}
