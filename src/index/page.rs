//! Sealing and opening pages.

use super::{Index, live};
use crate::cache::Use;
use crate::call::Call;
use crate::clock::SECOND;
use crate::crypto::page::{self, Buffers, DataKey, Format, HEADER_LEN, NONCE_LEN, OVERHEAD, TAG_LEN};
use crate::crypto::secret::SecretKey;
use crate::error::{Error, Result, Status, fail};
use crate::keys::Keys;
use crate::registry::{CAN_DECRYPT, CAN_ENCRYPT};

/// A handle that does not wait believes a record of this age when it lacks a page's data key.
const FRESH: u64 = 10 * SECOND;

/// Where a page's ciphertext starts in its sealed form.
const BODY: usize = HEADER_LEN + NONCE_LEN;

/// Where the input of a call is.
pub enum Input<'a> {
    /// Apart from the output.
    Separate(&'a [u8]),
    /// In the output buffer, from `at`, `len` bytes long.
    InPlace {
        /// Its first byte there.
        at: usize,
        /// Its length.
        len: usize,
    },
}

impl Input<'_> {
    fn len(&self) -> usize {
        match self {
            Input::Separate(input) => input.len(),
            Input::InPlace { len, .. } => *len,
        }
    }
}

impl Index {
    /// Seals a page into the first `len + 48` bytes of `out`, which must have as many; returns how many. A failure
    /// leaves an input that is in place where and as it was.
    pub fn encrypt(&self, aad: &[u8], input: &Input<'_>, out: &mut [u8]) -> Result<usize> {
        let len = input.len();
        let sealed_len = sealed_len(len)?;
        let out = exactly(out, sealed_len)?;
        self.with_sealing_key(|key, tick| {
            let mut overhead = [0; OVERHEAD];
            match *input {
                Input::Separate(input) => {
                    let buffers = Buffers::Separate { input, output: &mut out[BODY..BODY + len] };
                    key.seal_detached(tick, Format::Page, aad, buffers, &mut overhead)?;
                }
                Input::InPlace { at, len } => {
                    out.copy_within(at..at + len, BODY);
                    let buffers = Buffers::InPlace(&mut out[BODY..BODY + len]);
                    key.seal_detached(tick, Format::Page, aad, buffers, &mut overhead)
                        .inspect_err(|_| out.copy_within(BODY..BODY + len, at))?;
                }
            }
            out[..BODY].copy_from_slice(&overhead[..BODY]);
            out[BODY + len..].copy_from_slice(&overhead[BODY..]);
            Ok(sealed_len)
        })
    }

    /// Opens a sealed page into the first `sealed - 48` bytes of `out`, which must have as many; returns how
    /// many.
    pub fn decrypt(&self, aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize> {
        let (overhead, body) = split_sealed(sealed)?;
        let out = exactly(out, body.len())?;
        let len = body.len();
        self.decrypt_detached(aad, Buffers::Separate { input: body, output: out }, &overhead)?;
        Ok(len)
    }

    /// The same in place: the plaintext takes the place of its ciphertext, from byte 32 on, or, `to_front`, is moved
    /// to the front. Where it does not authenticate, zeros are left there; a failure before that leaves the page.
    pub fn decrypt_in_place(&self, aad: &[u8], sealed: &mut [u8], to_front: bool) -> Result<usize> {
        let (overhead, body) = split_sealed(sealed)?;
        let end = BODY + body.len();
        let opened = self.decrypt_detached(aad, Buffers::InPlace(&mut sealed[BODY..end]), &overhead);
        if opened.as_ref().is_err_and(|error| error.status() == Status::AuthenticationFailed) {
            sealed.fill(0);
        } else if opened.is_ok() && to_front {
            sealed.copy_within(BODY..end, 0);
            // What the move left behind is plaintext too.
            sealed[end - BODY..].fill(0);
        }
        opened.map(|()| end - BODY)
    }

    /// Seals a page; header, nonce and tag go to `overhead`.
    #[inline]
    pub fn encrypt_detached(
        &self,
        aad: &[u8],
        buffers: Buffers<'_>,
        overhead: &mut [u8; OVERHEAD],
    ) -> Result<()> {
        self.seal(Format::Page, aad, buffers, overhead)
    }

    /// Opens a page that was sealed with `overhead`. A failure leaves zeros in the output.
    #[inline]
    pub fn decrypt_detached(
        &self,
        aad: &[u8],
        buffers: Buffers<'_>,
        overhead: &[u8; OVERHEAD],
    ) -> Result<()> {
        self.open(Format::Page, aad, buffers, overhead)
    }

    /// A fresh data key for an engine that encrypts by itself, and its wrapped form of 80 bytes.
    pub fn generate_data_key(&self) -> Result<(SecretKey, [u8; 32 + OVERHEAD])> {
        let key = self.lifeline.arena.random_key()?;
        let mut overhead = [0; OVERHEAD];
        let mut body = [0; 32];
        let buffers = Buffers::Separate { input: key.expose(), output: &mut body };
        self.seal(Format::DataKey, &[], buffers, &mut overhead)?;
        let mut wrapped = [0; 32 + OVERHEAD];
        wrapped[..BODY].copy_from_slice(&overhead[..BODY]);
        wrapped[BODY..BODY + 32].copy_from_slice(&body);
        wrapped[BODY + 32..].copy_from_slice(&overhead[BODY..]);
        Ok((key, wrapped))
    }

    /// Undoes `generate_data_key`.
    pub fn unwrap_data_key(&self, wrapped: &[u8]) -> Result<SecretKey> {
        let (overhead, body) = split_sealed(wrapped)?;
        if body.len() != 32 {
            return Err(fail!(Corrupt, "a wrapped data key has 80 bytes, this has {}", wrapped.len()));
        }
        self.lifeline.arena.key_with(|key| {
            self.open(Format::DataKey, &[], Buffers::Separate { input: body, output: key }, &overhead)
        })
    }

    #[inline]
    fn seal(
        &self,
        format: Format,
        aad: &[u8],
        buffers: Buffers<'_>,
        overhead: &mut [u8; OVERHEAD],
    ) -> Result<()> {
        self.with_sealing_key(|key, tick| key.seal_detached(tick, format, aad, buffers, overhead))
    }

    /// The key of new pages, and the time, once it is certain that the handle may seal now.
    #[inline]
    fn with_sealing_key<T>(&self, seal: impl FnOnce(&DataKey, u64) -> Result<T>) -> Result<T> {
        let tick = self.lifeline.clock.tick();
        let keys = self.keys(tick, Use::Seal)?;
        let keys = live(&keys)?;
        self.allow(keys, CAN_ENCRYPT)?;
        seal(keys.current()?, tick)
    }

    #[inline]
    fn open(
        &self,
        format: Format,
        aad: &[u8],
        buffers: Buffers<'_>,
        overhead: &[u8; OVERHEAD],
    ) -> Result<()> {
        let (found, id) = page::parse_header(overhead)?;
        if found != format {
            return Err(match format {
                Format::Page => fail!(Corrupt, "this is a wrapped data key, not a page: use unwrap_data_key"),
                Format::DataKey => fail!(Corrupt, "this is a page, not a wrapped data key: use decrypt"),
            });
        }
        let tick = self.lifeline.clock.tick();
        let keys = self.keys(tick, Use::Read)?;
        let keys = live(&keys)?;
        self.allow(keys, CAN_DECRYPT)?;
        match keys.page_key(id) {
            Some(key) => {
                key.open_detached(format, aad, buffers, overhead).map_err(|error| self.of_this_index(error))
            }
            None => self.open_with_unknown(keys, id, |key| key.open_detached(format, aad, buffers, overhead)),
        }
    }

    #[cold]
    fn of_this_index(&self, error: Error) -> Error {
        error.context(format_args!("index {}", self.name()))
    }

    /// Another process may have rotated: the record is read again, once a second at most.
    #[cold]
    fn open_with_unknown(
        &self,
        keys: &Keys,
        id: u32,
        open: impl FnOnce(&DataKey) -> Result<()>,
    ) -> Result<()> {
        // Says that an index without data keys has none, rather than that one is missing.
        keys.current()?;
        if !self.access.no_wait {
            let given = self.access.given.as_deref();
            self.lifeline.reread(&Call::unbounded(), self.entry.value(), given, SECOND)?;
        } else if self.lifeline.record_age(self.entry.value()) > FRESH {
            return Err(self.not_waiting(&format!("data key {id} of the page is not known yet")));
        }
        // Also where nothing was read: another thread may just have.
        let keys = self.keys(self.lifeline.clock.tick(), Use::Read)?;
        if let Some(key) = live(&keys)?.page_key(id) {
            return open(key);
        }
        Err(fail!(
            Corrupt,
            "index {}: the page was sealed with data key {id}, which this index does not have: it is another index's, \
             damaged, or its key was retired",
            self.name()
        ))
    }
}

/// The length of a sealed page.
pub fn sealed_len(plaintext_len: usize) -> Result<usize> {
    if plaintext_len > page::MAX_PLAINTEXT {
        return Err(fail!(InvalidArgument, "a page has at most 1 GiB, this has {plaintext_len} bytes"));
    }
    Ok(plaintext_len + OVERHEAD)
}

/// The first `len` bytes of the caller's buffer.
fn exactly(out: &mut [u8], len: usize) -> Result<&mut [u8]> {
    let capacity = out.len();
    out.get_mut(..len)
        .ok_or_else(|| fail!(BufferTooSmall, "the output needs {len} bytes, the buffer has {capacity}"))
}

/// Header, nonce and tag as one, and the ciphertext between them.
fn split_sealed(sealed: &[u8]) -> Result<([u8; OVERHEAD], &[u8])> {
    if sealed.len() < OVERHEAD {
        return Err(fail!(Corrupt, "a sealed page has at least {OVERHEAD} bytes, this has {}", sealed.len()));
    }
    if sealed.len() - OVERHEAD > page::MAX_PLAINTEXT {
        return Err(fail!(
            InvalidArgument,
            "a page has at most 1 GiB, this has {} bytes",
            sealed.len() - OVERHEAD
        ));
    }
    let (head, rest) = sealed.split_at(BODY);
    let (body, tag) = rest.split_at(rest.len() - TAG_LEN);
    let mut overhead = [0; OVERHEAD];
    overhead[..BODY].copy_from_slice(head);
    overhead[BODY..].copy_from_slice(tag);
    Ok((overhead, body))
}
