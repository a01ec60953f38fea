//! A KMS that does not answer: keys that are used on, for how long, what ends them, and when it is asked again.

mod engine_support;

use cyborg_kms::error::Status;
use cyborg_kms::index::Index;
use engine_support::{Behaviour, Bench, open, seal, status, until};

/// A lifetime of 60 s and ten minutes without the KMS; nothing is refreshed ahead, unless a test says so.
const STALE: &str = "cache: {stale_if_unavailable: 10m, refresh_ahead: 0}\n";

/// An open index whose lifetime is over, and a page of it.
fn aged(bench: &Bench) -> (Index, Vec<u8>) {
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    bench.clock.advance(60_000);
    (index, sealed)
}

#[test]
fn silence_of_every_kind_lets_an_index_go_on() {
    for silence in [Status::KmsUnavailable, Status::Throttled, Status::Timeout] {
        let bench = Bench::new(STALE);
        let (index, sealed) = aged(&bench);
        bench.provider.set(Behaviour::Fail(silence));
        assert_eq!(open(&index, &sealed).unwrap(), b"page", "{silence}");
        seal(&index, b"another").unwrap();
        assert_eq!(bench.provider.unwraps(), 1 + 1, "asked once, then left alone");
        assert_eq!(bench.engine.stats().stale_served, 1);
        // A cached index opens, too, and one that was never open does not.
        drop(bench.engine.open_index("a").unwrap());
        bench.restart().open_index("a").unwrap_err();
    }
}

#[test]
fn it_ends_with_the_time_that_was_allowed() {
    let bench = Bench::new(STALE);
    let (index, sealed) = aged(&bench);
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    let mut minutes = 0;
    while open(&index, &sealed).is_ok() {
        bench.clock.advance(10_000);
        minutes += 1;
        assert!(minutes <= 60, "it goes on for ever");
    }
    assert_eq!(minutes, 60, "ten minutes, in steps of ten seconds");
    assert_eq!(status(open(&index, &sealed)), Status::KmsUnavailable);
    bench.engine.sweep();
    bench.provider.set(Behaviour::Work);
    bench.clock.advance(60_000);
    assert_eq!(open(&index, &sealed).unwrap(), b"page", "the KMS is back");
}

#[test]
fn without_it_the_lifetime_is_the_end() {
    let bench = Bench::new("cache: {refresh_ahead: 0}\n");
    let (index, sealed) = aged(&bench);
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    assert_eq!(status(open(&index, &sealed)), Status::KmsUnavailable);
    assert_eq!(bench.engine.stats().stale_served, 0);
}

#[test]
fn a_refusal_ends_it_at_once() {
    let refusals = [
        Status::AccessDenied,
        Status::KeyDisabled,
        Status::KeyNotFound,
        Status::AuthenticationFailed,
        Status::Corrupt,
        Status::Config,
    ];
    for refusal in refusals {
        let bench = Bench::new(STALE);
        let (index, sealed) = aged(&bench);
        bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
        open(&index, &sealed).unwrap();
        bench.provider.set(Behaviour::Fail(refusal));
        bench.clock.advance(3_000);
        assert_eq!(status(open(&index, &sealed)), refusal);
        // And it stays ended when the KMS falls silent again.
        bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
        bench.clock.advance(3_000);
        assert_eq!(status(open(&index, &sealed)), Status::KmsUnavailable, "{refusal}");
    }
}

#[test]
fn no_page_waits_for_a_kms_that_hangs() {
    let bench = Bench::new("cache: {stale_if_unavailable: 10m}\n");
    let index = bench.engine.create("a", "prod").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    bench.provider.set(Behaviour::Hang);
    // The refresh ahead of the end hangs.
    bench.clock.advance(50_000);
    open(&index, &sealed).unwrap();
    bench.engine.sweep();
    until("the refresh hangs", || bench.provider.waiting.load(std::sync::atomic::Ordering::SeqCst) == 1);
    for _ in 0..20 {
        bench.clock.advance(10_000);
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
        bench.engine.sweep();
    }
    assert_eq!(bench.provider.unwraps(), 1 + 1, "only the one that hangs");
    bench.provider.set(Behaviour::Work);
    bench.provider.release();
}

#[test]
fn an_eviction_is_not_undone_by_silence() {
    let bench = Bench::new(STALE);
    let (index, sealed) = aged(&bench);
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    open(&index, &sealed).unwrap();
    bench.engine.evict(None);
    assert_eq!(status(open(&index, &sealed)), Status::KmsUnavailable);
}

#[test]
fn idle_keys_are_wiped_when_the_allowed_time_is_over() {
    let bench = Bench::new(STALE);
    let (index, sealed) = aged(&bench);
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    bench.clock.advance(599_000);
    bench.engine.sweep();
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
    bench.clock.advance(1_000);
    bench.engine.sweep();
    assert_eq!(status(open(&index, &sealed)), Status::KmsUnavailable);
}

#[test]
fn a_slot_that_is_silent_again_and_again_is_left_alone() {
    let bench = Bench::new("cache: {ttl: 0}\n");
    drop(bench.engine.create("a", "prod").unwrap());
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    let opens = |times: usize| {
        for _ in 0..times {
            assert_eq!(status(bench.engine.open_index("a")), Status::KmsUnavailable);
        }
    };
    opens(8);
    let asked = bench.provider.unwraps();
    let error = bench.engine.open_index("a").unwrap_err();
    assert!(error.message().contains("left alone"), "{error}");
    assert!(error.is_retryable() && error.retry_after_ms() > 0);
    opens(100);
    assert_eq!(bench.provider.unwraps(), asked);
    // One try after the pause, which fails; then another, which does not.
    bench.clock.advance(1_000);
    opens(10);
    assert_eq!(bench.provider.unwraps(), asked + 1);
    bench.provider.set(Behaviour::Work);
    bench.clock.advance(2_000);
    for _ in 0..20 {
        bench.engine.open_index("a").unwrap();
    }
}

#[test]
fn refusals_do_not_open_the_breaker() {
    let bench = Bench::new("cache: {ttl: 0}\n");
    drop(bench.engine.create("a", "prod").unwrap());
    bench.provider.set(Behaviour::Fail(Status::AccessDenied));
    for _ in 0..50 {
        assert_eq!(status(bench.engine.open_index("a")), Status::AccessDenied);
    }
    bench.provider.set(Behaviour::Work);
    bench.engine.open_index("a").unwrap();
}
