//! A store that does as the test says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use cyborg_kms::call::Call;
use cyborg_kms::error::{Error, Result, Status};
use cyborg_kms::name::IndexName;
use cyborg_kms::store::{Expected, MemoryStore, Store, Stored};

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
