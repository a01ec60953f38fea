//! Names in the order of index names, out of a listing in the order of object names.
//!
//! Objects are called `<name>.kms.cat`. That orders names as they are, but for one that begins another: `a-b.kms.cat`
//! comes before `a.kms.cat`. So a name is held back while one that it begins with may still come.

use std::collections::{BTreeSet, HashSet};

use super::ENDING;
use crate::error::Result;

/// So many names are held back at most; then the store is asked about those that may still come.
pub(super) const MAX_HELD: usize = 10_000;

/// Puts encoded names in order.
pub(super) struct Ordered {
    held: BTreeSet<String>,
    /// What was listed last, without its ending.
    listed: String,
    /// Asked for by name: told already, or not there.
    known: HashSet<String>,
    limit: usize,
}

impl Ordered {
    pub(super) fn new(limit: usize) -> Ordered {
        Ordered { held: BTreeSet::new(), listed: String::new(), known: HashSet::new(), limit }
    }

    /// Takes the next name of the listing.
    pub(super) fn take(&mut self, encoded: &str) {
        encoded.clone_into(&mut self.listed);
        if !self.known.remove(encoded) {
            self.held.insert(encoded.to_owned());
        }
    }

    /// The next name in order, if it is certain. `exists` is asked only where too many are held back.
    pub(super) fn next(&mut self, exists: &mut dyn FnMut(&str) -> Result<bool>) -> Result<Option<String>> {
        while let Some(first) = self.held.first() {
            let Some(earlier) = self.may_come_before(first) else { return Ok(self.held.pop_first()) };
            if self.held.len() <= self.limit {
                return Ok(None);
            }
            let earlier = earlier.to_owned();
            if exists(&earlier)? {
                self.held.insert(earlier.clone());
            }
            self.known.insert(earlier);
        }
        Ok(None)
    }

    /// The rest, when the listing is over.
    pub(super) fn finish(self) -> BTreeSet<String> {
        self.held
    }

    /// A name that `encoded` begins with and that the listing has yet to come to.
    fn may_come_before<'n>(&self, encoded: &'n str) -> Option<&'n str> {
        let is_to_come = |at: usize| {
            let (begin, ending) = (&encoded[..at], ENDING.bytes());
            let is_listed = begin.bytes().chain(ending).le(self.listed.bytes().chain(ENDING.bytes()));
            !is_listed && !self.known.contains(begin)
        };
        // Behind a letter or a digit the shorter name's object comes first, as the name does.
        let ends = encoded.bytes().enumerate().skip(1).filter(|(_, b)| *b <= b'.').map(|(at, _)| at);
        ends.into_iter().find(|at| is_to_come(*at)).map(|at| &encoded[..at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out, and how often the store was asked about a name.
    fn in_order(names: &[&str], limit: usize) -> (Vec<String>, usize) {
        let mut objects: Vec<String> = names.iter().map(|name| format!("{name}{ENDING}")).collect();
        objects.sort_unstable();
        let (mut ordered, mut told, mut asked) = (Ordered::new(limit), Vec::new(), 0);
        for object in &objects {
            ordered.take(object.strip_suffix(ENDING).unwrap());
            let mut exists = |name: &str| {
                asked += 1;
                Ok(names.contains(&name))
            };
            while let Some(name) = ordered.next(&mut exists).unwrap() {
                told.push(name);
            }
        }
        told.extend(ordered.finish());
        (told, asked)
    }

    #[test]
    fn any_names_come_in_order_with_any_room() {
        let alphabet = ["a", "-", ".", "%2F", "z", "_", "0"];
        let mut names: Vec<String> = vec![String::new()];
        for _ in 0..3 {
            let longer = |name: &String| alphabet.map(|more| format!("{name}{more}"));
            names = names.iter().flat_map(longer).chain(names.clone()).collect();
        }
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !name.is_empty());
        for keep in 1..8 {
            let some: Vec<&str> = names.iter().step_by(keep).map(String::as_str).collect();
            for limit in [0, 1, 5, MAX_HELD] {
                assert_eq!(in_order(&some, limit).0, some, "every {keep}th, {limit} held back");
            }
        }
    }

    #[test]
    fn the_store_is_hardly_ever_asked() {
        let uuids: Vec<String> =
            (0..500).map(|n| format!("{:08x}-0000-4000-8000-{n:012x}", n * 77_777)).collect();
        let mut uuids: Vec<&str> = uuids.iter().map(String::as_str).collect();
        uuids.sort_unstable();
        assert_eq!(in_order(&uuids, 10), (uuids.iter().map(|name| (*name).to_owned()).collect(), 0));
        let tenants: Vec<String> = (0..500).map(|n| format!("tenant-{n:04}")).collect();
        let tenants: Vec<&str> = tenants.iter().map(String::as_str).collect();
        assert_eq!(in_order(&tenants, 10).1, 1);
    }
}
