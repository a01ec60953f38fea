//! The protocol over the parts below: configuration, stores, providers, cache.

mod audit;
mod core;
mod create;
mod custody;
mod lifecycle;
mod load;
mod metrics;
mod open;
mod open_async;
mod providers;
mod recipients;
mod refresh;
mod scope;
mod slots;
mod stats;
mod sync;

use std::path::Path;
use std::sync::Arc;

pub use self::core::Core;
pub use self::lifecycle::Rotation;
pub use self::open::OpenOptions;
pub use self::scope::ScopeOptions;
pub use self::stats::Stats;
pub use self::sync::SyncOptions;

use self::scope::Scope;
use crate::audit::Sink;
use crate::blob::Blob;
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::index::Index;
use crate::name::IndexName;
use crate::net::Network;
use crate::provider::ExternalCallbacks;
use crate::registry::Config;
use crate::store::{self, Store};
use crate::striped::Striped;

/// A registry of slots, a store of records and a cache of KEKs. Every method may be called by many threads at once.
///
/// Indexes keep what they need of it: it may be dropped before them.
#[derive(Debug)]
pub struct Engine {
    lifeline: Arc<Striped<Lifeline>>,
    /// Its own settings, where it is a scope.
    scope: Option<Arc<Scope>>,
}

/// Held by the engine and every index; when the last goes, the library's threads end.
#[derive(Debug)]
pub(crate) struct Lifeline {
    core: Arc<Core>,
}

impl std::ops::Deref for Lifeline {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        Core::end(&self.core);
    }
}

impl Engine {
    /// From a configuration file, which `reload` reads again.
    pub fn open(path: &Path) -> Result<Engine> {
        let config = Config::load(path)?;
        let network = Arc::default();
        let store = open_store(&config, &network)?;
        Engine::build(config, Some(path), store, network, Arc::new(SystemClock))
    }

    /// From YAML or JSON.
    pub fn open_yaml(yaml: &str) -> Result<Engine> {
        Engine::open_yaml_at(yaml, Arc::new(SystemClock))
    }

    /// The same with a clock of the caller's.
    pub fn open_yaml_at(yaml: &str, clock: Arc<dyn Clock>) -> Result<Engine> {
        let config = parse(yaml)?;
        let network = Arc::default();
        let store = open_store(&config, &network)?;
        Engine::build(config, None, store, network, clock)
    }

    /// With a store of the caller's: the configuration must not name one.
    pub fn open_yaml_with_store(yaml: &str, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Engine> {
        let config = parse(yaml)?;
        if config.storage_is_set {
            return Err(crate::error::fail!(
                Config,
                "the configuration has a section `storage`, but the engine is opened with a store of its own: remove one"
            ));
        }
        Engine::build(config, None, store, Arc::default(), clock)
    }

    fn build(
        config: Config,
        path: Option<&Path>,
        store: Arc<dyn Store>,
        network: Arc<Network>,
        clock: Arc<dyn Clock>,
    ) -> Result<Engine> {
        let core = Core::new(config, path.map(Path::to_owned), store, network, clock)?;
        Ok(Engine { lifeline: Arc::new(Striped::new(Lifeline { core })), scope: None })
    }

    /// The parts.
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.lifeline.core
    }

    /// The configuration anew (`None`: from its file). All or nothing; cache and open indexes stay.
    pub fn reload(&self, yaml: Option<&str>) -> Result<()> {
        self.core().reload(yaml)
    }

    /// Serves the slots of `external:NAME`.
    pub fn register_provider(&self, name: &str, callbacks: Arc<dyn ExternalCallbacks>) -> Result<()> {
        self.core().register_provider(name, callbacks)
    }

    /// The store of the records.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.core().store)
    }

    /// Gives audit events to a callback; `None` ends it. Returns when no thread is in the former one any more.
    pub fn set_audit_sink(&self, sink: Option<Sink>) {
        self.core().audit.set_sink(sink);
    }

    /// Wraps and unwraps random bytes by one slot, or (`None`) by every slot that has a KMS.
    pub fn check(&self, kms_name: Option<&str>) -> Result<()> {
        self.core().check(&self.call(), kms_name)
    }

    /// Wipes the cached KEK of one index, or of all: the next use asks the KMS.
    pub fn evict(&self, name: Option<&IndexName>) {
        // First: a load that begins between the two must not begin with what is to be forgotten.
        self.core().ask_anew();
        self.core().cache.evict(name);
        self.core().own_entries.evict(name);
    }

    /// Counters, latencies and states, in the text format of OpenMetrics.
    pub fn metrics(&self) -> Result<String> {
        self.core().metrics()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// A new index with a random KEK in the care of a slot.
    pub fn create(&self, name: &str, kms_name: &str) -> Result<Index> {
        create::create(&self.lifeline, &self.call(), &IndexName::new(name)?, kms_name, None)
    }

    /// A new index with a KEK that the caller has; `kms_name` "" is provider `none`.
    pub fn create_with_key(&self, name: &str, kms_name: &str, kek: &[u8]) -> Result<Index> {
        create::create(&self.lifeline, &self.call(), &IndexName::new(name)?, kms_name, Some(kek))
    }

    /// Opens an index. The path of one that is cached takes no lock.
    pub fn open_index(&self, name: &str) -> Result<Index> {
        let cached = if self.scope.is_none() { open::open_cached(&self.lifeline, name) } else { None };
        cached.map_or_else(|| self.open_index_with(name, &OpenOptions::default()), Ok)
    }

    /// Opens an index with a key (provider `none`), for some uses only, not older than an epoch.
    pub fn open_index_with(&self, name: &str, options: &OpenOptions<'_>) -> Result<Index> {
        open::open(&self.lifeline, &self.call(), &IndexName::new(name)?, options)
    }

    /// Wipes and refreshes what is due now, as the library's own thread does; for a clock moved by hand.
    pub fn sweep(&self) {
        self.core().sweep();
    }

    /// Names every index that has a record, in the order of the encoded names, from behind `start_after`; stops when
    /// `visit` returns false.
    pub fn list(&self, start_after: Option<&str>, visit: &mut dyn FnMut(&IndexName) -> bool) -> Result<()> {
        let start_after = start_after.map(IndexName::new).transpose()?;
        self.core().store.list(&self.call(), start_after.as_ref(), visit)
    }

    /// The envelope record of an index.
    pub fn blob(&self, name: &str) -> Result<Blob> {
        crate::blob::get(&*self.core().store, &self.call(), &IndexName::new(name)?)
    }
}

fn open_store(config: &Config, network: &Arc<Network>) -> Result<Arc<dyn Store>> {
    store::open_with(&config.storage.url, &config.storage.options, network)
}

fn parse(yaml: &str) -> Result<Config> {
    Config::parse(yaml, None, &|name| std::env::var(name).ok())
}
