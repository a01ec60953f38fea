//! What a load is asked for, what it brings, and which failures say what.

use std::sync::Arc;

use crate::blob::Record;
use crate::call::Call;
use crate::error::{Error, Result, Status};
use crate::keys::Keys;
use crate::name::IndexName;

/// What a load brings: the keys, and until when they may be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The keys.
    pub keys: Arc<Keys>,
    /// When the KMS was asked.
    pub as_of: u64,
    /// Use of any kind ends here (`Clock::now`), unless the KMS is silent.
    pub valid_until: u64,
    /// It ends here in any case: `stale_if_unavailable` later.
    pub ends_at: u64,
    /// Sealing ends here, since the record was last read `max_record_age` before.
    pub seal_until: u64,
    /// Why the record could not be read, where the last one read stands in for it.
    pub trouble: Option<Error>,
}

/// What a load may build on.
#[derive(Debug, Clone, Default)]
pub struct Former {
    /// The keys, if they have not been wiped.
    pub keys: Option<Arc<Keys>>,
    /// The record that was read last, and until when it may be sealed by. It outlives the keys, but not their
    /// eviction or a refusal.
    pub record: Option<(Arc<Record>, u64)>,
    /// The highest epoch that was read; until an eviction.
    pub epoch: u64,
}

/// Reads the record and asks the KMS. Called without any lock, by one caller at a time for each index.
pub trait Load {
    /// What is there now.
    ///
    /// # Errors
    /// Silence and passing trouble leave the keys their lifetime, any other failure ends it.
    fn load(&self, call: &Call, name: &IndexName, former: &Former) -> Result<Loaded>;

    /// Whether the last load got as far as asking a KMS: its failure is not to be repeated at once.
    fn asked_kms(&self) -> bool;

    /// Told by each caller that is about to wait for the load of another.
    fn note_waiting(&self);

    /// Told when the keys are used beyond their lifetime, since the KMS is silent.
    fn note_stale(&self, name: &IndexName, silence: &Error);
}

/// What a caller needs the keys for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Opening pages, exporting, deriving, describing.
    Read,
    /// Sealing pages.
    Seal,
}

/// The loading caller's own limit, not an answer of store or KMS: the others go on without it.
pub(super) fn ends_only_this_caller(call: &Call, error: &Error) -> bool {
    matches!(error.status(), Status::Cancelled | Status::Timeout) && call.check("loading").is_err()
}

/// Silence and passing trouble leave the keys their lifetime; anything else is an answer, and ends it.
pub fn is_passing(status: Status) -> bool {
    matches!(
        status,
        Status::KmsUnavailable
            | Status::Throttled
            | Status::Timeout
            | Status::Storage
            | Status::Internal
            | Status::Cancelled
            | Status::Conflict
    )
}

/// The KMS did not answer, or answered that it can't now: that says nothing of the key.
pub(super) fn is_silence(status: Status) -> bool {
    matches!(status, Status::KmsUnavailable | Status::Throttled | Status::Timeout)
}

/// Failures that may be mended at once by who gets them, also where a KMS was asked.
pub(super) fn is_worth_a_pause(status: Status) -> bool {
    !matches!(
        status,
        Status::NotFound | Status::Storage | Status::Config | Status::InvalidArgument | Status::Unsupported
    )
}
