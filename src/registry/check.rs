//! The sections of the file, but for the slots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::kind::ProviderKind;
use super::parse::{RawAudit, RawCache, RawConfig, RawRegistry, RawSlot, RawStorage, Text, Value, nearest};
use super::path::KeyPath;
use super::rules::TIMEOUT;
use super::slot::{self, Slot};
use super::value::{Origin, Section};
use super::yaml::Location;
use super::{AuditSettings, CacheSettings, Config, Storage};
use crate::error::Result;
use crate::store::{StoreOptions, keys_of};

/// The longest life of a cached key or record: a revocation must not take longer.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest slot name, in bytes.
const MAX_SLOT_NAME: usize = 1024;

/// Types and checks everything.
pub(super) fn config(raw: &RawConfig, origin: Origin<'_>) -> Result<Config> {
    let section = |name: &str| Section {
        origin,
        path: if name.is_empty() { KeyPath::top() } else { KeyPath::top().join(name) },
        at: Location::default(),
    };
    let cyborgdb_compatible = section("").boolean("cyborgdb_compatible", &raw.cyborgdb_compatible, false)?;
    let registry = raw.kms.as_ref().and_then(|kms| kms.registry.as_ref());
    Ok(Config {
        storage: storage(raw.storage.as_ref().unwrap_or(&RawStorage::default()), &section("storage"))?,
        storage_is_set: raw.storage.is_some(),
        cyborgdb_compatible,
        slots: registry.map_or(Ok(BTreeMap::new()), |raw| slots(raw, origin, cyborgdb_compatible))?,
        cache: cache(raw.cache.as_ref().unwrap_or(&RawCache::default()), &section("cache"))?,
        audit: audit(raw.audit.as_ref().unwrap_or(&RawAudit::default()), &section("audit"))?,
    })
}

fn slots(raw: &RawRegistry, origin: Origin<'_>, compatible: bool) -> Result<BTreeMap<String, Arc<Slot>>> {
    let registry = KeyPath::top().join("kms").join("registry");
    let mut slots = BTreeMap::new();
    for (Text { text: name, at }, raw) in &raw.0 {
        let section = Section { origin, path: registry.join(name), at: *at };
        if name.is_empty() || name.len() > MAX_SLOT_NAME || name.contains('\0') {
            let what = format!("a slot's name has 1 to {MAX_SLOT_NAME} bytes and no NUL: choose another");
            return Err(section.wrong_here(what));
        }
        // YAML tells 7 from "7"; a slot's name is the same.
        if slots.insert(name.clone(), Arc::new(slot::slot(name, raw, &section, compatible)?)).is_some() {
            return Err(section.wrong_here("the slot stands here twice: remove one"));
        }
    }
    for (Text { text: name, at }, raw) in &raw.0 {
        let section = Section { origin, path: registry.join(name), at: *at };
        check_recipients(name, &section, raw, &slots)?;
    }
    Ok(slots)
}

/// Each recipient must be a slot that wraps.
fn check_recipients(
    name: &str,
    section: &Section<'_>,
    raw: &RawSlot,
    slots: &BTreeMap<String, Arc<Slot>>,
) -> Result<()> {
    for (value, recipient) in section.texts("recipients", &raw.recipients)?.unwrap_or_default() {
        match slots.get(&recipient) {
            Some(slot) if slot.provider != ProviderKind::None => {}
            Some(_) => {
                return Err(section.wrong(
                    "recipients",
                    &value,
                    "has provider none, which wraps nothing: remove it",
                ));
            }
            None => {
                let others = slots.keys().map(String::as_str).filter(|other| *other != name);
                let what = match nearest(&recipient, &others.collect::<Vec<_>>()) {
                    "" => "is no slot; there is no other in the registry".to_owned(),
                    nearest => format!("is no slot; the nearest is \"{nearest}\""),
                };
                return Err(section.wrong("recipients", &value, what));
            }
        }
    }
    Ok(())
}

fn storage(raw: &RawStorage, section: &Section<'_>) -> Result<Storage> {
    let url = url(&raw.url, section)?;
    let scheme = url.split_once("://").map_or("file", |(scheme, _)| scheme);
    let meant = |key: &str, value: &Value| match (keys_of(scheme).contains(&key), scheme) {
        (true, _) => Ok(()),
        (false, "s3" | "gs" | "az") => {
            section.means_nothing(key, value, format_args!("a store at {scheme}://"))
        }
        (false, _) => section.means_nothing(key, value, "a store in memory or on disk"),
    };
    let text = |key: &str, value: &Value| meant(key, value).and_then(|()| section.text(key, value));
    let timeout = |key: &str, value: &Value| {
        let duration = || section.duration(key, value, Duration::ZERO, TIMEOUT);
        value.is_some().then(duration).transpose()
    };
    meant("credentials_file", &raw.credentials_file)?;
    let options = StoreOptions {
        connect_timeout: timeout("connect_timeout", &raw.connect_timeout)?,
        request_timeout: timeout("request_timeout", &raw.request_timeout)?,
        region: text("region", &raw.region)?,
        endpoint: text("endpoint", &raw.endpoint)?,
        profile: text("profile", &raw.profile)?,
        role_arn: text("role_arn", &raw.role_arn)?,
        external_id: text("external_id", &raw.external_id)?,
        account: text("account", &raw.account)?,
        credentials_file: section.file("credentials_file", &raw.credentials_file)?,
        allow_http: allow_http(&raw.allow_http, section, &meant)?,
    };
    slot::check_region(section, &raw.region)?;
    slot::check_address(section, "endpoint", &raw.endpoint)?;
    slot::check_role(section, &raw.role_arn, &raw.external_id)?;
    Ok(Storage { url, options })
}

fn allow_http(
    value: &Value,
    section: &Section<'_>,
    meant: &dyn Fn(&str, &Value) -> Result<()>,
) -> Result<Option<bool>> {
    let allowed = section.boolean("allow_http", value, false)?;
    if allowed {
        meant("allow_http", value)?;
    }
    Ok(value.is_some().then_some(allowed))
}

/// The store's address. Without one: memory.
fn url(value: &Value, section: &Section<'_>) -> Result<String> {
    let wrong = |what: &str| section.wrong("url", value, what);
    let Some(url) = section.text("url", value)? else {
        // Written but empty is most likely a variable that is not set: memory would lose every record.
        return match value {
            Some(_) => Err(wrong("is empty: give a path or a URL, or remove it for a store in memory")),
            None => Ok("memory://".to_owned()),
        };
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return section.absolute("url", value, url);
    };
    match scheme {
        "memory" if rest.is_empty() => Ok(url),
        "memory" => Err(wrong("nothing follows memory://: a store in memory has no name")),
        "file" if rest.starts_with('/') => Ok(url),
        "file" => Err(wrong("a file URL is file:// and an absolute path, such as file:///var/lib/db")),
        "s3" | "gs" | "az" if rest.starts_with(['/', '?']) || rest.is_empty() => {
            Err(wrong("has no bucket: write it as s3://bucket/prefix"))
        }
        "s3" | "gs" | "az" => Ok(url),
        other => {
            let known = ["memory", "file", "s3", "gs", "az"];
            let what = format!(
                "unknown kind of store; the nearest known is {}://, all are a path, {}://",
                nearest(other, &known),
                known.join("://, ")
            );
            Err(wrong(&what))
        }
    }
}

fn cache(raw: &RawCache, section: &Section<'_>) -> Result<CacheSettings> {
    let settings = CacheSettings {
        ttl: section.duration("ttl", &raw.ttl, Duration::from_secs(60), Duration::ZERO..=DAY)?,
        max_entries: section.number("max_entries", &raw.max_entries, 100_000, 1..=10_000_000)?,
        refresh_ahead: section.number("refresh_ahead", &raw.refresh_ahead, 0.8, 0.0..=0.99)?,
        max_record_age: section.duration(
            "max_record_age",
            &raw.max_record_age,
            Duration::from_secs(3600),
            Duration::from_millis(1)..=DAY,
        )?,
        require_locked_memory: section.boolean("require_locked_memory", &raw.require_locked_memory, false)?,
        stale_if_unavailable: section.duration(
            "stale_if_unavailable",
            &raw.stale_if_unavailable,
            Duration::ZERO,
            Duration::ZERO..=DAY,
        )?,
    };
    Ok(settings)
}

fn audit(raw: &RawAudit, section: &Section<'_>) -> Result<AuditSettings> {
    const MAX_SIZE: u64 = 100 << 20;
    let fail_on_error = match section.text("on_error", &raw.on_error)?.as_deref() {
        None | Some("fail") => true,
        Some("log") => false,
        Some(_) => return Err(section.wrong("on_error", &raw.on_error, "must be fail or log")),
    };
    let settings = AuditSettings {
        path: section.file("path", &raw.path)?,
        key_file: section.file("key_file", &raw.key_file)?,
        fail_on_error,
        max_size: section.size("max_size", &raw.max_size, MAX_SIZE)?,
        principal: section.text("principal", &raw.principal)?,
    };
    if settings.path.is_none() {
        let refuse = |key: &str, value: &Value, is_default: bool| match is_default {
            true => Ok(()),
            false => section.means_nothing(key, value, "an audit trail without a file (audit.path)"),
        };
        refuse("key_file", &raw.key_file, settings.key_file.is_none())?;
        refuse("on_error", &raw.on_error, settings.fail_on_error)?;
        refuse("max_size", &raw.max_size, settings.max_size == MAX_SIZE)?;
    }
    Ok(settings)
}

/// Which provider's keys a slot may have, for messages.
pub(super) fn provider_named(kind: &ProviderKind) -> String {
    match kind {
        // An external provider's name may come from a variable.
        ProviderKind::External(_) => "an external provider".to_owned(),
        kind => format!("provider {kind}"),
    }
}
