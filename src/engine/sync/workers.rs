//! Threads of the library that visit indexes, several at once.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::visit::{Visit, Visitor};
use crate::error::{Result, fail};
use crate::name::IndexName;
use crate::runtime::start_thread;

/// What a visit needs and gives back.
type Visited = (IndexName, Visit);

/// The threads; they end when this is dropped, and visits under way are then interrupted.
pub(super) struct Workers {
    visitor: Arc<Visitor>,
    names: Option<Sender<IndexName>>,
    visited: Receiver<Visited>,
    threads: Vec<JoinHandle<()>>,
    under_way: usize,
}

impl Workers {
    pub(super) fn start(visitor: Arc<Visitor>, threads: usize) -> Result<Workers> {
        let (names, waiting) = channel();
        let (done, visited) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut workers = Workers { visitor, names: Some(names), visited, threads: Vec::new(), under_way: 0 };
        for _ in 0..threads {
            let (visitor, waiting, done) = (Arc::clone(&workers.visitor), Arc::clone(&waiting), done.clone());
            workers.threads.push(start_thread("sync", move || work(&visitor, &waiting, &done))?);
        }
        Ok(workers)
    }

    /// Whether a thread may soon be without work.
    pub(super) fn has_room(&self) -> bool {
        // One for each thread to go on with while the caller hears of the last.
        self.under_way < 2 * self.threads.len()
    }

    pub(super) fn give(&mut self, name: IndexName) -> Result<()> {
        let given = self.names.as_ref().is_some_and(|names| names.send(name).is_ok());
        self.under_way += 1;
        if given { Ok(()) } else { Err(ended()) }
    }

    /// The next that is done; `None` where nothing is under way.
    pub(super) fn take(&mut self) -> Result<Option<Visited>> {
        if self.under_way == 0 {
            return Ok(None);
        }
        self.under_way -= 1;
        self.visited.recv().map(Some).map_err(|_| ended())
    }
}

fn ended() -> crate::error::Error {
    fail!(Internal, "the threads of a sync have ended before it: please report it")
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.visitor.stop.cancel();
        self.names = None;
        for thread in self.threads.drain(..) {
            // It can't have panicked: a visit catches that.
            let _ = thread.join();
        }
    }
}

fn work(visitor: &Visitor, waiting: &Mutex<Receiver<IndexName>>, done: &Sender<Visited>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(name) = next else { return };
        let visit = visitor.visit(&name);
        if done.send((name, visit)).is_err() {
            return;
        }
    }
}
