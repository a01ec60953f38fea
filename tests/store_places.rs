//! The disk store where the disk does not help: full, read-only, gone.

mod store_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use cyborg_kms::error::Status;
use cyborg_kms::store::Expected;
use store_support::*;

/// A small file system of its own, which ends with the value.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(options: &str) -> Tmpfs {
        let folder = tempfile::tempdir().unwrap();
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], folder.path());
        Tmpfs(folder)
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], self.0.path());
    }
}

fn mount(arguments: &[&str], path: &Path) {
    let status = Command::new("mount").args(arguments).arg(path).status().unwrap();
    assert!(
        status.success(),
        "mount {arguments:?} {path:?} failed: these tests need root and the right to mount"
    );
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn files(root: &Path) -> usize {
    let count =
        |folder: &str| std::fs::read_dir(root.join("_catalog").join(folder)).map_or(0, Iterator::count);
    count("config") + count(".cyborg_kms")
}

#[test]
fn a_full_disk_loses_nothing_and_works_again_when_there_is_space() {
    let disk = Tmpfs::new("size=256k,mode=700");
    let store = at(&disk.root());
    put(&*store, "a", b"old", Expected::Absent).unwrap();
    // Its lock exists before the disk is full.
    put(&*store, "b", b"soon gone", Expected::Absent).unwrap();
    remove(&*store, "b").unwrap();
    let filling = disk.0.path().join("filling");
    let mut size = 512 << 10;
    while size > 0 {
        let mut bytes = std::fs::read(&filling).unwrap_or_default();
        bytes.resize(bytes.len() + size, 1);
        if std::fs::write(&filling, &bytes).is_err() {
            size /= 2;
        }
    }
    let before = files(&disk.root());
    let record = vec![7; 64 << 10];
    let created = put(&*store, "b", &record, Expected::Absent).unwrap_err();
    let replaced = replace(&*store, "a", b"old", &record).unwrap_err();
    for error in [created, replaced] {
        assert_eq!(error.status(), Status::Storage, "{error}");
        assert!(error.message().contains("free some space"), "{error}");
        assert!(!error.is_outcome_unknown());
    }
    assert_eq!(get(&*store, "a").unwrap(), b"old");
    assert_eq!(get(&*store, "b"), None);
    assert_eq!(files(&disk.root()), before, "something was left");

    std::fs::remove_file(&filling).unwrap();
    replace(&*store, "a", b"old", &record).unwrap();
    put(&*store, "b", &record, Expected::Absent).unwrap();
    assert_eq!((get(&*store, "a").unwrap(), get(&*store, "b").unwrap()), (record.clone(), record));
}

#[test]
fn a_read_only_disk_can_be_read() {
    let disk = Tmpfs::new("size=1m,mode=700");
    put(&*at(&disk.root()), "a", b"record", Expected::Absent).unwrap();
    disk.remount("ro");
    let store = at(&disk.root());
    assert_eq!(get(&*store, "a").unwrap(), b"record");
    assert_eq!(get(&*store, "b"), None);
    let outcomes = [
        put(&*store, "b", b"record", Expected::Absent),
        replace(&*store, "a", b"record", b"other"),
        remove(&*store, "a"),
    ];
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.status(), Status::Storage, "{error}");
        assert!(error.message().contains("read-only"), "{error}");
    }
    disk.remount("rw");
    replace(&*store, "a", b"record", b"other").unwrap();
}

#[test]
fn a_folder_that_disappears_is_not_an_empty_store() {
    let parent = tempfile::tempdir().unwrap();
    let (root, moved) = (parent.path().join("store"), parent.path().join("moved"));
    let store = at(&root);
    put(&*store, "a", b"record", Expected::Absent).unwrap();
    std::fs::rename(&root, &moved).unwrap();
    let errors = [
        store.get(&cyborg_kms::call::Call::unbounded(), &name("a")).map(|_| ()).unwrap_err(),
        store.get(&cyborg_kms::call::Call::unbounded(), &name("b")).map(|_| ()).unwrap_err(),
        put(&*store, "b", b"record", Expected::Absent).unwrap_err(),
        replace(&*store, "a", b"record", b"other").unwrap_err(),
        remove(&*store, "a").unwrap_err(),
        store.list(&cyborg_kms::call::Call::unbounded(), None, &mut |_| true).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.status(), Status::Storage, "{error}");
        assert!(error.message().contains("disappeared"), "{error}");
    }
    assert!(!root.exists(), "the store was begun anew without a word");
    std::fs::rename(&moved, &root).unwrap();
    assert_eq!(get(&*store, "a").unwrap(), b"record");
    replace(&*store, "a", b"record", b"other").unwrap();
}
