//! Rotation of records that a push, damage, a roll-back or want of room has left as they are.

mod engine_support;

use cyborg_kms::blob::{self, Record, WrappedKek};
use cyborg_kms::call::Call;
use cyborg_kms::engine::Rotation;
use cyborg_kms::error::Status;
use cyborg_kms::name::IndexName;
use engine_support::{Bench, kek, open, record, seal, status, wrap_by};

/// Slots besides those of the bench: another key, and one of CyborgDB's kind with another key.
const SLOTS: &str = "    other: {provider: 'external:test', key_id: k2, max_retries: 0}\n    \
                     other_seedy: {provider: 'external:test', key_id: k2, max_retries: 0, cyborgdb_compatible: true}\n";
const ROTATIONS: [Rotation; 3] = [Rotation::Rewrap, Rotation::Kek, Rotation::DataKey];

/// Pushes a wrap over the record's, as `cyborg_kms_push_index_kms` does.
fn push(bench: &Bench, wrapped_kek: Vec<u8>) {
    let name = IndexName::new("a").unwrap();
    let mut blob = bench.engine.blob("a").unwrap();
    blob.wrapped_kek = wrapped_kek;
    blob.version += 1;
    blob::push(&*bench.engine.store(), &Call::unbounded(), &name, 0, &blob).unwrap();
}

#[test]
fn a_wrong_wrap_that_was_pushed_is_mended_by_whatever_holds_the_kek() {
    let aad = b"cyborg_kms kek v1\0a";
    for rotation in ROTATIONS {
        let bench = Bench::new("");
        let index = bench.engine.create("a", "prod").unwrap();
        let (first, page) = (kek(&index, 0), seal(&index, b"page").unwrap());
        for pushed in [wrap_by("k1", aad, &[9; 32]), wrap_by("k1", b"", &first)] {
            push(&bench, pushed);
            assert!(record(&bench, "a").replaced.is_some());
            bench.engine.rotate("a", rotation, None).unwrap();
            assert_eq!(record(&bench, "a").replaced, None);
            let elsewhere = bench.restart().open_index("a").unwrap();
            assert_eq!(open(&elsewhere, &page).unwrap(), b"page", "{rotation:?}");
            if rotation == Rotation::DataKey {
                assert_eq!(kek(&elsewhere, 0), first, "the right wrap stays, whichever it was");
            }
        }
        assert_eq!(open(&index, &page).unwrap(), b"page");
    }
}

#[test]
fn versions_that_a_push_set_back_do_not_confuse_former_keks() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let keks: Vec<Vec<u8>> = (0..3)
        .map(|_| {
            let now = kek(&index, 0);
            bench.engine.rotate("a", Rotation::Kek, None).unwrap();
            now
        })
        .collect();
    let mut set_back = record(&bench, "a");
    set_back.envelope_version = 1;
    bench.store.set_bytes("a", &set_back.encode().unwrap());
    let fourth = kek(&index, 0);
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    assert_eq!(index.version(), 5);
    assert_eq!((1..=3).map(|version| kek(&index, version)).collect::<Vec<_>>(), keks);
    assert_eq!(kek(&index, 4), fourth);
    let mut last = record(&bench, "a");
    last.envelope_version = u32::MAX;
    bench.store.set_bytes("a", &last.encode().unwrap());
    assert_eq!(status(bench.engine.rotate("a", Rotation::Rewrap, None)), Status::Unsupported);
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
}

#[test]
fn recipients_that_nobody_names_any_more_end_with_the_next_wrap() {
    for (rotation, keeps) in [(Rotation::DataKey, true), (Rotation::Rewrap, false), (Rotation::Kek, false)] {
        let bench = Bench::new(SLOTS);
        bench.cold("a");
        let mut with_recipient = record(&bench, "a");
        let recipient = WrappedKek { kms_name: "other".to_owned(), ..with_recipient.wrap.clone() };
        with_recipient.recipients.push(recipient.clone());
        bench.store.set_bytes("a", &with_recipient.encode().unwrap());
        bench.engine.rotate("a", rotation, None).unwrap();
        let expected = if keeps { vec![recipient] } else { Vec::new() };
        assert_eq!(record(&bench, "a").recipients, expected, "{rotation:?}");
    }
}

#[test]
fn damaged_keys_are_not_wrapped_anew() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    let good = record(&bench, "a");
    let alter: [fn(&mut Record); 4] = [
        |record| record.former_keks[0].wrapped[20] ^= 1,
        |record| record.former_keks[0].wrapped.clear(),
        |record| record.data_keys[1].wrapped[20] ^= 1,
        |record| record.epoch = 1,
    ];
    for (which, alter) in alter.into_iter().enumerate() {
        for rotation in ROTATIONS {
            let mut damaged = good.clone();
            alter(&mut damaged);
            bench.store.set_bytes("a", &damaged.encode().unwrap());
            assert_eq!(status(bench.engine.rotate("a", rotation, None)), Status::Corrupt, "{which}");
            assert_eq!(record(&bench, "a"), damaged, "{which}");
        }
    }
}

#[test]
fn a_store_without_room_for_more_keys_says_what_to_do() {
    let bench = Bench::new("");
    bench.cold("a");
    let index = bench.engine.open_index("a").unwrap();
    let current = kek(&index, 0);
    let mut full = record(&bench, "a");
    let arena = cyborg_kms::crypto::secret::Arena::new(false);
    full.wrap.region = "r".repeat((1 << 20) - bench.store.bytes("a").len() - 80);
    full.authenticate(&arena, &IndexName::new("a").unwrap(), &arena.key_from(&current).unwrap()).unwrap();
    bench.store.set_bytes("a", &full.encode().unwrap());
    let error = bench.engine.rotate("a", Rotation::DataKey, None).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(error.message().contains("retire keys"), "{error}");
    seal(&index, b"page").unwrap();
}

#[test]
fn nothing_is_built_upon_a_record_that_was_rolled_back() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let old = bench.store.bytes("a");
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    let sealed = seal(&index, b"page").unwrap();
    bench.store.set_bytes("a", &old);
    for rotation in [Rotation::Rewrap, Rotation::Kek, Rotation::DataKey] {
        assert_eq!(status(bench.engine.rotate("a", rotation, None)), Status::RolledBack);
    }
    assert_eq!(status(bench.engine.retire_kek("a", 1)), Status::RolledBack);
    assert_eq!(bench.store.bytes("a"), old, "it was written to");
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
}
