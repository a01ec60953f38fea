//! The log callback: the only state that is the process's. Nothing secret is ever given to it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::callback::Replaceable;

/// How much a line matters; a callback gets the lines up to its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Something is broken.
    Error = 1,
    /// Something needs a look.
    Warn = 2,
    /// What an operator wants to know.
    Info = 3,
    /// Each call of a KMS.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// Receives the lines: level, target (the module), message, and the fields as a JSON object.
pub type Sink = Box<dyn Fn(Level, &str, &str, &str) + Send + Sync>;

static MAX_LEVEL: AtomicU32 = AtomicU32::new(0);
static CURRENT: Replaceable<Sink> = Replaceable::none();

/// Replaces the sink; returns when no thread is in the former one any more. `max_level` 0 is off.
pub fn set_sink(max_level: u32, sink: Option<Sink>) {
    let level = if sink.is_some() { max_level } else { 0 };
    let former = CURRENT.replace(sink);
    MAX_LEVEL.store(level, Ordering::Relaxed);
    former.wait();
}

/// Whether a line of this level is wanted: to not build one in vain.
pub fn is_enabled(level: Level) -> bool {
    level as u32 <= MAX_LEVEL.load(Ordering::Relaxed)
}

/// Writes a line.
pub fn write(level: Level, target: &str, message: &str, fields: &Fields) {
    if is_enabled(level) {
        CURRENT.call(|sink| {
            // It may be another sink by now.
            if is_enabled(level) {
                sink(level, target, message, &fields.to_json());
            }
        });
    }
}

/// The structured part of a line.
#[derive(Debug, Default)]
pub struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// None.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// With a text.
    #[must_use]
    pub fn text(mut self, key: &'static str, value: &str) -> Fields {
        self.0.push((key, quoted(value)));
        self
    }

    /// With a number.
    #[must_use]
    pub fn number(mut self, key: &'static str, value: u64) -> Fields {
        self.0.push((key, value.to_string()));
        self
    }

    fn to_json(&self) -> String {
        let items: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
        format!("{{{}}}", items.join(","))
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_json() {
        let fields = Fields::new().text("slot", "a\"b\n").number("duration_ms", 7);
        assert_eq!(fields.to_json(), r#"{"slot":"a\"b\n","duration_ms":7}"#);
        assert_eq!(Fields::new().to_json(), "{}");
    }
}
