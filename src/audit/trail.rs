//! What the engine sees of the log: intents, outcomes, refusals; to a file, a callback, or nowhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::append::{Appender, is_callers_own};
use super::event::{Event, Phase, clip};
use super::intent::Intent;
use super::line::to_json;
use crate::call::Call;
use crate::callback::Replaceable;
use crate::clock::Clock;
use crate::crypto::derive::{SubKey, sub_key};
use crate::crypto::key_file;
use crate::crypto::secret::{Arena, SecretKey};
use crate::error::{Error, Result, Status, fail};
use crate::log::{self, Level};
use crate::registry::AuditSettings;

/// Hears of each event, as a JSON object: the line as it stands in the file, or the event alone where there is none.
pub type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// The last second that RFC 3339 can write, in the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// An engine's audit trail. Without a file and a callback each call ends at one look at a flag.
#[derive(Debug)]
pub struct Trail {
    is_on: AtomicBool,
    setup: ArcSwap<Setup>,
    sink: Replaceable<Sink>,
    clock: Arc<dyn Clock>,
    failures: AtomicU64,
}

/// What the configuration says, ready for use.
#[derive(Debug)]
pub struct Setup {
    appender: Option<Appender>,
    fail_on_error: bool,
    principal: String,
}

impl Setup {
    /// Reads the key file; the log itself is first touched by the first event.
    pub fn new(settings: &AuditSettings, arena: &Arc<Arena>) -> Result<Setup> {
        let key = settings.key_file.as_deref().map(|path| read_key(arena, Path::new(path))).transpose()?;
        let appender =
            settings.path.as_deref().map(|path| Appender::new(Path::new(path), key, settings.max_size));
        Ok(Setup {
            appender,
            fail_on_error: settings.fail_on_error,
            principal: clip(settings.principal.as_deref().unwrap_or_default()),
        })
    }
}

/// The key of the MACs.
fn read_key(arena: &Arc<Arena>, path: &Path) -> Result<SecretKey> {
    let key = key_file::read(arena, path)
        .map_err(|error| error.with_status(Status::Config).context("audit.key_file"))?;
    sub_key(arena, &key, SubKey::Audit)
}

impl Trail {
    /// A trail with the settings of a configuration.
    pub fn new(setup: Setup, clock: Arc<dyn Clock>) -> Trail {
        Trail {
            is_on: AtomicBool::new(setup.appender.is_some()),
            setup: ArcSwap::from_pointee(setup),
            sink: Replaceable::none(),
            clock,
            failures: AtomicU64::new(0),
        }
    }

    /// From now on with other settings. Operations under way end where they began.
    pub fn change(&self, setup: Setup) {
        self.setup.store(Arc::new(setup));
        self.look_whether_on();
    }

    /// Replaces the callback; returns when no thread is in the former one any more.
    pub fn set_sink(&self, sink: Option<Sink>) {
        let former = self.sink.replace(sink);
        self.look_whether_on();
        former.wait();
    }

    fn look_whether_on(&self) {
        let is_on = || self.setup.load().appender.is_some() || self.sink.is_some();
        // Again: of two that change something at once the first may have looked before the second changed it.
        while {
            self.is_on.store(is_on(), Ordering::SeqCst);
            self.is_on() != is_on()
        } {}
    }

    /// How many events could not be written.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether anyone wants to hear of anything.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Says what is about to be done. Where that can't be written, and `audit.on_error` is `fail`, nothing must be
    /// done.
    pub fn begin(&self, call: &Call, event: impl FnOnce() -> Event) -> Result<Intent<'_>> {
        if !self.is_on() {
            return Ok(Intent::of_nothing());
        }
        let setup = self.setup.load_full();
        let mut event = self.complete(call, &setup, event());
        match self.write(call, &setup, &event) {
            Ok(seq) => event.intent = seq,
            Err(error) if setup.fail_on_error => {
                let error = nothing_was_done(call, error);
                event.end(Some(&error));
                self.tell(&to_json(&event));
                return Err(error);
            }
            Err(_) => self.tell(&to_json(&event)),
        }
        Ok(Intent::new(self, setup, event))
    }

    /// Says how something ended that had no intent: it changed nothing. The result of that, unless it went well, can't
    /// be written, and `audit.on_error` is `fail`.
    pub fn done<T>(&self, call: &Call, event: impl FnOnce() -> Event, result: Result<T>) -> Result<T> {
        if !self.is_on() {
            return result;
        }
        let setup = self.setup.load_full();
        let mut event = self.complete(call, &setup, event());
        event.end(result.as_ref().err());
        match self.write(call, &setup, &event) {
            Ok(_) => result,
            Err(error) => {
                self.tell(&to_json(&event));
                if setup.fail_on_error { result.and(Err(nothing_was_done(call, error))) } else { result }
            }
        }
    }

    /// Says how what was begun has ended. It has, whatever comes of this.
    pub(super) fn end(&self, setup: &Setup, mut event: Event, failure: Option<&Error>) {
        event.end(failure);
        event.time = self.time();
        // Beyond the deadline of the call, too: what was done is to be known.
        if self.write(&Call::unbounded(), setup, &event).is_err() {
            self.tell(&to_json(&event));
        }
    }

    fn complete(&self, call: &Call, setup: &Setup, mut event: Event) -> Event {
        event.time = self.time();
        event.principal = call.principal().map_or_else(|| setup.principal.clone(), clip);
        event
    }

    /// To the file, if there is one, and then to the callback. The line's number, or 0.
    fn write(&self, call: &Call, setup: &Setup, event: &Event) -> Result<u64> {
        let Some(appender) = &setup.appender else {
            self.tell(&to_json(event));
            return Ok(0);
        };
        match appender.append(call, event) {
            Ok(written) => {
                self.tell(&written.line);
                Ok(written.seq)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                let (level, what) = match event.phase {
                    Phase::Intent => (Level::Warn, "an intent is not in the audit log"),
                    Phase::Outcome => (Level::Error, "an outcome is not in the audit log"),
                };
                log::write(level, "cyborg_kms::audit", &format!("{what}: {error}"), &event.log_fields());
                Err(error)
            }
        }
    }

    fn tell(&self, event: &str) {
        self.sink.call(|sink| sink(event));
    }

    fn time(&self) -> String {
        let seconds = u64::try_from(self.clock.unix_seconds()).unwrap_or(0).min(LAST_SECOND);
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
    }
}

/// The caller's own deadline stays what it is; all else is the log's failure.
fn nothing_was_done(call: &Call, error: Error) -> Error {
    if is_callers_own(call, error.status()) {
        return error;
    }
    fail!(
        Storage,
        "nothing was done, since the audit log can't be written: {error}; mend that, or set audit.on_error to log"
    )
}
