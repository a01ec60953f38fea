//! The files of one log: the one that is appended to, those that were full, and the lock.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::error::{Error, Result, fail};
use crate::files::{failure, folder};

/// Digits of a first `seq` in the name of a full file: as many as a u64 has, so that names sort as numbers do.
const DIGITS: usize = 20;

/// Where a log is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
}

impl Place {
    pub(super) fn new(path: &Path) -> Place {
        Place { path: path.to_owned() }
    }

    /// The file that lines are appended to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that appenders lock, made once and never removed.
    pub(super) fn lock(&self) -> PathBuf {
        self.with_ending(".lock")
    }

    /// The name of a full file, by its first line's number.
    pub(super) fn full(&self, first_seq: u64) -> PathBuf {
        self.with_ending(&format!(".{first_seq:0DIGITS$}"))
    }

    fn with_ending(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The full files, oldest first.
    pub(super) fn full_files(&self) -> Result<Vec<PathBuf>> {
        let failed =
            |error: std::io::Error| failure::storage("reading the folder", self.folder(), errno_of(&error));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.folder()).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if self.is_full_file(&path) {
                files.push(path);
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn is_full_file(&self, path: &Path) -> bool {
        let ours = self.path.file_name().unwrap_or_default().as_encoded_bytes();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let digits = name.strip_prefix(ours).and_then(|rest| rest.strip_prefix(b"."));
        digits.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_digit))
    }

    /// Opens the file that is appended to; `None` where it is missing.
    pub(super) fn open_to_append(&self) -> Result<Option<File>> {
        open(&self.path, OFlags::RDWR | OFlags::APPEND)
    }

    /// Makes it, for nobody else, whatever the umask.
    pub(super) fn make(&self) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | COMMON;
        let mode = Mode::RUSR | Mode::WUSR;
        let made = retry_on_intr(|| rustix::fs::open(&self.path, flags, mode));
        made.and_then(|file| rustix::fs::fchmod(&file, mode).map(|()| File::from(file)))
            .map_err(|errno| failure::storage("making the audit file", &self.path, errno))
    }

    /// Gives the file the name of a full one. Never replaces a file.
    pub(super) fn set_aside(&self, first_seq: u64) -> Result<()> {
        let to = self.full(first_seq);
        let cwd = rustix::fs::CWD;
        let renamed = match rustix::fs::renameat_with(cwd, &self.path, cwd, &to, RenameFlags::NOREPLACE) {
            // A file system without it: everyone who makes such a name holds the lock.
            Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => rustix::fs::rename(&self.path, &to),
            renamed => renamed,
        };
        renamed.map_err(|errno| failure::storage("setting the full audit file aside as", &to, errno))
    }

    /// Makes durable which files there are.
    pub(super) fn sync_folder(&self) -> Result<()> {
        let sync = || retry_on_intr(|| rustix::fs::fsync(folder::open(self.folder())?));
        match sync() {
            // A file system whose folders can't be synced.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            synced => synced.map_err(|errno| {
                failure::storage("making the audit file durable in the folder", self.folder(), errno)
            }),
        }
    }
}

/// Opens a file of a log to be read; `None` where it is missing.
pub(super) fn open_to_read(path: &Path) -> Result<Option<File>> {
    open(path, OFlags::RDONLY)
}

/// NONBLOCK: a pipe that someone put there must not hang the caller.
const COMMON: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

fn open(path: &Path, flags: OFlags) -> Result<Option<File>> {
    let file = match retry_on_intr(|| rustix::fs::open(path, flags | COMMON, Mode::empty())) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Err(not_a_file(path)),
        Err(errno) => return Err(failure::storage("opening the audit file", path, errno)),
    };
    let stat = rustix::fs::fstat(&file)
        .map_err(|errno| failure::storage("looking at the audit file", path, errno))?;
    if folder::kind(&stat) != FileType::RegularFile {
        return Err(not_a_file(path));
    }
    Ok(Some(file.into()))
}

fn not_a_file(path: &Path) -> Error {
    fail!(
        Storage,
        "{path:?} is not a regular file, so it is no audit log: name another path, and no symbolic link"
    )
}

/// What the operating system said, for messages.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
