//! A callback that can be replaced while threads are in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::sys::fork;

/// The callback, or none. No lock: a child would find it held by a thread that it does not have.
pub(crate) struct Replaceable<T>(ArcSwapOption<Target<T>>);

struct Target<T> {
    callback: T,
    /// Threads that are in the callback or about to be, behind the process whose threads they are: a child begins at
    /// none, it does not have its parent's.
    callers: AtomicU64,
}

impl<T> Target<T> {
    /// The count with this process in its upper half; another process's is none.
    fn count_of(&self, process: u64, change: impl Fn(u64) -> u64) -> u64 {
        let next = |callers: u64| {
            let count = if callers >> 32 == process { callers & u64::from(u32::MAX) } else { 0 };
            process << 32 | change(count)
        };
        let former =
            self.callers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |callers| Some(next(callers)));
        next(former.unwrap_or_default()) & u64::from(u32::MAX)
    }
}

/// This process, as far as 32 bits tell.
fn process() -> u64 {
    fork::generation() & u64::from(u32::MAX)
}

impl<T> Replaceable<T> {
    /// None.
    pub(crate) const fn none() -> Replaceable<T> {
        Replaceable(ArcSwapOption::const_empty())
    }

    /// Whether there is one.
    pub(crate) fn is_some(&self) -> bool {
        self.0.load().is_some()
    }

    /// From now on this one is called.
    pub(crate) fn replace(&self, callback: Option<T>) -> Former<T> {
        let target = callback.map(|callback| Arc::new(Target { callback, callers: AtomicU64::new(0) }));
        Former(self.0.swap(target))
    }

    /// Calls it, if there is one.
    pub(crate) fn call<R>(&self, call: impl FnOnce(&T) -> R) -> Option<R> {
        loop {
            let current = self.0.load_full()?;
            let entered = Entered::new(&current);
            // Counted first, then looked again: whoever replaces it from now on waits for this call.
            if self.0.load().as_ref().is_some_and(|still| Arc::ptr_eq(still, &current)) {
                return Some(call(&current.callback));
            }
            drop(entered);
        }
    }
}

impl<T> std::fmt::Debug for Replaceable<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_some() { "Replaceable(Some(..))" } else { "Replaceable(None)" })
    }
}

/// The callback that was replaced, in which threads may still be.
#[must_use]
pub(crate) struct Former<T>(Option<Arc<Target<T>>>);

impl<T> Former<T> {
    /// Returns when no thread is in it any more.
    pub(crate) fn wait(self) {
        let Some(former) = self.0 else { return };
        while former.count_of(process(), |count| count) != 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Counts a caller of a callback until it is out of it, by a panic too.
struct Entered<'a, T>(&'a Target<T>);

impl<T> Entered<'_, T> {
    fn new(target: &Target<T>) -> Entered<'_, T> {
        target.count_of(process(), |count| count + 1);
        Entered(target)
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        self.0.count_of(process(), |count| count.saturating_sub(1));
    }
}
