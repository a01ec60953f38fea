//! Rotation and retirement of an index's keys, in one process: what stays readable, what is refused, who wins.

mod engine_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cyborg_kms::blob::{self, Kind, Record, WrappedKek};
use cyborg_kms::engine::{OpenOptions, Rotation};
use cyborg_kms::error::Status;
use cyborg_kms::index::Index;
use engine_support::{
    Behaviour, Bench, Lost, Meanwhile, derived, kek, open, record, seal, status, until, with_key, wrap_by,
};

/// Slots besides those of the bench: another key, and one of CyborgDB's kind with another key.
const SLOTS: &str = "    other: {provider: 'external:test', key_id: k2, max_retries: 0}\n    \
                     other_seedy: {provider: 'external:test', key_id: k2, max_retries: 0, cyborgdb_compatible: true}\n";
const ROTATIONS: [Rotation; 3] = [Rotation::Rewrap, Rotation::Kek, Rotation::DataKey];

#[test]
fn through_every_rotation_pages_open_and_derived_keys_stay() {
    let bench = Bench::new(SLOTS);
    let index = bench.engine.create("a", "prod").unwrap();
    let secret = derived(&index);
    let mut pages = vec![seal(&index, b"page 0").unwrap()];
    let mut keks = vec![kek(&index, 0)];
    let steps = [
        (Rotation::Kek, None),
        (Rotation::DataKey, None),
        (Rotation::Rewrap, Some("other")),
        (Rotation::DataKey, Some("other")),
        (Rotation::Kek, Some("prod")),
        (Rotation::Rewrap, None),
        (Rotation::Kek, None),
    ];
    let (mut version, mut data_key) = (1, 1);
    for (number, (rotation, slot)) in steps.into_iter().enumerate() {
        let unwraps = bench.provider.unwraps();
        bench.engine.rotate("a", rotation, slot).unwrap();
        let own = bench.provider.unwraps() - unwraps;
        version += u32::from(rotation != Rotation::DataKey);
        data_key += u32::from(rotation == Rotation::DataKey);
        // The handle that is open has it at once, and without another question to the KMS.
        pages.push(seal(&index, format!("page {}", number + 1).as_bytes()).unwrap());
        assert_eq!((index.version(), index.data_key_id()), (version, data_key), "{rotation:?}");
        assert_eq!(index.epoch(), number as u64 + 2);
        assert_eq!(bench.provider.unwraps() - unwraps, own, "{rotation:?}: the handle asked the KMS again");
        if rotation != Rotation::DataKey {
            keks.push(kek(&index, 0));
            let is_same = keks[keks.len() - 1] == keks[keks.len() - 2];
            assert_eq!(is_same, rotation == Rotation::Rewrap);
        }
        if let Some(slot) = slot {
            assert_eq!(record(&bench, "a").wrap.kms_name, slot);
        }
        // So has another process, as it were.
        let elsewhere = bench.restart_with(SLOTS).open_index("a").unwrap();
        for handle in [&index, &elsewhere] {
            assert_eq!(derived(handle), secret);
            for (at, page) in pages.iter().enumerate() {
                assert_eq!(open(handle, page).unwrap(), format!("page {at}").as_bytes(), "{rotation:?}");
            }
            for (at, kek_then) in keks.iter().enumerate() {
                assert_eq!(&kek(handle, at as u32 + 1), kek_then, "the KEK of version {}", at + 1);
            }
        }
    }
    assert_eq!(pages.last().unwrap()[4..8], 3u32.to_be_bytes(), "the page names its data key");
}

#[test]
fn another_process_takes_a_rotation_up_within_the_lifetime_or_when_it_meets_a_page() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let engine = bench.restart();
    let elsewhere = engine.open_index("a").unwrap();
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    let page = seal(&index, b"new").unwrap();
    assert_eq!(elsewhere.data_key_id(), 1);
    assert_eq!(open(&elsewhere, &page).unwrap(), b"new", "an unknown data key has the record read again");
    assert_eq!(elsewhere.data_key_id(), 2);
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    bench.clock.advance(60_000);
    seal(&elsewhere, b"x").unwrap();
    assert_eq!((elsewhere.version(), elsewhere.epoch()), (2, 3));
}

#[test]
fn a_rewrap_to_another_slot_needs_the_former_no_more() {
    let bench = Bench::new(SLOTS);
    bench.cold("a");
    bench.engine.rotate("a", Rotation::Rewrap, Some("other")).unwrap();
    let wrap = record(&bench, "a").wrap;
    assert_eq!((&*wrap.kms_name, &*wrap.key_id), ("other", "k2"));
    let without = engine_support::yaml(SLOTS).replace("    prod:", "    gone:");
    bench.engine.reload(Some(&without)).unwrap();
    bench.engine.evict(None);
    bench.engine.open_index("a").unwrap();
    // The slot's current key wraps, not the one that the record has.
    let moved = engine_support::yaml(SLOTS).replace("key_id: k2", "key_id: k3, former_key_ids: [k2]");
    bench.engine.reload(Some(&moved)).unwrap();
    bench.engine.rotate("a", Rotation::Rewrap, None).unwrap();
    assert_eq!(record(&bench, "a").wrap.key_id, "k3");
    assert_eq!(status(bench.engine.rotate("a", Rotation::Rewrap, Some("nobody"))), Status::Config);
}

#[test]
fn a_record_of_cyborgdbs_kind_is_rewrapped_and_becomes_ours() {
    let bench = Bench::new(SLOTS);
    let index = bench.engine.create("a", "seedy").unwrap();
    let first = kek(&index, 0);
    for rotation in [Rotation::Kek, Rotation::DataKey] {
        let error = bench.engine.rotate("a", rotation, None).unwrap_err();
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("REWRAP"), "{error}");
    }
    bench.engine.rotate("a", Rotation::Rewrap, Some("other_seedy")).unwrap();
    let rewrapped = record(&bench, "a");
    assert_eq!((rewrapped.kind, rewrapped.envelope_version, rewrapped.epoch), (Kind::CyborgDb, 2, 0));
    assert_eq!(status(seal(&index, b"page")), Status::Unsupported);
    bench.engine.rotate("a", Rotation::Rewrap, Some("prod")).unwrap();
    let ours = record(&bench, "a");
    assert_eq!((ours.kind, ours.envelope_version, ours.epoch), (Kind::Ours, 3, 1));
    let page = seal(&index, b"page").unwrap();
    assert_eq!(kek(&index, 0), first);
    assert_eq!(open(&bench.restart().open_index("a").unwrap(), &page).unwrap(), b"page");
    for rotation in [Rotation::Rewrap, Rotation::Kek] {
        assert_eq!(status(bench.engine.rotate("a", rotation, Some("seedy"))), Status::Unsupported);
    }
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    // Where its own slot became compatible it can't be wrapped there, but has new data keys.
    let compatible = engine_support::yaml(SLOTS).replace("prod: {", "prod: {cyborgdb_compatible: true, ");
    bench.engine.reload(Some(&compatible)).unwrap();
    assert_eq!(status(bench.engine.rotate("a", Rotation::Rewrap, None)), Status::Unsupported);
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
}

#[test]
fn what_cyborgdb_wrote_gets_its_check_value_with_the_first_rewrap() {
    let bench = Bench::new("");
    let blob = cyborg_kms::blob::Blob {
        kms_name: "seedy".to_owned(),
        provider: "external:test".to_owned(),
        key_id: "k1".to_owned(),
        wrapped_kek: wrap_by("k1", b"", &[7; 32]),
        version: 4,
        ..Default::default()
    };
    bench.store.set_bytes("a", &blob.encode().unwrap());
    let index = bench.engine.open_index("a").unwrap();
    assert_eq!(record(&bench, "a").kek_check, None);
    bench.engine.rotate("a", Rotation::Rewrap, None).unwrap();
    let rewrapped = record(&bench, "a");
    assert!(rewrapped.kek_check.is_some());
    assert_eq!((rewrapped.kind, rewrapped.envelope_version), (Kind::CyborgDb, 5));
    assert_eq!(kek(&index, 0), [7; 32]);
    // Now another KEK is noticed.
    let wrong = Record {
        wrap: WrappedKek { wrapped_kek: wrap_by("k1", b"", &[8; 32]), ..rewrapped.wrap.clone() },
        ..rewrapped
    };
    bench.store.set_bytes("a", &wrong.encode().unwrap());
    bench.engine.evict(None);
    assert_eq!(status(bench.engine.open_index("a")), Status::Corrupt);
}

#[test]
fn from_none_to_a_kms_and_back_nothing_is_copied() {
    let bench = Bench::new(SLOTS);
    let (first, second, third) = ([1; 32], [2; 32], [3; 32]);
    let given = bench.engine.create_with_key("a", "", &first).unwrap();
    let (page, secret) = (seal(&given, b"page").unwrap(), derived(&given));
    let rotate = |rotation, to: Option<&str>, old: Option<&[u8]>, new: Option<&[u8]>| {
        bench.engine.rotate_with_key("a", rotation, to, old, new)
    };
    let check = |index: &Index| {
        assert_eq!(open(index, &page).unwrap(), b"page");
        assert_eq!(derived(index), secret);
    };
    rotate(Rotation::DataKey, None, Some(&first), None).unwrap();
    assert_eq!((seal(&given, b"x").map(|_| ()).unwrap(), given.data_key_id()), ((), 2));
    rotate(Rotation::Kek, None, Some(&first), Some(&second)).unwrap();
    // Who was let in with the former KEK stays until the lifetime ends.
    check(&given);
    bench.clock.advance(60_000);
    assert_eq!(status(seal(&given, b"x")), Status::AuthenticationFailed);
    assert_eq!(status(with_key(&bench.engine, "a", &first)), Status::AuthenticationFailed);
    let given = with_key(&bench.engine, "a", &second).unwrap();
    check(&given);
    assert_eq!(kek(&given, 1), first);

    rotate(Rotation::Rewrap, Some("prod"), Some(&second), None).unwrap();
    let index = bench.engine.open_index("a").unwrap();
    check(&index);
    assert_eq!(kek(&index, 0), second);
    check(&given);
    bench.clock.advance(60_000);
    assert_eq!(status(seal(&given, b"x")), Status::InvalidArgument);

    check(&index);
    rotate(Rotation::Rewrap, Some("bring"), None, Some(&second)).unwrap();
    assert_eq!(
        record(&bench, "a").wrap,
        WrappedKek { kms_name: "bring".to_owned(), provider: "none".to_owned(), ..WrappedKek::default() }
    );
    check(&index);
    bench.clock.advance(60_000);
    assert_eq!(status(seal(&index, b"x")), Status::InvalidArgument);
    check(&with_key(&bench.engine, "a", &second).unwrap());

    // In one step with a new KEK, there and back.
    rotate(Rotation::Kek, Some("other"), Some(&second), None).unwrap();
    let index = bench.engine.open_index("a").unwrap();
    check(&index);
    rotate(Rotation::Kek, Some("prod"), None, Some(&third)).unwrap();
    assert_eq!(kek(&index, 0), third);
    rotate(Rotation::Kek, Some(""), None, Some(&first)).unwrap();
    let given = with_key(&bench.engine, "a", &first).unwrap();
    check(&given);
    assert_eq!((kek(&given, 1), kek(&given, 2)), (first.to_vec(), second.to_vec()));
}

#[test]
fn keys_are_given_where_they_are_needed_and_nowhere_else() {
    use Rotation::{DataKey, Kek, Rewrap};
    let bench = Bench::new(SLOTS);
    let (right, wrong, short) = (&[1; 32][..], &[9; 32][..], &[1; 31][..]);
    bench.engine.create_with_key("none", "", right).unwrap();
    bench.engine.create_with_key("kms", "prod", right).unwrap();
    bench.engine.create("seedy", "seedy").unwrap();
    type Row<'a> = (&'a str, Rotation, Option<&'a str>, Option<&'a [u8]>, Option<&'a [u8]>, Status, &'a str);
    let (invalid, refused) = (Status::InvalidArgument, Status::AuthenticationFailed);
    let rows: &[Row<'_>] = &[
        ("none", Rewrap, Some("prod"), None, None, invalid, "old_kek"),
        ("none", DataKey, None, None, None, invalid, "old_kek"),
        ("none", Kek, None, Some(right), None, invalid, "new_kek"),
        ("none", Kek, None, Some(right), Some(right), invalid, "the one in use"),
        ("none", Kek, None, Some(wrong), Some(right), refused, "not its KEK"),
        ("none", Rewrap, Some("prod"), Some(wrong), None, refused, "not its KEK"),
        ("none", Rewrap, Some("prod"), Some(right), Some(wrong), invalid, "leave new_kek out"),
        ("none", DataKey, None, Some(right), Some(wrong), invalid, "leave new_kek out"),
        ("none", DataKey, Some("prod"), Some(right), None, invalid, "leave kms_name out"),
        ("none", Kek, None, Some(short), Some(wrong), invalid, "32 bytes"),
        ("kms", Rewrap, None, Some(right), None, invalid, "leave old_kek out"),
        ("kms", DataKey, None, Some(right), None, invalid, "leave old_kek out"),
        ("kms", Kek, Some("bring"), None, None, invalid, "new_kek"),
        ("kms", Kek, None, None, Some(right), invalid, "the one in use"),
        ("kms", Rewrap, Some(""), None, None, invalid, "export_kek"),
        ("kms", Rewrap, Some(""), None, Some(wrong), refused, "not the one in use"),
        ("kms", Rewrap, None, None, Some(wrong), invalid, "leave new_kek out"),
        ("kms", DataKey, Some("other"), None, None, invalid, "leave kms_name out"),
        ("seedy", Rewrap, Some(""), None, Some(wrong), refused, "not the one in use"),
        ("nobody", Rewrap, None, None, None, Status::NotFound, "create it"),
    ];
    for (index, rotation, to, old, new, expected, words) in rows {
        let before = (*index != "nobody").then(|| bench.store.bytes(index));
        let error = bench.engine.rotate_with_key(index, *rotation, *to, *old, *new).unwrap_err();
        assert_eq!(error.status(), *expected, "{index} {rotation:?} {to:?}: {error}");
        assert!(error.message().contains(words), "{index} {rotation:?} {to:?}: {error}");
        assert_eq!(before, (*index != "nobody").then(|| bench.store.bytes(index)), "nothing was changed");
    }
    // The KEK may stand in either place where an index leaves its KMS.
    bench.engine.rotate_with_key("kms", Rewrap, Some(""), Some(right), None).unwrap();
    with_key(&bench.engine, "kms", right).unwrap();
}

#[test]
fn whichever_call_of_the_kms_fails_or_lies_nothing_is_stored() {
    let answers = [
        (Behaviour::Fail(Status::AccessDenied), Status::AccessDenied),
        (Behaviour::Fail(Status::KmsUnavailable), Status::KmsUnavailable),
        (Behaviour::Fail(Status::KeyDisabled), Status::KeyDisabled),
        (Behaviour::Bytes(32), Status::Corrupt),
        (Behaviour::Bytes(31), Status::Corrupt),
        (Behaviour::Drop, Status::Internal),
        (Behaviour::Panic, Status::Internal),
    ];
    for rotation in ROTATIONS {
        // Unwrap what is there; then wrap, and unwrap that.
        let calls = if rotation == Rotation::DataKey { 1 } else { 3 };
        for (answer, expected) in &answers {
            for failing in 0..calls {
                let bench = Bench::new("");
                let index = bench.engine.create("a", "prod").unwrap();
                let (page, before) = (seal(&index, b"page").unwrap(), bench.store.bytes("a"));
                (0..failing).for_each(|_| bench.provider.next(Behaviour::Work));
                bench.provider.next(answer.clone());
                let error = bench.engine.rotate("a", rotation, None).unwrap_err();
                let what = format!("{rotation:?}, call {failing}, {answer:?}: {error}");
                // A wrap that is not one does not unwrap.
                let is_wrap = failing == 1 && matches!(answer, Behaviour::Bytes(_));
                if is_wrap {
                    assert!(
                        [Status::AuthenticationFailed, Status::Corrupt].contains(&error.status()),
                        "{what}"
                    );
                } else {
                    assert_eq!(error.status(), *expected, "{what}");
                }
                assert!(!error.is_outcome_unknown(), "{what}");
                assert_eq!(bench.store.bytes("a"), before, "{what}");
                for handle in [index, bench.restart().open_index("a").unwrap()] {
                    assert_eq!(open(&handle, &page).unwrap(), b"page", "{what}");
                }
                bench.engine.rotate("a", rotation, None).unwrap();
            }
        }
    }
}

#[test]
fn whatever_becomes_of_the_write_the_index_opens_and_the_answer_is_true() {
    for rotation in ROTATIONS {
        for (lost, expected, is_done) in [
            (Lost::Applied, Status::Ok, true),
            (Lost::NotApplied, Status::Ok, true),
            (Lost::Refused, Status::Storage, false),
        ] {
            let bench = Bench::new("");
            let index = bench.engine.create("a", "prod").unwrap();
            let (page, secret) = (seal(&index, b"page").unwrap(), derived(&index));
            bench.store.lose(lost);
            let rotated = bench.engine.rotate("a", rotation, None);
            let what = format!("{rotation:?} {lost:?}: {rotated:?}");
            assert_eq!(status(rotated), expected, "{what}");
            assert_eq!(record(&bench, "a").epoch, if is_done { 2 } else { 1 }, "{what}: done once");
            let again = seal(&index, b"again").unwrap();
            for handle in [&index, &bench.restart().open_index("a").unwrap()] {
                assert_eq!(open(handle, &page).unwrap(), b"page", "{what}");
                assert_eq!(open(handle, &again).unwrap(), b"again", "{what}");
                assert_eq!(derived(handle), secret, "{what}");
            }
        }
        let bench = Bench::new("");
        let index = bench.engine.create("a", "prod").unwrap();
        bench.store.fail_gets(Some(Status::Storage));
        assert_eq!(status(bench.engine.rotate("a", rotation, None)), Status::Storage);
        bench.store.fail_gets(None);
        seal(&index, b"page").unwrap();
    }
}

#[test]
fn after_answers_that_never_came_the_outcome_is_unknown_and_the_handle_finds_it_out() {
    for applied in [true, false] {
        let bench = Bench::new("");
        let index = bench.engine.create("a", "prod").unwrap();
        let page = seal(&index, b"page").unwrap();
        // The write's answer is lost, and so is whatever would tell what became of it.
        bench.store.lose(if applied { Lost::Applied } else { Lost::NotApplied });
        bench.store.fail_gets_after(1, Status::Timeout);
        let error = bench.engine.rotate("a", Rotation::Kek, None).unwrap_err();
        assert!(error.is_outcome_unknown(), "{error}");
        bench.store.fail_gets(None);
        assert_eq!(open(&index, &page).unwrap(), b"page");
        assert_eq!(index.version(), if applied { 2 } else { 1 });
    }
}

/// Rotates while the provider hangs in that rotation's `call`-th call, until `meanwhile` is done.
fn overtaken(
    bench: &Bench,
    rotation: Rotation,
    call: usize,
    meanwhile: impl FnOnce(),
) -> cyborg_kms::error::Result<()> {
    (0..call).for_each(|_| bench.provider.next(Behaviour::Work));
    bench.provider.set(Behaviour::Work);
    bench.provider.next(Behaviour::Hang);
    bench.provider.hold();
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| bench.engine.rotate("a", rotation, None));
        until("the rotation waits", || bench.provider.waiting.load(Ordering::SeqCst) == 1);
        meanwhile();
        bench.provider.release();
        rotating.join().unwrap()
    })
}

#[test]
fn of_two_that_rotate_at_once_one_wins_and_the_other_gets_a_conflict() {
    for first in ROTATIONS {
        for second in ROTATIONS {
            let calls = if first == Rotation::DataKey { 1 } else { 3 };
            for call in 0..calls {
                let bench = Bench::new("");
                let index = bench.engine.create("a", "prod").unwrap();
                let page = seal(&index, b"page").unwrap();
                let other = bench.restart();
                let outcome = overtaken(&bench, first, call, || other.rotate("a", second, None).unwrap());
                let error = outcome.unwrap_err();
                assert_eq!(error.status(), Status::Conflict, "{first:?} overtaken by {second:?}: {error}");
                assert!(!error.is_outcome_unknown());
                let stored = record(&bench, "a");
                assert_eq!(stored.epoch, 2, "one rotation was made");
                assert_eq!(stored.current_data_key, if second == Rotation::DataKey { 2 } else { 1 });
                let elsewhere = bench.restart().open_index("a").unwrap();
                assert_eq!(open(&elsewhere, &page).unwrap(), b"page");
                assert_eq!(open(&index, &page).unwrap(), b"page");
            }
        }
    }
}

#[test]
fn a_state_that_changes_meanwhile_holds() {
    for rotation in ROTATIONS {
        let bench = Bench::new("");
        bench.cold("a");
        let other = bench.restart();
        let outcome = overtaken(&bench, rotation, 0, || other.disable("a").unwrap());
        assert_eq!(status(outcome), Status::KeyDisabled);
        assert_eq!(record(&bench, "a").epoch, 1, "{rotation:?}");
        other.enable("a").unwrap();
        // Changed, and changed back: the rotation starts anew with what is there now.
        let outcome = overtaken(&bench, rotation, 0, || {
            other.disable("a").unwrap();
            other.enable("a").unwrap();
        });
        outcome.unwrap();
        assert_eq!((record(&bench, "a").epoch, record(&bench, "a").state), (2, blob::State::Enabled));
        let outcome = overtaken(&bench, rotation, 0, || drop(other.delete("a").unwrap()));
        assert_eq!(status(outcome), Status::NotFound);
    }
}

#[test]
fn a_load_under_way_does_not_bring_back_the_keys_from_before() {
    for rotation in ROTATIONS {
        let bench = Bench::new("");
        bench.cold("a");
        bench.provider.next(Behaviour::Hang);
        bench.provider.hold();
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| bench.engine.open_index("a").unwrap());
            until("the load waits", || bench.provider.waiting.load(Ordering::SeqCst) == 1);
            bench.engine.rotate("a", rotation, None).unwrap();
            bench.provider.release();
            let index = opening.join().unwrap();
            seal(&index, b"x").unwrap();
            assert_eq!(index.epoch(), 2, "{rotation:?}");
        });
    }
}

#[test]
fn a_handle_that_was_opened_while_the_write_was_under_way_has_the_new_keys_too() {
    for rotation in ROTATIONS {
        let bench = Arc::new(Bench::new(""));
        bench.cold("a");
        let (opened, handle) = std::sync::mpsc::channel();
        let opener = Arc::clone(&bench);
        bench.store.during_put(Meanwhile::Before(Box::new(move || {
            opened.send(opener.engine.open_index("a").unwrap()).unwrap();
        })));
        bench.engine.rotate("a", rotation, None).unwrap();
        let index = handle.recv().unwrap();
        seal(&index, b"x").unwrap();
        assert_eq!(index.epoch(), 2, "{rotation:?}");
    }
}

#[test]
fn handles_that_share_nothing_or_do_not_wait_go_on() {
    let bench = Bench::new("");
    drop(bench.engine.create_with_key("none", "", &[1; 32]).unwrap());
    bench.cold("kms");
    let options = OpenOptions { no_wait: true, ..OpenOptions::default() };
    let given = OpenOptions { kek: Some(&[1; 32]), ..options };
    let none = bench.engine.open_index_with("none", &given).unwrap();
    let kms = bench.engine.open_index_with("kms", &options).unwrap();
    bench.engine.rotate_with_key("none", Rotation::DataKey, None, Some(&[1; 32]), None).unwrap();
    bench.engine.rotate("kms", Rotation::Kek, None).unwrap();
    // The KMS is away: what the rotation brought must do.
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    for (index, data_key) in [(&none, 2), (&kms, 1)] {
        seal(index, b"page").unwrap();
        assert_eq!((index.data_key_id(), index.epoch()), (data_key, 2));
    }

    let uncached = Bench::new("cache: {ttl: 0s}\n");
    let index = uncached.engine.create("a", "prod").unwrap();
    uncached.engine.rotate("a", Rotation::DataKey, None).unwrap();
    uncached.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    seal(&index, b"page").unwrap();
    assert_eq!(index.data_key_id(), 2);
    uncached.clock.advance(1000);
    assert_eq!(status(seal(&index, b"page")), Status::KmsUnavailable);
}

#[test]
fn keys_of_an_index_that_was_deleted_meanwhile_do_not_come_back() {
    for rotation in ROTATIONS {
        let bench = Arc::new(Bench::new(""));
        let index = bench.engine.create("a", "prod").unwrap();
        let (former, page) = (derived(&index), seal(&index, b"page").unwrap());
        let other = Arc::clone(&bench);
        bench.store.during_put(Meanwhile::After(Box::new(move || {
            other.engine.delete("a").unwrap();
            drop(other.engine.create("a", "prod").unwrap());
        })));
        bench.engine.rotate("a", rotation, None).unwrap();
        assert_ne!(derived(&index), former, "{rotation:?}: the handle serves the index that is there");
        assert_eq!(index.epoch(), 1);
        assert_eq!(status(open(&index, &page)), Status::AuthenticationFailed);
    }
}

#[test]
fn pages_are_sealed_and_opened_while_keys_rotate() {
    let bench = Bench::new(SLOTS);
    let index = bench.engine.create("a", "prod").unwrap();
    let (secret, ends) = (derived(&index), AtomicBool::new(false));
    let pages: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut pages = Vec::new();
                    while !ends.load(Ordering::Relaxed) {
                        let handle = bench.engine.open_index("a").unwrap();
                        let page = seal(&handle, b"page").unwrap();
                        assert_eq!(open(&index, &page).unwrap(), b"page");
                        assert_eq!(derived(&handle), secret);
                        pages.push(page);
                    }
                    pages
                })
            })
            .collect();
        for round in 0..60 {
            let slot = (round % 4 == 3).then_some(if round % 8 == 3 { "other" } else { "prod" });
            let rotation = ROTATIONS[round % 3];
            bench.engine.rotate("a", rotation, slot.filter(|_| rotation != Rotation::DataKey)).unwrap();
        }
        ends.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let stored = record(&bench, "a");
    assert_eq!((stored.epoch, stored.envelope_version, stored.current_data_key), (61, 41, 21));
    let elsewhere = bench.restart_with(SLOTS).open_index("a").unwrap();
    for page in &pages {
        assert_eq!(open(&elsewhere, page).unwrap(), b"page");
    }
}
