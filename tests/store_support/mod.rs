//! What the stores' tests share: calls in short, and this test program started again as another process.
#![allow(dead_code)] // Each test program uses a part.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use cyborg_kms::call::Call;
use cyborg_kms::error::{Error, Status};
use cyborg_kms::name::IndexName;
use cyborg_kms::store::{Expected, Revision, Store, open};

const ROLE: &str = "CYBORG_KMS_TEST_ROLE";
const ARGUMENTS: &str = "CYBORG_KMS_TEST_ARGUMENTS";

pub fn name(raw: &str) -> IndexName {
    IndexName::new(raw).unwrap()
}

pub fn at(path: &Path) -> Arc<dyn Store> {
    open(path.to_str().unwrap()).unwrap()
}

pub fn get(store: &dyn Store, raw: &str) -> Option<Vec<u8>> {
    store.get(&Call::unbounded(), &name(raw)).unwrap().map(|stored| stored.bytes)
}

pub fn put(store: &dyn Store, raw: &str, bytes: &[u8], expected: Expected<'_>) -> Result<(), Error> {
    store.put(&Call::unbounded(), &name(raw), bytes, expected)
}

pub fn replace(store: &dyn Store, raw: &str, old: &[u8], new: &[u8]) -> Result<(), Error> {
    put(store, raw, new, Expected::Revision(&Revision::Content(old.to_vec())))
}

pub fn remove(store: &dyn Store, raw: &str) -> Result<(), Error> {
    store.remove(&Call::unbounded(), &name(raw), Expected::Any)
}

pub fn names(store: &dyn Store, after: Option<&str>) -> Vec<String> {
    let mut names = Vec::new();
    let after = after.map(name);
    let mut visit = |name: &IndexName| {
        names.push(name.as_str().to_owned());
        true
    };
    store.list(&Call::unbounded(), after.as_ref(), &mut visit).unwrap();
    names
}

#[track_caller]
pub fn assert_fails<T: std::fmt::Debug>(outcome: Result<T, Error>, status: Status, words: &[&str]) -> Error {
    let error = outcome.expect_err("it should have failed");
    assert_eq!(error.status(), status, "{error:?}");
    for word in words {
        assert!(error.message().contains(word), "{word:?} is missing in: {error:?}");
    }
    error
}

pub fn records(root: &Path) -> PathBuf {
    root.join("_catalog/config")
}

pub fn private(root: &Path) -> PathBuf {
    root.join("_catalog/.cyborg_kms")
}

/// The temporary files that are left in a store.
pub fn left_over(root: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(private(root))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("lock-"))
        .collect()
}

/// In a process that `again` started: the role it plays and its arguments.
pub fn role() -> Option<(String, Vec<String>)> {
    let role = std::env::var(ROLE).ok()?;
    let arguments = std::env::var(ARGUMENTS).unwrap();
    Some((role, arguments.split('\u{1f}').map(str::to_owned).collect()))
}

/// This test program again, as another process that runs `test`, which asks for its `role` first.
/// `before` is the command that starts it, such as strace with its options.
pub fn again(before: &[&str], test: &str, role: &str, arguments: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match before.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(ARGUMENTS, arguments.join("\u{1f}"));
    command
}

#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start ({error}): install what it names"));
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{text}");
    // A misspelt test name would run nothing and succeed.
    assert!(text.contains("1 passed"), "{command:?} ran nothing:\n{text}");
    text
}

/// Says on standard output that this thread of a child got so far, and waits for the end of standard input.
pub fn meet() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    println!("\nhere {}", thread.file_name().unwrap().to_str().unwrap());
    std::io::stdout().flush().unwrap();
    // Another thread reads: whether strace counts the call in which it finds a thread is left to chance.
    std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()).unwrap()).join().unwrap();
}

/// Starts a child and waits until it says "here", with what stands behind that.
/// It goes on when its standard input is closed.
pub fn start_and_meet(mut command: Command) -> (Child, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("here") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended before it was ready");
    }
    child.stdout = Some(output.into_inner());
    (child, line.trim_start_matches("here").trim().to_owned())
}

/// Starts a child that waits in `meet_traced`, and traces the thread that waits from there to its end, with
/// what is injected (strace's `--inject`). Other threads, and how the program was loaded, are not in the trace.
pub fn traced(command: Command, injected: &[String]) -> (String, Output) {
    let (mut child, thread) = start_and_meet(command);
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-s", "256", "-p", &thread, "-o"]).arg(log.path());
    strace.args(injected.iter().map(|what| format!("--inject={what}")));
    let mut strace = strace
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("strace does not start ({error}): apt-get install strace"));
    let mut said = String::new();
    BufReader::new(strace.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("attached"), "strace can't trace a child of this test: {said}");
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    strace.wait().unwrap();
    (std::fs::read_to_string(log.path()).unwrap(), output)
}

/// In the child of `traced`: waits until this thread is traced.
pub fn meet_traced() {
    // Refused where the kernel has no such restriction.
    let _ = rustix::process::set_ptracer(rustix::process::PTracer::Any);
    meet();
}

/// Puts a mark into a trace of system calls.
pub fn mark(text: &str) {
    assert!(!Path::new("/mark").join(text).exists());
}

/// A system call of a trace: its name, which call of this name it is, and its line.
#[derive(Debug, Clone)]
pub struct SystemCall {
    pub kind: String,
    pub number: usize,
    pub line: String,
}

/// The system calls between the marks "begin" and "end".
pub fn marked_calls(trace: &str) -> Vec<SystemCall> {
    let mut counts = std::collections::HashMap::new();
    let mut calls = Vec::new();
    let mut is_between = false;
    for line in trace.lines() {
        let Some((kind, _)) = line.split_once('(') else { continue };
        let number = counts.entry(kind.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        if line.contains("\"/mark/end\"") {
            return calls;
        }
        if is_between {
            calls.push(SystemCall { kind: kind.to_owned(), number: *number, line: line.to_owned() });
        }
        is_between |= line.contains("\"/mark/begin\"");
    }
    panic!("the trace has no end mark:\n{trace}");
}
