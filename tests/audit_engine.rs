//! What an engine tells its audit log: which operations, in which words, and what happens when it can't be told.

mod audit_support;
mod engine_support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use audit_support::Log;
use cyborg_kms::audit::{Event, Setup, Sink, Trail};
use cyborg_kms::call::Call;
use cyborg_kms::crypto::secret::Arena;
use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::Status;
use cyborg_kms::registry::{AuditSettings, Config};
use cyborg_kms::store::Store;
use engine_support::{Behaviour, Bench, Provider, TestStore, open, seal, status, until, yaml};
use serde_json::Value;

/// An engine with an audit log in a folder.
struct Audited {
    folder: tempfile::TempDir,
    log: Log,
    bench: Bench,
}

impl Audited {
    fn new(settings: &str) -> Audited {
        Audited::with(settings, "")
    }

    fn with(settings: &str, extra: &str) -> Audited {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path(), true);
        let bench = Bench::new(&format!("{}{extra}", section(folder.path(), settings)));
        Audited { folder, log, bench }
    }

    /// Each line's operation, phase, index and outcome, and that the log is right.
    fn lines(&self) -> Vec<String> {
        self.log.assert_right();
        self.log.text().lines().map(brief).collect()
    }

    fn last(&self) -> Value {
        serde_json::from_str(self.log.text().lines().last().unwrap()).unwrap()
    }
}

fn section(folder: &Path, settings: &str) -> String {
    let folder = folder.display();
    format!("audit: {{path: {folder}/audit.log, key_file: {folder}/audit.key, {settings}}}\n")
}

fn brief(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    let field = |name: &str| line[name].as_str().unwrap().to_owned();
    [field("operation"), field("phase"), field("index"), field("outcome")].join(" ").trim_end().to_owned()
}

/// The section `audit` of a configuration that has none.
fn registry_defaults() -> AuditSettings {
    Config::parse("{}", None, &|_| None).unwrap().audit
}

/// Collects what a callback hears.
fn listen(engine: &Engine) -> Arc<Mutex<Vec<String>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink: Sink = Box::new({
        let heard = Arc::clone(&heard);
        move |event| heard.lock().unwrap().push(event.to_owned())
    });
    engine.set_audit_sink(Some(sink));
    heard
}

#[test]
fn a_creation_has_an_intent_and_an_outcome_with_all_that_is_known() {
    let audited = Audited::new("principal: ops");
    audited.bench.engine.create("a", "prod").unwrap();
    assert_eq!(audited.lines(), ["create intent a", "create outcome a OK"]);
    let lines: Vec<Value> =
        audited.log.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (field, intent, outcome) in [
        ("seq", Value::from(1), Value::from(2)),
        ("time", "2023-11-14T22:30:00Z".into(), "2023-11-14T22:30:00Z".into()),
        ("slot", "prod".into(), "prod".into()),
        ("provider", "external:test".into(), "external:test".into()),
        ("key_id", "k1".into(), "k1".into()),
        ("version", 0.into(), 1.into()),
        ("epoch", 0.into(), 1.into()),
        ("intent", Value::Null, 1.into()),
        ("outcome_unknown", Value::Null, Value::Null),
        ("provider_code", "".into(), "".into()),
        ("request_id", "".into(), "".into()),
        ("principal", "ops".into(), "ops".into()),
        ("torn", Value::Null, Value::Null),
    ] {
        assert_eq!((&lines[0][field], &lines[1][field]), (&intent, &outcome), "{field}");
    }
    assert_eq!(lines[0]["prev"], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    // With a key of the caller's, and by a slot that asks nobody.
    audited.bench.engine.create_with_key("b", "", &[1; 32]).unwrap();
    audited.bench.engine.create_with_key("c", "bring", &[1; 32]).unwrap();
    assert_eq!(audited.log.all("provider")[2..], ["", "none", "none", "none"]);
    assert_eq!(audited.log.all("slot")[2..], ["", "", "bring", "bring"]);
    assert!(!audited.log.text().contains(&"AQEBAQEB".to_owned()), "a key is in the log");
}

#[test]
fn a_creation_that_fails_says_how() {
    let audited = Audited::new("");
    audited.bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    assert_eq!(status(audited.bench.engine.create("a", "prod")), Status::AccessDenied);
    assert_eq!(audited.lines(), ["create intent a", "create outcome a ACCESS_DENIED"]);
    assert_eq!(
        (&audited.last()["provider_code"], &audited.last()["request_id"]),
        (&"TestCode".into(), &"r1".into())
    );
    // A lost answer: it may be there.
    audited.bench.provider.set(Behaviour::Work);
    for _ in 0..40 {
        audited.bench.store.lose(engine_support::Lost::NotApplied);
    }
    let error = audited.bench.engine.create("b", "prod").unwrap_err();
    let last = audited.last();
    assert_eq!(last["outcome"], error.status().to_string());
    assert_eq!(last["outcome_unknown"] == Value::Bool(true), error.is_outcome_unknown());
    // What is refused before anything begins is no operation: the host asks by it whether an index is new.
    let before = audited.lines().len();
    let audited_engine = &audited.bench.engine;
    assert_eq!(status(audited_engine.create("x", "no such slot")), Status::Config);
    assert_eq!(status(audited_engine.create("x", "bring")), Status::InvalidArgument);
    let audited_two = Audited::new("");
    audited_two.bench.engine.create("a", "prod").unwrap();
    assert_eq!(status(audited_two.bench.engine.create("a", "prod")), Status::AlreadyExists);
    assert_eq!((audited.lines().len(), audited_two.lines().len()), (before, 2));
}

#[test]
fn a_panic_has_an_outcome() {
    let audited = Audited::new("");
    audited.bench.engine.create("a", "prod").unwrap();
    audited.bench.store.panic_next();
    // The look whether there is one comes before the intent, the insert's behind it.
    let create = || audited.bench.engine.create("b", "prod");
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(create)).is_err());
    assert_eq!(audited.lines().len(), 2, "nothing had begun");
    let trail = audited.log.trail();
    let begun = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _intent = trail.begin(&Call::unbounded(), || audit_support::event("b")).unwrap();
        panic!("in the middle");
    }));
    assert!(begun.is_err());
    assert_eq!(audited.lines()[2..], ["open intent b", "open outcome b INTERNAL"]);
    assert_eq!(audited.last()["intent"], 3);
}

#[test]
fn openings_that_asked_the_kms_have_a_line_and_cached_ones_none() {
    let audited = Audited::new("");
    let engine = &audited.bench.engine;
    let index = engine.create("a", "prod").unwrap();
    for _ in 0..5 {
        engine.open_index("a").unwrap();
    }
    assert_eq!(audited.lines().len(), 2, "cached");
    engine.evict(None);
    // One load for all who wait is one line.
    audited.bench.provider.set(Behaviour::Hang);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| engine.open_index("a").unwrap())).collect();
        until("the others wait", || engine.stats().coalesced_waits >= 7);
        audited.bench.provider.release();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
    audited.bench.provider.set(Behaviour::Work);
    assert_eq!(audited.lines()[2..], ["open outcome a OK"]);
    assert_eq!((&audited.last()["key_id"], &audited.last()["epoch"]), (&"k1".into(), &1.into()));
    // Refreshes that go well are not told: each index has one a minute.
    index.refresh().unwrap();
    audited.bench.clock.advance(61_000);
    seal(&index, b"page").unwrap();
    assert_eq!(audited.lines().len(), 3);
    // A KMS that does not answer was asked, too.
    engine.evict(None);
    audited.bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    assert_eq!(status(engine.open_index("a")), Status::KmsUnavailable);
    assert_eq!(status(engine.open_index("a")), Status::KmsUnavailable, "remembered: not asked again");
    assert_eq!(audited.lines()[3..], ["open outcome a KMS_UNAVAILABLE"]);
}

#[test]
fn with_a_ttl_of_zero_each_opening_has_its_line() {
    let audited = Audited::with("", "cache: {ttl: 0}\n");
    audited.bench.engine.create("a", "prod").unwrap();
    (0..3).for_each(|_| drop(audited.bench.engine.open_index("a").unwrap()));
    assert_eq!(audited.lines()[2..], ["open outcome a OK"; 3]);
}

#[test]
fn refusals_have_a_line_whoever_refuses() {
    let audited = Audited::new("");
    let (engine, provider) = (&audited.bench.engine, &audited.bench.provider);
    let index = engine.create("a", "prod").unwrap();
    engine.create_with_key("n", "", &[1; 32]).unwrap();
    let before = audited.lines().len();
    // The KMS, at an opening.
    engine.evict(None);
    provider.set(Behaviour::Fail(Status::KeyDisabled));
    assert_eq!(status(engine.open_index("a")), Status::KeyDisabled);
    provider.set(Behaviour::Work);
    audited.bench.clock.advance(2_000);
    // The KMS, of an index in use: once, when it ends.
    engine.open_index("a").unwrap();
    provider.set(Behaviour::Fail(Status::AccessDenied));
    audited.bench.clock.advance(61_000);
    for _ in 0..4 {
        assert_eq!(status(seal(&index, b"page")), Status::AccessDenied);
        audited.bench.clock.advance(2_000);
    }
    provider.set(Behaviour::Work);
    // Capabilities, epochs, a wrong key: nobody was asked.
    let options = OpenOptions { min_epoch: 9, ..OpenOptions::default() };
    assert_eq!(status(engine.open_index_with("a", &options)), Status::RolledBack);
    let options = OpenOptions { kek: Some(&[2; 32]), ..OpenOptions::default() };
    assert_eq!(status(engine.open_index_with("n", &options)), Status::AuthenticationFailed);
    // A record that nobody can read.
    audited.bench.store.set_bytes("c", b"rubbish");
    assert_eq!(status(engine.open_index("c")), Status::Corrupt);
    // No refusals: there is none, a key for what needs none.
    assert_eq!(status(engine.open_index("none")), Status::NotFound);
    assert_eq!(status(engine.open_index("n")), Status::InvalidArgument);
    assert_eq!(
        audited.lines()[before..],
        [
            "open outcome a KEY_DISABLED",
            "open outcome a OK",
            "refresh outcome a ACCESS_DENIED",
            "open outcome a OK",
            "open outcome a OK",
            "open outcome a ROLLED_BACK",
            "open outcome n AUTHENTICATION_FAILED",
            "open outcome c CORRUPT",
        ]
    );
}

#[test]
fn a_capability_that_is_not_granted_is_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    let slots = "kms: {registry: {s: {provider: 'external:test', key_id: k, capabilities: [encrypt]}}}\n";
    let engine = Engine::open_yaml(&format!("{slots}{}", section(folder.path(), ""))).unwrap();
    engine.register_provider("test", Provider::new()).unwrap();
    engine.create("a", "s").unwrap();
    let options = OpenOptions { capabilities: cyborg_kms::registry::CAN_DECRYPT, ..OpenOptions::default() };
    assert_eq!(status(engine.open_index_with("a", &options)), Status::AccessDenied);
    let lines: Vec<String> = log.text().lines().map(brief).collect();
    assert_eq!(lines[2..], ["open outcome a ACCESS_DENIED"]);
}

/// Takes the log away: nothing can be written where a folder is.
fn break_log(audited: &Audited) {
    fs::rename(&audited.log.path, audited.folder.path().join("away")).unwrap();
    fs::create_dir(&audited.log.path).unwrap();
}

fn mend_log(audited: &Audited) {
    fs::remove_dir(&audited.log.path).unwrap();
    fs::rename(audited.folder.path().join("away"), &audited.log.path).unwrap();
}

#[test]
fn without_its_line_nothing_is_done() {
    let audited = Audited::new("");
    let engine = &audited.bench.engine;
    let index = engine.create("a", "prod").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    let heard = listen(engine);
    break_log(&audited);
    let (puts, wraps) = (
        audited.bench.store.puts.load(Ordering::SeqCst),
        audited.bench.provider.wraps.load(Ordering::SeqCst),
    );
    let error = engine.create("b", "prod").unwrap_err();
    assert_eq!(error.status(), Status::Storage);
    for word in ["nothing was done", "audit.log", "audit.on_error"] {
        assert!(error.message().contains(word), "{error}");
    }
    let after = (
        audited.bench.store.puts.load(Ordering::SeqCst),
        audited.bench.provider.wraps.load(Ordering::SeqCst),
    );
    assert_eq!(after, (puts, wraps), "neither store nor KMS was asked");
    // No key without a line.
    engine.evict(None);
    let error = engine.open_index("a").unwrap_err();
    assert_eq!(error.status(), Status::Storage);
    assert!(error.message().contains("nothing was done"), "{error}");
    // A refusal stays what it is.
    audited.bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    assert_eq!(status(engine.open_index("a")), Status::AccessDenied);
    audited.bench.provider.set(Behaviour::Work);
    let heard_lines: Vec<String> = heard.lock().unwrap().iter().map(|event| brief(event)).collect();
    assert_eq!(
        heard_lines,
        ["create outcome b STORAGE", "open outcome a OK", "open outcome a ACCESS_DENIED"],
        "the callback hears of it all the same"
    );
    assert_eq!(engine.stats().audit_failures, 3);
    assert!(engine.metrics().unwrap().contains("cyborg_kms_audit_failures_total 3\n"));
    mend_log(&audited);
    audited.bench.clock.advance(2_000);
    assert_eq!(open(&engine.open_index("a").unwrap(), &sealed).unwrap(), b"page");
    engine.create("b", "prod").unwrap();
    assert_eq!(audited.lines()[2..], ["open outcome a OK", "create intent b", "create outcome b OK"]);
}

#[test]
fn an_outcome_that_cannot_be_written_is_no_failure_of_what_was_done() {
    let audited = Audited::new("");
    let engine = &audited.bench.engine;
    engine.create("a", "prod").unwrap();
    audited.bench.provider.set(Behaviour::Hang);
    std::thread::scope(|scope| {
        let creating = scope.spawn(|| engine.create("b", "prod").map(drop));
        until("the KMS is asked", || audited.bench.provider.waiting.load(Ordering::SeqCst) == 1);
        break_log(&audited);
        audited.bench.provider.set(Behaviour::Work);
        audited.bench.provider.release();
        creating.join().unwrap().unwrap();
    });
    assert_eq!(engine.stats().audit_failures, 1);
    mend_log(&audited);
    assert_eq!(audited.lines()[2..], ["create intent b"], "an intent whose outcome is not known");
    engine.open_index("b").unwrap();
}

#[test]
fn with_on_error_log_it_goes_on() {
    let audited = Audited::new("on_error: log");
    let engine = &audited.bench.engine;
    let heard = listen(engine);
    engine.create("a", "prod").unwrap();
    break_log(&audited);
    engine.create("b", "prod").unwrap();
    engine.evict(None);
    engine.open_index("b").unwrap();
    assert_eq!(engine.stats().audit_failures, 3);
    mend_log(&audited);
    engine.create("c", "prod").unwrap();
    assert_eq!(audited.lines()[2..], ["create intent c", "create outcome c OK"]);
    let heard = heard.lock().unwrap();
    let briefs: Vec<String> = heard.iter().map(|event| brief(event)).collect();
    assert_eq!(briefs[2..5], ["create intent b", "create outcome b OK", "open outcome b OK"]);
    let numbered: Vec<bool> = heard.iter().map(|event| event.contains("\"seq\":")).collect();
    assert_eq!(numbered, [true, true, false, false, false, true, true], "the line, where there is one");
    let in_file: Vec<String> = audited.log.text().lines().map(str::to_owned).collect();
    assert_eq!(heard[5..], in_file[2..]);
}

#[test]
fn a_callback_alone_hears_the_events() {
    let bench = Bench::new("audit: {principal: me}\n");
    let heard = listen(&bench.engine);
    bench.cold("a");
    bench.engine.open_index("a").unwrap();
    bench.engine.set_audit_sink(None);
    bench.engine.create("b", "prod").unwrap();
    let heard = heard.lock().unwrap();
    let briefs: Vec<String> = heard.iter().map(|event| brief(event)).collect();
    assert_eq!(briefs, ["create intent a", "create outcome a OK", "open outcome a OK"]);
    for event in heard.iter() {
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(
            (&event["seq"], &event["prev"], &event["principal"]),
            (&Value::Null, &Value::Null, &"me".into())
        );
    }
}

#[test]
fn a_replaced_callback_has_no_thread_in_it() {
    let bench = Bench::new("");
    let (inside, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (bench, is_over) = (&bench, &is_over);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    drop(bench.engine.create(&format!("{thread} {number}"), "prod").unwrap());
                }
            });
        }
        for _ in 0..50 {
            let is_ended = Arc::new(AtomicBool::new(false));
            let sink: Sink = Box::new({
                let (inside, late, is_ended) =
                    (Arc::clone(&inside), Arc::clone(&late), Arc::clone(&is_ended));
                move |_| {
                    inside.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    late.fetch_or(is_ended.load(Ordering::SeqCst), Ordering::SeqCst);
                }
            });
            bench.engine.set_audit_sink(Some(sink));
            std::thread::sleep(std::time::Duration::from_millis(1));
            bench.engine.set_audit_sink(None);
            is_ended.store(true, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(inside.load(Ordering::SeqCst) > 0 && !late.load(Ordering::SeqCst));
}

#[test]
fn a_reload_changes_the_trail_or_nothing() {
    let audited = Audited::new("principal: one");
    let engine = &audited.bench.engine;
    engine.create("a", "prod").unwrap();
    let folder = audited.folder.path();
    // A key file that is missing: all stays.
    let wrong = format!(
        "audit: {{path: {0}/other.log, key_file: {0}/missing.key, principal: two}}\n",
        folder.display()
    );
    let error = engine.reload(Some(&yaml(&wrong))).unwrap_err();
    assert_eq!(error.status(), Status::Config);
    assert!(error.message().contains("audit.key_file") && error.message().contains("missing.key"), "{error}");
    engine.create("b", "prod").unwrap();
    assert_eq!(audited.last()["principal"], "one");
    engine.reload(Some(&yaml(&section(folder, "principal: two, max_size: 1KiB")))).unwrap();
    engine.create("c", "prod").unwrap();
    assert_eq!(audited.last()["principal"], "two");
    engine.reload(Some(&yaml(""))).unwrap();
    engine.create("d", "prod").unwrap();
    assert_eq!(audited.lines().len(), 6);
    assert!(!folder.join("other.log").exists());
    // An engine does not open with a key file that it can't read.
    let opened = Engine::open_yaml_with_store(
        &yaml(&wrong),
        TestStore::new() as Arc<dyn Store>,
        engine_support::ManualClock::new(),
    );
    assert_eq!(status(opened), Status::Config);
}

#[test]
fn a_trail_that_is_off_does_not_even_make_the_event() {
    let off = Setup::new(&registry_defaults(), &Arena::new(false)).unwrap();
    let trail = Trail::new(off, engine_support::ManualClock::new());
    let call = Call::unbounded();
    let none = || -> Event { panic!("an event is made for nobody") };
    trail.begin(&call, none).unwrap().end(&Ok(()));
    trail.done(&call, none, Ok(())).unwrap();
    trail.set_sink(Some(Box::new(|_| {})));
    assert!(trail.is_on());
    trail.set_sink(None);
    trail.done(&call, none, Ok(())).unwrap();
}

#[test]
fn a_record_with_huge_texts_does_not_break_the_log() {
    let audited = Audited::new("");
    let engine = &audited.bench.engine;
    engine.create("a", "prod").unwrap();
    let mut blob = engine.blob("a").unwrap();
    blob.key_id = "\u{1}ü".repeat(100_000);
    blob.kms_name = "prod".into();
    let store = engine.store();
    let name = cyborg_kms::name::IndexName::new("b").unwrap();
    cyborg_kms::blob::create(&*store, &Call::unbounded(), &name, 0, &blob).unwrap();
    assert_eq!(status(engine.open_index("b")), Status::Config);
    assert_eq!(audited.lines()[2..], ["open outcome b CONFIG"]);
    assert!(audited.last()["key_id"].as_str().unwrap().len() < 3000);
}
