//! How a sync goes about it: how many at once, how fast, told to whom, ended by whom.

mod engine_support;
mod sync_support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cyborg_kms::blob::State;
use cyborg_kms::engine::{ScopeOptions, SyncOptions};
use cyborg_kms::error::Status;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;
use cyborg_kms::store::MemoryStore;
use engine_support::{Behaviour, Bench, Provider, TestStore, library_threads, status, until, yaml};
use serde_json::{Value, json};
use sync_support::{FAST, OTHER, assert_counts, create, moved, record, set, sync, sync_with, with_prod};

#[test]
fn stopped_and_run_again_it_does_each_index_once() {
    for concurrency in [1, 4] {
        let bench = Bench::new(OTHER);
        let names = create(&bench, 40);
        bench.engine.reload(Some(&moved())).unwrap();
        let options = SyncOptions { concurrency, ..FAST };
        let mut calls = 0;
        let report = bench.engine.sync(&options, |done, total, _, _| {
            calls += 1;
            assert_eq!((done, total), (calls, 40));
            calls < 3
        });
        let first: Value = serde_json::from_str(&report.unwrap()).unwrap();
        assert_eq!(calls, 3, "who has stopped hears no more");
        assert_eq!(first["stopped"], json!(true));
        let done = first["rewrapped"].as_u64().unwrap();
        // Those under way are done.
        assert!((3..=3 + 2 * u64::from(concurrency)).contains(&done), "{done}");
        let second = sync_with(&bench.engine, &options);
        assert_eq!(second["stopped"], json!(false));
        assert_counts(&second, json!({"checked": 40, "in_order": done, "rewrapped": 40 - done}));
        assert!(names.iter().all(|name| record(&bench, name).envelope_version == 2));
    }
}

#[test]
fn progress_is_told_on_the_calling_thread_of_each_index_once() {
    let bench = Bench::new("");
    let names = create(&bench, 50);
    let caller = std::thread::current().id();
    let (mut told, mut last) = (BTreeSet::new(), 0);
    let report = bench.engine.sync(&FAST, |done, total, name, status| {
        assert_eq!(std::thread::current().id(), caller);
        assert_eq!((done, total, status), (last + 1, 50, Status::Ok));
        last = done;
        assert!(told.insert(name.to_owned()));
        true
    });
    report.unwrap();
    assert_eq!(told, names.into_iter().collect());
    until("the threads of the sync ended", || {
        !library_threads().iter().any(|(name, _)| name == "cyborg-kms-sync")
    });
}

/// Lets so many in at once, and notes how many there were.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
    gathered: usize,
}

struct Counted(Arc<Provider>, Arc<Crowd>);

impl Counted {
    fn during(&self, work: impl FnOnce(&Provider)) {
        let now = self.1.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.1.most.fetch_max(now, Ordering::SeqCst);
        let end = Instant::now() + Duration::from_secs(20);
        while self.1.most.load(Ordering::SeqCst) < self.1.gathered && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        work(&self.0);
        self.1.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ExternalCallbacks for Counted {
    fn wrap(&self, key_id: &str, aad: &[u8], plaintext: &[u8], reply: Reply) {
        self.during(|provider| provider.wrap(key_id, aad, plaintext, reply));
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.during(|provider| provider.unwrap(key_id, aad, wrapped, reply));
    }
}

#[test]
fn so_many_indexes_are_worked_on_at_once_and_no_more() {
    for (concurrency, expected) in [(1, 1), (3, 3), (0, 8)] {
        let bench = Bench::new("");
        create(&bench, 40);
        let crowd = Arc::new(Crowd { gathered: expected, ..Crowd::default() });
        let counted = Counted(Arc::clone(&bench.provider), Arc::clone(&crowd));
        bench.engine.register_provider("counted", Arc::new(counted)).unwrap();
        let config =
            yaml("").replace("prod: {provider: 'external:test'", "prod: {provider: 'external:counted'");
        bench.engine.reload(Some(&config)).unwrap();
        let report = sync_with(&bench.engine, &SyncOptions { concurrency, ..FAST });
        assert_counts(&report, json!({"checked": 40, "rewrapped": 40}));
        // A callback is counted out after it has answered, so one that follows may be counted in before.
        let most = crowd.most.load(Ordering::SeqCst);
        assert!((expected..=2 * expected).contains(&most), "{most} at once, not {expected}");
    }
}

#[test]
fn requests_are_paced_over_all_threads_by_the_slot_or_the_call() {
    for (slot, option) in [(300, 0), (1_000_000, 300)] {
        let bench = Bench::new("");
        create(&bench, 40);
        let config = moved().replace("key_id: k9", &format!("requests_per_second: {slot}, key_id: k9"));
        bench.engine.reload(Some(&config)).unwrap();
        let calls = bench.engine.stats().kms_calls;
        let start = Instant::now();
        let report = sync_with(&bench.engine, &SyncOptions { requests_per_second: option, ..FAST });
        let took = start.elapsed();
        assert_counts(&report, json!({"checked": 40, "rewrapped": 40}));
        let requests = bench.engine.stats().kms_calls - calls;
        assert_eq!(requests, 120, "unwrap, wrap, unwrap for each");
        // Of a tenth of a second's requests it may be ahead; a slow machine only takes longer.
        assert!(took >= Duration::from_millis(299), "{requests} requests in {took:?} at 300 a second");
    }
}

#[test]
fn each_of_several_slots_has_its_own_pace() {
    let bench = Bench::new(OTHER);
    bench.engine.reload(Some(&with_prod("recipients: [other]"))).unwrap();
    create(&bench, 20);
    let config =
        with_prod("recipients: [other], fallback_after: 60s, rotate_kek_after: 1s, requests_per_second: 200")
            .replace("other: {", "other: {requests_per_second: 100, ");
    bench.engine.reload(Some(&config)).unwrap();
    bench.clock.advance(1000);
    let calls = bench.engine.stats().kms_calls;
    let start = Instant::now();
    let report = sync_with(&bench.engine, &SyncOptions { requests_per_second: 0, ..FAST });
    let took = start.elapsed();
    assert_counts(&report, json!({"checked": 20, "rotated_keks": 20}));
    // Three by the own slot, and two by the recipient, which is not asked for the KEK.
    assert_eq!(bench.engine.stats().kms_calls - calls, 100);
    assert!(took >= Duration::from_millis(290), "40 requests in {took:?} at 100 a second");
}

#[test]
fn retries_wait_for_their_turn_too() {
    let bench = Bench::new("");
    create(&bench, 1);
    let config =
        moved().replace("max_retries: 0, request", "requests_per_second: 20, max_retries: 8, request");
    bench.engine.reload(Some(&config)).unwrap();
    (0..6).for_each(|_| bench.provider.next(Behaviour::Fail(Status::KmsUnavailable)));
    let calls = bench.engine.stats().kms_calls;
    let start = Instant::now();
    let report = sync_with(&bench.engine, &SyncOptions { requests_per_second: 0, ..FAST });
    assert_counts(&report, json!({"checked": 1, "rewrapped": 1}));
    assert_eq!(bench.engine.stats().kms_calls - calls, 9);
    assert!(start.elapsed() >= Duration::from_millis(299));
}

#[test]
fn a_kms_that_throttles_is_asked_less_and_no_index_fails_for_it() {
    let bench = Bench::new("");
    create(&bench, 4);
    bench.engine.reload(Some(&moved())).unwrap();
    (0..4).for_each(|_| bench.provider.next(Behaviour::Fail(Status::Throttled)));
    let start = Instant::now();
    assert_counts(&sync(&bench.engine), json!({"checked": 4, "rewrapped": 4}));
    assert!(start.elapsed() >= Duration::from_millis(400), "nobody asked for a while");
    // For ever is for ever.
    bench.engine.reload(Some(&moved().replace("key_id: k9", "rotate_kek_after: 1s, key_id: k9"))).unwrap();
    bench.clock.advance(1000);
    bench.provider.set(Behaviour::Fail(Status::Throttled));
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 4, "failed": 4}));
    assert_eq!(report["failures"][3]["status"], json!("THROTTLED"));
}

#[test]
fn a_store_that_is_bound_to_its_callers_thread_is_called_there_only() {
    let store = TestStore::over(Arc::new(MemoryStore::new()), true);
    let bench = Bench::over(Arc::clone(&store), Provider::new(), "");
    create(&bench, 20);
    bench.engine.reload(Some(&moved())).unwrap();
    let mut threads = BTreeSet::new();
    let report = bench.engine.sync(&FAST, |_, _, _, _| {
        threads.extend(library_threads().into_iter().map(|(name, _)| name));
        true
    });
    let report: Value = serde_json::from_str(&report.unwrap()).unwrap();
    assert_counts(&report, json!({"checked": 20, "rewrapped": 20}));
    assert_eq!(store.on_library_thread.load(Ordering::SeqCst), 0);
    // Where it is not bound the library's own threads call it, with every signal blocked.
    let bench = Bench::new("");
    create(&bench, 20);
    let mut threads = Vec::new();
    let sync = bench.engine.sync(&FAST, |_, _, _, _| {
        threads.extend(library_threads().into_iter().filter(|(name, _)| name == "cyborg-kms-sync"));
        true
    });
    sync.unwrap();
    assert!(bench.store.on_library_thread.load(Ordering::SeqCst) >= 20);
    assert!(!threads.is_empty() && threads.iter().all(|(_, blocked)| *blocked != 0), "{threads:?}");
}

#[test]
fn a_scope_ends_it_by_its_deadline_and_by_being_cancelled() {
    let bench = Bench::new("");
    create(&bench, 20);
    bench.engine.reload(Some(&moved())).unwrap();
    let brief =
        bench.engine.scope(ScopeOptions { deadline: Some(Duration::ZERO), ..ScopeOptions::default() });
    assert_eq!(status(brief.sync(&FAST, |_, _, _, _| true)), Status::Timeout);

    bench.provider.set(Behaviour::Hang);
    let scope = bench.engine.scope(ScopeOptions::default());
    let error = std::thread::scope(|threads| {
        let run = threads.spawn(|| scope.sync(&FAST, |_, _, _, _| true).unwrap_err());
        until("all threads wait", || bench.provider.waiting.load(Ordering::SeqCst) == 8);
        scope.cancel();
        run.join().unwrap()
    });
    assert_eq!(error.status(), Status::Cancelled);
    assert!(error.message().contains("0 of 20") && error.message().contains("stays done"), "{error}");
    bench.provider.release();
    bench.provider.set(Behaviour::Work);

    let cancelled = bench.engine.scope(ScopeOptions::default());
    let error = cancelled.sync(&SyncOptions { concurrency: 1, ..FAST }, |done, _, _, _| {
        if done == 5 {
            cancelled.cancel();
        }
        true
    });
    let error = error.unwrap_err();
    assert_eq!(error.status(), Status::Cancelled);
    assert!(error.message().contains("5 of 20"), "{error}");
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 20, "in_order": 5, "rewrapped": 15}));
}

#[test]
fn stopping_does_not_wait_for_turns_far_away() {
    let bench = Bench::new("");
    create(&bench, 40);
    bench.engine.reload(Some(&moved())).unwrap();
    // At this rate the turns of those under way are half a minute away.
    let slow = SyncOptions { requests_per_second: 1, ..FAST };
    set(&bench, "i039", |record| record.state = State::Disabled);
    set(&bench, "i000", |record| record.state = State::Disabled);
    let start = Instant::now();
    let report = bench.engine.sync(&slow, |_, _, _, _| false).unwrap();
    assert!(start.elapsed() < Duration::from_secs(15));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["stopped"], json!(true));
    assert_counts(
        &sync(&bench.engine),
        json!({
            "checked": 40, "rewrapped": 38 - report["rewrapped"].as_u64().unwrap(), "skipped": 2, "skipped_drifted": 2
        }),
    );
}

#[test]
fn options_that_cant_be_are_refused() {
    let bench = Bench::new("");
    for options in
        [SyncOptions { concurrency: 257, ..FAST }, SyncOptions { requests_per_second: 1_000_001, ..FAST }]
    {
        let error = bench.engine.sync(&options, |_, _, _, _| true).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("at most"), "{error}");
    }
}
