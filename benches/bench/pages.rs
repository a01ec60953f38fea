//! Sealing and opening pages, against raw AES-256-GCM of aws-lc-rs with its key prepared.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::c_api::{Engine, Index, text};
use crate::measure::{scaling, side_by_side};
use crate::report::{Asked, Report};

/// What a database binds a page to: its file and number.
const AAD: [u8; 16] = *b"file 17 page 042";

/// The page sizes, their names, and how many times the limit each may take: 0.95 of its rate for the large.
const SIZES: [(usize, &str, f64); 4] = [
    (64, "64 B", 3.0),
    (4096, "4 KiB", 1.15),
    (16 << 10, "16 KiB", 1.0 / 0.95),
    (1 << 20, "1 MiB", 1.0 / 0.95),
];

/// Raw AES-256-GCM: the key is reused, the nonce counts.
struct Raw {
    key: LessSafeKey,
    count: u64,
}

impl Raw {
    fn new() -> Raw {
        let key = UnboundKey::new(&AES_256_GCM, &[3; 32]).expect("32 bytes are a key");
        Raw { key: LessSafeKey::new(key), count: 0 }
    }

    fn nonce(count: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&count.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, page: &mut [u8]) -> [u8; 16] {
        self.count += 1;
        let tag = self.key.seal_in_place_separate_tag(Self::nonce(self.count), Aad::from(AAD), page);
        tag.expect("it is short enough").as_ref().try_into().expect("16 bytes")
    }

    fn open(&self, page: &[u8], tag: &[u8; 16], out: &mut [u8]) {
        let nonce = Self::nonce(self.count);
        self.key.open_separate_gather(nonce, Aad::from(AAD), page, tag, out).expect("it is authentic");
    }
}

/// A page sealed by the limit and by ours, and room for what opening gives.
struct Page {
    raw: Raw,
    raw_page: Vec<u8>,
    raw_tag: [u8; 16],
    sealed: Vec<u8>,
    raw_out: Vec<u8>,
    out: Vec<u8>,
}

impl Page {
    fn new(size: usize, index: &Index) -> Page {
        let (mut raw, mut raw_page, mut sealed) = (Raw::new(), vec![0x5a; size], vec![0x5a; size + 48]);
        let raw_tag = raw.seal(&mut raw_page);
        index.encrypt_in_place(&AAD, &mut sealed);
        Page { raw, raw_page, raw_tag, sealed, raw_out: vec![0; size], out: vec![0; size] }
    }
}

pub fn run(report: &mut Report) {
    let key = tempfile::tempdir().expect("a temporary folder");
    let engine = Engine::open(&format!(
        "{{kms: {{registry: {{dev: {{provider: local, key_id: {}, create: true}}}}}}}}",
        key.path().join("dev.key").display()
    ));
    let index = engine.create_index(&text("pages"), &text("dev"));
    for (size, name, most) in SIZES {
        let mut page = Page::new(size, &index);
        let (raw, raw_page, sealed) = (&mut page.raw, &mut page.raw_page, &mut page.sealed);
        let pair = side_by_side(
            || _ = black_box(raw.seal(raw_page)),
            || index.encrypt_in_place(&AAD, black_box(&mut *sealed)),
        );
        report.time(&format!("seal {name}"), pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(most));

        let mut page = Page::new(size, &index);
        let (raw_out, out) = (&mut page.raw_out, &mut page.out);
        let pair = side_by_side(
            || page.raw.open(&page.raw_page, &page.raw_tag, black_box(&mut *raw_out)),
            || index.decrypt(&AAD, &page.sealed, black_box(&mut *out)),
        );
        report.time(&format!("open {name}"), pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(most));
    }
    detached(report, &index);
    two_threads(report, &index);
}

/// The calls for aligned pages.
fn detached(report: &mut Report, index: &Index) {
    let mut page = Page::new(4096, index);
    let (raw, raw_page, ours, mut overhead) = (&mut page.raw, &mut page.raw_page, &mut page.out, [0; 48]);
    let pair = side_by_side(
        || _ = black_box(raw.seal(raw_page)),
        || index.encrypt_detached(&AAD, black_box(&mut *ours), &mut overhead),
    );
    report.time("seal 4 KiB, detached", pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(1.15));

    let mut page = Page::new(4096, index);
    let (mut ciphertext, mut overhead) = (vec![0x5a; 4096], [0; 48]);
    index.encrypt_detached(&AAD, &mut ciphertext, &mut overhead);
    let (raw_out, out) = (&mut page.raw_out, &mut page.out);
    let pair = side_by_side(
        || page.raw.open(&page.raw_page, &page.raw_tag, black_box(&mut *raw_out)),
        || index.decrypt_detached(&AAD, &ciphertext, &overhead, black_box(&mut *out)),
    );
    report.time("open 4 KiB, detached", pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(1.15));
}

/// What one thread does must not slow the other: each has its own page, both the same index.
fn two_threads(report: &mut Report, index: &Index) {
    for (size, name, _) in SIZES {
        let (limit, ours) = scaling(
            |_| {
                let mut page = Page::new(size, index);
                move || _ = black_box(page.raw.seal(&mut page.raw_page))
            },
            |_| {
                let mut page = Page::new(size, index);
                move || index.encrypt_in_place(&AAD, &mut page.sealed)
            },
        );
        report.scaling(&format!("seal {name}, two threads"), limit, ours, 1.9);
        let (limit, ours) = scaling(
            |_| {
                let mut page = Page::new(size, index);
                move || page.raw.open(&page.raw_page, &page.raw_tag, &mut page.raw_out)
            },
            |_| {
                let mut page = Page::new(size, index);
                move || index.decrypt(&AAD, &page.sealed, &mut page.out)
            },
        );
        report.scaling(&format!("open {name}, two threads"), limit, ours, 1.9);
    }
}
