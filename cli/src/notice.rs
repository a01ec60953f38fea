//! What goes to standard error: errors, log lines, questions. As JSON, a line each, with `--json`.

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use cyborg_kms::error::Error;
use cyborg_kms::log::{self, Level};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::arguments::LogLevel;
use crate::failure;
use crate::output::plain;

static JSON: AtomicBool = AtomicBool::new(false);
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Has the library's log lines written, up to `level`.
pub fn start(level: LogLevel, json: bool) {
    JSON.store(json, Ordering::Relaxed);
    log::set_sink(level as u32, Some(Box::new(line)));
}

/// An error that ends the command.
pub fn error(error: &Error) {
    if JSON.load(Ordering::Relaxed) {
        return write(&json!({"error": failure::to_json(error)}).to_string());
    }
    write(&format!("cyborg-kms: {}: {}", error.status(), plain(error.message())));
}

/// Something that a person wants to know now.
pub fn warning(message: &str) {
    line(Level::Warn, "cyborg_kms::command", message, "{}");
}

fn write(text: &str) {
    let print = || {
        // There is no other place to tell that this can't be written.
        let _ = writeln!(std::io::stderr(), "{text}");
    };
    match BAR.get() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// From now on lines are written above this bar.
pub fn stay_above(bar: &ProgressBar) {
    // A command has one.
    let _ = BAR.set(bar.clone());
}

fn line(level: Level, target: &str, message: &str, fields: &str) {
    let name = match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    if JSON.load(Ordering::Relaxed) {
        let fields: Value = serde_json::from_str(fields).unwrap_or_default();
        let log = json!({"level": name, "target": target, "message": message, "fields": fields});
        return write(&json!({ "log": log }).to_string());
    }
    let fields = if fields == "{}" { String::new() } else { format!(" {fields}") };
    write(&format!("{name}: {}{}", plain(message), plain(&fields)));
}

/// A question. On a terminal the answer stands behind it.
pub fn ask(question: &str) {
    if JSON.load(Ordering::Relaxed) {
        return warning(question);
    }
    let end = if std::io::stdin().is_terminal() { " " } else { "\n" };
    let mut to = std::io::stderr();
    let _ = write!(to, "{question}{end}").and_then(|()| to.flush());
}
