//! Entries that the cache does not share: those of handles with a key of their own (provider `none`), and all where
//! nothing is cached. A change of an index that must be felt at once, and an eviction, reach them through this list.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Entry;
use crate::crypto::secret::SecretKey;
use crate::name::IndexName;
use crate::sys::fork;

/// Such an entry, and the KEK that its handle was opened with.
pub type Own = (Arc<Entry>, Option<Arc<SecretKey>>);

/// The entries in use, by their index.
#[derive(Debug, Default)]
pub struct OwnEntries(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    by_name: HashMap<Box<str>, Vec<Weakly>>,
    count: usize,
    /// How many there may be before those that are gone are looked for.
    prune_at: usize,
}

#[derive(Debug)]
struct Weakly {
    entry: Weak<Entry>,
    given: Option<Weak<SecretKey>>,
}

impl OwnEntries {
    /// Lists an entry for as long as it is in use.
    pub fn list(&self, entry: &Arc<Entry>, given: Option<&Arc<SecretKey>>) {
        self.with(|listed| {
            if listed.count >= listed.prune_at {
                listed.prune();
            }
            let weakly = Weakly { entry: Arc::downgrade(entry), given: given.map(Arc::downgrade) };
            listed.by_name.entry(entry.name().as_str().into()).or_default().push(weakly);
            listed.count += 1;
        });
    }

    /// The entries of an index that are in use.
    pub fn of(&self, name: &IndexName) -> Vec<Own> {
        self.with(|listed| {
            let of_name = listed.by_name.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            of_name.iter().filter_map(Weakly::upgrade).collect()
        })
    }

    /// Wipes their keys, those of one index or of all: the next use reads the record again. A KEK that the caller brought
    /// stays with its handle.
    pub fn evict(&self, name: Option<&IndexName>) {
        let entries: Vec<Own> = match name {
            Some(name) => self.of(name),
            None => {
                self.with(|listed| listed.by_name.values().flatten().filter_map(Weakly::upgrade).collect())
            }
        };
        entries.iter().for_each(|(entry, _)| entry.clear());
    }

    fn with<T>(&self, work: impl FnOnce(&mut Listed) -> T) -> T {
        // A child must not find it locked by a thread that it does not have.
        let _no_fork = fork::no_fork();
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listed {
    fn prune(&mut self) {
        self.by_name.retain(|_, entries| {
            entries.retain(|own| own.entry.strong_count() > 0);
            !entries.is_empty()
        });
        self.count = self.by_name.values().map(Vec::len).sum();
        self.prune_at = (2 * self.count).max(64);
    }
}

impl Weakly {
    fn upgrade(&self) -> Option<Own> {
        Some((self.entry.upgrade()?, self.given.as_ref().and_then(Weak::upgrade)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn what_is_gone_is_not_listed_and_takes_no_room() {
        let own = OwnEntries::default();
        let entry = |name: &str| Arc::new(Entry::new(IndexName::new(name).unwrap(), Arc::new(SystemClock)));
        let kept = entry("kept");
        own.list(&kept, None);
        for number in 0..1000 {
            own.list(&entry(&format!("gone {number}")), None);
        }
        assert_eq!(own.of(kept.name()).len(), 1);
        assert!(own.of(&IndexName::new("gone 999").unwrap()).is_empty());
        assert!(own.0.lock().unwrap().by_name.len() <= 65);
    }
}
