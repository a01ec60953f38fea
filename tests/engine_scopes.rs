//! Scopes (deadline, principal, cancelling) and openings on the library's own threads.

mod engine_support;

use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cyborg_kms::engine::{OpenOptions, ScopeOptions};
use cyborg_kms::error::{Error, Status};
use engine_support::{Behaviour, Bench, Provider, TestStore, library_threads, status, until};

fn brief() -> ScopeOptions {
    ScopeOptions { deadline: Some(Duration::from_millis(20)), ..ScopeOptions::default() }
}

#[test]
fn a_deadline_ends_a_call_that_hangs() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.provider.set(Behaviour::Hang);
    let scope = bench.engine.scope(brief());
    assert_eq!(status(scope.open_index("a")), Status::Timeout);
    assert_eq!(status(scope.create("b", "prod")), Status::Timeout);
    assert_eq!(status(scope.check(Some("prod"))), Status::Timeout);
    // A scope of a scope has its limit, too, unless it says another.
    assert_eq!(status(scope.scope(ScopeOptions::default()).open_index("a")), Status::Timeout);
    bench.provider.set(Behaviour::Work);
    bench.provider.release();
    let long = ScopeOptions { deadline: Some(Duration::from_secs(60)), ..ScopeOptions::default() };
    scope.scope(long).open_index("a").unwrap();
}

#[test]
fn cancelling_ends_calls_under_way_and_to_come() {
    let bench = Bench::new("");
    bench.cold("a");
    drop(bench.engine.create("cached", "prod").unwrap());
    bench.provider.set(Behaviour::Hang);
    let outer = bench.engine.scope(ScopeOptions::default());
    let inner = outer.scope(ScopeOptions::default());
    let other = bench.engine.scope(ScopeOptions::default());
    std::thread::scope(|threads| {
        let calls = [&outer, &inner].map(|scope| threads.spawn(|| status(scope.open_index("a"))));
        until("the KMS is asked", || bench.provider.waiting.load(Ordering::SeqCst) >= 1);
        outer.cancel();
        for call in calls {
            assert_eq!(call.join().unwrap(), Status::Cancelled);
        }
    });
    assert_eq!(status(inner.open_index("cached")), Status::Cancelled);
    assert_eq!(status(inner.list(None, &mut |_| true)), Status::Cancelled);
    assert_eq!(status(outer.create("b", "prod")), Status::Cancelled);
    other.open_index("cached").unwrap();
    // An engine itself can't be cancelled.
    bench.engine.cancel();
    bench.engine.open_index("cached").unwrap();
    bench.provider.set(Behaviour::Work);
    bench.provider.release();
}

#[test]
fn handles_outlive_their_scope_and_its_end() {
    let bench = Bench::new("");
    let long = ScopeOptions { deadline: Some(Duration::from_secs(60)), ..ScopeOptions::default() };
    let scope = bench.engine.scope(long);
    let index = scope.create("a", "prod").unwrap();
    scope.cancel();
    drop(scope);
    index.refresh().unwrap();
    let sealed = engine_support::seal(&index, b"page").unwrap();
    assert_eq!(engine_support::open(&index, &sealed).unwrap(), b"page");
}

#[test]
fn what_is_done_through_a_scope_is_its_principals() {
    let bench = Bench::new("audit: {principal: engine}\n");
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    bench
        .engine
        .set_audit_sink(Some(Box::new(move |event: &str| heard.lock().unwrap().push(event.to_owned()))));
    let alice =
        bench.engine.scope(ScopeOptions { principal: Some("alice".into()), ..ScopeOptions::default() });
    drop(bench.engine.create("a", "prod").unwrap());
    drop(alice.create("b", "prod").unwrap());
    drop(alice.scope(ScopeOptions::default()).create("c", "prod").unwrap());
    let events = events.lock().unwrap();
    for (index, principal) in [("a", "engine"), ("b", "alice"), ("c", "alice")] {
        let of_index = |event: &&String| event.contains(&format!("\"index\":\"{index}\""));
        let mut of_index = events.iter().filter(of_index).peekable();
        assert!(of_index.peek().is_some(), "nothing was told of {index}");
        assert!(
            of_index.all(|event| event.contains(&format!("\"principal\":\"{principal}\""))),
            "{events:?}"
        );
    }
}

#[test]
fn openings_on_library_threads_are_told_once_each() {
    let bench = Bench::new("");
    for name in ["a", "b"] {
        bench.cold(name);
    }
    let (send, receive) = channel();
    let open = |name: &'static str| {
        let send = send.clone();
        bench.engine.open_index_async(name, &OpenOptions::default(), move |outcome| {
            let thread = std::thread::current().name().map(str::to_owned);
            send.send((name, outcome.map(|index| index.name().as_str().to_owned()), thread)).unwrap();
        });
    };
    for _ in 0..100 {
        open("a");
        open("b");
        open("missing");
    }
    open("");
    let outcomes: Vec<_> = (0..301).map(|_| receive.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
    assert!(receive.try_recv().is_err());
    for (name, outcome, thread) in outcomes {
        assert!(thread.is_some_and(|name| name.starts_with("cyborg-kms-")));
        match name {
            "" => assert_eq!(status(outcome), Status::InvalidArgument),
            "missing" => assert_eq!(status(outcome), Status::NotFound),
            name => assert_eq!(outcome.unwrap(), name),
        }
    }
}

#[test]
fn freeing_the_engine_ends_openings_under_way_and_their_threads() {
    let bench = Bench::new("");
    for name in 0..100 {
        bench.cold(&format!("i{name}"));
    }
    bench.provider.set(Behaviour::Hang);
    let (send, receive) = channel();
    for name in 0..100 {
        let send = send.clone();
        bench.engine.open_index_async(&format!("i{name}"), &OpenOptions::default(), move |outcome| {
            send.send(status(outcome)).unwrap();
        });
    }
    until("the KMS is asked", || bench.provider.waiting.load(Ordering::SeqCst) >= 1);
    let provider = Arc::clone(&bench.provider);
    let released = std::thread::spawn(move || {
        // The engine waits for the callbacks under way, so they must come to an end.
        let outcomes: Vec<Status> =
            (0..100).map(|_| receive.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
        provider.set(Behaviour::Work);
        provider.release();
        outcomes
    });
    drop(bench.engine);
    assert!(released.join().unwrap().iter().all(|status| *status == Status::Cancelled));
    until("its threads have ended", || library_threads().is_empty());
}

#[test]
fn a_store_of_its_callers_threads_is_left_to_them() {
    let store = TestStore::over(Arc::new(cyborg_kms::store::MemoryStore::new()), true);
    let bench = Bench::over(store, Provider::new(), "");
    bench.cold("a");
    let (send, receive) = channel();
    bench
        .engine
        .open_index_async("a", &OpenOptions::default(), move |outcome| send.send(status(outcome)).unwrap());
    assert_eq!(receive.recv_timeout(Duration::from_secs(20)).unwrap(), Status::Unsupported);
}

#[test]
fn an_engine_lists_its_indexes() {
    let bench = Bench::new("");
    for name in ["b", "a", "c"] {
        bench.engine.create(name, "prod").unwrap();
    }
    let names = |start_after, most: usize| {
        let mut names = Vec::new();
        bench.engine.list(start_after, &mut |name| {
            names.push(name.as_str().to_owned());
            names.len() < most
        })?;
        Ok::<_, Error>(names)
    };
    assert_eq!(names(None, 9).unwrap(), ["a", "b", "c"]);
    assert_eq!(names(Some("a"), 1).unwrap(), ["b"]);
    assert_eq!(status(names(Some(""), 9)), Status::InvalidArgument);
}
