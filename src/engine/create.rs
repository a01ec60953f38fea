//! A new index: a KEK, its wrap, its first data keys, one strict insert.

use std::sync::Arc;

use super::core::nanoseconds;
use super::custody::{Custody, Wraps};
use super::{Core, Lifeline};
use crate::audit::{Event, Intent, Operation};
use crate::blob::{self, Blob, Change, Record};
use crate::cache::Loaded;
use crate::call::Call;
use crate::crypto::derive::kek_check;
use crate::crypto::secret::SecretKey;
use crate::error::{Result, fail};
use crate::index::Index;
use crate::keys::{Keys, give_data_keys};
use crate::name::IndexName;
use crate::registry::Slot;
use crate::striped::Striped;

use super::stats::count;

/// Creates an index; without a KEK from the caller a random one.
pub(super) fn create(
    lifeline: &Striped<Lifeline>,
    call: &Call,
    name: &IndexName,
    kms_name: &str,
    kek: Option<&[u8]>,
) -> Result<Index> {
    let core: &Arc<Core> = lifeline;
    let custody = Custody::of(core, kms_name)?;
    let given = kek.map(|kek| core.arena.key_from(kek)).transpose()?;
    if custody.is_none() && given.is_none() {
        return Err(fail!(
            InvalidArgument,
            "index {name}: provider none needs a KEK of the caller's (cyborg_kms_index_create_with_key)"
        ));
    }
    refuse_existing(core, call, name)?;
    core.audited(
        call,
        || intent(name, custody.slot()),
        |intent| make(lifeline, call, name, &custody, given, intent),
    )
}

fn intent(name: &IndexName, slot: Option<&Slot>) -> Event {
    let mut event = Event::new(Operation::Create, name);
    if let Some(slot) = slot {
        event.slot(slot);
    }
    event
}

fn make(
    lifeline: &Striped<Lifeline>,
    call: &Call,
    name: &IndexName,
    custody: &Custody,
    given: Option<SecretKey>,
    intent: &mut Intent<'_>,
) -> Result<Index> {
    let core: &Arc<Core> = lifeline;
    let kek = given.map_or_else(|| core.arena.random_key(), Ok)?;
    let wraps = custody.wrap(core, call, name, &kek)?;
    let as_of = wraps.as_of;
    let record = new_record(core, name, wraps, &kek, custody.is_compatible)?;
    let now = core.clock.now();
    let given = if custody.is_none() { Some(kek.duplicate()?) } else { None };
    // What can fail does so before anything is stored.
    let mut keys = Keys::open(&core.arena, name, Arc::new(record.clone()), kek, custody.capabilities, None)?;
    if given.is_none() {
        core.prepare_to_watch()?;
    }
    keys.record = Arc::new(insert(core, call, name, record)?);
    intent.record(&keys.record);
    let max_age = nanoseconds(core.cache_settings().max_record_age);
    let valid_until = as_of.saturating_add(core.lifetime());
    let loaded = Loaded {
        keys: Arc::new(keys),
        as_of,
        valid_until,
        ends_at: core.ends_at(valid_until),
        seal_until: now.saturating_add(max_age),
        trouble: None,
    };
    Index::of_new(lifeline, name, loaded, given)
}

/// Before the KMS is asked for a wrap that nobody would need.
fn refuse_existing(core: &Core, call: &Call, name: &IndexName) -> Result<()> {
    count(&core.counters.store_reads);
    match blob::live_record(&*core.store, call, name) {
        Ok(_) => Err(blob::already_exists(name)),
        Err(error) if error.status() == crate::error::Status::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn new_record(
    core: &Core,
    name: &IndexName,
    wraps: Wraps,
    kek: &SecretKey,
    compatible: bool,
) -> Result<Record> {
    let now = core.clock.unix_seconds();
    let mut record = Record::from_blob(Blob { created_at: now, ..Blob::default() });
    wraps.put_into(&mut record);
    record.kek_check = Some(kek_check(&core.arena, kek, name.as_str())?);
    if !compatible {
        give_data_keys(&core.arena, name, &mut record, kek, now)?;
        record.epoch = 1;
        record.authenticate(&core.arena, name, kek)?;
    }
    Ok(record)
}

fn insert(core: &Core, call: &Call, name: &IndexName, record: Record) -> Result<Record> {
    count(&core.counters.store_writes);
    let now = core.clock.unix_seconds();
    let stored = blob::change(&*core.store, call, name, now, &mut |present| match present {
        Some(_) => Err(blob::already_exists(name)),
        None => Ok(Change::Write(Box::new(record.clone()))),
    })?;
    stored.ok_or_else(|| fail!(Internal, "index {name}: the record was written but is not there"))
}
