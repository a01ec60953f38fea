//! The library's own threads: none before one is needed, named `cyborg-kms-*`, all signals blocked, ended with
//! the engine, and never the parent's after a fork.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result, fail};
use crate::sys::{fork, signal};

/// Callbacks that a caller's own providers may run at once.
const MAX_THREADS: usize = 512;

thread_local! {
    static IS_LIBRARY_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Whether the current thread is one of the library's own.
pub fn is_library_thread() -> bool {
    IS_LIBRARY_THREAD.get()
}

/// Makes the current thread one of the library's own.
pub fn adopt_thread() {
    IS_LIBRARY_THREAD.set(true);
}

/// Starts the library's threads when the first one is needed.
#[derive(Debug)]
pub struct Runtime {
    max_threads: usize,
    started: Mutex<Option<Started>>,
    ended: AtomicBool,
}

#[derive(Debug)]
struct Started {
    runtime: tokio::runtime::Runtime,
    generation: u64,
}

impl Default for Runtime {
    fn default() -> Runtime {
        Runtime::with_threads(MAX_THREADS)
    }
}

impl Runtime {
    /// With so many threads at most; further work waits for one.
    pub fn with_threads(max_threads: usize) -> Runtime {
        Runtime { max_threads, started: Mutex::default(), ended: AtomicBool::new(false) }
    }

    /// Runs `work` on a thread of the library.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result<()> {
        // The new thread inherits the mask, so no signal can reach it before it has blocked them itself.
        let _blocked = signal::block_all();
        let handle = self.handle()?;
        let work = Arc::new(Mutex::new(Some(work)));
        let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let queued = Arc::clone(&work);
        let run = move || {
            if let Some(work) = take(&queued) {
                work();
            }
        };
        // It panics where it has no thread yet and the system gives none; the work stays in its queue all the same.
        let spawned = catch_unwind(AssertUnwindSafe(|| drop(handle.spawn_blocking(run))));
        spawned.map_err(|_| {
            drop(take(&work));
            no_thread("the system refused one")
        })
    }

    fn handle(&self) -> Result<tokio::runtime::Handle> {
        let _no_fork = fork::no_fork();
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ended.load(Ordering::Relaxed) {
            return Err(fail!(Cancelled, "the engine was freed: its threads have ended"));
        }
        let generation = fork::generation();
        if let Some(current) = started.take_if(|current| current.generation != generation) {
            // The parent's threads do not exist here: waiting for them would be for ever.
            std::mem::forget(current);
        }
        if started.is_none() {
            *started = Some(Started { runtime: build(self.max_threads)?, generation });
        }
        match started.as_ref() {
            Some(current) => Ok(current.runtime.handle().clone()),
            None => Err(fail!(Internal, "the library's threads could not be started")),
        }
    }
}

fn build(max_threads: usize) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .thread_name("cyborg-kms-work")
        .max_blocking_threads(max_threads)
        .on_thread_start(adopt_thread)
        .build()
        .map_err(no_thread)
}

fn no_thread(reason: impl std::fmt::Display) -> Error {
    fail!(Internal, "no thread could be started ({reason}): raise the limit on processes (ulimit -u)")
}

/// A thread of the library that is not one of the pool, for work that lasts.
pub fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>> {
    let _blocked = signal::block_all();
    std::thread::Builder::new()
        .name(format!("cyborg-kms-{name}"))
        .spawn(move || {
            adopt_thread();
            work();
        })
        .map_err(no_thread)
}

impl Runtime {
    /// Starts no thread any more and waits for the callbacks under way. Not to be called on a thread of the library,
    /// which can't wait for itself.
    pub fn end(&self) {
        let started = {
            let _no_fork = fork::no_fork();
            let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
            self.ended.store(true, Ordering::Relaxed);
            started.take()
        };
        match started {
            Some(parents) if parents.generation != fork::generation() => std::mem::forget(parents),
            own => drop(own),
        }
    }
}
