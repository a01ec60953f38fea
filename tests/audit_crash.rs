//! A log whose writers are killed, whose disk is full, whose system calls fail: what is left is closed, and goes on.

mod audit_support;
mod store_support;

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use audit_support::*;
use cyborg_kms::audit::FaultKind;
use cyborg_kms::error::Status;
use store_support::{SystemCall, again, mark, marked_calls, meet, meet_traced, role};
use store_support::{start_and_meet, succeed, traced};

fn at(folder: &str, max_size: u64) -> Log {
    Log { path: Path::new(folder).join("audit.log"), has_key: true, max_size }
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
