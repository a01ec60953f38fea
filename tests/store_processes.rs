//! Several processes on one store: one winner each, no update lost, no wait without an end.

mod store_support;

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use cyborg_kms::call::{Call, CancelToken};
use cyborg_kms::error::Status;
use cyborg_kms::store::{Expected, Store, StoreOptions, open_with};
use store_support::*;

const PROCESSES: usize = 8;
const NAMES: usize = 40;
const STEPS: usize = 15;

/// Starts the processes, and lets them go when all are ready.
fn race(test: &str, root: &Path) -> Vec<String> {
    let mut children: Vec<Child> = (0..PROCESSES)
        .map(|number| {
            start_and_meet(again(&[], test, "racer", &[root.to_str().unwrap(), &number.to_string()])).0
        })
        .collect();
    for child in &mut children {
        drop(child.stdin.take());
    }
    let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
    outputs
        .map(|output| {
            assert!(output.status.success(), "a racer failed");
            String::from_utf8(output.stdout).unwrap()
        })
        .collect()
}

#[test]
fn of_those_who_create_one_name_one_wins() {
    if let Some((_, arguments)) = role() {
        let store = at(Path::new(&arguments[0]));
        meet();
        for number in 0..NAMES {
            let index = format!("index {number}");
            match put(&*store, &index, arguments[1].as_bytes(), Expected::Absent) {
                Ok(()) => println!("\nwon {index}={}", arguments[1]),
                Err(error) => assert_eq!(error.status(), Status::AlreadyExists, "{error:?}"),
            }
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let outputs = race("of_those_who_create_one_name_one_wins", folder.path()).concat();
    let mut won: Vec<&str> = outputs.lines().filter_map(|line| line.strip_prefix("won ")).collect();
    won.sort_unstable();
    let store = at(folder.path());
    let mut stored: Vec<String> = names(&*store, None)
        .into_iter()
        .map(|index| format!("{index}={}", String::from_utf8(get(&*store, &index).unwrap()).unwrap()))
        .collect();
    stored.sort_unstable();
    assert_eq!(stored.len(), NAMES);
    assert_eq!(won, stored, "each name has one winner, whose record is there");
}

/// Adds one to the number that a record holds, however often someone else is faster.
fn increment(store: &dyn Store, index: &str) {
    loop {
        let old = get(store, index).unwrap();
        let number: usize = String::from_utf8(old.clone()).unwrap().parse().unwrap();
        match replace(store, index, &old, (number + 1).to_string().as_bytes()) {
            Ok(()) => return,
            Err(error) => assert_eq!(error.status(), Status::Conflict, "{error:?}"),
        }
    }
}

#[test]
fn no_increment_is_lost() {
    if let Some((_, arguments)) = role() {
        let store = at(Path::new(&arguments[0]));
        meet();
        (0..STEPS).for_each(|_| increment(&*store, "count"));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = at(folder.path());
    put(&*store, "count", b"0", Expected::Absent).unwrap();
    race("no_increment_is_lost", folder.path());
    assert_eq!(get(&*store, "count").unwrap(), (PROCESSES * STEPS).to_string().as_bytes());
}

#[test]
fn threads_of_one_process_lose_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    for store in [at(folder.path()), cyborg_kms::store::open("memory://").unwrap()] {
        put(&*store, "count", b"0", Expected::Absent).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..PROCESSES {
                scope.spawn(|| (0..STEPS).for_each(|_| increment(&*store, "count")));
            }
        });
        assert_eq!(get(&*store, "count").unwrap(), (PROCESSES * STEPS).to_string().as_bytes());
    }
}

/// `flock` from util-linux holds the lock of `index` until its standard input is closed.
fn lock_of_another(root: &Path, index: &str) -> Child {
    let store = at(root);
    put(&*store, index, b"old", Expected::Absent).unwrap();
    let lock = std::fs::read_dir(private(root)).unwrap().next().unwrap().unwrap().path();
    let mut command = Command::new("flock");
    command.arg(lock).args(["-c", "echo; echo here; cat"]);
    start_and_meet(command).0
}

#[test]
fn a_lock_that_another_holds_ends_in_a_timeout_and_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = lock_of_another(folder.path(), "a");
    let url = folder.path().to_str().unwrap();
    let options =
        StoreOptions { request_timeout: Some(Duration::from_millis(30)), ..StoreOptions::default() };
    let patient = at(folder.path());
    let impatient = open_with(url, &options, &Arc::default()).unwrap();

    let words = ["lock-", "another process", url];
    assert_fails(put(&*impatient, "a", b"new", Expected::Any), Status::Timeout, &words);
    assert_fails(remove(&*impatient, "a"), Status::Timeout, &words);
    let short = Call::unbounded().within(Duration::from_millis(30));
    assert_fails(patient.put(&short, &name("a"), b"new", Expected::Any), Status::Timeout, &words);
    assert_eq!(get(&*impatient, "a").unwrap(), b"old");
    assert_eq!(names(&*impatient, None), ["a"]);

    drop(holder.stdin.take());
    put(&*patient, "a", b"new", Expected::Any).unwrap();
    assert!(holder.wait().unwrap().success());
    assert_eq!(get(&*patient, "a").unwrap(), b"new");
}

#[test]
fn who_waits_for_a_lock_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = lock_of_another(folder.path(), "a");
    let options = StoreOptions { request_timeout: Some(Duration::from_secs(600)), ..StoreOptions::default() };
    let store = open_with(folder.path().to_str().unwrap(), &options, &Arc::default()).unwrap();
    let token = CancelToken::default();
    let call = Call::unbounded().cancelled_by(&token);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.put(&call, &name("a"), b"new", Expected::Any));
        std::thread::sleep(Duration::from_millis(50));
        token.cancel();
        assert_fails(writer.join().unwrap(), Status::Cancelled, &["cancelled"]);
    });
    assert_eq!(get(&*store, "a").unwrap(), b"old");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
}

#[test]
fn a_call_whose_time_is_over_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let over = Call::unbounded().within(Duration::ZERO);
    for store in [at(folder.path()), cyborg_kms::store::open("memory://").unwrap()] {
        let index = name("a");
        assert_fails(store.put(&over, &index, b"x", Expected::Any), Status::Timeout, &["deadline"]);
        assert_fails(store.get(&over, &index), Status::Timeout, &["deadline"]);
        assert_fails(store.remove(&over, &index, Expected::Any), Status::Timeout, &["deadline"]);
        assert_fails(store.list(&over, None, &mut |_| true), Status::Timeout, &["deadline"]);
        assert_eq!(get(&*store, "a"), None);
    }
}

#[test]
fn a_dead_holder_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = lock_of_another(folder.path(), "a");
    holder.kill().unwrap();
    // The shell that flock started has the lock's file open, too; it ends with its standard input.
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let store = at(folder.path());
    put(&*store, "a", b"new", Expected::Any).unwrap();
    assert_eq!(get(&*store, "a").unwrap(), b"new");
}
