//! An engine, opened for one command, that Ctrl-C ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use cyborg_kms::engine::{Engine, ScopeOptions};
use cyborg_kms::error::{Error, Status};
use cyborg_kms::registry::Config;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arguments::Common;
use crate::configuration;
use crate::failure::{Failure, Outcome, exit_code, failed};
use crate::notice;

/// The configuration, read and checked.
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub config: Config,
}

impl Settings {
    /// Reads the file that is meant.
    pub fn read(common: &Common) -> Outcome<Settings> {
        let path = configuration::find(common.config.as_deref())?;
        let config = Config::load(&path)?;
        Ok(Settings { path, config })
    }
}

/// A scope of an engine. The signals that end a process end what it is doing.
pub struct Session {
    /// The scope.
    pub engine: Arc<Engine>,
    /// What the engine was opened with.
    pub settings: Settings,
    stop: Arc<Stop>,
}

/// What signals ask for.
#[derive(Debug, Default)]
struct Stop {
    /// The command looks for it, and comes to an end by itself: the first signal is no cancellation.
    is_watched: AtomicBool,
    is_wanted: AtomicBool,
}

impl Session {
    /// Opens the engine; its records need not be within reach.
    pub fn open(common: &Common) -> Outcome<Session> {
        let settings = Settings::read(common)?;
        let engine = Engine::open(&settings.path)?;
        let options = ScopeOptions { deadline: common.timeout, principal: common.principal.clone() };
        let (engine, stop) = (Arc::new(engine.scope(options)), Arc::default());
        end_on_signals(Arc::downgrade(&engine), Arc::clone(&stop))?;
        Ok(Session { engine, settings, stop })
    }

    /// The same for what has to do with records.
    pub fn open_with_records(common: &Common) -> Outcome<Session> {
        let session = Session::open(common)?;
        if session.settings.config.storage.url.to_ascii_lowercase().starts_with("memory:") {
            return Err(failed(
                Status::Config,
                format!(
                    "configuration {}: its records are kept in the memory of the engine's process, which this command \
                     can't reach: set storage.url; where the engine brings a store of its own, ask its program",
                    session.settings.path.display()
                ),
            ));
        }
        Ok(session)
    }

    /// From now on the first signal lets what is under way end well; the caller looks whether it `is_to_stop`.
    pub fn watch(&self) {
        self.stop.is_watched.store(true, Ordering::SeqCst);
    }

    /// Whether a signal has come.
    pub fn is_to_stop(&self) -> bool {
        self.stop.is_wanted.load(Ordering::SeqCst)
    }

    /// What is stored of an index, or nothing where that can't be read: what was done is done.
    pub fn now(&self, index: &str) -> Option<Value> {
        serde_json::from_str(&self.engine.describe(index).ok()?).ok()
    }
}

/// The first signal cancels, so that the command can say what was done; the next ends the process. Where the command
/// watches for it, the first lets it come to its end, and the second cancels.
fn end_on_signals(engine: Weak<Engine>, stop: Arc<Stop>) -> Outcome {
    let cannot = |error: std::io::Error| -> Failure {
        Error::new(
            Status::Internal,
            format!("signals can't be waited for: {error}; raise the limits (ulimit -a)"),
        )
        .into()
    };
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
    let wait = move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            stop.is_wanted.store(true, Ordering::SeqCst);
        }
        if stop.is_watched.load(Ordering::SeqCst) {
            notice::warning("interrupted: waiting for what is under way; once more cancels it");
            signals.next();
        }
        notice::warning("interrupted: ending what is under way; once more ends at once");
        if let Some(engine) = engine.upgrade() {
            engine.cancel();
        }
        if signals.next().is_some() {
            signal_hook::low_level::exit(exit_code(Status::Cancelled).into());
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(cannot)?;
    Ok(())
}
