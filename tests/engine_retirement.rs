//! Retirement of data keys and former KEKs: when it may be, and what can't be read afterwards.

mod engine_support;

use cyborg_kms::engine::Rotation;
use cyborg_kms::error::Status;
use engine_support::{Bench, derived, kek, open, record, seal, status, with_key};

/// Past the time at which other processes may still seal with a superseded data key.
const QUIET: u64 = (3600 + 300) * 1000;

#[test]
fn a_data_key_is_retired_when_nobody_can_seal_with_it_any_more() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let (old, secret) = (seal(&index, b"old").unwrap(), derived(&index));
    let retire = |id| bench.engine.retire_data_key("a", id);
    assert_eq!(status(retire(1)), Status::InvalidArgument, "the current key");
    assert_eq!(status(retire(0)), Status::InvalidArgument, "the derivation key");
    assert_eq!(status(retire(2)), Status::NotFound);
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    let new = seal(&index, b"new").unwrap();
    let unwraps = bench.provider.unwraps();
    let error = retire(1).unwrap_err();
    assert_eq!(error.status(), Status::Conflict);
    // The clock began at 1700001000.
    assert!(error.message().contains("2023-11-14T23:35:00Z"), "{error}");
    bench.clock.advance(QUIET - 1000);
    assert_eq!(status(retire(1)), Status::Conflict);
    assert_eq!(bench.provider.unwraps(), unwraps, "no KMS was asked");
    bench.clock.advance(1000);
    assert_eq!(open(&index, &old).unwrap(), b"old");
    retire(1).unwrap();
    for handle in [&index, &bench.restart().open_index("a").unwrap()] {
        let error = open(handle, &old).unwrap_err();
        assert_eq!(error.status(), Status::Corrupt);
        assert!(error.message().contains("retired"), "{error}");
        assert_eq!(open(handle, &new).unwrap(), b"new");
        assert_eq!(derived(handle), secret);
    }
    assert_eq!(status(retire(1)), Status::NotFound);
    assert_eq!(record(&bench, "a").epoch, 3);
    // Ids are never used again, and a new KEK carries on what is left.
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    assert_eq!(index.data_key_id(), 3);
    bench.clock.advance(QUIET);
    retire(2).unwrap();
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    assert_eq!(index.data_key_id(), 4);
    let ids: Vec<u32> = record(&bench, "a").data_keys.iter().map(|key| key.id).collect();
    assert_eq!(ids, [0, 3, 4]);
    bench.engine.create("seedy", "seedy").unwrap();
    assert_eq!(status(bench.engine.retire_data_key("seedy", 1)), Status::Unsupported);
    assert_eq!(status(bench.engine.retire_kek("seedy", 1)), Status::Unsupported);
}

#[test]
fn quiet_at_follows_max_record_age() {
    let bench = Bench::new("cache: {max_record_age: 1500ms}\n");
    bench.cold("a");
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    bench.clock.advance(301_000);
    assert_eq!(status(bench.engine.retire_data_key("a", 1)), Status::Conflict);
    bench.clock.advance(1000);
    bench.engine.retire_data_key("a", 1).unwrap();
}

#[test]
fn a_retired_kek_is_not_taken_for_the_next() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    // Versions 1 and 2 have one KEK, 3, 4 and 5 one each.
    bench.engine.rotate("a", Rotation::Rewrap, None).unwrap();
    let keks: Vec<Vec<u8>> = (0..4)
        .map(|_| {
            let now = kek(&index, 0);
            bench.engine.rotate("a", Rotation::Kek, None).unwrap();
            now
        })
        .collect();
    let expect = |versions: [Option<usize>; 5]| {
        for handle in [&index, &bench.restart().open_index("a").unwrap()] {
            for (version, expected) in (1..).zip(versions) {
                match expected {
                    Some(at) => assert_eq!(kek(handle, version), keks[at], "version {version}"),
                    None => {
                        let error = handle.export_kek(version).unwrap_err();
                        assert_eq!(error.status(), Status::NotFound);
                        assert!(error.message().contains("retired"), "{error}");
                    }
                }
            }
            assert_eq!(open(handle, &page).unwrap(), b"page");
        }
    };
    expect([Some(0), Some(0), Some(1), Some(2), Some(3)]);
    let retire = |version| bench.engine.retire_kek("a", version);
    retire(4).unwrap();
    expect([Some(0), Some(0), Some(1), None, Some(3)]);
    retire(1).unwrap();
    expect([None, None, Some(1), None, Some(3)]);
    // A new KEK carries the marks on.
    bench.engine.rotate("a", Rotation::Kek, None).unwrap();
    expect([None, None, Some(1), None, Some(3)]);
    retire(3).unwrap();
    expect([None, None, None, None, Some(3)]);
    assert_eq!(record(&bench, "a").former_keks.len(), 3, "marks in a row are one");
    assert_eq!(status(retire(2)), Status::NotFound);
    assert_eq!(status(retire(7)), Status::InvalidArgument, "the KEK in use");
    assert_eq!(status(retire(8)), Status::NotFound);
    assert_eq!(status(retire(0)), Status::NotFound);
    assert_eq!(status(bench.engine.retire_kek("nobody", 1)), Status::NotFound);
}

#[test]
fn keys_of_a_none_index_are_retired_by_an_open_handle() {
    let bench = Bench::new("");
    let old = bench.engine.create_with_key("a", "", &[1; 32]).unwrap();
    let rotate = |rotation, old: &[u8], new: Option<&[u8]>| {
        bench.engine.rotate_with_key("a", rotation, None, Some(old), new).unwrap();
    };
    rotate(Rotation::DataKey, &[1; 32], None);
    rotate(Rotation::Kek, &[1; 32], Some(&[2; 32]));
    bench.clock.advance(QUIET);
    // A handle with a former KEK is none.
    assert_eq!(status(bench.engine.retire_kek("a", 1)), Status::InvalidArgument);
    let new = with_key(&bench.engine, "a", &[2; 32]).unwrap();
    bench.engine.retire_data_key("a", 1).unwrap();
    bench.engine.retire_kek("a", 1).unwrap();
    assert_eq!(status(new.export_kek(1)), Status::NotFound);
    seal(&new, b"page").unwrap();
    drop((old, new));
    let error = bench.engine.retire_kek("a", 1).unwrap_err();
    assert_eq!(error.status(), Status::NotFound, "{error}");
}
