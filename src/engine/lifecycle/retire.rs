//! The end of a data key or a former KEK: what it protected can never be read again.

use std::sync::Arc;
use std::time::Duration;

use super::hold::{Held, Next, Work, rewrite};
use super::time::rfc3339;
use crate::audit::Operation;
use crate::blob::{self, DataKeyEntry, FIRST_DATA_KEY, Kind, Record};
use crate::call::Call;
use crate::crypto::derive::kek_check;
use crate::crypto::secret::SecretKey;
use crate::engine::Core;
use crate::error::{Error, Result, fail};
use crate::keys::kek_only;
use crate::name::IndexName;

/// Beyond `cache.max_record_age`, for clocks that differ and writes under way.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Forgets a data key.
pub(super) fn data_key(core: &Arc<Core>, call: &Call, name: &IndexName, id: u32) -> Result<()> {
    let given = given_kek(core, call, name)?;
    rewrite(core, call, name, given.as_deref(), &RetireDataKey { id })
}

/// Forgets the former KEK of an envelope version.
pub(super) fn kek(core: &Arc<Core>, call: &Call, name: &IndexName, version: u32) -> Result<()> {
    let given = given_kek(core, call, name)?;
    rewrite(core, call, name, given.as_deref(), &RetireKek { version })
}

/// The KEK of an index of provider `none`: that of a handle that is open in this process.
fn given_kek(core: &Core, call: &Call, name: &IndexName) -> Result<Option<Arc<SecretKey>>> {
    let given: Vec<_> = core.own_entries.of(name).into_iter().filter_map(|(_, given)| given).collect();
    if given.is_empty() {
        return Ok(None);
    }
    let record = blob::live_record(&*core.store, call, name)?;
    for kek in given {
        // A handle may still be open with a former one.
        if Some(kek_check(&core.arena, &kek, name.as_str())?) == record.kek_check {
            return Ok(Some(kek));
        }
    }
    Ok(None)
}

/// When no handle of any process seals with a superseded data key any more; `None` for the current one.
pub(super) fn quiet_at(core: &Core, key: &DataKeyEntry) -> Option<i64> {
    let wait = core.cache_settings().max_record_age + MARGIN;
    // A part of a second counts as one.
    let seconds = i64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
    (key.superseded_at != 0).then(|| key.superseded_at.saturating_add(seconds))
}

fn check_retirable(name: &IndexName, record: &Record) -> Result<()> {
    if record.kind == Kind::CyborgDb {
        return Err(kek_only(record).context(format!("index {name}")));
    }
    Ok(())
}

/// A KEK that must be brought, and can't be given here.
fn check_held(core: &Core, name: &IndexName, record: &Record) -> Result<()> {
    let is_open = || core.own_entries.of(name).iter().any(|(_, given)| given.is_some());
    if record.wrap.provider == "none" && !is_open() {
        return Err(fail!(
            InvalidArgument,
            "index {name} has provider none: open it with its KEK in this process and keep the handle while a key is \
             retired (cyborg_kms_index_open_with_key)"
        ));
    }
    Ok(())
}

struct RetireDataKey {
    id: u32,
}

impl RetireDataKey {
    fn missing(&self, name: &IndexName, record: &Record) -> Error {
        let was = if self.id < record.current_data_key { "any more: it was retired" } else { "yet" };
        fail!(NotFound, "index {name} has no data key {} {was}", self.id)
    }
}

impl Work for RetireDataKey {
    fn operation(&self) -> Operation {
        Operation::RetireDataKey
    }

    fn check(&self, core: &Core, name: &IndexName, record: &Record) -> Result<()> {
        check_retirable(name, record)?;
        if self.id < FIRST_DATA_KEY {
            return Err(fail!(
                InvalidArgument,
                "data key 0 derives keys for as long as index {name} lives: it can't be retired"
            ));
        }
        let key = record.data_key(self.id).ok_or_else(|| self.missing(name, record))?;
        if self.id == record.current_data_key {
            return Err(fail!(
                InvalidArgument,
                "data key {} of index {name} is the current one: rotate it first (CYBORG_KMS_ROTATE_DATA_KEY)",
                self.id
            ));
        }
        let quiet_at = quiet_at(core, key).unwrap_or(i64::MAX);
        if core.clock.unix_seconds() < quiet_at {
            return Err(fail!(
                Conflict,
                "data key {} of index {name}: other processes may seal with it until {}: look for its pages after \
                 that, then retire it",
                self.id,
                rfc3339(quiet_at).unwrap_or_else(|| "the end of time".to_owned())
            ));
        }
        check_held(core, name, record)
    }

    fn next(&self, _: &Core, _: &Call, _: &IndexName, held: &Held) -> Result<Next> {
        let mut record = held.record();
        record.data_keys.retain(|key| key.id != self.id);
        Next::of_same_kek(held, record)
    }
}

struct RetireKek {
    version: u32,
}

impl Work for RetireKek {
    fn operation(&self) -> Operation {
        Operation::RetireKek
    }

    fn check(&self, core: &Core, name: &IndexName, record: &Record) -> Result<()> {
        check_retirable(name, record)?;
        let version = self.version;
        if version == 0 || version > record.envelope_version {
            return Err(fail!(
                NotFound,
                "index {name}: envelope version {version} does not exist, it is at {}",
                record.envelope_version
            ));
        }
        match record.former_kek_at(version) {
            None => Err(fail!(
                InvalidArgument,
                "the KEK of envelope version {version} of index {name} is the one in use: rotate it first \
                 (CYBORG_KMS_ROTATE_KEK)"
            )),
            Some(former) if former.is_retired() => Err(fail!(
                NotFound,
                "index {name}: the KEK of envelope version {version} was retired already"
            )),
            Some(_) => check_held(core, name, record),
        }
    }

    /// A mark stays: without it the next former KEK would be taken for that of the retired versions.
    fn next(&self, _: &Core, _: &Call, _: &IndexName, held: &Held) -> Result<Next> {
        let mut record = held.record();
        let last_version = record.former_kek_at(self.version).map(|former| former.last_version);
        for former in &mut record.former_keks {
            if Some(former.last_version) == last_version {
                former.wrapped.clear();
            }
        }
        record.former_keks.sort_by_key(|former| former.last_version);
        // Of marks in a row the last says it all.
        let reversed = record.former_keks.into_iter().rev();
        let mut kept: Vec<blob::FormerKek> = Vec::new();
        for former in reversed {
            if !(former.is_retired() && kept.last().is_some_and(blob::FormerKek::is_retired)) {
                kept.push(former);
            }
        }
        kept.reverse();
        record.former_keks = kept;
        Next::of_same_kek(held, record)
    }
}
