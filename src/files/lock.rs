//! One writer at a time, in all processes, for the names that share a lock.

use std::fs::{File, TryLockError};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::failure;
use crate::call::Call;
use crate::error::{Error, Result, fail};
use crate::sys::fork;

/// Waiting starts with so short a sleep, then each is half as long again, up to `LONGEST_SLEEP`.
const FIRST_SLEEP: Duration = Duration::from_micros(100);
const LONGEST_SLEEP: Duration = Duration::from_millis(5);

/// A held lock. Locks belong to the open file, which threads do not share, so it keeps threads apart as well.
#[derive(Debug)]
pub(crate) struct LockGuard {
    file: File,
}

impl LockGuard {
    /// Takes the lock that `path` names, waiting until `timeout` or the call's deadline, whatever ends first.
    /// `Ok(None)`: the folder of the lock is missing.
    pub(crate) fn acquire(call: &Call, path: &Path, timeout: Duration) -> Result<Option<LockGuard>> {
        LockGuard::acquire_by(open_or_make, call, path, timeout)
    }

    /// The same for who must not write: `Ok(None)` where the lock's file is missing, too.
    pub(crate) fn acquire_existing(call: &Call, path: &Path, timeout: Duration) -> Result<Option<LockGuard>> {
        LockGuard::acquire_by(open, call, path, timeout)
    }

    fn acquire_by(open: Opener, call: &Call, path: &Path, timeout: Duration) -> Result<Option<LockGuard>> {
        let limits = call.within(timeout);
        let end = limits.deadline().unwrap_or_else(Instant::now);
        let mut sleep = FIRST_SLEEP;
        loop {
            let guard = match LockGuard::open(open, path) {
                Ok(guard) => guard,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(failure::storage("opening the lock", path, errno)),
            };
            if guard.wait(&limits, path, end, &mut sleep)? {
                return Ok(Some(guard));
            }
        }
    }

    /// Opens the lock's file; a child that is forked before `drop` closes it and so does not hold the lock.
    fn open(open: Opener, path: &Path) -> rustix::io::Result<LockGuard> {
        loop {
            let forks = fork::forks();
            let file = open(path)?;
            // Not around the opening: a file server that hangs must not keep the host from forking.
            let _no_fork = fork::no_fork();
            if fork::forks() == forks {
                // With hundreds of locks held at once one may go unheeded: then a child's copy lasts until it ends
                // or execs, and matters only where this process dies before it unlocks.
                fork::hold_fd(file.as_raw_fd());
                return Ok(LockGuard { file });
            }
        }
    }

    /// Whether the lock was had; `false`: its file is not at its path any more, so it keeps nobody out.
    fn wait(&self, call: &Call, path: &Path, end: Instant, sleep: &mut Duration) -> Result<bool> {
        loop {
            match self.file.try_lock() {
                Ok(()) => return self.is_at(path),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(cannot_lock(path, &error)),
            }
            if call.is_cancelled() {
                return Err(fail!(
                    Cancelled,
                    "the call was cancelled while another process or thread held the lock {path:?}"
                ));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(fail!(
                    Timeout,
                    "another process or thread holds the lock {path:?}: try again, or look for a process \
                     that hangs while writing (`lsof {}`)",
                    path.display()
                ));
            }
            std::thread::sleep(left.min(*sleep));
            *sleep = (*sleep * 3 / 2).min(LONGEST_SLEEP);
        }
    }

    fn is_at(&self, path: &Path) -> Result<bool> {
        let failed = |errno| failure::storage("looking at the lock", path, errno);
        let ours = rustix::fs::fstat(&self.file).map_err(failed)?;
        match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(failed(errno)),
        }
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Not left to close: a child that was forked meanwhile has the file open too, and would hold the lock on.
        // It can only fail for a lock that is not held.
        let _ = self.file.unlock();
        // Before the descriptor's number can be another file's; it is closed right behind this.
        fork::release_fd(self.file.as_raw_fd());
    }
}

type Opener = fn(&Path) -> rustix::io::Result<File>;

const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// Opens the lock's file.
fn open(path: &Path) -> rustix::io::Result<File> {
    retry_on_intr(|| rustix::fs::open(path, FLAGS, Mode::empty())).map(File::from)
}

/// The same; made once and never removed.
fn open_or_make(path: &Path) -> rustix::io::Result<File> {
    loop {
        match open(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let made: rustix::io::Result<OwnedFd> = retry_on_intr(|| {
            rustix::fs::open(path, FLAGS | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)
        });
        match made {
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
            Ok(made) => {
                rustix::fs::fchmod(&made, Mode::RUSR | Mode::WUSR)?;
                return Ok(File::from(made));
            }
        }
    }
}

fn cannot_lock(path: &Path, error: &std::io::Error) -> Error {
    let advice = "this file system can't lock files, so writers of several processes would overwrite each \
                  other: keep this on a local file system, or on NFS with its lock service";
    match error.kind() {
        std::io::ErrorKind::Unsupported | std::io::ErrorKind::InvalidInput => {
            fail!(Unsupported, "locking {path:?} failed ({error}): {advice}")
        }
        _ => fail!(Storage, "locking {path:?} failed ({error}): {advice}"),
    }
}
