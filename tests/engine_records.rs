//! Records that were moved, altered, pushed or made by others, and what an index does with them.

mod engine_support;

use cyborg_kms::blob::{self, Binding, Blob, Record};
use cyborg_kms::call::Call;
use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::Status;
use cyborg_kms::index::Index;
use cyborg_kms::name::IndexName;
use cyborg_kms::store::Store;
use engine_support::{Behaviour, Bench, open, seal, status, until, wrap_by};

fn name(name: &str) -> IndexName {
    IndexName::new(name).unwrap()
}

/// An engine with slots of provider local below `folder`: bound, and CyborgDB's way.
fn local(folder: &std::path::Path) -> Engine {
    let key = folder.join("key");
    let yaml = format!(
        "storage: {{url: {}}}\nkms:\n  registry:\n    l: {{provider: local, key_id: {key}, create: true}}\n    \
         c: {{provider: local, key_id: {key}, create: true, cyborgdb_compatible: true}}\n",
        folder.join("db").display(),
        key = key.display()
    );
    Engine::open_yaml(&yaml).unwrap()
}

fn move_record(store: &dyn Store, from: &str, to: &str) {
    let call = Call::unbounded();
    let record = store.get(&call, &name(from)).unwrap().unwrap().bytes;
    store.put(&call, &name(to), &record, cyborg_kms::store::Expected::Any).unwrap();
}

#[test]
fn a_record_under_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = local(folder.path());
    for (slot, expected) in [("l", Status::AuthenticationFailed), ("c", Status::Corrupt)] {
        for index in ["a", "b"] {
            engine.create(&format!("{index}{slot}"), slot).unwrap();
        }
        move_record(&*engine.store(), &format!("a{slot}"), &format!("b{slot}"));
        engine.evict(None);
        assert_eq!(status(engine.open_index(&format!("b{slot}"))), expected);
        engine.open_index(&format!("a{slot}")).unwrap();
    }
    engine.create_with_key("an", "", &[1; 32]).unwrap();
    move_record(&*engine.store(), "an", "bn");
    let with_key = OpenOptions { kek: Some(&[1; 32]), ..OpenOptions::default() };
    assert_eq!(status(engine.open_index_with("bn", &with_key)), Status::AuthenticationFailed);
}

/// Opens by other means than the cache; what an index derives tells its keys.
fn keys_of(index: &Index) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut derived = [0; 32];
    let derived = index.derive_key("label", b"", &mut derived).is_ok().then(|| derived.to_vec());
    (index.export_kek(0).unwrap().expose().to_vec(), derived)
}

#[test]
fn an_altered_record_opens_with_the_same_keys_or_not_at_all() {
    const EXPECTED: [Status; 9] = [
        Status::Ok,
        Status::Corrupt,
        Status::AuthenticationFailed,
        Status::Config,
        Status::Unsupported,
        Status::KeyNotFound,
        Status::KeyDisabled,
        Status::NotFound,
        Status::InvalidArgument,
    ];
    for slot in ["prod", "seedy"] {
        let bench = Bench::new("");
        let index = bench.engine.create("a", slot).unwrap();
        let keys = keys_of(&index);
        drop(index);
        let good = bench.store.bytes("a");
        let mut opened = 0;
        let mut check = |bytes: &[u8], what: String| {
            bench.store.set_bytes("a", bytes);
            bench.engine.evict(None);
            match bench.engine.open_index("a") {
                Ok(index) => {
                    let found = keys_of(&index);
                    // CyborgDB's kind can be made of ours: then there are no pages, but the KEK is the same.
                    let is_same = found.0 == keys.0 && (found.1 == keys.1 || found.1.is_none());
                    // What lost its check value can't tell another KEK; nor can what CyborgDB writes.
                    let lost_check = Record::decode(bytes).unwrap().kek_check.is_none();
                    assert!(is_same || lost_check, "{slot}, {what}: other keys");
                    opened += 1;
                }
                Err(error) => assert!(EXPECTED.contains(&error.status()), "{slot}, {what}: {error:?}"),
            }
        };
        for len in 0..good.len() {
            check(&good[..len], format!("cut to {len}"));
        }
        for at in 0..good.len() {
            for bit in [0, 3, 7] {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                check(&bytes, format!("bit {bit} of byte {at}"));
            }
        }
        check(&good, "as it was".to_owned());
        assert!(opened > 0);
    }
}

#[test]
fn altered_data_keys_are_corrupt() {
    let bench = Bench::new("");
    bench.cold("a");
    let good = Record::decode(&bench.store.bytes("a")).unwrap();
    let alter: [fn(&mut Record); 9] = [
        |record| record.data_keys[0].wrapped[20] ^= 1,
        |record| record.data_keys[1].wrapped[59] ^= 1,
        |record| record.data_keys[1].id = 2,
        |record| record.data_keys[1].superseded_at = 1,
        |record| record.data_keys.swap(0, 1),
        |record| record.data_keys.truncate(1),
        |record| record.epoch += 1,
        |record| record.record_mac.as_mut().unwrap()[0] ^= 1,
        |record| record.kek_check.as_mut().unwrap()[31] ^= 1,
    ];
    for (which, alter) in alter.iter().enumerate() {
        let mut record = good.clone();
        alter(&mut record);
        bench.store.set_bytes("a", &record.encode().unwrap());
        bench.engine.evict(None);
        bench.clock.advance(1000);
        assert_eq!(status(bench.engine.open_index("a")), Status::Corrupt, "{which}");
    }
    // The binding chooses the AAD.
    let mut record = good;
    record.wrap.binding = Binding::None;
    bench.store.set_bytes("a", &record.encode().unwrap());
    bench.clock.advance(1000);
    assert_eq!(status(bench.engine.open_index("a")), Status::AuthenticationFailed);
}

#[test]
fn a_data_key_that_became_another_is_corrupt_for_a_handle_that_knows_it() {
    let bench = Bench::new("");
    let index = bench.engine.create_with_key("a", "prod", &[9; 32]).unwrap();
    bench.engine.evict(None);
    blob::delete(&*bench.engine.store(), &Call::unbounded(), &name("a")).unwrap();
    seal(&index, b"x").unwrap_err();
    let other = bench.restart();
    let again = other.create_with_key("a", "prod", &[9; 32]).unwrap();
    bench.clock.advance(1000);
    // The handle's keys were wiped: the new ones are as good as any.
    let sealed = seal(&index, b"x").unwrap();
    assert_eq!(open(&again, &sealed).unwrap(), b"x");
    blob::delete(&*bench.engine.store(), &Call::unbounded(), &name("a")).unwrap();
    other.evict(None);
    bench.restart().create_with_key("a", "prod", &[9; 32]).unwrap();
    // This one still has its keys.
    assert_eq!(status(index.refresh()), Status::Corrupt);
}

#[test]
fn the_documented_rotation_by_push_leaves_an_index_that_opens() {
    for slot in ["prod", "seedy"] {
        let bench = Bench::new("");
        let index = bench.engine.create("a", slot).unwrap();
        let sealed = seal(&index, b"page").ok();
        let kek = index.export_kek(0).unwrap().expose().to_vec();
        let mut blob = bench.engine.blob("a").unwrap();
        let aad = if slot == "prod" { b"cyborg_kms kek v1\0a".to_vec() } else { Vec::new() };
        blob.wrapped_kek = wrap_by("k2", &aad, &kek);
        blob.key_id = "k2".to_owned();
        blob.version += 1;
        blob::push(&*bench.engine.store(), &Call::unbounded(), &name("a"), 0, &blob).unwrap();
        bench.engine.evict(None);
        // The registry decides which keys are used, not the record.
        if slot == "seedy" {
            let error = bench.engine.open_index("a").unwrap_err();
            assert_eq!(error.status(), Status::Config);
            assert!(error.message().contains("former_key_ids") && error.message().contains("k2"), "{error}");
        }
        let rotated = engine_support::yaml("").replace("key_id: k1", "key_id: k2, former_key_ids: [k1]");
        bench.engine.reload(Some(&rotated)).unwrap();
        let index = bench.engine.open_index("a").unwrap();
        assert_eq!(index.version(), 2);
        assert_eq!(index.export_kek(0).unwrap().expose().to_vec(), kek);
        if let Some(sealed) = sealed {
            assert_eq!(open(&index, &sealed).unwrap(), b"page");
        }
    }
}

/// What a push changes.
type Push = fn(&mut Blob);

#[test]
fn a_wrong_wrap_that_was_pushed_falls_back_to_the_one_before() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    let good = bench.engine.blob("a").unwrap();
    let aad = b"cyborg_kms kek v1\0a";
    let wrong: [fn(&mut Blob, &[u8]); 3] = [
        |blob, aad| blob.wrapped_kek = wrap_by("k1", aad, &[4; 32]),
        |blob, _| blob.wrapped_kek = vec![0; 10],
        |blob, aad| blob.wrapped_kek = wrap_by("k1", aad, &[4; 5]),
    ];
    // Taken to a key, a provider or a slot that is not there: whoever took it there decides, and can take it back.
    let elsewhere: [(Push, Status); 3] = [
        (|blob| (blob.wrapped_kek, blob.key_id) = (vec![1], "unknown".to_owned()), Status::Config),
        (|blob| (blob.wrapped_kek, blob.provider) = (Vec::new(), "none".to_owned()), Status::InvalidArgument),
        (|blob| (blob.wrapped_kek, blob.kms_name) = (vec![2], "no such slot".to_owned()), Status::Config),
    ];
    for (taken, expected) in elsewhere {
        let mut blob = good.clone();
        taken(&mut blob);
        blob::push(&*bench.engine.store(), &Call::unbounded(), &name("a"), 0, &blob).unwrap();
        bench.engine.evict(None);
        assert_eq!(status(bench.engine.open_index("a")), expected);
        blob::push(&*bench.engine.store(), &Call::unbounded(), &name("a"), 0, &good).unwrap();
        assert_eq!(open(&bench.engine.open_index("a").unwrap(), &sealed).unwrap(), b"page");
    }
    for (which, wrong) in wrong.iter().enumerate() {
        let mut blob = good.clone();
        blob.version += 1;
        wrong(&mut blob, aad);
        blob::push(&*bench.engine.store(), &Call::unbounded(), &name("a"), 0, &blob).unwrap();
        bench.engine.evict(None);
        bench.clock.advance(1000);
        let index = bench.engine.open_index("a").unwrap_or_else(|error| panic!("{which}: {error}"));
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
        // While the KMS is silent about the one before, the index is not lost.
        if which == 0 {
            bench.engine.evict(None);
            bench.provider.next(Behaviour::Work);
            bench.provider.next(Behaviour::Fail(Status::KmsUnavailable));
            assert_eq!(status(bench.engine.open_index("a")), Status::KmsUnavailable);
            bench.clock.advance(1000);
        }
    }
    // A refusal is not gone around.
    bench.engine.evict(None);
    let mut blob = good;
    blob.wrapped_kek = wrap_by("k1", aad, &[4; 32]);
    blob::push(&*bench.engine.store(), &Call::unbounded(), &name("a"), 0, &blob).unwrap();
    bench.provider.next(Behaviour::Fail(Status::AccessDenied));
    assert_eq!(status(bench.engine.open_index("a")), Status::AccessDenied);
}

#[test]
fn former_keys_open_old_records() {
    let bench = Bench::new("");
    bench.cold("a");
    let swapped = engine_support::yaml("").replace("key_id: k1", "key_id: k2");
    bench.engine.reload(Some(&swapped)).unwrap();
    assert_eq!(status(bench.engine.open_index("a")), Status::Config);
    bench
        .engine
        .reload(Some(&swapped.replace("key_id: k2", "key_id: k2, former_key_ids: [k0, k1]")))
        .unwrap();
    assert_eq!(bench.engine.open_index("a").unwrap().about().key_id.to_str().unwrap(), "k1");
}

#[test]
fn a_record_that_the_registry_does_not_fit_says_what_to_add() {
    let bench = Bench::new("");
    let blob = |kms_name: &str, provider: &str, key_id: &str| Blob {
        kms_name: kms_name.to_owned(),
        provider: provider.to_owned(),
        key_id: key_id.to_owned(),
        wrapped_kek: vec![1; 40],
        ..Blob::default()
    };
    for (which, blob, hint) in [
        ("slot", blob("missing", "local", "k1"), "kms.registry"),
        ("provider", blob("prod", "local", "k1"), "external:test"),
        ("unknown", blob("prod", "quantum", "k1"), "quantum"),
        ("key", blob("prod", "external:test", "k9"), "former_key_ids"),
    ] {
        blob::create(&*bench.engine.store(), &Call::unbounded(), &name(which), 0, &blob).unwrap();
        let error = bench.engine.open_index(which).unwrap_err();
        assert_eq!(error.status(), Status::Config, "{error}");
        assert!(error.message().contains(hint) && error.message().contains(which), "{error}");
    }
}

#[test]
fn another_process_and_another_handle_open_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (sealed, wrapped) = {
        let engine = local(folder.path());
        let index = engine.create("a", "l").unwrap();
        let other = engine.open_index("a").unwrap();
        let sealed = seal(&index, b"page").unwrap();
        assert_eq!(open(&other, &sealed).unwrap(), b"page");
        let (key, wrapped) = index.generate_data_key().unwrap();
        assert!(other.unwrap_data_key(&wrapped).unwrap().ct_eq(&key));
        (sealed, wrapped)
    };
    let index = local(folder.path()).open_index("a").unwrap();
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
    index.unwrap_data_key(&wrapped).unwrap();
    assert_eq!(status(open(&index, &wrapped)), Status::Corrupt);
    assert_eq!(status(index.unwrap_data_key(&sealed)), Status::Corrupt);
}

/// As another process rotates it: a further data key, which the given handle has not seen.
fn with_unknown_key(page: &[u8], id: u32) -> Vec<u8> {
    let mut page = page.to_vec();
    page[4..8].copy_from_slice(&id.to_be_bytes());
    page
}

#[test]
fn an_unknown_data_key_has_the_record_read_again_once_a_second() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let page = with_unknown_key(&seal(&index, b"page").unwrap(), 7);
    let (reads, unwraps) = (bench.store.gets(), bench.provider.unwraps());
    for _ in 0..10 {
        assert_eq!(status(open(&index, &page)), Status::Corrupt);
    }
    assert_eq!((bench.store.gets() - reads, bench.provider.unwraps() - unwraps), (1, 1));
    bench.clock.advance(1000);
    assert_eq!(status(open(&index, &page)), Status::Corrupt);
    assert_eq!(bench.store.gets() - reads, 2);
    // That the record can't be read is no proof that the page is damaged.
    bench.clock.advance(1000);
    bench.store.fail_gets(Some(Status::Storage));
    assert_eq!(status(open(&index, &page)), Status::Storage);
}

#[test]
fn readers_of_a_new_data_keys_pages_wait_for_one_rereading() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let page = with_unknown_key(&seal(&index, b"page").unwrap(), 2);
    bench.provider.set(Behaviour::Hang);
    let (reads, stats) = (bench.store.gets(), bench.engine.stats());
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(|| status(open(&index, &page)))).collect();
        until("all but one wait", || bench.engine.stats().coalesced_waits - stats.coalesced_waits == 7);
        bench.provider.release();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Status::Corrupt);
        }
    });
    assert_eq!(bench.store.gets() - reads, 1);
}
