//! Indexes as C sees them: creating, opening, what they are.

use std::ffi::c_char;

use super::arg;
use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::handle::Counted;
use super::status::{cyborg_kms_status, guard, guard_value};
use crate::engine::OpenOptions;
use crate::error::{Result, fail};
use crate::index::{About, Index};

/// An open index. Used by many threads at once. Owned by the caller: `cyborg_kms_index_free`.
#[derive(Debug)]
pub struct cyborg_kms_index {
    _opaque: [u8; 0],
}

impl Counted for cyborg_kms_index {
    type Value = Index;
}

/// Bytes of a KEK and of a data key.
pub const CYBORG_KMS_KEY_LEN: usize = 32;

/// A flag: page calls never wait for a network, not even when the lifetime is over: `KMS_UNAVAILABLE` until a refresh
/// succeeded.
pub const CYBORG_KMS_OPEN_NO_WAIT: u32 = 1;

/// A capability: `cyborg_kms_index_encrypt`, `_generate_data_key`.
pub const CYBORG_KMS_CAN_ENCRYPT: u32 = 1;
/// A capability: `cyborg_kms_index_decrypt`, `_unwrap_data_key`.
pub const CYBORG_KMS_CAN_DECRYPT: u32 = 2;
/// A capability: `cyborg_kms_index_derive_key`.
pub const CYBORG_KMS_CAN_DERIVE: u32 = 4;
/// A capability: `cyborg_kms_index_export_kek`.
pub const CYBORG_KMS_CAN_EXPORT: u32 = 8;

/// How to open an index; `cyborg_kms_index_open_with_options`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cyborg_kms_open_options {
    /// `sizeof(cyborg_kms_open_options)`.
    pub struct_size: usize,
    /// The KEK, for provider none only; else NULL.
    pub kek: *const u8,
    /// 32 where there is a KEK.
    pub kek_len: usize,
    /// `CYBORG_KMS_CAN_*`; 0: all that the slot grants. What is not granted is `ACCESS_DENIED`.
    pub capabilities: u32,
    /// 0, or `CYBORG_KMS_OPEN_NO_WAIT`.
    pub flags: u32,
    /// An older record is `ROLLED_BACK`: a host that remembers the last epoch it saw notices a restored old record.
    pub min_epoch: u64,
}

/// Creates an index: a fresh random KEK, wrapped by the slot's provider, unwrapped again and compared, then stored by a
/// strict insert, with its first data keys under it.
///
/// `index_name`: 1 byte up to 220 bytes percent-encoded. `kms_name`: a slot of the registry. `out`: gets an open index
/// of the caller's: `cyborg_kms_index_free`. Durable when it returns.
/// Any thread; takes as long as the slot's deadline. Returns `INVALID_ARGUMENT` (also: a slot of provider none),
/// `ALREADY_EXISTS`, `CONFIG` (no such slot, a provider that is not registered), `UNSUPPORTED` (a provider that is not
/// built in), `CORRUPT` (the KMS gave another key back, or a record that is damaged is there), `STORAGE`, and what the
/// provider answers: `ACCESS_DENIED`, `KEY_DISABLED`, `KEY_NOT_FOUND`, `KMS_UNAVAILABLE`, `THROTTLED`, `TIMEOUT`,
/// `INTERNAL`.
///
/// # Safety
/// `engine` is NULL or has not been freed; the texts are NULL or NUL-terminated; `out` is NULL or a valid place; `error`
/// is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_create(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    kms_name: *const c_char,
    out: *mut *mut cyborg_kms_index,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let engine = arg::counted(engine, "engine")?;
            let (name, kms_name) = (arg::text(index_name, "index_name")?, arg::text(kms_name, "kms_name")?);
            *out = cyborg_kms_index::give(engine.create(name, kms_name)?);
            Ok(())
        })
    }
}

/// Creates an index with a KEK that the caller has.
///
/// `kms_name`: NULL or "" is provider none: the caller brings the KEK at each opening, only a check value is stored.
/// Else the KEK is taken into that slot's care. `kek`: 32 bytes, copied into locked memory.
/// Else as `cyborg_kms_index_create`.
///
/// # Safety
/// As for `cyborg_kms_index_create`; `kek` points to `kek_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_create_with_key(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    kms_name: *const c_char,
    kek: *const u8,
    kek_len: usize,
    out: *mut *mut cyborg_kms_index,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let engine = arg::counted(engine, "engine")?;
            let name = arg::text(index_name, "index_name")?;
            let kms_name = arg::optional_text(kms_name, "kms_name")?.unwrap_or_default();
            let kek = arg::bytes(kek, kek_len, "kek")?;
            *out = cyborg_kms_index::give(engine.create_with_key(name, kms_name, kek)?);
            Ok(())
        })
    }
}

/// Opens an index whose KEK a KMS guards: from the cache, else by one read of its record and one unwrap, however many
/// callers wait for it.
///
/// `out`: gets an open index of the caller's: `cyborg_kms_index_free`.
/// Any thread. A failure of the KMS is answered for a second without asking it again. Returns `INVALID_ARGUMENT` (also:
/// provider none, which needs its key), `NOT_FOUND`, `CONFIG` (the slot is not in the registry, or does not name the
/// record's key), `CORRUPT` (a damaged record, another index's, or a KMS that gave another key back),
/// `AUTHENTICATION_FAILED` (the wrap was altered, or made by another key or for another index), `KEY_DISABLED`,
/// `ACCESS_DENIED`, `KEY_NOT_FOUND`, `KMS_UNAVAILABLE`, `THROTTLED`, `TIMEOUT`, `STORAGE`, `UNSUPPORTED`, `INTERNAL`.
///
/// # Safety
/// As for `cyborg_kms_index_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_open(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    out: *mut *mut cyborg_kms_index,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let engine = arg::counted(engine, "engine")?;
            *out = cyborg_kms_index::give(engine.open_index(arg::text(index_name, "index_name")?)?);
            Ok(())
        })
    }
}

/// Opens an index of provider none with its KEK, which stays with this handle, in locked memory, and nowhere else.
///
/// `kek`: 32 bytes. Returns as `cyborg_kms_index_open`; `INVALID_ARGUMENT` for an index that a KMS guards, or a key of
/// another length; `AUTHENTICATION_FAILED` for another key than its own.
///
/// # Safety
/// As for `cyborg_kms_index_create`; `kek` points to `kek_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_open_with_key(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    kek: *const u8,
    kek_len: usize,
    out: *mut *mut cyborg_kms_index,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let engine = arg::counted(engine, "engine")?;
            let name = arg::text(index_name, "index_name")?;
            let kek = Some(arg::bytes(kek, kek_len, "kek")?);
            let options = OpenOptions { kek, ..OpenOptions::default() };
            *out = cyborg_kms_index::give(engine.open_index_with(name, &options)?);
            Ok(())
        })
    }
}

/// Opens an index with everything that can be said about it.
///
/// `options`: NULL is `cyborg_kms_index_open`. Returns as that and `cyborg_kms_index_open_with_key`; also
/// `ACCESS_DENIED` (a capability that the slot does not grant), `ROLLED_BACK` (a record older than `min_epoch`).
///
/// # Safety
/// As for `cyborg_kms_index_create`; `options` is NULL or points to `struct_size` bytes, its `kek` to `kek_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_open_with_options(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    options: *const cyborg_kms_open_options,
    out: *mut *mut cyborg_kms_index,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out, "out")?;
            let engine = arg::counted(engine, "engine")?;
            let name = arg::text(index_name, "index_name")?;
            *out = cyborg_kms_index::give(match arg::sized(options, "options")? {
                None => engine.open_index(name)?,
                Some(options) => engine.open_index_with(name, &open_options(&options)?)?,
            });
            Ok(())
        })
    }
}

/// # Safety
/// `options.kek` is NULL or points to `kek_len` bytes.
pub(super) unsafe fn open_options<'a>(options: &cyborg_kms_open_options) -> Result<OpenOptions<'a>> {
    if options.flags & !CYBORG_KMS_OPEN_NO_WAIT != 0 {
        return Err(fail!(InvalidArgument, "options: flags {:#x} are not known", options.flags));
    }
    // SAFETY: as the caller promises.
    let kek = unsafe { arg::bytes(options.kek, options.kek_len, "options.kek") }?;
    Ok(OpenOptions {
        kek: (!options.kek.is_null()).then_some(kek),
        capabilities: options.capabilities,
        no_wait: options.flags & CYBORG_KMS_OPEN_NO_WAIT != 0,
        min_epoch: options.min_epoch,
    })
}

/// Asks store and KMS now, whatever is cached: what other processes changed is taken up, a revoked key is noticed.
///
/// Any thread. Returns as `cyborg_kms_index_open`. Where the KMS does not answer, the handle works on until its
/// lifetime ends; where the store does not (`STORAGE`), by the record that was read last, for `cache.max_record_age`;
/// any other failure ends it at once.
///
/// # Safety
/// `index` is NULL or has not been freed; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_refresh(
    index: *mut cyborg_kms_index,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { guard(error, || arg::counted(index, "index")?.refresh()) }
}

/// One more reference to the same handle, for a thread of its own; each is freed. NULL for NULL. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_retain(index: *mut cyborg_kms_index) -> *mut cyborg_kms_index {
    // SAFETY: as the caller promises.
    guard_value(std::ptr::null_mut(), || unsafe { cyborg_kms_index::retain(index) })
}

/// Frees an index; NULL does nothing. A KEK that the caller brought is wiped; one of a KMS stays cached for its lifetime.
///
/// # Safety
/// `index` is NULL or has not been freed, and no other call uses this reference; it is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_free(index: *mut cyborg_kms_index) {
    // SAFETY: as the caller promises.
    guard_value((), || unsafe { cyborg_kms_index::release(index) });
}

/// # Safety
/// `index` is NULL or has not been freed.
unsafe fn text(index: *const cyborg_kms_index, read: impl FnOnce(&About) -> *const c_char) -> *const c_char {
    guard_value(c"".as_ptr(), || {
        // SAFETY: as the caller promises.
        unsafe { cyborg_kms_index::borrow(index) }.map_or(c"".as_ptr(), |index| read(index.about()))
    })
}

/// The index's name; "" for NULL. Borrowed from the handle, as long as it lives. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_name(index: *const cyborg_kms_index) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text(index, |about| about.name.as_ptr()) }
}

/// The slot's name as of when the handle was first asked; "" for NULL. Borrowed from the handle. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_kms_name(index: *const cyborg_kms_index) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text(index, |about| about.kms_name.as_ptr()) }
}

/// The provider as of when the handle was first asked; "" for NULL. Borrowed from the handle. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_provider(index: *const cyborg_kms_index) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text(index, |about| about.provider.as_ptr()) }
}

/// The wrapping key as of when the handle was first asked; "" for NULL. Borrowed from the handle. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_key_id(index: *const cyborg_kms_index) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { text(index, |about| about.key_id.as_ptr()) }
}

/// The envelope's version in the record that was read last; 0 for NULL. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_version(index: *const cyborg_kms_index) -> u32 {
    // SAFETY: as the caller promises.
    guard_value(0, || unsafe { cyborg_kms_index::borrow(index) }.map_or(0, |index| index.version()))
}

/// The epoch of the record that was read last, for `min_epoch`; 0 for CyborgDB's kind and for NULL. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_epoch(index: *const cyborg_kms_index) -> u64 {
    // SAFETY: as the caller promises.
    guard_value(0, || unsafe { cyborg_kms_index::borrow(index) }.map_or(0, |index| index.epoch()))
}

/// The data key that seals new pages; 0 for an index that holds only its KEK, and for NULL. Any thread.
///
/// # Safety
/// `index` is NULL or has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_data_key_id(index: *const cyborg_kms_index) -> u32 {
    // SAFETY: as the caller promises.
    guard_value(0, || unsafe { cyborg_kms_index::borrow(index) }.map_or(0, |index| index.data_key_id()))
}
