//! A key of 32 bytes that lives in an arena.
#![allow(unsafe_code)] // Views a slot of the arena as 32 bytes.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

pub use super::arena::{Arena, Locked};
use super::arena::{Slot, class_of};
use crate::error::{Result, fail};
use crate::sys::registers::clear_vectors;
use crate::sys::wipe::wipe_below;

/// Bytes in each key.
pub const KEY_LEN: usize = 32;

const CLASS: usize = class_of(KEY_LEN, 1);

/// A 256-bit key: in locked memory, wiped when dropped, never copied or printed by accident.
pub struct SecretKey {
    slot: Slot,
}

impl SecretKey {
    /// The key's bytes, to be used where they are.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        // SAFETY: the slot has at least 32 initialised bytes (zeros or what was written) and lives as long as
        // `self`; they are written only while being made, by `key_with`.
        unsafe { self.slot.start().cast::<[u8; KEY_LEN]>().as_ref() }
    }

    /// A second key with the same bytes, in the same arena.
    pub fn duplicate(&self) -> Result<SecretKey> {
        self.arena().key_from(self.expose())
    }

    /// Whether the keys are the same, in a time that tells nothing about them.
    pub fn ct_eq(&self, other: &SecretKey) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }

    /// The arena that it lives in.
    pub fn arena(&self) -> &Arc<Arena> {
        self.slot.arena()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl Arena {
    /// A new key, from the operating system's randomness.
    pub fn random_key(self: &Arc<Arena>) -> Result<SecretKey> {
        self.key_with(|key| random(key))
    }

    /// A copy of the caller's bytes, of which there must be 32.
    pub fn key_from(self: &Arc<Arena>, bytes: &[u8]) -> Result<SecretKey> {
        self.key_with(|key| {
            if bytes.len() != KEY_LEN {
                return Err(fail!(InvalidArgument, "a key has {KEY_LEN} bytes, not {}", bytes.len()));
            }
            key.copy_from_slice(bytes);
            Ok(())
        })
    }

    /// A key that `fill` writes to its place; nothing is left of it when that fails.
    pub fn key_with(
        self: &Arc<Arena>,
        fill: impl FnOnce(&mut [u8; KEY_LEN]) -> Result<()>,
    ) -> Result<SecretKey> {
        let slot = self.slot(CLASS)?;
        // SAFETY: 32 bytes of a slot that nobody else has yet.
        fill(unsafe { slot.start().cast::<[u8; KEY_LEN]>().as_mut() })?;
        Ok(SecretKey { slot })
    }
}

/// Fills `out` from the operating system's randomness.
pub fn random(out: &mut [u8]) -> Result<()> {
    getrandom::fill(out).map_err(|e| fail!(Internal, "the operating system gives no random bytes: {e}"))
}

/// Wipes what functions that just returned left on the stack and in the vector registers: libraries that return
/// keys and states by value can't wipe the copies that the compiler made of them. For the paths that are not hot.
pub(super) fn burn_stack() {
    // As deep as HKDF and AES-GCM go: tests/memory.py finds what is left with half of this.
    wipe_below::<{ 16 * 1024 }>();
    clear_vectors();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::sys::fork::testing::{forbid_locking, fork};

    #[test]
    fn a_key_is_what_was_given_and_prints_nothing_of_it() {
        let arena = Arena::new(false);
        let key = arena.key_from(&[0xab; 32]).unwrap();
        assert_eq!(key.expose(), &[0xab; 32]);
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
        let copy = key.duplicate().unwrap();
        assert!(key.ct_eq(&copy));
        let other = arena.random_key().unwrap();
        assert!(!key.ct_eq(&other));
        for length in [0, 31, 33] {
            let error = arena.key_from(&vec![1; length]).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
        }
    }

    #[test]
    fn nothing_is_left_of_a_dropped_or_refused_key() {
        let arena = Arena::new(false);
        let keys: Vec<_> = (0..2000).map(|_| arena.key_from(&[0xff; 32]).unwrap()).collect();
        assert_eq!(arena.bytes_in_use(), 2000 * 32);
        drop(keys);
        assert_eq!(arena.bytes_in_use(), 0);
        let refused = arena.key_with(|key| {
            key.fill(1);
            Err(fail!(Internal, "no"))
        });
        assert!(refused.is_err());
        assert_eq!(arena.bytes_in_use(), 0);
    }

    #[test]
    fn slots_are_used_again() {
        let arena = Arena::new(false);
        let first = arena.random_key().unwrap();
        let address = first.expose().as_ptr();
        drop(first);
        assert_eq!(arena.random_key().unwrap().expose().as_ptr(), address);
    }

    #[test]
    fn a_locked_value_is_dropped_and_wiped() {
        struct Noisy(Arc<()>, [u8; 700]);
        let (arena, witness) = (Arena::new(false), Arc::new(()));
        let inner = Arc::clone(&witness);
        let locked = Locked::new(&arena, |place| Ok(place.write(Noisy(inner, [9; 700])))).unwrap();
        assert_eq!((locked.1[699], Arc::strong_count(&locked.0)), (9, 2));
        drop(locked);
        assert_eq!(Arc::strong_count(&witness), 1);
        assert_eq!(arena.bytes_in_use(), 0);
    }

    #[test]
    fn a_value_made_elsewhere_is_refused() {
        let arena = Arena::new(false);
        let outside = Locked::<u64>::new(&arena, |_| Ok(Box::leak(Box::new(1))));
        assert_eq!(outside.unwrap_err().status(), Status::Internal);
    }

    #[test]
    fn the_lock_limit_is_a_refusal_or_a_warning_as_asked() {
        let (strict, lenient) = (Arena::new(true), Arena::new(false));
        let code = fork(|| {
            forbid_locking();
            let error = strict.random_key().unwrap_err();
            assert_eq!(error.status(), Status::Config);
            assert!(error.message().contains("RLIMIT_MEMLOCK"), "{error}");
            assert_eq!(strict.unlocked_chunks(), 0);

            assert_eq!((lenient.unlocked_chunks(), lenient.take_warning()), (0, None));
            let keys: Vec<_> = (0..1000).map(|_| lenient.random_key().unwrap()).collect();
            assert_eq!((keys.len(), lenient.unlocked_chunks()), (1000, 2));
            assert!(lenient.take_warning().unwrap().contains("RLIMIT_MEMLOCK"));
            assert_eq!(lenient.take_warning(), None);
            7
        });
        assert_eq!(code, 7);
    }

    #[test]
    fn a_child_works_on_with_its_copy() {
        let arena = Arena::new(false);
        let key = arena.key_from(&[3; 32]).unwrap();
        let code = fork(|| {
            let copy = key.duplicate().unwrap();
            drop(key);
            i32::from(copy.expose() == &[3; 32])
        });
        assert_eq!(code, 1);
    }
}
