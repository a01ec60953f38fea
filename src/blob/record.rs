//! The record as a Rust value.

use super::codec::damaged;
use super::{Blob, codec};
use crate::error::Result;

/// Bytes of a write id.
pub const WRITE_ID_LEN: usize = 16;
/// How many write ids a record keeps.
pub const MAX_WRITE_IDS: usize = 16;
/// Data key 0 is the derivation key; pages are sealed from here on.
pub const FIRST_DATA_KEY: u32 = 1;

/// Which of the two kinds of record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A KEK and nothing that could be lost: CyborgDB opens and rewrites it.
    CyborgDb,
    /// With data keys: CyborgDB's get and create refuse it.
    Ours,
}

/// What a wrap is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Binding {
    /// Nothing: CyborgDB's way, and that of providers that take no AAD.
    #[default]
    None = 0,
    /// The index's name, as AAD or encryption context.
    IndexName = 1,
}

/// Whether an index may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum State {
    /// It may.
    #[default]
    Enabled = 0,
    /// Refused with `KEY_DISABLED`.
    Disabled = 1,
    /// Refused likewise, and deleted at `deletion_at`.
    PendingDeletion = 2,
    /// A tombstone: no index any more.
    Deleted = 3,
}

impl State {
    /// Its name in JSON and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Enabled => "enabled",
            State::Disabled => "disabled",
            State::PendingDeletion => "pending_deletion",
            State::Deleted => "deleted",
        }
    }
}

/// One wrap of a KEK by one slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WrappedKek {
    /// The slot.
    pub kms_name: String,
    /// Its provider.
    pub provider: String,
    /// The wrapping key.
    pub key_id: String,
    /// Its region.
    pub region: String,
    /// The wrap itself; empty for provider `none`.
    pub wrapped_kek: Vec<u8>,
    /// What it is bound to.
    pub binding: Binding,
    /// The wrapping key's version, where the provider has such.
    pub key_version: String,
    /// How it was wrapped, where the provider knows several ways.
    pub mechanism: String,
}

/// A KEK that a rotation replaced, wrapped under the present one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerKek {
    /// The envelope version up to which it was in force.
    pub last_version: u32,
    /// 60 bytes; none where it was retired, so that its versions are not taken for those of the next.
    pub wrapped: Vec<u8>,
}

impl FormerKek {
    /// Whether it was forgotten.
    pub fn is_retired(&self) -> bool {
        self.wrapped.is_empty()
    }
}

/// A data key, wrapped under the KEK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyEntry {
    /// 0: the derivation key; 1 and up: pages.
    pub id: u32,
    /// 60 bytes.
    pub wrapped: Vec<u8>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; 0: current.
    pub superseded_at: i64,
}

/// All that is stored for an index. Holds wraps only, nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// CyborgDB's or ours.
    pub kind: Kind,
    /// The envelope's version, 1 and up.
    pub envelope_version: u32,
    /// The KEK's wrap by the index's own slot.
    pub wrap: WrappedKek,
    /// Unix seconds of the KEK.
    pub created_at: i64,
    /// Tells the right KEK from a wrong one; absent in what CyborgDB wrote.
    pub kek_check: Option<[u8; 32]>,
    /// Whether the index may be used.
    pub state: State,
    /// Unix seconds, for a pending deletion.
    pub deletion_at: i64,
    /// Unix seconds of the last write.
    pub updated_at: i64,
    /// The ids of the last writes, newest last.
    pub write_ids: Vec<[u8; WRITE_ID_LEN]>,
    /// The same KEK wrapped by further slots.
    pub recipients: Vec<WrappedKek>,
    /// The wrap that a push replaced.
    pub replaced: Option<WrappedKek>,
    /// KEKs that rotations replaced.
    pub former_keks: Vec<FormerKek>,
    /// Empty in CyborgDB's kind.
    pub data_keys: Vec<DataKeyEntry>,
    /// The data key of new pages.
    pub current_data_key: u32,
    /// One more with each write that held the KEK; 0 in CyborgDB's kind.
    pub epoch: u64,
    /// Authenticates the data keys.
    pub record_mac: Option<[u8; 32]>,
}

impl Record {
    /// A record of CyborgDB's kind with what a blob holds.
    pub fn from_blob(blob: Blob) -> Record {
        Record {
            kind: Kind::CyborgDb,
            envelope_version: blob.version,
            wrap: WrappedKek {
                kms_name: blob.kms_name,
                provider: blob.provider,
                key_id: blob.key_id,
                region: blob.region,
                wrapped_kek: blob.wrapped_kek,
                ..WrappedKek::default()
            },
            created_at: blob.created_at,
            kek_check: None,
            state: State::Enabled,
            deletion_at: 0,
            updated_at: 0,
            write_ids: Vec::new(),
            recipients: Vec::new(),
            replaced: None,
            former_keks: Vec::new(),
            data_keys: Vec::new(),
            current_data_key: 0,
            epoch: 0,
            record_mac: None,
        }
    }

    /// What stands in its place where a store can't remove conditionally: no wraps, no keys, but the ids of the
    /// writes, by which a write whose answer was lost is found.
    pub fn into_tombstone(self) -> Record {
        let nothing = Blob { version: self.envelope_version, created_at: self.created_at, ..Blob::default() };
        Record {
            // CyborgDB's get takes it for a newer kind of record, not for one without a wrap.
            kind: Kind::Ours,
            state: State::Deleted,
            write_ids: self.write_ids,
            ..Record::from_blob(nothing)
        }
    }

    /// What a blob holds of it.
    pub fn into_blob(self) -> Blob {
        Blob {
            kms_name: self.wrap.kms_name,
            provider: self.wrap.provider,
            key_id: self.wrap.key_id,
            region: self.wrap.region,
            wrapped_kek: self.wrap.wrapped_kek,
            version: self.envelope_version,
            created_at: self.created_at,
        }
    }

    /// Reads and checks a stored record: `CORRUPT` for anything that no writer writes.
    pub fn decode(bytes: &[u8]) -> Result<Record> {
        let record = codec::decode(bytes)?;
        record.check()?;
        Ok(record)
    }

    /// The stored bytes. `INVALID_ARGUMENT` where they pass 1 MiB.
    pub fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(self)
    }

    /// Whether there is no index any more.
    pub fn is_tombstone(&self) -> bool {
        self.state == State::Deleted
    }

    /// Unix seconds of the index: its derivation key is as old, or the KEK, where CyborgDB made it.
    pub fn index_created_at(&self) -> i64 {
        self.data_key(0).map_or(self.created_at, |key| key.created_at.min(self.created_at))
    }

    /// The page or derivation key with this id.
    pub fn data_key(&self, id: u32) -> Option<&DataKeyEntry> {
        self.data_keys.iter().find(|key| key.id == id)
    }

    /// The former KEK that was in force at an envelope version; `None` where the present one was.
    pub fn former_kek_at(&self, version: u32) -> Option<&FormerKek> {
        let reaching = self.former_keks.iter().filter(|former| former.last_version >= version);
        reaching.min_by_key(|former| former.last_version)
    }

    /// Adds the id of the write that is about to happen and drops the oldest.
    pub fn note_write(&mut self, id: [u8; WRITE_ID_LEN], now: i64) {
        self.write_ids.push(id);
        let excess = self.write_ids.len().saturating_sub(MAX_WRITE_IDS);
        self.write_ids.drain(..excess);
        self.updated_at = now;
    }

    /// What the codec alone can't tell: fields that contradict each other.
    fn check(&self) -> Result<()> {
        let corrupt = |what: &str| Err(damaged(what));
        if self.is_tombstone() {
            return Ok(());
        }
        if self.kind == Kind::CyborgDb {
            if !self.data_keys.is_empty() || !self.former_keks.is_empty() {
                return corrupt("a record of CyborgDB's kind has data keys");
            }
            return Ok(());
        }
        if self.data_key(0).is_none() {
            return corrupt("it has no derivation key");
        }
        if self.current_data_key < FIRST_DATA_KEY || self.data_key(self.current_data_key).is_none() {
            return corrupt("its current data key is missing");
        }
        for (position, key) in self.data_keys.iter().enumerate() {
            if self.data_keys[..position].iter().any(|earlier| earlier.id == key.id) {
                return corrupt("two data keys have one id");
            }
        }
        if self.kek_check.is_none() || self.record_mac.is_none() {
            return corrupt("it has data keys but nothing that authenticates them");
        }
        Ok(())
    }
}
