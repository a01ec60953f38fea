//! How a record changes: read, merge, write if unchanged, find out whose write it was. Every write of the
//! library goes through [`change`]; nothing writes blindly.

use std::time::Duration;

use backon::BackoffBuilder;

use super::{Blob, Kind, Record};
use crate::call::Call;
use crate::error::{Error, Result, Status, fail};
use crate::name::IndexName;
use crate::store::{Expected, Revision, Store};

/// How often a write starts anew because others keep changing the record.
const MAX_ATTEMPTS: usize = 64;

/// How many answers in a row may be lost before that is the answer.
const MAX_LOST: usize = 3;

/// How often a write may be refused although the record is as it was.
const MAX_GROUNDLESS: usize = 10;

/// What a plan makes of the record that it is shown.
pub enum Change {
    /// Write this in its place.
    Write(Box<Record>),
    /// Remove it; where the store can't do that conditionally, a tombstone takes its place.
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
    // Written without an answer: such a write may still arrive while the next one is tried.
    let mut doubtful: Vec<Record> = Vec::new();
    let outcome = try_again(store, call, name, now, plan, &mut doubtful);
    outcome.map_err(|error| if doubtful.is_empty() { error } else { error.with_outcome_unknown() })
}

fn try_again(
    store: &dyn Store,
    call: &Call,
    name: &IndexName,
    now: i64,
    plan: &mut dyn FnMut(Option<Record>) -> Result<Change>,
    doubtful: &mut Vec<Record>,
) -> Result<Option<Record>> {
    let mut last: Option<(Option<Revision>, Error)> = None;
    let mut waits = waits();
    for _ in 0..MAX_ATTEMPTS {
        call.check("writing the envelope record")?;
        let (present, revision) = read(store, call, name)?;
        if let Some(written) = find_ours(present.as_ref(), doubtful) {
            return Ok(alive(written));
        }
        // Refused, and nothing has changed: someone else is at it, or the store is not itself.
        if let Some((refused, error)) = &last
            && *refused == revision
        {
            call.sleep(waits.next().ok_or_else(|| groundless(name, error))?)?;
        }
        let live = present.and_then(alive);
        let expected = revision.as_ref().map_or(Expected::Absent, Expected::Revision);
        let outcome = match plan(live.clone())? {
            Change::Keep => return Ok(live),
            Change::Remove if store.removes_conditionally() => remove(store, call, name, expected),
            Change::Remove => live.map_or(Ok(None), |record| {
                write(store, call, name, now, record.into_tombstone(), expected, doubtful).map(alive)
            }),
            Change::Write(record) => write(store, call, name, now, *record, expected, doubtful).map(alive),
        };
        match outcome {
            Err(error) if lost_the_race(&error) => last = Some((revision, error)),
            outcome => return outcome,
        }
    }
    let last = last.map(|(_, error)| error);
    let last = last.unwrap_or_else(|| fail!(Conflict, "index {name}: its envelope record keeps changing"));
    let what =
        format!("index {name}: others changed its record {MAX_ATTEMPTS} times in a row; try again later");
    Err(last.context(what))
}

/// The pauses of a write that is refused although nothing has changed: about a second in all.
fn waits() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(200))
        .with_max_times(MAX_GROUNDLESS)
        .with_jitter()
        .build()
}

fn groundless(name: &IndexName, error: &Error) -> Error {
    fail!(
        Storage,
        "index {name}: the store refuses the write again and again, though nobody has changed the record ({error}): try \
         again later"
    )
    .with_retryable(true)
}

fn alive(record: Record) -> Option<Record> {
    (!record.is_tombstone()).then_some(record)
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

/// Refused, as far as an answer can tell: the store itself may have had the write, and refused its repetition.
fn is_refusal(error: &Error) -> bool {
    matches!(error.status(), Status::Conflict | Status::AlreadyExists)
}

/// A device that failed may show what will not last. A server that can be asked again shows what it has.
fn may_not_last(lost: &Error) -> bool {
    lost.status() == Status::Storage && !lost.is_retryable()
}

fn remove(
    store: &dyn Store,
    call: &Call,
    name: &IndexName,
    expected: Expected<'_>,
) -> Result<Option<Record>> {
    if matches!(expected, Expected::Absent) {
        return Ok(None);
    }
    match store.remove(call, name, expected) {
        Ok(()) => Ok(None),
        // Gone is gone, whoever did it.
        Err(lost) if lost.is_outcome_unknown() && !may_not_last(&lost) => match store.get(call, name) {
            Ok(None) => Ok(None),
            _ => Err(lost),
        },
        Err(error) => Err(error),
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
    let lost = match store.put(call, name, &bytes, expected) {
        Ok(()) => return Ok(record),
        Err(lost) if lost.is_outcome_unknown() => lost,
        Err(error) => return Err(error),
    };
    match who_won(store, call, name, id, before, &lost) {
        Ok(()) => Ok(record),
        // A request that was answered is not on its way any more.
        Err(error) if lost_the_race(&error) && is_refusal(&lost) => Err(error),
        Err(error) if lost_the_race(&error) && lost.status() == Status::Throttled => {
            Err(lost.with_outcome_known())
        }
        // Tried again, and not for ever: a store that never answers must not be asked again and again.
        Err(error) if lost_the_race(&error) && lost.is_retryable() && doubtful.len() < MAX_LOST => {
            doubtful.push(record);
            Err(error)
        }
        // An answer came, and it was a refusal.
        Err(error) if lost_the_race(&error) && may_not_last(&lost) => Err(lost.with_outcome_known()),
        Err(error) => Err(if is_refusal(&lost) { error } else { lost }),
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
    let ids = match read(store, call, name) {
        Ok((present, _)) => present.map(|record| record.write_ids).unwrap_or_default(),
        // Nobody has seen what the refusal speaks of.
        Err(look) if is_refusal(lost) => return Err(look.with_outcome_unknown()),
        Err(_) => return Err(lost.clone()),
    };
    if ids.contains(&id) {
        return if may_not_last(lost) { Err(lost.clone()) } else { Ok(()) };
    }
    // Where what came before is still listed, ours would be too.
    let all_listed = ids.len() < super::MAX_WRITE_IDS || before.is_some_and(|before| ids.contains(&before));
    if all_listed {
        return Err(fail!(Conflict, "index {name}: the write did not happen ({lost})"));
    }
    if is_refusal(lost) {
        let what = "its record was changed many times meanwhile, and whether by this call too can't be told";
        return Err(fail!(Conflict, "index {name}: {what}: read it and try again").with_outcome_unknown());
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
        "index {name} has no envelope record in this store: check its name, and that this is the right store; create it only \
         if it never had pages, which a new KEK does not open"
    )
}

/// Removes the record, whatever it is; that there is none is fine.
pub fn delete(store: &dyn Store, call: &Call, name: &IndexName) -> Result<()> {
    remove(store, call, name, Expected::Any).map(drop)
}
