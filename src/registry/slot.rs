//! One slot of the registry: a provider, its key, and how it is used.

use std::fmt;
use std::time::Duration;

use super::check::provider_named;
use super::kind::ProviderKind;
use super::parse::{RawSlot, Value, nearest};
use super::replica::are_replicas;
use super::rules::{self, CONNECT_TIMEOUT, TIMEOUT};
use super::value::Section;
use super::{CAN_ALL, CAN_DECRYPT, CAN_DERIVE, CAN_ENCRYPT, CAN_EXPORT};
use crate::error::Result;

/// The longest time after which something is due.
const DECADE: Duration = Duration::from_secs(3653 * 24 * 3600);

/// A slot of `kms.registry`.
#[derive(Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name, the `kms_name` of records.
    pub name: String,
    /// Who wraps.
    pub provider: ProviderKind,
    /// The key, as the provider calls it; for `local` the absolute path of its file; "" for `none`.
    pub key_id: String,
    /// The provider's region, or "".
    pub region: String,
    /// Keys that records may still be wrapped with, in the file's order; for `local` absolute paths.
    pub former_key_ids: Vec<String>,
    /// What handles may do: `CAN_ENCRYPT`, `CAN_DECRYPT`, `CAN_DERIVE`, `CAN_EXPORT`.
    pub capabilities: u32,
    /// Whether it writes records that CyborgDB opens; the top-level setting where the slot has none.
    pub cyborgdb_compatible: bool,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub request_timeout: Duration,
    /// How long one operation may take, tries included.
    pub deadline: Duration,
    /// Tries after the first.
    pub max_retries: u32,
    /// Further slots that wrap the same KEK.
    pub recipients: Vec<String>,
    /// How long to wait for one before the next recipient is asked, too.
    pub fallback_after: Duration,
    /// Whether a refusal makes the next recipient be asked.
    pub fallback_on_denied: bool,
    /// The most requests of a sync in a second; 0: no limit.
    pub requests_per_second: u32,
    /// A wrap that is so old is made anew by sync; zero: never.
    pub rewrap_after: Duration,
    /// The same for a KEK.
    pub rotate_kek_after: Duration,
    /// The same for a data key.
    pub rotate_data_key_after: Duration,
    /// `local`: make the key file where it is missing.
    pub create: bool,
    /// The role to assume at the customer's.
    pub role_arn: Option<String>,
    /// What that role's trust policy asks for.
    pub external_id: Option<String>,
    /// The name of the assumed role's session, the default filled in.
    pub role_session_name: String,
    /// Another address of the service.
    pub endpoint: Option<String>,
    /// The profile that credentials are taken from.
    pub profile: Option<String>,
    /// The proxy to go through.
    pub proxy: Option<String>,
    /// An absolute path of a file with further root certificates.
    pub ca_file: Option<String>,
}

impl Slot {
    /// The slot's name of the key that a record names; `None` where the slot does not name it.
    pub fn key_for(&self, key_id: &str) -> Option<&str> {
        let named = || std::iter::once(&self.key_id).chain(&self.former_key_ids).map(String::as_str);
        let replica = |key: &&str| self.provider == ProviderKind::AwsKms && are_replicas(key, key_id);
        named().find(|key| *key == key_id).or_else(|| named().find(replica))
    }
}

/// What a slot is about; addresses may carry a password, so they are left out.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("region", &self.region)
            .field("capabilities", &self.capabilities)
            .field("cyborgdb_compatible", &self.cyborgdb_compatible)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Types and checks one slot. `compatible` is the top-level `cyborgdb_compatible`.
pub(super) fn slot(name: &str, raw: &RawSlot, section: &Section<'_>, compatible: bool) -> Result<Slot> {
    let provider = provider(raw, section)?;
    refuse_foreign_keys(raw, section, &provider)?;
    check_role(section, &raw.role_arn, &raw.external_id)?;
    if !matches!(provider, ProviderKind::Pkcs11 | ProviderKind::Kmip) {
        check_address(section, "endpoint", &raw.endpoint)?;
    }
    check_address(section, "proxy", &raw.proxy)?;
    let (key_id, former_key_ids) = keys(raw, section, &provider)?;
    let compatible = section.boolean("cyborgdb_compatible", &raw.cyborgdb_compatible, compatible)?;
    let timeout = |key, value, default| section.duration(key, value, default, TIMEOUT);
    let deadline = Duration::from_millis(1)..=Duration::from_secs(3600);
    let due = |key, value| section.duration(key, value, Duration::ZERO, Duration::ZERO..=DECADE);
    let keeps = match provider {
        ProviderKind::None => Keeps::Nothing,
        _ if compatible => Keeps::OneWrap,
        _ => Keeps::All,
    };
    Ok(Slot {
        name: name.to_owned(),
        key_id,
        region: region(raw, section)?,
        former_key_ids,
        capabilities: capabilities(raw, section)?,
        cyborgdb_compatible: compatible,
        connect_timeout: timeout("connect_timeout", &raw.connect_timeout, CONNECT_TIMEOUT)?,
        request_timeout: timeout("request_timeout", &raw.request_timeout, Duration::from_secs(5))?,
        deadline: section.duration("deadline", &raw.deadline, Duration::from_secs(15), deadline)?,
        max_retries: section.number("max_retries", &raw.max_retries, 3, 0..=100)?,
        recipients: recipients(raw, section, name, keeps)?,
        fallback_after: section.duration(
            "fallback_after",
            &raw.fallback_after,
            Duration::from_millis(500),
            Duration::ZERO..=Duration::from_secs(600),
        )?,
        fallback_on_denied: section.boolean("fallback_on_denied", &raw.fallback_on_denied, false)?,
        requests_per_second: section.number(
            "requests_per_second",
            &raw.requests_per_second,
            100,
            0..=1_000_000,
        )?,
        rewrap_after: due("rewrap_after", &raw.rewrap_after)?,
        rotate_kek_after: due("rotate_kek_after", &raw.rotate_kek_after)?,
        rotate_data_key_after: due("rotate_data_key_after", &raw.rotate_data_key_after)?,
        create: section.boolean("create", &raw.create, false)?,
        role_arn: section.text("role_arn", &raw.role_arn)?,
        external_id: section.text("external_id", &raw.external_id)?,
        role_session_name: session_name(name, &raw.role_session_name, section)?,
        endpoint: section.text("endpoint", &raw.endpoint)?,
        profile: section.text("profile", &raw.profile)?,
        proxy: section.text("proxy", &raw.proxy)?,
        ca_file: section.file("ca_file", &raw.ca_file)?,
        provider,
    })
}

fn provider(raw: &RawSlot, section: &Section<'_>) -> Result<ProviderKind> {
    let Some(text) = section.text("provider", &raw.provider)? else {
        return Err(section.wrong_here("has no provider: add one, such as \"provider: local\""));
    };
    text.parse()
        .map_err(|error: crate::error::Error| section.wrong("provider", &raw.provider, error.message()))
}

/// Keys that mean nothing for this provider are a misunderstanding that nobody would notice.
fn refuse_foreign_keys(raw: &RawSlot, section: &Section<'_>, provider: &ProviderKind) -> Result<()> {
    let named = provider_named(provider);
    if !provider.is_remote() {
        for (key, value) in [
            ("region", &raw.region),
            ("role_arn", &raw.role_arn),
            ("external_id", &raw.external_id),
            ("role_session_name", &raw.role_session_name),
            ("endpoint", &raw.endpoint),
            ("profile", &raw.profile),
            ("proxy", &raw.proxy),
            ("ca_file", &raw.ca_file),
        ] {
            section.means_nothing(key, value, &named)?;
        }
    }
    if *provider == ProviderKind::None {
        section.means_nothing("key_id", &raw.key_id, &named)?;
        if raw.former_key_ids.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(section.wrong_here("former_key_ids means nothing for provider none: remove it"));
        }
    }
    if *provider != ProviderKind::Local && section.boolean("create", &raw.create, false)? {
        section.means_nothing("create", &raw.create, &named)?;
    }
    Ok(())
}

/// The slots that wrap the same KEK. Whether they are there is checked when all slots are known.
fn recipients(raw: &RawSlot, section: &Section<'_>, name: &str, keeps: Keeps) -> Result<Vec<String>> {
    let found = section.texts("recipients", &raw.recipients)?.unwrap_or_default();
    let mut names: Vec<String> = Vec::with_capacity(found.len());
    for (value, recipient) in found {
        let wrong = |what: &str| Err(section.wrong("recipients", &value, what));
        match keeps {
            Keeps::Nothing => {
                return wrong("means nothing for provider none, which wraps nothing: remove it");
            }
            Keeps::OneWrap => {
                return wrong(
                    "is lost with cyborgdb_compatible, whose records have one wrap: remove one of the two",
                );
            }
            Keeps::All if recipient == name => return wrong("is the slot itself: name other slots"),
            Keeps::All if names.contains(&recipient) => return wrong("stands there twice: remove one"),
            Keeps::All if names.len() == MAX_RECIPIENTS => return wrong("is one too many: at most 8"),
            Keeps::All => names.push(recipient),
        }
    }
    Ok(names)
}

/// The most recipients of one slot: each is asked at a creation.
const MAX_RECIPIENTS: usize = 8;

/// What the records of a slot have room for.
#[derive(Debug, Clone, Copy)]
enum Keeps {
    Nothing,
    OneWrap,
    All,
}

/// The key and the former ones; a local provider's are paths.
fn keys(raw: &RawSlot, section: &Section<'_>, provider: &ProviderKind) -> Result<(String, Vec<String>)> {
    let is_path = *provider == ProviderKind::Local;
    let key = |name: &str, value: &Value, text: String| {
        if is_path { section.absolute(name, value, text) } else { Ok(text) }
    };
    let key_id = match section.text("key_id", &raw.key_id)? {
        Some(text) => key("key_id", &raw.key_id, text)?,
        None if matches!(provider, ProviderKind::None | ProviderKind::External(_)) => String::new(),
        None if is_path => {
            return Err(section.wrong_here("provider local needs key_id, the path of its key file"));
        }
        None => {
            let named = provider_named(provider);
            return Err(section.wrong_here(format_args!("{named} needs key_id, the key to wrap with")));
        }
    };
    let former = section.texts("former_key_ids", &raw.former_key_ids)?.unwrap_or_default();
    let former = former.into_iter().map(|(value, text)| key("former_key_ids", &value, text));
    Ok((key_id, former.collect::<Result<_>>()?))
}

fn capabilities(raw: &RawSlot, section: &Section<'_>) -> Result<u32> {
    const KNOWN: [(&str, u32); 4] =
        [("encrypt", CAN_ENCRYPT), ("decrypt", CAN_DECRYPT), ("derive", CAN_DERIVE), ("export", CAN_EXPORT)];
    let Some(found) = section.texts("capabilities", &raw.capabilities)? else { return Ok(CAN_ALL) };
    let mut mask = 0;
    for (value, text) in &found {
        let Some((_, bit)) = KNOWN.iter().find(|(name, _)| name == text) else {
            let names = KNOWN.map(|(name, _)| name);
            let what = format!(
                "unknown capability; the nearest known is \"{}\", all are {}",
                nearest(text, &names),
                names.join(", ")
            );
            return Err(section.wrong("capabilities", value, what));
        };
        mask |= bit;
    }
    if mask == 0 {
        return Err(
            section.wrong_here("capabilities is empty, so nothing could be done: name one, or remove it")
        );
    }
    Ok(mask)
}

fn region(raw: &RawSlot, section: &Section<'_>) -> Result<String> {
    check_region(section, &raw.region)?;
    Ok(section.text("region", &raw.region)?.unwrap_or_default())
}

/// A region of a cloud.
pub(super) fn check_region(section: &Section<'_>, value: &Value) -> Result<()> {
    match section.text("region", value)? {
        None => Ok(()),
        Some(region) => rules::region(&region).map_err(|what| section.wrong("region", value, what)),
    }
}

/// AWS's rule for a role and for what its trust policy may ask for.
pub(super) fn check_role(section: &Section<'_>, role_arn: &Value, external_id: &Value) -> Result<()> {
    let role = section.text("role_arn", role_arn)?;
    if let Some(role) = &role {
        rules::role(role).map_err(|what| section.wrong("role_arn", role_arn, what))?;
    }
    match section.text("external_id", external_id)? {
        None => Ok(()),
        Some(id) => rules::external_id(&id, role.is_some())
            .map_err(|what| section.wrong("external_id", external_id, what)),
    }
}

/// An address of a service over HTTP.
pub(super) fn check_address(section: &Section<'_>, key: &str, value: &Value) -> Result<()> {
    match section.text(key, value)? {
        None => Ok(()),
        Some(address) => rules::address(&address).map_err(|what| section.wrong(key, value, what)),
    }
}

/// What shows up in the customer's CloudTrail.
fn session_name(slot: &str, value: &Value, section: &Section<'_>) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    match section.text("role_session_name", value)? {
        // A slot's name may have what AWS does not take in a session's.
        None => {
            let name = format!("cyborg-kms-{slot}");
            Ok(name.chars().map(|c| if allowed(c) { c } else { '-' }).take(64).collect())
        }
        Some(name) if (2..=64).contains(&name.len()) && name.chars().all(allowed) => Ok(name),
        Some(_) => {
            let what = "must have 2 to 64 letters, digits or _+=,.@-, as AWS asks";
            Err(section.wrong("role_session_name", value, what))
        }
    }
}
