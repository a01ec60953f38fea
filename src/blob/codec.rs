//! The record as a FlatBuffer (`schema/kms_blob.fbs`), compatible with CyborgDB's `KMSBlob`.

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, Vector, WIPOffset};

use super::record::{
    Binding, DataKeyEntry, FormerKek, Kind, MAX_WRITE_IDS, Record, State, WRITE_ID_LEN, WrappedKek,
};
use crate::error::{Error, Result, fail};
use crate::generated as fbs;
use crate::store::MAX_RECORD;

/// What stands in CyborgDB's `version` slot: it opens only the first.
const CYBORGDB_KIND: u32 = 1;
const OUR_KIND: u32 = 2;
/// Bytes of a key wrapped under another: nonce, 32 bytes, tag.
const WRAPPED_KEY_LEN: usize = 60;

pub(super) fn decode(bytes: &[u8]) -> Result<Record> {
    if bytes.len() > MAX_RECORD {
        return Err(fail!(Corrupt, "the envelope record is larger than 1 MiB"));
    }
    let root = fbs::root_as_kms_blob(bytes).map_err(|_| damaged("it is no FlatBuffer of a KMSBlob"))?;
    let (kind, envelope_version) = versions(root.version(), root.envelope_version())?;
    Ok(Record {
        kind,
        envelope_version,
        wrap: WrappedKek {
            kms_name: text(root.kms_name()),
            provider: text(root.provider()),
            key_id: text(root.key_id()),
            region: text(root.region()),
            wrapped_kek: bytes_of(root.wrapped_kek()),
            binding: binding(root.binding())?,
            key_version: text(root.key_version()),
            mechanism: text(root.mechanism()),
        },
        created_at: root.created_at(),
        kek_check: exactly(root.kek_check(), "kek_check")?,
        state: state(root.state())?,
        deletion_at: root.deletion_at(),
        updated_at: root.updated_at(),
        write_ids: write_ids(root.write_ids())?,
        recipients: all(root.recipients(), decode_wrap)?,
        replaced: root.replaced().map(decode_wrap).transpose()?,
        former_keks: all(root.former_keks(), decode_former)?,
        data_keys: all(root.data_keys(), decode_data_key)?,
        current_data_key: root.current_data_key(),
        epoch: root.epoch(),
        record_mac: exactly(root.record_mac(), "record_mac")?,
    })
}

/// The error of a record that is none.
pub(super) fn damaged(what: impl std::fmt::Display) -> Error {
    fail!(
        Corrupt,
        "the envelope record is damaged: {what}; restore it from a backup, and don't create the index anew"
    )
}

/// Kind and envelope version from the two slots that say so.
fn versions(version: u32, envelope_version: u32) -> Result<(Kind, u32)> {
    match (version, envelope_version) {
        (0, _) => Err(damaged("its version is 0")),
        (bumped, 0) => Ok((Kind::CyborgDb, bumped)),
        (CYBORGDB_KIND, envelope) => Ok((Kind::CyborgDb, envelope)),
        (OUR_KIND, envelope) => Ok((Kind::Ours, envelope)),
        (other, _) => {
            Err(fail!(Corrupt, "the envelope record is of kind {other}, which this version does not know"))
        }
    }
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

fn bytes_of(value: Option<Vector<'_, u8>>) -> Vec<u8> {
    value.map(|vector| vector.bytes().to_vec()).unwrap_or_default()
}

fn exactly<const N: usize>(value: Option<Vector<'_, u8>>, what: &str) -> Result<Option<[u8; N]>> {
    match value {
        None => Ok(None),
        Some(vector) => vector
            .bytes()
            .try_into()
            .map(Some)
            .map_err(|_| damaged(format_args!("{what} has {} bytes, not {N}", vector.len()))),
    }
}

fn all<'a, F, T>(
    value: Option<Vector<'a, ForwardsUOffset<F>>>,
    decode: impl Fn(F::Inner) -> Result<T>,
) -> Result<Vec<T>>
where
    F: flatbuffers::Follow<'a> + 'a,
    ForwardsUOffset<F>: flatbuffers::Follow<'a, Inner = F::Inner>,
{
    value.map_or(Ok(Vec::new()), |vector| vector.iter().map(decode).collect())
}

fn binding(value: fbs::Binding) -> Result<Binding> {
    match value {
        fbs::Binding::none => Ok(Binding::None),
        fbs::Binding::index_name => Ok(Binding::IndexName),
        other => Err(damaged(format_args!("binding {}", other.0))),
    }
}

fn state(value: fbs::State) -> Result<State> {
    match value {
        fbs::State::enabled => Ok(State::Enabled),
        fbs::State::disabled => Ok(State::Disabled),
        fbs::State::pending_deletion => Ok(State::PendingDeletion),
        fbs::State::deleted => Ok(State::Deleted),
        other => Err(damaged(format_args!("state {}", other.0))),
    }
}

fn write_ids(value: Option<Vector<'_, u8>>) -> Result<Vec<[u8; WRITE_ID_LEN]>> {
    let bytes = bytes_of(value);
    let (ids, rest) = bytes.as_chunks::<WRITE_ID_LEN>();
    if !rest.is_empty() || ids.len() > MAX_WRITE_IDS {
        return Err(damaged(format_args!("write_ids has {} bytes", bytes.len())));
    }
    Ok(ids.to_vec())
}

fn decode_wrap(wrap: fbs::WrappedKek<'_>) -> Result<WrappedKek> {
    Ok(WrappedKek {
        kms_name: text(wrap.kms_name()),
        provider: text(wrap.provider()),
        key_id: text(wrap.key_id()),
        region: text(wrap.region()),
        wrapped_kek: bytes_of(wrap.wrapped_kek()),
        binding: binding(wrap.binding())?,
        key_version: text(wrap.key_version()),
        mechanism: text(wrap.mechanism()),
    })
}

fn decode_former(former: fbs::FormerKek<'_>) -> Result<FormerKek> {
    // Nothing: it was retired.
    let wrapped = match former.wrapped() {
        Some(wrapped) if !wrapped.is_empty() => wrapped_key(Some(wrapped))?,
        _ => Vec::new(),
    };
    Ok(FormerKek { last_version: former.last_version(), wrapped })
}

fn decode_data_key(key: fbs::DataKey<'_>) -> Result<DataKeyEntry> {
    Ok(DataKeyEntry {
        id: key.id(),
        wrapped: wrapped_key(key.wrapped())?,
        created_at: key.created_at(),
        superseded_at: key.superseded_at(),
    })
}

fn wrapped_key(value: Option<Vector<'_, u8>>) -> Result<Vec<u8>> {
    let bytes = bytes_of(value);
    if bytes.len() != WRAPPED_KEY_LEN {
        return Err(damaged(format_args!("a wrapped key has {} bytes", bytes.len())));
    }
    Ok(bytes)
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>> {
    // The builder of the crate panics past 2 GiB; nothing near that is a record anyway.
    if record.payload_len() > MAX_RECORD {
        return Err(too_large());
    }
    let mut builder = FlatBufferBuilder::with_capacity(512);
    let root = build(&mut builder, record);
    builder.finish(root, None);
    let bytes = builder.finished_data().to_vec();
    if bytes.len() > MAX_RECORD { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> crate::error::Error {
    fail!(
        InvalidArgument,
        "the envelope record would be larger than 1 MiB: shorten its fields, or retire keys that nothing uses"
    )
}

fn build<'a>(builder: &mut FlatBufferBuilder<'a>, record: &Record) -> WIPOffset<fbs::KmsBlob<'a>> {
    let wrap = &record.wrap;
    let args = fbs::KmsBlobArgs {
        kms_name: put_text(builder, &wrap.kms_name),
        provider: put_text(builder, &wrap.provider),
        key_id: put_text(builder, &wrap.key_id),
        region: put_text(builder, &wrap.region),
        wrapped_kek: put_bytes(builder, &wrap.wrapped_kek),
        version: match record.kind {
            Kind::CyborgDb => CYBORGDB_KIND,
            Kind::Ours => OUR_KIND,
        },
        created_at: record.created_at,
        // Absent where it says what CyborgDB's slot says too, so that the bytes are CyborgDB's.
        envelope_version: match (record.kind, record.envelope_version) {
            (Kind::CyborgDb, 1) => 0,
            (_, version) => version,
        },
        binding: fbs::Binding(wrap.binding as u8),
        key_version: put_text(builder, &wrap.key_version),
        mechanism: put_text(builder, &wrap.mechanism),
        kek_check: record.kek_check.and_then(|check| put_bytes(builder, &check)),
        state: fbs::State(record.state as u8),
        deletion_at: record.deletion_at,
        updated_at: record.updated_at,
        write_ids: put_bytes(builder, record.write_ids.as_flattened()),
        recipients: put_all(builder, &record.recipients, put_wrap),
        replaced: record.replaced.as_ref().map(|wrap| put_wrap(builder, wrap)),
        former_keks: put_all(builder, &record.former_keks, put_former),
        data_keys: put_all(builder, &record.data_keys, put_data_key),
        current_data_key: record.current_data_key,
        epoch: record.epoch,
        record_mac: record.record_mac.and_then(|mac| put_bytes(builder, &mac)),
    };
    fbs::KmsBlob::create(builder, &args)
}

fn put_text<'a>(builder: &mut FlatBufferBuilder<'a>, text: &str) -> Option<WIPOffset<&'a str>> {
    (!text.is_empty()).then(|| builder.create_string(text))
}

fn put_bytes<'a>(builder: &mut FlatBufferBuilder<'a>, bytes: &[u8]) -> Option<WIPOffset<Vector<'a, u8>>> {
    (!bytes.is_empty()).then(|| builder.create_vector(bytes))
}

fn put_all<'a, S, T>(
    builder: &mut FlatBufferBuilder<'a>,
    items: &[S],
    put: impl Fn(&mut FlatBufferBuilder<'a>, &S) -> WIPOffset<T>,
) -> Option<WIPOffset<Vector<'a, ForwardsUOffset<T>>>> {
    let offsets: Vec<WIPOffset<T>> = items.iter().map(|item| put(builder, item)).collect();
    (!offsets.is_empty()).then(|| builder.create_vector(&offsets))
}

fn put_wrap<'a>(builder: &mut FlatBufferBuilder<'a>, wrap: &WrappedKek) -> WIPOffset<fbs::WrappedKek<'a>> {
    let args = fbs::WrappedKekArgs {
        kms_name: put_text(builder, &wrap.kms_name),
        provider: put_text(builder, &wrap.provider),
        key_id: put_text(builder, &wrap.key_id),
        region: put_text(builder, &wrap.region),
        wrapped_kek: put_bytes(builder, &wrap.wrapped_kek),
        binding: fbs::Binding(wrap.binding as u8),
        key_version: put_text(builder, &wrap.key_version),
        mechanism: put_text(builder, &wrap.mechanism),
    };
    fbs::WrappedKek::create(builder, &args)
}

fn put_former<'a>(builder: &mut FlatBufferBuilder<'a>, former: &FormerKek) -> WIPOffset<fbs::FormerKek<'a>> {
    let wrapped = put_bytes(builder, &former.wrapped);
    fbs::FormerKek::create(builder, &fbs::FormerKekArgs { last_version: former.last_version, wrapped })
}

fn put_data_key<'a>(builder: &mut FlatBufferBuilder<'a>, key: &DataKeyEntry) -> WIPOffset<fbs::DataKey<'a>> {
    let wrapped = put_bytes(builder, &key.wrapped);
    let args = fbs::DataKeyArgs {
        id: key.id,
        wrapped,
        created_at: key.created_at,
        superseded_at: key.superseded_at,
    };
    fbs::DataKey::create(builder, &args)
}

impl Record {
    /// About what the fields of any length take.
    fn payload_len(&self) -> usize {
        let wrap = |wrap: &WrappedKek| {
            [&wrap.kms_name, &wrap.provider, &wrap.key_id, &wrap.region, &wrap.key_version, &wrap.mechanism]
                .iter()
                .map(|text| text.len())
                .sum::<usize>()
                + wrap.wrapped_kek.len()
        };
        wrap(&self.wrap)
            + self.recipients.iter().map(wrap).sum::<usize>()
            + self.replaced.as_ref().map_or(0, wrap)
            + (self.former_keks.len() + self.data_keys.len()) * WRAPPED_KEY_LEN
    }
}
