//! How a record changes: read, merge, write if unchanged, find out whose write it was. Every write of the
//! library goes through [`change`]; nothing writes blindly.

use super::{Blob, Kind, Record};
use crate::call::Call;
use crate::error::{Error, Result, Status, fail};
use crate::name::IndexName;
use crate::store::{Expected, Revision, Store};

/// How often a write starts anew because others keep changing the record.
const MAX_ATTEMPTS: usize = 64;

/// How many answers in a row may be lost before that is the answer.
const MAX_LOST: usize = 3;

/// What a plan makes of the record that it is shown.
pub enum Change {
    /// Write this in its place.
    Write(Box<Record>),
    /// Remove it.
    Remove,
    /// It is as it should be.
    Keep,
}

/// Shows `plan` the stored record (`None`: there is none, or a tombstone) and does what it says, again from
/// the start when someone else was faster. Returns what is stored then.
///
/// `now` is stored as the time of the write.
pub fn change(
    store: &dyn Store,
    call: &Call,
    name: &IndexName,
    now: i64,
    plan: &mut dyn FnMut(Option<Record>) -> Result<Change>,
) -> Result<Option<Record>> {
    let mut last = None;
    // Written without an answer: such a write may still arrive while the next one is tried.
    let mut doubtful: Vec<Record> = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        call.check("writing the envelope record").map_err(|error| in_doubt(error, &doubtful))?;
        let (present, revision) = read(store, call, name).map_err(|error| in_doubt(error, &doubtful))?;
        if let Some(written) = find_ours(present.as_ref(), &mut doubtful) {
            return Ok(Some(written));
        }
        let live = present.filter(|record| !record.is_tombstone());
        let expected = revision.as_ref().map_or(Expected::Absent, Expected::Revision);
        let planned = plan(live.clone()).map_err(|error| in_doubt(error, &doubtful))?;
        let outcome = match planned {
            Change::Keep => return Ok(live),
            Change::Remove => remove(store, call, name, expected),
            Change::Write(record) => {
                write(store, call, name, now, *record, expected, &mut doubtful).map(Some)
            }
        };
        match outcome {
            Err(error) if lost_the_race(&error) => last = Some(error),
            outcome => return outcome.map_err(|error| in_doubt(error, &doubtful)),
        }
    }
    let last = last.unwrap_or_else(|| fail!(Conflict, "index {name}: its envelope record keeps changing"));
    let what =
        format!("index {name}: others changed its record {MAX_ATTEMPTS} times in a row; try again later");
    Err(in_doubt(last.context(what), &doubtful))
}

fn in_doubt(error: Error, doubtful: &[Record]) -> Error {
    if doubtful.is_empty() { error } else { error.with_outcome_unknown() }
}

/// The write of this change that the present record says has happened, if one has.
fn find_ours(present: Option<&Record>, doubtful: &mut Vec<Record>) -> Option<Record> {
    let ids = &present?.write_ids;
    let at = doubtful.iter().position(|record| record.write_ids.last().is_some_and(|id| ids.contains(id)))?;
    Some(doubtful.swap_remove(at))
}

fn lost_the_race(error: &Error) -> bool {
    matches!(error.status(), Status::Conflict | Status::AlreadyExists) && !error.is_outcome_unknown()
}

fn read(store: &dyn Store, call: &Call, name: &IndexName) -> Result<(Option<Record>, Option<Revision>)> {
    match store.get(call, name)? {
        None => Ok((None, None)),
        Some(stored) => {
            let record =
                Record::decode(&stored.bytes).map_err(|error| error.context(format!("index {name}")))?;
            Ok((Some(record), Some(stored.revision)))
        }
    }
}

fn remove(
    store: &dyn Store,
    call: &Call,
    name: &IndexName,
    expected: Expected<'_>,
) -> Result<Option<Record>> {
    match expected {
        Expected::Absent => Ok(None),
        expected => match store.remove(call, name, expected) {
            Ok(()) => Ok(None),
            // Gone is gone, whoever did it.
            Err(lost) if lost.is_outcome_unknown() && lost.status() != Status::Storage => {
                match store.get(call, name) {
                    Ok(None) => Ok(None),
                    _ => Err(lost),
                }
            }
            Err(error) => Err(error),
        },
    }
}

fn write(
    store: &dyn Store,
    call: &Call,
    name: &IndexName,
    now: i64,
    mut record: Record,
    expected: Expected<'_>,
    doubtful: &mut Vec<Record>,
) -> Result<Record> {
    let before = record.write_ids.last().copied();
    let mut id = [0; super::WRITE_ID_LEN];
    crate::crypto::secret::random(&mut id)?;
    record.note_write(id, now);
    let bytes = record.encode().map_err(|error| error.context(format!("index {name}")))?;
    match store.put(call, name, &bytes, expected) {
        Ok(()) => Ok(record),
        Err(lost) if lost.is_outcome_unknown() => {
            let outcome = who_won(store, call, name, id, before, &lost);
            match outcome {
                // Tried again, and not for ever: a store that never answers must not be asked again and again.
                Err(error) if lost_the_race(&error) && lost.is_retryable() && doubtful.len() < MAX_LOST => {
                    doubtful.push(record);
                    Err(error)
                }
                // An answer came, and it was a refusal.
                Err(error) if lost_the_race(&error) && lost.status() == Status::Storage => {
                    Err(lost.with_outcome_known())
                }
                Err(_) => Err(lost),
                Ok(()) => Ok(record),
            }
        }
        Err(error) => Err(error),
    }
}

/// After a lost answer: `Ok` where the stored record has our write's id, `CONFLICT` where it has not, which the
/// next try must not take for proof: the write may be on its way. `before`: the newest id of what it replaced.
fn who_won(
    store: &dyn Store,
    call: &Call,
    name: &IndexName,
    id: [u8; super::WRITE_ID_LEN],
    before: Option<[u8; super::WRITE_ID_LEN]>,
    lost: &Error,
) -> Result<()> {
    let Ok((present, _)) = read(store, call, name) else { return Err(lost.clone()) };
    let ids = present.map(|record| record.write_ids).unwrap_or_default();
    if ids.contains(&id) {
        // The store may still not have made it durable (a failed fsync): then only a rewrite could tell.
        return if lost.status() == Status::Storage { Err(lost.clone()) } else { Ok(()) };
    }
    // Where what came before is still listed, ours would be too.
    let all_listed = ids.len() < super::MAX_WRITE_IDS || before.is_some_and(|before| ids.contains(&before));
    if all_listed {
        return Err(fail!(Conflict, "index {name}: the write did not happen ({lost})"));
    }
    Err(lost.clone())
}

/// A strict insert: `ALREADY_EXISTS` where there is a record.
pub fn create(store: &dyn Store, call: &Call, name: &IndexName, now: i64, blob: &Blob) -> Result<()> {
    check_version(blob)?;
    change(store, call, name, now, &mut |present| match present {
        Some(_) => Err(already_exists(name)),
        None => Ok(Change::Write(Box::new(Record::from_blob(blob.clone())))),
    })?;
    Ok(())
}

/// The error of a strict insert that finds a record.
pub(crate) fn already_exists(name: &IndexName) -> Error {
    fail!(
        AlreadyExists,
        "index {name} has an envelope record already: open it (deleting the record would destroy its keys for good)"
    )
}

/// An idempotent upsert: sets what a blob holds and keeps the rest of the record.
pub fn push(store: &dyn Store, call: &Call, name: &IndexName, now: i64, blob: &Blob) -> Result<()> {
    check_version(blob)?;
    change(store, call, name, now, &mut |present| match present {
        None => Ok(Change::Write(Box::new(Record::from_blob(blob.clone())))),
        Some(record) if record.clone().into_blob() == *blob => Ok(Change::Keep),
        Some(record) => Ok(Change::Write(Box::new(merge(record, blob.clone())))),
    })?;
    Ok(())
}

fn check_version(blob: &Blob) -> Result<()> {
    if blob.version == 0 {
        return Err(fail!(InvalidArgument, "the envelope version is 0: versions start at 1"));
    }
    Ok(())
}

/// The record with the blob's fields. What hangs on the KEK stays, and where data keys do, the wrap that is
/// replaced stays too: were the new one wrong, they would be lost.
fn merge(mut record: Record, blob: Blob) -> Record {
    let changed = record.wrap.wrapped_kek != blob.wrapped_kek;
    if changed && record.kind == Kind::Ours && record.replaced.is_none() {
        record.replaced = Some(record.wrap.clone());
    }
    record.envelope_version = blob.version;
    record.created_at = blob.created_at;
    record.wrap.kms_name = blob.kms_name;
    record.wrap.provider = blob.provider;
    record.wrap.key_id = blob.key_id;
    record.wrap.region = blob.region;
    record.wrap.wrapped_kek = blob.wrapped_kek;
    record
}

/// The blob of a record; `NOT_FOUND` where there is none.
pub fn get(store: &dyn Store, call: &Call, name: &IndexName) -> Result<Blob> {
    live_record(store, call, name).map(Record::into_blob)
}

/// The record of an index that has not been deleted; `NOT_FOUND` where there is none.
pub(crate) fn live_record(store: &dyn Store, call: &Call, name: &IndexName) -> Result<Record> {
    match read(store, call, name)?.0 {
        Some(record) if !record.is_tombstone() => Ok(record),
        _ => Err(no_record(name)),
    }
}

/// The error of whoever needs a record that is not there.
pub(crate) fn no_record(name: &IndexName) -> Error {
    fail!(
        NotFound,
        "index {name} has no envelope record in this store: create it first, or check name and store"
    )
}

/// Removes the record, whatever it is; that there is none is fine.
pub fn delete(store: &dyn Store, call: &Call, name: &IndexName) -> Result<()> {
    store.remove(call, name, Expected::Any)
}
