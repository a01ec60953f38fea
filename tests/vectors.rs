//! What was once stored is read for ever: the files of `tests/vectors/v1` and `v1-audit`, which `tests/vectors/make.rs` made once.
//! `tests/interop/format.py` reads them by the format's description alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cyborg_kms::audit::{self, Head};
use cyborg_kms::crypto::key_file;
use cyborg_kms::crypto::page::{Buffers, OVERHEAD};
use cyborg_kms::crypto::secret::Arena;
use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::Status;
use cyborg_kms::index::Index;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;
use serde_json::Value;

/// The "KMS" of the vectors flips bits.
struct Flip;

impl ExternalCallbacks for Flip {
    fn wrap(&self, _: &str, _: &[u8], _: &[u8], reply: Reply) {
        drop(reply); // nothing is made here
    }

    fn unwrap(&self, _: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        assert!(aad.starts_with(b"cyborg_kms kek v1\0"));
        reply.bytes(&wrapped.iter().map(|byte| byte ^ 0x5a).collect::<Vec<_>>(), 0);
    }
}

/// A copy in a folder of this process's own, which it goes to: the records name the key file by `/proc/self/cwd`.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1");
        let folder = tempfile::tempdir().unwrap();
        let config = Path::new("_catalog/config");
        fs::create_dir_all(folder.path().join(config)).unwrap();
        for file in fs::read_dir(from.join(config)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.path().join(config).join(file.file_name())).unwrap();
        }
        let key = folder.path().join("wrap.key");
        fs::copy(from.join("wrap.key"), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        std::env::set_current_dir(folder.path()).unwrap();
        folder
    });
    made.path()
}

fn engine() -> Engine {
    let slots = include_str!("vectors/v1/engine.yaml");
    let engine = Engine::open_yaml(&format!("storage: {{url: {}}}\n{slots}", folder().display())).unwrap();
    engine.register_provider("flip", Arc::new(Flip)).unwrap();
    engine
}

fn cases() -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("vectors/v1/expected.json")).unwrap();
    assert_eq!(cases.len(), 6);
    cases
}

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    let text = value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"));
    base16ct::mixed::decode_vec(text).unwrap()
}

fn array<'a>(case: &'a Value, key: &str) -> &'a [Value] {
    case[key].as_array().map_or(&[], Vec::as_slice)
}

fn open(engine: &Engine, case: &Value) -> Index {
    let name = case["index_name"].as_str().unwrap();
    let kek = bytes(case, "kek_hex");
    let none = case["kms_name"] == "";
    let options = OpenOptions { kek: none.then_some(&kek[..]), ..OpenOptions::default() };
    engine.open_index_with(name, &options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_record_gives_its_kek() {
    let engine = engine();
    for case in cases() {
        let index = open(&engine, &case);
        assert_eq!(index.export_kek(0).unwrap().expose()[..], bytes(&case, "kek_hex"));
        if case["former_kek_hex"].is_string() {
            assert_eq!(index.export_kek(1).unwrap().expose()[..], bytes(&case, "former_kek_hex"));
        }
    }
}

#[test]
fn every_page_opens() {
    let engine = engine();
    let mut opened = 0;
    for case in cases() {
        let index = open(&engine, &case);
        for page in array(&case, "pages") {
            let (aad, sealed) = (bytes(page, "aad_hex"), bytes(page, "sealed_hex"));
            let mut out = vec![0; sealed.len() - OVERHEAD];
            index.decrypt(&aad, &sealed, &mut out).unwrap();
            assert_eq!(out, bytes(page, "plaintext_hex"));
            let error = index.decrypt(b"another", &sealed, &mut out).unwrap_err();
            assert_eq!(error.status(), Status::AuthenticationFailed);
            opened += 1;
        }
    }
    assert_eq!(opened, 5 * 3 + 1);
}

#[test]
fn detached_pages_data_keys_and_derived_keys_are_the_same() {
    let engine = engine();
    for case in cases().iter().filter(|case| case["detached"].is_object()) {
        let index = open(&engine, case);
        let page = &case["detached"];
        let (input, overhead) = (bytes(page, "ciphertext_hex"), bytes(page, "overhead_hex"));
        let mut output = vec![0; input.len()];
        let buffers = Buffers::Separate { input: &input, output: &mut output };
        index.decrypt_detached(&bytes(page, "aad_hex"), buffers, &overhead.try_into().unwrap()).unwrap();
        assert_eq!(output, bytes(page, "plaintext_hex"));

        let key = index.unwrap_data_key(&bytes(&case["data_key"], "wrapped_hex")).unwrap();
        assert_eq!(key.expose()[..], bytes(&case["data_key"], "key_hex"));
        assert_eq!(array(case, "derived").len(), 3);
        for derived in array(case, "derived") {
            let expected = bytes(derived, "key_hex");
            let mut key = vec![0; expected.len()];
            index
                .derive_key(derived["label"].as_str().unwrap(), &bytes(derived, "context_hex"), &mut key)
                .unwrap();
            assert_eq!(key, expected);
        }
    }
}

#[test]
fn a_record_under_another_indexs_name_does_not_open() {
    let folder = folder();
    let from = folder.join("_catalog/config/ours.kms.cat");
    fs::copy(from, folder.join("_catalog/config/moved.kms.cat")).unwrap();
    let error = engine().open_index("moved").unwrap_err();
    assert_eq!(error.status(), Status::AuthenticationFailed);
}

#[test]
fn the_audit_log_is_verified_and_goes_on() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1-audit");
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let key_file = folder.path().join("audit.key");
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    let path = folder.path().join("audit.log");
    let expected: Value = serde_json::from_str(include_str!("vectors/v1-audit/expected.json")).unwrap();
    let head = Head::from_json(&expected["head"].to_string()).unwrap();
    assert_eq!(audit::head(&path).unwrap(), head);
    let key = key_file::read(&Arena::new(false), &key_file).unwrap();
    let report = audit::verify(&path, Some(&key), Some(&head)).unwrap();
    assert_eq!((report.fault, report.lines, report.recovered), (None, head.seq, 1));
    assert!(report.files > 1);

    let path_of = |name: &str| folder.path().join(name).display().to_string();
    let yaml = format!("audit: {{path: {}, key_file: {}}}\n", path_of("audit.log"), path_of("audit.key"));
    Engine::open_yaml(&yaml).unwrap().create_with_key("more", "", &[1; 32]).unwrap();
    let report = audit::verify(&path, Some(&key), Some(&head)).unwrap();
    assert_eq!((report.fault, report.lines), (None, head.seq + 2));
}

#[test]
fn a_record_with_retired_keys_gives_what_is_left() {
    let case: Value = serde_json::from_str(include_str!("vectors/v1/retired.json")).unwrap();
    let index = engine().open_index("retired").unwrap();
    let keks = array(&case, "keks_hex");
    assert_eq!((keks.len(), index.version()), (5, 5));
    for (version, kek) in (1..).zip(keks) {
        match kek.as_str() {
            Some(kek) => {
                let expected = base16ct::mixed::decode_vec(kek).unwrap();
                assert_eq!(index.export_kek(version).unwrap().expose()[..], expected);
            }
            None => assert_eq!(index.export_kek(version).unwrap_err().status(), Status::NotFound),
        }
    }
    let opened = |page: &Value| {
        let sealed = bytes(page, "sealed_hex");
        let mut out = vec![0; sealed.len() - OVERHEAD];
        index.decrypt(&bytes(page, "aad_hex"), &sealed, &mut out).map(|_| out)
    };
    assert_eq!(array(&case, "pages").len(), 2);
    for page in array(&case, "pages") {
        assert_eq!(opened(page).unwrap(), bytes(page, "plaintext_hex"));
    }
    assert_eq!(opened(&case["retired_page"]).unwrap_err().status(), Status::Corrupt);
    let mut derived = vec![0; 32];
    index.derive_key("label", b"context", &mut derived).unwrap();
    assert_eq!(derived, bytes(&case, "derived_hex"));
}
