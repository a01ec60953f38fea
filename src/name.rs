//! The name of an index, and its name as an object of a store.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{Result, fail};

/// All bytes but `A-Z a-z 0-9 . - _` are encoded, as CyborgDB does.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// The longest encoded name, in bytes: with its ending it must fit into a file name.
pub const MAX_ENCODED: usize = 220;

/// A checked index name: 1 byte and up, at most 220 bytes percent-encoded, no NUL (C could not read it back).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexName {
    raw: String,
    encoded: String,
}

impl IndexName {
    /// Checks a name that a caller gives.
    pub fn new(raw: &str) -> Result<IndexName> {
        if raw.is_empty() {
            return Err(fail!(InvalidArgument, "the index name is empty: give it at least one byte"));
        }
        if raw.contains('\0') {
            return Err(fail!(InvalidArgument, "the index name has a NUL byte"));
        }
        let encoded = utf8_percent_encode(raw, ENCODED).to_string();
        if encoded.len() > MAX_ENCODED {
            return Err(fail!(
                InvalidArgument,
                "the index name is too long: {} bytes percent-encoded, at most {MAX_ENCODED} are allowed",
                encoded.len()
            ));
        }
        Ok(IndexName { raw: raw.to_owned(), encoded })
    }

    /// The name of a stored object, read back; `None` for what no index of ours or CyborgDB's is called.
    pub fn from_encoded(encoded: &str) -> Option<IndexName> {
        let raw = percent_decode_str(encoded).decode_utf8().ok()?;
        IndexName::new(&raw).ok().filter(|name| name.encoded == encoded)
    }

    /// As the caller gave it.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Percent-encoded, as stores name it.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }
}

impl std::fmt::Display for IndexName {
    /// Quoted and escaped, for messages.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_cyborgdb_does() {
        let name = IndexName::new("a/b ü~%.-_!").unwrap();
        assert_eq!(name.encoded(), "a%2Fb%20%C3%BC%7E%25.-_%21");
        assert_eq!(IndexName::new("..").unwrap().encoded(), "..");
        assert_eq!(IndexName::from_encoded(name.encoded()), Some(name));
    }

    #[test]
    fn refuses_what_no_store_can_hold() {
        assert!(IndexName::new("").is_err());
        assert!(IndexName::new("a\0b").is_err());
        assert!(IndexName::new(&"x".repeat(220)).is_ok());
        assert!(IndexName::new(&"x".repeat(221)).is_err());
        assert!(IndexName::new(&"ü".repeat(37)).is_err());
    }

    #[test]
    fn foreign_object_names_are_not_names() {
        for foreign in ["%2f", "a b", "%ff", "", "%"] {
            assert_eq!(IndexName::from_encoded(foreign), None, "{foreign}");
        }
    }
}
