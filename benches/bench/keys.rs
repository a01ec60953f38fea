//! Wrapping and unwrapping a KEK by the `local` provider, against aes-gcm with a fresh key.

use std::hint::black_box;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};

use crate::c_api::{Engine, text};
use crate::measure::side_by_side;
use crate::report::{Asked, Report};

/// One wrap and one unwrap, a key schedule and a random nonce each, as `engine_check` does it.
fn round_trip(key: &[u8; 32]) {
    let mut nonce = [0; 12];
    let mut kek = [0; 32];
    getrandom::fill(&mut nonce).expect("random bytes");
    getrandom::fill(&mut kek).expect("random bytes");
    let nonce = Nonce::from(nonce);
    let wrap = Aes256Gcm::new(black_box(key).into());
    let tag = wrap.encrypt_inout_detached(&nonce, b"", kek.as_mut_slice().into()).expect("it is short");
    let unwrap = Aes256Gcm::new(black_box(key).into());
    unwrap.decrypt_inout_detached(&nonce, b"", kek.as_mut_slice().into(), &tag).expect("it is authentic");
    black_box(kek);
}

pub fn run(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = Engine::open(&format!(
        "{{kms: {{registry: {{dev: {{provider: local, key_id: {}, create: true}}}}}}}}",
        folder.path().join("dev.key").display()
    ));
    let slot = text("dev");
    engine.check(&slot); // the first one makes and reads the key file
    let key = [9; 32];
    let pair = side_by_side(|| round_trip(&key), || engine.check(&slot));
    // A check is a wrap and an unwrap: 1 microsecond each.
    let work = "wrap and unwrap by `local` (engine_check)";
    report.time(work, pair.limit, pair.ours, pair.ratio, Asked::Nanoseconds(2000.0));
}
