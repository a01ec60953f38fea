//! Made `tests/vectors/v1/_catalog/config/retired.kms.cat` and `retired.json`, once: a record of which a data key and two
//! former KEKs were retired, rotated by the library itself.
//!
//! ```text
//! cargo run --example make_retired_vector
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cyborg_kms::clock::{Clock, SECOND};
use cyborg_kms::crypto::page::OVERHEAD;
use cyborg_kms::engine::{Engine, Rotation};
use cyborg_kms::error::Error;
use cyborg_kms::index::{Index, Input};
use cyborg_kms::store;
use serde_json::{Value, json};

/// Of the key file of `v1`.
const WRAP_KEY: [u8; 32] = *b"the wrap key of the vectors (32)";

/// A data key is retired an hour after its rotation.
#[derive(Debug)]
struct Later(AtomicU64);

impl Clock for Later {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn tick(&self) -> u64 {
        self.now()
    }

    fn unix_seconds(&self) -> i64 {
        1_763_760_000 + (self.now() / SECOND) as i64
    }
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn page(index: &Index, plaintext: &[u8]) -> Result<Value, Error> {
    let mut sealed = vec![0; plaintext.len() + OVERHEAD];
    index.encrypt(b"aad", &Input::Separate(plaintext), &mut sealed)?;
    Ok(json!({"aad_hex": hex(b"aad"), "plaintext_hex": hex(plaintext), "sealed_hex": hex(&sealed)}))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1");
    let file = "_catalog/config/retired.kms.cat";
    if root.join(file).exists() {
        return Err("the vector exists: vectors are added, never made again".into());
    }
    std::env::set_current_dir(&root)?;
    // As git keeps it, others can read it.
    fs::set_permissions("wrap.key", fs::Permissions::from_mode(0o600))?;
    let clock = Arc::new(Later(AtomicU64::new(SECOND)));
    let store = store::open(root.to_str().ok_or("the path is not UTF-8")?)?;
    let engine = Engine::open_yaml_with_store(&fs::read_to_string("engine.yaml")?, store, clock.clone())?;
    let index = engine.create("retired", "local")?;
    let kek = |version: u32| index.export_kek(version).map(|kek| hex(kek.expose()));
    let mut derived = [0; 32];
    index.derive_key("label", b"context", &mut derived)?;
    let gone = page(&index, b"of the data key that was retired")?;
    engine.rotate("retired", Rotation::Kek, None)?; // version 2
    engine.rotate("retired", Rotation::DataKey, None)?;
    let former = page(&index, b"of a former data key")?;
    engine.rotate("retired", Rotation::Rewrap, None)?; // version 3
    engine.rotate("retired", Rotation::Kek, None)?; // version 4
    engine.rotate("retired", Rotation::DataKey, None)?;
    engine.rotate("retired", Rotation::Kek, None)?; // version 5
    let current = page(&index, b"of the current data key")?;
    clock.0.fetch_add(7200 * SECOND, Ordering::Relaxed);
    engine.retire_data_key("retired", 1)?;
    engine.retire_kek("retired", 1)?;
    engine.retire_kek("retired", 4)?;
    let case = json!({
        "index_name": "retired",
        "file": file,
        "wrap_key_hex": hex(&WRAP_KEY),
        "kek_hex": kek(0)?,
        "keks_hex": [null, kek(2)?, kek(3)?, null, kek(5)?],
        "data_keys": [0, 2, 3],
        "pages": [former, current],
        "retired_page": gone,
        "derived_hex": hex(&derived),
    });
    fs::write("retired.json", serde_json::to_string_pretty(&case)? + "\n")?;
    fs::remove_dir_all("_catalog/.cyborg_kms")?;
    println!("made {}", root.join(file).display());
    Ok(())
}
