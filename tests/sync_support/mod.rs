//! What the tests of sync share: reports looked at, slots that change.
#![allow(dead_code)] // Each test uses a part.

use cyborg_kms::blob::Record;
use cyborg_kms::engine::{Engine, SyncOptions};
use cyborg_kms::index::Index;
use serde_json::Value;

use crate::engine_support::{Bench, yaml};

pub const DAY: u64 = 24 * 3600 * 1000;
/// As fast as it goes.
pub const FAST: SyncOptions = SyncOptions { dry_run: false, concurrency: 0, requests_per_second: 1_000_000 };
pub const DRY: SyncOptions = SyncOptions { dry_run: true, ..FAST };
/// Slots besides those of the bench.
pub const OTHER: &str = "    other: {provider: 'external:test', key_id: k2, max_retries: 0}\n";

pub fn record(bench: &Bench, name: &str) -> Record {
    Record::decode(&bench.store.bytes(name)).unwrap()
}

pub fn set(bench: &Bench, name: &str, change: impl FnOnce(&mut Record)) {
    let mut record = record(bench, name);
    change(&mut record);
    bench.store.set_bytes(name, &record.encode().unwrap());
}

#[track_caller]
pub fn sync_with(engine: &Engine, options: &SyncOptions) -> Value {
    serde_json::from_str(&engine.sync(options, |_, _, _, _| true).unwrap()).unwrap()
}

#[track_caller]
pub fn sync(engine: &Engine) -> Value {
    sync_with(engine, &FAST)
}

/// That these counts are as given, and all others 0.
#[track_caller]
pub fn assert_counts(report: &Value, expected: Value) {
    let counts: serde_json::Map<String, Value> = report
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, count)| count.as_u64().is_some_and(|count| count != 0) && *name != "total")
        .map(|(name, count)| (name.clone(), count.clone()))
        .collect();
    assert_eq!(Value::Object(counts), expected, "{report:#}");
}

/// Names and statuses of the failures.
pub fn failures(report: &Value) -> Vec<(&str, &str)> {
    let failures = report["failures"].as_array().unwrap().iter();
    failures
        .map(|failure| (failure["index"].as_str().unwrap(), failure["status"].as_str().unwrap()))
        .collect()
}

pub fn with_prod(extra: &str) -> String {
    yaml(OTHER).replace("prod: {", &format!("prod: {{{extra}, "))
}

/// Slot `prod` by another key, the former still named.
pub fn moved() -> String {
    yaml(OTHER).replace(
        "key_id: k1, max_retries: 0, request",
        "key_id: k9, former_key_ids: [k1], max_retries: 0, request",
    )
}

pub fn create(bench: &Bench, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("i{number:03}")).collect();
    names.iter().for_each(|name| bench.cold(name));
    names
}

pub fn derived(index: &Index) -> Vec<u8> {
    let mut out = vec![0; 32];
    index.derive_key("label", b"context", &mut out).unwrap();
    out
}
