//! The question whether a server keeps conditions: writes that must be refused, to an object of their own.

use object_store::PutMode;

use super::action::Action;
use super::{Cloud, ObjectStore};
use crate::call::Call;
use crate::error::{Error, Result, Status, fail};
use crate::log::{Fields, Level, write};

const WHAT: &str = "checking, before the first write, that the store keeps conditions";
/// How often the question is put where its answer is lost.
const TRIES: usize = 3;

impl ObjectStore {
    /// Succeeds where they are kept; `UNSUPPORTED` where they are not.
    pub(super) fn probe(&self, call: &Call) -> Result<()> {
        let mut result = self.probe_once(call);
        for _ in 1..TRIES {
            match &result {
                Err(broken) if broken.status() == Status::Storage && broken.is_retryable() => {
                    result = self.probe_once(call);
                }
                _ => break,
            }
        }
        // What may have happened is no matter of the write that waits for this.
        result.map_err(Error::with_outcome_known)
    }

    fn probe_once(&self, call: &Call) -> Result<()> {
        let mut random = [0; 16];
        crate::crypto::secret::random(&mut random)?;
        // Beside the records' folder: neither a listing of ours nor CyborgDB's comes by.
        let number = u128::from_be_bytes(random);
        let object = format!("{}_catalog/.cyborg_kms/probe-{number:032x}", self.address.prefix);
        let answered = self.ask(call, &object);
        let was_written = !matches!(&answered, Err(error) if error.status() == Status::AccessDenied);
        if was_written && let Err(left) = self.remove_object(call, "removing the check's object", &object) {
            let message = format!("{object} is left in the store: {left}");
            write(Level::Warn, "cyborg_kms::store", &message, &Fields::new().text("operation", "check"));
        }
        answered
    }

    fn ask(&self, call: &Call, object: &str) -> Result<()> {
        let put = |mode, action| self.put_object(call, WHAT, object, b"cyborg_kms", (mode, action));
        let must_be_refused = |outcome: Result<()>, status: Status, condition: &str| match outcome {
            Ok(()) => Err(self.passes_over(condition)),
            Err(refused) if refused.status() == status => Ok(()),
            Err(error) => Err(error),
        };
        let (create, replace) = match self.address.cloud {
            Cloud::Google => ("x-goog-if-generation-match: 0", "x-goog-if-generation-match"),
            Cloud::S3 | Cloud::Azure => ("If-None-Match: *", "If-Match"),
        };
        // Nobody else has this name: a refusal is an answer that went wrong, to be asked for again.
        put(PutMode::Create, Action::Create).map_err(|error| match error.status() {
            Status::AlreadyExists => error.with_status(Status::Storage).with_retryable(true),
            _ => error,
        })?;
        must_be_refused(put(PutMode::Create, Action::Create), Status::AlreadyExists, create)?;
        let wrong = PutMode::Update(self.state(wrong_state(self.address.cloud)));
        must_be_refused(put(wrong, Action::Replace), Status::Conflict, replace)
    }

    fn passes_over(&self, condition: &str) -> Error {
        fail!(
            Unsupported,
            "{}: the server passes over the condition {condition:?} of a write, so that machines would overwrite each \
             other's keys: nothing was written; take a server that keeps conditions (reading from this one works)",
            self.address
        )
    }
}

/// A state that no object is ever in.
fn wrong_state(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => "\"00000000000000000000000000000000\"",
        Cloud::Google => "1",
        Cloud::Azure => "\"0x1\"",
    }
}
