//! Many who append to one log: threads, processes, forked children; into the next file; where none can be.
#![allow(unsafe_code)] // Forks.

mod audit_support;
mod store_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit_support::*;
use cyborg_kms::audit::FaultKind;
use cyborg_kms::call::Call;
use cyborg_kms::error::Status;
use store_support::{again, assert_fails, meet, role, start_and_meet};

const PROCESSES: usize = 8;
const THREADS: usize = 4;
const EACH: usize = 12;

fn at(folder: &str, max_size: u64) -> Log {
    Log { path: Path::new(folder).join("audit.log"), has_key: true, max_size }
}

/// Every index name that was said, as often as it was.
fn assert_all_there(log: &Log, expected: impl Iterator<Item = String>) {
    let mut expected: Vec<String> = expected.collect();
    let mut found = log.all("index");
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(log.assert_right().lines, expected.len() as u64);
}

fn say_all(log: &Log, who: &str) {
    let trail = log.trail();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let trail = &trail;
            scope.spawn(move || (0..EACH).for_each(|n| say(trail, &format!("{who} {thread} {n}")).unwrap()));
        }
    });
}

fn said_by(who: String) -> impl Iterator<Item = String> {
    (0..THREADS * EACH).map(move |n| format!("{who} {} {}", n / EACH, n % EACH))
}

#[test]
fn threads_lose_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    say_all(&log, "t");
    assert_all_there(&log, said_by("t".into()));
    assert_eq!(log.files().len(), 1);
}

fn race(test: &str, log: &Log) {
    let folder = log.path.parent().unwrap().to_str().unwrap();
    let start = |n: usize| start_and_meet(again(&[], test, "racer", &[folder, &n.to_string()])).0;
    let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success(), "a racer failed");
    }
    assert_all_there(log, (0..PROCESSES).flat_map(|n| said_by(n.to_string())));
}

#[test]
fn processes_lose_no_line() {
    if let Some((_, arguments)) = role() {
        meet();
        return say_all(&at(&arguments[0], 0), &arguments[1]);
    }
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    race("processes_lose_no_line", &log);
    assert_eq!(log.files().len(), 1);
}

#[test]
fn the_chain_goes_on_from_file_to_file() {
    const MAX_SIZE: u64 = 8192;
    if let Some((_, arguments)) = role() {
        meet();
        return say_all(&at(&arguments[0], MAX_SIZE), &arguments[1]);
    }
    let folder = tempfile::tempdir().unwrap();
    let log = Log { max_size: MAX_SIZE, ..Log::new(folder.path(), true) };
    race("the_chain_goes_on_from_file_to_file", &log);
    let files = log.files();
    assert!(files.len() > 10, "{files:?}");
    for full in &files[..files.len() - 1] {
        let text = fs::read_to_string(full).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let name = format!("audit.log.{:020}", first["seq"].as_u64().unwrap());
        assert_eq!(full.file_name().unwrap(), &*name);
        // What many threads say at once is one write.
        assert!((MAX_SIZE..2 * MAX_SIZE).contains(&(text.len() as u64)), "{}", text.len());
        assert_eq!(fs::metadata(full).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    // Each file is needed, in its place.
    let head = log.head();
    for missing in &files {
        let away = folder.path().join("away");
        fs::rename(missing, &away).unwrap();
        let is_last = *missing == log.path;
        let kind = if is_last { FaultKind::Cut } else { FaultKind::Removed };
        assert_eq!(log.fault(Some(&head)).kind, kind, "{missing:?}");
        fs::rename(&away, missing).unwrap();
    }
    log.assert_right();
}

#[test]
fn the_files_grow_up_to_their_size_and_by_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log { max_size: 1, ..Log::new(folder.path(), false) };
    log.write(&["a", "b", "c"]);
    assert_eq!(log.files().len(), 3, "each line its own");
    assert_all_there(&log, ["a", "b", "c"].map(str::to_owned).into_iter());
    let log = Log { max_size: 0, ..log };
    log.write(&["d", "e"]);
    assert_eq!(log.files().len(), 3);
    log.assert_right();
}

#[test]
fn a_log_that_cannot_be_set_aside_grows_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log { max_size: 1, ..Log::new(folder.path(), false) };
    log.write(&["a"]);
    // The name is taken by something else.
    let taken = folder.path().join("audit.log.00000000000000000001");
    fs::create_dir(&taken).unwrap();
    log.write(&["b", "c"]);
    fs::remove_dir(&taken).unwrap();
    assert_eq!(log.text().lines().count(), 3);
    log.assert_right();
    log.write(&["d"]);
    assert!(taken.is_file());
    log.assert_right();
}

#[test]
fn a_log_that_is_cut_under_a_process_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    let trail = log.trail();
    ["a", "b", "c"].iter().for_each(|index| say(&trail, index).unwrap());
    let text = log.text();
    fs::write(&log.path, text.split_inclusive('\n').take(2).collect::<String>()).unwrap();
    let words = ["ends with line 2", "line 3", "cut, or taken away", "reload"];
    assert_fails(say(&trail, "d"), Status::Storage, &words);
    fs::remove_file(&log.path).unwrap();
    assert_fails(say(&trail, "d"), Status::Storage, &["ends with line 0"]);
    fs::write(&log.path, &text).unwrap();
    say(&trail, "d").unwrap();
    log.assert_right();
    // The folder is gone: not made anew.
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).unwrap();
    assert_fails(say(&trail, "e"), Status::Storage, &["disappeared"]);
    assert!(!folder.path().exists());
    fs::rename(&away, folder.path()).unwrap();
    say(&trail, "e").unwrap();
    log.assert_right();
}

#[test]
fn places_where_no_log_can_be_are_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), false);
    fs::create_dir(&log.path).unwrap();
    assert_fails(say(&log.trail(), "a"), Status::Storage, &["not a regular file", "nothing was done"]);
    fs::remove_dir(&log.path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &log.path).unwrap();
    assert_fails(say(&log.trail(), "a"), Status::Storage, &["symbolic link"]);
    fs::remove_file(&log.path).unwrap();
    let below_a_file = Log { path: folder.path().join("audit.key/audit.log"), ..log.clone() };
    assert_fails(say(&below_a_file.trail(), "a"), Status::Storage, &["not a folder"]);
    // Folders that are missing are made, for nobody else.
    let deep = Log { path: folder.path().join("var/log/audit.log"), ..log.clone() };
    say(&deep.trail(), "a").unwrap();
    assert_eq!(fs::metadata(folder.path().join("var/log")).unwrap().permissions().mode() & 0o7777, 0o700);
    // Somebody else's file stays as open as he made it.
    fs::write(&log.path, "").unwrap();
    fs::set_permissions(&log.path, fs::Permissions::from_mode(0o640)).unwrap();
    log.write(&["a"]);
    assert_eq!(fs::metadata(&log.path).unwrap().permissions().mode() & 0o7777, 0o640);
    log.assert_right();
}

#[test]
fn a_lock_that_another_holds_ends_the_call_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    log.write(&["a"]);
    let mut holder = std::process::Command::new("flock");
    holder.arg(folder.path().join("audit.log.lock")).args(["-c", "echo; echo here; cat"]);
    let (mut holder, _) = start_and_meet(holder);
    let trail = Arc::new(log.trail());
    // Its own time, not the log's failure; those who wait with it go on.
    let patient = std::thread::spawn({
        let trail = Arc::clone(&trail);
        move || say(&trail, "patient")
    });
    for limit in [0, 30] {
        let call = Call::unbounded().within(Duration::from_millis(limit));
        assert_fails(trail.done(&call, || event("b"), Ok(())), Status::Timeout, &["audit"]);
    }
    // Reading takes no lock that a writer could hold for long; a head needs none.
    assert_eq!(log.head().seq, 1);
    drop(holder.stdin.take());
    patient.join().unwrap().unwrap();
    holder.wait().unwrap();
    assert!(log.all("index").contains(&"patient".to_owned()));
    log.assert_right();
}

#[test]
fn a_lock_that_is_never_given_back_is_the_logs_failure() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    log.write(&["a"]);
    let mut holder = std::process::Command::new("flock");
    holder.arg(folder.path().join("audit.log.lock")).args(["-c", "echo; echo here; cat"]);
    let (mut holder, _) = start_and_meet(holder);
    let words = ["nothing was done", "another process", "audit.log.lock", "audit.on_error"];
    // Together: who waits with another fails with it.
    let trail = log.trail();
    std::thread::scope(|scope| {
        let threads = [0; 3].map(|_| scope.spawn(|| say(&trail, "b")));
        threads
            .into_iter()
            .for_each(|thread| drop(assert_fails(thread.join().unwrap(), Status::Storage, &words)));
    });
    assert_eq!(trail.failures(), 3);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    log.write(&["c"]);
    assert_eq!(log.all("index"), ["a", "c"]);
}

#[test]
fn a_call_says_who_acts() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    let trail = log.trail();
    let call = Call::unbounded().acting_for("alice").within(Duration::from_secs(60));
    trail.begin(&call, || event("a")).unwrap().end(&Ok(()));
    trail.done(&call.acting_for(&"b".repeat(5000)), || event("b"), Ok(())).unwrap();
    say(&trail, "c").unwrap();
    let principals = log.all("principal");
    assert_eq!((&*principals[0], &*principals[1], &*principals[3]), ("alice", "alice", "tester"));
    assert_eq!(principals[2].chars().count(), 2049, "cut, and ends in …");
    log.assert_right();
}

#[test]
fn a_forked_child_appends_while_its_parent_does() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    let trail = log.trail();
    let is_over = AtomicBool::new(false);
    let mut children = 0;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    say(&trail, "parent").unwrap();
                }
            });
        }
        for _ in 0..20 {
            // SAFETY: the child uses this library, which may be used after a fork, and ends at once.
            let pid = unsafe { libc::fork() };
            assert!(pid >= 0);
            if pid == 0 {
                let said = say(&trail, "child").and_then(|()| say(&trail, "child"));
                // SAFETY: ends the child without the parent's exit handlers.
                unsafe { libc::_exit(i32::from(said.is_err())) };
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(status, 0, "the child's line failed");
            children += 2;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(log.all("index").iter().filter(|index| *index == "child").count(), children);
    log.assert_right();
}

#[test]
fn verifying_goes_on_beside_appending() {
    const LINES: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let log = Log { max_size: 3000, ..Log::new(folder.path(), true) };
    log.write(&["first"]);
    std::thread::scope(|scope| {
        let writers = [0; 2].map(|_| {
            scope.spawn(|| {
                let trail = log.trail();
                (0..LINES).for_each(|_| say(&trail, "more").unwrap());
            })
        });
        while writers.iter().any(|writer| !writer.is_finished()) {
            let report = log.verify(None).unwrap();
            assert_eq!((report.fault, report.recovered), (None, 0));
        }
    });
    assert_eq!(log.assert_right().lines, 1 + 2 * LINES as u64);
}
