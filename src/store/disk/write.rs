//! Changing a record: lock, look, write beside it, put in place, make durable.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};
use sha2::{Digest, Sha256};

use super::{DiskStore, file_name, read};
use crate::call::Call;
use crate::error::{Result, fail};
use crate::files::lock::LockGuard;
use crate::files::{failure, folder};
use crate::name::IndexName;
use crate::store::{Expected, expected};

/// One change under way: the lock is held, the folders are open. The lock is given back last, by the order of
/// the fields.
pub(super) struct Change<'a> {
    name: &'a IndexName,
    /// The record's file in `records`.
    file: String,
    path: PathBuf,
    records: OwnedFd,
    /// A file on its way to become a record, in `private`. One for each lock, so that what a crash leaves is
    /// found by the next change.
    temporary: String,
    private_path: PathBuf,
    private: OwnedFd,
    _lock: LockGuard,
}

impl DiskStore {
    /// Takes the name's lock and opens the folders.
    pub(super) fn begin<'a>(&self, call: &Call, name: &'a IndexName) -> Result<Change<'a>> {
        call.check("writing a record")?;
        if !self.was_seen.load(Ordering::Relaxed) {
            if !folder::exists(&self.root) {
                return Err(self.vanished());
            }
            self.make_folders()?;
            self.was_seen.store(true, Ordering::Relaxed);
        }
        let part = format!("{:02x}", Sha256::digest(name.encoded())[0]);
        let lock = self.private.join(format!("lock-{part}"));
        let lock = match LockGuard::acquire(call, &lock, self.request_timeout)? {
            Some(lock) => lock,
            // CyborgDB made the records' folder after we had looked, or a backup left out what starts with a dot.
            None if folder::exists(&self.config) => {
                folder::make(&self.private)?;
                let made = LockGuard::acquire(call, &lock, self.request_timeout)?;
                made.ok_or_else(|| self.vanished())?
            }
            None => return Err(self.vanished()),
        };
        let open = |path: &Path| {
            folder::open(path).map_err(|errno| match errno {
                Errno::NOENT => self.vanished(),
                errno => failure::storage("opening the folder", path, errno),
            })
        };
        let change = Change {
            name,
            file: file_name(name),
            path: self.record_path(name),
            records: open(&self.config)?,
            temporary: format!("tmp-{part}"),
            private: open(&self.private)?,
            private_path: self.private.clone(),
            _lock: lock,
        };
        change.clean_up()?;
        Ok(change)
    }
}

impl Change<'_> {
    pub(super) fn put(self, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
        self.check(expected, expected::check_put)?;
        let placed = self.write(bytes).and_then(|()| self.place(expected));
        if placed.is_err() || matches!(expected, Expected::Absent) {
            // After a rename it is gone. What can't be removed is for the next change: the outcome stands.
            let _ = self.clean_up();
        }
        placed?;
        self.sync_records()
    }

    pub(super) fn remove(self, expected: Expected<'_>) -> Result<()> {
        self.check(expected, expected::check_remove)?;
        match rustix::fs::unlinkat(&self.records, &self.file, AtFlags::empty()) {
            // Synced all the same: whoever removed it may have crashed before.
            Ok(()) | Err(Errno::NOENT) => self.sync_records(),
            Err(errno) => Err(failure::changing("removing the record", &self.path, errno)),
        }
    }

    /// Compares what is there with what is expected.
    fn check(
        &self,
        expected: Expected<'_>,
        check: fn(Expected<'_>, Option<&[u8]>, &IndexName) -> Result<()>,
    ) -> Result<()> {
        match expected {
            Expected::Any => Ok(()),
            // Whatever is there, readable or not: it exists.
            Expected::Absent => {
                match rustix::fs::statat(&self.records, &self.file, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => check(expected, Some(&[]), self.name),
                    Err(Errno::NOENT) => Ok(()),
                    Err(errno) => Err(failure::storage("looking at the record", &self.path, errno)),
                }
            }
            Expected::Revision(_) => {
                let present = read::record(&self.records, Path::new(&self.file), &self.path)?;
                check(expected, present.as_deref(), self.name)
            }
        }
    }

    /// Writes the temporary file and makes its bytes durable.
    fn write(&self, bytes: &[u8]) -> Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || -> rustix::io::Result<()> {
            let file = retry_on_intr(|| rustix::fs::openat(&self.private, &self.temporary, flags, mode))?;
            rustix::fs::fchmod(&file, mode)?;
            let mut rest = bytes;
            while !rest.is_empty() {
                match retry_on_intr(|| rustix::io::write(&file, rest))? {
                    0 => return Err(Errno::IO),
                    written => rest = &rest[written..],
                }
            }
            retry_on_intr(|| rustix::fs::fdatasync(&file))
        };
        write().map_err(|errno| {
            failure::storage("writing the record to", &self.private_path.join(&self.temporary), errno)
        })
    }

    /// Makes the temporary file the record.
    fn place(&self, expected: Expected<'_>) -> Result<()> {
        let (from, to) = (&self.private, &self.records);
        let failed = |errno| failure::changing("putting in place the record", &self.path, errno);
        let Expected::Absent = expected else {
            return rustix::fs::renameat(from, &self.temporary, to, &self.file).map_err(failed);
        };
        // Under our lock, but not under CyborgDB's, which has none: only these two never replace a record.
        let linked = match rustix::fs::linkat(from, &self.temporary, to, &self.file, AtFlags::empty()) {
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                rustix::fs::renameat_with(from, &self.temporary, to, &self.file, RenameFlags::NOREPLACE)
            }
            linked => linked,
        };
        match linked {
            Err(Errno::EXIST) => Err(expected::already_exists(self.name)),
            Err(Errno::INVAL | Errno::NOSYS) => Err(fail!(
                Unsupported,
                "the file system of {:?} can neither link a file nor rename one without replacing, so creating \
                 could overwrite a record: keep the store on another file system",
                self.path
            )),
            linked => linked.map_err(failed),
        }
    }

    /// Makes durable that the record is there, or isn't.
    fn sync_records(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fsync(&self.records)).map_err(|errno| {
            failure::storage("the change is made, but making it durable in the folder of", &self.path, errno)
                .with_outcome_unknown()
        })
    }

    /// Removes the temporary file, if there is one. It may be a hard link to a record that a crash had not
    /// let go of, so it is never written to; and what was removed must not live on in it.
    fn clean_up(&self) -> Result<()> {
        let path = || self.private_path.join(&self.temporary);
        match rustix::fs::unlinkat(&self.private, &self.temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(failure::storage("removing the folder", &path(), Errno::ISDIR)),
            Err(errno) => Err(failure::storage("removing the temporary file", &path(), errno)),
        }
    }
}
