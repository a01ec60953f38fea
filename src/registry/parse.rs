//! The document's tree to keys that know their lines. Nothing is expanded or checked here but the keys' names.

use super::path::shorten;
use super::yaml::{self, Content, Location, Node};
use crate::error::{Error, Result};

/// The longest value, in bytes, before and after its variables are filled in.
pub(super) const MAX_VALUE: usize = 4096;

/// A value's text as written, whatever YAML would take it for; absent and null are `None`.
pub(super) type Value = Option<Text>;
/// A list of such values.
pub(super) type List = Option<Vec<Text>>;

/// Reads a document; an empty one has no keys.
pub(super) fn document(yaml: &str) -> Result<RawConfig> {
    let root = yaml::parse(yaml)?;
    Ok(root.as_ref().map(Option::read).transpose()?.flatten().unwrap_or_default())
}

/// The known word that is nearest to this one.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> &'a str {
    let word = shorten(word);
    let distance = |known: &&&str| strsim::damerau_levenshtein(&word, known);
    known.iter().min_by_key(distance).copied().unwrap_or_default()
}

/// What to write in the place of an unknown key: the nearest, or where none is near, which there are.
fn known_keys(unknown: &str, keys: &[&str]) -> String {
    let nearest = nearest(unknown, keys);
    if strsim::damerau_levenshtein(&shorten(unknown), nearest) <= nearest.len() / 2 {
        format!("the nearest known key is \"{nearest}\"")
    } else {
        format!("the known keys are {}", keys.join(", "))
    }
}

/// What a key's value is read into.
trait Read: Sized {
    fn read(node: &Node) -> Result<Self>;
}

/// Null is what an absent key is.
impl<T: Read> Read for Option<T> {
    fn read(node: &Node) -> Result<Option<T>> {
        if matches!(node.content, Content::Null) { Ok(None) } else { T::read(node).map(Some) }
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node) -> Result<Vec<T>> {
        match &node.content {
            Content::List(items) => items.iter().map(T::read).collect(),
            _ => Err(unexpected(node, "a list")),
        }
    }
}

/// A scalar's text, and where it stands. Never in Debug: it may be a secret by mistake.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) at: Location,
}

impl Read for Text {
    fn read(node: &Node) -> Result<Text> {
        let (Content::Text(text) | Content::Integer(text)) = &node.content else {
            return Err(unexpected(node, "a text or a number"));
        };
        if text.len() > MAX_VALUE {
            return Err(node.at.error(format_args!("the value is longer than {MAX_VALUE} bytes")));
        }
        Ok(Text { text: text.as_ref().to_owned(), at: node.at })
    }
}

/// What is passed over, whatever it is.
#[derive(Default)]
pub(super) struct PassedOver;

impl Read for PassedOver {
    fn read(_: &Node) -> Result<PassedOver> {
        Ok(PassedOver)
    }
}

fn unexpected(node: &Node, wanted: &str) -> Error {
    match node.content {
        Content::Foreign => node.at.error("a value with this tag cannot stand here: remove the tag"),
        _ => node.at.error(format_args!("the wrong kind of value: expected {wanted}")),
    }
}

fn entries(node: &Node) -> Result<&[(Node, Node)]> {
    match &node.content {
        Content::Section(entries) => Ok(entries),
        _ => Err(unexpected(node, "keys with values")),
    }
}

/// Reads a section key by key; `set` says whether it knows the key.
fn section(
    node: &Node,
    place: &str,
    keys: &[&str],
    set: &mut dyn FnMut(&str, &Node) -> Result<bool>,
) -> Result<()> {
    for (key, value) in entries(node)? {
        let Text { text, at } = Text::read(key)?;
        if !set(&text, value)? {
            let shown = shorten(&text);
            return Err(at.error(format_args!("unknown key {shown:?}{place}; {}", known_keys(&text, keys))));
        }
    }
    Ok(())
}

/// A section with these keys; `$place` goes on behind an unknown key.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident $place:literal { $($key:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $name {
            $(pub(super) $key: $kind,)*
        }

        impl Read for $name {
            fn read(node: &Node) -> Result<$name> {
                let mut read = $name::default();
                section(node, $place, &[$(stringify!($key)),*], &mut |key, value| {
                    match key {
                        $(stringify!($key) => read.$key = Read::read(value)?,)*
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
                Ok(read)
            }
        }
    };
}

section! {
    /// The top of the file; `service` is CyborgDB's own.
    RawConfig "" {
        service: Option<PassedOver>,
        storage: Option<RawStorage>,
        cyborgdb_compatible: Value,
        kms: Option<RawKms>,
        cache: Option<RawCache>,
        audit: Option<RawAudit>,
    }
}

section! {
    RawKms " in kms" {
        registry: Option<RawRegistry>,
    }
}

/// The slots in the file's order, each with its name.
pub(super) struct RawRegistry(pub(super) Vec<(Text, RawSlot)>);

impl Read for RawRegistry {
    fn read(node: &Node) -> Result<RawRegistry> {
        let slot =
            |(name, slot): &(Node, Node)| Ok((Text::read(name)?, Option::read(slot)?.unwrap_or_default()));
        entries(node)?.iter().map(slot).collect::<Result<_>>().map(RawRegistry)
    }
}

section! {
    RawStorage " in storage" {
        url: Value,
        connect_timeout: Value,
        request_timeout: Value,
        region: Value,
        endpoint: Value,
        profile: Value,
        role_arn: Value,
        external_id: Value,
        account: Value,
        credentials_file: Value,
        allow_http: Value,
    }
}

section! {
    RawSlot " in a slot of kms.registry" {
        provider: Value,
        key_id: Value,
        region: Value,
        role_arn: Value,
        external_id: Value,
        role_session_name: Value,
        endpoint: Value,
        profile: Value,
        former_key_ids: List,
        recipients: List,
        fallback_after: Value,
        fallback_on_denied: Value,
        capabilities: List,
        cyborgdb_compatible: Value,
        connect_timeout: Value,
        request_timeout: Value,
        deadline: Value,
        max_retries: Value,
        requests_per_second: Value,
        rewrap_after: Value,
        rotate_kek_after: Value,
        rotate_data_key_after: Value,
        proxy: Value,
        ca_file: Value,
        create: Value,
    }
}

section! {
    RawCache " in cache" {
        ttl: Value,
        max_entries: Value,
        refresh_ahead: Value,
        stale_if_unavailable: Value,
        max_record_age: Value,
        require_locked_memory: Value,
    }
}

section! {
    RawAudit " in audit" {
        path: Value,
        key_file: Value,
        on_error: Value,
        max_size: Value,
        principal: Value,
    }
}
