//! What a write of this process means for the keys that it has in memory.

use std::sync::Arc;

use crate::cache::{Entry, Loaded};
use crate::engine::Core;
use crate::keys::Keys;
use crate::name::IndexName;
use crate::striped::Shared;

/// What was cached of an index before a write.
pub(super) struct Before {
    entry: Option<(Shared<Entry>, u64)>,
    /// The keys in use, if there are.
    pub(super) keys: Option<Arc<Keys>>,
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
        let Some(entry) = self.cache.find(name) else { return Before { entry: None, keys: None } };
        let (generation, keys) = entry.standing();
        Before { entry: Some((entry, generation)), keys }
    }

    /// Has the open handles of this process go on with the keys of a write that is confirmed, at once. Those whose way
    /// to the KEK the write took away (to or from `none`, or another KEK there) are left alone until their lifetime
    /// ends, so that the host can open others.
    pub(super) fn take_up(self: &Arc<Core>, name: &IndexName, before: Before, effect: Effect) {
        for (entry, given) in self.own_entries.of(name) {
            let can_go_on = if given.is_some() { effect.keeps_given } else { !effect.is_none };
            if can_go_on {
                entry.stop();
            }
        }
        // Looked for again: an entry that was made since may hold the record from before the write.
        let Some(entry) = self.cache.find(name).filter(|_| !effect.is_none) else { return };
        let seen = before.entry.filter(|(seen, _)| Arc::ptr_eq(seen.value(), entry.value()));
        let renewed = match (seen, effect.keys) {
            (Some((_, generation)), Some(keys)) => entry.renew(generation, keys),
            _ => {
                entry.stop();
                false
            }
        };
        if renewed {
            // The write is done: that nothing can watch the keys wipes them, and is said by the next use.
            let _ = self.watch(entry.value());
        }
        drop(entry);
        self.cache.forget_if_empty(name);
    }

    /// Has every open handle read the record at its next call.
    pub(super) fn stop_use(&self, name: &IndexName) {
        for (entry, _) in self.own_entries.of(name) {
            entry.stop();
        }
        if let Some(entry) = self.cache.find(name) {
            entry.stop();
        }
        self.cache.forget_if_empty(name);
    }
}
