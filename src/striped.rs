//! A value that many threads share without a counter that they all write: each thread counts its references on
//! a cache line of its own.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::sys::fork;

/// As many counters as threads that work at once on a large machine, more or less.
const STRIPES: usize = 8;

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The current thread's stripe.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut stripe = STRIPE.get();
    if stripe == usize::MAX {
        stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
        STRIPE.set(stripe);
    }
    stripe
}

/// Keeps what it holds on cache lines of its own (two: they are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// The owner of a shared value.
#[derive(Debug)]
pub struct Striped<T> {
    value: Arc<T>,
    stripes: [OnceLock<Shared<T>>; STRIPES],
}

/// A reference to a shared value; keeps it alive.
#[derive(Debug)]
pub struct Shared<T>(Arc<Padded<Arc<T>>>);

impl<T> Striped<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Striped<T> {
        Striped { value: Arc::new(value), stripes: [const { OnceLock::new() }; STRIPES] }
    }

    /// One more reference.
    pub fn share(&self) -> Shared<T> {
        let stripe = &self.stripes[stripe()];
        let own = stripe.get().unwrap_or_else(|| {
            // A child must not wait for a thread of its parent's that was at it.
            let _no_fork = fork::no_fork();
            stripe.get_or_init(|| Shared(Arc::new(Padded(Arc::clone(&self.value)))))
        });
        Shared(Arc::clone(&own.0))
    }

    /// Whether anyone but the owner has a reference.
    pub fn is_shared(&self) -> bool {
        self.stripes.iter().filter_map(OnceLock::get).any(|own| Arc::strong_count(&own.0) > 1)
    }

    /// The value by its own counter, for what happens seldom.
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }
}

impl<T> Deref for Striped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T> Shared<T> {
    /// A reference that nobody else shares, for a value of one owner.
    pub fn single(value: Arc<T>) -> Shared<T> {
        Shared(Arc::new(Padded(value)))
    }

    /// The value by its own counter.
    pub fn value(&self) -> &Arc<T> {
        &self.0.0
    }
}

/// A count that many threads add to.
#[derive(Debug, Default)]
pub struct Counter([Padded<AtomicU64>; STRIPES]);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0[stripe()].0.fetch_add(1, Ordering::Relaxed);
    }

    /// All that were added.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_counted_from_every_thread() {
        let striped = Striped::new(7);
        assert!(!striped.is_shared());
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let shared = striped.share();
                    assert!(striped.is_shared());
                    assert_eq!(*shared, 7);
                    counter.add();
                });
            }
        });
        assert!(!striped.is_shared());
        assert_eq!(counter.sum(), 20);
        let kept = striped.share();
        drop(striped);
        assert_eq!(*kept, 7);
    }
}
