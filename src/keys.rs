//! What an open index holds in memory: its KEK, its data keys, and the record that they came from.

use std::sync::Arc;

use crate::blob::{DataKeyEntry, FIRST_DATA_KEY, Kind, Record};
use crate::crypto::derive::{SubKey, constant_time_eq, kek_check, sub_key};
use crate::crypto::page::DataKey;
use crate::crypto::secret::{Arena, SecretKey};
use crate::crypto::wrap;
use crate::error::{Error, Result, Status, fail};
use crate::name::IndexName;

/// The keys of one state of one record; never changed, replaced as a whole.
#[derive(Debug)]
pub struct Keys {
    /// The record that they came from.
    pub record: Arc<Record>,
    /// The KEK.
    pub kek: SecretKey,
    /// What the slot lets its indexes do (`registry::CAN_ENCRYPT` and so on).
    pub capabilities: u32,
    derivation: Option<SecretKey>,
    pages: Vec<Arc<DataKey>>,
}

impl Keys {
    /// Unwraps what the record keeps under its KEK, after the record's own proof that it is this KEK.
    /// Data keys that `former` knows keep their prepared state, and must be the same keys.
    pub fn open(
        arena: &Arc<Arena>,
        name: &IndexName,
        record: Arc<Record>,
        kek: SecretKey,
        capabilities: u32,
        former: Option<&Keys>,
    ) -> Result<Keys> {
        check_kek(arena, name, &record, &kek)?;
        if record.data_keys.is_empty() {
            if former.is_some_and(|former| !former.is_kek_only()) {
                return Err(became_another(name, "its data keys are gone"));
            }
            return Ok(Keys { record, kek, capabilities, derivation: None, pages: Vec::new() });
        }
        record.verify(arena, name, &kek)?;
        let wrap_key = sub_key(arena, &kek, SubKey::Wrap)?;
        let mut derivation = None;
        let mut pages = Vec::with_capacity(record.data_keys.len());
        for entry in &record.data_keys {
            let key = unwrap_data_key(arena, name, &wrap_key, entry)?;
            if entry.id < FIRST_DATA_KEY {
                let known = former.and_then(|former| former.derivation.as_ref());
                if known.is_some_and(|known| !known.ct_eq(&key)) {
                    return Err(became_another(name, "its derivation key has become another key"));
                }
                derivation = Some(key);
            } else {
                pages.push(prepared(arena, name, entry.id, key, former)?);
            }
        }
        Ok(Keys { record, kek, capabilities, derivation, pages })
    }

    /// The data key of new pages; `UNSUPPORTED` for an index that has none.
    pub fn current(&self) -> Result<&DataKey> {
        self.page_key(self.record.current_data_key).ok_or_else(|| kek_only(&self.record))
    }

    /// The data key with this id, if the record that was read had it.
    pub fn page_key(&self, id: u32) -> Option<&DataKey> {
        self.pages.iter().find(|key| key.id() == id).map(|key| &**key)
    }

    /// The derivation key; `UNSUPPORTED` for an index that has none.
    pub fn derivation(&self) -> Result<&SecretKey> {
        self.derivation.as_ref().ok_or_else(|| kek_only(&self.record))
    }

    /// Whether the index holds only its KEK.
    pub fn is_kek_only(&self) -> bool {
        self.pages.is_empty()
    }

    /// The KEK of an envelope version, 0 being the current one.
    pub fn kek_of_version(&self, arena: &Arc<Arena>, name: &IndexName, version: u32) -> Result<SecretKey> {
        let current = self.record.envelope_version;
        if version > current {
            return Err(fail!(
                NotFound,
                "index {name}: envelope version {version} does not exist, it is at {current}"
            ));
        }
        match self.record.former_kek_at(version).filter(|_| version != 0) {
            None => self.kek.duplicate(),
            Some(former) if former.is_retired() => Err(fail!(
                NotFound,
                "index {name}: the KEK of envelope version {version} was retired; what it protects can't be read"
            )),
            Some(former) => {
                let wrap_key = sub_key(arena, &self.kek, SubKey::Wrap)?;
                let aad = wrap::former_kek_aad(former.last_version, name.as_str());
                wrap::unwrap_key(arena, wrap_key.expose(), &aad, &former.wrapped)
            }
        }
    }
}

/// The error of whoever needs data keys of a record that has none.
pub fn kek_only(record: &Record) -> Error {
    fail!(
        Unsupported,
        "this index holds only its KEK (slot {:?}; CyborgDB's kind of record): export_kek works, pages don't. \
         A REWRAP to a slot without cyborgdb_compatible gives it data keys",
        record.wrap.kms_name
    )
}

/// Whether this is the record's KEK: `CORRUPT` where a KMS gave another, `AUTHENTICATION_FAILED` where the
/// caller did. A record that CyborgDB wrote can't tell.
fn check_kek(arena: &Arc<Arena>, name: &IndexName, record: &Record, kek: &SecretKey) -> Result<()> {
    let Some(stored) = &record.kek_check else { return Ok(()) };
    if constant_time_eq(stored, &kek_check(arena, kek, name.as_str())?) {
        return Ok(());
    }
    Err(if record.wrap.provider == "none" {
        fail!(
            AuthenticationFailed,
            "index {name}: this is not its KEK; give that of its last rotation, or else the one that it was created with"
        )
    } else {
        fail!(
            Corrupt,
            "index {name}: slot {:?} gave back another KEK than the index was created with, or this is another \
             index's record; restore the record from a backup, or check the KMS",
            record.wrap.kms_name
        )
    })
}

fn unwrap_data_key(
    arena: &Arc<Arena>,
    name: &IndexName,
    wrap_key: &SecretKey,
    entry: &DataKeyEntry,
) -> Result<SecretKey> {
    let aad = wrap::data_key_aad(entry.id, name.as_str());
    wrap::unwrap_key(arena, wrap_key.expose(), &aad, &entry.wrapped).map_err(|error| {
        // A want of memory says nothing of the key.
        let is_wrong = matches!(error.status(), Status::AuthenticationFailed | Status::Corrupt);
        let error = if is_wrong { error.with_status(Status::Corrupt) } else { error };
        let what = if is_wrong { "is damaged" } else { "can't be unwrapped" };
        error.context(format!("index {name}: data key {} {what}", entry.id))
    })
}

/// The key ready for pages, with the nonces and derived keys that `former` had for it.
fn prepared(
    arena: &Arc<Arena>,
    name: &IndexName,
    id: u32,
    key: SecretKey,
    former: Option<&Keys>,
) -> Result<Arc<DataKey>> {
    let known = former.and_then(|former| former.pages.iter().find(|known| known.id() == id));
    match known {
        Some(known) if known.key().ct_eq(&key) => Ok(Arc::clone(known)),
        Some(_) => Err(became_another(name, &format!("data key {id} has become another key"))),
        None => Ok(Arc::new(DataKey::new(arena, id, key)?)),
    }
}

/// A handle has used these keys: the record that was read now is not that of the same index any more.
fn became_another(name: &IndexName, how: &str) -> Error {
    fail!(Corrupt, "index {name}: {how}; its record was replaced by another, restore it from a backup")
}

/// A fresh data key, wrapped under the KEK.
pub fn fresh_data_key(
    arena: &Arc<Arena>,
    name: &IndexName,
    kek: &SecretKey,
    id: u32,
    now: i64,
) -> Result<DataKeyEntry> {
    let wrap_key = sub_key(arena, kek, SubKey::Wrap)?;
    let key = arena.random_key()?;
    let wrapped = wrap::wrap(wrap_key.expose(), &wrap::data_key_aad(id, name.as_str()), key.expose())?;
    Ok(DataKeyEntry { id, wrapped, created_at: now, superseded_at: 0 })
}

/// Makes a record of our kind of one that holds its KEK alone: the derivation key and the first page key are made,
/// and wrapped under the KEK. Epoch and MAC are the writer's.
pub fn give_data_keys(
    arena: &Arc<Arena>,
    name: &IndexName,
    record: &mut Record,
    kek: &SecretKey,
    now: i64,
) -> Result<()> {
    record.kind = Kind::Ours;
    record.current_data_key = FIRST_DATA_KEY;
    let ids = [0, FIRST_DATA_KEY].into_iter();
    record.data_keys = ids.map(|id| fresh_data_key(arena, name, kek, id, now)).collect::<Result<_>>()?;
    Ok(())
}
