//! Loads that nobody waits for: before a lifetime's end, and for handles that don't wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::Core;
use super::load::Loader;
use crate::audit::Operation;
use crate::cache::Entry;
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::log::{Fields, Level, write};
use crate::sys::fork;

/// So many at once: each holds a thread while it waits for a callback, which needs one too.
const MAX_AT_ONCE: usize = 16;

/// What waits to be refreshed.
#[derive(Debug, Default)]
pub(super) struct Refreshes(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    running: usize,
    /// Whose threads `running` counts.
    process: u64,
}

#[derive(Debug)]
struct Waiting {
    entry: Arc<Entry>,
    given: Option<Arc<SecretKey>>,
}

impl Refreshes {
    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let _no_fork = fork::no_fork();
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.process != fork::generation() {
            *queue = Queue { process: fork::generation(), ..Queue::default() };
        }
        change(&mut queue)
    }

    /// Returns whether a further thread is to work.
    fn push(&self, waiting: Waiting) -> bool {
        self.with(|queue| {
            queue.waiting.push_back(waiting);
            let more = queue.running < MAX_AT_ONCE;
            queue.running += usize::from(more);
            more
        })
    }

    fn pop(&self) -> Option<Waiting> {
        self.with(|queue| queue.waiting.pop_front())
    }

    /// The same for a thread that ends where there is none: in one step, or a push in between would wait for it.
    fn pop_or_end(&self) -> Option<Waiting> {
        self.with(|queue| {
            let next = queue.waiting.pop_front();
            queue.running -= usize::from(next.is_none() && queue.running > 0);
            next
        })
    }
}

/// Counts a thread until it ends, by a panic of a store's too.
struct Running {
    core: Arc<Core>,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.core.refreshes.with(|queue| queue.running = queue.running.saturating_sub(1));
    }
}

impl Core {
    /// Has the keys loaded anew by a thread of the library, unless one is at it or has just failed. Returns
    /// whether that is under way.
    pub(crate) fn refresh_ahead(
        self: &Arc<Core>,
        entry: &Arc<Entry>,
        given: Option<&Arc<SecretKey>>,
    ) -> bool {
        if self.store.is_caller_thread_only() || entry.has_failed() {
            return false;
        }
        if entry.is_loading() || !entry.enqueue() {
            return true;
        }
        if self.refreshes.push(Waiting { entry: Arc::clone(entry), given: given.map(Arc::clone) }) {
            let running = Running { core: Arc::clone(self), ended: false };
            if let Err(error) = self.runtime.spawn(move || running.work()) {
                write(Level::Error, "cyborg_kms::cache", error.message(), &Fields::new());
                while let Some(waiting) = self.refreshes.pop() {
                    waiting.entry.dequeued();
                }
                return false;
            }
        }
        true
    }
}

impl Running {
    fn work(mut self) {
        while let Some(Waiting { entry, given }) = self.core.refreshes.pop_or_end() {
            entry.dequeued();
            let call = Call::unbounded().cancelled_by(&self.core.ended);
            if let Err(error) = self.core.refresh(&call, &entry, given.as_deref(), Operation::Refresh) {
                entry.stale(&Loader::new(&self.core, None, Operation::Refresh), &error);
                let fields = Fields::new()
                    .text("index", entry.name().as_str())
                    .text("status", &error.status().to_string());
                let message = format!("refreshing ahead failed: {error}");
                write(Level::Warn, "cyborg_kms::cache", &message, &fields);
            }
        }
        self.ended = true;
    }
}
