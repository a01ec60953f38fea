//! What a failure leaves behind: the caller's page as it was, and nothing of another index's keys.

mod engine_support;

use cyborg_kms::blob::{FIRST_DATA_KEY, Record};
use cyborg_kms::crypto::derive::{SubKey, sub_key};
use cyborg_kms::crypto::secret::Arena;
use cyborg_kms::crypto::wrap;
use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::Status;
use cyborg_kms::index::Input;
use cyborg_kms::name::IndexName;
use engine_support::{Behaviour, Bench, open, seal, status, wrap_by};

const PAGE: &[u8] = b"a page of the host's";

/// The page as the host would hold it, with room for what sealing adds.
fn buffer(at: usize) -> Vec<u8> {
    let mut buffer = vec![0; PAGE.len() + 48];
    buffer[at..at + PAGE.len()].copy_from_slice(PAGE);
    buffer
}

#[test]
fn a_page_that_could_not_be_sealed_in_place_is_as_it_was() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    for at in [0, 32] {
        bench.engine.evict(None);
        bench.provider.set(Behaviour::Fail(Status::AccessDenied));
        let mut page = buffer(at);
        let input = Input::InPlace { at, len: PAGE.len() };
        assert_eq!(status(index.encrypt(b"", &input, &mut page)), Status::AccessDenied);
        assert_eq!(page, buffer(at), "at {at}");

        bench.provider.set(Behaviour::Work);
        bench.clock.advance(1000);
        index.encrypt(b"", &input, &mut page).unwrap();
        let mut opened = vec![0; PAGE.len()];
        index.decrypt(b"", &page, &mut opened).unwrap();
        assert_eq!(opened, PAGE);
    }
}

#[test]
fn a_page_that_could_not_be_opened_in_place_for_now_can_be_opened_later() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, PAGE).unwrap();
    let mut page = sealed.clone();
    bench.engine.evict(None);
    bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    assert_eq!(status(index.decrypt_in_place(b"", &mut page, true)), Status::AccessDenied);
    assert_eq!(page, sealed);
    bench.provider.set(Behaviour::Work);
    bench.clock.advance(1000);
    assert_eq!(open(&index, &page).unwrap(), PAGE);
    // What does not authenticate is gone.
    page[40] ^= 1;
    let error = index.decrypt_in_place(b"", &mut page, true).unwrap_err();
    assert_eq!(error.status(), Status::AuthenticationFailed);
    assert!(error.message().starts_with("index \"a\": the page does not open"), "{error}");
    assert!(page.iter().all(|byte| *byte == 0));
}

/// The record of "a" with one data key replaced by another, authenticated by who knows the KEK.
fn with_other_key(bench: &Bench, kek: &[u8], id: u32) -> Vec<u8> {
    let (arena, name) = (Arena::new(false), IndexName::new("a").unwrap());
    let kek = arena.key_from(kek).unwrap();
    let wrap_key = sub_key(&arena, &kek, SubKey::Wrap).unwrap();
    let mut record = Record::decode(&bench.store.bytes("a")).unwrap();
    let entry = record.data_keys.iter_mut().find(|entry| entry.id == id).unwrap();
    entry.wrapped = wrap::wrap(wrap_key.expose(), &wrap::data_key_aad(id, "a"), &[9; 32]).unwrap();
    record.authenticate(&arena, &name, &kek).unwrap();
    record.encode().unwrap()
}

#[test]
fn a_handle_takes_up_no_other_key_under_a_known_id() {
    for id in [0, FIRST_DATA_KEY] {
        let bench = Bench::new("");
        let index = bench.engine.create("a", "prod").unwrap();
        let kek = index.export_kek(0).unwrap().expose().to_vec();
        bench.store.set_bytes("a", &with_other_key(&bench, &kek, id));
        assert_eq!(status(index.refresh()), Status::Corrupt, "data key {id}");
    }
}

#[test]
fn a_handle_goes_back_to_no_older_record() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let kek = index.export_kek(0).unwrap().expose().to_vec();
    let old = bench.store.bytes("a");
    let mut newer = Record::decode(&old).unwrap();
    newer.epoch = 2;
    let arena = Arena::new(false);
    let key = arena.key_from(&kek).unwrap();
    newer.authenticate(&arena, &IndexName::new("a").unwrap(), &key).unwrap();
    bench.store.set_bytes("a", &newer.encode().unwrap());
    index.refresh().unwrap();
    assert_eq!(index.epoch(), 2);
    let strict = OpenOptions { min_epoch: 2, ..OpenOptions::default() };
    let strict = bench.engine.open_index_with("a", &strict).unwrap();

    bench.store.set_bytes("a", &old);
    assert_eq!(status(index.refresh()), Status::RolledBack);
    assert_eq!(status(seal(&index, PAGE)), Status::RolledBack);
    // An operator who means it evicts; a handle that was opened for newer records only stays out.
    bench.engine.evict(None);
    bench.clock.advance(1000);
    seal(&index, PAGE).unwrap();
    assert_eq!(status(seal(&strict, PAGE)), Status::RolledBack);
}

#[test]
fn what_a_slot_of_provider_none_does_not_grant_stays_so_when_the_slot_is_gone() {
    let yaml = "kms: {registry: {byo: {provider: none, capabilities: [decrypt]}}}";
    let engine = Engine::open_yaml(yaml).unwrap();
    let index = engine.create_with_key("a", "byo", &[5; 32]).unwrap();
    assert_eq!(status(index.export_kek(0)), Status::AccessDenied);
    engine.reload(Some("{}")).unwrap();
    let given = OpenOptions { kek: Some(&[5; 32]), ..OpenOptions::default() };
    assert_eq!(status(engine.open_index_with("a", &given)), Status::Config);
}

#[test]
fn a_pushed_wrap_that_is_bound_to_nothing_opens_the_index() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, PAGE).unwrap();
    let kek = index.export_kek(0).unwrap();
    let mut blob = bench.engine.blob("a").unwrap();
    blob.wrapped_kek = wrap_by("k1", b"", kek.expose());
    blob.version += 1;
    let name = IndexName::new("a").unwrap();
    let store = bench.engine.store();
    cyborg_kms::blob::push(&*store, &cyborg_kms::call::Call::unbounded(), &name, 0, &blob).unwrap();
    bench.engine.evict(None);
    let again = bench.engine.open_index("a").unwrap();
    assert_eq!((again.version(), open(&again, &sealed).unwrap()), (2, PAGE.to_vec()));
}

#[test]
fn a_key_file_that_was_lost_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (store, key) = (folder.path().join("keys"), folder.path().join("wrap.key"));
    let yaml = format!(
        "storage: {{url: {store:?}}}\nkms: {{registry: {{own: {{provider: local, key_id: {key:?}, create: true}}}}}}"
    );
    // On the first start nothing is lost: a check makes the key.
    let engine = Engine::open_yaml(&yaml).unwrap();
    engine.check(None).unwrap();
    engine.create("a", "own").unwrap();
    let content = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    engine.evict(None);
    let refused = [
        engine.check(None).unwrap_err(),
        engine.create("b", "own").unwrap_err(),
        engine.open_index("a").unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.status(), Status::KeyNotFound, "{error}");
        assert!(error.message().contains("restore it from its backup"), "{error}");
    }
    assert!(!key.exists());
    std::fs::write(&key, content).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Engine::open_yaml(&yaml).unwrap().open_index("a").unwrap();
}

#[test]
fn a_refresh_says_that_the_record_could_not_be_read_and_the_handle_works_on() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    bench.store.fail_gets(Some(Status::Storage));
    assert_eq!(status(index.refresh()), Status::Storage);
    let sealed = seal(&index, PAGE).unwrap();
    assert_eq!(open(&index, &sealed).unwrap(), PAGE);
    bench.store.fail_gets(None);
    index.refresh().unwrap();
}
