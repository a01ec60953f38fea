//! A write that holds the KEK: it changes what only the KEK's holder may change, and proves it before it is stored.

use std::sync::Arc;

use super::memory::{Before, Effect};
use crate::audit::{Event, Intent, Operation};
use crate::blob::{self, Change, Kind, Record, WrappedKek};
use crate::cache::Loaded;
use crate::call::Call;
use crate::crypto::derive::kek_check;
use crate::crypto::secret::SecretKey;
use crate::engine::Core;
use crate::engine::core::nanoseconds;
use crate::engine::load::{Loader, check_epoch, check_state};
use crate::engine::stats::count;
use crate::error::{Error, Result, fail};
use crate::keys::Keys;
use crate::name::IndexName;

/// What is to be done to a record by who holds its KEK.
pub(super) trait Work {
    /// What the audit trail calls it.
    fn operation(&self) -> Operation;

    /// What the record alone forbids; before a KMS is asked.
    fn check(&self, core: &Core, name: &IndexName, record: &Record) -> Result<()>;

    /// The record as it is to be opened.
    fn found(&self, _core: &Core, _name: &IndexName, record: Record) -> Record {
        record
    }

    /// The record that takes the place of the one that is held. `replaced`, `kek_check`, epoch and MAC are done here.
    fn next(&self, core: &Core, call: &Call, name: &IndexName, held: &Held) -> Result<Next>;
}

/// A record whose KEK was unwrapped and has opened it.
pub(super) struct Held {
    /// The record and its keys.
    pub(super) keys: Keys,
    /// The wrap that gave the KEK: a push may have brought a wrong one.
    pub(super) wrap: WrappedKek,
}

impl Held {
    /// The record as the start of the next one. The wrap that is known to be right stays, whatever is dropped.
    pub(super) fn record(&self) -> Record {
        Record { wrap: self.wrap.clone(), ..(*self.keys.record).clone() }
    }
}

/// What takes the place of a record.
pub(super) struct Next {
    pub(super) record: Record,
    pub(super) kek: SecretKey,
    pub(super) capabilities: u32,
}

impl Next {
    /// With the KEK that it had.
    pub(super) fn of_same_kek(held: &Held, record: Record) -> Result<Next> {
        Ok(Next { record, kek: held.keys.kek.duplicate()?, capabilities: held.keys.capabilities })
    }
}

/// Does the work in one compare-and-swap. `given`: the KEK of an index of provider `none`.
pub(super) fn rewrite(
    core: &Arc<Core>,
    call: &Call,
    name: &IndexName,
    given: Option<&SecretKey>,
    work: &dyn Work,
) -> Result<()> {
    let event = || Event::new(work.operation(), name);
    core.audited(call, event, |intent| rewrite_now(core, call, name, given, work, intent))
}

fn rewrite_now(
    core: &Arc<Core>,
    call: &Call,
    name: &IndexName,
    given: Option<&SecretKey>,
    work: &dyn Work,
    intent: &mut Intent<'_>,
) -> Result<()> {
    let before = core.before_write(name);
    let mut attempt = Attempt { core, call, name, given, work, first: None, made: None };
    count(&core.counters.store_writes);
    let now = core.clock.unix_seconds();
    let written = blob::change(&*core.store, call, name, now, &mut |present| attempt.plan(present, &before));
    let Attempt { first, made, .. } = attempt;
    if let Some(record) = written.as_ref().ok().and_then(Option::as_ref).or(first.as_ref()) {
        intent.record(record);
    }
    match (written, first) {
        (Ok(Some(stored)), Some(first)) => {
            core.take_up(name, &before, &effect(core, name, &first, stored, made));
            Ok(())
        }
        // A plan without an error has seen a record and written one.
        (Ok(_), _) => Err(fail!(Internal, "index {name}: nothing was written")),
        (Err(error), _) => {
            if error.is_outcome_unknown() {
                core.stop_use(name);
            }
            Err(error)
        }
    }
}

/// One write, however often others are faster.
struct Attempt<'a> {
    core: &'a Arc<Core>,
    call: &'a Call,
    name: &'a IndexName,
    given: Option<&'a SecretKey>,
    work: &'a dyn Work,
    /// The record that was there when this began.
    first: Option<Record>,
    /// The keys that were planned last, and when the KMS was asked.
    made: Option<(Keys, u64)>,
}

impl Attempt<'_> {
    /// Called without any lock: store and KMS may take their time.
    fn plan(&mut self, present: Option<Record>, before: &Before) -> Result<Change> {
        let (core, name) = (self.core, self.name);
        count(&core.counters.store_reads);
        let record = present.ok_or_else(|| blob::no_record(name))?;
        check_state(name, &record)?;
        check_epoch(name, &record, before.epoch)?;
        let first = self.first.get_or_insert_with(|| record.clone());
        if !has_same_keys(first, &record) {
            return Err(overtaken(name));
        }
        self.work.check(core, name, &record)?;
        let given = self.given.filter(|_| record.wrap.provider == "none");
        let loader = Loader::new(core, given, self.work.operation());
        let record = Arc::new(self.work.found(core, name, record));
        let (keys, wrap) = loader.keys(self.call, name, record, before.keys.as_deref())?;
        let held = Held { keys, wrap };
        let next = self.work.next(core, self.call, name, &held)?;
        let keys = prove(core, name, &held, next)?;
        let record = Box::new((*keys.record).clone());
        self.made = Some((keys, loader.as_of()));
        Ok(Change::Write(record))
    }
}

/// Finishes the next record and opens it as a reader will: each data key must be the one that it was.
fn prove(core: &Core, name: &IndexName, held: &Held, next: Next) -> Result<Keys> {
    let Next { mut record, kek, capabilities } = next;
    record.replaced = None;
    record.kek_check = Some(kek_check(&core.arena, &kek, name.as_str())?);
    if record.kind == Kind::Ours {
        let epoch = record.epoch.checked_add(1);
        record.epoch = epoch.ok_or_else(|| fail!(Corrupt, "index {name}: its record's epoch can't grow"))?;
        record.authenticate(&core.arena, name, &kek)?;
    }
    Keys::open(&core.arena, name, Arc::new(record), kek, capabilities, Some(&held.keys))
}

/// What memory may do with what was stored.
fn effect(
    core: &Core,
    name: &IndexName,
    first: &Record,
    stored: Record,
    made: Option<(Keys, u64)>,
) -> Effect {
    let is_none = stored.wrap.provider == "none";
    let keeps_given = is_none && first.wrap.provider == "none" && first.kek_check == stored.kek_check;
    let max_age = nanoseconds(core.cache_settings().max_record_age);
    // After a lost answer what is stored may be an earlier try of this write.
    let made = made.filter(|(keys, _)| has_same_keys(&keys.record, &stored));
    core.note_change(name, &stored, "the keys of an index were changed");
    let keys = made.map(|(mut keys, asked_at)| {
        keys.record = Arc::new(stored);
        let valid_until = asked_at.saturating_add(core.lifetime());
        Loaded {
            keys: Arc::new(keys),
            as_of: asked_at,
            valid_until,
            ends_at: core.ends_at(valid_until),
            seal_until: asked_at.saturating_add(max_age),
            trouble: None,
        }
    });
    Effect { keys, is_none, keeps_given }
}

/// Whether two records differ in state and bookkeeping at most.
fn has_same_keys(one: &Record, other: &Record) -> bool {
    let keys_of = |record: &Record| Record {
        state: blob::State::Enabled,
        deletion_at: 0,
        updated_at: 0,
        write_ids: Vec::new(),
        ..record.clone()
    };
    keys_of(one) == keys_of(other)
}

fn overtaken(name: &IndexName) -> Error {
    fail!(
        Conflict,
        "index {name}: someone else changed its keys at the same time, and this change was not made: look at what is \
         there (cyborg_kms_index_describe), and try again if it is still wanted"
    )
}
