//! YAML or JSON to keys that know their lines. Nothing is expanded or checked here but the keys' names.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error as YamlError, Location, Spanned};

use super::path::shorten;
use crate::error::{Error, Result, fail};

/// The longest value, in bytes, before and after its variables are filled in.
pub(super) const MAX_VALUE: usize = 4096;

/// What the library's error says when a value is longer; told from its other messages by equality.
const TOO_LONG: &str = "the value is longer than 4096 bytes";

/// A value's text as written, whatever YAML would take it for; absent and null are `None`.
pub(super) type Value = Option<Spanned<Text>>;
/// A list of such values.
pub(super) type List = Option<Spanned<Vec<Spanned<Text>>>>;

/// Reads a document; an empty one has no keys.
pub(super) fn document(yaml: &str) -> Result<RawConfig> {
    // Generous for a thousand slots, and small enough that aliases cannot multiply into gigabytes.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 32, max_aliases: 5_000, max_anchors: 5_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000, max_replay_stack_depth: 16 },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // For what is passed over in `service`: nothing there is ours to refuse.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        // A snippet would show values.
        with_snippet: false,
    };
    let document: Option<RawConfig> =
        serde_saphyr::from_str_with_options(yaml, options).map_err(|error| explain(&error))?;
    Ok(document.unwrap_or_default())
}

/// The known word that is nearest to this one.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> &'a str {
    let word = shorten(word);
    let distance = |known: &&&str| strsim::damerau_levenshtein(&word, known);
    known.iter().min_by_key(distance).copied().unwrap_or_default()
}

/// The library's error in our words. Only variants whose text has no value of the file keep their own.
fn explain(error: &YamlError) -> Error {
    let what = match error.without_snippet() {
        YamlError::AliasError { error, .. } => return explain(error),
        YamlError::SerdeUnknownField { field, expected, .. } => format!(
            "unknown key {:?}{}; the nearest known key is \"{}\"",
            shorten(field),
            section_of(expected),
            nearest(field, expected)
        ),
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map_or_else(String::new, |key| format!(" {:?}", shorten(key)));
            format!("the key{key} stands here twice: remove one")
        }
        YamlError::MultipleDocuments { .. } => "a second document begins: one is allowed".to_owned(),
        YamlError::Budget { .. }
        | YamlError::AliasReplayCounterOverflow { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => {
            "too large, too deep, or aliases that multiply: write it plainly".to_owned()
        }
        YamlError::UnknownAnchor { .. } => "an alias without its anchor".to_owned(),
        YamlError::Message { msg, .. } if msg.starts_with(TOO_LONG) => TOO_LONG.to_owned(),
        YamlError::ExternalMessage { msg, .. } => format!("not valid YAML: {}", shorten(msg)),
        YamlError::Eof { .. } => "not valid YAML: it ends too early".to_owned(),
        YamlError::Unexpected { expected, .. } => {
            let expected = match *expected {
                "string scalar" => "a text or a number",
                "mapping start" => "keys with values",
                "sequence start" => "a list",
                other => other,
            };
            format!("the wrong kind of value: expected {expected}")
        }
        YamlError::SerdeInvalidType { expected, .. } => {
            format!("the wrong kind of value: expected {}", shorten(expected))
        }
        _ => "this cannot stand here: see docs/configuration.md for what each key takes".to_owned(),
    };
    match error.location() {
        Some(at) if at.line() > 0 => fail!(Config, "line {}, column {}: {what}", at.line(), at.column()),
        _ => fail!(Config, "{what}"),
    }
}

/// The section that has these keys.
fn section_of(keys: &[&str]) -> &'static str {
    let sections = [
        ("allow_http", " in storage"),
        ("provider", " in a slot of kms.registry"),
        ("registry", " in kms"),
        ("refresh_ahead", " in cache"),
        ("on_error", " in audit"),
    ];
    sections.iter().find(|(key, _)| keys.contains(key)).map_or("", |(_, name)| name)
}

/// A scalar's text. Never in Debug: it may be a secret by mistake.
#[derive(Clone)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Text, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Text, E> {
                if text.len() > MAX_VALUE { Err(E::custom(TOO_LONG)) } else { Ok(Text(text.to_owned())) }
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The top of the file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    /// CyborgDB's own settings: passed over.
    #[serde(rename = "service")]
    _service: Option<IgnoredAny>,
    pub(super) storage: Option<RawStorage>,
    pub(super) cyborgdb_compatible: Value,
    pub(super) kms: Option<RawKms>,
    pub(super) cache: Option<RawCache>,
    pub(super) audit: Option<RawAudit>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKms {
    pub(super) registry: Option<RawRegistry>,
}

/// The slots in the file's order, each with its name and where that stands.
pub(super) struct RawRegistry(pub(super) Vec<(String, Location, RawSlot)>);

impl<'de> Deserialize<'de> for RawRegistry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<RawRegistry, D::Error> {
        struct RegistryVisitor;
        impl<'de> Visitor<'de> for RegistryVisitor {
            type Value = RawRegistry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("slots by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<RawRegistry, A::Error> {
                let mut slots = Vec::new();
                while let Some(name) = map.next_key::<Spanned<Text>>()? {
                    let slot = map.next_value::<Option<RawSlot>>()?.unwrap_or_default();
                    slots.push((name.value.0, name.referenced, slot));
                }
                Ok(RawRegistry(slots))
            }
        }
        deserializer.deserialize_map(RegistryVisitor)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStorage {
    pub(super) url: Value,
    pub(super) connect_timeout: Value,
    pub(super) request_timeout: Value,
    pub(super) region: Value,
    pub(super) endpoint: Value,
    pub(super) profile: Value,
    pub(super) role_arn: Value,
    pub(super) external_id: Value,
    pub(super) account: Value,
    pub(super) credentials_file: Value,
    pub(super) allow_http: Value,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSlot {
    pub(super) provider: Value,
    pub(super) key_id: Value,
    pub(super) region: Value,
    pub(super) role_arn: Value,
    pub(super) external_id: Value,
    pub(super) role_session_name: Value,
    pub(super) endpoint: Value,
    pub(super) profile: Value,
    pub(super) former_key_ids: List,
    pub(super) recipients: List,
    pub(super) fallback_after: Value,
    pub(super) fallback_on_denied: Value,
    pub(super) capabilities: List,
    pub(super) cyborgdb_compatible: Value,
    pub(super) connect_timeout: Value,
    pub(super) request_timeout: Value,
    pub(super) deadline: Value,
    pub(super) max_retries: Value,
    pub(super) requests_per_second: Value,
    pub(super) rewrap_after: Value,
    pub(super) rotate_kek_after: Value,
    pub(super) rotate_data_key_after: Value,
    pub(super) proxy: Value,
    pub(super) ca_file: Value,
    pub(super) create: Value,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCache {
    pub(super) ttl: Value,
    pub(super) max_entries: Value,
    pub(super) refresh_ahead: Value,
    pub(super) stale_if_unavailable: Value,
    pub(super) max_record_age: Value,
    pub(super) require_locked_memory: Value,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    pub(super) path: Value,
    pub(super) key_file: Value,
    pub(super) on_error: Value,
    pub(super) max_size: Value,
    pub(super) principal: Value,
}
