//! The audit log: a line for each creation, opening that asked the KMS, rotation, change of state, deletion and
//! refusal, chained by hashes. `docs/audit.md` says what it promises; `docs/format.md` has the line.
//!
//! An operation that changes something is run by `Core::audited`, which writes its intent before and its outcome
//! behind it:
//!
//! ```ignore
//! core.audited(call, || Event::new(Operation::RotateKek, name), |intent| {
//!     let record = rotate(…)?;
//!     intent.record(&record); // the outcome's slot, provider, key, version, epoch
//!     Ok(record)
//! })
//! ```
//!
//! What changes nothing, an opening or a refusal, is told by `Trail::done`.

mod append;
mod batch;
mod end;
mod event;
mod head;
mod intent;
mod line;
mod lines;
mod place;
mod report;
mod trail;
mod verify;

pub use event::{Event, Operation, Phase};
pub use head::{Head, head};
pub use intent::Intent;
pub use report::{Fault, FaultKind, Report};
pub use trail::{Setup, Sink, Trail};
pub use verify::verify;
