//! The lines of a log, file after file, in bounded memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Take};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::line::MAX_LINE;
use super::place::{Place, errno_of, open_to_read};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::files::failure;
use crate::files::lock::LockGuard;

/// Appenders hold the lock for one write.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A line, without its newline.
#[derive(Debug)]
pub(super) struct RawLine {
    /// Its bytes; of one that is too long to be a line of ours only the first.
    pub(super) bytes: Vec<u8>,
    pub(super) len: u64,
    /// Has taken all its bytes.
    pub(super) hasher: Sha256,
    pub(super) has_newline: bool,
    /// The file, and the line's number in it, from 1 on.
    pub(super) file: usize,
    pub(super) number: u64,
}

/// The lines that were there at one moment.
pub(super) struct Lines {
    paths: Vec<PathBuf>,
    /// The file that is appended to, as it was then: it may be set aside meanwhile.
    last: Option<(File, u64)>,
    next: usize,
    number: u64,
    reader: Option<BufReader<Take<File>>>,
}

impl Lines {
    /// Of a log at one moment: no appender is in the middle of a line.
    pub(super) fn of(place: &Place) -> Result<Lines> {
        // Who may not lock it, or has a copy without a lock, reads what there is.
        let _lock = LockGuard::acquire_existing(&Call::unbounded(), &place.lock(), LOCK_TIMEOUT).ok();
        let mut paths = place.full_files()?;
        let mut last = None;
        if let Some(file) = open_to_read(place.path())? {
            let size = size(&file, place.path())?;
            paths.push(place.path().to_owned());
            last = Some((file, size));
        }
        Ok(Lines { paths, last, next: 0, number: 0, reader: None })
    }

    pub(super) fn files(&self) -> usize {
        self.paths.len()
    }

    /// `None` where the log has no file at all.
    pub(super) fn path(&self, file: usize) -> Option<&Path> {
        self.paths.get(file).map(PathBuf::as_path)
    }

    /// The next line, of the next file too; `region` takes its bytes besides.
    pub(super) fn next(&mut self, region: Option<&mut Sha256>) -> Result<Option<RawLine>> {
        let mut region = region;
        loop {
            if self.reader.is_none() && !self.open_next()? {
                return Ok(None);
            }
            match self.read_line(region.as_deref_mut())? {
                Some(line) => return Ok(Some(line)),
                None => self.reader = None,
            }
        }
    }

    fn open_next(&mut self) -> Result<bool> {
        let Some(path) = self.paths.get(self.next) else { return Ok(false) };
        let is_last = self.next + 1 == self.paths.len();
        let (file, size) = match self.last.take_if(|_| is_last) {
            Some(last) => last,
            None => {
                let file = open_to_read(path)?.ok_or_else(|| vanished(path))?;
                let size = size(&file, path)?;
                (file, size)
            }
        };
        self.next += 1;
        self.number = 0;
        self.reader = Some(BufReader::with_capacity(1 << 16, file.take(size)));
        Ok(true)
    }

    /// The next line of the open file.
    fn read_line(&mut self, mut region: Option<&mut Sha256>) -> Result<Option<RawLine>> {
        let file = self.next.saturating_sub(1);
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut line = RawLine {
            bytes: Vec::new(),
            len: 0,
            hasher: Sha256::new(),
            has_newline: false,
            file,
            number: self.number + 1,
        };
        let mut is_begun = false;
        while !line.has_newline {
            let buffer = match reader.fill_buf() {
                Ok([]) => break,
                Ok(buffer) => buffer,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let path = self.paths.get(file).map_or(Path::new(""), PathBuf::as_path);
                    return Err(failure::storage("reading the audit file", path, errno_of(&error)));
                }
            };
            is_begun = true;
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..newline.unwrap_or(buffer.len())];
            line.add(part);
            if let Some(region) = &mut region {
                region.update(part);
            }
            line.has_newline = newline.is_some();
            let used = part.len() + usize::from(line.has_newline);
            reader.consume(used);
        }
        self.number += u64::from(is_begun);
        Ok(is_begun.then_some(line))
    }
}

impl RawLine {
    fn add(&mut self, part: &[u8]) {
        self.hasher.update(part);
        self.len += part.len() as u64;
        let room = (MAX_LINE + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
    }
}

fn size(file: &File, path: &Path) -> Result<u64> {
    let metadata = file.metadata();
    metadata
        .map(|metadata| metadata.len())
        .map_err(|error| failure::storage("looking at the audit file", path, errno_of(&error)))
}

fn vanished(path: &Path) -> Error {
    failure::storage("opening the audit file", path, rustix::io::Errno::NOENT)
}
