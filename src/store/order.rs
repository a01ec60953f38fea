//! Names in order out of a source that has none, in bounded memory.

use std::collections::BinaryHeap;

use crate::call::Call;
use crate::error::Result;
use crate::name::IndexName;

/// So many names are held at once: 4 MB at the most. A store with more is read again for each further batch.
const BATCH: usize = 16_384;

/// Keeps the smallest names of all that it is offered.
pub(super) struct Smallest {
    after: Option<IndexName>,
    limit: usize,
    names: BinaryHeap<Box<str>>,
}

impl Smallest {
    /// Takes an encoded name, if it is one, lies behind the start and is among the smallest.
    pub(super) fn offer(&mut self, encoded: &str) {
        if self.after.as_ref().is_some_and(|after| encoded <= after.encoded()) {
            return;
        }
        let is_full = self.names.len() == self.limit;
        if is_full && self.names.peek().is_some_and(|largest| encoded >= &**largest) {
            return;
        }
        if IndexName::from_encoded(encoded).is_none() {
            return;
        }
        if is_full {
            self.names.pop();
        }
        self.names.push(encoded.into());
    }
}

/// Visits in order what `scan` offers; it is called once for each batch and offers everything each time.
pub(super) fn visit_in_order(
    call: &Call,
    start_after: Option<&IndexName>,
    scan: &mut dyn FnMut(&mut Smallest) -> Result<()>,
    visit: &mut dyn FnMut(&IndexName) -> bool,
) -> Result<()> {
    visit_in_batches(call, start_after, BATCH, scan, visit)
}

fn visit_in_batches(
    call: &Call,
    start_after: Option<&IndexName>,
    limit: usize,
    scan: &mut dyn FnMut(&mut Smallest) -> Result<()>,
    visit: &mut dyn FnMut(&IndexName) -> bool,
) -> Result<()> {
    let mut after = start_after.cloned();
    loop {
        call.check("listing the records")?;
        let mut smallest = Smallest { after: after.take(), limit, names: BinaryHeap::new() };
        scan(&mut smallest)?;
        let names = smallest.names.into_sorted_vec();
        let was_last = names.len() < limit;
        for encoded in &names {
            let Some(name) = IndexName::from_encoded(encoded) else { continue };
            if !visit(&name) {
                return Ok(());
            }
            after = Some(name);
        }
        if was_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_any_size_give_every_name_once_and_in_order() {
        let stored = ["b", "%", "a", "d", "a b", "c", "..", "%2F", "e"];
        for limit in 1..10 {
            for (after, expected) in [(None, "/ .. a b c d e"), (Some("b"), "c d e"), (Some("e"), "")] {
                let after = after.map(|name| IndexName::new(name).unwrap());
                let mut seen = Vec::new();
                let mut scan = |smallest: &mut Smallest| {
                    stored.iter().for_each(|name| smallest.offer(name));
                    Ok(())
                };
                let mut visit = |name: &IndexName| {
                    seen.push(name.as_str().to_owned());
                    true
                };
                visit_in_batches(&Call::unbounded(), after.as_ref(), limit, &mut scan, &mut visit).unwrap();
                assert_eq!(seen.join(" "), expected, "in batches of {limit}");
            }
        }
    }
}
