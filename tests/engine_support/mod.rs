//! What the engine's tests share: a clock moved by hand, a provider and a store that do as the test says.
#![allow(dead_code, unused_imports)] // Each test uses a part.

mod clock;
mod provider;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cyborg_kms::blob::Record;
use cyborg_kms::clock::Clock;
use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::{Result, Status};
use cyborg_kms::index::{Index, Input};
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::store::Store;

pub use clock::ManualClock;
pub use provider::{Behaviour, Provider, wrap_by};
pub use store::{Lost, Meanwhile, TestStore};

/// An engine with a scripted provider in slot `prod` and the store under it.
pub struct Bench {
    pub engine: Engine,
    pub provider: Arc<Provider>,
    pub store: Arc<TestStore>,
    pub clock: Arc<ManualClock>,
}

/// The slots of most tests; `extra` is further YAML.
pub fn yaml(extra: &str) -> String {
    format!(
        "kms:\n  registry:\n    \
           prod: {{provider: 'external:test', key_id: k1, max_retries: 0, request_timeout: 20s, deadline: 30s}}\n    \
           seedy: {{provider: 'external:test', key_id: k1, max_retries: 0, cyborgdb_compatible: true}}\n    \
           bring: {{provider: none}}\n{extra}"
    )
}

impl Bench {
    pub fn new(extra: &str) -> Bench {
        Bench::over(TestStore::new(), Provider::new(), extra)
    }

    pub fn over(store: Arc<TestStore>, provider: Arc<Provider>, extra: &str) -> Bench {
        let clock = ManualClock::new();
        let engine = Engine::open_yaml_with_store(
            &yaml(extra),
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
        .unwrap();
        engine.register_provider("test", Arc::clone(&provider) as Arc<dyn ExternalCallbacks>).unwrap();
        Bench { engine, provider, store, clock }
    }

    /// Another process, as it were: the same store, provider and clock, nothing cached.
    pub fn restart(&self) -> Engine {
        self.restart_with("")
    }

    /// The same with further YAML.
    pub fn restart_with(&self, extra: &str) -> Engine {
        let engine = Engine::open_yaml_with_store(
            &yaml(extra),
            Arc::clone(&self.store) as Arc<dyn Store>,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        )
        .unwrap();
        engine.register_provider("test", Arc::clone(&self.provider) as Arc<dyn ExternalCallbacks>).unwrap();
        engine
    }

    /// An index in slot `prod` of which nothing is cached.
    pub fn cold(&self, name: &str) {
        drop(self.engine.create(name, "prod").unwrap());
        self.engine.evict(None);
    }
}

pub fn seal(index: &Index, page: &[u8]) -> Result<Vec<u8>> {
    let mut sealed = vec![0; page.len() + 48];
    index.encrypt(b"aad", &Input::Separate(page), &mut sealed)?;
    Ok(sealed)
}

pub fn open(index: &Index, sealed: &[u8]) -> Result<Vec<u8>> {
    let mut page = vec![0; sealed.len().saturating_sub(48)];
    index.decrypt(b"aad", sealed, &mut page)?;
    Ok(page)
}

#[track_caller]
pub fn status<T>(result: Result<T>) -> Status {
    result.err().map_or(Status::Ok, |error| error.status())
}

/// Waits until something has happened, with much patience.
#[track_caller]
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The names and blocked signals of this process's threads that are the library's.
pub fn library_threads() -> Vec<(String, u64)> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let status = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let name = field("Name:")?.to_owned();
        let blocked = u64::from_str_radix(field("SigBlk:")?, 16).ok()?;
        name.starts_with("cyborg-kms-").then_some((name, blocked))
    };
    tasks.filter_map(status).collect()
}

pub fn derived(index: &Index) -> Vec<u8> {
    let mut out = vec![0; 32];
    index.derive_key("label", b"context", &mut out).unwrap();
    out
}

pub fn kek(index: &Index, version: u32) -> Vec<u8> {
    index.export_kek(version).unwrap().expose().to_vec()
}

pub fn record(bench: &Bench, name: &str) -> Record {
    Record::decode(&bench.store.bytes(name)).unwrap()
}

pub fn with_key(engine: &Engine, name: &str, kek: &[u8]) -> cyborg_kms::error::Result<Index> {
    engine.open_index_with(name, &OpenOptions { kek: Some(kek), ..OpenOptions::default() })
}
