//! Appending to a log that other threads and processes append to: lock, read the last line, write, make durable.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};

use super::batch::{Batches, Seat, Written};
use super::end::End;
use super::event::Event;
use super::line::{self, Link, MAX_LINE, Tip, Torn};
use super::place::{Place, errno_of, open_to_read};
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::error::{Result, Status, fail};
use crate::files::lock::LockGuard;
use crate::files::{failure, folder};
use crate::log::{self, Fields, Level};

/// How long to wait for other processes; each holds the lock for one write.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Appends to one log.
#[derive(Debug)]
pub(super) struct Appender {
    place: Place,
    key: Option<SecretKey>,
    /// Bytes after which a new file is begun; 0: never.
    max_size: u64,
    batches: Batches,
    /// The last line that this process knows to be there; 0: none.
    seen: AtomicU64,
    /// The inode of the file whose name was made durable; 0: none.
    durable: AtomicU64,
}

/// The file that is appended to, and what is there.
struct Open {
    file: File,
    size: u64,
    end: End,
}

impl Appender {
    pub(super) fn new(path: &Path, key: Option<SecretKey>, max_size: u64) -> Appender {
        Appender {
            place: Place::new(path),
            key,
            max_size,
            batches: Batches::default(),
            seen: AtomicU64::new(0),
            durable: AtomicU64::new(0),
        }
    }

    /// Appends an event, and returns when it is durable: as the line that it became.
    ///
    /// Threads that come while another waits for the lock are written with its line: one lock, one write, one
    /// `fdatasync` for all.
    pub(super) fn append(&self, call: &Call, event: &Event) -> Result<Written> {
        loop {
            call.check("writing the audit log")?;
            let (lines, place) = match self.batches.board(event.clone()) {
                Seat::Passenger { flight, place } => {
                    let Some(lines) = flight.wait(call, "waiting for the audit log")? else { continue };
                    (lines, place)
                }
                Seat::Pilot(pilot) => {
                    let written = self.locked(call).and_then(|_lock| self.write(&pilot.close()));
                    (pilot.land(call, written.map(Arc::new))?, 0)
                }
            };
            return lines
                .get(place)
                .cloned()
                .ok_or_else(|| fail!(Internal, "a line of the audit log is lost"));
        }
    }

    fn locked(&self, call: &Call) -> Result<LockGuard> {
        let path = self.place.lock();
        if let Some(lock) = LockGuard::acquire(call, &path, LOCK_TIMEOUT)? {
            return Ok(lock);
        }
        if self.seen.load(Ordering::Relaxed) > 0 {
            return Err(fail!(
                Storage,
                "the audit log's folder {:?} has disappeared: mount or restore it",
                self.place.folder()
            ));
        }
        folder::make(self.place.folder())?;
        LockGuard::acquire(call, &path, LOCK_TIMEOUT)?.ok_or_else(|| {
            fail!(Storage, "the audit log's folder {:?} can't be made: make it", self.place.folder())
        })
    }

    /// Under the lock: writes the events, one line each.
    fn write(&self, events: &[Event]) -> Result<Vec<Written>> {
        let mut open = self.open()?;
        let (mut tip, mut torn) = self.tip(&open)?;
        if torn.is_none() && self.max_size > 0 && open.size >= self.max_size {
            // The log grows on where it can't be done.
            if let Err(error) = self.set_aside(&open) {
                log::write(Level::Warn, "cyborg_kms::audit", error.message(), &Fields::new());
            } else {
                open = self.open()?;
                (tip, torn) = self.tip(&open)?;
            }
        }
        let mut text = String::new();
        if open.size > 0 && !open.end.has_newline {
            text.push('\n');
        }
        if let Some(torn) = torn {
            let mut event = Event::recovered();
            event.time = events.first().map(|event| event.time.clone()).unwrap_or_default();
            self.add(&mut text, &mut tip, &event, Some(&Torn::of(&torn)));
        }
        let written = events.iter().map(|event| self.add(&mut text, &mut tip, event, None)).collect();
        self.write_durably(&open, text.as_bytes())?;
        self.seen.store(tip.seq, Ordering::Relaxed);
        Ok(written)
    }

    fn add(&self, text: &mut String, tip: &mut Tip, event: &Event, torn: Option<&Torn>) -> Written {
        let line = line::write(tip, event, torn, self.key.as_ref());
        text.push_str(&line);
        text.push('\n');
        *tip = Tip { seq: tip.seq + 1, hash: line::sha256(line.as_bytes()) };
        Written { seq: tip.seq, line }
    }

    fn open(&self) -> Result<Open> {
        let file = match self.place.open_to_append()? {
            Some(file) => file,
            None => self.place.make()?,
        };
        let stat = rustix::fs::fstat(&file)
            .map_err(|errno| failure::storage("looking at the audit file", self.place.path(), errno))?;
        if self.durable.load(Ordering::Relaxed) != stat.st_ino {
            // Also where another made it: he may have been killed before it was there for good.
            self.place.sync_folder()?;
            self.durable.store(stat.st_ino, Ordering::Relaxed);
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let end = End::read(&file, self.place.path(), size)?;
        Ok(Open { file, size, end })
    }

    /// The end of the chain, and what a crash left behind it. A new file goes on where the newest full one ended.
    fn tip(&self, open: &Open) -> Result<(Tip, Option<Vec<u8>>)> {
        let (tip, torn) = match open.end.tip {
            Some(tip) => (tip, open.end.torn.clone()),
            None => self.tip_of_full_file(open.end.torn.as_deref())?,
        };
        let seen = self.seen.load(Ordering::Relaxed);
        if tip.seq < seen {
            return Err(fail!(
                Storage,
                "the audit file {:?} ends with line {}, this process has seen line {seen}: it was cut, or taken away. \
                 Put it back; to begin a new log there, reload the configuration",
                self.place.path(),
                tip.seq
            ));
        }
        Ok((tip, torn))
    }

    fn tip_of_full_file(&self, torn: Option<&[u8]>) -> Result<(Tip, Option<Vec<u8>>)> {
        let Some(path) = self.place.full_files()?.pop() else {
            return Ok((Tip::default(), torn.map(<[u8]>::to_vec)));
        };
        let failed = |errno| failure::storage("reading the full audit file", &path, errno);
        let file = open_to_read(&path)?.ok_or_else(|| failed(Errno::NOENT))?;
        let size = file.metadata().map_err(|error| failed(errno_of(&error)))?.len();
        let end = End::read(&file, &path, size)?;
        let tip = end.tip.ok_or_else(|| {
            fail!(Storage, "the full audit file {path:?} holds no line: restore it, or take it away")
        })?;
        let parts: Vec<&[u8]> = end.torn.as_deref().into_iter().chain(torn).collect();
        Ok((tip, (!parts.is_empty()).then(|| parts.join(&b'\n'))))
    }

    /// Gives a full file its name. From here until the first line of the next is written, that name alone tells how
    /// the chain goes on.
    fn set_aside(&self, open: &Open) -> Result<()> {
        let mut first = vec![0; MAX_LINE];
        let len = read_at_start(&open.file, &mut first)
            .map_err(|errno| failure::storage("reading the audit file", self.place.path(), errno))?;
        let line = first[..len].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = Link::read(line).ok_or_else(|| {
            fail!(
                Corrupt,
                "the audit file {:?} is full but does not begin with a line, so it is not set aside: verify it",
                self.place.path()
            )
        })?;
        self.place.set_aside(first.seq)?;
        self.place.sync_folder()
    }

    fn write_durably(&self, open: &Open, text: &[u8]) -> Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            match retry_on_intr(|| rustix::io::write(&open.file, rest)) {
                Ok(written) if written > 0 => rest = &rest[written..],
                stopped => {
                    // Half a line is not left where that can be helped; else the next append closes it.
                    let _ = rustix::fs::ftruncate(&open.file, open.size);
                    let errno = stopped.err().unwrap_or(Errno::IO);
                    return Err(failure::storage("writing the audit file", self.place.path(), errno));
                }
            }
        }
        retry_on_intr(|| rustix::fs::fdatasync(&open.file))
            .map_err(|errno| failure::storage("making durable the audit file", self.place.path(), errno))
    }
}

fn read_at_start(file: &File, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match retry_on_intr(|| rustix::io::pread(file, &mut buffer[len..], len as u64))? {
            0 => break,
            more => len += more,
        }
    }
    Ok(len)
}

/// Whether a failure is that of who waited, and says nothing of the log.
pub(super) fn is_callers_own(call: &Call, status: Status) -> bool {
    matches!(status, Status::Cancelled | Status::Timeout) && call.check("writing the audit log").is_err()
}
