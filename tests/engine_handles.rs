//! What a handle may do, and writes whose answers are lost.

mod engine_support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cyborg_kms::blob::{self, Kind, Record};
use cyborg_kms::call::Call;
use cyborg_kms::engine::OpenOptions;
use cyborg_kms::error::Status;
use cyborg_kms::name::IndexName;
use cyborg_kms::registry::{CAN_DECRYPT, CAN_DERIVE, CAN_ENCRYPT, CAN_EXPORT};
use cyborg_kms::store::Store;
use engine_support::{Bench, Lost, open, seal, status, until};

fn name(name: &str) -> IndexName {
    IndexName::new(name).unwrap()
}

#[test]
fn capabilities_of_slot_and_handle_both_count() {
    let bench = Bench::new("");
    let restricted = engine_support::yaml("").replace("prod: {", "prod: {capabilities: [encrypt, decrypt], ");
    bench.engine.reload(Some(&restricted)).unwrap();
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    assert_eq!(status(index.export_kek(0)), Status::AccessDenied);
    assert_eq!(status(index.derive_key("l", b"", &mut [0; 32])), Status::AccessDenied);
    let with = |capabilities| OpenOptions { capabilities, ..OpenOptions::default() };
    for refused in [CAN_EXPORT, CAN_DERIVE, CAN_ENCRYPT | CAN_EXPORT] {
        assert_eq!(status(bench.engine.open_index_with("a", &with(refused))), Status::AccessDenied);
    }
    assert_eq!(status(bench.engine.open_index_with("a", &with(16))), Status::InvalidArgument);
    let reader = bench.engine.open_index_with("a", &with(CAN_DECRYPT)).unwrap();
    assert_eq!(open(&reader, &sealed).unwrap(), b"page");
    assert_eq!(status(seal(&reader, b"x")), Status::AccessDenied);
    assert_eq!(status(reader.generate_data_key()), Status::AccessDenied);
    let writer = bench.engine.open_index_with("a", &with(CAN_ENCRYPT)).unwrap();
    seal(&writer, b"x").unwrap();
    assert_eq!(status(open(&writer, &sealed)), Status::AccessDenied);
}

#[test]
fn an_older_record_than_was_seen_is_rolled_back() {
    let bench = Bench::new("");
    bench.cold("a");
    let least = |min_epoch| OpenOptions { min_epoch, ..OpenOptions::default() };
    bench.engine.open_index_with("a", &least(1)).unwrap();
    assert_eq!(status(bench.engine.open_index_with("a", &least(2))), Status::RolledBack);
    // A store that fails is no proof of that.
    bench.store.fail_gets(Some(Status::Storage));
    assert_eq!(status(bench.engine.open_index_with("a", &least(2))), Status::Storage);
}

#[test]
fn an_index_of_cyborgdbs_kind_gives_its_kek_and_no_pages() {
    let bench = Bench::new("");
    let index = bench.engine.create_with_key("a", "seedy", &[3; 32]).unwrap();
    assert_eq!(Record::decode(&bench.store.bytes("a")).unwrap().kind, Kind::CyborgDb);
    assert_eq!(index.export_kek(0).unwrap().expose(), &[3; 32]);
    for unsupported in [
        status(seal(&index, b"x")),
        status(index.generate_data_key()),
        status(index.derive_key("l", b"", &mut [0; 32])),
        status(open(&index, &seal(&bench.engine.create("b", "prod").unwrap(), b"x").unwrap())),
    ] {
        assert_eq!(unsupported, Status::Unsupported);
    }
    assert_eq!((index.epoch(), index.data_key_id()), (0, 0));
}

#[test]
fn lost_answers_of_a_create_are_found_out() {
    for (lost, times) in
        [(Lost::Applied, 1), (Lost::NotApplied, 1), (Lost::NotApplied, 3), (Lost::AppliedLater, 1)]
    {
        let bench = Bench::new("");
        (0..times).for_each(|_| bench.store.lose(lost));
        let index = bench
            .engine
            .create("a", "prod")
            .unwrap_or_else(|error| panic!("{lost:?} {times} times: {error:?}"));
        let sealed = seal(&index, b"page").unwrap();
        bench.engine.evict(None);
        assert_eq!(open(&bench.restart().open_index("a").unwrap(), &sealed).unwrap(), b"page", "{lost:?}");
    }
}

#[test]
fn a_store_that_refuses_or_never_answers_is_not_asked_again_and_again() {
    for (lost, expected, unknown, puts) in
        [(Lost::Refused, Status::Storage, false, 1), (Lost::NotApplied, Status::Timeout, true, 4)]
    {
        let bench = Bench::new("");
        (0..99).for_each(|_| bench.store.lose(lost));
        let error = bench.engine.create("a", "prod").unwrap_err();
        assert_eq!((error.status(), error.is_outcome_unknown()), (expected, unknown), "{error}");
        assert_eq!(bench.store.puts.load(Ordering::SeqCst), puts, "{lost:?}");
    }
}

#[test]
fn lost_answers_of_later_writes_are_found_out_too() {
    let bench = Bench::new("");
    bench.cold("a");
    let store = Arc::clone(&bench.store) as Arc<dyn Store>;
    // More writes than ids are kept, each of which loses its answer once.
    for version in 2..40 {
        let mut blob = bench.engine.blob("a").unwrap();
        blob.version = version;
        bench.store.lose(if version % 2 == 0 { Lost::Applied } else { Lost::NotApplied });
        blob::push(&*store, &Call::unbounded(), &name("a"), 0, &blob)
            .unwrap_or_else(|error| panic!("version {version}: {error:?}"));
        assert_eq!(bench.engine.blob("a").unwrap().version, version);
    }
    // Where nothing can be found out, it says so.
    let mut blob = bench.engine.blob("a").unwrap();
    blob.version = 99;
    bench.store.lose(Lost::Applied);
    let puts = bench.store.puts.load(Ordering::SeqCst);
    let blinded = std::thread::scope(|scope| {
        let pusher = scope.spawn(|| blob::push(&*store, &Call::unbounded(), &name("a"), 0, &blob));
        until("the write", || {
            let written = bench.store.puts.load(Ordering::SeqCst) > puts;
            if written {
                bench.store.fail_gets(Some(Status::Storage));
            }
            written
        });
        pusher.join().unwrap()
    });
    if let Err(error) = blinded {
        assert!(error.is_outcome_unknown(), "{error:?}");
    }
}
