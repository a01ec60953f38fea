//! A sync of 100,000 indexes stays within its memory. A program of its own: the peak is the process's.

mod engine_support;
mod sync_support;

use cyborg_kms::call::Call;
use cyborg_kms::name::IndexName;
use cyborg_kms::store::{Expected, Store};
use engine_support::Bench;
use serde_json::json;
use sync_support::{OTHER, assert_counts, create, moved, set, sync};

const INDEXES: usize = 100_000;
/// Of these so many drifted, so many fail.
const DRIFTED: usize = 1_000;
const GONE: usize = 20_000;
/// What a sync may take beyond what was there before, in KiB.
const MOST: u64 = 64 << 10;

/// The process's memory now and its peak, in KiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[test]
fn a_hundred_thousand_indexes_need_little() {
    let bench = Bench::new(OTHER);
    create(&bench, DRIFTED);
    // In order: no KMS is asked for them, so that one record may do for all.
    bench.engine.reload(Some(&moved())).unwrap();
    let put = |name: String, bytes: &[u8]| {
        bench.store.put(&Call::unbounded(), &IndexName::new(&name).unwrap(), bytes, Expected::Any).unwrap();
    };
    bench.cold("in order");
    let bytes = bench.store.bytes("in order");
    (DRIFTED + GONE + 1..INDEXES).for_each(|number| put(format!("in order {number}"), &bytes));
    set(&bench, "in order", |record| record.wrap.kms_name = "gone".to_owned());
    let bytes = bench.store.bytes("in order");
    (0..GONE).for_each(|number| put(format!("no slot {number}"), &bytes));

    // From here on the peak counts anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory().0;
    let (fine, gone) = (INDEXES - DRIFTED - GONE - 1, GONE + 1);
    let done = json!({
        "checked": INDEXES, "in_order": fine, "rewrapped": DRIFTED, "failed": gone, "failures_left_out": gone - 1000
    });
    assert_counts(&sync(&bench.engine), done);
    let growth = memory().1.saturating_sub(before);
    println!("{INDEXES} indexes: {growth} KiB more than the {before} KiB of before");
    assert!(growth < MOST, "{growth} KiB");
}
