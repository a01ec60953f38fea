//! Whether a log is what was written: from its first line to its last, or to the first fault.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::head::{Head, no_log};
use super::line::{Hash, Link, Tip, Torn, check_mac, encode};
use super::lines::{Lines, RawLine};
use super::place::Place;
use super::report::{Fault, FaultKind, Report};
use crate::crypto::derive::{SubKey, sub_key};
use crate::crypto::secret::SecretKey;
use crate::error::Result;

/// Verifies the log at `path`, with the full files beside it. `key`: that of `audit.key_file`; without it no MAC is
/// checked. `head`: without it a cut end can't be noticed.
///
/// A fault is in the report; an error says that the log could not be read.
pub fn verify(path: &Path, key: Option<&SecretKey>, head: Option<&Head>) -> Result<Report> {
    let key = key.map(|key| sub_key(key.arena(), key, SubKey::Audit)).transpose()?;
    let lines = Lines::of(&Place::new(path))?;
    let mut verifier = Verifier {
        report: new_report(path, lines.files(), key.is_some(), head.is_some()),
        lines,
        key,
        head: head.map(Head::tip),
        tip: Tip::default(),
        at: Position::default(),
        has_mac: false,
        torn: None,
    };
    verifier.report.fault = verifier.run()?;
    if verifier.at == Position::default() && verifier.report.fault.is_none() {
        return Err(no_log(path));
    }
    verifier.report.seq = verifier.tip.seq;
    verifier.report.hash = encode(&verifier.tip.hash);
    Ok(verifier.report)
}

fn new_report(path: &Path, files: usize, macs_checked: bool, head_checked: bool) -> Report {
    Report {
        path: path.display().to_string(),
        files: files as u64,
        lines: 0,
        seq: 0,
        hash: String::new(),
        recovered: 0,
        macs_checked,
        head_checked,
        fault: None,
    }
}

/// Where a line stands: its file, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Position {
    file: usize,
    line: u64,
}

/// Lines that are none, up to here.
struct Region {
    first: Position,
    hasher: Sha256,
    bytes: u64,
    has_newline: bool,
}

struct Verifier {
    lines: Lines,
    key: Option<SecretKey>,
    head: Option<Tip>,
    /// The last line that is right, and where it stands.
    tip: Tip,
    at: Position,
    /// Whether a line had a MAC: then all that follow must.
    has_mac: bool,
    torn: Option<Region>,
    report: Report,
}

type Found = Option<Fault>;

impl Verifier {
    fn run(&mut self) -> Result<Found> {
        loop {
            let mut hasher = self.torn.as_ref().map(|torn| torn.hasher.clone());
            if let Some(hasher) = &mut hasher {
                hasher.update(b"\n");
            }
            let Some(raw) = self.lines.next(hasher.as_mut())? else { return Ok(self.finish()) };
            let fault = match Link::read(&raw.bytes) {
                Some(link) => self.line(&raw, &link)?,
                None => {
                    self.no_line(&raw, hasher);
                    None
                }
            };
            if fault.is_some() {
                return Ok(fault);
            }
        }
    }

    /// What a crash left, or a line that was changed: what follows tells.
    fn no_line(&mut self, raw: &RawLine, hasher: Option<Sha256>) {
        let here = Position { file: raw.file, line: raw.number };
        self.torn = Some(match self.torn.take() {
            None => Region {
                first: here,
                hasher: raw.hasher.clone(),
                bytes: raw.len,
                has_newline: raw.has_newline,
            },
            Some(torn) => Region {
                hasher: hasher.unwrap_or(torn.hasher),
                bytes: torn.bytes + 1 + raw.len,
                has_newline: raw.has_newline,
                ..torn
            },
        });
    }

    fn line(&mut self, raw: &RawLine, link: &Link) -> Result<Found> {
        let here = Position { file: raw.file, line: raw.number };
        let hash: Hash = raw.hasher.clone().finalize().into();
        let fault = match self.check_recovery(link, here) {
            None => self.check_mac(raw, here),
            fault => fault,
        };
        let fault = match fault {
            None => self.check_chain(link, hash, here)?,
            fault => fault,
        };
        let fault = fault.or_else(|| self.check_head(link, hash, here));
        if fault.is_none() {
            self.tip = Tip { seq: link.seq, hash };
            self.at = here;
            self.report.lines += 1;
        }
        Ok(fault)
    }

    /// What is no line is right only where the next line says that a crash left just that.
    fn check_recovery(&mut self, link: &Link, here: Position) -> Found {
        let expected = link.torn.as_ref().filter(|_| link.is_recovery());
        match (self.torn.take(), expected) {
            (None, None) if !link.is_recovery() => None,
            (None, _) => Some(self.fault(
                FaultKind::Removed,
                here,
                link.seq,
                "what a crash had left before this line is missing",
            )),
            (Some(torn), expected) => {
                let found = Torn { bytes: torn.bytes, hash: encode(&torn.hasher.finalize().into()) };
                if expected == Some(&found) {
                    self.report.recovered += 1;
                    return None;
                }
                let what =
                    "it is no line of an audit log, and not what a crash left: it was changed or put in";
                Some(self.fault(FaultKind::Changed, torn.first, self.tip.seq + 1, what))
            }
        }
    }

    fn check_mac(&mut self, raw: &RawLine, here: Position) -> Found {
        let what = match check_mac(&raw.bytes, self.key.as_ref()?) {
            Some(true) => {
                self.has_mac = true;
                return None;
            }
            Some(false) if self.has_mac => "its MAC is wrong: it was changed",
            Some(false) => "its MAC is wrong: it was changed, or another key was given than it was made with",
            None if self.has_mac => "it has no MAC, which the lines before it have: it was changed or put in",
            // The first line with a MAC vouches for those before it.
            None => return None,
        };
        Some(self.fault(FaultKind::Mac, here, self.tip.seq + 1, what))
    }

    fn check_chain(&mut self, link: &Link, hash: Hash, here: Position) -> Result<Found> {
        let (expected, follows) = (self.tip.seq + 1, link.prev() == self.tip.hash);
        let fault = match link.seq.cmp(&expected) {
            std::cmp::Ordering::Equal if follows => return Ok(None),
            std::cmp::Ordering::Equal => {
                // The line behind it, or the head, tells which of the two was changed.
                let next = self.lines.next(None)?.and_then(|raw| Link::read(&raw.bytes));
                let is_right = match next {
                    Some(next) => next.prev() == hash,
                    None => self.head.is_none_or(|head| head.seq != link.seq || head.hash == hash),
                };
                if is_right && self.tip.seq > 0 {
                    let what = "it is not the line that the next one follows: it was changed";
                    self.fault(FaultKind::Changed, self.at, self.tip.seq, what)
                } else {
                    self.fault(
                        FaultKind::Changed,
                        here,
                        link.seq,
                        "it does not follow the line before it: it was changed",
                    )
                }
            }
            _ if follows => self.fault(FaultKind::Changed, here, expected, "its number was changed"),
            std::cmp::Ordering::Greater if self.is_further_on(expected)? => self.fault(
                FaultKind::Reordered,
                here,
                link.seq,
                "it stands before lines that were written earlier",
            ),
            std::cmp::Ordering::Greater => {
                let what = format!("lines {expected} to {} are missing before it", link.seq - 1);
                self.fault(FaultKind::Removed, here, expected, &what)
            }
            std::cmp::Ordering::Less => self.fault(
                FaultKind::Reordered,
                here,
                link.seq,
                "it stands behind lines that were written later, or once more",
            ),
        };
        Ok(Some(fault))
    }

    /// Whether a line with this number comes later.
    fn is_further_on(&mut self, seq: u64) -> Result<bool> {
        while let Some(raw) = self.lines.next(None)? {
            if Link::read(&raw.bytes).is_some_and(|link| link.seq == seq) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check_head(&self, link: &Link, hash: Hash, here: Position) -> Found {
        let head = self.head.filter(|head| head.seq == link.seq && head.hash != hash)?;
        let what = "it is not the line that the head names: it, or one before it, was changed, and the chain made anew";
        Some(self.fault(FaultKind::Changed, here, head.seq, what))
    }

    /// Behind the last line.
    fn finish(&mut self) -> Found {
        let next = self.tip.seq + 1;
        if let Some(torn) = self.torn.take() {
            let (kind, what) = match torn.has_newline {
                false => (
                    FaultKind::Torn,
                    "it is half a line: if a crash cut it, the next line that is written closes it; else it was cut",
                ),
                true => (FaultKind::Changed, "it is no line of an audit log: it was changed or put in"),
            };
            return Some(self.fault(kind, torn.first, next, what));
        }
        if let Some(head) = self.head.filter(|head| head.seq > self.tip.seq) {
            let what = format!("lines {next} to {} are missing at its end: the log was cut", head.seq);
            return Some(self.fault(FaultKind::Cut, self.at, next, &what));
        }
        if self.key.is_some() && !self.has_mac && self.tip.seq > 0 {
            let what = "no line has a MAC: the log was written without a key, or all were taken away";
            return Some(self.fault(FaultKind::Mac, self.at, self.tip.seq, what));
        }
        None
    }

    fn fault(&self, kind: FaultKind, at: Position, seq: u64, what: &str) -> Fault {
        let file = self.lines.path(at.file).unwrap_or(Path::new(&self.report.path)).display().to_string();
        Fault { kind, line: at.line, seq, message: format!("{file}, line {}: {what}", at.line), file }
    }
}
