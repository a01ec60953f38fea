//! `make bench`: each figure of `docs/benchmarks.md` beside the limit that it is held against, measured in
//! the same run and by turns, since the machine is shared and its speed changes by the minute.
//!
//! `cargo bench --bench bench -- pages disk` runs those groups only: pages, opens, keys, disk, disk-full, sync, cloud.

mod c_api;
mod canned;
mod cloud;
mod disk;
mod keys;
mod measure;
mod opens;
mod pages;
mod report;
mod sync;

use std::process::ExitCode;

/// What a group does: it measures, and prints its rows.
type Group = fn(&mut report::Report);

const GROUPS: [(&str, Group); 7] = [
    ("pages", pages::run),
    ("opens", opens::run),
    ("keys", keys::run),
    ("disk", disk::run_with_one_record),
    ("disk-full", disk::run_with_many_records),
    ("sync", sync::run),
    ("cloud", cloud::run),
];

fn main() -> ExitCode {
    // Cargo passes `--bench`; what has no dash names a group.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if wanted.iter().any(|word| word == canned::WORD) {
        canned::serve();
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = wanted.iter().find(|word| !GROUPS.iter().any(|(name, _)| name == word)) {
        eprintln!("bench: no group \"{unknown}\"; there are: {}", GROUPS.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    let mut report = report::Report::start();
    for (name, run) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            run(&mut report);
        }
    }
    report.finish();
    ExitCode::SUCCESS
}
