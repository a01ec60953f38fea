//! Rotation, states, deletion.

use std::ffi::c_char;

use super::arg;
use super::buffer::cyborg_kms_buffer;
use super::engine::cyborg_kms_engine;
use super::error::cyborg_kms_error;
use super::handle::Owned;
use super::status::{cyborg_kms_status, guard};
use crate::engine::Rotation;
use crate::error::{Result, fail};

/// What a rotation changes: one of the `CYBORG_KMS_ROTATE_*` constants.
pub type cyborg_kms_rotation = u32;

/// The same KEK, wrapped anew.
pub const CYBORG_KMS_ROTATE_REWRAP: cyborg_kms_rotation = 0;
/// A new KEK, the data keys wrapped anew under it, the former KEK kept under it.
pub const CYBORG_KMS_ROTATE_KEK: cyborg_kms_rotation = 1;
/// A new data key for new pages; old pages stay readable.
pub const CYBORG_KMS_ROTATE_DATA_KEY: cyborg_kms_rotation = 2;

/// Rotates the keys of an index in one atomic write, online: open handles go on, those of this process with the new keys
/// at once, others within `cache.ttl`.
///
/// `index_name`: the index. `rotation`: `CYBORG_KMS_ROTATE_REWRAP` wraps the same KEK anew, and gives a record of
/// CyborgDB's kind data keys where the slot is not `cyborgdb_compatible`; `_KEK` makes a new KEK, wraps the data keys anew
/// under it and keeps the former KEK for `cyborg_kms_index_export_kek`; `_DATA_KEY` makes a new data key for new pages: old
/// pages stay readable. `kms_name`: the slot that wraps from now on; NULL: its own. With `_DATA_KEY` NULL, or its own.
///
/// The KMS unwraps the KEK that is there, wraps, and unwraps again; what comes back is compared before anything is
/// stored. Durable when it returns; a crash at any point leaves an index that opens. `cyborg_kms_index_derive_key` gives the
/// same before and after.
/// Any thread; takes as long as the slots' deadlines. Returns `INVALID_ARGUMENT` (also: an index of provider none, or a slot
/// of it: `cyborg_kms_index_rotate_with_key`), `NOT_FOUND`, `CONFLICT` (someone else changed its keys at the same time, and
/// this change was not made), `KEY_DISABLED` (also: the index is disabled or to be deleted), `UNSUPPORTED` (`_KEK` or
/// `_DATA_KEY` for a record of CyborgDB's kind; one with data keys to a `cyborgdb_compatible` slot), `CONFIG` (no such slot, or the record's key is not one that its slot names), `CORRUPT` (a damaged record;
/// the KMS gave another KEK), `STORAGE`, and what the provider answers: `ACCESS_DENIED`, `KEY_NOT_FOUND`,
/// `AUTHENTICATION_FAILED`, `KMS_UNAVAILABLE`, `THROTTLED`, `TIMEOUT`, `INTERNAL`. After
/// `cyborg_kms_error_outcome_unknown` `cyborg_kms_index_describe` tells.
///
/// # Safety
/// `engine` is NULL or has not been freed; the texts are NULL or NUL-terminated; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_rotate(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    rotation: cyborg_kms_rotation,
    kms_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let engine = arg::counted(engine, "engine")?;
            let name = arg::text(index_name, "index_name")?;
            engine.rotate(name, rotation_of(rotation)?, arg::optional_text(kms_name, "kms_name")?)
        })
    }
}

/// The same for an index of provider none, or from and to none (`kms_name` "", or a slot of provider none).
///
/// `old_kek`: the KEK that is now in use, 32 bytes; NULL where a KMS has it. `new_kek`: the new one, 32 bytes; NULL where
/// it stays or a KMS gets a random one. With `CYBORG_KMS_ROTATE_REWRAP` from a KMS to none `new_kek` is the KEK that is in
/// use, as `cyborg_kms_index_export_kek` gives it: proof that the caller has what nobody else will keep. Both are copied
/// into locked memory; the caller wipes his own.
///
/// Handles that were opened the former way (without a key, or with the former KEK) go on until their lifetime
/// (`cache.ttl`) ends: open new ones before. After any failure keep both KEKs until an open tells which it is.
/// Any thread. Returns as `cyborg_kms_index_rotate`; `INVALID_ARGUMENT` also for a key that is missing or must not be given,
/// and a new KEK that is the one in use; `AUTHENTICATION_FAILED` also where `old_kek`, or `new_kek` as proof, is not the
/// KEK in use.
///
/// # Safety
/// As for `cyborg_kms_index_rotate`; `old_kek` points to `old_kek_len` bytes and `new_kek` to `new_kek_len`, or they are
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_rotate_with_key(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    rotation: cyborg_kms_rotation,
    kms_name: *const c_char,
    old_kek: *const u8,
    old_kek_len: usize,
    new_kek: *const u8,
    new_kek_len: usize,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let engine = arg::counted(engine, "engine")?;
            let name = arg::text(index_name, "index_name")?;
            let kms_name = arg::optional_text(kms_name, "kms_name")?;
            let old_kek = optional_key(old_kek, old_kek_len, "old_kek")?;
            let new_kek = optional_key(new_kek, new_kek_len, "new_kek")?;
            engine.rotate_with_key(name, rotation_of(rotation)?, kms_name, old_kek, new_kek)
        })
    }
}

/// Forgets a data key that no page uses any more: **what it sealed can never be read again**. Also in backups of the
/// store the key lives on: `docs/threat-model.md`.
///
/// `data_key_id`: as `cyborg_kms_page_data_key_id` gives it. After a rotation other processes may go on sealing with the
/// former key until `quiet_at` of `cyborg_kms_index_describe`; the last look for its pages comes after that. The KEK is
/// needed; for an index of provider none that of a handle which is open in this process.
/// Any thread. Returns `INVALID_ARGUMENT` (also: 0, the current key, an index of provider none without a handle),
/// `NOT_FOUND` (no such index or key), `CONFLICT` (not before `quiet_at`: the message has it; or as
/// `cyborg_kms_index_rotate`), `UNSUPPORTED` (CyborgDB's kind of record), and what `cyborg_kms_index_rotate` returns.
///
/// # Safety
/// `engine` is NULL or has not been freed; `index_name` is NULL or NUL-terminated; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_retire_data_key(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    data_key_id: u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let engine = arg::counted(engine, "engine")?;
            engine.retire_data_key(arg::text(index_name, "index_name")?, data_key_id)
        })
    }
}

/// Forgets a former KEK: **what was encrypted under it, once it was exported, can never be read again**. Pages of the
/// library's own are not touched.
///
/// `version`: an envelope version at which it was in force (`first_version` to `last_version` of
/// `cyborg_kms_index_describe`); `cyborg_kms_index_export_kek` of these is `NOT_FOUND` from then on.
/// Any thread. Returns `INVALID_ARGUMENT` (also: the KEK in use, an index of provider none without a handle), `NOT_FOUND`
/// (no such index or version, or it was retired already), `UNSUPPORTED` (CyborgDB's kind of record), and what
/// `cyborg_kms_index_rotate` returns.
///
/// # Safety
/// As for `cyborg_kms_index_retire_data_key`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_retire_kek(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    version: u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let engine = arg::counted(engine, "engine")?;
            engine.retire_kek(arg::text(index_name, "index_name")?, version)
        })
    }
}

/// Refuses every use of an index with `KEY_DISABLED`: in this process at once, in others within `cache.ttl`. No KMS is
/// asked: it works while the KMS is down. Who can write the store can undo it, and CyborgDB does not know it: against
/// those disable the key in the KMS.
///
/// That it is disabled, or to be deleted, already is fine.
/// Any thread. Returns `INVALID_ARGUMENT`, `NOT_FOUND`, `CONFLICT` (others keep changing the record), `CORRUPT` (a damaged
/// record), `STORAGE`, `TIMEOUT`.
///
/// # Safety
/// `engine` is NULL or has not been freed; `index_name` is NULL or NUL-terminated; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_disable(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { guard(error, || arg::counted(engine, "engine")?.disable(arg::text(index_name, "index_name")?)) }
}

/// Undoes `cyborg_kms_index_disable`: handles that are open work again. That it is enabled is fine.
///
/// Any thread. Returns as `cyborg_kms_index_disable`, and `KEY_DISABLED` where the index is to be deleted:
/// `cyborg_kms_index_cancel_deletion` first.
///
/// # Safety
/// As for `cyborg_kms_index_disable`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_enable(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe { guard(error, || arg::counted(engine, "engine")?.enable(arg::text(index_name, "index_name")?)) }
}

/// Refuses every use of an index from now on, and sets the time from which sync may delete it. Nothing is deleted by
/// itself: `cyborg_kms_engine_sync` does it when it is due, or `cyborg_kms_index_delete` at once.
///
/// `waiting_hours`: 24 to 8,760.
/// Any thread. Returns as `cyborg_kms_index_disable`; `INVALID_ARGUMENT` also for other hours, `CONFLICT` also where a
/// deletion is scheduled already.
///
/// # Safety
/// As for `cyborg_kms_index_disable`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_schedule_deletion(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    waiting_hours: u32,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let engine = arg::counted(engine, "engine")?;
            engine.schedule_deletion(arg::text(index_name, "index_name")?, waiting_hours)
        })
    }
}

/// Undoes `cyborg_kms_index_schedule_deletion`, and leaves the index disabled, as AWS KMS does.
///
/// Any thread. Returns as `cyborg_kms_index_disable`; `CONFLICT` also where the index is enabled: there is nothing to
/// cancel.
///
/// # Safety
/// As for `cyborg_kms_index_disable`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_cancel_deletion(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || arg::counted(engine, "engine")?.cancel_deletion(arg::text(index_name, "index_name")?))
    }
}

/// Deletes an index at once, whatever its state: removes its wrapped keys. **What they protect can never be read
/// again**, but with a backup of the record. No KMS is asked. Handles that are open in this process find nothing at
/// their next call (`NOT_FOUND`), those of others within `cache.ttl`.
///
/// `out_receipt_json`: gets a receipt of the caller's (`docs/operating.md`), UTF-8 without a NUL: `cyborg_kms_buffer_free`;
/// may be NULL.
/// Any thread. Returns `INVALID_ARGUMENT`, `NOT_FOUND`, `CONFLICT` (others changed the record meanwhile), `CORRUPT` (a
/// damaged record: `cyborg_kms_delete_index_kms` removes it), `STORAGE`, `TIMEOUT`.
///
/// # Safety
/// As for `cyborg_kms_index_disable`; `out_receipt_json` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_delete(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    out_receipt_json: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            if !out_receipt_json.is_null() {
                arg::handle_place(out_receipt_json, "out_receipt_json")?;
            }
            let receipt = arg::counted(engine, "engine")?.delete(arg::text(index_name, "index_name")?)?;
            if !out_receipt_json.is_null() {
                *arg::handle_place(out_receipt_json, "out_receipt_json")? = json(receipt);
            }
            Ok(())
        })
    }
}

/// Describes an index as JSON (`docs/operating.md`): state, slot, key, version, epoch, data keys, former KEKs. No KMS is
/// asked and nothing is cached; so nothing of it is authenticated either.
///
/// `out_json`: gets UTF-8 without a NUL, of the caller's: `cyborg_kms_buffer_free`.
/// Any thread. Returns `INVALID_ARGUMENT`, `NOT_FOUND`, `CORRUPT` (a damaged record), `STORAGE`, `TIMEOUT`.
///
/// # Safety
/// As for `cyborg_kms_index_disable`; `out_json` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cyborg_kms_index_describe(
    engine: *mut cyborg_kms_engine,
    index_name: *const c_char,
    out_json: *mut *mut cyborg_kms_buffer,
    error: *mut *mut cyborg_kms_error,
) -> cyborg_kms_status {
    // SAFETY: as the caller promises.
    unsafe {
        guard(error, || {
            let out = arg::handle_place(out_json, "out_json")?;
            *out = json(arg::counted(engine, "engine")?.describe(arg::text(index_name, "index_name")?)?);
            Ok(())
        })
    }
}

/// A text as an output of the caller's.
pub(super) fn json(text: String) -> *mut cyborg_kms_buffer {
    cyborg_kms_buffer::give(text.into_bytes().into())
}

fn rotation_of(rotation: cyborg_kms_rotation) -> Result<Rotation> {
    match rotation {
        CYBORG_KMS_ROTATE_REWRAP => Ok(Rotation::Rewrap),
        CYBORG_KMS_ROTATE_KEK => Ok(Rotation::Kek),
        CYBORG_KMS_ROTATE_DATA_KEY => Ok(Rotation::DataKey),
        other => Err(fail!(InvalidArgument, "rotation {other}: only 0, 1 and 2 are known")),
    }
}

/// A key, or NULL.
///
/// # Safety
/// `data` is NULL or points to `len` bytes that stay as they are during the call.
unsafe fn optional_key<'a>(data: *const u8, len: usize, name: &str) -> Result<Option<&'a [u8]>> {
    // SAFETY: as the caller promises.
    let bytes = unsafe { arg::bytes(data, len, name) }?;
    // A place without bytes is no key: its length is refused later.
    Ok((!data.is_null()).then_some(bytes))
}
