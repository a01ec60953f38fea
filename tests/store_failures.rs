//! Disks that are full, read-only, or gone. File systems are mounted in a mount namespace of the child's own,
//! so nothing of them outlives it.

mod store_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use cyborg_kms::call::Call;
use cyborg_kms::error::{Error, Status};
use cyborg_kms::name::IndexName;
use cyborg_kms::store::{Expected, Store};
use store_support::*;

/// Runs `test` again, after `mount` has mounted what it wants at "$ROOT" for that process alone.
#[track_caller]
fn with_mounted(mount: &str, test: &str, root: &Path) {
    let script =
        format!("{mount} || {{ echo 'this test needs the right to mount: run it as root'; exit 1; }}");
    let script = format!("{script}; exec \"$0\" \"$@\"");
    let before = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", &script];
    let mut command = again(&before, test, "mounted", &[root.to_str().unwrap()]);
    succeed(command.env("ROOT", root));
}

fn try_get(store: &dyn Store, raw: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(store.get(&Call::unbounded(), &name(raw))?.map(|stored| stored.bytes))
}

fn try_list(store: &dyn Store) -> Result<usize, Error> {
    let mut count = 0;
    let mut visit = |_: &IndexName| {
        count += 1;
        true
    };
    store.list(&Call::unbounded(), None, &mut visit)?;
    Ok(count)
}

#[test]
fn a_full_disk_keeps_the_old_record_and_takes_the_new_one_when_there_is_space() {
    const TEST: &str = "a_full_disk_keeps_the_old_record_and_takes_the_new_one_when_there_is_space";
    let Some((_, arguments)) = role() else {
        let folder = tempfile::tempdir().unwrap();
        with_mounted("mount -t tmpfs -o size=256k,nr_inodes=64 tmpfs \"$ROOT\"", TEST, folder.path());
        return assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "it was not mounted apart");
    };
    let root = Path::new(&arguments[0]);
    let store = at(root);
    put(&*store, "a", b"old", Expected::Absent).unwrap();
    // No bytes left: the lock's file can be made, the temporary one can't be filled.
    let filler = root.join("filler");
    fs::write(&filler, vec![0; 512 * 1024]).unwrap_err();
    let words = [&*arguments[0], "No space left", "free some space"];
    for raw in ["a", "b", "c"] {
        let error = assert_fails(put(&*store, raw, &[7; 5000], Expected::Any), Status::Storage, &words);
        assert!(!error.is_outcome_unknown());
    }
    assert_fails(put(&*store, "d", &[7; 5000], Expected::Absent), Status::Storage, &words);
    assert!(left_over(root).is_empty());
    assert_eq!(get(&*store, "a").unwrap(), b"old");
    assert_eq!(names(&*store, None), ["a"]);
    remove(&*store, "a").unwrap();
    fs::remove_file(&filler).unwrap();
    put(&*store, "a", &[7; 5000], Expected::Absent).unwrap();
    // No inodes left.
    let mut fillers = 0;
    while fs::write(root.join(format!("filler {fillers}")), b"").is_ok() {
        fillers += 1;
    }
    assert_fails(put(&*store, "a", b"new", Expected::Any), Status::Storage, &words);
    assert_eq!(get(&*store, "a").unwrap(), [7; 5000]);
    (0..fillers).for_each(|number| fs::remove_file(root.join(format!("filler {number}"))).unwrap());
    put(&*store, "a", b"new", Expected::Any).unwrap();
    assert_eq!(get(&*store, "a").unwrap(), b"new");
}

#[test]
fn a_read_only_file_system_is_read_and_refuses_changes() {
    const TEST: &str = "a_read_only_file_system_is_read_and_refuses_changes";
    let Some((_, arguments)) = role() else {
        let folder = tempfile::tempdir().unwrap();
        let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
        put(&*at(&full), "a", b"old", Expected::Absent).unwrap();
        fs::create_dir(&empty).unwrap();
        let mount = "mount --bind \"$ROOT\" \"$ROOT\" && mount -o remount,bind,ro \"$ROOT\"";
        with_mounted(mount, TEST, folder.path());
        return assert_eq!(get(&*at(&full), "a").unwrap(), b"old");
    };
    let root = Path::new(&arguments[0]);
    let store = at(&root.join("full"));
    assert_eq!(get(&*store, "a").unwrap(), b"old");
    assert_eq!(names(&*store, None), ["a"]);
    let words = [&*arguments[0], "read-only", "mount it writable"];
    assert_fails(put(&*store, "a", b"new", Expected::Any), Status::Storage, &words);
    assert_fails(put(&*store, "b", b"new", Expected::Absent), Status::Storage, &words);
    assert_fails(remove(&*store, "a"), Status::Storage, &words);
    assert_eq!(get(&*store, "a").unwrap(), b"old");
    // A root without a catalog is an empty store, until someone wants to write.
    let store = at(&root.join("empty"));
    assert_eq!(get(&*store, "a"), None);
    assert_eq!(names(&*store, None), Vec::<String>::new());
    assert_fails(put(&*store, "a", b"new", Expected::Absent), Status::Storage, &words);
    let missing = root.join("missing");
    let opened = cyborg_kms::store::open(missing.to_str().unwrap());
    assert_fails(opened, Status::Storage, &["missing", "mount it writable"]);
}

#[test]
fn a_store_of_another_user_refuses_changes() {
    const TEST: &str = "a_store_of_another_user_refuses_changes";
    let Some((_, arguments)) = role() else {
        let folder = tempfile::tempdir().unwrap();
        let (root, program) = (folder.path().join("store"), folder.path().join("program"));
        put(&*at(&root), "a", b"old", Expected::Absent).unwrap();
        for path in [&root.join("_catalog"), &records(&root), &root, folder.path()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // This program lies where only its builder may look: nobody runs a copy.
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let script = "program=$1; shift; exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$program\" \
                      \"$@\"";
        let before = ["sh", "-c", &format!("set -- '{}' \"$@\"; {script}", program.display())];
        let arguments = [root.to_str().unwrap()];
        succeed(again(&before, TEST, "nobody", &arguments).current_dir(folder.path()));
        return assert_eq!(get(&*at(&root), "a").unwrap(), b"old");
    };
    let store = at(Path::new(&arguments[0]));
    let words = [&*arguments[0], "Permission denied", "run as the user that owns it"];
    // Listing needs the folder's mode only, the record has one of its own.
    assert_eq!(names(&*store, None), ["a"]);
    assert_fails(try_get(&*store, "a"), Status::Storage, &words);
    assert_fails(put(&*store, "b", b"new", Expected::Absent), Status::Storage, &words);
    assert_fails(remove(&*store, "a"), Status::Storage, &words);
}

#[test]
fn a_folder_that_disappears_is_not_an_empty_store() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for taken_away in [root.clone(), root.join("_catalog"), records(&root)] {
        let store = at(&root);
        put(&*store, "a", b"old", Expected::Any).unwrap();
        let aside = folder.path().join("aside");
        fs::rename(&taken_away, &aside).unwrap();
        let words = ["has disappeared", taken_away.to_str().unwrap()];
        let words = if taken_away == root { &words[..] } else { &words[..1] };
        assert_fails(try_get(&*store, "a"), Status::Storage, words);
        assert_fails(try_get(&*store, "none"), Status::Storage, words);
        assert_fails(try_list(&*store), Status::Storage, words);
        assert_fails(put(&*store, "a", b"new", Expected::Any), Status::Storage, words);
        assert_fails(put(&*store, "b", b"new", Expected::Absent), Status::Storage, words);
        assert_fails(remove(&*store, "a"), Status::Storage, words);
        assert!(!taken_away.exists(), "nothing was made in its place");
        // When it is back, so is the store.
        fs::rename(&aside, &taken_away).unwrap();
        assert_eq!(get(&*store, "a").unwrap(), b"old");
        put(&*store, "a", b"new", Expected::Any).unwrap();
    }
}

#[test]
fn a_folder_that_was_made_anew_is_written_not_the_one_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let store = at(&root);
    put(&*store, "a", b"old", Expected::Absent).unwrap();
    fs::remove_dir_all(&root).unwrap();
    let other = at(&root);
    assert_eq!(get(&*store, "a"), None);
    put(&*store, "a", b"new", Expected::Absent).unwrap();
    assert_eq!(get(&*other, "a").unwrap(), b"new");
    assert_eq!(names(&*other, None), ["a"]);
}

#[test]
fn a_lock_file_that_was_removed_keeps_nobody_out_and_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = at(folder.path());
    put(&*store, "a", b"old", Expected::Absent).unwrap();
    let lock = fs::read_dir(private(folder.path())).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&lock).unwrap();
    put(&*store, "a", b"new", Expected::Any).unwrap();
    assert!(lock.is_file());
    // The folder of the locks too: a backup may leave out what starts with a dot.
    fs::remove_dir_all(private(folder.path())).unwrap();
    put(&*store, "a", b"newer", Expected::Any).unwrap();
    assert!(lock.is_file());
    assert_eq!(get(&*store, "a").unwrap(), b"newer");
}

#[test]
fn a_root_that_is_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    for root in [file.clone(), file.join("below")] {
        let opened = cyborg_kms::store::open(root.to_str().unwrap());
        assert_fails(opened, Status::Storage, &["file", "give the path of a folder"]);
    }
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("real"), &link).unwrap();
    fs::create_dir(folder.path().join("real")).unwrap();
    put(&*at(&link), "a", b"x", Expected::Absent).unwrap();
    assert_eq!(get(&*at(&folder.path().join("real")), "a").unwrap(), b"x");
}

#[test]
fn the_tools_that_these_tests_use_are_there() {
    for tool in ["unshare", "setpriv", "strace", "flock"] {
        let found = Command::new(tool).arg("--version").output();
        assert!(found.is_ok_and(|output| output.status.success()), "install {tool} (util-linux, strace)");
    }
}
