//! Made `tests/vectors/v1`, `tests/vectors/v1-audit` and the seeds in `fuzz/corpus`, once:
//!
//! ```text
//! cargo run --example make_vectors
//! ```
//!
//! It refuses to write over what is there: what was once stored is read for ever, so files are added, for what is
//! new in the format, and never made again. The keys are fixed; nonces, data keys and write ids are random.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use cyborg_kms::audit;
use cyborg_kms::blob::{self, DataKeyEntry, FormerKek, Record};
use cyborg_kms::call::Call;
use cyborg_kms::crypto::derive::{SubKey, kek_check, sub_key};
use cyborg_kms::crypto::page::{Buffers, OVERHEAD};
use cyborg_kms::crypto::secret::Arena;
use cyborg_kms::crypto::wrap;
use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::Error;
use cyborg_kms::index::{Index, Input};
use cyborg_kms::name::IndexName;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;
use cyborg_kms::store::{Expected, Store};
use serde_json::{Value, json};

/// Of the key file.
const WRAP_KEY: [u8; 32] = *b"the wrap key of the vectors (32)";
/// Of the audit log.
const AUDIT_KEY: [u8; 32] = *b"the audit key of the vectors(32)";
/// The same in every process, wherever the vectors lie: a reader goes to the folder of the key file.
const KEY_FILE: &str = "/proc/self/cwd/wrap.key";

/// A "KMS" that flips bits.
struct Flip;

impl ExternalCallbacks for Flip {
    fn wrap(&self, _: &str, _: &[u8], plaintext: &[u8], reply: Reply) {
        reply.bytes(&plaintext.iter().map(|byte| byte ^ 0x5a).collect::<Vec<_>>(), 0);
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.wrap(key_id, aad, wrapped, reply);
    }
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn kek(number: u8) -> [u8; 32] {
    std::array::from_fn(|at| number.wrapping_mul(40).wrapping_add(at as u8))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let audit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1-audit");
    if !audit.exists() {
        return make_audit_log(&audit);
    }
    if root.exists() {
        return Err("tests/vectors/v1 exists: vectors are added, never made again".into());
    }
    fs::create_dir_all(&root)?;
    std::env::set_current_dir(&root)?;
    fs::write("wrap.key", Base64::encode_string(&WRAP_KEY) + "\n")?;
    fs::set_permissions("wrap.key", fs::Permissions::from_mode(0o600))?;
    fs::write(
        "engine.yaml",
        format!(
            "kms:\n  registry:\n    local: {{provider: local, key_id: {KEY_FILE}}}\n    \
             compatible: {{provider: local, key_id: {KEY_FILE}, cyborgdb_compatible: true}}\n    \
             flip: {{provider: \"external:flip\", key_id: any}}\n"
        ),
    )?;
    let yaml = format!("storage: {{url: {}}}\n{}", root.display(), fs::read_to_string("engine.yaml")?);
    let engine = Engine::open_yaml(&yaml)?;
    engine.register_provider("flip", Arc::new(Flip))?;

    let mut cases = Vec::new();
    for (number, (name, slot)) in [
        ("ours", "local"),
        ("compatible/ü", "compatible"),
        ("none", ""),
        ("flipped", "flip"),
        ("pushed", "local"),
    ]
    .into_iter()
    .enumerate()
    {
        let kek = kek(number as u8 + 1);
        let index = engine.create_with_key(name, slot, &kek)?;
        cases.push(case(name, slot, &kek, &index)?);
    }
    let arena = Arena::new(false);
    // A push that puts a wrong wrap over a record with data keys.
    let name = IndexName::new("pushed")?;
    let mut wrong = engine.blob("pushed")?;
    wrong.wrapped_kek = wrap::wrap(&WRAP_KEY, &wrap::kek_aad("pushed"), &[0xee; 32])?;
    wrong.version = 2;
    blob::push(&*engine.store(), &Call::unbounded(), &name, 1_763_760_000, &wrong)?;
    // An index with a second KEK and a second data key; its pages were sealed before.
    let index = engine.create_with_key("rotated", "local", &kek(6))?;
    let mut rotated = case("rotated", "local", &kek(6), &index)?;
    rotate(&arena, &*engine.store(), "rotated", &kek(6), &kek(7))?;
    rotated["kek_hex"] = json!(hex(&kek(7)));
    rotated["former_kek_hex"] = json!(hex(&kek(6)));
    let engine = Engine::open_yaml(&yaml)?;
    let index = engine.open_index("rotated")?;
    rotated["pages"].as_array_mut().expect("an array").push(page(&index, b"second key", b"after")?);
    cases.push(rotated);
    fs::write("expected.json", serde_json::to_string_pretty(&cases)? + "\n")?;
    seeds(&root, &corpus, &cases, &engine)?;
    fs::remove_dir_all("_catalog/.cyborg_kms")?;
    println!("made {} and {}", root.display(), corpus.display());
    Ok(())
}

/// An audit log of two files, with a refusal, and with half a line that was closed.
fn make_audit_log(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(root)?;
    std::env::set_current_dir(root)?;
    fs::write("audit.key", hex(&AUDIT_KEY) + "\n")?;
    fs::set_permissions("audit.key", fs::Permissions::from_mode(0o600))?;
    let yaml = "kms: {registry: {flip: {provider: \"external:flip\", key_id: 'any \u{fc}'}}}\ncache: {ttl: 0}\n\
                audit: {path: audit.log, key_file: audit.key, max_size: 2KiB, principal: 'the \"maker\"'}\n";
    let engine = Engine::open_yaml(yaml)?;
    engine.register_provider("flip", Arc::new(Flip))?;
    let index = engine.create("one", "flip")?;
    engine.create_with_key("two/\u{fc}", "", &kek(1))?;
    engine.open_index("one")?;
    let wrong = OpenOptions { kek: Some(&[9; 32]), ..OpenOptions::default() };
    let refused = engine.open_index_with("two/\u{fc}", &wrong);
    assert!(refused.is_err() && index.epoch() == 1);
    let half = fs::read("audit.log")?;
    fs::OpenOptions::new().append(true).open("audit.log")?.write_all(&half[..100])?;
    (0..6).try_for_each(|_| engine.open_index("one").map(drop))?;
    fs::remove_file("audit.log.lock")?;
    let head = audit::head(Path::new("audit.log"))?;
    let expected = json!({"key_hex": hex(&AUDIT_KEY), "head": {"seq": head.seq, "hash": head.hash}});
    fs::write("expected.json", serde_json::to_string_pretty(&expected)? + "\n")?;
    println!("made {}", root.display());
    Ok(())
}

/// What an index gives for fixed input.
fn case(name: &str, slot: &str, kek: &[u8], index: &Index) -> Result<Value, Box<dyn std::error::Error>> {
    let encoded = IndexName::new(name)?;
    let mut case = json!({
        "index_name": name,
        "kms_name": slot,
        "file": format!("_catalog/config/{}.kms.cat", encoded.encoded()),
        "kek_hex": hex(kek),
        "wrap_key_hex": hex(&WRAP_KEY),
    });
    if index.data_key_id() == 0 {
        return Ok(case); // CyborgDB's kind
    }
    let long: Vec<u8> = (0..5000u32).map(|at| (at * 7) as u8).collect();
    let pages =
        [(&b""[..], &b"page"[..]), (b"aad", b""), (b"aad", &long)].map(|(aad, text)| page(index, aad, text));
    case["pages"] = pages.into_iter().collect::<Result<Value, Error>>()?;
    let (mut overhead, mut output) = ([0; OVERHEAD], [0; 8]);
    let buffers = Buffers::Separate { input: b"detached", output: &mut output };
    index.encrypt_detached(b"aad", buffers, &mut overhead)?;
    case["detached"] = json!({
        "aad_hex": hex(b"aad"), "plaintext_hex": hex(b"detached"), "overhead_hex": hex(&overhead),
        "ciphertext_hex": hex(&output),
    });
    let (key, wrapped) = index.generate_data_key()?;
    case["data_key"] = json!({"key_hex": hex(key.expose()), "wrapped_hex": hex(&wrapped)});
    let mut derived = Vec::new();
    for (label, context, len) in [("tokens", &b"column 3"[..], 32), ("", b"", 1), ("ü", b"\0\xff", 100)] {
        let mut out = vec![0; len];
        index.derive_key(label, context, &mut out)?;
        derived.push(json!({"label": label, "context_hex": hex(context), "key_hex": hex(&out)}));
    }
    case["derived"] = json!(derived);
    Ok(case)
}

fn page(index: &Index, aad: &[u8], plaintext: &[u8]) -> Result<Value, Error> {
    let mut sealed = vec![0; plaintext.len() + OVERHEAD];
    index.encrypt(aad, &Input::Separate(plaintext), &mut sealed)?;
    Ok(json!({"aad_hex": hex(aad), "plaintext_hex": hex(plaintext), "sealed_hex": hex(&sealed)}))
}

/// What a rotation of the KEK and of the data key stores, by `docs/format.md`.
fn rotate(arena: &Arc<Arena>, store: &dyn Store, index: &str, old: &[u8], new: &[u8]) -> Result<(), Error> {
    let (name, call) = (IndexName::new(index)?, Call::unbounded());
    let stored = store.get(&call, &name)?.expect("it was created");
    let mut record = Record::decode(&stored.bytes)?;
    let (old, new) = (arena.key_from(old)?, arena.key_from(new)?);
    let (from, to) = (sub_key(arena, &old, SubKey::Wrap)?, sub_key(arena, &new, SubKey::Wrap)?);
    for entry in &mut record.data_keys {
        let aad = wrap::data_key_aad(entry.id, index);
        let key = wrap::unwrap_key(arena, from.expose(), &aad, &entry.wrapped)?;
        entry.wrapped = wrap::wrap(to.expose(), &aad, key.expose())?;
        entry.superseded_at = if entry.id == 1 { record.created_at + 60 } else { 0 };
    }
    let key = arena.random_key()?;
    let wrapped = wrap::wrap(to.expose(), &wrap::data_key_aad(2, index), key.expose())?;
    let created_at = record.created_at + 60;
    record.data_keys.push(DataKeyEntry { id: 2, wrapped, created_at, superseded_at: 0 });
    record.current_data_key = 2;
    let wrapped = wrap::wrap(to.expose(), &wrap::former_kek_aad(1, index), old.expose())?;
    record.former_keks.push(FormerKek { last_version: 1, wrapped });
    record.wrap.wrapped_kek = wrap::wrap(&WRAP_KEY, &wrap::kek_aad(index), new.expose())?;
    record.kek_check = Some(kek_check(arena, &new, index)?);
    record.envelope_version = 2;
    record.epoch = 2;
    record.authenticate(arena, &name, &new)?;
    store.put(&call, &name, &record.encode()?, Expected::Revision(&stored.revision))
}

/// Seeds of the fuzz targets; `fuzz/targets` says how each reads its input.
fn seeds(
    root: &Path,
    corpus: &Path,
    cases: &[Value],
    engine: &Engine,
) -> Result<(), Box<dyn std::error::Error>> {
    for target in ["record", "page", "config", "wrapped", "provider"] {
        fs::create_dir_all(corpus.join(target))?;
    }
    for (file, seed) in [("none", "none"), ("flipped", "flipped"), ("rotated", "ours")] {
        let record = root.join(format!("_catalog/config/{file}.kms.cat"));
        fs::copy(record, corpus.join("record").join(seed))?;
    }
    fs::copy(root.join("../cyborgdb-0.18/_catalog/config/my_index.kms.cat"), corpus.join("record/cyborgdb"))?;
    // Pages of the index "none": the AAD's length, the AAD, the sealed page.
    let none = cases.iter().find(|case| case["index_name"] == "none").expect("a case");
    for (number, page) in none["pages"].as_array().expect("pages").iter().enumerate() {
        let part = |key: &str| base16ct::mixed::decode_vec(page[key].as_str().unwrap_or_default());
        let (aad, sealed) = (part("aad_hex")?, part("sealed_hex")?);
        let seed = [&[aad.len() as u8][..], &aad, &sealed].concat();
        fs::write(corpus.join(format!("page/page-{number}")), seed)?;
    }
    let wrapped = none["data_key"]["wrapped_hex"].as_str().unwrap_or_default();
    let seed = [&[0][..], &base16ct::mixed::decode_vec(wrapped)?].concat();
    fs::write(corpus.join("page/data-key"), seed)?;
    fs::write(corpus.join("wrapped/unbound"), &engine.blob("compatible/ü")?.wrapped_kek)?;
    fs::write(corpus.join("wrapped/short"), [1; 59])?;
    for name in ["full.yaml", "example.yaml", "cyborgdb.yaml"] {
        fs::copy(root.join("../../data").join(name), corpus.join("config").join(name))?;
    }
    fs::copy(root.join("engine.yaml"), corpus.join("config/engine.yaml"))?;
    for (name, answers) in [
        ("good", &[0, 0, 0][..]),
        ("empty", &[1, 0]),
        ("refuses", &[0, 3, 9, 4, b'n', b'o', b'n', b'e']),
        ("wrong", &[2, 32]),
    ] {
        fs::write(corpus.join("provider").join(name), answers)?;
    }
    Ok(())
}
