//! The head of a log: what is kept elsewhere, to notice that its end was cut off.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::end::End;
use super::line::{Tip, decode, encode, to_json};
use super::place::{Place, open_to_read};
use crate::error::{Error, Result, Status, fail};
use crate::files::failure;

/// The last line's number and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The line's `seq`.
    pub seq: u64,
    /// The SHA-256 of the line without its newline, in base64.
    pub hash: String,
}

impl Head {
    /// As JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// From JSON; further fields are passed over.
    pub fn from_json(json: &str) -> Result<Head> {
        let head: Option<Head> = serde_json::from_str(json).ok();
        head.filter(|head| decode(&head.hash).is_some()).ok_or_else(|| {
            fail!(
                InvalidArgument,
                "head_json is no head of an audit log: give what cyborg_kms_audit_head gave"
            )
        })
    }

    pub(super) fn tip(&self) -> Tip {
        Tip { seq: self.seq, hash: decode(&self.hash).unwrap_or_default() }
    }
}

/// The head of the log at `path`. Half a line behind it is passed over. `NOT_FOUND` where there is no line.
pub fn head(path: &Path) -> Result<Head> {
    let place = Place::new(path);
    let mut files = place.full_files()?;
    files.push(path.to_owned());
    // A file that was just begun may have no line yet.
    for file in files.iter().rev().take(2) {
        if let Some(tip) = tip_of(file)? {
            return Ok(Head { seq: tip.seq, hash: encode(&tip.hash) });
        }
    }
    Err(no_log(path))
}

fn tip_of(path: &Path) -> Result<Option<Tip>> {
    let Some(file) = open_to_read(path)? else { return Ok(None) };
    let stat = rustix::fs::fstat(&file)
        .map_err(|errno| failure::storage("looking at the audit file", path, errno))?;
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    Ok(End::read(&file, path, size)?.tip)
}

pub(super) fn no_log(path: &Path) -> Error {
    Error::new(Status::NotFound, format!("there is no line of an audit log at {path:?}: give its audit.path"))
}
