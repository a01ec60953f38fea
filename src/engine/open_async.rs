//! Opening an index on a thread of the library.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::open::{self, OpenOptions};
use super::{Core, Engine, Lifeline};
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::error::{Error, Result, fail};
use crate::index::Index;
use crate::name::IndexName;
use crate::striped::Striped;

/// Who hears of the outcome, once, whatever happens.
struct Waiting<F: FnOnce(Result<Index>)>(Option<F>);

impl<F: FnOnce(Result<Index>)> Waiting<F> {
    fn tell(mut self, outcome: Result<Index>) {
        if let Some(done) = self.0.take() {
            done(outcome);
        }
    }
}

impl<F: FnOnce(Result<Index>)> Drop for Waiting<F> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(freed()));
        }
    }
}

fn freed() -> Error {
    fail!(Cancelled, "the engine was freed before the index was open")
}

/// An opening that waits for its thread. Holds no reference to the engine: freeing that ends it.
struct Opening {
    core: Arc<Core>,
    lifeline: Weak<Striped<Lifeline>>,
    call: Call,
    name: IndexName,
    kek: Option<SecretKey>,
    options: OpenOptions<'static>,
}

impl Opening {
    fn run(&self) -> Result<Index> {
        if self.core.store.is_caller_thread_only() {
            return Err(fail!(
                Unsupported,
                "the engine's store is called on its callers' threads only: open the index without _async"
            ));
        }
        let kek = self.kek.as_ref().map(|kek| kek.expose().as_slice());
        let options = OpenOptions { kek, ..self.options };
        let (entry, access) = open::load(&self.core, &self.call, &self.name, &options)?;
        let lifeline = self.lifeline.upgrade().ok_or_else(freed)?;
        Ok(Index::new(entry, lifeline.share(), access))
    }
}

impl Engine {
    /// Opens an index on a thread of the library, which then runs `done`: once, with `CANCELLED` where the engine is
    /// freed meanwhile. Returns at once.
    pub fn open_index_async(
        &self,
        name: &str,
        options: &OpenOptions<'_>,
        done: impl FnOnce(Result<Index>) + Send + 'static,
    ) {
        let waiting = Arc::new(Mutex::new(Some(Waiting(Some(done)))));
        let take = |waiting: &Mutex<Option<Waiting<_>>>| {
            waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        let opening = self.opening(name, options);
        let elsewhere = Arc::clone(&waiting);
        let spawned = self.core().openers.spawn(move || {
            if let Some(waiting) = take(&elsewhere) {
                waiting.tell(opening.and_then(|opening| opening.run()));
            }
        });
        // The system gives no thread: it is told here.
        if let Err(error) = spawned
            && let Some(waiting) = take(&waiting)
        {
            waiting.tell(Err(error));
        }
    }

    fn opening(&self, name: &str, options: &OpenOptions<'_>) -> Result<Opening> {
        let core = self.core();
        Ok(Opening {
            core: Arc::clone(core),
            lifeline: Arc::downgrade(&self.lifeline),
            call: self.call_until_freed(),
            name: IndexName::new(name)?,
            kek: options.kek.map(|kek| core.arena.key_from(kek)).transpose()?,
            options: OpenOptions {
                kek: None,
                capabilities: options.capabilities,
                no_wait: options.no_wait,
                min_epoch: options.min_epoch,
            },
        })
    }
}
