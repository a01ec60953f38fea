use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::crypto::slots::{PREFIX_BYTES, PREFIX_LIFE, PREFIX_PAGES, increment};
use crate::error::Status;
use crate::sys::fork::testing::fork_and_read;

fn data_key(arena: &Arc<Arena>) -> DataKey {
    DataKey::new(arena, 0x0102_0304, arena.key_from(&[7; 32]).unwrap()).unwrap()
}

fn seal_page(key: &DataKey, tick: u64, aad: &[u8], page: &[u8]) -> Vec<u8> {
    let (mut overhead, mut output) = ([0; OVERHEAD], vec![0; page.len()]);
    let buffers = Buffers::Separate { input: page, output: &mut output };
    key.seal_detached(tick, Format::Page, aad, buffers, &mut overhead).unwrap();
    [&overhead[..HEAD], &output, &overhead[HEAD..]].concat()
}

fn open_page(key: &DataKey, aad: &[u8], sealed: &[u8]) -> (Result<()>, Vec<u8>) {
    let (head, rest) = sealed.split_at(HEAD);
    let (ciphertext, tag) = rest.split_at(rest.len() - TAG_LEN);
    let mut page = ciphertext.to_vec();
    let overhead = [head, tag].concat().try_into().unwrap();
    (key.open_detached(Format::Page, aad, Buffers::InPlace(&mut page), &overhead), page)
}

fn nonce(key: &DataKey, tick: u64) -> Nonce {
    *seal_page(key, tick, b"", b"")[HEADER_LEN..].first_chunk().unwrap()
}

#[test]
fn opens_what_was_sealed_whatever_the_lengths() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    for len in [0, 1, 15, 16, 17, 4096, 70_000] {
        for aad_len in [0, 1, 56, 57, 504, 505, 5000] {
            let (page, aad) = (vec![0x5a; len], vec![0xa5; aad_len]);
            let sealed = seal_page(&key, 0, &aad, &page);
            assert_eq!(sealed.len(), len + OVERHEAD);
            assert_eq!(sealed[..HEADER_LEN], [1, 0, 0, 0, 1, 2, 3, 4]);
            let (result, opened) = open_page(&key, &aad, &sealed);
            result.unwrap();
            assert_eq!(opened, page);
        }
    }
}

#[test]
fn in_place_and_apart_give_the_same() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let (mut page, mut overhead, mut copy) = (vec![1; 1000], [0; OVERHEAD], vec![0; 1000]);
    key.seal_detached(0, Format::DataKey, b"a", Buffers::InPlace(&mut page), &mut overhead).unwrap();
    let apart = Buffers::Separate { input: &page, output: &mut copy };
    key.open_detached(Format::DataKey, b"a", apart, &overhead).unwrap();
    assert_eq!(copy, [1; 1000]);
    key.open_detached(Format::DataKey, b"a", Buffers::InPlace(&mut page), &overhead).unwrap();
    assert_eq!(page, copy);
}

#[test]
fn a_sealed_page_is_xaes_with_the_header_before_the_aad() {
    // Derived and sealed anew from the nonce, without the slots.
    let arena = Arena::new(false);
    let sealed = seal_page(&data_key(&arena), 0, b"the aad", b"the page");
    let nonce: &Nonce = sealed[HEADER_LEN..].first_chunk().unwrap();
    let derivation = Derivation::new(&arena, &arena.key_from(&[7; 32]).unwrap()).unwrap();
    let (mut output, mut tag) = ([0; 8], [0; TAG_LEN]);
    let aead = derivation.prepare(prefix(nonce)).unwrap();
    let aad = b"\x01\0\0\0\x01\x02\x03\x04the aad";
    aead.seal(counter(nonce), aad, b"the page", &mut output, &mut tag).unwrap();
    assert_eq!(sealed[HEAD..], [&output[..], &tag].concat());
}

#[test]
fn an_altered_byte_is_refused_wherever_it_is_and_leaves_zeros() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let sealed = seal_page(&key, 0, b"aad", &[9; 40]);
    for position in 0..sealed.len() {
        for bit in 0..8 {
            let mut altered = sealed.clone();
            altered[position] ^= 1 << bit;
            let (result, opened) = open_page(&key, b"aad", &altered);
            let status = result.unwrap_err().status();
            if position < 4 {
                assert_eq!(status, Status::Corrupt);
            } else {
                assert_eq!(status, Status::AuthenticationFailed);
                assert_eq!(opened, [0; 40]);
            }
        }
    }
    assert!(open_page(&key, b"", &sealed).0.is_err());
    let mut output = vec![9; 40];
    let overhead = [&sealed[..HEAD], &[0; TAG_LEN]].concat().try_into().unwrap();
    let apart = Buffers::Separate { input: &sealed[HEAD..][..40], output: &mut output };
    assert!(key.open_detached(Format::Page, b"aad", apart, &overhead).is_err());
    assert_eq!(output, [0; 40]);
}

#[test]
fn the_kinds_of_sealed_things_are_not_exchanged() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let (mut data, mut overhead) = ([1; 32], [0; OVERHEAD]);
    key.seal_detached(0, Format::DataKey, b"", Buffers::InPlace(&mut data), &mut overhead).unwrap();
    let error = key.open_detached(Format::Page, b"", Buffers::InPlace(&mut data), &overhead).unwrap_err();
    assert_eq!(error.status(), Status::Corrupt);
    overhead[0] = Format::Page as u8;
    let error = key.open_detached(Format::Page, b"", Buffers::InPlace(&mut data), &overhead).unwrap_err();
    assert_eq!(error.status(), Status::AuthenticationFailed);
}

#[test]
fn headers_that_no_version_writes_are_corrupt() {
    assert_eq!(parse_header(&[1, 0, 0, 0, 0, 0, 1, 0]).unwrap(), (Format::Page, 256));
    assert_eq!(parse_header(&[2, 0, 0, 0, 0, 0, 0, 1, 9]).unwrap(), (Format::DataKey, 1));
    for bad in [
        &[][..],
        &[1, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[3, 0, 0, 0, 0, 0, 0, 1],
        &[1, 1, 0, 0, 0, 0, 0, 1],
        &[1, 0, 1, 0, 0, 0, 0, 1],
        &[1, 0, 0, 1, 0, 0, 0, 1],
        &[1, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(parse_header(bad).unwrap_err().status(), Status::Corrupt, "{bad:?}");
    }
}

#[test]
fn bad_arguments_are_refused() {
    let arena = Arena::new(false);
    let zero = DataKey::new(&arena, 0, arena.random_key().unwrap());
    assert_eq!(zero.unwrap_err().status(), Status::InvalidArgument);
    let key = data_key(&arena);
    let mut overhead = [0; OVERHEAD];
    let uneven = || Buffers::Separate { input: &[1, 2], output: &mut [] };
    let sealed = key.seal_detached(0, Format::Page, b"", uneven(), &mut overhead);
    assert_eq!(sealed.unwrap_err().status(), Status::InvalidArgument);
    let opened = key.open_detached(Format::Page, b"", uneven(), &overhead);
    assert_eq!(opened.unwrap_err().status(), Status::InvalidArgument);
    let mut long = vec![0; MAX_PLAINTEXT + 1]; // Never touched, so never in memory.
    let sealed = key.seal_detached(0, Format::Page, b"", Buffers::InPlace(&mut long), &mut overhead);
    assert_eq!(sealed.unwrap_err().status(), Status::InvalidArgument);
    assert_eq!(overhead, [0; OVERHEAD]);
}

#[test]
fn the_counter_wraps_within_its_12_bytes() {
    let mut nonce = [0xff; NONCE_LEN];
    increment(&mut nonce);
    assert_eq!((prefix(&nonce), counter(&nonce)), (&[0xff; 12], &[0; 12]));
    increment(&mut nonce);
    assert_eq!(counter(&nonce)[11], 1);
    nonce[16..].fill(0xff);
    increment(&mut nonce);
    assert_eq!(counter(&nonce), &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_prefix_serves_the_next_page_with_the_next_counter() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let mut expected = nonce(&key, 5);
    for tick in [5, 6, 5 + PREFIX_LIFE - 1] {
        increment(&mut expected);
        assert_eq!(nonce(&key, tick), expected);
    }
}

/// The nonce before and after `change` to the slot.
fn around(change: impl FnOnce(&mut SealSlot), tick: u64) -> (Nonce, Nonce) {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let before = nonce(&key, 1000);
    change(&mut key.sealing.take().unwrap());
    (before, nonce(&key, tick))
}

#[test]
fn a_prefix_ends_after_its_pages_bytes_and_time() {
    let same = |(a, b): (Nonce, Nonce)| prefix(&a) == prefix(&b);
    assert!(same(around(|slot| slot.pages = PREFIX_PAGES - 1, 1000)));
    assert!(!same(around(|slot| slot.pages = PREFIX_PAGES, 1000)));
    assert!(same(around(|slot| slot.bytes = PREFIX_BYTES, 1000)));
    assert!(!same(around(|slot| slot.bytes = PREFIX_BYTES + 1, 1000)));
    assert!(!same(around(|_| (), 1000 + PREFIX_LIFE)));
    assert!(!same(around(|_| (), 999)));
}

#[test]
fn a_busy_slot_is_passed_by_and_all_busy_slots_too() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let mut prefixes = HashSet::new();
    let mut busy = Vec::new();
    for _ in 0..8 {
        prefixes.insert(*prefix(&nonce(&key, 0)));
        busy.push((key.sealing.take().unwrap(), key.opening.take().unwrap()));
    }
    assert_eq!(prefixes.len(), 8);
    assert!(key.sealing.take().is_none() && key.opening.take().is_none());
    for _ in 0..3 {
        let sealed = seal_page(&key, 0, b"a", b"page");
        assert!(prefixes.insert(*sealed[HEADER_LEN..].first_chunk().unwrap()));
        let (result, opened) = open_page(&key, b"a", &sealed);
        result.unwrap();
        assert_eq!(opened, b"page");
    }
}

#[test]
fn pages_of_many_prefixes_open_in_any_order() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let sealed: Vec<_> = (0..9).map(|n| seal_page(&key, n * PREFIX_LIFE, b"", &[n as u8; 20])).collect();
    for n in (0..9).chain([0, 1, 0, 8, 4, 4]) {
        let (result, opened) = open_page(&key, b"", &sealed[n]);
        result.unwrap();
        assert_eq!(opened, [n as u8; 20]);
    }
}

#[test]
fn nothing_of_a_dropped_data_key_is_left() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    for n in 0..6 {
        assert!(open_page(&key, b"", &seal_page(&key, n * PREFIX_LIFE, b"", b"page")).0.is_ok());
    }
    assert!(arena.bytes_in_use() > 500);
    drop(key);
    assert_eq!(arena.bytes_in_use(), 0);
}

#[test]
fn threads_share_no_nonce() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let nonces = |_| (0..5000).map(|tick| nonce(&key, tick)).collect::<Vec<_>>();
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..12).map(|n| scope.spawn(move || nonces(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.len(), 60_000);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
}

#[test]
fn a_forked_child_shares_no_nonce_with_its_parent() {
    let arena = Arena::new(false);
    let key = data_key(&arena);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Others seal, and take and give back memory of the arena, while the process forks.
        let seal = || {
            let mut nonces = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                nonces.push(nonce(&key, 0));
                drop(data_key(&arena));
            }
            nonces
        };
        let others = [scope.spawn(seal), scope.spawn(seal)];
        let mut all = Vec::new();
        for _ in 0..50 {
            all.push(nonce(&key, 0));
            let written = fork_and_read(|output| {
                let nonces: Vec<u8> = (0..20).flat_map(|_| nonce(&key, 0)).collect();
                let fresh = data_key(&arena);
                i32::from(output.write_all(&nonces).is_err() || nonce(&fresh, 0) == nonce(&key, 0))
            });
            assert_eq!(written.len(), 20 * NONCE_LEN);
            all.extend(written.chunks_exact(NONCE_LEN).map(|nonce| <Nonce>::try_from(nonce).unwrap()));
            all.extend((0..20).map(|_| nonce(&key, 0)));
        }
        stop.store(true, Ordering::Relaxed);
        all.extend(others.into_iter().flat_map(|other| other.join().unwrap()));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    });
}
