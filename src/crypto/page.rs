//! Sealed pages: XAES-256-GCM under a data key, 48 bytes longer than the page.
//!
//! `format(1) || 3 bytes 0 || uint32 data key id, big endian || nonce(24) || ciphertext || tag(16)`; the AAD is
//! the 8 bytes of the header, then the caller's.

use std::fmt;
use std::sync::Arc;

pub use super::aead::Buffers;
use super::aead::{open, seal};
use super::secret::{Arena, SecretKey, random};
use super::slots::{Nonce, OpenSlot, SealSlot, Slots, counter, prefix};
use super::xaes::Derivation;
use crate::error::{Error, Result, fail};

/// Bytes before the nonce: format, three zeros, data key id.
pub const HEADER_LEN: usize = 8;
/// Bytes of the nonce.
pub const NONCE_LEN: usize = super::slots::NONCE_LEN;
/// Bytes of the tag, which comes last.
pub const TAG_LEN: usize = 16;
/// What sealing adds: header, nonce, tag.
pub const OVERHEAD: usize = HEADER_LEN + NONCE_LEN + TAG_LEN;
/// The longest page.
pub const MAX_PLAINTEXT: usize = 1 << 30;

const HEAD: usize = HEADER_LEN + NONCE_LEN;

/// What was sealed: the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// A page of the caller's.
    Page = 1,
    /// A key of `generate_data_key`.
    DataKey = 2,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Page => "a page",
            Format::DataKey => "a wrapped data key",
        })
    }
}

/// What the first 8 bytes say: what was sealed, and the data key's id. `CORRUPT` where they can't be a header.
#[inline]
pub fn parse_header(sealed: &[u8]) -> Result<(Format, u32)> {
    let Some(&[format, a, b, c, ref id @ ..]) = sealed.first_chunk::<HEADER_LEN>() else {
        return Err(too_short(sealed.len()));
    };
    let format = match format {
        1 => Format::Page,
        2 => Format::DataKey,
        other => return Err(damaged(format_args!("its format is {other}, which this version doesn't know"))),
    };
    let id = u32::from_be_bytes(*id);
    if (a, b, c) != (0, 0, 0) || id == 0 {
        return Err(damaged(format_args!("its header has bytes that no version writes")));
    }
    Ok((format, id))
}

#[cold]
fn too_short(len: usize) -> Error {
    damaged(format_args!("it has {len} bytes, and its header alone has {HEADER_LEN}"))
}

#[cold]
fn damaged(why: fmt::Arguments<'_>) -> Error {
    fail!(Corrupt, "this is no sealed page, or a damaged one: {why}")
}

fn header(format: Format, id: u32) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = id.to_be_bytes();
    [format as u8, 0, 0, 0, a, b, c, d]
}

/// A data key, ready to seal and open pages on many threads at once. Whatever is derived from it is wiped with it.
pub struct DataKey {
    id: u32,
    key: SecretKey,
    derivation: Derivation,
    sealing: Slots<SealSlot>,
    opening: Slots<OpenSlot>,
}

impl DataKey {
    /// Prepares a key for pages. `INVALID_ARGUMENT` for id 0, which is the derivation key's.
    pub fn new(arena: &Arc<Arena>, id: u32, key: SecretKey) -> Result<DataKey> {
        if id == 0 {
            return Err(fail!(
                InvalidArgument,
                "data key 0 derives keys and seals no pages: take id 1 or up"
            ));
        }
        let derivation = Derivation::new(arena, &key)?;
        Ok(DataKey { id, key, derivation, sealing: Slots::new(), opening: Slots::new() })
    }

    /// Its number within the index.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The key itself, to be wrapped again.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Seals a page; header, nonce and tag go to `overhead`. `tick` is `Clock::tick`.
    ///
    /// `INVALID_ARGUMENT`: longer than 1 GiB, or an output of another length. On failure nothing is sealed.
    pub fn seal_detached(
        &self,
        tick: u64,
        format: Format,
        aad: &[u8],
        buffers: Buffers<'_>,
        overhead: &mut [u8; OVERHEAD],
    ) -> Result<()> {
        check(&buffers)?;
        let header = header(format, self.id);
        with_aad(&header, aad, |aad| {
            if let Some(mut slot) = self.sealing.take() {
                let (nonce, aead) = slot.next(&self.derivation, tick, buffers.len() as u64)?;
                return write(overhead, &header, nonce, |tag| seal(aead, counter(nonce), aad, buffers, tag));
            }
            let mut nonce: Nonce = [0; NONCE_LEN];
            random(&mut nonce)?;
            let aead = self.derivation.prepare(prefix(&nonce))?;
            write(overhead, &header, &nonce, |tag| seal(&aead, counter(&nonce), aad, buffers, tag))
        })
    }

    /// Opens a page of this data key.
    ///
    /// `CORRUPT`: `overhead` is no header of this format (the buffers are untouched). `AUTHENTICATION_FAILED`:
    /// another key, another AAD, altered bytes (the output is zeros). `INVALID_ARGUMENT`: as for sealing.
    pub fn open_detached(
        &self,
        format: Format,
        aad: &[u8],
        buffers: Buffers<'_>,
        overhead: &[u8; OVERHEAD],
    ) -> Result<()> {
        check(&buffers)?;
        let (found, id) = parse_header(overhead)?;
        if found != format {
            return Err(fail!(Corrupt, "this is {found}, not {format}: use the call that is made for it"));
        }
        let (Some(nonce), Some(tag)) = (overhead[HEADER_LEN..].first_chunk(), overhead.last_chunk()) else {
            return Err(too_short(overhead.len()));
        };
        // Of the header as it is: another key's id is altered bytes.
        with_aad(&header(format, id), aad, |aad| {
            let opened = if let Some(mut slot) = self.opening.take() {
                let aead = slot.get(&self.derivation, prefix(nonce))?;
                open(aead, counter(nonce), aad, buffers, tag)
            } else {
                let aead = self.derivation.prepare(prefix(nonce))?;
                open(&aead, counter(nonce), aad, buffers, tag)
            };
            opened.ok_or_else(wrong_tag)
        })
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cold]
fn wrong_tag() -> Error {
    fail!(
        AuthenticationFailed,
        "the page does not open: it was sealed with another key or another AAD, or its bytes were altered; check the AAD, \
         else take the page from a replica or a backup"
    )
}

#[inline]
fn check(buffers: &Buffers<'_>) -> Result<()> {
    if buffers.len() > MAX_PLAINTEXT || !buffers.fit() {
        return Err(misfit(buffers));
    }
    Ok(())
}

#[cold]
fn misfit(buffers: &Buffers<'_>) -> Error {
    if buffers.fit() {
        fail!(InvalidArgument, "a page of {} bytes is too long: at most {MAX_PLAINTEXT}", buffers.len())
    } else {
        fail!(
            InvalidArgument,
            "input and output of a page have different lengths: give both {}",
            buffers.len()
        )
    }
}

/// Writes header and nonce, and the tag that `seal` gives.
#[inline]
fn write(
    overhead: &mut [u8; OVERHEAD],
    header: &[u8; HEADER_LEN],
    nonce: &Nonce,
    seal: impl FnOnce(&mut [u8; TAG_LEN]) -> Option<()>,
) -> Result<()> {
    overhead[..HEADER_LEN].copy_from_slice(header);
    overhead[HEADER_LEN..HEAD].copy_from_slice(nonce);
    overhead
        .last_chunk_mut()
        .and_then(seal)
        .ok_or_else(|| fail!(Internal, "AES-256-GCM refused to seal a page"))
}

/// The header and the caller's AAD in one piece: on the stack where they fit, in the shorter place if possible,
/// since it is zeroed first.
#[inline]
fn with_aad<R>(header: &[u8; HEADER_LEN], aad: &[u8], run: impl FnOnce(&[u8]) -> R) -> R {
    match aad.len() {
        0 => run(header),
        1..=56 => run(join(&mut [0; 64], header, aad)),
        57..=504 => run(join(&mut [0; 512], header, aad)),
        _ => run(&[header, aad].concat()),
    }
}

#[inline]
fn join<'a>(place: &'a mut [u8], header: &[u8; HEADER_LEN], aad: &[u8]) -> &'a [u8] {
    let len = HEADER_LEN + aad.len();
    place[..HEADER_LEN].copy_from_slice(header);
    place[HEADER_LEN..len].copy_from_slice(aad);
    &place[..len]
}

#[cfg(test)]
mod tests;
