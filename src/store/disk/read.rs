//! Reading a record: open, look, read, close, however many records there are.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::error::{Error, Result, fail};
use crate::files::{failure, folder};
use crate::store::MAX_RECORD;

/// The record's bytes; `None` where no file is. `path` is for messages where `file` is a name within `folder`.
pub(super) fn record(within: impl AsFd, file: &Path, path: &Path) -> Result<Option<Vec<u8>>> {
    // NONBLOCK: opening a pipe that someone put there must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = retry_on_intr(|| rustix::fs::openat(&within, file, flags, Mode::empty()));
    let opened = match opened {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO) => return Err(not_a_file(path)),
        Err(errno) => return Err(failure::storage("reading the record", path, errno)),
    };
    let failed = |errno| failure::storage("reading the record", path, errno);
    let stat = rustix::fs::fstat(&opened).map_err(failed)?;
    if folder::kind(&stat) != FileType::RegularFile {
        return Err(not_a_file(path));
    }
    let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
    if size > MAX_RECORD {
        return Err(too_large(path));
    }
    // One byte more than its size shows in the same call whether it has grown meanwhile.
    let mut bytes = vec![0; size + 1];
    let mut length = 0;
    loop {
        match retry_on_intr(|| rustix::io::read(&opened, &mut bytes[length..])).map_err(failed)? {
            0 => break,
            more => length += more,
        }
        if length == size {
            break;
        }
        if length == bytes.len() {
            if length > MAX_RECORD {
                return Err(too_large(path));
            }
            bytes.resize(MAX_RECORD + 1, 0);
        }
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

fn not_a_file(path: &Path) -> Error {
    fail!(Corrupt, "{path:?} is not a regular file, so it is no record: remove it, or restore the record")
}

fn too_large(path: &Path) -> Error {
    fail!(
        Corrupt,
        "the record {path:?} is larger than {MAX_RECORD} bytes, so it is none of ours: restore it from a backup"
    )
}
