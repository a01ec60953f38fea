//! Opening an index.

use std::sync::Arc;

use super::stats::count;
use super::{Core, Lifeline};
use crate::audit::Operation;
use crate::cache::{Entry, Use};
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::error::{Result, fail};
use crate::index::{Access, Index};
use crate::keys::Keys;
use crate::name::IndexName;
use crate::registry::CAN_ALL;
use crate::striped::{Shared, Striped};

/// How to open an index; the default is for all that its slot grants.
#[derive(Clone, Copy, Default)]
pub struct OpenOptions<'a> {
    /// The KEK, for provider `none` only.
    pub kek: Option<&'a [u8]>,
    /// `registry::CAN_ENCRYPT` and so on; 0: all that the slot grants.
    pub capabilities: u32,
    /// Page calls never wait for a network.
    pub no_wait: bool,
    /// An older record is `ROLLED_BACK`.
    pub min_epoch: u64,
}

/// Whether there is a KEK, and not which.
impl std::fmt::Debug for OpenOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions")
            .field("kek", &self.kek.map(|_| "given"))
            .field("capabilities", &self.capabilities)
            .field("no_wait", &self.no_wait)
            .field("min_epoch", &self.min_epoch)
            .finish()
    }
}

/// The index, where its keys are cached: no lock, no system call.
#[inline]
pub(super) fn open_cached(lifeline: &Striped<Lifeline>, name: &str) -> Option<Index> {
    let entry = lifeline.cache.hit(name)?;
    lifeline.counters.cache_hits.add();
    Some(Index::new(entry, lifeline.share(), Access::default()))
}

pub(super) fn open(
    lifeline: &Striped<Lifeline>,
    call: &Call,
    name: &IndexName,
    options: &OpenOptions<'_>,
) -> Result<Index> {
    let (entry, access) = load(lifeline, call, name, options)?;
    Ok(Index::new(entry, lifeline.share(), access))
}

/// The entry with its keys loaded, and what the handle may do with it.
pub(super) fn load(
    core: &Arc<Core>,
    call: &Call,
    name: &IndexName,
    options: &OpenOptions<'_>,
) -> Result<(Shared<Entry>, Access)> {
    // What is cached is refused to a cancelled scope, too.
    call.check("opening an index")?;
    if options.capabilities & !CAN_ALL != 0 {
        return Err(fail!(
            InvalidArgument,
            "capabilities {:#x}: only 1, 2, 4 and 8 are known",
            options.capabilities
        ));
    }
    let given = options.kek.map(|kek| core.arena.key_from(kek)).transpose()?.map(Arc::new);
    // A key of the caller's stays with the handle; with a ttl of 0 nothing is shared between handles.
    let own = given.is_some() || core.cache_settings().ttl.is_zero();
    let entry = if own { core.own_entry(name, given.as_ref()) } else { core.cache.entry(name) };
    let hit = entry.is_live();
    if !hit {
        count(&core.counters.cache_misses);
    }
    let opened = core
        .keys(call, entry.value(), given.as_deref(), Use::Read, Operation::Open)
        .and_then(|keys| recent_enough(core, call, &entry, keys, options.min_epoch, given.as_deref()))
        .and_then(|keys| granted(core, call, name, &keys, options.capabilities));
    if let Err(error) = opened {
        drop(entry);
        core.cache.forget_if_empty(name);
        return Err(error);
    }
    if hit {
        core.counters.cache_hits.add();
    }
    let access = Access {
        capabilities: options.capabilities,
        no_wait: options.no_wait,
        min_epoch: options.min_epoch,
        given,
    };
    Ok((entry, access))
}

impl Core {
    /// An entry that no other handle finds. `given`: the KEK that its handle brings.
    pub(crate) fn own_entry(&self, name: &IndexName, given: Option<&Arc<SecretKey>>) -> Shared<Entry> {
        let entry = Arc::new(Entry::new(name.clone(), Arc::clone(&self.clock)));
        // Before anything is loaded: who changes the index must find it.
        self.own_entries.list(&entry, given);
        Shared::single(entry)
    }
}

/// A cached record can be older than what the caller has seen: another process wrote since. The store decides.
fn recent_enough(
    core: &Arc<Core>,
    call: &Call,
    entry: &Shared<Entry>,
    keys: Arc<Keys>,
    min_epoch: u64,
    given: Option<&SecretKey>,
) -> Result<Arc<Keys>> {
    if keys.record.epoch >= min_epoch {
        return Ok(keys);
    }
    let loaded = core.refresh(call, entry.value(), given, Operation::Open)?;
    let keys = loaded.keys;
    if keys.record.epoch >= min_epoch {
        return Ok(keys);
    }
    // The store decides, not what was last read of it.
    loaded.trouble.map_or(Ok(()), Err)?;
    let error = fail!(
        RolledBack,
        "index {}: its record is at epoch {}, {min_epoch} has been seen: an old record was restored. Restore the newest",
        entry.name(),
        keys.record.epoch
    );
    Err(core.refused(call, Operation::Open, entry.name(), &keys.record, error))
}

fn granted(core: &Core, call: &Call, name: &IndexName, keys: &Keys, capabilities: u32) -> Result<()> {
    let missing = capabilities & !keys.capabilities;
    if missing == 0 {
        return Ok(());
    }
    let error = fail!(
        AccessDenied,
        "index {name}: slot {:?} does not grant the capabilities {missing:#x} that were asked for",
        keys.record.wrap.kms_name
    );
    Err(core.refused(call, Operation::Open, name, &keys.record, error))
}
