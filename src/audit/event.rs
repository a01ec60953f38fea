//! What is told of an operation.

use serde::Serialize;

use crate::blob::Record;
use crate::error::{Error, Status};
use crate::log::Fields;
use crate::name::IndexName;
use crate::registry::Slot;

/// A text in an event has so many bytes at most: some come from records, which whoever writes the store can make long.
const MAX_TEXT: usize = 2048;

/// What was done, or was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A new index.
    Create,
    /// An opening that asked the KMS, or was refused.
    Open,
    /// A refresh of an open index that ended its use: the KMS, or the record, says no.
    Refresh,
    /// The same KEK, wrapped anew.
    Rewrap,
    /// A new KEK.
    RotateKek,
    /// A new data key.
    RotateDataKey,
    /// A data key is forgotten.
    RetireDataKey,
    /// A former KEK is forgotten.
    RetireKek,
    /// Every use is refused from now on.
    Disable,
    /// And is no more.
    Enable,
    /// Disabled, and to be deleted.
    ScheduleDeletion,
    /// Not to be deleted.
    CancelDeletion,
    /// The wrapped keys are removed.
    Delete,
    /// Of the log itself: what a crash had left of a line is closed.
    Recovered,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// About to be done.
    Intent,
    /// Done or failed.
    Outcome,
}

/// One operation on one index. Each field is there in each event; "" and 0 where there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// RFC 3339, UTC.
    pub(super) time: String,
    operation: Operation,
    pub(super) phase: Phase,
    index: String,
    slot: String,
    provider: String,
    key_id: String,
    version: u32,
    epoch: u64,
    outcome: String,
    /// Of an outcome: the `seq` of its intent; left out where it has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) intent: u64,
    /// The change may have happened all the same; left out where that is not so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    outcome_unknown: bool,
    provider_code: String,
    request_id: String,
    pub(super) principal: String,
}

impl Event {
    /// An operation on an index, about to be done.
    pub fn new(operation: Operation, index: &IndexName) -> Event {
        Event::of(operation, Phase::Intent, index.as_str())
    }

    /// What the log says of itself.
    pub(super) fn recovered() -> Event {
        let mut event = Event::of(Operation::Recovered, Phase::Outcome, "");
        event.outcome = Status::Ok.to_string();
        event
    }

    fn of(operation: Operation, phase: Phase, index: &str) -> Event {
        Event {
            time: String::new(),
            operation,
            phase,
            index: index.to_owned(),
            slot: String::new(),
            provider: String::new(),
            key_id: String::new(),
            version: 0,
            epoch: 0,
            outcome: String::new(),
            intent: 0,
            outcome_unknown: false,
            provider_code: String::new(),
            request_id: String::new(),
            principal: String::new(),
        }
    }

    /// By the key that a slot names.
    pub fn slot(&mut self, slot: &Slot) {
        self.slot = clip(&slot.name);
        self.provider = clip(&slot.provider.as_str());
        self.key_id = clip(&slot.key_id);
    }

    /// On a record: slot, provider, key, envelope version and epoch are those that it has.
    pub fn record(&mut self, record: &Record) {
        self.slot = clip(&record.wrap.kms_name);
        self.provider = clip(&record.wrap.provider);
        self.key_id = clip(&record.wrap.key_id);
        self.version = record.envelope_version;
        self.epoch = record.epoch;
    }

    /// How it ended.
    pub(super) fn end(&mut self, failure: Option<&Error>) {
        self.phase = Phase::Outcome;
        self.outcome = failure.map_or(Status::Ok, Error::status).to_string();
        self.outcome_unknown = failure.is_some_and(Error::is_outcome_unknown);
        self.provider_code = clip(failure.map_or("", Error::provider_code));
        self.request_id = clip(failure.map_or("", Error::request_id));
    }

    /// Which one it is, for the library's own log.
    pub(super) fn log_fields(&self) -> Fields {
        let (operation, phase) = (format!("{:?}", self.operation), format!("{:?}", self.phase));
        Fields::new().text("index", &self.index).text("operation", &operation).text("phase", &phase)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// At most [`MAX_TEXT`] bytes of a text.
pub(super) fn clip(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}
