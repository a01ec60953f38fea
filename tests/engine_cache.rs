//! The life of a KEK in the cache: loaded once, refreshed, refused, silent, wiped.

mod engine_support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use cyborg_kms::cache::{Entry, Former, Load, Loaded, Use};
use cyborg_kms::call::{Call, CancelToken};
use cyborg_kms::engine::OpenOptions;
use cyborg_kms::error::{Error, Result, Status};
use cyborg_kms::name::IndexName;
use engine_support::{Behaviour, Bench, ManualClock, Provider, TestStore, open, seal, status, until};

/// So many open one cold index at once; the provider holds until all but one wait.
fn crowd(bench: &Bench, callers: usize) -> Vec<Status> {
    bench.provider.set(Behaviour::Hang);
    let before = bench.engine.stats().coalesced_waits;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|_| {
                let open = || status(bench.engine.open_index("cold"));
                std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, open).unwrap()
            })
            .collect();
        until("all wait", || bench.engine.stats().coalesced_waits - before == callers as u64 - 1);
        bench.provider.release();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_cold_index_costs_one_read_and_one_unwrap() {
    for callers in [64, 3000] {
        let bench = Bench::new("");
        bench.cold("cold");
        let (reads, unwraps) = (bench.store.gets(), bench.provider.unwraps());
        let stats = bench.engine.stats();
        assert!(crowd(&bench, callers).iter().all(|status| *status == Status::Ok));
        assert_eq!((bench.store.gets() - reads, bench.provider.unwraps() - unwraps), (1, 1));
        let after = bench.engine.stats();
        assert_eq!(after.kms_calls - stats.kms_calls, 1);
        assert_eq!(after.store_reads - stats.store_reads, 1);
        assert_eq!(after.cache_entries, 1);
    }
}

#[test]
fn those_who_wait_get_the_same_error_which_stands_for_a_second() {
    let bench = Bench::new("");
    bench.cold("cold");
    let unwraps = bench.provider.unwraps();
    bench.provider.next(Behaviour::Fail(Status::KeyDisabled));
    let barrier = Barrier::new(16);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                barrier.wait();
                let error = bench.engine.open_index("cold").unwrap_err();
                assert_eq!((error.status(), error.provider_code()), (Status::KeyDisabled, "TestCode"));
                failed.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    assert_eq!((failed.into_inner(), bench.provider.unwraps() - unwraps), (16, 1));
    bench.clock.advance(999);
    assert_eq!(status(bench.engine.open_index("cold")), Status::KeyDisabled);
    bench.clock.advance(1);
    bench.engine.open_index("cold").unwrap();
    assert_eq!(bench.provider.unwraps() - unwraps, 2);
}

#[test]
fn what_no_kms_had_a_part_in_is_asked_again_at_once() {
    let bench = Bench::new("");
    assert_eq!(status(bench.engine.open_index("none yet")), Status::NotFound);
    assert_eq!(bench.engine.stats().cache_entries, 0);
    bench.engine.create("none yet", "prod").unwrap();
    bench.engine.open_index("none yet").unwrap();

    bench.cold("a");
    for trouble in [Status::Storage, Status::Timeout, Status::Internal, Status::AccessDenied, Status::Corrupt]
    {
        bench.store.fail_gets(Some(trouble));
        assert_eq!(status(bench.engine.open_index("a")), trouble);
        bench.store.fail_gets(None);
        bench.engine.open_index("a").unwrap();
        bench.engine.evict(None);
    }

    let unknown = engine_support::yaml("").replace("prod:", "other:");
    bench.engine.reload(Some(&unknown)).unwrap();
    let error = bench.engine.open_index("a").unwrap_err();
    assert_eq!(error.status(), Status::Config);
    assert!(error.message().contains("prod"), "{error}");
    bench.engine.reload(Some(&engine_support::yaml(""))).unwrap();
    bench.engine.open_index("a").unwrap();
}

#[test]
fn within_the_lifetime_nobody_is_asked_and_at_its_end_again() {
    // Else the library's own thread may refresh ahead, as soon as it notices that the clock was moved.
    let bench = Bench::new("cache: {refresh_ahead: 0}\n");
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    let (reads, unwraps) = (bench.store.gets(), bench.provider.unwraps());
    bench.clock.advance(59_999);
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
    bench.engine.open_index("a").unwrap();
    assert_eq!((bench.store.gets() - reads, bench.provider.unwraps() - unwraps), (0, 0));
    bench.clock.advance(1);
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
    assert!(seal(&index, b"more").is_ok());
    assert_eq!((bench.store.gets() - reads, bench.provider.unwraps() - unwraps), (1, 1));
}

#[test]
fn a_refusal_ends_it_at_once_and_silence_at_its_end() {
    for refusal in [Status::AccessDenied, Status::KeyDisabled, Status::KeyNotFound] {
        let bench = Bench::new("cache: {refresh_ahead: 0}\n");
        let index = bench.engine.create("a", "prod").unwrap();
        let sealed = seal(&index, b"page").unwrap();
        bench.provider.set(Behaviour::Fail(refusal));
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
        assert_eq!(status(index.refresh()), refusal);
        assert_eq!(status(open(&index, &sealed)), refusal);
        assert_eq!(status(seal(&index, b"x")), refusal);
        assert_eq!(status(index.export_kek(0)), refusal);
        bench.provider.set(Behaviour::Work);
        bench.clock.advance(1000);
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
    }
    for silence in [Status::KmsUnavailable, Status::Timeout, Status::Throttled] {
        let bench = Bench::new("cache: {refresh_ahead: 0}\n");
        let index = bench.engine.create("a", "prod").unwrap();
        let sealed = seal(&index, b"page").unwrap();
        bench.provider.set(Behaviour::Fail(silence));
        assert_eq!(status(index.refresh()), silence);
        bench.clock.advance(59_999);
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
        bench.clock.advance(1);
        assert_eq!(status(open(&index, &sealed)), silence);
        bench.provider.set(Behaviour::Work);
        bench.clock.advance(1000);
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
    }
}

#[test]
fn what_is_used_is_refreshed_ahead_and_what_is_idle_is_wiped() {
    let bench = Bench::new("");
    let used = bench.engine.create("used", "prod").unwrap();
    let idle = bench.engine.create("idle", "prod").unwrap();
    let sealed = seal(&used, b"page").unwrap();
    let decided = bench.provider.decided.load(Ordering::SeqCst);
    bench.clock.advance(47_999);
    bench.engine.sweep();
    bench.clock.advance(1);
    bench.engine.sweep();
    until("the refresh", || bench.provider.decided.load(Ordering::SeqCst) == decided + 1);
    // At what would have been its end without that, the page finds keys and asks nobody.
    bench.clock.advance(12_000);
    bench.engine.sweep();
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    assert_eq!(open(&used, &sealed).unwrap(), b"page");
    assert_eq!(status(seal(&idle, b"x")), Status::KmsUnavailable);
    // The idle entry has no keys any more though nobody called; its handle still says what it was.
    assert_eq!((idle.epoch(), idle.data_key_id()), (1, 1));
}

#[test]
fn many_refreshes_at_once_leave_threads_for_the_callbacks() {
    let bench = Bench::new("");
    let indexes: Vec<_> = (0..200).map(|i| bench.engine.create(&format!("i{i}"), "prod").unwrap()).collect();
    for index in &indexes {
        seal(index, b"page").unwrap();
    }
    let (unwraps, errors) = (bench.provider.unwraps(), bench.engine.stats().kms_errors);
    bench.clock.advance(48_000);
    bench.engine.sweep();
    until("all are refreshed", || bench.provider.unwraps() == unwraps + 200);
    assert_eq!(bench.engine.stats().kms_errors, errors);
}

#[test]
fn a_failed_refresh_ahead_is_tried_again_while_the_lifetime_lasts() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    seal(&index, b"page").unwrap();
    let unwraps = bench.provider.unwraps();
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    bench.clock.advance(48_000);
    bench.engine.sweep();
    until("the first try", || bench.provider.unwraps() == unwraps + 1);
    until("the second try", || {
        bench.clock.advance(500);
        seal(&index, b"page").unwrap();
        bench.engine.sweep();
        bench.provider.unwraps() > unwraps + 1
    });
}

#[test]
fn a_failing_store_ends_sealing_after_max_record_age_and_opening_never() {
    let bench = Bench::new("cache: {max_record_age: 10m}\n");
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    bench.store.fail_gets(Some(Status::Storage));
    for minute in 1..10 {
        bench.clock.advance(60_000);
        // The keys are wiped each time, so that only the record remains.
        bench.engine.sweep();
        assert!(seal(&index, b"x").is_ok(), "minute {minute}");
    }
    bench.clock.advance(60_000);
    for _ in 0..3 {
        bench.clock.advance(400);
        let error = seal(&index, b"x").unwrap_err();
        assert_eq!(error.status(), Status::Storage);
        assert!(error.message().contains("max_record_age"), "{error}");
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
    }
    bench.clock.advance(3_600_000);
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
    // Refusals still count: the KMS is asked with the last record.
    bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    bench.clock.advance(60_000);
    assert_eq!(status(open(&index, &sealed)), Status::AccessDenied);
    bench.provider.set(Behaviour::Work);
    bench.store.fail_gets(None);
    bench.clock.advance(1000);
    assert!(seal(&index, b"x").is_ok());
}

#[test]
fn a_leader_that_panics_hands_over() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.store.hang(true);
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            bench.store.panic_next();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.engine.open_index("a"))).is_err()
        });
        assert!(leader.join().unwrap());
        let followers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| bench.engine.open_index("a").is_ok())).collect();
        until("one reads", || bench.store.waiting.load(Ordering::SeqCst) == 1);
        bench.store.hang(false);
        assert!(followers.into_iter().all(|follower| follower.join().unwrap()));
    });
}

/// A load that ends as its first caller does, and then fails for all.
#[derive(Default)]
struct Scripted {
    loads: AtomicUsize,
    waiting: AtomicUsize,
    released: AtomicBool,
}

impl Load for Scripted {
    fn load(&self, call: &Call, _: &IndexName, _: &Former) -> Result<Loaded> {
        if self.loads.fetch_add(1, Ordering::SeqCst) == 0 {
            until("it may go on", || self.released.load(Ordering::SeqCst));
            call.check("loading")?;
        }
        Err(Error::new(Status::KmsUnavailable, "for all"))
    }

    fn asked_kms(&self) -> bool {
        true
    }

    fn note_waiting(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    fn note_stale(&self, name: &IndexName, silence: &Error) {
        panic!("{name} has no keys that could be used on: {silence}");
    }
}

#[test]
fn a_leader_that_is_cancelled_or_out_of_time_hands_over() {
    let token = CancelToken::default();
    token.cancel();
    let out_of_time = Call::unbounded().within(Duration::ZERO);
    for (call, own) in
        [(Call::unbounded().cancelled_by(&token), Status::Cancelled), (out_of_time, Status::Timeout)]
    {
        let clock = ManualClock::new();
        let entry = Entry::new(IndexName::new("a").unwrap(), clock);
        let script = Scripted::default();
        // A reference each: the loader need not be shared, as the engine's is not.
        std::thread::scope(|scope| {
            let get = |call: Call| status(entry.get(&call, &script, Use::Read));
            let leader = scope.spawn(move || get(call));
            until("it loads", || script.loads.load(Ordering::SeqCst) == 1);
            let followers: Vec<_> = (0..4).map(|_| scope.spawn(move || get(Call::unbounded()))).collect();
            until("the others wait", || script.waiting.load(Ordering::SeqCst) == 4);
            script.released.store(true, Ordering::SeqCst);
            assert_eq!(leader.join().unwrap(), own);
            for follower in followers {
                assert_eq!(follower.join().unwrap(), Status::KmsUnavailable);
            }
        });
        assert_eq!(script.loads.into_inner(), 2);
    }
}

#[test]
fn a_store_that_panics_in_a_refresh_ahead_leaves_the_refreshes_working() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    seal(&index, b"page").unwrap();
    let unwraps = bench.provider.unwraps();
    bench.store.panic_next();
    bench.clock.advance(48_000);
    until("a later refresh", || {
        seal(&index, b"page").unwrap();
        bench.engine.sweep();
        bench.clock.advance(100);
        bench.provider.unwraps() > unwraps
    });
}

#[test]
fn a_handle_that_does_not_wait_is_refreshed_behind_it() {
    let bench = Bench::new("");
    drop(bench.engine.create("a", "prod").unwrap());
    bench.engine.create_with_key("n", "", &[7; 32]).unwrap();
    let no_wait = OpenOptions { no_wait: true, ..OpenOptions::default() };
    let kms = bench.engine.open_index_with("a", &no_wait).unwrap();
    let none = bench.engine.open_index_with("n", &OpenOptions { kek: Some(&[7; 32]), ..no_wait }).unwrap();
    let sealed = [&kms, &none].map(|index| seal(index, b"page").unwrap());
    for (index, sealed) in [&kms, &none].into_iter().zip(&sealed) {
        bench.clock.advance(60_000);
        assert_eq!(status(open(index, sealed)), Status::KmsUnavailable);
        until("the refresh", || open(index, sealed).is_ok());
    }
    // A failing KMS is asked once a second, however often pages ask.
    bench.clock.advance(60_000);
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    let unwraps = bench.provider.unwraps();
    until("it was asked", || {
        assert_eq!(status(seal(&kms, b"x")), Status::KmsUnavailable);
        bench.provider.unwraps() > unwraps
    });
    until("its failure is known", || bench.engine.stats().kms_errors > 0);
    for _ in 0..1000 {
        assert_eq!(status(seal(&kms, b"x")), Status::KmsUnavailable);
    }
    assert!(bench.provider.unwraps() <= unwraps + 2, "{}", bench.provider.unwraps() - unwraps);
}

#[test]
fn a_store_for_callers_threads_is_never_called_from_another() {
    let store = TestStore::over(Arc::new(cyborg_kms::store::MemoryStore::new()), true);
    let bench = Bench::over(store, Provider::new(), "");
    drop(bench.engine.create("a", "prod").unwrap());
    let no_wait = OpenOptions { no_wait: true, ..OpenOptions::default() };
    let index = bench.engine.open_index_with("a", &no_wait).unwrap();
    seal(&index, b"page").unwrap();
    bench.clock.advance(48_000);
    bench.engine.sweep();
    bench.clock.advance(12_000);
    bench.engine.sweep();
    let error = seal(&index, b"page").unwrap_err();
    assert_eq!(error.status(), Status::KmsUnavailable);
    index.refresh().unwrap();
    seal(&index, b"page").unwrap();
    assert_eq!(bench.store.on_library_thread.load(Ordering::SeqCst), 0);
}

#[test]
fn looking_at_the_metrics_is_no_use_of_an_index() {
    let bench = Bench::new("");
    drop(bench.engine.create("idle", "prod").unwrap());
    let unwraps = bench.provider.unwraps();
    for _ in 0..6 {
        bench.clock.advance(10_000);
        assert!(bench.engine.metrics().unwrap().contains("oldest_kek_age"));
        bench.engine.sweep();
    }
    assert_eq!((bench.engine.stats().cache_entries, bench.provider.unwraps()), (0, unwraps));
}
