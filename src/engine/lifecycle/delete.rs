//! The end of an index: its wrapped keys are removed, and what they protect is noise.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::time::rfc3339;
use crate::audit::{Event, Intent, Operation};
use crate::blob::{self, Change, Record};
use crate::call::Call;
use crate::engine::Core;
use crate::engine::stats::count;
use crate::error::{Error, Result, fail};
use crate::name::IndexName;

/// What the caller can show of a deletion. Its fields are documented, and only ever added to.
#[derive(Debug, Serialize)]
pub(in crate::engine) struct Receipt {
    index: String,
    deleted_at: Option<String>,
    created_at: Option<String>,
    kek_created_at: Option<String>,
    kms_name: String,
    provider: String,
    key_id: String,
    region: String,
    kek_version: u32,
    epoch: u64,
    data_keys: Vec<u32>,
    former_keks: Vec<u32>,
    recipients: Vec<String>,
    record_sha256: String,
}

impl Receipt {
    /// As the caller gets it.
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| fail!(Internal, "the receipt of index {:?}: {error}", self.index))
    }
}

/// Removes the record in one compare-and-swap; the receipt is of what was removed. `CONFLICT` where the record is, by
/// then, not one that `is_wanted` gone.
pub(in crate::engine) fn delete(
    core: &Arc<Core>,
    call: &Call,
    name: &IndexName,
    is_wanted: &dyn Fn(&Record) -> bool,
) -> Result<Receipt> {
    let event = || Event::new(Operation::Delete, name);
    core.audited(call, event, |intent| delete_now(core, call, name, is_wanted, intent))
}

fn delete_now(
    core: &Arc<Core>,
    call: &Call,
    name: &IndexName,
    is_wanted: &dyn Fn(&Record) -> bool,
    intent: &mut Intent<'_>,
) -> Result<Receipt> {
    count(&core.counters.store_writes);
    let now = core.clock.unix_seconds();
    let mut removed = None;
    let deleted = blob::change(&*core.store, call, name, now, &mut |present| {
        let record = present.ok_or_else(|| blob::no_record(name))?;
        intent.record(&record);
        if !is_wanted(&record) {
            let left = fail!(Conflict, "index {name} is not to be deleted any more: it was left as it is");
            return Err(left.with_retryable(false));
        }
        let hash = hash_of(core, call, name, &record)?;
        removed = Some((record, hash));
        Ok(Change::Remove)
    });
    if deleted.as_ref().map_or_else(Error::is_outcome_unknown, |_| true) {
        core.stop_use(name);
    }
    deleted?;
    let (record, hash) = removed.ok_or_else(|| fail!(Internal, "index {name}: nothing was deleted"))?;
    core.note_change(name, &record, "an index was deleted");
    Ok(receipt(name, record, hash, now))
}

/// SHA-256 of the record as it is stored. Where that is not `record` any more the write would not happen either.
fn hash_of(core: &Core, call: &Call, name: &IndexName, record: &Record) -> Result<[u8; 32]> {
    count(&core.counters.store_reads);
    let stored = core
        .store
        .get(call, name)?
        .filter(|stored| Record::decode(&stored.bytes).is_ok_and(|stored| stored == *record));
    let stored = stored.ok_or_else(|| {
        fail!(Conflict, "index {name}: someone else changed its record while it was being deleted; try again")
    })?;
    Ok(Sha256::digest(&stored.bytes).into())
}

fn receipt(name: &IndexName, record: Record, hash: [u8; 32], now: i64) -> Receipt {
    Receipt {
        index: name.as_str().to_owned(),
        deleted_at: rfc3339(now),
        created_at: rfc3339(record.index_created_at()),
        kek_created_at: rfc3339(record.created_at),
        kms_name: record.wrap.kms_name,
        provider: record.wrap.provider,
        key_id: record.wrap.key_id,
        region: record.wrap.region,
        kek_version: record.envelope_version,
        epoch: record.epoch,
        data_keys: record.data_keys.iter().map(|key| key.id).collect(),
        former_keks: record.former_keks.iter().map(|former| former.last_version).collect(),
        recipients: record.recipients.into_iter().map(|wrap| wrap.kms_name).collect(),
        record_sha256: Base64::encode_string(&hash),
    }
}
