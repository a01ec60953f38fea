//! What becomes of an index is in the audit log: an intent before, an outcome behind, and nothing without its line.

mod audit_support;
mod engine_support;

use audit_support::Log;
use cyborg_kms::engine::{Engine, Rotation};
use cyborg_kms::error::{Result, Status};
use engine_support::{Behaviour, Bench, status};
use serde_json::Value;

const QUIET: u64 = 2 * 3600 * 1000;

struct Audited {
    folder: tempfile::TempDir,
    log: Log,
    bench: Bench,
}

impl Audited {
    fn new() -> Audited {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path(), true);
        let at = folder.path().display();
        let audit = format!("audit: {{path: {at}/audit.log, key_file: {at}/audit.key}}\n");
        let bench = Bench::new(&audit);
        bench.engine.create("a", "prod").unwrap();
        Audited { folder, log, bench }
    }

    /// The lines behind the first `skipped`.
    fn lines(&self, skipped: usize) -> Vec<Value> {
        self.log.assert_right();
        self.log.text().lines().skip(skipped).map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

type Change = fn(&Engine) -> Result<()>;

/// Each change in an order in which each can be made, and what the log calls it.
const CHANGES: [(&str, Change); 11] = [
    ("rewrap", |engine| engine.rotate("a", Rotation::Rewrap, None)),
    ("rotate_kek", |engine| engine.rotate("a", Rotation::Kek, Some("prod"))),
    ("rotate_data_key", |engine| engine.rotate("a", Rotation::DataKey, None)),
    ("retire_kek", |engine| engine.retire_kek("a", 1)),
    ("retire_data_key", |engine| engine.retire_data_key("a", 1)),
    ("disable", |engine| engine.disable("a")),
    ("enable", |engine| engine.enable("a")),
    ("schedule_deletion", |engine| engine.schedule_deletion("a", 24)),
    ("cancel_deletion", |engine| engine.cancel_deletion("a")),
    ("delete", |engine| engine.delete("a").map(drop)),
    ("delete", |engine| engine.delete("a").map(drop)),
];

#[test]
fn each_change_has_an_intent_and_an_outcome() {
    let audited = Audited::new();
    let mut seen = audited.lines(0).len();
    for (number, (operation, change)) in CHANGES.into_iter().enumerate() {
        if operation == "retire_data_key" {
            audited.bench.clock.advance(QUIET);
        }
        let expected = if number == CHANGES.len() - 1 { Status::NotFound } else { Status::Ok };
        assert_eq!(status(change(&audited.bench.engine)), expected, "{operation}");
        let lines = audited.lines(seen);
        assert_eq!(lines.len(), 2, "{operation}: {lines:?}");
        seen += 2;
        for (line, phase, outcome) in
            [(&lines[0], "intent", String::new()), (&lines[1], "outcome", expected.to_string())]
        {
            assert_eq!(
                (&line["operation"], &line["phase"], &line["index"], &line["outcome"]),
                (&operation.into(), &phase.into(), &"a".into(), &outcome.into())
            );
        }
        if expected == Status::Ok {
            let epoch = 2 + number.min(4);
            assert_eq!(
                (&lines[1]["slot"], &lines[1]["key_id"]),
                (&"prod".into(), &"k1".into()),
                "{operation}"
            );
            assert_eq!(lines[1]["epoch"], Value::from(epoch), "{operation}");
        }
    }
}

#[test]
fn a_change_that_fails_says_how() {
    let audited = Audited::new();
    let seen = audited.lines(0).len();
    audited.bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    assert_eq!(status(audited.bench.engine.rotate("a", Rotation::Kek, None)), Status::AccessDenied);
    let outcome = &audited.lines(seen)[1];
    assert_eq!(
        (&outcome["outcome"], &outcome["provider_code"]),
        (&"ACCESS_DENIED".into(), &"TestCode".into())
    );
    assert_eq!((&outcome["slot"], &outcome["version"]), (&"prod".into(), &1.into()));
}

#[test]
fn without_its_line_no_change_is_made() {
    let audited = Audited::new();
    let before = audited.bench.store.bytes("a");
    let log = audited.folder.path().join("audit.log");
    let aside = audited.folder.path().join("aside");
    for (operation, change) in &CHANGES[..10] {
        // In the place of the file something that can't be written to.
        std::fs::rename(&log, &aside).unwrap();
        std::fs::create_dir(&log).unwrap();
        assert_eq!(status(change(&audited.bench.engine)), Status::Storage, "{operation}");
        assert_eq!(audited.bench.store.bytes("a"), before, "{operation}");
        std::fs::remove_dir(&log).unwrap();
        std::fs::rename(&aside, &log).unwrap();
    }
    audited.bench.engine.disable("a").unwrap();
}
