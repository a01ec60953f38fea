//! What lies on disk: names, modes, sizes, files of others; and from a URL to a store.

mod store_support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use cyborg_kms::call::Call;
use cyborg_kms::error::Status;
use cyborg_kms::store::{Expected, MAX_RECORD, Revision, Store, open};
use store_support::*;

fn try_get(store: &dyn Store, raw: &str) -> Result<(), cyborg_kms::error::Error> {
    store.get(&Call::unbounded(), &name(raw)).map(drop)
}

#[test]
fn a_record_lies_where_cyborgdb_looks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = at(folder.path());
    let longest = "x".repeat(220);
    for raw in ["..", "a/b ü~%.-_!", ".", "plain", &longest] {
        put(&*store, raw, raw.as_bytes(), Expected::Absent).unwrap();
        assert_eq!(get(&*store, raw).unwrap(), raw.as_bytes());
    }
    for file in ["...kms.cat", "a%2Fb%20%C3%BC%7E%25.-_%21.kms.cat", "..kms.cat", "plain.kms.cat"] {
        assert!(records(folder.path()).join(file).is_file(), "{file}");
    }
    fs::write(records(folder.path()).join("theirs.kms.cat"), b"by CyborgDB").unwrap();
    assert_eq!(get(&*store, "theirs").unwrap(), b"by CyborgDB");
    assert_eq!(names(&*store, None), [".", "..", "a/b ü~%.-_!", "plain", "theirs", &longest]);
    assert_eq!(names(&*store, Some("..")), ["a/b ü~%.-_!", "plain", "theirs", &longest]);
    assert_eq!(names(&*store, Some(&longest)), Vec::<String>::new());
}

#[test]
fn what_is_no_record_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = at(folder.path());
    put(&*store, "mine", b"x", Expected::Absent).unwrap();
    let records = records(folder.path());
    let foreign =
        ["readme", ".kms.cat", "%2f.kms.cat", "a b.kms.cat", "%FF.kms.cat", "half.kms.cat.tmp", ".swp"];
    for file in foreign {
        fs::write(records.join(file), b"foreign").unwrap();
    }
    fs::create_dir(records.join("folder.kms.cat")).unwrap();
    symlink("mine.kms.cat", records.join("link.kms.cat")).unwrap();
    assert!(Command::new("mkfifo").arg(records.join("pipe.kms.cat")).status().unwrap().success());
    assert!(fs::metadata(records.join("pipe.kms.cat")).unwrap().file_type().is_fifo());

    assert_eq!(names(&*store, None), ["mine"]);
    for raw in ["folder", "link", "pipe"] {
        assert_fails(try_get(&*store, raw), Status::Corrupt, &["not a regular file", raw]);
        assert_fails(put(&*store, raw, b"x", Expected::Absent), Status::AlreadyExists, &[raw]);
    }
    // A link is replaced, not followed.
    put(&*store, "link", b"new", Expected::Any).unwrap();
    assert_eq!(get(&*store, "mine").unwrap(), b"x");
    assert_eq!(get(&*store, "link").unwrap(), b"new");
    assert_fails(put(&*store, "folder", b"x", Expected::Any), Status::Storage, &["folder.kms.cat"]);
    assert!(left_over(folder.path()).is_empty());
}

#[test]
fn a_record_has_at_most_a_mebibyte() {
    let folder = tempfile::tempdir().unwrap();
    for store in [at(folder.path()), open("memory://").unwrap()] {
        let largest = vec![7; MAX_RECORD];
        put(&*store, "a", &largest, Expected::Absent).unwrap();
        assert_eq!(get(&*store, "a").unwrap(), largest);
        let too_large = vec![7; MAX_RECORD + 1];
        let words = ["too large", "1048577"];
        assert_fails(put(&*store, "a", &too_large, Expected::Any), Status::InvalidArgument, &words);
        assert_fails(put(&*store, "b", &too_large, Expected::Absent), Status::InvalidArgument, &words);
        put(&*store, "empty", b"", Expected::Absent).unwrap();
        assert_eq!(get(&*store, "empty").unwrap(), b"");
        assert_eq!(names(&*store, None), ["a", "empty"]);
    }
    let store = at(folder.path());
    fs::write(records(folder.path()).join("b.kms.cat"), vec![7; MAX_RECORD + 1]).unwrap();
    assert_fails(try_get(&*store, "b"), Status::Corrupt, &["larger than 1048576"]);
    fs::File::create(records(folder.path()).join("c.kms.cat")).unwrap().set_len(1 << 40).unwrap();
    assert_fails(try_get(&*store, "c"), Status::Corrupt, &["larger than 1048576"]);
}

#[test]
fn nobody_else_may_read_whatever_the_umask() {
    const TEST: &str = "nobody_else_may_read_whatever_the_umask";
    if let Some((_, arguments)) = role() {
        let store = at(Path::new(&arguments[0]));
        put(&*store, "created", b"x", Expected::Absent).unwrap();
        put(&*store, "pushed", b"x", Expected::Any).unwrap();
        return replace(&*store, "pushed", b"x", b"y").unwrap();
    }
    for umask in ["000", "077", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/root");
        let under = ["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")];
        succeed(&mut again(&under, TEST, "writer", &[root.to_str().unwrap()]));
        let mut folders = vec![folder.path().join("new")];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o700, "{folder:?}");
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else {
                    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600, "{:?}", entry.path());
                    files += 1;
                }
            }
        }
        assert_eq!(files, 4, "two records, two locks, under umask {umask}");
    }
}

#[test]
fn an_existing_root_keeps_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
    put(&*at(folder.path()), "a", b"x", Expected::Absent).unwrap();
    assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o7777, 0o750);
}

#[test]
fn what_a_crash_left_is_unlinked_and_never_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = at(folder.path());
    put(&*store, "a", b"old", Expected::Absent).unwrap();
    let lock = fs::read_dir(private(folder.path())).unwrap().next().unwrap().unwrap();
    let temporary = lock.file_name().to_str().unwrap().replace("lock-", "tmp-");
    let temporary = private(folder.path()).join(temporary);
    let record = records(folder.path()).join("a.kms.cat");
    // As a crash between link and unlink leaves it: the record has two names.
    fs::hard_link(&record, &temporary).unwrap();
    let held = fs::File::open(&record).unwrap();
    put(&*store, "a", b"new", Expected::Any).unwrap();
    assert_eq!(std::io::read_to_string(held).unwrap(), "old", "the linked file is as it was");
    assert_eq!(get(&*store, "a").unwrap(), b"new");
    assert_eq!(fs::metadata(&record).unwrap().nlink(), 1);
    // A deleted record must not live on there.
    fs::hard_link(&record, &temporary).unwrap();
    remove(&*store, "a").unwrap();
    assert!(left_over(folder.path()).is_empty());
    // Nor is a link followed that someone put there.
    let victim = folder.path().join("victim");
    fs::write(&victim, b"untouched").unwrap();
    symlink(&victim, &temporary).unwrap();
    put(&*store, "a", b"x", Expected::Absent).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
}

#[test]
fn a_url_names_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    put(&*open(&format!("{path}/ü b")).unwrap(), "a", b"x", Expected::Absent).unwrap();
    for url in [
        format!("file://{path}/%C3%BC%20b"),
        format!("FILE://localhost{path}/ü b"),
        format!("{path}//ü b/"),
        format!("file://{path}/ü b/"),
    ] {
        assert_eq!(get(&*open(&url).unwrap(), "a").unwrap(), b"x", "{url}");
    }
    // In a plain path nothing is decoded or cut off.
    drop(open(&format!("{path}/a?b#c%20d")).unwrap());
    assert!(folder.path().join("a?b#c%20d").is_dir());

    let memory = open("memory://").unwrap();
    put(&*memory, "a", b"x", Expected::Absent).unwrap();
    assert_eq!(get(&*open("memory://").unwrap(), "a"), None, "a new one each time");
}

#[test]
fn a_relative_path_stays_where_it_was_when_the_process_moves() {
    const TEST: &str = "a_relative_path_stays_where_it_was_when_the_process_moves";
    if let Some((_, arguments)) = role() {
        let stores = [open("data").unwrap(), open("./x").unwrap()];
        std::env::set_current_dir("/").unwrap();
        for (store, folder) in stores.iter().zip(["data", "x"]) {
            put(&**store, "a", b"x", Expected::Absent).unwrap();
            assert!(records(&Path::new(&arguments[0]).join(folder)).join("a.kms.cat").is_file());
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = [folder.path().to_str().unwrap()];
    succeed(again(&[], TEST, "mover", &arguments).current_dir(folder.path()));
}

#[test]
fn a_url_that_means_nothing_is_refused() {
    use Status::{Config, InvalidArgument};
    let cases: &[(&str, Status, &str)] = &[
        ("", InvalidArgument, "empty"),
        ("https://example.org", Config, "s3://bucket/prefix"),
        ("memory://name", Config, "nothing behind it"),
        ("memory://?a=b", Config, "nothing behind it"),
        ("file:///data?mode=1", Config, "%3F"),
        ("file:///data#part", Config, "%23"),
        ("file://data", Config, "three slashes"),
        ("file://", Config, "three slashes"),
        ("file:/data", Config, "two slashes"),
        ("s3:bucket", Config, "two slashes"),
        ("file:///a%00b", InvalidArgument, "NUL"),
    ];
    for (url, status, word) in cases {
        let error = assert_fails(open(url), *status, &[word]);
        assert!(!error.message().contains("hidden"), "a query may hold a secret: {error:?}");
    }
}

#[test]
fn an_object_store_opens_where_it_is_built_in_and_is_refused_by_name_where_not() {
    for (url, feature, is_built_in) in [
        ("s3://bucket/prefix", "s3", cfg!(feature = "s3")),
        ("gs://bucket", "gs", cfg!(feature = "gs")),
        ("AZ://container?account=name", "az", cfg!(feature = "az")),
    ] {
        match open(url) {
            Ok(store) => {
                assert!(is_built_in, "{url}");
                assert!(!store.removes_conditionally() && !store.is_caller_thread_only());
            }
            Err(error) => {
                assert!(!is_built_in, "{url}: {error}");
                assert_fails(
                    Err::<(), _>(error),
                    Status::Unsupported,
                    &[&format!("the feature {feature:?}")],
                );
            }
        }
        if is_built_in {
            let error = assert_fails(
                open(&format!("{feature}://bucket?secret=hidden")),
                Status::Config,
                &["\"secret\""],
            );
            assert!(!error.message().contains("hidden"), "{error:?}");
        }
    }
}

#[test]
fn what_only_an_object_store_has_no_word_for_is_refused_there() {
    if !cfg!(feature = "s3") {
        return;
    }
    let store = open("s3://bucket/prefix?region=us-east-1").unwrap();
    let call = Call::unbounded();
    let foreign = Revision::Number(7);
    let removed = store.remove(&call, &name("a"), Expected::Absent);
    assert_fails(removed, Status::Unsupported, &["write a tombstone"]);
    let written = store.put(&call, &name("a"), b"x", Expected::Revision(&foreign));
    assert_fails(written, Status::Internal, &["another kind"]);
    let written = store.put(&call, &name("a"), &vec![0; MAX_RECORD + 1], Expected::Any);
    assert_fails(written, Status::InvalidArgument, &["too large"]);
}
