//! Wrapping and unwrapping keys locally: by an index's data key, and by the `local` provider with its key file.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::Path;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};

use crate::c_api::{Engine, text};
use crate::measure::side_by_side;
use crate::report::{Asked, Report};

/// What has to be done at least: random bytes, a key schedule, AES-GCM.
fn wrap(key: &[u8; 32]) -> ([u8; 32], [u8; 12], [u8; 16]) {
    let (mut nonce, mut kek) = ([0; 12], [0; 32]);
    getrandom::fill(&mut nonce).expect("random bytes");
    getrandom::fill(&mut kek).expect("random bytes");
    let aes = Aes256Gcm::new(black_box(key).into());
    let tag = aes.encrypt_inout_detached(&Nonce::from(nonce), b"", kek.as_mut_slice().into());
    (kek, nonce, tag.expect("it is short").into())
}

fn unwrap(key: &[u8; 32], (mut kek, nonce, tag): ([u8; 32], [u8; 12], [u8; 16])) {
    let aes = Aes256Gcm::new(black_box(key).into());
    let opened = aes.decrypt_inout_detached(&Nonce::from(nonce), b"", kek.as_mut_slice().into(), &tag.into());
    opened.expect("it is authentic");
    black_box(kek);
}

/// The file of a wrapping key.
fn read(path: &Path) -> [u8; 32] {
    let mut content = [0; 128];
    let mut file = File::open(path).expect("the key file");
    let read = file.read(&mut content).expect("a readable file");
    content[..read].first_chunk().copied().expect("44 bytes")
}

pub fn run(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("dev.key");
    let engine = Engine::open(&format!(
        "{{kms: {{registry: {{dev: {{provider: local, key_id: {}, create: true}}}}}}}}",
        path.display()
    ));
    let slot = text("dev");
    let index = engine.create_index(&text("keys"), &slot);
    let key = [9; 32];

    let pair = side_by_side(|| _ = black_box(wrap(&key)), || _ = black_box(index.generate_data_key()));
    let asked = Asked::Nanoseconds(1000.0);
    report.time("generate and wrap a data key", pair.limit, pair.ours, pair.ratio, asked);

    let (raw, (_, wrapped)) = (wrap(&key), index.generate_data_key());
    let pair = side_by_side(|| unwrap(&key, raw), || _ = black_box(index.unwrap_data_key(&wrapped)));
    report.time("unwrap a data key", pair.limit, pair.ours, pair.ratio, asked);

    // The key file is read for each wrap and each unwrap, so that taking it away stops the index. With `create: true` a
    // wrap also syncs the file's folder, which is for development.
    let engine = Engine::open(&format!(
        "{{kms: {{registry: {{dev: {{provider: local, key_id: {}}}}}}}}}",
        path.display()
    ));
    let pair = side_by_side(
        || {
            let raw = wrap(&read(&path));
            unwrap(&read(&path), raw);
        },
        || engine.check(&slot),
    );
    let work = "wrap and unwrap by `local`, reading its file (engine_check)";
    report.time(work, pair.limit, pair.ours, pair.ratio, Asked::Nanoseconds(2000.0));
}
