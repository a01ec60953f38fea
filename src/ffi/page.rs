//! Sealing and opening pages, data keys, derived keys, the KEK itself.

use std::ffi::c_char;

use zeroize::Zeroize;

use super::arg;
use super::buffer::cyborg_kms_buffer;
use super::error::cyborg_kms_error;
use super::handle::Owned;
use super::index::{CYBORG_KMS_KEY_LEN, cyborg_kms_index};
use super::status::{cyborg_kms_status, guard};
use crate::crypto::derive::check_derived_len;
use crate::crypto::page::{Buffers, HEADER_LEN, NONCE_LEN, OVERHEAD, parse_header};
use crate::crypto::secret::SecretKey;
use crate::error::{Result, fail};
use crate::index::{Index, Input, sealed_len};

/// What sealing adds: sealed length = plaintext length + 48.
pub const CYBORG_KMS_OVERHEAD: usize = 48;

/// The longest page, in bytes.
pub const CYBORG_KMS_MAX_PLAINTEXT: usize = 1 << 30;

const _: () = assert!(CYBORG_KMS_OVERHEAD == OVERHEAD);
const _: () = assert!(CYBORG_KMS_MAX_PLAINTEXT == crate::crypto::page::MAX_PLAINTEXT);

/// Where a page's ciphertext starts in its sealed form.
const BODY: usize = HEADER_LEN + NONCE_LEN;

/// Seals a page: XAES-256-GCM under the index's current data key (`docs/format.md`).
///
/// `aad`, `aad_len`: bound to the page, not stored; the same is needed to open it (page number, table, …).
/// `plaintext`, `plaintext_len`: 0 bytes to 1 GiB. `out`, `out_capacity`: gets plaintext_len + 48 bytes; `out` may be
/// `plaintext` (which is moved), or `plaintext` may be `out` + 32 (nothing is moved); any other overlap is refused.
/// `out_len`: gets the sealed length, or what is needed.
/// Any thread, several at once. Waits for the KMS only when the lifetime has ended without a refresh. Returns
/// `INVALID_ARGUMENT`, `BUFFER_TOO_SMALL` (nothing written), `UNSUPPORTED` (the index holds only its KEK),
/// `ACCESS_DENIED` (a capability), `STORAGE` (the record could not be read for `max_record_age`), and as
/// `cyborg_kms_index_open` when it had to ask.
///
/// # Safety
/// `index` is NULL or has not been freed; the pointers are valid for their lengths; `out_len` is NULL or a valid place;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_encrypt(
    index: *mut cyborg_kms_index,
    aad: *const u8,
    aad_len: usize,
    plaintext: *const u8,
    plaintext_len: usize,
    out: *mut u8,
    out_capacity: usize,
    out_len: *mut usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out_len = length_place(out_len)?;
            let index: &Index = arg::counted(index, "index")?;
            let aad = arg::bytes(aad, aad_len, "aad")?;
            arg::check_range(plaintext, plaintext_len, "plaintext")?;
            arg::check_range(out, out_capacity, "out")?;
            let needed = sealed_len(plaintext_len)?;
            let at = place_of(plaintext, plaintext_len, out, needed)?;
            refuse_overlap(aad, out, needed)?;
            if out_capacity < needed {
                *out_len = needed;
                return Err(fail!(
                    BufferTooSmall,
                    "out has {out_capacity} bytes, the sealed page needs {needed}"
                ));
            }
            let input = match at {
                Some(at) => Input::InPlace { at, len: plaintext_len },
                None => Input::Separate(arg::bytes(plaintext, plaintext_len, "plaintext")?),
            };
            *out_len = index.encrypt(aad, &input, arg::bytes_mut(out, needed, "out")?)?;
            Ok(())
        })
    }
}

/// Opens a sealed page.
///
/// `aad`, `aad_len`: what it was sealed with. `sealed`, `sealed_len`: 48 bytes to 1 GiB + 48. `out`, `out_capacity`:
/// gets sealed_len - 48 bytes; `out` may be `sealed` (the plaintext is moved to its front) or `sealed` + 32 (nothing is
/// moved); any other overlap is refused. `out_len`: gets the plaintext's length, or what is needed.
/// A failure leaves no plaintext: zeros, where it was in place.
/// Any thread, several at once. Returns `INVALID_ARGUMENT`, `BUFFER_TOO_SMALL` (nothing written),
/// `AUTHENTICATION_FAILED` (wrong key or AAD, altered bytes), `CORRUPT` (shorter than 48 bytes, of an unknown version, a
/// wrapped data key, or sealed with a data key that the index does not have), else as `cyborg_kms_index_encrypt`.
///
/// # Safety
/// As for `cyborg_kms_index_encrypt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_decrypt(
    index: *mut cyborg_kms_index,
    aad: *const u8,
    aad_len: usize,
    sealed: *const u8,
    sealed_len: usize,
    out: *mut u8,
    out_capacity: usize,
    out_len: *mut usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out_len = length_place(out_len)?;
            let index: &Index = arg::counted(index, "index")?;
            let aad = arg::bytes(aad, aad_len, "aad")?;
            arg::check_range(sealed, sealed_len, "sealed")?;
            arg::check_range(out, out_capacity, "out")?;
            let len = sealed_len.checked_sub(OVERHEAD).ok_or_else(|| {
                fail!(Corrupt, "a sealed page has at least {OVERHEAD} bytes, this has {sealed_len}")
            })?;
            let at = place_of(out, len, sealed, sealed_len)?;
            refuse_overlap(aad, out, len)?;
            if at.is_some() {
                refuse_overlap(aad, sealed, sealed_len)?;
            }
            if out_capacity < len {
                *out_len = len;
                return Err(fail!(BufferTooSmall, "out has {out_capacity} bytes, the plaintext needs {len}"));
            }
            *out_len = match at {
                None => {
                    let out = arg::bytes_mut(out, len, "out")?;
                    index.decrypt(aad, arg::bytes(sealed, sealed_len, "sealed")?, out)?
                }
                Some(at) => {
                    // `out` is within `sealed`, which the caller thereby gave to be overwritten.
                    let sealed = arg::bytes_mut(sealed.cast_mut(), sealed_len, "sealed")?;
                    index.decrypt_in_place(aad, sealed, at == 0)?
                }
            };
            Ok(())
        })
    }
}

/// Seals a page whose 48 bytes of overhead are kept apart: for aligned pages, and for page formats with a reserved tail.
///
/// `plaintext`, `len`: 0 bytes to 1 GiB. `out`: gets `len` bytes; may be `plaintext`; any other overlap is refused.
/// `overhead`: gets 48 bytes: header, nonce, tag. Else as `cyborg_kms_index_encrypt`.
///
/// # Safety
/// As for `cyborg_kms_index_encrypt`; `out` is valid for `len` bytes, `overhead` for 48.
///
/// cbindgen:ptrs-as-arrays=[[overhead;48]]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_encrypt_detached(
    index: *mut cyborg_kms_index,
    aad: *const u8,
    aad_len: usize,
    plaintext: *const u8,
    len: usize,
    out: *mut u8,
    overhead: *mut u8,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let index: &Index = arg::counted(index, "index")?;
            let aad = arg::bytes(aad, aad_len, "aad")?;
            let buffers = detached(plaintext, "plaintext", out, len)?;
            // The overhead is written before the inputs are read.
            let apart = [(aad.as_ptr(), aad_len), (plaintext, len), (out.cast_const(), len)];
            if apart.iter().any(|(data, len)| arg::overlap(*data, *len, overhead, OVERHEAD)) {
                return Err(fail!(
                    InvalidArgument,
                    "overhead overlaps another argument: give it a place of its own"
                ));
            }
            let overhead = arg::place(overhead.cast::<[u8; OVERHEAD]>(), "overhead")?;
            refuse_overlap(aad, out, len)?;
            index.encrypt_detached(aad, buffers, overhead)
        })
    }
}

/// Opens a page whose 48 bytes of overhead are kept apart.
///
/// `ciphertext`, `len`: 0 bytes to 1 GiB. `overhead`: the 48 bytes that sealing gave. `out`: gets `len` bytes; may be
/// `ciphertext`; any other overlap is refused. Else as `cyborg_kms_index_decrypt`.
///
/// # Safety
/// As for `cyborg_kms_index_encrypt`; `out` is valid for `len` bytes, `overhead` for 48.
///
/// cbindgen:ptrs-as-arrays=[[overhead;48]]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_decrypt_detached(
    index: *mut cyborg_kms_index,
    aad: *const u8,
    aad_len: usize,
    ciphertext: *const u8,
    len: usize,
    overhead: *const u8,
    out: *mut u8,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let index: &Index = arg::counted(index, "index")?;
            let aad = arg::bytes(aad, aad_len, "aad")?;
            let buffers = detached(ciphertext, "ciphertext", out, len)?;
            let overhead = overhead.cast::<[u8; OVERHEAD]>().as_ref();
            let overhead = overhead.ok_or_else(|| fail!(InvalidArgument, "overhead is NULL"))?;
            refuse_overlap(aad, out, len)?;
            refuse_overlap(overhead, out, len)?;
            index.decrypt_detached(aad, buffers, overhead)
        })
    }
}

/// The data key that sealed a page: to find what is left to seal anew after a rotation of data keys.
///
/// `sealed`, `sealed_len`: a sealed page, or its first 8 bytes, as of a detached overhead. `out_id`: gets the id.
/// Any thread. Returns `INVALID_ARGUMENT` (NULL), `CORRUPT` (shorter than 8 bytes, or no page of ours).
///
/// # Safety
/// `sealed` points to `sealed_len` bytes; `out_id` is NULL or a valid place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_page_data_key_id(
    sealed: *const u8,
    sealed_len: usize,
    out_id: *mut u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out_id = arg::place(out_id, "out_id")?;
            *out_id = 0;
            *out_id = parse_header(arg::bytes(sealed, sealed_len, "sealed")?)?.1;
            Ok(())
        })
    }
}

/// Envelope encryption for an engine that encrypts by itself: a fresh 32-byte key and its wrapped form, sealed by the
/// index's data key, so that a rotation of the KEK leaves it readable.
///
/// `out_key`, `out_key_len`: 32 bytes; secret: wipe it after use. `out_wrapped`: gets a buffer of 80 bytes, to be
/// stored: `cyborg_kms_buffer_free`.
/// Any thread. Returns as `cyborg_kms_index_encrypt`; a failure leaves zeros and NULL.
///
/// # Safety
/// `index` is NULL or has not been freed; `out_key` points to `out_key_len` bytes; `out_wrapped` is NULL or a valid
/// place; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_generate_data_key(
    index: *mut cyborg_kms_index,
    out_key: *mut u8,
    out_key_len: usize,
    out_wrapped: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let place = arg::handle_place(out_wrapped, "out_wrapped")?;
            let out = key_place(out_key, out_key_len, "out_key")?;
            let (key, wrapped) = arg::counted(index, "index")?.generate_data_key()?;
            out.copy_from_slice(key.expose());
            *place = cyborg_kms_buffer::give(wrapped.to_vec().into());
            Ok(())
        })
    }
}

/// Undoes `cyborg_kms_index_generate_data_key`.
///
/// `wrapped`, `wrapped_len`: 80 bytes. `out_key`, `out_key_len`: 32 bytes; secret: wipe it after use.
/// Any thread. Returns as `cyborg_kms_index_decrypt`; `CORRUPT` for what is no wrapped data key. A failure leaves zeros.
///
/// # Safety
/// `index` is NULL or has not been freed; the pointers are valid for their lengths; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_unwrap_data_key(
    index: *mut cyborg_kms_index,
    wrapped: *const u8,
    wrapped_len: usize,
    out_key: *mut u8,
    out_key_len: usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let wrapped = arg::bytes(wrapped, wrapped_len, "wrapped")?;
            refuse_overlap(wrapped, out_key, out_key_len)?;
            let out = key_place(out_key, out_key_len, "out_key")?;
            give_key(&arg::counted(index, "index")?.unwrap_data_key(wrapped)?, out)
        })
    }
}

/// Derives a key: HKDF-SHA-256 (RFC 5869) of the index's derivation key. The same label and context give the same bytes
/// for as long as the index lives, through every rotation: for tokens, salted hashes, sub-keys.
///
/// `label`: what it is for. `context`, `context_len`: any bytes. `out`, `out_len`: 1 to 8,160 bytes; zeros on failure,
/// untouched with another length.
/// Any thread. Returns `INVALID_ARGUMENT`, `UNSUPPORTED` (the index holds only its KEK), `ACCESS_DENIED` (a capability),
/// and as `cyborg_kms_index_open` when it had to ask.
///
/// # Safety
/// `index` is NULL or has not been freed; the pointers are valid for their lengths; `label` is NULL or NUL-terminated;
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_derive_key(
    index: *mut cyborg_kms_index,
    label: *const c_char,
    context: *const u8,
    context_len: usize,
    out: *mut u8,
    out_len: usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let context = arg::bytes(context, context_len, "context")?;
            // A length that can't be is not a place to write zeros to.
            check_derived_len(out_len)?;
            refuse_overlap(context, out, out_len)?;
            let label = arg::text(label, "label");
            refuse_overlap(label.as_ref().map_or(&[], |label| label.as_bytes()), out, out_len)?;
            let out = arg::bytes_mut(out, out_len, "out")?;
            out.zeroize();
            arg::counted(index, "index")?.derive_key(label?, context, out)
        })
    }
}

/// The plaintext KEK of an envelope version, for an engine that takes one (CyborgDB's `index_key`) and must read what it
/// wrote under a former one.
///
/// `version`: 0 is the current one. `out`, `out_len`: 32 bytes; secret: wipe it after use; zeros on failure.
/// Any thread. Returns `INVALID_ARGUMENT`, `NOT_FOUND` (no such version), `ACCESS_DENIED` (a capability), and as
/// `cyborg_kms_index_open` when it had to ask.
///
/// # Safety
/// `index` is NULL or has not been freed; `out` points to `out_len` bytes; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_export_kek(
    index: *mut cyborg_kms_index,
    version: u32,
    out: *mut u8,
    out_len: usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = key_place(out, out_len, "out")?;
            give_key(&arg::counted(index, "index")?.export_kek(version)?, out)
        })
    }
}

/// Where the length goes: 0 until it is known.
///
/// # Safety
/// NULL or a valid place.
unsafe fn length_place<'a>(out_len: *mut usize) -> Result<&'a mut usize> {
    // SAFETY: as the caller promises.
    let place = unsafe { arg::place(out_len, "out_len") }?;
    *place = 0;
    Ok(place)
}

/// Where a secret goes: zeros until it is known.
///
/// # Safety
/// NULL or `len` bytes that nobody else uses during the call.
unsafe fn key_place<'a>(out: *mut u8, len: usize, name: &str) -> Result<&'a mut [u8]> {
    if len != CYBORG_KMS_KEY_LEN {
        return Err(fail!(
            InvalidArgument,
            "{name}: a key has {CYBORG_KMS_KEY_LEN} bytes, its length is {len}"
        ));
    }
    // SAFETY: as the caller promises.
    let out = unsafe { arg::bytes_mut(out, len, name) }?;
    out.zeroize();
    Ok(out)
}

fn give_key(key: &SecretKey, out: &mut [u8]) -> Result<()> {
    out.copy_from_slice(key.expose());
    Ok(())
}

/// Where the plaintext stands in the sealed page's place: at `Some(0)` or `Some(32)`, or `None` where they are apart.
fn place_of(plain: *const u8, len: usize, sealed: *const u8, sealed_len: usize) -> Result<Option<usize>> {
    if !arg::overlap(plain, len.max(1), sealed, sealed_len) {
        return Ok(None);
    }
    match (plain as usize).wrapping_sub(sealed as usize) {
        at @ (0 | BODY) => Ok(Some(at)),
        _ if len == 0 => Ok(None),
        at => Err(fail!(
            InvalidArgument,
            "input and output overlap {at} bytes apart: they may be the same, or 32 bytes apart as in a sealed page"
        )),
    }
}

fn refuse_overlap(input: &[u8], out: *const u8, out_len: usize) -> Result<()> {
    if arg::overlap(input.as_ptr(), input.len(), out, out_len) {
        return Err(fail!(
            InvalidArgument,
            "an input overlaps the output: give the output a place of its own"
        ));
    }
    Ok(())
}

/// # Safety
/// `input` points to `len` readable bytes, `out` to as many writable ones.
unsafe fn detached<'a>(input: *const u8, name: &str, out: *mut u8, len: usize) -> Result<Buffers<'a>> {
    sealed_len(len)?;
    arg::check_range(input, len, name)?;
    // SAFETY: as the caller promises; where the two are the same, only one reference is made.
    unsafe {
        if std::ptr::eq(input, out) {
            return Ok(Buffers::InPlace(arg::bytes_mut(out, len, "out")?));
        }
        if arg::overlap(input, len, out, len) {
            return Err(fail!(InvalidArgument, "{name} and out overlap: they may be the same, or apart"));
        }
        Ok(Buffers::Separate {
            input: arg::bytes(input, len, name)?,
            output: arg::bytes_mut(out, len, "out")?,
        })
    }
}
