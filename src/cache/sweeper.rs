//! The thread that wipes keys on time and has those in use refreshed ahead of their end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
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
    fn due(self: Arc<Self>, entry: &Arc<Entry>, now: u64) -> Option<u64>;
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
        let shared = Shared { clock, queue: Mutex::default() };
        Sweeper { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Has the entry looked at when its time has come, by a thread that is started if there is none.
    pub fn watch(&self, entry: &Arc<Entry>, at: u64, work: Weak<dyn Work>) -> Result<()> {
        self.start(work)?;
        if self.shared.push(at, entry) {
            let _no_fork = fork::no_fork();
            // It sleeps until what was first before.
            if let Some(thread) = &*self.lock_thread() {
                thread.handle.thread().unpark();
            }
        }
        Ok(())
    }

    /// Starts the thread, if there is none: for who must know before anything is done that this works.
    pub fn start(&self, work: Weak<dyn Work>) -> Result<()> {
        let _no_fork = fork::no_fork();
        let mut thread = self.lock_thread();
        if let Some(parents) = thread.take_if(|thread| thread.process != fork::generation()) {
            // Its thread does not exist in this process, there is nothing to join.
            std::mem::forget(parents);
        }
        if thread.is_none() && !self.shared.lock().queue.ended {
            let shared = Arc::clone(&self.shared);
            let handle = runtime::start_thread("cache", move || shared.run(&work))?;
            *thread = Some(Thread { handle, process: fork::generation() });
        }
        Ok(())
    }

    fn lock_thread(&self) -> MutexGuard<'_, Option<Thread>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is due now, as the thread does: for a clock that is moved by hand.
    pub fn sweep(&self, work: &Arc<dyn Work>) {
        self.shared.sweep(work);
    }

    /// Ends the thread and waits for it.
    pub fn end(&self) {
        self.shared.lock().queue.ended = true;
        let thread = self.lock_thread().take();
        let Some(thread) = thread else { return };
        if thread.process != fork::generation() {
            std::mem::forget(thread);
            return;
        }
        thread.handle.thread().unpark();
        if thread.handle.thread().id() != std::thread::current().id() {
            // A panic in it was reported by the panic hook already.
            let _ = thread.handle.join();
        }
    }
}

/// The queue, locked so that a fork finds it whole. Never held while sleeping.
struct Locked<'a> {
    queue: MutexGuard<'a, Queue>,
    _no_fork: fork::NoFork,
}

impl Shared {
    fn lock(&self) -> Locked<'_> {
        let no_fork = fork::no_fork();
        Locked { queue: self.queue.lock().unwrap_or_else(PoisonError::into_inner), _no_fork: no_fork }
    }

    /// Returns whether it is now the first.
    fn push(&self, at: u64, entry: &Arc<Entry>) -> bool {
        let due = &mut self.lock().queue.due;
        let first = due.peek().is_none_or(|first| at < first.0.at);
        due.push(Reverse(Due { at, entry: Arc::downgrade(entry) }));
        first
    }

    fn run(&self, work: &Weak<dyn Work>) {
        while let Some(alive) = work.upgrade() {
            self.sweep(&alive);
            drop(alive);
            let Some(pause) = self.pause() else { return };
            std::thread::park_timeout(pause);
        }
    }

    /// How long nothing is due; `None`: the end.
    fn pause(&self) -> Option<Duration> {
        let locked = self.lock();
        if locked.queue.ended {
            return None;
        }
        let now = self.clock.now();
        let next = locked.queue.due.peek().map_or(u64::MAX, |next| next.0.at.saturating_sub(now));
        Some(Duration::from_nanos(next).min(MAX_SLEEP))
    }

    fn sweep(&self, work: &Arc<dyn Work>) {
        while let Some((entry, now)) = self.next_due() {
            if let Some(at) = Arc::clone(work).due(&entry, now) {
                self.push(at, &entry);
            }
        }
    }

    fn next_due(&self) -> Option<(Arc<Entry>, u64)> {
        let mut locked = self.lock();
        let now = self.clock.now();
        while !locked.queue.ended && locked.queue.due.peek()?.0.at <= now {
            if let Some(entry) = locked.queue.due.pop()?.0.entry.upgrade() {
                return Some((entry, now));
            }
        }
        None
    }
}
