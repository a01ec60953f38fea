//! AES-256 and AES-256-GCM in pure Rust, with the interface of `sys::aead`, for builds without AWS-LC.

use std::mem::MaybeUninit;

use aes::Aes256;
use aes::cipher::BlockCipherEncrypt;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};

use super::secret::burn_stack;

/// A prepared AES-256-GCM key; wipes itself when dropped.
pub struct Aead(Aes256Gcm);

impl Aead {
    /// Prepares `key` in `place`.
    pub fn init<'a>(place: &'a mut MaybeUninit<Aead>, key: &[u8; 32]) -> Option<&'a mut Aead> {
        let aead = place.write(Aead(Aes256Gcm::new(key.into())));
        burn_stack();
        Some(aead)
    }

    /// The same for another key.
    pub fn rekey(&mut self, key: &[u8; 32]) -> Option<()> {
        self.0 = Aes256Gcm::new(key.into());
        burn_stack();
        Some(())
    }

    /// Seals `input` into `output`, which has the same length.
    pub fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        input: &[u8],
        output: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Option<()> {
        self.seal_buffer(nonce, aad, InOutBuf::new(input, output).ok()?, tag)
    }

    /// Seals `data` where it is.
    pub fn seal_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Option<()> {
        self.seal_buffer(nonce, aad, data.into(), tag)
    }

    /// Opens `input` into `output`, which has the same length; a wrong tag leaves zeros there.
    pub fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        input: &[u8],
        output: &mut [u8],
        tag: &[u8; 16],
    ) -> Option<()> {
        let buffer = InOutBuf::new(input, output).ok()?;
        let opened = self.open_buffer(nonce, aad, buffer, tag);
        opened.or_else(|| {
            output.fill(0);
            None
        })
    }

    /// Opens `data` where it is; a wrong tag leaves zeros there.
    pub fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Option<()> {
        let opened = self.open_buffer(nonce, aad, (&mut *data).into(), tag);
        opened.or_else(|| {
            data.fill(0);
            None
        })
    }

    fn seal_buffer(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &mut [u8; 16],
    ) -> Option<()> {
        *tag = self.0.encrypt_inout_detached(&Nonce::from(*nonce), aad, buffer).ok()?.into();
        Some(())
    }

    fn open_buffer(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &[u8; 16],
    ) -> Option<()> {
        self.0.decrypt_inout_detached(&Nonce::from(*nonce), aad, buffer, &Tag::from(*tag)).ok()
    }
}

/// A prepared AES-256 key, to encrypt single blocks; wipes itself when dropped.
pub struct Block(Aes256);

impl Block {
    /// Prepares `key` in `place`.
    pub fn init<'a>(place: &'a mut MaybeUninit<Block>, key: &[u8; 32]) -> Option<&'a mut Block> {
        let block = place.write(Block(Aes256::new(key.into())));
        burn_stack();
        Some(block)
    }

    /// Encrypts one block where it is.
    pub fn encrypt(&self, block: &mut [u8; 16]) {
        self.0.encrypt_block(block.into());
    }
}
