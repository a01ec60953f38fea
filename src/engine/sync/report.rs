//! What a sync has done, in bounded memory.

use serde::Serialize;

use super::plan::Step;
use super::visit::{End, Visit};
use crate::engine::lifecycle::{Receipt, rfc3339};
use crate::error::{Result, Status, fail};
use crate::log::{Fields, Level, write};
use crate::name::IndexName;

/// So many failures, and receipts, are kept; the others are counted, and in the log.
const MAX_LISTED: usize = 1000;

/// The JSON. Its fields are documented (`docs/operating.md`), and only ever added to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    dry_run: bool,
    pub(super) stopped: bool,
    started_at: Option<String>,
    ended_at: Option<String>,
    total: u64,
    checked: u64,
    in_order: u64,
    rewrapped: u64,
    rotated_keks: u64,
    rotated_data_keys: u64,
    deleted: u64,
    would_rewrap: u64,
    would_rotate_keks: u64,
    would_rotate_data_keys: u64,
    would_delete: u64,
    skipped: u64,
    skipped_drifted: u64,
    failed: u64,
    failures: Vec<Failure>,
    failures_left_out: u64,
    receipts: Vec<Receipt>,
    receipts_left_out: u64,
}

#[derive(Debug, Serialize)]
struct Failure {
    index: String,
    status: String,
    message: String,
}

impl Report {
    pub(super) fn new(dry_run: bool, total: u64, now: i64) -> Report {
        Report { dry_run, total, started_at: rfc3339(now), ..Report::default() }
    }

    /// How many indexes are done with, of how many. Those that were created meanwhile count, too.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.checked, self.total)
    }

    /// Adds an index; gives its status, or `None` where the visit was interrupted.
    pub(super) fn add(&mut self, name: &IndexName, visit: Visit) -> Option<Status> {
        visit.steps.iter().for_each(|step| self.count(*step));
        if let Some(receipt) = visit.receipt {
            keep(&mut self.receipts, &mut self.receipts_left_out, receipt);
        }
        let status = match visit.end {
            End::Interrupted => return None,
            End::InOrder => {
                self.in_order += u64::from(visit.steps.is_empty());
                Status::Ok
            }
            End::Gone => {
                self.skipped += u64::from(visit.steps.is_empty());
                Status::Ok
            }
            End::Left { has_drifted } => {
                self.skipped += 1;
                self.skipped_drifted += u64::from(has_drifted);
                Status::Ok
            }
            End::Failed(error) => {
                self.failed += 1;
                let (index, status) = (name.as_str().to_owned(), error.status());
                let failure =
                    Failure { index, status: status.to_string(), message: error.message().to_owned() };
                keep(&mut self.failures, &mut self.failures_left_out, failure);
                status
            }
        };
        self.checked += 1;
        self.total = self.total.max(self.checked);
        Some(status)
    }

    fn count(&mut self, step: Step) {
        let counter = match (step, self.dry_run) {
            (Step::Rewrap, false) => &mut self.rewrapped,
            (Step::RotateKek, false) => &mut self.rotated_keks,
            (Step::RotateDataKey, false) => &mut self.rotated_data_keys,
            (Step::Delete, false) => &mut self.deleted,
            (Step::Rewrap, true) => &mut self.would_rewrap,
            (Step::RotateKek, true) => &mut self.would_rotate_keks,
            (Step::RotateDataKey, true) => &mut self.would_rotate_data_keys,
            (Step::Delete, true) => &mut self.would_delete,
        };
        *counter += 1;
    }

    /// The JSON.
    pub(super) fn end(mut self, now: i64) -> Result<String> {
        self.ended_at = rfc3339(now);
        // The threads ended with them in any order.
        self.failures.sort_by(|one, other| one.index.cmp(&other.index));
        let fields = Fields::new()
            .number("checked", self.checked)
            .number("rewrapped", self.rewrapped)
            .number("rotated_keks", self.rotated_keks)
            .number("rotated_data_keys", self.rotated_data_keys)
            .number("deleted", self.deleted)
            .number("failed", self.failed);
        let message = match (self.dry_run, self.stopped) {
            (true, _) => "a dry run of a sync has ended",
            (false, true) => "a sync was stopped",
            (false, false) => "a sync has ended",
        };
        write(Level::Info, "cyborg_kms::sync", message, &fields);
        serde_json::to_string(&self).map_err(|error| fail!(Internal, "the report of a sync: {error}"))
    }
}

fn keep<T>(kept: &mut Vec<T>, left_out: &mut u64, item: T) {
    if kept.len() < MAX_LISTED {
        kept.push(item);
    } else {
        *left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn failures_beyond_what_is_kept_are_counted() {
        let mut report = Report::new(false, 0, 0);
        let index = |number: u64| IndexName::new(&format!("i{number}")).unwrap();
        for number in 0..MAX_LISTED as u64 + 7 {
            let error = Error::new(Status::Config, "no slot");
            let visit = Visit { steps: Vec::new(), end: End::Failed(error), receipt: None };
            assert_eq!(report.add(&index(number), visit), Some(Status::Config));
        }
        assert_eq!(report.progress(), (1007, 1007));
        let json: serde_json::Value = serde_json::from_str(&report.end(0).unwrap()).unwrap();
        assert_eq!((json["failed"].as_u64(), json["failures_left_out"].as_u64()), (Some(1007), Some(7)));
        assert_eq!(json["failures"].as_array().unwrap().len(), MAX_LISTED);
        assert_eq!(json["failures"][1]["index"], "i1");
        assert_eq!(json["failures"][1]["status"], "CONFIG");
    }

    #[test]
    fn what_was_done_before_an_interruption_counts() {
        let mut report = Report::new(false, 1, 0);
        let visit = Visit { steps: vec![Step::Rewrap], end: End::Interrupted, receipt: None };
        assert_eq!(report.add(&IndexName::new("a").unwrap(), visit), None);
        assert_eq!((report.rewrapped, report.checked), (1, 0));
    }
}
