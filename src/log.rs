//! The log callback: the only state that is the process's. Nothing secret is ever given to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::sys::fork;

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
/// No lock: a child would find it held by a thread that it does not have.
static CURRENT: ArcSwapOption<Target> = ArcSwapOption::const_empty();

struct Target {
    sink: Sink,
    /// Threads that are in the sink or about to be, behind the process whose threads they are: a child begins at
    /// none, it does not have its parent's.
    callers: AtomicU64,
}

impl Target {
    /// The count with this process in its upper half; another process's is none.
    fn count_of(&self, process: u64, change: impl Fn(u64) -> u64) -> u64 {
        let next = |callers: u64| {
            let count = if callers >> 32 == process { callers & u64::from(u32::MAX) } else { 0 };
            process << 32 | change(count)
        };
        let former =
            self.callers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |callers| Some(next(callers)));
        next(former.unwrap_or_default()) & u64::from(u32::MAX)
    }
}

/// This process, as far as 32 bits tell.
fn process() -> u64 {
    fork::generation() & u64::from(u32::MAX)
}

/// Replaces the sink; returns when no thread is in the former one any more. `max_level` 0 is off.
pub fn set_sink(max_level: u32, sink: Option<Sink>) {
    let level = if sink.is_some() { max_level } else { 0 };
    let former = CURRENT.swap(sink.map(|sink| Arc::new(Target { sink, callers: AtomicU64::new(0) })));
    MAX_LEVEL.store(level, Ordering::Relaxed);
    let Some(former) = former else { return };
    while former.count_of(process(), |count| count) != 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a line of this level is wanted: to not build one in vain.
pub fn is_enabled(level: Level) -> bool {
    level as u32 <= MAX_LEVEL.load(Ordering::Relaxed)
}

/// Writes a line.
pub fn write(level: Level, target: &str, message: &str, fields: &Fields) {
    while is_enabled(level) {
        let Some(current) = CURRENT.load_full() else { return };
        let entered = Entered::new(&current);
        // Counted first, then looked again: whoever replaces it from now on waits for this call.
        if CURRENT.load().as_ref().is_some_and(|still| Arc::ptr_eq(still, &current)) {
            (current.sink)(level, target, message, &fields.to_json());
            return;
        }
        drop(entered);
    }
}

/// Counts a caller of a sink until it is out of it, by a panic too.
struct Entered<'a>(&'a Target);

impl Entered<'_> {
    fn new(target: &Target) -> Entered<'_> {
        target.count_of(process(), |count| count + 1);
        Entered(target)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.count_of(process(), |count| count.saturating_sub(1));
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
    serde_json::Value::from(text).to_string()
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
