//! `cyborg-kms sync`.

use std::fmt::Write as _;

use cyborg_kms::engine::SyncOptions;
use cyborg_kms::error::{Error, Status};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::arguments::{Common, Sync};
use crate::failure::{Failure, Outcome, failed, receipt_lost};
use crate::notice;
use crate::output::{field, plain, show};
use crate::session::Session;

/// What the report counts, for a person.
const COUNTS: [(&str, &str); 11] = [
    ("in_order", "in order"),
    ("rewrapped", "rewrapped"),
    ("rotated_keks", "with a new KEK"),
    ("rotated_data_keys", "with a new data key"),
    ("deleted", "deleted"),
    ("would_rewrap", "to rewrap"),
    ("would_rotate_keks", "to get a new KEK"),
    ("would_rotate_data_keys", "to get a new data key"),
    ("would_delete", "to delete"),
    ("skipped", "skipped"),
    ("failed", "failed"),
];

/// Brings every index in order; what fails for one does not keep the others from it.
pub fn sync(common: &Common, asked: &Sync) -> Outcome {
    let session = Session::open_with_records(common)?;
    session.watch();
    let options = SyncOptions {
        dry_run: asked.dry_run,
        concurrency: asked.concurrency,
        requests_per_second: asked.rate.unwrap_or_default(),
    };
    let bar = bar(common);
    let mut failed = 0;
    let result = session.engine.sync(&options, |done, total, name, status| {
        failed += u64::from(status != Status::Ok);
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(format!("{failed} failed  {}", plain(name)));
        !session.is_to_stop()
    });
    bar.finish_and_clear();
    let json = result?;
    let report: Value = serde_json::from_str(&json).map_err(|error| {
        self::failed(Status::Internal, format!("the report of sync: {error}; please report it"))
    })?;
    show(common.json, &report, &text(&report)).map_err(|failure| lost(failure, &report))?;
    verdict(&report)
}

/// On a terminal only, and where a person reads.
fn bar(common: &Common) -> ProgressBar {
    let target = if common.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta} left  {wide_msg}") {
        bar.set_style(style);
    }
    notice::stay_above(&bar);
    bar
}

fn text(report: &Value) -> String {
    let counts: Vec<String> = COUNTS
        .iter()
        .filter(|(name, _)| report[name].as_u64().unwrap_or_default() > 0)
        .map(|(name, what)| format!("{} {what}{}", field(report, name), drifted(report, name)))
        .collect();
    let kind = if report["dry_run"] == true { "dry run, nothing was changed: " } else { "" };
    let mut text = format!("{kind}{} of {} indexes", field(report, "checked"), field(report, "total"));
    if !counts.is_empty() {
        let _ = write!(text, ": {}", counts.join(", "));
    }
    text.push('\n');
    for failure in items(report, "failures") {
        let [index, status, message] = ["index", "status", "message"].map(|name| field(failure, name));
        let _ = writeln!(text, "failed  {index}: {status}: {message}");
    }
    left_out(&mut text, report, "failures_left_out", "failures are in the log only");
    for receipt in items(report, "receipts") {
        let _ = writeln!(text, "deleted  {receipt}");
    }
    left_out(&mut text, report, "receipts_left_out", "were deleted, which the audit log has");
    text
}

/// What sync must leave as it is, and should not stay so.
fn drifted(report: &Value, name: &str) -> String {
    match report["skipped_drifted"].as_u64() {
        Some(count @ 1..) if name == "skipped" => format!(" ({count} of them drifted)"),
        _ => String::new(),
    }
}

fn left_out(text: &mut String, report: &Value, name: &str, what: &str) {
    if report[name].as_u64().unwrap_or_default() > 0 {
        let _ = writeln!(text, "{} more {what}", field(report, name));
    }
}

fn items<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of[name].as_array().into_iter().flatten()
}

fn lost(failure: Failure, report: &Value) -> Failure {
    if items(report, "receipts").next().is_none() {
        return failure;
    }
    receipt_lost(failure, "sync has deleted indexes", &report["receipts"].to_string())
}

/// An interruption, or the first failure, which stands for all.
fn verdict(report: &Value) -> Outcome {
    let [checked, total, count] = ["checked", "total", "failed"].map(|name| field(report, name));
    if report["stopped"] == true {
        return Err(failed(
            Status::Cancelled,
            format!("interrupted after {checked} of {total} indexes: run it again for the others"),
        ));
    }
    let Some(first) = items(report, "failures").next() else { return Ok(()) };
    let is_its = |status: &&Status| first["status"] == status.to_string();
    let status = Status::ALL.iter().find(is_its).copied().unwrap_or(Status::Internal);
    let message = first["message"].as_str().unwrap_or_default();
    Err(Error::new(status, format!("{count} of {checked} indexes failed, the first: {message}")).into())
}
