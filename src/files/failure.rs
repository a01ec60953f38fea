//! What the operating system's errors mean, and what to do about them.

use std::path::Path;

use rustix::io::Errno;

use crate::error::{Error, fail};

/// `STORAGE`, with the path and what to do.
pub(crate) fn storage(doing: &str, path: &Path, errno: Errno) -> Error {
    let reason = std::io::Error::from(errno);
    let advice = match errno {
        Errno::NOSPC => "free some space on the file system, then try again",
        Errno::DQUOT => "free some space or raise the quota, then try again",
        Errno::ROFS => "the file system is mounted read-only: mount it writable",
        Errno::ACCESS | Errno::PERM => "run as the user that owns it, or give this one the right",
        Errno::MFILE => "this process has too many open files: close some, or raise `ulimit -n`",
        Errno::NFILE => "the system has too many open files: close some, or raise fs.file-max",
        Errno::NOENT => {
            "the folder is not there, or not any more: make, mount or restore it, then open the store anew"
        }
        Errno::NOTDIR => "a part of the path is not a folder: give the path of a folder",
        Errno::NAMETOOLONG => "the path is too long: choose one nearer to /",
        Errno::STALE => "the file system was exported or mounted anew: try again, or open the store anew",
        Errno::IO => "the device reports a fault: look into the system's log, and check the file system",
        _ => "check the file system",
    };
    fail!(Storage, "{doing} {path:?} failed ({reason}): {advice}")
}

/// The same for a call that changes what is stored: a device that fails may have done it all the same.
pub(crate) fn changing(doing: &str, path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::IO | Errno::TIMEDOUT | Errno::STALE => storage(doing, path, errno).with_outcome_unknown(),
        _ => storage(doing, path, errno),
    }
}
