//! Sync: the rate of requests that is reached against the one that is allowed, and the memory of 100,000 indexes.

use std::path::Path;
use std::time::Instant;

use crate::c_api::{Engine, text};
use crate::opens::slow_kms;
use crate::report::{Asked, Report};

/// A REWRAP is unwrap, wrap, and the proof.
const REQUESTS: u64 = 3;
/// Nine tenths of the rate.
const ASKED: Asked = Asked::TimesLimit(1.0 / 0.9);

pub fn run(report: &mut Report) {
    far(report);
    many(report);
}

/// Wraps every index anew; nanoseconds for a request, of the allowed rate and of ours.
fn rewrap(engine: &Engine, indexes: u64, rate: u32) -> (f64, f64) {
    let (calls, start) = (engine.kms_calls(), Instant::now());
    engine.sync(rate);
    let took = start.elapsed().as_nanos() as f64;
    let requests = engine.kms_calls() - calls;
    assert_eq!(requests, indexes * REQUESTS, "not every index was wrapped anew, once");
    (1e9 / f64::from(rate), took / requests as f64)
}

/// A KMS as far away as AWS's, at the rate of the default.
fn far(report: &mut Report) {
    const INDEXES: u64 = 200;
    const RATE: u32 = 100;
    let yaml = |key: &str| {
        format!(
            "{{kms: {{registry: {{far: {{provider: 'external:far', {key}, requests_per_second: {RATE}}}}}}}}}"
        )
    };
    let engine = Engine::open(&yaml("key_id: '1'"));
    engine.register("far", &slow_kms());
    for number in 0..INDEXES {
        drop(engine.create_index(&text(&format!("far {number}")), c"far"));
    }
    engine.reload(&yaml("key_id: '2', former_key_ids: ['1']"));
    let (limit, ours) = rewrap(&engine, INDEXES, RATE);
    report.time("sync: a request, 100 a second, 20 ms each", limit, ours, ours / limit, ASKED);
}

/// Each wrapped anew by `local`, so that the KMS takes no time.
fn many(report: &mut Report) {
    const INDEXES: u64 = 100_000;
    const RATE: u32 = 10_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().display();
    let yaml = |keys: &str| {
        format!(
            "{{cache: {{ttl: 0}}, kms: {{registry: {{dev: {{provider: local, create: true, {keys}}}}}}}}}"
        )
    };
    let engine = Engine::open(&yaml(&format!("key_id: {folder}/1.key")));
    for number in 0..INDEXES {
        drop(engine.create_index(&text(&format!("index {number}")), c"dev"));
    }
    engine.reload(&yaml(&format!("key_id: {folder}/2.key, former_key_ids: [{folder}/1.key]")));
    // From here on the peak counts anew.
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let before = kibibytes("VmRSS:");
    let (limit, ours) = rewrap(&engine, INDEXES, RATE);
    let growth = kibibytes("VmHWM:").saturating_sub(before);
    report.time("sync: a request, 10,000 a second, 100,000 indexes", limit, ours, ours / limit, ASKED);
    report.memory("sync: memory for 100,000 indexes", growth, 64 << 10);
}

/// A figure of this process.
fn kibibytes(name: &str) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).expect("Linux");
    let figure = status.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
    figure.trim().trim_end_matches(" kB").parse().expect("a number")
}
