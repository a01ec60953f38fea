//! What an engine does to its process: threads, forks, other processes, and the order in which handles go.
#![allow(unsafe_code)] // Forks.

mod engine_support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::Status;
use cyborg_kms::index::Index;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;
use engine_support::{Behaviour, Bench, Provider, TestStore, library_threads, open, seal, status, until};

/// Threads are counted for the whole process, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    until("the threads of the test before have ended", || library_threads().is_empty());
    guard
}

/// Runs `child` in a forked child and gives its exit code.
fn fork(child: impl FnOnce() -> i32) -> i32 {
    wait(start(child))
}

fn start(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `child` and exits at once; malloc and this library may be used after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(code) };
    }
    pid
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child crashed: {status}");
    libc::WEXITSTATUS(status)
}

fn local(folder: &std::path::Path) -> Engine {
    let yaml = format!(
        "storage: {{url: {}}}\nkms: {{registry: {{l: {{provider: local, key_id: {}, create: true}}}}}}\n",
        folder.join("db").display(),
        folder.join("key").display()
    );
    Engine::open_yaml(&yaml).unwrap()
}

#[test]
fn no_thread_before_one_is_needed_and_none_for_keys_of_the_caller() {
    let _alone = alone();
    let bench = Bench::new("");
    let index = bench.engine.create_with_key("a", "", &[1; 32]).unwrap();
    let again = OpenOptions { kek: Some(&[1; 32]), ..OpenOptions::default() };
    let other = bench.engine.open_index_with("a", &again).unwrap();
    assert_eq!(open(&other, &seal(&index, b"page").unwrap()).unwrap(), b"page");
    bench.clock.advance(3_600_000);
    assert_eq!(open(&other, &seal(&index, b"page").unwrap()).unwrap(), b"page");
    assert_eq!(library_threads(), []);
    assert_eq!(bench.engine.stats().kms_calls, 0);
    assert_eq!(bench.engine.stats().cache_entries, 0);
}

#[test]
fn a_key_of_the_callers_is_checked_and_shared_with_nobody() {
    let _alone = alone();
    let bench = Bench::new("");
    let with = |kek: &'static [u8]| OpenOptions { kek: Some(kek), ..OpenOptions::default() };
    for wrong in [&[1u8; 31][..], &[1; 33], &[]] {
        assert_eq!(status(bench.engine.create_with_key("a", "", wrong)), Status::InvalidArgument);
        assert_eq!(status(bench.engine.create_with_key("a", "prod", wrong)), Status::InvalidArgument);
    }
    let index = bench.engine.create_with_key("a", "bring", &[1; 32]).unwrap();
    assert_eq!(status(bench.engine.open_index_with("a", &with(&[1; 31]))), Status::InvalidArgument);
    assert_eq!(status(bench.engine.open_index_with("a", &with(&[1; 33]))), Status::InvalidArgument);
    assert_eq!(status(bench.engine.open_index_with("a", &with(&[2; 32]))), Status::AuthenticationFailed);
    assert_eq!(status(bench.engine.open_index("a")), Status::InvalidArgument);
    bench.engine.create("k", "prod").unwrap();
    assert_eq!(status(bench.engine.open_index_with("k", &with(&[1; 32]))), Status::InvalidArgument);
    assert_eq!(status(bench.engine.create("b", "bring")), Status::InvalidArgument);
    assert_eq!(status(bench.engine.create("b", "")), Status::InvalidArgument);
    assert_eq!(status(bench.engine.create("b", "nowhere")), Status::Config);
    // An eviction does not take it from the handle.
    bench.engine.evict(None);
    seal(&index, b"page").unwrap();
}

#[test]
fn threads_are_named_take_no_signals_and_end_in_any_order() {
    let _alone = alone();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let bench = Bench::new("");
        let index = bench.engine.create("a", "prod").unwrap();
        // A new thread takes its name itself.
        until("the cache's and a callback's run", || library_threads().len() >= 2);
        for (name, blocked) in library_threads() {
            // All but KILL and STOP, which can't be, and the two that the C library keeps.
            let wanted: u64 = !(1 << 8 | 1 << 18 | 1 << 31 | 1 << 32);
            assert_eq!(blocked & wanted, wanted, "{name}: {blocked:x}");
        }
        let store = bench.engine.store();
        let Bench { engine, provider, store: test_store, clock } = bench;
        drop((test_store, clock));
        let (mut engine, mut index, mut store) = (Some(engine), Some(index), Some(store));
        for which in order {
            match which {
                0 => drop(engine.take()),
                1 => {
                    seal(index.as_ref().unwrap(), b"page").unwrap();
                    drop(index.take());
                }
                _ => drop(store.take()),
            }
        }
        // They were joined, though the kernel may list one for a moment longer.
        until("the threads ended", || library_threads().is_empty());
        let dropped = Arc::clone(&provider.dropped);
        drop(provider);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}

/// Drops the last handle of the engine from within its callback.
struct Suicidal {
    inner: Arc<Provider>,
    last: Mutex<Option<Index>>,
}

impl ExternalCallbacks for Suicidal {
    fn wrap(&self, key_id: &str, aad: &[u8], plaintext: &[u8], reply: Reply) {
        self.inner.wrap(key_id, aad, plaintext, reply);
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        drop(self.last.lock().unwrap().take());
        self.inner.unwrap(key_id, aad, wrapped, reply);
    }
}

#[test]
fn the_last_handle_may_go_on_a_thread_of_the_library() {
    let _alone = alone();
    let clock = engine_support::ManualClock::new();
    let engine =
        Engine::open_yaml_with_store(&engine_support::yaml(""), TestStore::new(), Arc::clone(&clock) as _)
            .unwrap();
    let callbacks = Arc::new(Suicidal { inner: Provider::new(), last: Mutex::new(None) });
    engine.register_provider("test", Arc::clone(&callbacks) as _).unwrap();
    let index = engine.create("a", "prod").unwrap();
    seal(&index, b"page").unwrap();
    *callbacks.last.lock().unwrap() = Some(index);
    clock.advance(48_000);
    engine.sweep();
    drop(engine);
    until("the handle went and the threads ended", || {
        callbacks.last.lock().unwrap().is_none() && library_threads().is_empty()
    });
}

#[test]
fn freeing_waits_for_a_callback_under_way() {
    let _alone = alone();
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    seal(&index, b"page").unwrap();
    bench.provider.set(Behaviour::Hang);
    bench.clock.advance(48_000);
    bench.engine.sweep();
    until("the callback runs", || bench.provider.waiting.load(Ordering::SeqCst) == 1);
    let provider = Arc::clone(&bench.provider);
    let freed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let freed = &freed;
        scope.spawn(move || {
            drop((bench, index));
            freed.store(true, Ordering::SeqCst);
        });
        (0..1000).for_each(|_| std::thread::yield_now());
        assert!(!freed.load(Ordering::SeqCst));
        provider.release();
    });
    until("the threads ended", || library_threads().is_empty());
}

#[test]
fn what_a_provider_answers_is_told_as_what_it_is() {
    let _alone = alone();
    let bench = Bench::new("");
    bench.cold("a");
    let short =
        engine_support::yaml("").replace("request_timeout: 20s, deadline: 30s", "request_timeout: 50ms");
    for (behaviour, expected) in [
        (Behaviour::Later, Status::Ok),
        (Behaviour::Bytes(32), Status::Corrupt),
        (Behaviour::Bytes(5), Status::Corrupt),
        (Behaviour::Bytes(33), Status::Corrupt),
        (Behaviour::Bytes(0), Status::Internal),
        (Behaviour::Drop, Status::Internal),
        (Behaviour::Panic, Status::Internal),
        (Behaviour::Hang, Status::Timeout),
        (Behaviour::Fail(Status::NotFound), Status::KeyNotFound),
        (Behaviour::Fail(Status::Cancelled), Status::Internal),
        (Behaviour::Fail(Status::Conflict), Status::Internal),
        (Behaviour::Fail(Status::AccessDenied), Status::AccessDenied),
    ] {
        let unwraps = bench.provider.unwraps();
        bench.provider.set(behaviour.clone());
        let yaml =
            if matches!(behaviour, Behaviour::Hang) { short.clone() } else { engine_support::yaml("") };
        bench.engine.reload(Some(&yaml)).unwrap();
        let opened = bench.engine.open_index("a");
        if let Err(error) = &opened {
            assert!(error.message().contains("prod"), "{error}");
        }
        assert_eq!(status(opened), expected, "{behaviour:?}");
        assert_eq!(bench.provider.unwraps() - unwraps, 1, "{behaviour:?}");
        bench.provider.release();
        bench.engine.evict(None);
    }
    // A new index of such a provider leaves nothing behind.
    for behaviour in [Behaviour::Bytes(40), Behaviour::Bytes(0), Behaviour::Fail(Status::AlreadyExists)] {
        bench.provider.set(behaviour);
        let refused = status(bench.engine.create("b", "prod"));
        assert!(matches!(refused, Status::Corrupt | Status::Internal), "{refused}");
        assert_eq!(status(bench.engine.open_index("b")), Status::NotFound);
    }
}

#[test]
fn slots_come_change_and_go_and_nothing_changes_halfway() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = |url: &str, slots: &str| format!("storage: {{url: {url}}}\nkms: {{registry: {{{slots}}}}}\n");
    let db = folder.path().join("db").display().to_string();
    let one =
        format!("l: {{provider: local, key_id: {}, create: true}}", folder.path().join("key").display());
    let engine = Engine::open_yaml(&at(&db, &one)).unwrap();
    let index = engine.create("a", "l").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    let elsewhere = folder.path().join("other").display().to_string();
    for refused in [
        at(&elsewhere, ""),
        at("memory://", &one),
        "kms: {registry: {x: {provider: 7".to_owned(),
        "nonsense: 1".to_owned(),
    ] {
        assert_eq!(status(engine.reload(Some(&refused))), Status::Config);
        engine.check(Some("l")).unwrap();
    }
    assert_eq!(status(engine.reload(None)), Status::InvalidArgument);
    // Without a storage section it stays, and may be named again.
    engine.reload(Some("{}")).unwrap();
    assert_eq!(status(engine.create("b", "l")), Status::Config);
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
    assert_eq!(status(engine.reload(Some("storage: {url: 'memory://'}"))), Status::Config);
    let two =
        format!("{one}, m: {{provider: local, key_id: {}, create: true}}", folder.path().join("m").display());
    engine.reload(Some(&at(&db, &two))).unwrap();
    engine.create("b", "m").unwrap();
    index.refresh().unwrap();
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
}

#[test]
fn of_many_creators_one_wins() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    local(folder.path()).check(None).unwrap();
    let create = |name: &str| match local(folder.path()).create(name, "l") {
        Ok(index) => i32::from(seal(&index, b"page").is_err()),
        Err(error) if error.status() == Status::AlreadyExists => 2,
        Err(_) => 3,
    };
    for round in 0..10 {
        let name = format!("p{round}");
        let children: Vec<i32> = (0..8).map(|_| start(|| create(&name))).collect();
        let mut codes: Vec<i32> = children.into_iter().map(wait).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 2, 2, 2, 2, 2, 2, 2]);
    }
    let engine = local(folder.path());
    for round in 0..20 {
        let name = format!("t{round}");
        let winners: Vec<Index> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| engine.create(&name, "l"))).collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results
                .filter_map(|result| {
                    result.inspect_err(|error| assert_eq!(error.status(), Status::AlreadyExists)).ok()
                })
                .collect()
        });
        assert_eq!(winners.len(), 1);
        let sealed = seal(&winners[0], b"page").unwrap();
        let index = local(folder.path()).open_index(&name).unwrap();
        assert_eq!(open(&index, &sealed).unwrap(), b"page");
    }
}

#[test]
fn a_child_works_on_while_its_parents_threads_are_busy() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let engine = local(folder.path());
    let indexes: Vec<Index> = (0..4).map(|i| engine.create(&format!("i{i}"), "l").unwrap()).collect();
    engine.create("cold", "l").unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (engine, indexes, ended) = (&engine, &indexes, &ended);
            scope.spawn(move || {
                for i in 0.. {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("i{}", i % 4);
                    let index = engine.open_index(&name).unwrap();
                    seal(&index, b"page").unwrap();
                    match worker {
                        0 => engine.evict(None),
                        1 => indexes[i % 4].refresh().unwrap(),
                        2 => assert_eq!(status(engine.open_index("missing")), Status::NotFound),
                        _ => drop(engine.open_index("cold").unwrap()),
                    }
                }
            });
        }
        let codes: Vec<i32> = (0..200)
            .map(|_| {
                fork(|| {
                    // Hangs are ended by the alarm, as a crash.
                    // SAFETY: sets a timer of this process.
                    unsafe { libc::alarm(20) };
                    let sealed = indexes.iter().map(|index| (index, seal(index, b"page")));
                    let sealed: Vec<_> = sealed.collect();
                    let opens =
                        |index: &Index, page: &[u8]| open(index, page).is_ok_and(|page| page == b"page");
                    if !sealed.iter().all(|(index, page)| page.as_ref().is_ok_and(|page| opens(index, page)))
                    {
                        return 2;
                    }
                    engine.evict(None);
                    let Ok(cold) = engine.open_index("cold") else { return 3 };
                    if seal(&cold, b"page").is_err() || cold.refresh().is_err() {
                        return 4;
                    }
                    drop(cold);
                    // The handles are the parent's borrow; in this process they are freed as they would be there.
                    // SAFETY: the child ends without touching either again.
                    unsafe {
                        drop(std::ptr::read(&raw const indexes));
                        drop(std::ptr::read(&raw const engine));
                    }
                    0
                })
            })
            .collect();
        ended.store(true, Ordering::Relaxed);
        assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
    });
}

#[test]
fn where_no_thread_can_be_started_nothing_is_left_unwatched() {
    use std::os::unix::fs::PermissionsExt;
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let key = folder.path().join("key").display().to_string();
    let yaml = format!("kms: {{registry: {{l: {{provider: local, key_id: {key}, create: true}}}}}}");
    let store = cyborg_kms::store::open("memory://").unwrap();
    let open = || {
        Engine::open_yaml_with_store(&yaml, Arc::clone(&store), engine_support::ManualClock::new()).unwrap()
    };
    let code = fork(|| {
        // The file must be the child's, which is nobody if this is root.
        // SAFETY: plain system calls on this process, which has one thread.
        unsafe { libc::syscall(libc::SYS_setuid, 65534) };
        let engine = open();
        engine.create("a", "l").unwrap();
        let engine = open();
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: reads the limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const none) }, 0);
        assert_eq!(status(engine.create("b", "l")), Status::Internal);
        assert_eq!(status(engine.open_index("b")), Status::NotFound);
        for _ in 0..2 {
            assert_eq!(status(engine.open_index("a")), Status::Internal);
        }
        0
    });
    assert_eq!(code, 0);
}

#[test]
fn a_child_asks_a_provider_by_threads_of_its_own() {
    let _alone = alone();
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let code = fork(|| {
        // SAFETY: sets a timer of this process.
        unsafe { libc::alarm(20) };
        bench.engine.evict(None);
        i32::from(seal(&index, b"page").is_err()) + 2 * i32::from(index.refresh().is_err())
    });
    assert_eq!(code, 0);
    index.refresh().unwrap();
}
