//! Derived keys kept for the next page. Deriving one costs as much as a third of sealing 4 KiB, so pages share
//! a nonce's first half (the prefix, which chooses the derived key) and count its second half up.
//!
//! A data key owns a few slots, for sealing and for opening; a thread only has a number, which says where it
//! looks first. A slot in use is passed by, never waited for.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use once_cell::race::OnceBox;

use super::aead::Aead;
use super::secret::{Locked, random};
use super::xaes::{Derivation, Prefix};
use crate::error::{Error, Result, fail};
use crate::sys::fork;

/// Bytes of a nonce.
pub(super) const NONCE_LEN: usize = 24;
pub(super) type Nonce = [u8; NONCE_LEN];

/// A prefix ends after so many pages,
pub(super) const PREFIX_PAGES: u32 = 1 << 16;
/// after so many bytes,
pub(super) const PREFIX_BYTES: u64 = 1 << 36;
/// or after so many nanoseconds: a virtual machine that is copied goes on with the same nonces no longer.
pub(super) const PREFIX_LIFE: u64 = 100_000_000;

const SLOTS: usize = 8;

/// A few slots, each made when a thread first needs it. `OnceBox` never waits, so that a fork in the middle
/// leaves nothing locked.
pub(super) struct Slots<T>([OnceBox<Line<T>>; SLOTS]);

/// Alone on its cache lines, which the CPU fetches in pairs.
#[repr(align(128))]
struct Line<T>(Mutex<T>);

impl<T: Default> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots([const { OnceBox::new() }; SLOTS])
    }

    /// A slot that nobody uses: the thread's own, or the next; `None` where all are in use.
    #[inline]
    pub(super) fn take(&self) -> Option<MutexGuard<'_, T>> {
        let own = thread_number();
        (own..own.wrapping_add(SLOTS)).find_map(|number| {
            let slot = self.0[number % SLOTS].get_or_init(|| Box::new(Line(Mutex::default())));
            match slot.0.try_lock() {
                Ok(slot) => Some(slot),
                // A slot is whole at each point where something can panic.
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        })
    }
}

/// Numbers the threads, in the order in which they first seal or open.
#[inline]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) });
    // A thread that is ending may have lost its number: any will do.
    NUMBER
        .try_with(|number| {
            if number.get() == usize::MAX {
                // Well below usize::MAX, so that adding to it never overflows.
                number.set(NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS);
            }
            number.get()
        })
        .unwrap_or(0)
}

/// A nonce prefix with its derived key, and the last nonce used.
#[derive(Default)]
pub(super) struct SealSlot {
    aead: Option<Locked<Aead>>,
    pub(super) nonce: Nonce,
    pub(super) pages: u32,
    pub(super) bytes: u64,
    started: u64,
    generation: u64,
}

impl SealSlot {
    /// A nonce that was never used, for a page of `len` bytes, and its key. `tick`: nanoseconds.
    #[inline]
    pub(super) fn next(&mut self, derivation: &Derivation, tick: u64, len: u64) -> Result<(&Nonce, &Aead)> {
        let ended = self.pages >= PREFIX_PAGES
            || self.bytes + len > PREFIX_BYTES
            // A time before the start wraps to a very late one.
            || tick.wrapping_sub(self.started) >= PREFIX_LIFE
            || self.generation != fork::generation();
        if ended || self.aead.is_none() {
            self.renew(derivation, tick)?;
        } else {
            increment(&mut self.nonce);
        }
        self.pages += 1;
        self.bytes += len;
        match &self.aead {
            Some(aead) => Ok((&self.nonce, aead)),
            None => Err(missing()),
        }
    }

    #[cold]
    fn renew(&mut self, derivation: &Derivation, tick: u64) -> Result<()> {
        // Until all went well, the slot is one that has ended.
        self.pages = PREFIX_PAGES;
        random(&mut self.nonce)?;
        let aead = match self.aead.take() {
            Some(mut aead) => {
                derivation.prepare_again(&mut aead, prefix(&self.nonce))?;
                aead
            }
            None => derivation.prepare(prefix(&self.nonce))?,
        };
        self.aead = Some(aead);
        (self.pages, self.bytes) = (0, 0);
        (self.started, self.generation) = (tick, fork::generation());
        Ok(())
    }
}

#[cold]
fn missing() -> Error {
    fail!(Internal, "a derived key is not where it was put")
}

/// Adds 1 to the last 12 bytes, modulo 2^96 (SP 800-38D, 8.2.2).
#[inline]
pub(super) fn increment(nonce: &mut Nonce) {
    let (_, counter) = halves_mut(nonce);
    let mut wide = [0; 16];
    wide[4..].copy_from_slice(counter);
    let next = u128::from_be_bytes(wide).wrapping_add(1).to_be_bytes();
    counter.copy_from_slice(&next[4..]);
}

fn halves_mut(nonce: &mut Nonce) -> (&mut [u8], &mut [u8]) {
    nonce.split_at_mut(12)
}

/// The first half: it chooses the derived key.
#[inline]
pub(super) fn prefix(nonce: &Nonce) -> &Prefix {
    nonce.first_chunk().unwrap_or(&[0; 12])
}

/// The second half: AES-GCM's nonce.
#[inline]
pub(super) fn counter(nonce: &Nonce) -> &[u8; 12] {
    nonce.last_chunk().unwrap_or(&[0; 12])
}

const KEPT: usize = 4;

/// The derived keys of the prefixes that were opened last.
#[derive(Default)]
pub(super) struct OpenSlot {
    kept: [Option<(Prefix, Locked<Aead>)>; KEPT],
    oldest: usize,
}

impl OpenSlot {
    /// The key for a prefix: kept, or derived in the place of the one that has been kept longest.
    #[inline]
    pub(super) fn get(&mut self, derivation: &Derivation, prefix: &Prefix) -> Result<&Aead> {
        let is_it = |kept: &Option<(Prefix, _)>| kept.as_ref().is_some_and(|(kept, _)| kept == prefix);
        let place = match self.kept.iter().position(is_it) {
            Some(place) => place,
            None => self.derive(derivation, prefix)?,
        };
        match &self.kept[place] {
            Some((_, aead)) => Ok(aead),
            None => Err(missing()),
        }
    }

    #[cold]
    fn derive(&mut self, derivation: &Derivation, prefix: &Prefix) -> Result<usize> {
        let place = self.oldest;
        let aead = match self.kept[place].take() {
            Some((_, mut aead)) => {
                derivation.prepare_again(&mut aead, prefix)?;
                aead
            }
            None => derivation.prepare(prefix)?,
        };
        self.kept[place] = Some((*prefix, aead));
        self.oldest = (place + 1) % KEPT;
        Ok(place)
    }
}
