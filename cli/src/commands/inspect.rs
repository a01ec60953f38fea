//! `cyborg-kms inspect`.

use std::fmt::Write as _;

use cyborg_kms::error::Status;
use serde_json::Value;

use crate::arguments::Common;
use crate::failure::{Outcome, failed};
use crate::output::{field, show};
use crate::session::Session;

/// What is stored of an index.
pub fn inspect(common: &Common, index: &str) -> Outcome {
    let session = Session::open_with_records(common)?;
    let json = session.engine.describe(index)?;
    let description: Value = serde_json::from_str(&json).map_err(|error| {
        failed(Status::Internal, format!("the description of {index:?}: {error}; please report it"))
    })?;
    show(common.json, &description, &text(&description))
}

/// For a person: without the wraps' bytes.
fn text(of: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // A String takes everything.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("index", field(of, "index"));
    line("kind", field(of, "kind"));
    line("state", state(of));
    line("wrapped by", wrap(of));
    for recipient in items(of, "recipients") {
        line("and by", wrap(recipient));
    }
    if of["replaced"].is_object() {
        line("replaced", wrap(&of["replaced"]));
    }
    line("version", field(of, "version"));
    line("epoch", field(of, "epoch"));
    line("created", field(of, "created_at"));
    line("updated", field(of, "updated_at"));
    for key in items(of, "data_keys") {
        line("data key", data_key(key, &of["current_data_key"]));
    }
    for former in items(of, "former_keks") {
        line("former KEK", former_kek(former));
    }
    line("record", format!("sha256 {}", field(of, "record_sha256")));
    text
}

fn items<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of[name].as_array().into_iter().flatten()
}

fn state(of: &Value) -> String {
    match of["deletion_at"].as_str() {
        Some(time) => format!("{}, at {time}", field(of, "state")),
        None => field(of, "state"),
    }
}

fn wrap(of: &Value) -> String {
    if of["provider"] == "none" {
        return format!("provider none (slot {})", field(of, "kms_name"));
    }
    let mut text = format!(
        "slot {}, provider {}, key {}",
        field(of, "kms_name"),
        field(of, "provider"),
        field(of, "key_id")
    );
    for (name, what) in [("key_version", "key version"), ("region", "region"), ("mechanism", "by")] {
        if of[name].as_str().is_some_and(|value| !value.is_empty()) {
            let _ = write!(text, ", {what} {}", field(of, name));
        }
    }
    text
}

fn data_key(key: &Value, current: &Value) -> String {
    let mut text =
        format!("{}, {}, since {}", field(key, "id"), field(key, "purpose"), field(key, "created_at"));
    if key["superseded_at"].is_string() {
        let _ = write!(
            text,
            ", superseded {}, can be retired from {} on",
            field(key, "superseded_at"),
            field(key, "quiet_at")
        );
    } else if key["id"] == *current {
        text.push_str(", seals new pages");
    }
    text
}

fn former_kek(former: &Value) -> String {
    let kept = if former["is_retired"] == true { "retired" } else { "kept under the present one" };
    format!("of versions {} to {}, {kept}", field(former, "first_version"), field(former, "last_version"))
}
