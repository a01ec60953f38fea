//! `cyborg-kms check`.

use cyborg_kms::error::{Error, Status};
use cyborg_kms::registry::{ProviderKind, Slot};
use serde_json::{Value, json};

use crate::arguments::Common;
use crate::failure::{Failure, Outcome, to_json};
use crate::output::{field, plain, show, table};
use crate::session::Session;

/// Asks the KMS of one slot, or of each in turn: one that fails does not keep the others from being asked.
pub fn check(common: &Common, only: Option<&str>) -> Outcome {
    let session = Session::open(common)?;
    if let Some(slot) = only {
        session.engine.check(Some(slot))?;
        let found = json!({"slot": slot, "outcome": "ok", "error": null, "reason": null});
        return report(common, &[found]);
    }
    let slots = &session.settings.config.slots;
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for slot in slots.values() {
        let failure = if let Some(reason) = cannot_ask(slot) {
            found.push(json!({"slot": slot.name, "outcome": "skipped", "error": null, "reason": reason}));
            continue;
        } else {
            session.engine.check(Some(&slot.name)).err()
        };
        if let Some(error) = failure.clone().filter(|error| error.status() == Status::Cancelled) {
            report(common, &found)?;
            return Err(Failure::Error(error.context(format!(
                "interrupted, {} of {} slots were looked at",
                found.len(),
                slots.len()
            ))));
        }
        let outcome = if failure.is_none() { "ok" } else { "failed" };
        let error = failure.as_ref().map(to_json);
        found.push(json!({"slot": slot.name, "outcome": outcome, "error": error, "reason": null}));
        failures.extend(failure);
    }
    report(common, &found)?;
    summary(failures, found.len())
}

/// Why a slot has no KMS that could be asked from here.
fn cannot_ask(slot: &Slot) -> Option<&'static str> {
    match slot.provider {
        ProviderKind::None => Some("provider none has no KMS"),
        ProviderKind::External(_) => Some("its provider is registered by the engine's own program"),
        _ => None,
    }
}

fn report(common: &Common, found: &[Value]) -> Outcome {
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    show(common.json, &json!({ "slots": found }), &table(&rows))
}

fn row(found: &Value) -> Vec<String> {
    let why = match (found["error"].as_object(), found["reason"].as_str()) {
        (Some(_), _) => {
            format!("{}: {}", field(&found["error"], "status"), field(&found["error"], "message"))
        }
        (None, reason) => plain(reason.unwrap_or_default()).into_owned(),
    };
    vec![field(found, "slot"), field(found, "outcome"), why]
}

/// The first failure stands for all.
fn summary(failures: Vec<Error>, looked_at: usize) -> Outcome {
    let count = failures.len();
    match failures.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(first.context(format!("{count} of {looked_at} slots failed, the first")).into()),
    }
}
