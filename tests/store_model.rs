//! Each store does what a map does, whatever is done to it in whatever order.

mod store_support;

use std::collections::BTreeMap;

use cyborg_kms::call::Call;
use cyborg_kms::error::Status;
use cyborg_kms::name::IndexName;
use cyborg_kms::store::{Expected, Revision, Store, open};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Seen {
    Nothing,
    Anything,
    Latest,
    Stale,
}

#[derive(Debug, Clone)]
enum Step {
    Get(usize),
    Put(usize, Vec<u8>, Seen),
    Remove(usize, Seen),
    List(Option<usize>, usize),
}

const NAMES: [&str; 7] = ["a", "b", "..", "a/b ü~%.-_!", "B", "%2F", "a.kms.cat"];

fn step() -> impl Strategy<Value = Step> {
    let index = 0..NAMES.len();
    let seen = prop_oneof![Just(Seen::Nothing), Just(Seen::Anything), Just(Seen::Latest), Just(Seen::Stale)];
    let bytes = prop::collection::vec(any::<u8>(), 0..3);
    prop_oneof![
        index.clone().prop_map(Step::Get),
        (index.clone(), bytes, seen.clone()).prop_map(|(index, bytes, seen)| Step::Put(index, bytes, seen)),
        (index.clone(), seen).prop_map(|(index, seen)| Step::Remove(index, seen)),
        (prop::option::of(index), 1..4_usize).prop_map(|(after, count)| Step::List(after, count)),
    ]
}

/// The map that a store is held against, by encoded name.
#[derive(Default)]
struct Model(BTreeMap<String, Vec<u8>>);

impl Model {
    fn revision(&self, name: &IndexName, seen: &Seen) -> Option<Revision> {
        match seen {
            Seen::Latest => Some(Revision::Content(self.0.get(name.encoded()).cloned().unwrap_or_default())),
            Seen::Stale => Some(Revision::Content(b"never stored".to_vec())),
            _ => None,
        }
    }

    fn holds(&self, name: &IndexName, seen: &Seen) -> bool {
        let is_there = self.0.contains_key(name.encoded());
        match seen {
            Seen::Nothing => !is_there,
            Seen::Anything => true,
            Seen::Latest => is_there,
            Seen::Stale => false,
        }
    }
}

fn expected<'a>(seen: &Seen, revision: Option<&'a Revision>) -> Expected<'a> {
    match (seen, revision) {
        (Seen::Nothing, _) => Expected::Absent,
        (_, Some(revision)) => Expected::Revision(revision),
        _ => Expected::Any,
    }
}

fn follow(store: &dyn Store, steps: &[Step]) -> Result<(), TestCaseError> {
    let call = Call::unbounded();
    let names = NAMES.map(|raw| IndexName::new(raw).unwrap());
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Get(index) => {
                let name = &names[*index];
                let stored = store.get(&call, name).unwrap();
                if let Some(stored) = &stored {
                    prop_assert_eq!(&stored.revision, &Revision::Content(stored.bytes.clone()));
                }
                prop_assert_eq!(stored.map(|stored| stored.bytes), model.0.get(name.encoded()).cloned());
            }
            Step::Put(index, bytes, seen) => {
                let name = &names[*index];
                let revision = model.revision(name, seen);
                let outcome = store.put(&call, name, bytes, expected(seen, revision.as_ref()));
                if model.holds(name, seen) {
                    prop_assert!(outcome.is_ok(), "{outcome:?}");
                    model.0.insert(name.encoded().to_owned(), bytes.clone());
                } else {
                    let is_creation = matches!(seen, Seen::Nothing);
                    let status = if is_creation { Status::AlreadyExists } else { Status::Conflict };
                    prop_assert_eq!(outcome.unwrap_err().status(), status);
                }
            }
            Step::Remove(index, seen) => {
                let name = &names[*index];
                let revision = model.revision(name, seen);
                let outcome = store.remove(&call, name, expected(seen, revision.as_ref()));
                if model.holds(name, seen) || !model.0.contains_key(name.encoded()) {
                    prop_assert!(outcome.is_ok(), "{outcome:?}");
                    model.0.remove(name.encoded());
                } else {
                    prop_assert_eq!(outcome.unwrap_err().status(), Status::Conflict);
                }
            }
            Step::List(after, count) => {
                let after = after.map(|index| &names[index]);
                let mut seen = Vec::new();
                let mut visit = |name: &IndexName| {
                    seen.push(name.encoded().to_owned());
                    seen.len() < *count
                };
                store.list(&call, after, &mut visit).unwrap();
                let is_behind = |name: &&String| after.is_none_or(|after| name.as_str() > after.encoded());
                let there: Vec<_> = model.0.keys().filter(is_behind).take(*count).cloned().collect();
                prop_assert_eq!(seen, there);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn the_memory_store_is_a_map(steps in prop::collection::vec(step(), 1..60)) {
        follow(&*open("memory://").unwrap(), &steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
    #[test]
    fn the_disk_store_is_a_map(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        follow(&*store_support::at(folder.path()), &steps)?;
        prop_assert!(store_support::left_over(folder.path()).is_empty());
    }
}
