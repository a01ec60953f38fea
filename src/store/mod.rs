//! Where envelope records are kept: one trait, one file for each kind of store.

mod disk;
mod expected;
mod memory;
#[cfg(feature = "object-store")]
mod object;
mod open;
mod options;
mod order;

use std::fmt::Debug;

use crate::call::Call;
use crate::error::Result;
use crate::name::IndexName;

pub use disk::DiskStore;
pub use memory::MemoryStore;
#[cfg(feature = "object-store")]
pub use object::ObjectStore;
pub use open::{open, open_with};
pub use options::{StoreOptions, keys_of};

/// The largest record that a store takes or gives, in bytes.
pub const MAX_RECORD: usize = 1 << 20;

/// A stored record and the state in which it was read.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The record's bytes, not looked into by the store.
    pub bytes: Vec<u8>,
    /// What `Store::put` compares with.
    pub revision: Revision,
}

/// A store's token for one state of one record; only the store that made it knows what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// The whole content (memory, disk): compared byte by byte.
    Content(Vec<u8>),
    /// A number that the caller's own store hands out.
    Number(u64),
    /// An object store's ETag or generation.
    Tag(String),
}

/// What must be there for a write to happen.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// No record.
    Absent,
    /// The record as it was read.
    Revision(&'a Revision),
    /// Anything or nothing.
    Any,
}

/// A place for records. Every method may be called by many threads at once.
///
/// Failures are `STORAGE`, `TIMEOUT`, `THROTTLED`, `ACCESS_DENIED`, `CONFIG`, `UNSUPPORTED` or `INTERNAL` besides those
/// named; an error whose `is_outcome_unknown` is set says that the change may have happened. That goes for
/// `ALREADY_EXISTS` and `CONFLICT` too: what a server refuses may be the repetition of what it has done.
pub trait Store: Send + Sync + Debug {
    /// The record, or `None` where there is none. `CORRUPT` for what can't be a record: larger than
    /// `MAX_RECORD`, not a regular file.
    fn get(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>>;

    /// Writes atomically and durably, if `expected` holds: else `ALREADY_EXISTS` (for `Absent`) or `CONFLICT`.
    /// More than `MAX_RECORD` bytes are `INVALID_ARGUMENT`.
    fn put(&self, call: &Call, name: &IndexName, bytes: &[u8], expected: Expected<'_>) -> Result<()>;

    /// Removes the record, durably; that there was none is fine, whatever was expected. `CONFLICT` where there
    /// is one and `expected` does not hold.
    fn remove(&self, call: &Call, name: &IndexName, expected: Expected<'_>) -> Result<()>;

    /// Names every record, in the order of the encoded names, from behind `start_after`; stops when `visit`
    /// returns false. What others write meanwhile may be seen or not; `visit` may call the store.
    fn list(
        &self,
        call: &Call,
        start_after: Option<&IndexName>,
        visit: &mut dyn FnMut(&IndexName) -> bool,
    ) -> Result<()>;

    /// Whether `remove` can compare. Object stores can't: what expects a revision there is `UNSUPPORTED`, and a
    /// tombstone takes the record's place.
    fn removes_conditionally(&self) -> bool {
        true
    }

    /// Whether it may be called on threads of its caller only (no refreshing ahead).
    fn is_caller_thread_only(&self) -> bool {
        false
    }
}
