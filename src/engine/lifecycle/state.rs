//! Whether an index may be used. No KMS is asked: this works while it is down.

use std::sync::Arc;

use super::time::rfc3339;
use crate::audit::{Event, Intent, Operation};
use crate::blob::{self, Change, Kind, Record, State};
use crate::call::Call;
use crate::engine::Core;
use crate::engine::stats::count;
use crate::error::{Result, fail};
use crate::log::{Fields, Level, write};
use crate::name::IndexName;

/// What is to become of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StateChange {
    Disable,
    Enable,
    ScheduleDeletion { waiting_hours: u32 },
    CancelDeletion,
}

impl StateChange {
    fn operation(self) -> Operation {
        match self {
            StateChange::Disable => Operation::Disable,
            StateChange::Enable => Operation::Enable,
            StateChange::ScheduleDeletion { .. } => Operation::ScheduleDeletion,
            StateChange::CancelDeletion => Operation::CancelDeletion,
        }
    }
}

/// A deletion can be taken back for so many hours, as the caller chooses.
const WAITING_HOURS: std::ops::RangeInclusive<u32> = 24..=8760;

/// Changes the state in one write; from then on it holds in this process.
pub(super) fn change(core: &Arc<Core>, call: &Call, name: &IndexName, change: StateChange) -> Result<()> {
    if let StateChange::ScheduleDeletion { waiting_hours } = change
        && !WAITING_HOURS.contains(&waiting_hours)
    {
        return Err(fail!(
            InvalidArgument,
            "waiting_hours is {waiting_hours}: a deletion waits for 24 to 8760 hours"
        ));
    }
    let event = || Event::new(change.operation(), name);
    core.audited(call, event, |intent| change_now(core, call, name, change, intent))
}

fn change_now(
    core: &Arc<Core>,
    call: &Call,
    name: &IndexName,
    change: StateChange,
    intent: &mut Intent<'_>,
) -> Result<()> {
    count(&core.counters.store_writes);
    let now = core.clock.unix_seconds();
    let changed = blob::change(&*core.store, call, name, now, &mut |present| {
        count(&core.counters.store_reads);
        let record = present.ok_or_else(|| blob::no_record(name))?;
        intent.record(&record);
        Ok(match next(name, &record, change, now)? {
            Some((state, deletion_at)) => Change::Write(Box::new(Record { state, deletion_at, ..record })),
            None => Change::Keep,
        })
    });
    // Also where nothing had to be written: another process may have, and this one must feel it now.
    if changed.as_ref().map_or_else(|error| error.is_outcome_unknown(), |_| true) {
        core.stop_use(name);
    }
    if let Some(record) = changed? {
        intent.record(&record);
        note(core, name, &record);
    }
    Ok(())
}

/// State and time of deletion as they are to be; `None`: as they are.
fn next(name: &IndexName, record: &Record, change: StateChange, now: i64) -> Result<Option<(State, i64)>> {
    Ok(match (change, record.state) {
        (StateChange::Disable, State::Enabled) => Some((State::Disabled, 0)),
        // A scheduled deletion refuses every use already, and stays scheduled.
        (StateChange::Disable, _) | (StateChange::Enable, State::Enabled) => None,
        (StateChange::Enable, State::Disabled) => Some((State::Enabled, 0)),
        (StateChange::Enable, _) => {
            return Err(fail!(
                KeyDisabled,
                "index {name} is to be deleted{}: cancel the deletion first",
                at(record)
            ));
        }
        (StateChange::ScheduleDeletion { waiting_hours }, State::Enabled | State::Disabled) => {
            Some((State::PendingDeletion, now.saturating_add(i64::from(waiting_hours) * 3600)))
        }
        (StateChange::ScheduleDeletion { .. }, _) => {
            return Err(fail!(
                Conflict,
                "index {name} is to be deleted{} already: cancel that deletion to set another time",
                at(record)
            )
            .with_retryable(false));
        }
        (StateChange::CancelDeletion, State::PendingDeletion) => Some((State::Disabled, 0)),
        // As a cancellation leaves it.
        (StateChange::CancelDeletion, State::Disabled) => None,
        (StateChange::CancelDeletion, _) => {
            let nothing = fail!(Conflict, "index {name} is not to be deleted: there is nothing to cancel");
            return Err(nothing.with_retryable(false));
        }
    })
}

fn at(record: &Record) -> String {
    rfc3339(record.deletion_at).map(|time| format!(" at {time}")).unwrap_or_default()
}

fn note(core: &Core, name: &IndexName, record: &Record) {
    core.note_change(name, record, "the state of an index was changed");
    if record.kind == Kind::CyborgDb && record.state != State::Enabled {
        let fields = Fields::new().text("index", name.as_str()).text("slot", &record.wrap.kms_name);
        let message = "CyborgDB does not know the state: it opens the record as before, and its push enables it again; \
                       disable the key in the KMS to stop both";
        write(Level::Warn, "cyborg_kms::lifecycle", message, &fields);
    }
}

impl Core {
    /// A line for the log: what an index is now.
    pub(super) fn note_change(&self, name: &IndexName, record: &Record, what: &str) {
        let fields = Fields::new()
            .text("index", name.as_str())
            .text("slot", &record.wrap.kms_name)
            .text("state", record.state.as_str())
            .number("version", u64::from(record.envelope_version))
            .number("epoch", record.epoch)
            .number("data_key", u64::from(record.current_data_key));
        write(Level::Info, "cyborg_kms::lifecycle", what, &fields);
    }
}
