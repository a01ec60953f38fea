//! The names of all records, a part at a time.

use crate::call::Call;
use crate::error::Result;
use crate::name::IndexName;
use crate::store::Store;

/// As many as stores without an order hold at once: they are read again for each part.
const BATCH: usize = 16_384;

/// How many records there are now.
pub(super) fn count(store: &dyn Store, call: &Call) -> Result<u64> {
    let mut count = 0;
    store.list(call, None, &mut |_| {
        count += 1;
        true
    })?;
    Ok(count)
}

/// Names every record that is there all the while, in the order of the store.
pub(super) struct Names<'a> {
    store: &'a dyn Store,
    call: &'a Call,
    batch_size: usize,
    batch: std::vec::IntoIter<IndexName>,
    last: Option<IndexName>,
    is_over: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new(store: &'a dyn Store, call: &'a Call) -> Names<'a> {
        Names { store, call, batch_size: BATCH, batch: Vec::new().into_iter(), last: None, is_over: false }
    }

    fn read(&mut self) -> Result<()> {
        let mut batch = Vec::new();
        self.store.list(self.call, self.last.as_ref(), &mut |name| {
            batch.push(name.clone());
            batch.len() < self.batch_size
        })?;
        self.is_over = batch.len() < self.batch_size;
        self.last = batch.last().cloned();
        self.batch = batch.into_iter();
        Ok(())
    }
}

impl Iterator for Names<'_> {
    type Item = Result<IndexName>;

    fn next(&mut self) -> Option<Result<IndexName>> {
        if self.batch.len() == 0
            && !self.is_over
            && let Err(error) = self.read()
        {
            self.is_over = true;
            return Some(Err(error));
        }
        self.batch.next().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Expected, MemoryStore};

    #[test]
    fn parts_of_any_size_have_every_name_once() {
        let (store, call) = (MemoryStore::new(), Call::unbounded());
        let put = |name: &str| {
            let name = IndexName::new(name).unwrap();
            store.put(&call, &name, b"x", Expected::Any).unwrap();
        };
        for stored in 0..8_usize {
            for batch_size in 1..9 {
                let names = Names { batch_size, ..Names::new(&store, &call) };
                let seen: Vec<String> = names.map(|name| name.unwrap().as_str().to_owned()).collect();
                assert_eq!(seen, (0..stored).map(|number| format!("i{number}")).collect::<Vec<_>>());
            }
            assert_eq!(count(&store, &call).unwrap(), stored as u64);
            put(&format!("i{stored}"));
        }
    }

    #[test]
    fn a_listing_that_fails_ends_it() {
        let store = MemoryStore::new();
        let over = Call::unbounded().within(std::time::Duration::ZERO);
        let mut names = Names::new(&store, &over);
        assert!(names.next().unwrap().is_err());
        assert!(names.next().is_none());
    }
}
