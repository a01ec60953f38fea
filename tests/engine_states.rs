//! An index that is disabled, enabled, to be deleted, deleted: what each state allows, and from when on it holds.

mod engine_support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64ct::{Base64, Encoding};
use cyborg_kms::blob::{Blob, Kind, Record, State};
use cyborg_kms::crypto::page::OVERHEAD;
use cyborg_kms::engine::{Engine, OpenOptions, Rotation};
use cyborg_kms::error::{Result, Status};
use cyborg_kms::index::Index;
use engine_support::{Behaviour, Bench, Lost, open, seal, status, until};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const DAY: u64 = 24 * 3600 * 1000;

fn record(bench: &Bench, name: &str) -> Record {
    Record::decode(&bench.store.bytes(name)).unwrap()
}

fn describe(engine: &Engine, name: &str) -> Value {
    serde_json::from_str(&engine.describe(name).unwrap()).unwrap()
}

fn with_key<'a>(kek: &'a [u8; 32]) -> OpenOptions<'a> {
    OpenOptions { kek: Some(kek), ..OpenOptions::default() }
}

/// Every use of a handle refuses like that.
#[track_caller]
fn assert_refuses(index: &Index, page: &[u8], expected: Status) {
    let uses: [(&str, Result<()>); 7] = [
        ("encrypt", seal(index, b"page").map(drop)),
        ("decrypt", open(index, page).map(drop)),
        ("derive", index.derive_key("label", b"", &mut [0; 32])),
        ("export", index.export_kek(0).map(drop)),
        ("generate", index.generate_data_key().map(drop)),
        ("unwrap", index.unwrap_data_key(&[2, 0, 0, 0, 0, 0, 0, 1].repeat(10)).map(drop)),
        ("refresh", index.refresh()),
    ];
    for (what, outcome) in uses {
        assert_eq!(status(outcome), expected, "{what}");
    }
}

#[test]
fn disabling_ends_every_use_at_once_here_and_within_the_lifetime_elsewhere() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    let engine = bench.restart();
    let elsewhere = engine.open_index("a").unwrap();
    // No KMS is asked: this works while it is down.
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    let (wraps, unwraps) = (bench.provider.wraps.load(Ordering::SeqCst), bench.provider.unwraps());
    bench.engine.disable("a").unwrap();
    bench.engine.disable("a").unwrap();
    assert_refuses(&index, &page, Status::KeyDisabled);
    for refused in [bench.engine.open_index("a"), bench.restart().open_index("a")] {
        assert_eq!(status(refused.map(drop)), Status::KeyDisabled);
    }
    assert_eq!((wraps, unwraps), (bench.provider.wraps.load(Ordering::SeqCst), bench.provider.unwraps()));
    seal(&elsewhere, b"still").unwrap();
    bench.clock.advance(60_000);
    assert_refuses(&elsewhere, &page, Status::KeyDisabled);

    bench.provider.set(Behaviour::Work);
    bench.engine.enable("a").unwrap();
    bench.engine.enable("a").unwrap();
    for handle in [&index, &elsewhere, &bench.engine.open_index("a").unwrap()] {
        assert_eq!(open(handle, &page).unwrap(), b"page");
    }
}

#[test]
fn what_another_process_disabled_is_felt_at_once_where_it_is_said_again() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    bench.restart().disable("a").unwrap();
    let page = seal(&index, b"page").unwrap();
    bench.engine.disable("a").unwrap();
    assert_refuses(&index, &page, Status::KeyDisabled);
}

#[test]
fn handles_that_share_nothing_are_reached_too() {
    let bench = Bench::new("");
    let none = bench.engine.create_with_key("none", "", &[1; 32]).unwrap();
    let second = bench.engine.open_index_with("none", &with_key(&[1; 32])).unwrap();
    let page = seal(&none, b"page").unwrap();
    bench.engine.disable("none").unwrap();
    for handle in [&none, &second] {
        assert_refuses(handle, &page, Status::KeyDisabled);
    }
    assert_eq!(
        status(bench.engine.open_index_with("none", &with_key(&[1; 32])).map(drop)),
        Status::KeyDisabled
    );
    bench.engine.enable("none").unwrap();
    assert_eq!(open(&second, &page).unwrap(), b"page");

    let uncached = Bench::new("cache: {ttl: 0s}\n");
    let index = uncached.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    uncached.engine.disable("a").unwrap();
    assert_refuses(&index, &page, Status::KeyDisabled);
    uncached.engine.enable("a").unwrap();
    uncached.engine.rotate("a", Rotation::DataKey, None).unwrap();
    seal(&index, b"page").unwrap();
    assert_eq!(index.data_key_id(), 2);
}

#[test]
fn what_needs_the_kek_is_a_use() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    bench.clock.advance(2 * 3600 * 1000);
    bench.engine.disable("a").unwrap();
    for rotation in [Rotation::Rewrap, Rotation::Kek, Rotation::DataKey] {
        assert_eq!(status(bench.engine.rotate("a", rotation, None)), Status::KeyDisabled);
    }
    assert_eq!(status(bench.engine.retire_data_key("a", 1)), Status::KeyDisabled);
    assert_eq!(status(bench.engine.retire_kek("a", 1)), Status::KeyDisabled);
    bench.engine.enable("a").unwrap();
    bench.engine.retire_data_key("a", 1).unwrap();
}

#[test]
fn a_deletion_waits_can_be_cancelled_and_leaves_the_index_disabled() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    for hours in [0, 1, 23, 8761, u32::MAX] {
        assert_eq!(status(bench.engine.schedule_deletion("a", hours)), Status::InvalidArgument);
    }
    let error = bench.engine.cancel_deletion("a").unwrap_err();
    assert_eq!((error.status(), error.is_retryable()), (Status::Conflict, false), "{error}");
    bench.engine.schedule_deletion("a", 24).unwrap();
    assert_refuses(&index, &page, Status::KeyDisabled);
    assert_eq!(describe(&bench.engine, "a")["deletion_at"], "2023-11-15T22:30:00Z");
    let error = bench.engine.schedule_deletion("a", 8760).unwrap_err();
    assert_eq!((error.status(), error.is_retryable()), (Status::Conflict, false), "{error}");
    assert!(error.message().contains("2023-11-15T22:30:00Z"), "{error}");
    let error = bench.engine.enable("a").unwrap_err();
    assert_eq!(error.status(), Status::KeyDisabled);
    assert!(error.message().contains("cancel"), "{error}");
    // It is refused already, and stays scheduled.
    bench.engine.disable("a").unwrap();
    assert_eq!(record(&bench, "a").state, State::PendingDeletion);
    // Nothing is deleted by itself.
    bench.clock.advance(30 * DAY);
    assert_refuses(&index, &page, Status::KeyDisabled);
    bench.engine.cancel_deletion("a").unwrap();
    bench.engine.cancel_deletion("a").unwrap();
    let cancelled = record(&bench, "a");
    assert_eq!((cancelled.state, cancelled.deletion_at), (State::Disabled, 0));
    assert_refuses(&index, &page, Status::KeyDisabled);
    // From disabled, too.
    bench.engine.schedule_deletion("a", 8760).unwrap();
    bench.engine.cancel_deletion("a").unwrap();
    bench.engine.enable("a").unwrap();
    assert_eq!(open(&index, &page).unwrap(), b"page");
    for outcome in [
        bench.engine.disable("nobody"),
        bench.engine.enable("nobody"),
        bench.engine.schedule_deletion("nobody", 24),
        bench.engine.cancel_deletion("nobody"),
    ] {
        assert_eq!(status(outcome), Status::NotFound);
    }
}

#[test]
fn the_state_is_no_part_of_what_the_kek_authenticates() {
    let bench = Bench::new("");
    bench.cold("a");
    let before = record(&bench, "a");
    bench.engine.disable("a").unwrap();
    let after = record(&bench, "a");
    assert_eq!((after.epoch, after.record_mac, after.envelope_version), (1, before.record_mac, 1));
    assert_eq!(after.write_ids.len(), before.write_ids.len() + 1);
    // A push, and CyborgDB's kind.
    bench.engine.create("seedy", "seedy").unwrap();
    bench.engine.disable("seedy").unwrap();
    assert_eq!(status(bench.engine.open_index("seedy").map(drop)), Status::KeyDisabled);
    assert_eq!(record(&bench, "seedy").kind, Kind::CyborgDb);
    // CyborgDB does not know the state: what it writes is enabled.
    let blob = Blob::decode(&bench.store.bytes("seedy")).unwrap();
    bench.store.set_bytes("seedy", &blob.encode().unwrap());
    bench.engine.open_index("seedy").unwrap();
}

#[test]
fn deleting_gives_a_receipt_of_what_is_gone() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    bench.clock.advance(2000);
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    let page = seal(&index, b"page").unwrap();
    let hash = Base64::encode_string(&Sha256::digest(bench.store.bytes("a")));
    assert_eq!(describe(&bench.engine, "a")["record_sha256"], Value::from(hash.clone()));
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    bench.clock.advance(5000);
    let receipt: Value = serde_json::from_str(&bench.engine.delete("a").unwrap()).unwrap();
    assert_eq!(
        receipt,
        json!({
            "index": "a",
            "deleted_at": "2023-11-14T22:30:07Z",
            "created_at": "2023-11-14T22:30:00Z",
            "kek_created_at": "2023-11-14T22:30:02Z",
            "kms_name": "prod",
            "provider": "external:test",
            "key_id": "k1",
            "region": "",
            "kek_version": 2,
            "epoch": 3,
            "data_keys": [0, 1, 2],
            "former_keks": [1],
            "recipients": [],
            "record_sha256": hash,
        })
    );
    assert_refuses(&index, &page, Status::NotFound);
    assert_eq!(status(bench.engine.delete("a").map(drop)), Status::NotFound);
    assert_eq!(status(bench.engine.describe("a").map(drop)), Status::NotFound);
    bench.provider.set(Behaviour::Work);
    // Another index under the same name: the old handle serves it, the old page is not its.
    let new = bench.engine.create("a", "prod").unwrap();
    assert_eq!(status(open(&new, &page).map(drop)), Status::Corrupt, "it names data key 2");
    // A disabled one, one to be deleted, one of each kind; the record's bytes as CyborgDB may have written them.
    bench.engine.disable("a").unwrap();
    bench.engine.delete("a").unwrap();
    bench.engine.create("seedy", "seedy").unwrap();
    bench.engine.schedule_deletion("seedy", 24).unwrap();
    let mut bytes = bench.store.bytes("seedy");
    bytes.extend_from_slice(b"trailing");
    bench.store.set_bytes("seedy", &bytes);
    let receipt: Value = serde_json::from_str(&bench.engine.delete("seedy").unwrap()).unwrap();
    assert_eq!(receipt["record_sha256"], Value::from(Base64::encode_string(&Sha256::digest(&bytes))));
    assert_eq!(receipt["data_keys"], json!([]));
    bench.store.set_bytes("damaged", b"no record");
    assert_eq!(status(bench.engine.delete("damaged").map(drop)), Status::Corrupt);
    assert_eq!(status(bench.engine.describe("damaged").map(drop)), Status::Corrupt);
}

#[test]
fn an_index_is_described_without_a_kms() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.engine.rotate("a", Rotation::Rewrap, None).unwrap();
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    bench.clock.advance(7000);
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    bench.engine.retire_kek("a", 2).unwrap();
    bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    bench.engine.evict(None);
    let (reads, calls) = (bench.store.gets(), bench.engine.stats().kms_calls);
    let bytes = bench.store.bytes("a");
    let stored = record(&bench, "a");
    assert_eq!(
        describe(&bench.engine, "a"),
        json!({
            "index": "a",
            "kind": "cyborg_kms",
            "state": "enabled",
            "deletion_at": null,
            "kms_name": "prod",
            "provider": "external:test",
            "key_id": "k1",
            "region": "",
            "key_version": "",
            "mechanism": "",
            "binding": "index_name",
            "wrapped_kek": Base64::encode_string(&stored.wrap.wrapped_kek),
            "version": 4,
            "epoch": 6,
            "created_at": "2023-11-14T22:30:00Z",
            "kek_created_at": "2023-11-14T22:30:07Z",
            "updated_at": "2023-11-14T22:30:07Z",
            "has_kek_check": true,
            "current_data_key": 2,
            "data_keys": [
                {"id": 0, "purpose": "derive", "created_at": "2023-11-14T22:30:00Z",
                 "superseded_at": null, "quiet_at": null},
                {"id": 1, "purpose": "pages", "created_at": "2023-11-14T22:30:00Z",
                 "superseded_at": "2023-11-14T22:30:07Z", "quiet_at": "2023-11-14T23:35:07Z"},
                {"id": 2, "purpose": "pages", "created_at": "2023-11-14T22:30:07Z",
                 "superseded_at": null, "quiet_at": null},
            ],
            "former_keks": [
                {"first_version": 1, "last_version": 2, "is_retired": true},
                {"first_version": 3, "last_version": 3, "is_retired": false},
            ],
            "recipients": [],
            "replaced": null,
            "record_sha256": Base64::encode_string(&Sha256::digest(bytes)),
        })
    );
    assert_eq!((bench.store.gets() - reads, bench.engine.stats().kms_calls), (1, calls));
    assert_eq!(bench.engine.stats().cache_entries, 0);
    let blob = Blob { kms_name: "ü\"".to_owned(), created_at: i64::MIN, ..Blob::default() };
    bench.store.set_bytes("foreign", &blob.encode().unwrap());
    let foreign = describe(&bench.engine, "foreign");
    assert_eq!((&foreign["kind"], &foreign["kms_name"]), (&json!("cyborgdb"), &json!("ü\"")));
    assert_eq!((&foreign["created_at"], &foreign["updated_at"]), (&Value::Null, &Value::Null));
}

#[test]
fn after_a_lost_answer_the_record_tells() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    for lost in [Lost::Applied, Lost::NotApplied] {
        bench.store.lose(lost);
        bench.engine.disable("a").unwrap();
        assert_eq!(status(seal(&index, b"x").map(drop)), Status::KeyDisabled);
        bench.store.lose(lost);
        bench.engine.enable("a").unwrap();
        seal(&index, b"x").unwrap();
    }
    // Nobody knows: the handle looks for itself.
    for applied in [true, false] {
        bench.store.lose(if applied { Lost::Applied } else { Lost::NotApplied });
        bench.store.fail_gets_after(1, Status::Timeout);
        let error = bench.engine.disable("a").unwrap_err();
        assert!(error.is_outcome_unknown(), "{error}");
        bench.store.fail_gets(None);
        let expected = if applied { Status::KeyDisabled } else { Status::Ok };
        assert_eq!(status(seal(&index, b"x").map(drop)), expected);
        bench.engine.enable("a").unwrap();
    }
    // A store that is away must not have the last record serve on.
    bench.engine.disable("a").unwrap();
    bench.store.fail_gets(Some(Status::Storage));
    assert_eq!(status(seal(&index, b"x").map(drop)), Status::Storage);
    assert_eq!(status(bench.engine.disable("a")), Status::Storage);
}

#[test]
fn a_silent_kms_does_not_keep_a_disabled_index_going() {
    let stale = "cache: {stale_if_unavailable: 1h}\n";
    let bench = Bench::new(stale);
    let index = bench.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    let other = bench.restart_with(stale);
    let elsewhere = other.open_index("a").unwrap();
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    bench.clock.advance(61_000);
    assert_eq!(open(&index, &page).unwrap(), b"page", "the KMS is silent");
    bench.engine.disable("a").unwrap();
    assert_refuses(&index, &page, Status::KeyDisabled);
    // The other process reads the record at its next refresh, whatever the KMS says. One may be under way that read it
    // before.
    until("the other process reads the record", || {
        bench.clock.advance(61_000);
        status(seal(&elsewhere, b"x").map(drop)) == Status::KeyDisabled
    });
    assert_refuses(&elsewhere, &page, Status::KeyDisabled);

    bench.provider.set(Behaviour::Work);
    bench.engine.enable("a").unwrap();
    seal(&index, b"x").unwrap();
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    bench.clock.advance(61_000);
    seal(&index, b"served beyond its lifetime").unwrap();
    // Keys that are served stale are in use: a rotation hands them its new ones.
    bench.provider.set(Behaviour::Work);
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    seal(&index, b"x").unwrap();
    assert_eq!(index.data_key_id(), 2);
}

#[test]
fn a_load_under_way_does_not_bring_back_what_was_disabled() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.provider.next(Behaviour::Hang);
    bench.provider.hold();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| bench.engine.open_index("a").map(drop));
        until("the load waits", || bench.provider.waiting.load(Ordering::SeqCst) == 1);
        bench.engine.disable("a").unwrap();
        bench.provider.release();
        assert_eq!(status(opening.join().unwrap()), Status::KeyDisabled);
    });
    assert_eq!(bench.engine.stats().cache_entries, 0);
}

#[test]
fn a_rotation_that_is_under_way_does_not_enable_again() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let (ends, rotated) = (AtomicBool::new(false), AtomicUsize::new(0));
    let page = seal(&index, b"page").unwrap();
    std::thread::scope(|scope| {
        for rotation in [Rotation::Rewrap, Rotation::Kek, Rotation::DataKey] {
            let (bench, ends, rotated) = (&bench, &ends, &rotated);
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    match status(bench.engine.rotate("a", rotation, None)) {
                        Status::Ok => drop(rotated.fetch_add(1, Ordering::SeqCst)),
                        other => assert!([Status::Conflict, Status::KeyDisabled].contains(&other), "{other}"),
                    }
                }
            });
        }
        for _ in 0..200 {
            bench.engine.disable("a").unwrap();
            for _ in 0..3 {
                assert_eq!(status(seal(&index, b"x").map(drop)), Status::KeyDisabled);
                assert_eq!(status(bench.engine.open_index("a").map(drop)), Status::KeyDisabled);
            }
            bench.engine.enable("a").unwrap();
            assert_eq!(open(&index, &page).unwrap(), b"page");
            assert_eq!(seal(&index, b"x").unwrap().len(), 1 + OVERHEAD);
        }
        ends.store(true, Ordering::Relaxed);
    });
    assert_eq!(record(&bench, "a").epoch, 1 + rotated.load(Ordering::SeqCst) as u64, "none is lost");
    assert!(rotated.load(Ordering::SeqCst) > 0);
}
