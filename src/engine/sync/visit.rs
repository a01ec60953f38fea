//! One index: looked at, mended, looked at again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::plan::{Plan, Step, plan};
use crate::blob::{self, Record};
use crate::call::{Call, CancelToken};
use crate::engine::Core;
use crate::engine::lifecycle::{Mend, Receipt, delete};
use crate::engine::stats::count;
use crate::error::{Error, Result, Status, fail};
use crate::log::{Fields, Level, write};
use crate::name::IndexName;

/// So often an index is tried again whose KMS throttles, slower each time.
const MAX_THROTTLED: u32 = 5;
/// So often it is looked at again because others change it.
const MAX_REFUSALS: u32 = 2;

/// What came of one index.
#[derive(Debug)]
pub(super) struct Visit {
    /// What was done to it; in a dry run what would be.
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
    /// Of its deletion.
    pub(super) receipt: Option<Receipt>,
}

/// How a visit ended.
#[derive(Debug)]
pub(super) enum End {
    /// It is as it should be, now if not before.
    InOrder,
    /// It is not for sync to change.
    Left {
        has_drifted: bool,
    },
    /// Its record is not there any more.
    Gone,
    Failed(Error),
    /// Sync was ended meanwhile; whatever of it is not done yet is left to the next.
    Interrupted,
}

/// What all visits of one sync have in common.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) core: Arc<Core>,
    /// With the pacer.
    pub(super) call: Call,
    pub(super) dry_run: bool,
    pub(super) stop: CancelToken,
}

impl Visitor {
    /// Visits an index. Whatever happens there is told of it alone.
    pub(super) fn visit(&self, name: &IndexName) -> Visit {
        let mut visit = Visit { steps: Vec::new(), end: End::Interrupted, receipt: None };
        if self.stop.is_cancelled() {
            return visit;
        }
        let settled = catch_unwind(AssertUnwindSafe(|| self.settle(name, &mut visit)));
        visit.end = match settled {
            Ok(Ok(end)) => end,
            Ok(Err(error)) if self.was_interrupted(&error) => End::Interrupted,
            Ok(Err(error)) => failed(name, error),
            Err(_) => failed(
                name,
                fail!(Internal, "index {name}: its sync panicked, in the store perhaps; please report it"),
            ),
        };
        visit
    }

    fn was_interrupted(&self, error: &Error) -> bool {
        let is_stopped = self.stop.is_cancelled() && error.status() == Status::Cancelled;
        is_stopped || self.call.check("sync").is_err()
    }

    /// One step after the other, each planned by the record as it is then.
    fn settle(&self, name: &IndexName, visit: &mut Visit) -> Result<End> {
        let mut refused: Option<(Record, Error)> = None;
        let (mut throttled, mut refusals) = (0, 0);
        loop {
            let Some(record) = self.record(name)? else { return Ok(End::Gone) };
            match refused.take() {
                // What others did meanwhile was not the reason.
                Some((before, error)) if before == record => return Err(error),
                _ => {}
            }
            let now = self.core.clock.unix_seconds();
            let steps = match plan(&self.core, name, &record, now, &visit.steps)? {
                Plan::Keep => return Ok(End::InOrder),
                Plan::Leave { has_drifted } => return Ok(End::Left { has_drifted }),
                Plan::Do(steps) => steps,
            };
            if self.dry_run {
                self.check(name, &record, &steps)?;
                visit.steps = steps;
                return Ok(End::InOrder);
            }
            let Some(&step) = steps.first().filter(|step| !visit.steps.contains(step)) else {
                return Err(still_drifted(name));
            };
            match self.act(name, &record, step, visit) {
                Ok(()) => visit.steps.push(step),
                Err(error) if error.status() == Status::Throttled && throttled < MAX_THROTTLED => {
                    throttled += 1;
                }
                // Perhaps it was stopped or deleted, or someone else did what was to be done: that is as good.
                Err(error) if is_about_the_record(&error) && refusals < MAX_REFUSALS => {
                    refusals += 1;
                    refused = Some((record, error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn record(&self, name: &IndexName) -> Result<Option<Record>> {
        count(&self.core.counters.store_reads);
        match blob::live_record(&*self.core.store, &self.call, name) {
            Err(error) if error.status() == Status::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    fn act(&self, name: &IndexName, record: &Record, step: Step, visit: &mut Visit) -> Result<()> {
        let now = self.core.clock.unix_seconds();
        let is_wanted = |record: &Record| is_planned(&self.core, name, record, now, &visit.steps, step);
        match step.rotation() {
            Some(rotation) => {
                Mend::new(rotation, &record.wrap.kms_name, &is_wanted).run(&self.core, &self.call, name)
            }
            None => {
                let receipt = delete(&self.core, &self.call, name, &is_wanted)?;
                visit.receipt = Some(receipt);
                Ok(())
            }
        }
    }

    /// What would be refused, for a dry run.
    fn check(&self, name: &IndexName, record: &Record, steps: &[Step]) -> Result<()> {
        for rotation in steps.iter().filter_map(|step| step.rotation()) {
            Mend::new(rotation, &record.wrap.kms_name, &|_| true).check(&self.core, name, record)?;
        }
        Ok(())
    }
}

fn is_planned(core: &Core, name: &IndexName, record: &Record, now: i64, done: &[Step], step: Step) -> bool {
    let planned = plan(core, name, record, now, done);
    planned.is_ok_and(|plan| matches!(plan, Plan::Do(steps) if steps.contains(&step)))
}

/// Failures that a change of the record by someone else may explain.
fn is_about_the_record(error: &Error) -> bool {
    matches!(error.status(), Status::Conflict | Status::NotFound | Status::KeyDisabled)
}

fn still_drifted(name: &IndexName) -> Error {
    fail!(
        Internal,
        "index {name} was wrapped anew, and still is not as its slot says: it is left as it is, please report it"
    )
}

fn failed(name: &IndexName, error: Error) -> End {
    let fields = Fields::new().text("index", name.as_str()).text("status", &error.status().to_string());
    write(Level::Warn, "cyborg_kms::sync", error.message(), &fields);
    End::Failed(error)
}
