//! XAES-256-GCM (C2SP): AES-256-GCM under a key that AES-CMAC derives from the first half of a 24-byte nonce.

use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use super::aead::{Aead, Block};
use super::secret::{Arena, Locked, SecretKey};
use crate::error::{Result, fail};

/// The first 12 bytes of a nonce: they choose the derived key.
pub(super) type Prefix = [u8; 12];

/// A key prepared for deriving from it.
pub(super) struct Derivation {
    block: Locked<Block>,
    /// CMAC's sub-key for a whole last block.
    k1: Locked<[u8; 16]>,
}

impl Derivation {
    pub(super) fn new(arena: &Arc<Arena>, key: &SecretKey) -> Result<Derivation> {
        let block = Locked::new(arena, |place| {
            Block::init(place, key.expose()).ok_or_else(|| fail!(Internal, "AES refused a key"))
        })?;
        let k1 = Locked::new(arena, |place| {
            let k1 = place.write([0; 16]);
            block.encrypt(k1);
            double(k1);
            Ok(k1)
        })?;
        Ok(Derivation { block, k1 })
    }

    /// AES-GCM prepared for the prefix, in a new place.
    pub(super) fn prepare(&self, prefix: &Prefix) -> Result<Locked<Aead>> {
        let mut key = Zeroizing::new([0; 32]);
        self.derive(prefix, &mut key);
        Locked::new(self.block.arena(), |place| Aead::init(place, &key).ok_or_else(refused))
    }

    /// AES-GCM prepared for the prefix, in the place of a former one.
    pub(super) fn prepare_again(&self, aead: &mut Aead, prefix: &Prefix) -> Result<()> {
        let mut key = Zeroizing::new([0; 32]);
        self.derive(prefix, &mut key);
        aead.rekey(&key).ok_or_else(refused)
    }

    /// The two blocks of SP 800-108's counter mode: label `X`, the prefix as context, a 16-bit counter.
    fn derive(&self, prefix: &Prefix, key: &mut [u8; 32]) {
        let mut block = [0; 16];
        for (counter, half) in (1..).zip(key.chunks_exact_mut(16)) {
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(prefix);
            block.iter_mut().zip(self.k1.iter()).for_each(|(byte, k1)| *byte ^= k1);
            self.block.encrypt(&mut block);
            half.copy_from_slice(&block);
        }
        block.zeroize();
    }
}

#[cold]
fn refused() -> crate::error::Error {
    fail!(Internal, "AES-256-GCM refused a key")
}

/// Multiplies by x in CMAC's field, without a branch on the secret.
fn double(block: &mut [u8; 16]) {
    let value = u128::from_be_bytes(*block);
    let carry = (value >> 127).wrapping_neg() & 0b1000_0111;
    *block = ((value << 1) ^ carry).to_be_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;
    use shake::Shake128;
    use shake::digest::{ExtendableOutput, Update, XofReader};

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }

    fn seal(arena: &Arc<Arena>, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let derivation = Derivation::new(arena, &arena.key_from(key).unwrap()).unwrap();
        let (prefix, counter) = (nonce[..12].try_into().unwrap(), nonce[12..].try_into().unwrap());
        let aead = derivation.prepare(&prefix).unwrap();
        let (mut output, mut tag) = (vec![0; plaintext.len()], [0; 16]);
        aead.seal(&counter, aad, plaintext, &mut output, &mut tag).unwrap();
        let mut opened = output.clone();
        aead.open_in_place(&counter, aad, &mut opened, &tag).unwrap();
        assert_eq!(opened, plaintext);
        output.extend_from_slice(&tag);
        output
    }

    #[test]
    fn c2sp_vectors() {
        let arena = Arena::new(false);
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let sealed = seal(&arena, &[1; 32], nonce, b"", b"XAES-256-GCM");
        assert_eq!(sealed, hex("ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"));
        let sealed = seal(&arena, &[3; 32], nonce, b"c2sp.org/XAES-256-GCM", b"XAES-256-GCM");
        assert_eq!(sealed, hex("986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"));
    }

    /// The accumulated test of the C2SP specification.
    fn accumulate(iterations: usize) -> Vec<u8> {
        let arena = Arena::new(false);
        let mut source = Shake128::default().finalize_xof();
        let mut draw = |len: usize| {
            let mut bytes = vec![0; len];
            source.read(&mut bytes);
            bytes
        };
        let mut hash = Shake128::default();
        for _ in 0..iterations {
            let (key, nonce) = (draw(32), draw(24));
            let len = draw(1)[0];
            let plaintext = draw(len.into());
            let len = draw(1)[0];
            let aad = draw(len.into());
            hash.update(&seal(&arena, &key, &nonce, &aad, &plaintext));
        }
        let mut sum = vec![0; 32];
        hash.finalize_xof().read(&mut sum);
        sum
    }

    #[test]
    fn c2sp_accumulated() {
        let expected = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
        assert_eq!(accumulate(10_000), hex(expected));
    }

    /// Slow without optimisation: `make soak` and builds with `--release` run it.
    #[test]
    #[cfg(not(debug_assertions))]
    fn c2sp_accumulated_long() {
        let expected = "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15";
        assert_eq!(accumulate(1_000_000), hex(expected));
    }
}
