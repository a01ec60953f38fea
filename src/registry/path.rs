//! Where a key stands in the file, for messages.

use std::fmt;

use super::yaml::Location;
use crate::error::{Error, Status};

/// A section's path, such as `cache` or `kms.registry.prod`; "" is the top.
#[derive(Debug, Clone)]
pub(super) struct KeyPath(String);

impl KeyPath {
    /// The top of the file.
    pub(super) fn top() -> KeyPath {
        KeyPath(String::new())
    }

    /// The key below this one. A name that would be misread is quoted.
    pub(super) fn join(&self, key: &str) -> KeyPath {
        let is_plain = !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'[' | b']'));
        let shown = if is_plain { key.to_owned() } else { format!("{:?}", shorten(key)) };
        KeyPath(if self.0.is_empty() { shown } else { format!("{}.{shown}", self.0) })
    }

    /// The error that what stands here causes. `what` never has the value: it may come from a variable.
    pub(super) fn error(&self, status: Status, at: Location, what: impl fmt::Display) -> Error {
        Error::new(status, format!("{}{}: {what}", self.0, Line(at)))
    }
}

/// " (line 4)", or nothing where it is unknown.
struct Line(Location);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.line == 0 { Ok(()) } else { write!(f, " (line {})", self.0.line) }
    }
}

/// At most 64 characters of a foreign text.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
