//! The envelope record: what is stored for an index, its FlatBuffers codec, and how a write changes it.
//!
//! [`Blob`] is what CyborgDB's `KMSBlob` holds and what the C API hands out; [`Record`] is all that is stored.

mod change;
mod codec;
mod mac;
mod record;

pub use change::{Change, change, create, delete, get, push};
pub(crate) use change::{already_exists, live_record, no_record};
pub use record::{
    Binding, DataKeyEntry, FIRST_DATA_KEY, FormerKek, Kind, MAX_WRITE_IDS, Record, State, WRITE_ID_LEN,
    WrappedKek,
};

use crate::error::{Result, fail};

/// The fields of CyborgDB's `KMSBlob`: the KEK's wrap and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The slot's name in the registry.
    pub kms_name: String,
    /// The provider, such as `aws-kms`; not checked against a list.
    pub provider: String,
    /// The provider's name of the wrapping key.
    pub key_id: String,
    /// The provider's region.
    pub region: String,
    /// The wrapped KEK; not secret. Empty for provider `none`.
    pub wrapped_kek: Vec<u8>,
    /// The envelope's version, 1 and up.
    pub version: u32,
    /// Unix seconds; may be negative.
    pub created_at: i64,
}

impl Default for Blob {
    fn default() -> Blob {
        Blob {
            kms_name: String::new(),
            provider: String::new(),
            key_id: String::new(),
            region: String::new(),
            wrapped_kek: Vec::new(),
            version: 1,
            created_at: 0,
        }
    }
}

impl Blob {
    /// The record's bytes, CyborgDB's kind. `INVALID_ARGUMENT` past 1 MiB or for version 0.
    pub fn encode(&self) -> Result<Vec<u8>> {
        if self.version == 0 {
            return Err(fail!(InvalidArgument, "the envelope version is 0: versions start at 1"));
        }
        codec::encode(&Record::from_blob(self.clone()))
    }

    /// Reads a record of either kind and drops what a blob does not hold. `CORRUPT` for what is no record.
    pub fn decode(bytes: &[u8]) -> Result<Blob> {
        Ok(Record::decode(bytes)?.into_blob())
    }
}
