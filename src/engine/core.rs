//! What all handles of one engine share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::load::Loader;
use super::metrics::Metrics;
use super::providers::Providers;
use super::refresh::Refreshes;
use super::stats::Counters;
use crate::audit::{Operation, Setup, Trail};
use crate::cache::{Cache, Entry, Loaded, OwnEntries, Sweeper, Use, Work};
use crate::call::{Call, CancelToken};
use crate::clock::{Clock, SECOND};
use crate::crypto::secret::{Arena, SecretKey};
use crate::error::{Result, fail};
use crate::keys::Keys;
use crate::log::{Fields, Level, write};
use crate::net::Network;
use crate::provider::{ExternalCallbacks, Registered};
use crate::registry::{CacheSettings, Config};
use crate::runtime::{self, Runtime};
use crate::store::Store;

/// So many indexes are opened at once by `open_index_async`.
const MAX_OPENERS: usize = 64;

/// So many slots with recipients are asked at once.
const MAX_HEDGES: usize = 256;

/// After a failed refresh the next one is tried this much later, while the lifetime lasts.
const REFRESH_PAUSE: u64 = 2 * SECOND;

/// The parts of an engine.
pub struct Core {
    pub(super) config: ArcSwap<Config>,
    path: Option<PathBuf>,
    pub(super) store: Arc<dyn Store>,
    pub(super) providers: Providers,
    pub(crate) cache: Cache,
    /// What the cache does not share.
    pub(super) own_entries: OwnEntries,
    sweeper: Sweeper,
    pub(crate) arena: Arc<Arena>,
    pub(crate) audit: Trail,
    pub(crate) clock: Arc<dyn Clock>,
    pub(super) runtime: Arc<Runtime>,
    /// Threads that open indexes. Apart from those of the callbacks, which they wait for.
    pub(super) openers: Runtime,
    /// Threads that ask one of several slots each. Apart from those of the callbacks, too.
    pub(super) hedges: Runtime,
    #[cfg_attr(not(feature = "net"), expect(dead_code, reason = "no provider needs it"))]
    pub(super) network: Arc<Network>,
    /// Indexes whose own slot refused after a recipient had given the KEK, until it gives it again.
    pub(super) late_refusals: papaya::HashMap<Box<str>, ()>,
    /// One at a time.
    reloading: Mutex<()>,
    pub(super) counters: Counters,
    pub(super) metrics: Metrics,
    /// Ends what the library does on its own when the last handle goes.
    pub(super) ended: CancelToken,
    pub(super) refreshes: Refreshes,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("path", &self.path).field("store", &self.store).finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(
        config: Config,
        path: Option<PathBuf>,
        store: Arc<dyn Store>,
        network: Arc<Network>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Core>> {
        let arena = Arena::new(config.cache.require_locked_memory);
        let audit = Trail::new(Setup::new(&config.audit, &arena)?, Arc::clone(&clock));
        Ok(Arc::new(Core {
            cache: Cache::new(config.cache.max_entries as usize, Arc::clone(&clock)),
            own_entries: OwnEntries::default(),
            sweeper: Sweeper::new(Arc::clone(&clock)),
            arena,
            audit,
            config: ArcSwap::from_pointee(config),
            path,
            store,
            providers: Providers::default(),
            clock,
            runtime: Arc::default(),
            openers: Runtime::with_threads(MAX_OPENERS),
            hedges: Runtime::with_threads(MAX_HEDGES),
            network,
            late_refusals: papaya::HashMap::new(),
            reloading: Mutex::default(),
            counters: Counters::default(),
            metrics: Metrics::default(),
            ended: CancelToken::default(),
            refreshes: Refreshes::default(),
        }))
    }

    /// Ends the threads; waits for callbacks under way, whose waiting calls end with `CANCELLED`.
    pub(super) fn end(core: &Arc<Core>) {
        core.ended.cancel();
        let last = Arc::clone(core);
        let wait = move || {
            last.sweeper.end();
            last.openers.end();
            last.hedges.end();
            last.runtime.end();
        };
        if runtime::is_library_thread() {
            // A thread can't wait for itself.
            if let Err(error) = runtime::start_thread("end", wait) {
                write(Level::Error, "cyborg_kms::engine", error.message(), &Fields::new());
            }
        } else {
            wait();
        }
    }

    /// Whether nothing is shared between handles.
    pub(crate) fn is_uncached(&self) -> bool {
        self.config.load().cache.ttl.is_zero()
    }

    pub(super) fn cache_settings(&self) -> CacheSettings {
        self.config.load().cache.clone()
    }

    pub(super) fn reload(&self, yaml: Option<&str>) -> Result<()> {
        let config = self.new_config(yaml)?;
        // The last that can fail. Anew also where the section is the same: its key file may be another.
        let audit = Setup::new(&config.audit, &self.arena)?;
        self.apply(config, audit);
        Ok(())
    }

    /// Reads and checks. Without a lock: a disk that hangs must hold up neither a fork nor another reload.
    fn new_config(&self, yaml: Option<&str>) -> Result<Config> {
        let mut config = match (yaml, &self.path) {
            (Some(yaml), path) => {
                let base = path.as_deref().and_then(std::path::Path::parent);
                Config::parse(yaml, base, &|name| std::env::var(name).ok())?
            }
            (None, Some(path)) => Config::load(path)?,
            (None, None) => {
                return Err(fail!(
                    InvalidArgument,
                    "the engine was not opened from a file: give the configuration's text to reload it"
                ));
            }
        };
        let current = self.config.load();
        let same_store = !config.storage_is_set || config.storage == current.storage;
        if !same_store || config.cache.require_locked_memory != current.cache.require_locked_memory {
            return Err(fail!(
                Config,
                "storage and cache.require_locked_memory can't be changed by a reload: open a new engine for that"
            ));
        }
        // Left out, it is what it was; the default would be refused when the next reload names it again.
        config.storage = current.storage.clone();
        Ok(config)
    }

    /// One at a time: of two reloads all parts are those of one.
    fn apply(&self, config: Config, audit: Setup) {
        let _no_fork = crate::sys::fork::no_fork();
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let same_ttl = config.cache.ttl == self.config.load().cache.ttl;
        let share_no_more = config.cache.ttl.is_zero();
        self.audit.change(audit);
        self.cache.set_max_entries(config.cache.max_entries as usize);
        let config = Arc::new(config);
        self.config.store(Arc::clone(&config));
        // A provider is made for its slot and for the ttl.
        let none = BTreeMap::new();
        self.providers.keep_only(if same_ttl { &config.slots } else { &none });
        if share_no_more {
            for entry in self.cache.forget_all() {
                // Else neither an eviction nor a change of the index would reach the handles that are open.
                self.own_entries.list(&entry, None);
                // They load anew, for the lifetime that is in force now.
                entry.clear();
            }
        }
    }

    pub(super) fn register_provider(&self, name: &str, callbacks: Arc<dyn ExternalCallbacks>) -> Result<()> {
        if name.is_empty() {
            return Err(fail!(
                InvalidArgument,
                "the provider's name is empty: it is NAME of \"provider: external:NAME\""
            ));
        }
        if name.starts_with("external:") {
            return Err(fail!(InvalidArgument, "provider {name:?}: give the name without \"external:\""));
        }
        self.providers.register(name, Registered::new(callbacks))
    }

    /// The keys of an entry, loaded if need be, and from then on watched. `given`: the KEK that the caller
    /// brought (provider `none`); such keys are the handle's and end with it. `operation`: what the audit trail calls it.
    pub(crate) fn keys(
        self: &Arc<Core>,
        call: &Call,
        entry: &Arc<Entry>,
        given: Option<&SecretKey>,
        what_for: Use,
        operation: Operation,
    ) -> Result<Arc<Keys>> {
        let keys = entry.get(call, &Loader::new(self, given, operation), what_for)?;
        if given.is_none() {
            self.watch(entry)?;
        }
        Ok(keys)
    }

    /// What a KMS said before now counts no more.
    pub(crate) fn ask_anew(&self) {
        self.providers.forget(u64::MAX);
    }

    /// The same by a load that starts now.
    pub(crate) fn refresh(
        self: &Arc<Core>,
        call: &Call,
        entry: &Arc<Entry>,
        given: Option<&SecretKey>,
        operation: Operation,
    ) -> Result<Loaded> {
        let loaded = entry.refresh(call, &Loader::new(self, given, operation))?;
        if given.is_none() {
            self.watch(entry)?;
        }
        Ok(loaded)
    }

    /// The same once in each `pause`; an error where the record itself could not be read.
    pub(crate) fn reread(
        self: &Arc<Core>,
        call: &Call,
        entry: &Arc<Entry>,
        given: Option<&SecretKey>,
        pause: u64,
    ) -> Result<()> {
        if let Some(loaded) = entry.reread(call, &Loader::new(self, given, Operation::Refresh), pause)? {
            if given.is_none() {
                self.watch(entry)?;
            }
            loaded.trouble.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Has the sweeper end the keys on time.
    pub(crate) fn watch(self: &Arc<Core>, entry: &Arc<Entry>) -> Result<()> {
        if !entry.needs_watch() {
            return Ok(());
        }
        if let Some(warning) = self.arena.take_warning() {
            write(Level::Warn, "cyborg_kms::secret", &warning, &Fields::new());
        }
        let work: Weak<Core> = Arc::downgrade(self);
        let at = self.next_look(entry.valid_until(), self.clock.now());
        self.sweeper.watch(entry, at, work).inspect_err(|_| {
            // Nothing would wipe them on time.
            entry.clear();
            entry.unwatched();
        })
    }

    /// Makes sure that what is watched later will be wiped on time.
    pub(super) fn prepare_to_watch(self: &Arc<Core>) -> Result<()> {
        let work: Weak<Core> = Arc::downgrade(self);
        self.sweeper.start(work)
    }

    /// When an entry is to be looked at: to be refreshed ahead, else at its end.
    fn next_look(&self, valid_until: u64, now: u64) -> u64 {
        let settings = self.cache_settings();
        let ttl = nanoseconds(settings.ttl);
        let ahead = ttl - (ttl as f64 * settings.refresh_ahead) as u64;
        let refresh_at = valid_until.saturating_sub(ahead);
        if settings.refresh_ahead > 0.0 && refresh_at > now && !self.store.is_caller_thread_only() {
            refresh_at
        } else {
            valid_until
        }
    }

    pub(super) fn sweep(self: &Arc<Core>) {
        let work: Arc<dyn Work> = Arc::clone(self) as Arc<dyn Work>;
        self.sweeper.sweep(&work);
    }

    /// What is due for an entry; the time of the next look.
    fn look_at(self: &Arc<Core>, entry: &Arc<Entry>, now: u64) -> Option<u64> {
        if entry.expire(now) {
            entry.unwatched();
            self.providers.forget(now.saturating_sub(self.lifetime()));
            self.cache.forget_if_empty(entry.name());
            // Keys that were loaded between these two lines count on the watch that just ended.
            return (!entry.expire(now) && entry.needs_watch()).then(|| entry.valid_until().max(now + 1));
        }
        let valid_until = entry.valid_until();
        if valid_until <= now {
            // What may be used on while the KMS is silent.
            if !self.store.is_caller_thread_only() && entry.take_used() {
                self.refresh_ahead(entry, None);
            }
            return Some(entry.ends_at().min(now + REFRESH_PAUSE));
        }
        let next = self.next_look(valid_until, now);
        if next < valid_until || self.store.is_caller_thread_only() {
            return Some(next);
        }
        // Within the last part of its lifetime. An idle index is let go: its next use asks the KMS.
        if self.cache_settings().refresh_ahead > 0.0 && entry.take_used() {
            self.refresh_ahead(entry, None);
            return Some(valid_until.min(now + REFRESH_PAUSE).max(now + 1));
        }
        Some(valid_until)
    }
}

impl Work for Core {
    fn due(self: Arc<Self>, entry: &Arc<Entry>, now: u64) -> Option<u64> {
        self.look_at(entry, now)
    }
}

pub(super) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use crate::engine::Engine;
    use crate::sys::fork::testing::fork;

    #[test]
    fn a_configuration_that_does_not_come_holds_up_no_fork() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.yaml");
        fs::write(&path, "{}").unwrap();
        let engine = Engine::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::thread::scope(|scope| {
            let reload = scope.spawn(|| engine.reload(None));
            // Opens only when the reload has: from then on that waits for what is written.
            let mut pipe = loop {
                match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path) {
                    Ok(pipe) => break pipe,
                    Err(_) => std::thread::yield_now(),
                }
            };
            let (send, forked) = channel();
            scope.spawn(move || send.send(fork(|| 7)));
            let code = forked.recv_timeout(Duration::from_secs(20));
            pipe.write_all(b"{}").unwrap();
            drop(pipe);
            assert_eq!(code, Ok(7));
            reload.join().unwrap().unwrap();
        });
    }
}
