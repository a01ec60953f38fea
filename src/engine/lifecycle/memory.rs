//! What a write of this process means for the keys that it has in memory.

use std::sync::Arc;

use crate::cache::{Entry, Loaded};
use crate::engine::Core;
use crate::keys::Keys;
use crate::name::IndexName;

/// What was in memory of an index before a write.
pub(super) struct Before {
    /// Each entry, and the state that it was in.
    entries: Vec<(Arc<Entry>, u64)>,
    /// The keys in use, if there are.
    pub(super) keys: Option<Arc<Keys>>,
    /// The highest epoch that this process has read: an older record must not be built upon.
    pub(super) epoch: u64,
}

/// What a write did to the keys.
pub(super) struct Effect {
    /// The keys as they are now, where they are known to be what was written.
    pub(super) keys: Option<Loaded>,
    /// The caller brings the KEK from now on.
    pub(super) is_none: bool,
    /// The KEK that a handle of provider `none` was opened with still opens the index.
    pub(super) keeps_given: bool,
}

impl Core {
    pub(super) fn before_write(&self, name: &IndexName) -> Before {
        let mut before = Before { entries: Vec::new(), keys: None, epoch: 0 };
        let cached = self.cache.find(name).map(|entry| Arc::clone(entry.value()));
        let own = self.own_entries.of(name).into_iter().map(|(entry, _)| entry);
        for entry in cached.into_iter().chain(own) {
            let (generation, keys, epoch) = entry.standing();
            before.epoch = before.epoch.max(epoch);
            before.entries.push((entry, generation));
            before.keys = before.keys.or(keys);
        }
        before
    }

    /// Has the open handles of this process go on with the keys of a write that is confirmed, at once. Those whose way
    /// to the KEK the write took away (to or from `none`, or another KEK there) are left alone until their lifetime
    /// ends, so that the host can open others.
    pub(super) fn take_up(self: &Arc<Core>, name: &IndexName, before: &Before, effect: &Effect) {
        for (entry, given) in self.own_entries.of(name) {
            let can_go_on = if given.is_some() { effect.keeps_given } else { !effect.is_none };
            if can_go_on {
                self.renew(&entry, before, effect, given.is_none());
            }
        }
        if let Some(entry) = self.cache.find(name).filter(|_| !effect.is_none) {
            self.renew(entry.value(), before, effect, true);
        }
        self.cache.forget_if_empty(name);
    }

    /// An entry that was made since may hold the record from before the write: it is loaded anew.
    fn renew(self: &Arc<Core>, entry: &Arc<Entry>, before: &Before, effect: &Effect, is_watched: bool) {
        let seen = before.entries.iter().find(|(seen, _)| Arc::ptr_eq(seen, entry));
        match (seen, &effect.keys) {
            (Some((_, generation)), Some(keys)) => {
                if entry.renew(*generation, keys.clone()) && is_watched {
                    // The write is done. Where nothing can watch the keys they are wiped, and the next use says so.
                    let _ = self.watch(entry);
                }
            }
            _ => entry.stop(),
        }
    }

    /// Has every open handle read the record at its next call.
    pub(in crate::engine) fn stop_use(&self, name: &IndexName) {
        for (entry, _) in self.own_entries.of(name) {
            entry.stop();
        }
        if let Some(entry) = self.cache.find(name) {
            entry.stop();
        }
        self.cache.forget_if_empty(name);
    }
}
