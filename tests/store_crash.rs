//! The disk store under strace: killed at, and failing in, each system call of a change.

mod store_support;

use std::path::Path;

use cyborg_kms::error::{Error, Status};
use cyborg_kms::store::{Expected, Store};
use store_support::*;

const OLD: &[u8] = b"the old record";
const NEW: &[u8] = b"the new record, which is longer";
const CHANGES: [&str; 4] = ["create", "replace", "push", "remove"];

/// The calls that reach the file system. The others are the allocator's, the clock's and the trace's own.
const FILE_CALLS: [&str; 14] = [
    "openat",
    "fstat",
    "newfstatat",
    "statx",
    "flock",
    "read",
    "write",
    "fchmod",
    "fdatasync",
    "linkat",
    "renameat",
    "renameat2",
    "fsync",
    "unlinkat",
];

fn before(change: &str) -> Option<&'static [u8]> {
    (change != "create").then_some(OLD)
}

fn after(change: &str) -> Option<&'static [u8]> {
    (change != "remove").then_some(NEW)
}

fn make(store: &dyn Store, change: &str) -> Result<(), Error> {
    match change {
        "create" => put(store, "a", NEW, Expected::Absent),
        "replace" => replace(store, "a", OLD, NEW),
        "push" => put(store, "a", NEW, Expected::Any),
        _ => remove(store, "a"),
    }
}

/// In the child: makes the change between two marks, and says how it went.
fn child(arguments: &[String]) {
    let store = at(Path::new(&arguments[0]));
    meet_traced();
    mark("begin");
    let outcome = make(&*store, &arguments[1]);
    mark("end");
    match outcome {
        Ok(()) => println!("\nmade"),
        Err(error) => println!("\n{}|{}|{}", error.status(), error.is_outcome_unknown(), error.message()),
    }
}

/// A store in the state before the change.
fn prepared(change: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = at(folder.path());
    if let Some(old) = before(change) {
        put(&*store, "a", old, Expected::Absent).unwrap();
    }
    folder
}

/// Makes the change in a child under strace, with what is injected; its trace and what it printed.
fn trace(test: &str, change: &str, root: &Path, injected: &[String]) -> (String, std::process::Output) {
    traced(again(&[], test, change, &[root.to_str().unwrap(), change]), injected)
}

/// The system calls of a change that nothing disturbs.
fn calls_of(test: &str, change: &str) -> Vec<SystemCall> {
    let folder = prepared(change);
    let (trace, output) = trace(test, change, folder.path(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(get(&*at(folder.path()), "a").as_deref(), after(change));
    marked_calls(&trace)
}

fn assert_usable_again(root: &Path, what: &str) {
    let store = at(root);
    put(&*store, "a", b"after", Expected::Any).unwrap();
    assert_eq!(get(&*store, "a").unwrap(), b"after", "{what}");
    assert_eq!(names(&*store, None), ["a"], "{what}");
    assert_eq!(left_over(root), Vec::<std::path::PathBuf>::new(), "{what}");
}

#[test]
fn killed_at_any_system_call_the_record_is_the_old_or_the_new_one() {
    const TEST: &str = "killed_at_any_system_call_the_record_is_the_old_or_the_new_one";
    if let Some((_, arguments)) = role() {
        return child(&arguments);
    }
    for change in CHANGES {
        let (mut seen_old, mut seen_new, mut seen_left_over) = (false, false, false);
        for SystemCall { kind, number, line } in calls_of(TEST, change) {
            let what = format!("{change} killed at {line}");
            let folder = prepared(change);
            let inject = [format!("{kind}:signal=KILL:when={number}")];
            let (trace, output) = trace(TEST, change, folder.path(), &inject);
            assert!(!output.status.success(), "{what}: not killed");
            assert!(trace.contains("/mark/begin\"") && !trace.contains("/mark/end\""), "{what}:\n{trace}");
            let found = get(&*at(folder.path()), "a");
            assert!(found.as_deref() == before(change) || found.as_deref() == after(change), "{what}");
            assert_eq!(names(&*at(folder.path()), None).len(), usize::from(found.is_some()), "{what}");
            seen_old |= found.as_deref() == before(change);
            seen_new |= found.as_deref() == after(change);
            seen_left_over |= !left_over(folder.path()).is_empty();
            assert_usable_again(folder.path(), &what);
        }
        assert!(seen_old && seen_new, "{change}: killed before and after the point of no return");
        assert_eq!(seen_left_over, change != "remove", "{change}: killed with a temporary file there");
    }
}

#[test]
fn whatever_system_call_fails_the_answer_is_true() {
    const TEST: &str = "whatever_system_call_fails_the_answer_is_true";
    if let Some((_, arguments)) = role() {
        return child(&arguments);
    }
    for change in CHANGES {
        let calls = calls_of(TEST, change);
        for SystemCall { kind, number, line } in calls.iter().filter(|call| FILE_CALLS.contains(&&*call.kind))
        {
            let what = format!("{change} failing at {line}");
            let folder = prepared(change);
            let inject = [format!("{kind}:error=EIO:when={number}")];
            let (trace, output) = trace(TEST, change, folder.path(), &inject);
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stdout));
            assert!(trace.contains("(INJECTED)"), "{what}:\n{trace}");
            let found = get(&*at(folder.path()), "a");
            let said = String::from_utf8(output.stdout).unwrap();
            if said.contains("\nmade\n") {
                assert_eq!(found.as_deref(), after(change), "{what}: {said}");
            } else if said.contains("\nSTORAGE|false|") {
                assert_eq!(found.as_deref(), before(change), "{what}: {said}");
            } else {
                assert!(said.contains("\nSTORAGE|true|"), "{what}: {said}");
                let is_placed = ["linkat", "renameat", "renameat2", "unlinkat", "fsync"].contains(&&**kind);
                assert!(is_placed, "{what} says that the outcome is unknown");
            }
            assert_usable_again(folder.path(), &what);
        }
    }
}

#[test]
fn what_a_file_system_cannot_do_is_said_and_what_can_be_done_instead_is_done() {
    const TEST: &str = "what_a_file_system_cannot_do_is_said_and_what_can_be_done_instead_is_done";
    if let Some((_, arguments)) = role() {
        return child(&arguments);
    }
    // The change, what fails and how, what the call says, whether the new record is there.
    let cases: &[(&str, &[&str], &str, bool)] = &[
        ("create", &["linkat:error=EPERM"], "made", true),
        ("create", &["linkat:error=EOPNOTSUPP"], "made", true),
        ("create", &["linkat:error=EPERM", "renameat2:error=EINVAL"], "UNSUPPORTED|false|", false),
        ("create", &["linkat:error=EEXIST"], "ALREADY_EXISTS|false|", false),
        ("create", &["flock:error=EOPNOTSUPP"], "UNSUPPORTED|false|", false),
        ("replace", &["flock:error=ENOLCK"], "STORAGE|false|locking", false),
        ("replace", &["fdatasync:error=ENOSPC"], "STORAGE|false|writing", false),
        ("replace", &["fdatasync:error=EDQUOT"], "STORAGE|false|writing", false),
        ("replace", &["fsync:error=EIO"], "STORAGE|true|the change is made", true),
        ("create", &["fsync:error=EIO"], "STORAGE|true|the change is made", true),
        ("remove", &["fsync:error=EIO"], "STORAGE|true|the change is made", true),
        ("replace", &["fdatasync:error=EINTR:when=1"], "made", true),
    ];
    for (change, injected, expected, is_made) in cases {
        let folder = prepared(change);
        let injected: Vec<String> = injected.iter().map(|&what| what.to_owned()).collect();
        let (trace, output) = trace(TEST, change, folder.path(), &injected);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(trace.contains("(INJECTED)"), "{change} {injected:?}:\n{trace}");
        assert!(said.contains(&format!("\n{expected}")), "{change} {injected:?}: {said}");
        let record = if *is_made { after(change) } else { before(change) };
        assert_eq!(get(&*at(folder.path()), "a").as_deref(), record, "{change} {injected:?}");
        assert!(left_over(folder.path()).is_empty(), "{change} {injected:?}");
    }
}

#[test]
fn a_change_is_made_durable_in_the_right_order() {
    const TEST: &str = "a_change_is_made_durable_in_the_right_order";
    if let Some((_, arguments)) = role() {
        return child(&arguments);
    }
    let orders = [
        ("create", "flock write fdatasync linkat unlinkat fsync flock"),
        ("replace", "flock write fdatasync renameat fsync flock"),
        ("push", "flock write fdatasync renameat fsync flock"),
        ("remove", "flock unlinkat fsync flock"),
    ];
    for (change, expected) in orders {
        let is_told = |call: &&SystemCall| {
            expected.contains(&call.kind) && !call.line.contains("ENOENT") // looking for what a crash left
        };
        let calls = calls_of(TEST, change);
        let order: Vec<&str> = calls.iter().filter(is_told).map(|call| &*call.kind).collect();
        assert_eq!(order.join(" "), expected, "{change}");
    }
}

#[test]
fn a_call_costs_the_same_with_one_record_and_with_ten_thousand() {
    const TEST: &str = "a_call_costs_the_same_with_one_record_and_with_ten_thousand";
    if let Some((role, arguments)) = role() {
        if role != "get" {
            return child(&arguments);
        }
        let store = at(Path::new(&arguments[0]));
        meet_traced();
        mark("begin");
        let found = get(&*store, "a");
        mark("end");
        return assert_eq!(found.unwrap(), OLD);
    }
    for change in ["get", "create", "replace", "push", "remove"] {
        let count = |others: usize| {
            let folder = prepared(change);
            for number in 0..others {
                std::fs::write(records(folder.path()).join(format!("b{number}.kms.cat")), OLD).unwrap();
            }
            let (trace, output) = trace(TEST, change, folder.path(), &[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let calls = marked_calls(&trace).into_iter().map(|call| call.kind);
            // The allocator and the scheduler are free to do what they like.
            let calls: Vec<String> =
                calls.filter(|kind| FILE_CALLS.contains(&&**kind) || kind == "close").collect();
            calls
        };
        let with_one = count(0);
        assert_eq!(with_one, count(10_000), "{change}");
        if change == "get" {
            assert_eq!(with_one.len(), 4, "open, look, read, close: {with_one:?}");
        }
    }
}

#[test]
fn too_many_open_files_is_said() {
    const TEST: &str = "too_many_open_files_is_said";
    if let Some((_, arguments)) = role() {
        let store = at(Path::new(&arguments[0]));
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        let words = [&*arguments[0], "too many open files", "ulimit"];
        let call = cyborg_kms::call::Call::unbounded();
        assert_fails(store.get(&call, &name("a")), Status::Storage, &words);
        assert_fails(put(&*store, "a", NEW, Expected::Any), Status::Storage, &words);
        assert_fails(store.list(&call, None, &mut |_| true), Status::Storage, &words);
        drop(taken);
        assert_eq!(get(&*store, "a").unwrap(), OLD);
        return put(&*store, "a", NEW, Expected::Any).unwrap();
    }
    let folder = prepared("push");
    let limited = ["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    succeed(&mut again(&limited, TEST, "limited", &[folder.path().to_str().unwrap()]));
    assert_eq!(get(&*at(folder.path()), "a").unwrap(), NEW);
}
