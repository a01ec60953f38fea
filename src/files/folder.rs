//! Folders: made for nobody else, opened.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::failure;
use crate::error::Result;

/// Makes a folder and what is missing above it, 0700 whatever the umask, so that a crash can't lose them.
pub(crate) fn make(path: &Path) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::NOENT) if path.parent().is_some() => {
            make(path.parent().unwrap_or(path))?;
            match rustix::fs::mkdir(path, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failure::storage("making the folder", path, errno)),
            }
        }
        // A read-only file system may answer ROFS, and a folder of others ACCESS, before it says EXIST.
        Err(_) if exists(path) => return Ok(()),
        Err(Errno::EXIST) => return Err(failure::storage("opening the folder", path, Errno::NOTDIR)),
        Err(errno) => return Err(failure::storage("making the folder", path, errno)),
    }
    let settle = || -> rustix::io::Result<()> {
        // By path: under a umask of 0777 even its maker can't open it yet.
        rustix::fs::chmod(path, Mode::RWXU)?;
        path.parent().map_or(Ok(()), |parent| retry_on_intr(|| rustix::fs::fsync(open(parent)?)))
    };
    settle().map_err(|errno| failure::storage("making the folder", path, errno))
}

/// Whether there is a folder.
pub(crate) fn exists(path: &Path) -> bool {
    rustix::fs::statat(CWD, path, AtFlags::empty()).is_ok_and(|stat| kind(&stat) == FileType::Directory)
}

pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A folder to work in.
pub(crate) fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
}
