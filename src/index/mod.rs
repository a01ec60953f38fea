//! An open index: the handle that a database keeps.

mod page;

use std::ffi::CString;
use std::sync::Arc;

use once_cell::race::OnceBox;

pub use page::{Input, sealed_len};

use crate::audit::Operation;
use crate::blob::WrappedKek;
use crate::cache::{Entry, LiveKeys, Loaded, Use};
use crate::call::Call;
use crate::crypto::derive;
use crate::crypto::secret::SecretKey;
use crate::engine::Lifeline;
use crate::error::{Error, Result, fail};
use crate::keys::Keys;
use crate::name::IndexName;
use crate::registry::{CAN_DERIVE, CAN_EXPORT};
use crate::striped::{Shared, Striped};

/// What a handle was opened with.
#[derive(Debug, Default)]
pub struct Access {
    /// 0: all that the slot grants.
    pub capabilities: u32,
    /// Page calls never wait for a network.
    pub no_wait: bool,
    /// An older record is `ROLLED_BACK`.
    pub min_epoch: u64,
    /// The KEK of provider `none`, which lives as long as the handle.
    pub given: Option<Arc<SecretKey>>,
}

/// A handle on an index; used by many threads at once. Keeps alive what it needs.
#[derive(Debug)]
pub struct Index {
    entry: Shared<Entry>,
    lifeline: Shared<Lifeline>,
    access: Access,
    /// In a place of its own: few ask, and a handle that is small is opened faster.
    about: OnceBox<About>,
}

/// The record's public side when it was first asked for.
#[derive(Debug)]
pub struct About {
    /// The index.
    pub name: CString,
    /// The slot.
    pub kms_name: CString,
    /// The provider.
    pub provider: CString,
    /// The wrapping key.
    pub key_id: CString,
}

impl Index {
    pub(crate) fn new(entry: Shared<Entry>, lifeline: Shared<Lifeline>, access: Access) -> Index {
        Index { entry, lifeline, access, about: OnceBox::new() }
    }

    /// The handle on an index that was just created: its keys need not be loaded.
    pub(crate) fn of_new(
        lifeline: &Striped<Lifeline>,
        name: &IndexName,
        loaded: Loaded,
        given: Option<SecretKey>,
    ) -> Result<Index> {
        let core = &lifeline.value().clone();
        let given = given.map(Arc::new);
        let own = given.is_some() || core.is_uncached();
        let entry = if own { core.own_entry(name, given.as_ref()) } else { core.cache.entry(name) };
        entry.install(loaded);
        if given.is_none() {
            core.watch(entry.value())?;
        }
        Ok(Index::new(entry, lifeline.share(), Access { given, ..Access::default() }))
    }

    /// The index.
    pub fn name(&self) -> &IndexName {
        self.entry.name()
    }

    /// Texts of the record, as they were when this was first called.
    pub fn about(&self) -> &About {
        self.about.get_or_init(|| {
            let record = self.entry.last_record();
            let of_wrap = |field: fn(&WrappedKek) -> &str| {
                text(record.as_ref().map_or("", |record| field(&record.wrap)))
            };
            Box::new(About {
                name: text(self.name().as_str()),
                kms_name: of_wrap(|wrap| &wrap.kms_name),
                provider: of_wrap(|wrap| &wrap.provider),
                key_id: of_wrap(|wrap| &wrap.key_id),
            })
        })
    }

    /// The envelope's version in the record that was read last.
    pub fn version(&self) -> u32 {
        self.entry.last_record().map_or(0, |record| record.envelope_version)
    }

    /// The epoch of the record that was read last; 0 for CyborgDB's kind.
    pub fn epoch(&self) -> u64 {
        self.entry.last_record().map_or(0, |record| record.epoch)
    }

    /// The data key of new pages; 0 for an index without one.
    pub fn data_key_id(&self) -> u32 {
        self.entry.last_record().map_or(0, |record| record.current_data_key)
    }

    /// Asks record and KMS now.
    pub fn refresh(&self) -> Result<()> {
        let given = self.access.given.as_deref();
        self.lifeline.ask_anew();
        let loaded =
            self.lifeline.refresh(&Call::unbounded(), self.entry.value(), given, Operation::Refresh)?;
        // The keys are good for another lifetime, but the record is not what the store has now.
        loaded.trouble.map_or(Ok(()), Err)
    }

    /// HKDF of the derivation key; see `crypto::derive::derive_key`.
    pub fn derive_key(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<()> {
        let keys = self.keys(self.lifeline.clock.tick(), Use::Read)?;
        self.allow(live(&keys)?, CAN_DERIVE)?;
        derive::derive_key(live(&keys)?.derivation()?, label, context, out)
    }

    /// The KEK of an envelope version; 0: the current one.
    pub fn export_kek(&self, version: u32) -> Result<SecretKey> {
        let keys = self.keys(self.lifeline.clock.tick(), Use::Read)?;
        self.allow(live(&keys)?, CAN_EXPORT)?;
        live(&keys)?.kek_of_version(&self.lifeline.arena, self.name(), version)
    }

    /// The keys for one call: on the way of a page no lock and nothing that waits.
    #[inline]
    fn keys(&self, tick: u64, what_for: Use) -> Result<LiveKeys> {
        let keys = match self.entry.live(tick, what_for) {
            Some(keys) => keys,
            None => self.load_keys(what_for)?,
        };
        if self.access.min_epoch != 0 {
            self.check_epoch(live(&keys)?)?;
        }
        Ok(keys)
    }

    /// An eviction, or another handle, may have brought in a record that this handle refuses.
    fn check_epoch(&self, keys: &Keys) -> Result<()> {
        if keys.record.epoch >= self.access.min_epoch {
            return Ok(());
        }
        Err(fail!(
            RolledBack,
            "index {}: its record is at epoch {}, this handle was opened for {} and up: an old record was restored",
            self.name(),
            keys.record.epoch,
            self.access.min_epoch
        ))
    }

    #[cold]
    fn load_keys(&self, what_for: Use) -> Result<LiveKeys> {
        if self.access.no_wait {
            return Err(self.not_waiting("its KEK's lifetime is over"));
        }
        let given = self.access.given.as_deref();
        let keys = self.lifeline.keys(
            &Call::unbounded(),
            self.entry.value(),
            given,
            what_for,
            Operation::Refresh,
        )?;
        Ok(LiveKeys::from_inner(Some(keys)))
    }

    /// Has what is missing loaded by a thread of the library, for a handle that does not wait.
    fn not_waiting(&self, what: &str) -> Error {
        let under_way = self.lifeline.refresh_ahead(self.entry.value(), self.access.given.as_ref());
        let advice =
            if under_way { "try again when the refresh is done" } else { "refresh it, or try again later" };
        fail!(KmsUnavailable, "index {}: {what} and this handle does not wait; {advice}", self.name())
    }

    /// `ACCESS_DENIED` where neither slot nor handle grants `capability`.
    #[inline]
    fn allow(&self, keys: &Keys, capability: u32) -> Result<()> {
        let own = if self.access.capabilities == 0 { keys.capabilities } else { self.access.capabilities };
        if own & keys.capabilities & capability != 0 { Ok(()) } else { Err(self.denied(capability)) }
    }

    #[cold]
    fn denied(&self, capability: u32) -> Error {
        let name = match capability {
            crate::registry::CAN_ENCRYPT => "encrypt",
            crate::registry::CAN_DECRYPT => "decrypt",
            CAN_DERIVE => "derive",
            _ => "export",
        };
        fail!(
            AccessDenied,
            "index {}: its slot does not grant {name}, or it was opened without it",
            self.name()
        )
    }
}

/// A record can hold a NUL, which C can't: the text ends there.
fn text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// A live entry has keys: this says so to the compiler without a panic.
#[inline]
fn live(keys: &LiveKeys) -> Result<&Keys> {
    keys.as_deref().ok_or_else(|| fail!(Internal, "the keys are gone"))
}
