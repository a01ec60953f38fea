//! The MAC over what hangs on the KEK: epoch, binding and data keys.

use std::sync::Arc;

use super::Record;
use super::codec::damaged;
use crate::crypto::derive::{SubKey, constant_time_eq, hmac_sha256, sub_key};
use crate::crypto::secret::{Arena, SecretKey};
use crate::error::{Result, fail};
use crate::name::IndexName;

impl Record {
    /// Writes `record_mac` for the record as it stands.
    pub fn authenticate(&mut self, arena: &Arc<Arena>, name: &IndexName, kek: &SecretKey) -> Result<()> {
        self.record_mac = Some(self.mac(arena, name, kek)?);
        Ok(())
    }

    /// `CORRUPT` where `record_mac` is not that of the record.
    pub fn verify(&self, arena: &Arc<Arena>, name: &IndexName, kek: &SecretKey) -> Result<()> {
        let expected = self.mac(arena, name, kek)?;
        match &self.record_mac {
            Some(stored) if constant_time_eq(stored, &expected) => Ok(()),
            _ => Err(fail!(
                Corrupt,
                "index {name}: the data keys of its envelope record were altered; restore the record from a backup"
            )),
        }
    }

    fn mac(&self, arena: &Arc<Arena>, name: &IndexName, kek: &SecretKey) -> Result<[u8; 32]> {
        let key = sub_key(arena, kek, SubKey::Record)?;
        Ok(hmac_sha256(key.expose(), &[&self.mac_input(name)?]))
    }

    /// The items in the order of `docs/format.md`, each behind its length.
    fn mac_input(&self, name: &IndexName) -> Result<Vec<u8>> {
        let mut input = MacInput(Vec::with_capacity(512));
        input.item(name.as_str().as_bytes())?;
        input.item(&self.epoch.to_be_bytes())?;
        input.item(&[self.wrap.binding as u8])?;
        input.item(&self.current_data_key.to_be_bytes())?;
        input.count(self.former_keks.len())?;
        for former in &self.former_keks {
            input.item(&former.last_version.to_be_bytes())?;
            input.item(&former.wrapped)?;
        }
        input.count(self.data_keys.len())?;
        for key in &self.data_keys {
            input.item(&key.id.to_be_bytes())?;
            input.item(&key.wrapped)?;
            input.item(&key.created_at.to_be_bytes())?;
            input.item(&key.superseded_at.to_be_bytes())?;
        }
        Ok(input.0)
    }
}

struct MacInput(Vec<u8>);

impl MacInput {
    fn item(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(&length(bytes.len())?);
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<()> {
        self.item(&length(count)?)
    }
}

fn length(len: usize) -> Result<[u8; 4]> {
    u32::try_from(len).map(u32::to_be_bytes).map_err(|_| damaged("a field is too long"))
}
