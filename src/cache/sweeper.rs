//! The thread that wipes keys on time and has those in use refreshed ahead of their end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Entry;
use crate::clock::Clock;
use crate::error::Result;
use crate::runtime;
use crate::sys::fork;

/// The longest sleep: lifetimes go on while the machine sleeps, a thread's timer does not.
const MAX_SLEEP: Duration = Duration::from_secs(5);

/// What the sweeper does with an entry that is due.
pub trait Work: Send + Sync {
    /// Wipes or has it refreshed; returns when it is due again, `None`: never.
    fn due(&self, entry: &Arc<Entry>, now: u64) -> Option<u64>;
}

/// Keeps the times at which entries are due.
#[derive(Debug)]
pub struct Sweeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<Thread>>,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<()>,
    process: u64,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    due: BinaryHeap<Reverse<Due>>,
    ended: bool,
}

#[derive(Debug)]
struct Due {
    at: u64,
    entry: Weak<Entry>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Sweeper {
    /// Without a thread yet.
    pub fn new(clock: Arc<dyn Clock>) -> Sweeper {
        let shared = Shared { clock, queue: Mutex::default(), changed: Condvar::new() };
        Sweeper { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Has the entry looked at when its time has come, by a thread that is started if there is none.
    pub fn watch(&self, entry: &Arc<Entry>, at: u64, work: Weak<dyn Work>) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parents) = thread.take_if(|thread| thread.process != fork::generation()) {
            // Its thread does not exist in this process, there is nothing to join.
            std::mem::forget(parents);
        }
        let mut queue = self.shared.lock();
        queue.due.push(Reverse(Due { at, entry: Arc::downgrade(entry) }));
        drop(queue);
        self.shared.changed.notify_all();
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let handle = runtime::start_thread("cache", move || shared.run(&work))?;
            *thread = Some(Thread { handle, process: fork::generation() });
        }
        Ok(())
    }

    /// Does what is due now, as the thread does: for a clock that is moved by hand.
    pub fn sweep(&self, work: &dyn Work) {
        self.shared.sweep(work);
    }

    /// Wakes the thread, since time was moved.
    pub fn end(&self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if thread.process != fork::generation() {
            std::mem::forget(thread);
        } else if thread.handle.thread().id() != std::thread::current().id() {
            // A panic in it was reported by the panic hook already.
            let _ = thread.handle.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, work: &Weak<dyn Work>) {
        loop {
            let Some(alive) = work.upgrade() else { return };
            self.sweep(&*alive);
            drop(alive);
            let queue = self.lock();
            if queue.ended {
                return;
            }
            let now = self.clock.now();
            let next = queue.due.peek().map_or(u64::MAX, |next| next.0.at.saturating_sub(now));
            let sleep = Duration::from_nanos(next).min(MAX_SLEEP);
            drop(self.changed.wait_timeout(queue, sleep).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn sweep(&self, work: &dyn Work) {
        while let Some((entry, now)) = self.next_due() {
            let again = work.due(&entry, now);
            if let Some(at) = again {
                self.lock().due.push(Reverse(Due { at, entry: Arc::downgrade(&entry) }));
            }
        }
    }

    fn next_due(&self) -> Option<(Arc<Entry>, u64)> {
        let mut queue = self.lock();
        loop {
            let now = self.clock.now();
            if queue.ended || queue.due.peek()?.0.at > now {
                return None;
            }
            if let Some(entry) = queue.due.pop()?.0.entry.upgrade() {
                return Some((entry, now));
            }
        }
    }
}
