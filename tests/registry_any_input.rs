//! The configuration from any text: it is read or refused, and never repeats a value.

mod registry_support;

use cyborg_kms::error::Status;
use proptest::prelude::*;
use registry_support::{SECRET, parse, slot};

const SAMPLES: [&str; 3] =
    [include_str!("data/cyborgdb.yaml"), include_str!("data/full.yaml"), include_str!("data/example.yaml")];

/// Whatever comes out: a configuration, or one line with one of the two statuses.
fn holds(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = parse(text) {
        prop_assert!(matches!(error.status(), Status::Config | Status::Unsupported), "{error}");
        prop_assert!(!error.message().is_empty() && !error.message().contains(SECRET), "{error}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn text_of_yamls_own_characters_never_panics(
        text in "([a-z: \\-\\[\\]{},&*!|>'\"%@`#?~<\n\t]|ttl: |cache:\n|kms: |registry: |\\$\\{[A-Z:}-]{0,3}){0,60}"
    ) {
        holds(&text)?;
    }

    #[test]
    fn mutated_configurations_never_panic(
        sample in 0..SAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize, any::<char>()), 1..8),
    ) {
        let mut text: Vec<char> = SAMPLES[sample].chars().collect();
        for (at, edit, c) in edits {
            let at = at.index(text.len());
            match edit {
                0 => text[at] = c,
                1 => text.insert(at, c),
                // At least one character stays, to choose the next place from.
                2 if text.len() > 1 => drop(text.remove(at)),
                _ => text.truncate(at.max(1)),
            }
        }
        holds(&text.iter().collect::<String>())?;
    }

    #[test]
    fn any_value_of_any_key_is_read_or_refused_without_being_repeated(
        key in prop::sample::select(vec!["provider", "key_id", "region", "deadline", "max_retries", "create",
            "capabilities", "former_key_ids", "recipients", "endpoint", "rewrap_after"]),
        before in "[ -~]{0,8}", is_list in any::<bool>(),
    ) {
        let value = format!("'{}${{SECRET}}'", before.replace('\'', "''"));
        let value = if is_list { format!("[{value}]") } else { value };
        holds(&slot(&format!("provider: aws, key_id: k, {key}: {value}")))?;
        holds(&slot(&format!("{key}: {value}")))?;
    }
}
