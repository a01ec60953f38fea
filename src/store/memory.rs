//! Records in the memory of this process: for tests, and for hosts that keep nothing.

use std::fmt;
use std::sync::Arc;

use papaya::{Compute, HashMap, Operation};

use super::order::visit_in_order;
use super::{Expected, Revision, Store, Stored, expected};
use crate::call::Call;
use crate::error::Result;
use crate::name::IndexName;

/// A store that ends with the process. Lock-free, so that a fork can't leave the child a lock that nobody opens.
#[derive(Default)]
pub struct MemoryStore {
    /// By encoded name.
    records: HashMap<Box<str>, Arc<[u8]>, foldhash::fast::RandomState>,
}

impl MemoryStore {
    /// A store without records.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("records", &self.records.len()).finish()
    }
}

impl Store for MemoryStore {
    fn get(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>> {
        call.check("reading a record")?;
        let records = self.records.pin();
        Ok(records
            .get(name.encoded())
            .map(|bytes| Stored { bytes: bytes.to_vec(), revision: Revision::Content(bytes.to_vec()) }))
    }

    fn put(&self, call: &Call, name: &IndexName, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
        call.check("writing a record")?;
        expected::check_size(bytes, name)?;
        let bytes: Arc<[u8]> = bytes.into();
        let outcome = self
            .records
            .pin()
            .compute(name.encoded().into(), |present| {
                match expected::check_put(expected, present.map(|(_, bytes)| &**bytes), name) {
                    Ok(()) => Operation::Insert(Arc::clone(&bytes)),
                    Err(error) => Operation::Abort(error),
                }
            })
            .aborted();
        outcome.map_or(Ok(()), Err)
    }

    fn remove(&self, call: &Call, name: &IndexName, expected: Expected<'_>) -> Result<()> {
        call.check("removing a record")?;
        self.records
            .pin()
            .compute(name.encoded().into(), |present| {
                let Some((_, bytes)) = present else { return Operation::Abort(Ok(())) };
                match expected::check_remove(expected, Some(bytes), name) {
                    Ok(()) => Operation::Remove,
                    Err(error) => Operation::Abort(Err(error)),
                }
            })
            .aborted()
            .unwrap_or(Ok(()))
    }

    fn list(
        &self,
        call: &Call,
        start_after: Option<&IndexName>,
        visit: &mut dyn FnMut(&IndexName) -> bool,
    ) -> Result<()> {
        let mut scan = |smallest: &mut super::order::Smallest| {
            self.records.pin().keys().for_each(|encoded| smallest.offer(encoded));
            Ok(())
        };
        visit_in_order(call, start_after, &mut scan, visit)
    }
}

/// What a computation gave up with.
trait Aborted<T> {
    fn aborted(self) -> Option<T>;
}

impl<K, V, T> Aborted<T> for Compute<'_, K, V, T> {
    fn aborted(self) -> Option<T> {
        match self {
            Compute::Aborted(reason) => Some(reason),
            _ => None,
        }
    }
}
