//! Many who append to one log: threads, processes, forked children; killed, on a full disk, into the next file.
#![allow(unsafe_code)] // Forks.

mod audit_support;
mod store_support;

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
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
use store_support::{SystemCall, again, assert_fails, mark, marked_calls, meet, meet_traced, role};
use store_support::{start_and_meet, succeed, traced};

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

fn append_raw(log: &Log, bytes: &[u8]) {
    OpenOptions::new().append(true).open(&log.path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn half_a_line_is_closed_and_verified_as_that() {
    for has_key in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path(), has_key);
        log.write(&["a", "b"]);
        let (whole, head) = (fs::read(&log.path).unwrap(), log.head());
        let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in second + 1..whole.len() - 1 {
            fs::write(&log.path, &whole[..cut]).unwrap();
            assert_fault(&log.fault(None), FaultKind::Torn, 2, "before it is closed");
            assert_eq!(log.head().seq, 1, "the head is that of the last whole line");
            log.write(&["c"]);
            let report = log.verify(None).unwrap();
            assert_eq!((report.fault, report.recovered, report.lines), (None, 1, 3), "cut at {cut}");
            assert_eq!(
                log.fault(Some(&head)).kind,
                FaultKind::Changed,
                "the head tells that a line was there"
            );
        }
        assert_eq!(fs::read(&log.path).unwrap().iter().filter(|byte| **byte == b'\n').count(), 4);
        // Closed once more behind it, and what stands there is covered.
        append_raw(&log, b"{\"seq\":");
        log.write(&["d"]);
        assert_eq!(log.verify(None).unwrap().recovered, 2);
        let text = fs::read(&log.path).unwrap();
        for at in second..second + 40 {
            let mut changed = text.clone();
            changed[at] ^= 1;
            fs::write(&log.path, &changed).unwrap();
            assert_eq!(log.fault(None).seq, 2, "byte {at} of what is torn");
        }
    }
}

#[test]
fn a_line_that_lacks_its_newline_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    log.write(&["a", "b"]);
    let whole = fs::read(&log.path).unwrap();
    fs::write(&log.path, &whole[..whole.len() - 1]).unwrap();
    log.write(&["c"]);
    let report = log.assert_right();
    assert_eq!((report.lines, report.recovered), (3, 0));
}

#[test]
fn whatever_stands_behind_the_last_line_is_closed() {
    for rubbish in [&b"\0\0\0\0"[..], b"\n", b"\n\n", b"x\ny", b"x\ny\n", b"\xff\n{}", &[b'z'; 100_000]] {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path(), true);
        log.write(&["a"]);
        append_raw(&log, rubbish);
        log.fault(None);
        log.write(&["b"]);
        let report = log.verify(None).unwrap();
        assert_eq!((report.fault, report.recovered, report.lines), (None, 1, 3), "{rubbish:?}");
        log.write(&["c"]);
        assert_eq!(log.verify(None).unwrap().fault, None);
    }
    // A file that never had a line.
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), true);
    fs::write(&log.path, "{\"seq\":1,").unwrap();
    log.write(&["a"]);
    assert_eq!(log.assert_right().recovered, 1);
}

#[test]
fn half_a_first_line_of_a_next_file_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log { max_size: 1, ..Log::new(folder.path(), true) };
    log.write(&["a", "b"]);
    let whole = fs::read(&log.path).unwrap();
    for left in [&whole[..0], &whole[..1], &whole[..whole.len() / 2]] {
        fs::write(&log.path, left).unwrap();
        assert_eq!(log.head().seq, 1);
        log.write(&["c"]);
        let report = log.verify(None).unwrap();
        assert_eq!((report.fault, report.recovered), (None, u64::from(!left.is_empty())));
        let full = log.files();
        full[1..].iter().for_each(|file| fs::remove_file(file).unwrap());
    }
    // The file before is torn, too: it never happens, but what happens is closed.
    append_raw(&Log { path: log.files()[0].clone(), ..log.clone() }, b"half");
    fs::write(&log.path, b"a line").unwrap();
    log.write(&["c"]);
    let report = log.verify(None).unwrap();
    assert_eq!((report.fault, report.recovered), (None, 1));
}

type Prepare<'a> = &'a dyn Fn(&Log);

#[test]
fn killed_at_any_system_call_the_log_goes_on() {
    const TEST: &str = "killed_at_any_system_call_the_log_goes_on";
    const MAX_SIZE: u64 = 600;
    if let Some((_, arguments)) = role() {
        let trail = at(&arguments[0], MAX_SIZE).trail();
        meet_traced();
        mark("begin");
        let said = say(&trail, "new");
        mark("end");
        said.unwrap();
        return;
    }
    // What was there before: nothing, a line, a file that is full, half a line.
    let prepare: [(&str, Prepare); 4] = [
        ("nothing", &|_| {}),
        ("a line", &|log| log.write(&["old"])),
        ("a full file", &|log| log.write(&["old", "older"])),
        ("half a line", &|log| {
            log.write(&["old"]);
            append_raw(log, b"{\"seq\":2,\"ti");
        }),
    ];
    let prepared = |prepare: Prepare| {
        let folder = tempfile::tempdir().unwrap();
        let log = Log { max_size: MAX_SIZE, ..Log::new(folder.path(), true) };
        prepare(&log);
        (folder, log)
    };
    let trace = |folder: &Path, injected: &[String]| {
        traced(again(&[], TEST, "writer", &[folder.to_str().unwrap()]), injected)
    };
    for (what, prepare) in prepare {
        let (folder, log) = prepared(prepare);
        let (whole, output) = trace(folder.path(), &[]);
        assert!(output.status.success(), "{what}");
        assert_eq!(log.assert_right().recovered, u64::from(what == "half a line"));
        assert_eq!(log.files().len(), if what == "a full file" { 2 } else { 1 });
        let (mut with, mut without) = (0, 0);
        for SystemCall { kind, number, line } in marked_calls(&whole) {
            let (folder, log) = prepared(prepare);
            let (_, output) = trace(folder.path(), &[format!("{kind}:signal=KILL:when={number}")]);
            assert!(!output.status.success(), "{what}: not killed at {line}");
            log.write(&["after"]);
            let names = log.text();
            let names = names.matches("\"index\":\"new\"").count();
            assert!(names <= 1, "{what} killed at {line}");
            (with, without) = (with + names, without + 1 - names);
            let report = log.verify(Some(&log.head())).unwrap();
            assert_eq!(report.fault, None, "{what} killed at {line}");
            let old = if what == "nothing" { 0 } else { 1 + u64::from(what == "a full file") };
            assert_eq!(report.lines, old + names as u64 + 1 + report.recovered, "{what} killed at {line}");
        }
        assert!(with > 0 && without > 0, "{what}: killed before and after the line was there");
    }
}

#[test]
fn killed_at_random_no_line_that_was_confirmed_is_missing() {
    const TEST: &str = "killed_at_random_no_line_that_was_confirmed_is_missing";
    const ROUNDS: usize = 12;
    if let Some((_, arguments)) = role() {
        let trail = at(&arguments[0], 4000).trail();
        meet();
        for number in 0.. {
            say(&trail, &format!("{} {number}", arguments[1])).unwrap();
            println!("\nsaid {} {number}", arguments[1]);
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = Log { max_size: 4000, ..Log::new(folder.path(), true) };
    let mut confirmed = HashSet::new();
    for round in 0..ROUNDS {
        let name = |who: &str| format!("{round}{who}");
        let start = |who: &str| {
            start_and_meet(again(&[], TEST, "writer", &[folder.path().to_str().unwrap(), &name(who)])).0
        };
        let mut children = [start("x"), start("y")];
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        std::thread::sleep(Duration::from_micros(1000 * 7_u64.pow(round as u32 % 3) + 777 * round as u64));
        children.iter_mut().for_each(|child| child.kill().unwrap());
        for child in children {
            let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
            confirmed.extend(output.lines().filter_map(|line| line.strip_prefix("said ")).map(str::to_owned));
        }
        log.write(&["after"]);
        assert_eq!(log.verify(None).unwrap().fault, None);
    }
    assert!(confirmed.len() > ROUNDS, "nothing was said before the kills");
    let there: HashSet<String> = log.text().lines().filter_map(index_of).collect();
    let missing: Vec<&String> = confirmed.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn index_of(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(line["index"].as_str()?.to_owned())
}

#[test]
fn whatever_system_call_fails_the_answer_is_true() {
    const TEST: &str = "whatever_system_call_fails_the_answer_is_true";
    if let Some((_, arguments)) = role() {
        let trail = at(&arguments[0], 600).trail();
        meet_traced();
        mark("begin");
        let said = say(&trail, "new");
        mark("end");
        println!(
            "\n{}",
            said.map_or_else(|error| format!("{}|{}", error.status(), error.message()), |()| "said".into())
        );
        return;
    }
    let prepared = || {
        let folder = tempfile::tempdir().unwrap();
        let log = Log { max_size: 600, ..Log::new(folder.path(), true) };
        log.write(&["old", "older"]);
        (folder, log)
    };
    let trace = |folder: &Path, injected: &[String]| {
        traced(again(&[], TEST, "writer", &[folder.to_str().unwrap()]), injected)
    };
    let (folder, _log) = prepared();
    let (whole, _) = trace(folder.path(), &[]);
    let kinds = [
        "openat",
        "fstat",
        "flock",
        "pread64",
        "write",
        "fchmod",
        "fdatasync",
        "fsync",
        "renameat2",
        "getdents64",
    ];
    let mut failed = 0;
    for SystemCall { kind, number, line } in marked_calls(&whole) {
        if !kinds.contains(&&*kind) {
            continue;
        }
        let (folder, log) = prepared();
        let (_, output) = trace(folder.path(), &[format!("{kind}:error=EIO:when={number}")]);
        assert!(output.status.success(), "failing at {line}");
        let said = String::from_utf8(output.stdout).unwrap();
        let is_there = log.text().contains("\"index\":\"new\"");
        if said.contains("\nsaid\n") {
            assert!(is_there, "failing at {line}: {said}");
        } else {
            assert!(said.contains("\nSTORAGE|nothing was done"), "failing at {line}: {said}");
            // After a failed fdatasync nobody knows.
            assert!(!is_there || kind == "fdatasync", "failing at {line}: {said}");
            failed += 1;
        }
        log.write(&["after"]);
        assert_eq!(log.verify(None).unwrap().fault, None, "failing at {line}");
    }
    assert!(failed > 5, "only {failed} failures");
}

#[test]
fn a_full_disk_fails_the_line_and_leaves_no_half_of_it() {
    const TEST: &str = "a_full_disk_fails_the_line_and_leaves_no_half_of_it";
    let Some((_, arguments)) = role() else {
        let folder = tempfile::tempdir().unwrap();
        let mount = "mount -t tmpfs -o size=64k tmpfs \"$ROOT\" || { echo 'run this test as root'; exit 1; }";
        let script = format!("{mount}; exec \"$0\" \"$@\"");
        let before = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", &script];
        let mut command = again(&before, TEST, "mounted", &[folder.path().to_str().unwrap()]);
        succeed(command.env("ROOT", folder.path()));
        return;
    };
    let root = Path::new(&arguments[0]);
    let log = Log::new(root, true);
    let trail = log.trail();
    say(&trail, "first").unwrap();
    let filler = root.join("filler");
    fs::write(&filler, vec![0; 128 << 10]).unwrap_err();
    // The last page of the file has some room yet.
    let mut said = 1;
    let error = loop {
        match say(&trail, "x") {
            Ok(()) => said += 1,
            Err(error) => break error,
        }
        assert!(said < 1000, "the disk is not full");
    };
    assert_eq!(error.status(), Status::Storage);
    let words = ["nothing was done", "No space left", "free some space", "audit.on_error"];
    words.iter().for_each(|word| assert!(error.message().contains(word), "{error}"));
    assert_eq!(log.assert_right().lines, said, "nothing of the line that failed");
    assert_eq!(trail.failures(), 1);
    fs::remove_file(&filler).unwrap();
    say(&trail, "after").unwrap();
    assert_eq!(log.assert_right().lines, said + 1);
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
    let folder = tempfile::tempdir().unwrap();
    let log = Log { max_size: 3000, ..Log::new(folder.path(), true) };
    log.write(&["first"]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let trail = log.trail();
                while !is_over.load(Ordering::Relaxed) {
                    say(&trail, "more").unwrap();
                }
            });
        }
        for _ in 0..40 {
            let report = log.verify(None).unwrap();
            assert_eq!((report.fault, report.recovered), (None, 0));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(log.assert_right().lines > 40);
}
