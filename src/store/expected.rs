//! What a compare-and-swap compares.

use super::{Expected, MAX_RECORD, Revision};
use crate::error::{Error, Result, fail};
use crate::name::IndexName;

/// Whether a put may go on over `present`, for stores whose revision is the content.
pub(super) fn check_put(expected: Expected<'_>, present: Option<&[u8]>, name: &IndexName) -> Result<()> {
    match (expected, present) {
        (Expected::Any, _) | (Expected::Absent, None) => Ok(()),
        (Expected::Absent, Some(_)) => Err(already_exists(name)),
        (Expected::Revision(Revision::Content(seen)), Some(present)) if seen == present => Ok(()),
        (Expected::Revision(Revision::Content(_)), _) => Err(conflict(name)),
        (Expected::Revision(_), _) => Err(foreign_revision(name)),
    }
}

/// Whether a remove may go on. That there is nothing left to remove is always fine.
pub(super) fn check_remove(expected: Expected<'_>, present: Option<&[u8]>, name: &IndexName) -> Result<()> {
    match (expected, present) {
        (_, None) => Ok(()),
        (Expected::Absent, Some(_)) => Err(conflict(name)),
        (_, Some(_)) => check_put(expected, present, name),
    }
}

/// Refuses what `get` would refuse to give back.
pub(super) fn check_size(bytes: &[u8], name: &IndexName) -> Result<()> {
    if bytes.len() > MAX_RECORD {
        return Err(fail!(
            InvalidArgument,
            "the record of index {name} is too large: {} bytes, a store takes at most {MAX_RECORD}",
            bytes.len()
        ));
    }
    Ok(())
}

pub(super) fn already_exists(name: &IndexName) -> Error {
    fail!(
        AlreadyExists,
        "there is a record of index {name} already: open it (deleting it would destroy its keys for good)"
    )
}

fn conflict(name: &IndexName) -> Error {
    fail!(Conflict, "someone else changed the record of index {name}: read it and try again")
}

fn foreign_revision(name: &IndexName) -> Error {
    fail!(Internal, "the revision of index {name} comes from a store of another kind")
}
