//! What is stored of an index, as JSON. No KMS is asked, so nothing of it is authenticated.

use base64ct::{Base64, Encoding};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::retire::quiet_at;
use super::time::{rfc3339, rfc3339_unless_0};
use crate::blob::{self, Binding, DataKeyEntry, Kind, Record, WrappedKek};
use crate::call::Call;
use crate::engine::Core;
use crate::engine::stats::count;
use crate::error::{Result, fail};
use crate::name::IndexName;

/// The JSON. Its fields are documented (`docs/operating.md`), and only ever added to.
#[derive(Serialize)]
struct Description<'a> {
    index: &'a str,
    kind: &'static str,
    state: &'static str,
    deletion_at: Option<String>,
    #[serde(flatten)]
    wrap: Wrap<'a>,
    version: u32,
    epoch: u64,
    created_at: Option<String>,
    kek_created_at: Option<String>,
    updated_at: Option<String>,
    has_kek_check: bool,
    current_data_key: u32,
    data_keys: Vec<DataKey>,
    former_keks: Vec<Former>,
    recipients: Vec<Wrap<'a>>,
    replaced: Option<Wrap<'a>>,
    record_sha256: String,
}

#[derive(Serialize)]
struct Wrap<'a> {
    kms_name: &'a str,
    provider: &'a str,
    key_id: &'a str,
    region: &'a str,
    key_version: &'a str,
    mechanism: &'a str,
    binding: &'static str,
    wrapped_kek: String,
}

#[derive(Serialize)]
struct DataKey {
    id: u32,
    purpose: &'static str,
    created_at: Option<String>,
    superseded_at: Option<String>,
    quiet_at: Option<String>,
}

#[derive(Serialize)]
struct Former {
    first_version: u32,
    last_version: u32,
    is_retired: bool,
}

/// Describes the index; `NOT_FOUND` where there is none.
pub(super) fn describe(core: &Core, call: &Call, name: &IndexName) -> Result<String> {
    count(&core.counters.store_reads);
    let stored = core.store.get(call, name)?.ok_or_else(|| blob::no_record(name))?;
    let record = Record::decode(&stored.bytes).map_err(|error| error.context(format!("index {name}")))?;
    if record.is_tombstone() {
        return Err(blob::no_record(name));
    }
    let description = Description {
        index: name.as_str(),
        kind: match record.kind {
            Kind::CyborgDb => "cyborgdb",
            Kind::Ours => "cyborg_kms",
        },
        state: record.state.as_str(),
        deletion_at: rfc3339_unless_0(record.deletion_at),
        wrap: wrap(&record.wrap),
        version: record.envelope_version,
        epoch: record.epoch,
        created_at: rfc3339(record.index_created_at()),
        kek_created_at: rfc3339(record.created_at),
        updated_at: rfc3339_unless_0(record.updated_at),
        has_kek_check: record.kek_check.is_some(),
        current_data_key: record.current_data_key,
        data_keys: record.data_keys.iter().map(|key| data_key(core, key)).collect(),
        former_keks: former_keks(&record),
        recipients: record.recipients.iter().map(wrap).collect(),
        replaced: record.replaced.as_ref().map(wrap),
        record_sha256: Base64::encode_string(&Sha256::digest(&stored.bytes)),
    };
    serde_json::to_string(&description).map_err(|error| fail!(Internal, "describing index {name}: {error}"))
}

fn wrap(wrap: &WrappedKek) -> Wrap<'_> {
    Wrap {
        kms_name: &wrap.kms_name,
        provider: &wrap.provider,
        key_id: &wrap.key_id,
        region: &wrap.region,
        key_version: &wrap.key_version,
        mechanism: &wrap.mechanism,
        binding: match wrap.binding {
            Binding::None => "none",
            Binding::IndexName => "index_name",
        },
        wrapped_kek: Base64::encode_string(&wrap.wrapped_kek),
    }
}

fn data_key(core: &Core, key: &DataKeyEntry) -> DataKey {
    DataKey {
        id: key.id,
        purpose: if key.id == 0 { "derive" } else { "pages" },
        created_at: rfc3339(key.created_at),
        superseded_at: rfc3339_unless_0(key.superseded_at),
        quiet_at: quiet_at(core, key).and_then(rfc3339),
    }
}

/// In the order of their versions; marks in a row are one.
fn former_keks(record: &Record) -> Vec<Former> {
    let mut former: Vec<_> = record.former_keks.iter().collect();
    former.sort_by_key(|former| former.last_version);
    let mut first_version = 1;
    former
        .into_iter()
        .map(|former| {
            let first = first_version;
            first_version = former.last_version.saturating_add(1);
            Former {
                first_version: first,
                last_version: former.last_version,
                is_retired: former.is_retired(),
            }
        })
        .collect()
}
