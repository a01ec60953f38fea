//! What the engine's tests share: a clock moved by hand, a provider and a store that do as the test says.
#![allow(dead_code)] // Each test uses a part.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use cyborg_kms::call::Call;
use cyborg_kms::clock::{Clock, SECOND};
use cyborg_kms::engine::Engine;
use cyborg_kms::error::{Error, Result, Status};
use cyborg_kms::index::{Index, Input};
use cyborg_kms::name::IndexName;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;
use cyborg_kms::store::{Expected, MemoryStore, Store, Stored};

/// Stands until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn new() -> Arc<ManualClock> {
        Arc::new(ManualClock(AtomicU64::new(1000 * SECOND)))
    }

    pub fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn tick(&self) -> u64 {
        self.now()
    }

    fn unix_seconds(&self) -> i64 {
        1_700_000_000 + (self.now() / SECOND) as i64
    }
}

/// How a provider answers.
#[derive(Debug, Clone)]
pub enum Behaviour {
    Work,
    Fail(Status),
    /// Until `release`, then it works.
    Hang,
    /// From another thread, after the callback returned.
    Later,
    /// So many bytes.
    Bytes(usize),
    /// Drops the reply.
    Drop,
    Panic,
}

/// "Wraps" by XOR with a byte of the key's name, behind the length of the AAD and the AAD itself.
#[derive(Debug)]
pub struct Provider {
    pub wraps: AtomicUsize,
    pub unwraps: AtomicUsize,
    /// Calls whose answer is decided.
    pub decided: AtomicUsize,
    behaviour: Mutex<Behaviour>,
    /// Answers for the next calls, before `behaviour`.
    next: Mutex<VecDeque<Behaviour>>,
    released: Mutex<bool>,
    /// What those that hung answer instead of their work.
    refusal: Mutex<Option<Status>>,
    woken: Condvar,
    pub waiting: AtomicUsize,
    pub dropped: Arc<AtomicUsize>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Provider {
    pub fn new() -> Arc<Provider> {
        Arc::new(Provider {
            wraps: AtomicUsize::new(0),
            unwraps: AtomicUsize::new(0),
            decided: AtomicUsize::new(0),
            behaviour: Mutex::new(Behaviour::Work),
            next: Mutex::default(),
            released: Mutex::new(false),
            refusal: Mutex::default(),
            woken: Condvar::new(),
            waiting: AtomicUsize::new(0),
            dropped: Arc::default(),
        })
    }

    pub fn set(&self, behaviour: Behaviour) {
        if matches!(behaviour, Behaviour::Hang) {
            self.hold();
        }
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// What hangs from now on waits for the next `release`.
    pub fn hold(&self) {
        *self.released.lock().unwrap() = false;
    }

    pub fn next(&self, behaviour: Behaviour) {
        self.next.lock().unwrap().push_back(behaviour);
    }

    pub fn release(&self) {
        *self.released.lock().unwrap() = true;
        self.woken.notify_all();
    }

    /// Those that hang refuse when they are released.
    pub fn refuse_released(&self, status: Status) {
        *self.refusal.lock().unwrap() = Some(status);
    }

    pub fn unwraps(&self) -> usize {
        self.unwraps.load(Ordering::SeqCst)
    }

    fn answer(&self, reply: Reply, good: Result<Vec<u8>>) {
        let behaviour = self.next.lock().unwrap().pop_front();
        let behaviour = behaviour.unwrap_or_else(|| self.behaviour.lock().unwrap().clone());
        self.decided.fetch_add(1, Ordering::SeqCst);
        let give = move |reply: Reply| match good {
            Ok(bytes) => reply.bytes(&bytes, 0),
            Err(error) => reply.error(error),
        };
        match behaviour {
            Behaviour::Work => give(reply),
            Behaviour::Fail(status) => {
                reply.error(Error::new(status, "as the test said").with_provider("TestCode", "r1"))
            }
            Behaviour::Hang => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let mut released = self.released.lock().unwrap();
                while !*released {
                    released = self.woken.wait(released).unwrap();
                }
                drop(released);
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                match *self.refusal.lock().unwrap() {
                    Some(status) => reply.error(Error::new(status, "as the test said")),
                    None => give(reply),
                }
            }
            Behaviour::Later => drop(std::thread::spawn(move || give(reply))),
            Behaviour::Bytes(len) => reply.bytes(&vec![0x5a; len], 0),
            Behaviour::Drop => drop(reply),
            Behaviour::Panic => panic!("the provider's callback panics"),
        }
    }
}

fn mask(key_id: &str) -> u8 {
    key_id.bytes().fold(0x5a, |mask, byte| mask.rotate_left(3) ^ byte)
}

/// The provider's wrap, for records that a test makes by itself.
pub fn wrap_by(key_id: &str, aad: &[u8], kek: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![u8::try_from(aad.len()).unwrap()];
    wrapped.extend_from_slice(aad);
    wrapped.extend(kek.iter().map(|byte| byte ^ mask(key_id)));
    wrapped
}

fn unwrap_by(key_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<Vec<u8>> {
    let refused = || Error::new(Status::AuthenticationFailed, "the wrap is not this key's");
    let (&len, rest) = wrapped.split_first().ok_or_else(refused)?;
    let (bound, kek) = rest.split_at_checked(usize::from(len)).ok_or_else(refused)?;
    if bound != aad {
        return Err(refused());
    }
    Ok(kek.iter().map(|byte| byte ^ mask(key_id)).collect())
}

impl ExternalCallbacks for Provider {
    fn wrap(&self, key_id: &str, aad: &[u8], plaintext: &[u8], reply: Reply) {
        self.wraps.fetch_add(1, Ordering::SeqCst);
        self.answer(reply, Ok(wrap_by(key_id, aad, plaintext)));
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        self.answer(reply, unwrap_by(key_id, aad, wrapped));
    }
}

/// What a write of `TestStore` does instead of working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It happens, and no answer comes.
    Applied,
    /// It does not, and no answer comes.
    NotApplied,
    /// It does not happen yet, but when the next record is read after it was looked for: a late arrival.
    AppliedLater,
    /// It does not, and the store says so in a way that a half-made write would have too.
    Refused,
}

/// What happens while a write is under way.
pub enum Meanwhile {
    /// Before it has happened.
    Before(Box<dyn FnOnce() + Send>),
    /// Once it has, but its writer does not know yet.
    After(Box<dyn FnOnce() + Send>),
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// A memory store that counts, and fails as the test says.
#[derive(Debug)]
pub struct TestStore {
    meanwhile: Mutex<Option<Meanwhile>>,
    /// Done once so many further reads have been answered.
    after_gets: Mutex<Option<(usize, Meanwhile)>>,
    pub inner: Arc<dyn Store>,
    pub gets: AtomicUsize,
    pub puts: AtomicUsize,
    get_failure: Mutex<Option<Status>>,
    /// So many reads still work before `get_failure`.
    good_gets: AtomicI64,
    lost: Mutex<VecDeque<Lost>>,
    late: Mutex<Option<(IndexName, Vec<u8>, usize)>>,
    panics: AtomicI64,
    pub caller_thread_only: bool,
    pub on_library_thread: AtomicUsize,
    hang: Mutex<bool>,
    woken: Condvar,
    pub waiting: AtomicUsize,
}

impl TestStore {
    pub fn new() -> Arc<TestStore> {
        TestStore::over(Arc::new(MemoryStore::new()), false)
    }

    pub fn over(inner: Arc<dyn Store>, caller_thread_only: bool) -> Arc<TestStore> {
        Arc::new(TestStore {
            meanwhile: Mutex::new(None),
            after_gets: Mutex::new(None),
            inner,
            gets: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
            get_failure: Mutex::new(None),
            good_gets: AtomicI64::new(0),
            lost: Mutex::default(),
            late: Mutex::default(),
            panics: AtomicI64::new(0),
            caller_thread_only,
            on_library_thread: AtomicUsize::new(0),
            hang: Mutex::new(false),
            woken: Condvar::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    pub fn fail_gets(&self, status: Option<Status>) {
        *self.get_failure.lock().unwrap() = status;
    }

    /// Reads fail once so many have worked.
    pub fn fail_gets_after(&self, good: i64, status: Status) {
        self.good_gets.store(good, Ordering::SeqCst);
        self.fail_gets(Some(status));
    }

    /// Does this while the next write is under way.
    pub fn during_put(&self, meanwhile: Meanwhile) {
        *self.meanwhile.lock().unwrap() = Some(meanwhile);
    }

    /// Does this behind so many further reads, before their reader goes on.
    pub fn after_gets(&self, reads: usize, work: impl FnOnce() + Send + 'static) {
        *self.after_gets.lock().unwrap() = Some((reads, Meanwhile::After(Box::new(work))));
    }

    fn note_get(&self) {
        let mut due = self.after_gets.lock().unwrap();
        if let Some((left, _)) = due.as_mut() {
            *left -= 1;
        }
        let work = due.take_if(|(left, _)| *left == 0);
        drop(due);
        if let Some((_, Meanwhile::Before(work) | Meanwhile::After(work))) = work {
            work();
        }
    }

    pub fn lose(&self, lost: Lost) {
        self.lost.lock().unwrap().push_back(lost);
    }

    pub fn panic_next(&self) {
        self.panics.store(1, Ordering::SeqCst);
    }

    pub fn hang(&self, hang: bool) {
        *self.hang.lock().unwrap() = hang;
        self.woken.notify_all();
    }

    pub fn gets(&self) -> usize {
        self.gets.load(Ordering::SeqCst)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let name = IndexName::new(name).unwrap();
        self.inner.get(&Call::unbounded(), &name).unwrap().expect("there is a record").bytes
    }

    pub fn set_bytes(&self, name: &str, bytes: &[u8]) {
        let name = IndexName::new(name).unwrap();
        self.inner.put(&Call::unbounded(), &name, bytes, Expected::Any).unwrap();
    }

    /// A late write arrives once the record has been read as often as was said.
    fn arrive(&self, name: &IndexName) {
        let mut late = self.late.lock().unwrap();
        match late.take() {
            Some((whose, bytes, 0)) if whose == *name => {
                // Strict, as it was sent.
                let _ = self.inner.put(&Call::unbounded(), name, &bytes, Expected::Absent);
            }
            Some((whose, bytes, left)) => *late = Some((whose, bytes, left.saturating_sub(1))),
            None => {}
        }
    }

    fn note_thread(&self) {
        if std::thread::current().name().is_some_and(|name| name.starts_with("cyborg-kms-")) {
            self.on_library_thread.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Store for TestStore {
    fn get(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.note_thread();
        if self.panics.fetch_sub(1, Ordering::SeqCst) == 1 {
            panic!("the store panics");
        }
        let mut hang = self.hang.lock().unwrap();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while *hang {
            hang = self.woken.wait(hang).unwrap();
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(hang);
        if let Some(status) = *self.get_failure.lock().unwrap()
            && self.good_gets.fetch_sub(1, Ordering::SeqCst) <= 0
        {
            return Err(Error::new(status, "the store fails as the test said"));
        }
        let found = self.inner.get(call, name);
        self.arrive(name);
        self.note_get();
        found
    }

    fn put(&self, call: &Call, name: &IndexName, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.note_thread();
        let lost = self.lost.lock().unwrap().pop_front();
        match lost {
            None => {
                let mut meanwhile = self.meanwhile.lock().unwrap().take();
                if let Some(Meanwhile::Before(work)) = meanwhile {
                    work();
                    meanwhile = None;
                }
                self.inner.put(call, name, bytes, expected)?;
                if let Some(Meanwhile::After(work)) = meanwhile {
                    work();
                }
                return Ok(());
            }
            Some(Lost::NotApplied) => {}
            Some(Lost::Refused) => return Err(Error::new(Status::Storage, "full").with_outcome_unknown()),
            Some(Lost::Applied) => self.inner.put(call, name, bytes, expected)?,
            // The next read is who_won's, the one after it the next try's: it arrives behind that.
            Some(Lost::AppliedLater) => *self.late.lock().unwrap() = Some((name.clone(), bytes.to_vec(), 1)),
        }
        Err(Error::new(Status::Timeout, "no answer").with_outcome_unknown())
    }

    fn remove(&self, call: &Call, name: &IndexName, expected: Expected<'_>) -> Result<()> {
        self.inner.remove(call, name, expected)
    }

    fn list(
        &self,
        call: &Call,
        after: Option<&IndexName>,
        visit: &mut dyn FnMut(&IndexName) -> bool,
    ) -> Result<()> {
        self.inner.list(call, after, visit)
    }

    fn is_caller_thread_only(&self) -> bool {
        self.caller_thread_only
    }
}

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
