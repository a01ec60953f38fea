//! What lies under a KEK, wrapped anew under another.

use std::sync::Arc;

use crate::blob::Record;
use crate::crypto::derive::{SubKey, sub_key};
use crate::crypto::secret::{Arena, SecretKey};
use crate::crypto::wrap::{data_key_aad, former_kek_aad, unwrap_key, wrap};
use crate::error::{Result, Status, fail};
use crate::name::IndexName;

/// Wraps the record's data keys and former KEKs under `new`, and proves each wrap.
pub(super) fn move_under(
    arena: &Arc<Arena>,
    name: &IndexName,
    record: &mut Record,
    old: &SecretKey,
    new: &SecretKey,
) -> Result<()> {
    let from = sub_key(arena, old, SubKey::Wrap)?;
    let to = sub_key(arena, new, SubKey::Wrap)?;
    for entry in &mut record.data_keys {
        let aad = data_key_aad(entry.id, name.as_str());
        let key = unwrap_key(arena, from.expose(), &aad, &entry.wrapped)?;
        entry.wrapped = proven(arena, &to, &aad, &key)?;
    }
    for former in record.former_keks.iter_mut().filter(|former| !former.is_retired()) {
        let aad = former_kek_aad(former.last_version, name.as_str());
        let key = unwrap_key(arena, from.expose(), &aad, &former.wrapped).map_err(|error| {
            let what = format!("index {name}: the KEK of version {} is damaged", former.last_version);
            error.with_status(Status::Corrupt).context(what)
        })?;
        former.wrapped = proven(arena, &to, &aad, &key)?;
    }
    Ok(())
}

/// A former KEK as it is kept under the present one.
pub(super) fn former_kek(
    arena: &Arc<Arena>,
    name: &IndexName,
    last_version: u32,
    former: &SecretKey,
    present: &SecretKey,
) -> Result<Vec<u8>> {
    let to = sub_key(arena, present, SubKey::Wrap)?;
    proven(arena, &to, &former_kek_aad(last_version, name.as_str()), former)
}

/// The key wrapped, once the wrap has given it back.
fn proven(arena: &Arc<Arena>, to: &SecretKey, aad: &[u8], key: &SecretKey) -> Result<Vec<u8>> {
    let wrapped = wrap(to.expose(), aad, key.expose())?;
    if !unwrap_key(arena, to.expose(), aad, &wrapped)?.ct_eq(key) {
        return Err(fail!(Internal, "a key that was wrapped came back as another; nothing was stored"));
    }
    Ok(wrapped)
}
