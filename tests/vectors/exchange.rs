//! What Rust writes for the other languages, and Rust as the reader of what they write. `languages.json` says what:
//! each index with its KEK, slot, pages, and labels; every language makes it in a folder, with `wrap.key` and
//! `engine.yaml` of `v1` beside the records, and says in `expected.json`, in the form of `v1`, what came out.
//!
//! ```text
//! cargo run --example exchange -- write DIR    # an empty folder
//! cargo run --example exchange -- read DIR     # fails unless everything in it opens
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use cyborg_kms::crypto::page::{Buffers, OVERHEAD};
use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::index::{Index, Input};
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The "KMS" of the vectors flips bits.
struct Flip;

impl ExternalCallbacks for Flip {
    fn wrap(&self, _: &str, _: &[u8], plaintext: &[u8], reply: Reply) {
        reply.bytes(&plaintext.iter().map(|byte| byte ^ 0x5a).collect::<Vec<_>>(), 0);
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.wrap(key_id, aad, wrapped, reply);
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", folder] => write(Path::new(folder)),
        ["read", folder] => read(Path::new(folder)),
        _ => Err("say: exchange write DIR, or exchange read DIR".into()),
    }
}

/// The records name their key file by the folder that the process is in.
fn engine(folder: &Path) -> Outcome<Engine> {
    let folder = folder.canonicalize()?;
    std::env::set_current_dir(&folder)?;
    let slots = fs::read_to_string("engine.yaml")?;
    let engine = Engine::open_yaml(&format!("storage: {{url: {}}}\n{slots}", folder.display()))?;
    engine.register_provider("flip", Arc::new(Flip))?;
    Ok(engine)
}

fn write(folder: &Path) -> Outcome<()> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    for file in ["wrap.key", "engine.yaml"] {
        fs::copy(vectors.join("v1").join(file), folder.join(file))?;
    }
    fs::set_permissions(folder.join("wrap.key"), fs::Permissions::from_mode(0o600))?;
    let mut cases: Vec<Value> = serde_json::from_slice(&fs::read(vectors.join("languages.json"))?)?;
    let engine = engine(folder)?;
    for case in &mut cases {
        let kek = bytes(case, "kek_hex")?;
        let index = engine.create_with_key(text(case, "index_name")?, text(case, "kms_name")?, &kek)?;
        if index.data_key_id() != 0 {
            fill(&index, case)?; // else CyborgDB's kind: a KEK alone
        }
    }
    fs::write("expected.json", serde_json::to_string_pretty(&cases)? + "\n")?;
    println!("wrote {} indexes", cases.len());
    Ok(())
}

/// Adds what the index gives to what was asked of it.
fn fill(index: &Index, case: &mut Value) -> Outcome<()> {
    for page in case["pages"].as_array_mut().ok_or("no pages")? {
        let plaintext = bytes(page, "plaintext_hex")?;
        let mut sealed = vec![0; plaintext.len() + OVERHEAD];
        index.encrypt(&bytes(page, "aad_hex")?, &Input::Separate(&plaintext), &mut sealed)?;
        page["sealed_hex"] = hex(&sealed);
    }
    let page = &mut case["detached"];
    let input = bytes(page, "plaintext_hex")?;
    let (mut overhead, mut output) = ([0; OVERHEAD], vec![0; input.len()]);
    let buffers = Buffers::Separate { input: &input, output: &mut output };
    index.encrypt_detached(&bytes(page, "aad_hex")?, buffers, &mut overhead)?;
    page["overhead_hex"] = hex(&overhead);
    page["ciphertext_hex"] = hex(&output);
    let (key, wrapped) = index.generate_data_key()?;
    case["data_key"] = json!({"key_hex": hex(key.expose()), "wrapped_hex": hex(&wrapped)});
    for derived in case["derived"].as_array_mut().ok_or("no labels")? {
        let mut key = vec![0; derived["len"].as_u64().ok_or("no length")? as usize];
        index.derive_key(text(derived, "label")?, &bytes(derived, "context_hex")?, &mut key)?;
        derived["key_hex"] = hex(&key);
    }
    Ok(())
}

fn read(folder: &Path) -> Outcome<()> {
    let engine = engine(folder)?;
    let cases: Vec<Value> = serde_json::from_slice(&fs::read("expected.json")?)?;
    let mut pages = 0;
    for case in &cases {
        let (name, kek) = (text(case, "index_name")?, bytes(case, "kek_hex")?);
        let kek_given = text(case, "kms_name")?.is_empty().then_some(&kek[..]);
        let index =
            engine.open_index_with(name, &OpenOptions { kek: kek_given, ..OpenOptions::default() })?;
        same(&index.export_kek(0)?.expose()[..], &kek, name)?;
        if case["pages"].is_array() {
            pages += opened(&index, case).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    if cases.is_empty() || pages == 0 {
        return Err(format!("{} indexes and {pages} pages are no test", cases.len()).into());
    }
    println!("read {} indexes, {pages} pages", cases.len());
    Ok(())
}

/// Opens everything that a case holds; the number of pages.
fn opened(index: &Index, case: &Value) -> Outcome<usize> {
    let pages = case["pages"].as_array().ok_or("no pages")?;
    for page in pages {
        let sealed = bytes(page, "sealed_hex")?;
        let mut out = vec![0; sealed.len() - OVERHEAD];
        index.decrypt(&bytes(page, "aad_hex")?, &sealed, &mut out)?;
        same(&out, &bytes(page, "plaintext_hex")?, "a page")?;
    }
    let page = &case["detached"];
    let (input, overhead) = (bytes(page, "ciphertext_hex")?, bytes(page, "overhead_hex")?);
    let mut output = vec![0; input.len()];
    let buffers = Buffers::Separate { input: &input, output: &mut output };
    index.decrypt_detached(&bytes(page, "aad_hex")?, buffers, overhead[..].try_into()?)?;
    same(&output, &bytes(page, "plaintext_hex")?, "the detached page")?;
    let key = index.unwrap_data_key(&bytes(&case["data_key"], "wrapped_hex")?)?;
    same(&key.expose()[..], &bytes(&case["data_key"], "key_hex")?, "the data key")?;
    for derived in case["derived"].as_array().ok_or("no labels")? {
        let expected = bytes(derived, "key_hex")?;
        let mut key = vec![0; expected.len()];
        index.derive_key(text(derived, "label")?, &bytes(derived, "context_hex")?, &mut key)?;
        same(&key, &expected, "a derived key")?;
    }
    Ok(pages.len())
}

fn same(got: &[u8], expected: &[u8], what: &str) -> Outcome<()> {
    if got == expected { Ok(()) } else { Err(format!("{what} is another than expected.json says").into()) }
}

fn hex(bytes: &[u8]) -> Value {
    json!(base16ct::lower::encode_string(bytes))
}

fn bytes(value: &Value, key: &str) -> Outcome<Vec<u8>> {
    Ok(base16ct::mixed::decode_vec(text(value, key)?)?)
}

fn text<'a>(value: &'a Value, key: &str) -> Outcome<&'a str> {
    value[key].as_str().ok_or_else(|| format!("there is no {key} in {value}").into())
}
