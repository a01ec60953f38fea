//! What a verification found.

use serde::Serialize;

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A line is not what was written.
    Changed,
    /// Lines are missing.
    Removed,
    /// A line stands where it was not written: moved, or put in once more.
    Reordered,
    /// A line's MAC is wrong, or missing where there must be one.
    Mac,
    /// The end that the head names is missing.
    Cut,
    /// The last line is half a line: a crash, if there was one, and nothing was appended since.
    Torn,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The file.
    pub file: String,
    /// The line's number in its file, from 1 on; of missing lines that of the line that stands there instead.
    pub line: u64,
    /// The `seq` of the line that should stand there; of one that was moved its own.
    pub seq: u64,
    /// One line for a person.
    pub message: String,
}

/// The result of a verification; ends at the first fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The log.
    pub path: String,
    /// How many files it has.
    pub files: u64,
    /// How many lines are right.
    pub lines: u64,
    /// The `seq` of the last of them.
    pub seq: u64,
    /// Its hash, in base64: with `seq` it is the head up to there.
    pub hash: String,
    /// How often a line was closed that a crash had cut.
    pub recovered: u64,
    /// Whether MACs were checked.
    pub macs_checked: bool,
    /// Whether the end was compared with a head.
    pub head_checked: bool,
    /// What is wrong; `None`: nothing.
    pub fault: Option<Fault>,
}

impl Report {
    /// As JSON.
    pub fn to_json(&self) -> String {
        super::line::to_json(self)
    }
}
