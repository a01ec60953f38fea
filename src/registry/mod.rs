//! The registry: the YAML configuration, read, checked and typed.
//!
//! It flows one way: `yaml` turns text into a tree, `parse` that into keys that know their lines, `expand` fills in
//! `${VAR}`, `value` types one value, `check` and `slot` make the sections. Nothing here touches a KMS or a store.

mod check;
mod expand;
mod kind;
mod parse;
mod path;
mod replica;
pub(crate) mod rules;
mod slot;
pub(crate) mod units;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use kind::ProviderKind;
#[cfg(feature = "object-store")]
pub(crate) use parse::nearest;
pub use slot::Slot;

use crate::error::{Result, fail};
use crate::store::StoreOptions;

/// Capability: sealing pages, generating data keys.
pub const CAN_ENCRYPT: u32 = 1;
/// Capability: opening pages, unwrapping data keys.
pub const CAN_DECRYPT: u32 = 2;
/// Capability: deriving keys.
pub const CAN_DERIVE: u32 = 4;
/// Capability: exporting the KEK.
pub const CAN_EXPORT: u32 = 8;
/// All that a slot can grant, which is also the default.
pub const CAN_ALL: u32 = CAN_ENCRYPT | CAN_DECRYPT | CAN_DERIVE | CAN_EXPORT;

/// The longest configuration, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where records are kept.
    pub storage: Storage,
    /// Whether the file has a `storage` section; it must not where the caller brings a store.
    pub storage_is_set: bool,
    /// The default of every slot, and the rule for indexes of provider none.
    pub cyborgdb_compatible: bool,
    /// The slots by name.
    pub slots: BTreeMap<String, Arc<Slot>>,
    /// How long KEKs and records are believed.
    pub cache: CacheSettings,
    /// The audit trail.
    pub audit: AuditSettings,
}

/// The section `storage`.
#[derive(Clone, PartialEq, Eq)]
pub struct Storage {
    /// `memory://`, an absolute path, `file://…`, `s3://…`, `gs://…` or `az://…`.
    pub url: String,
    /// What is set besides.
    pub options: StoreOptions,
}

/// The section `cache`.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheSettings {
    /// How long a plaintext KEK lives; zero: the KMS is asked for each open.
    pub ttl: Duration,
    /// How many KEKs are kept.
    pub max_entries: u32,
    /// The part of `ttl` after which a KEK in use is refreshed; 0: never ahead.
    pub refresh_ahead: f64,
    /// How long a handle seals without having read its record again.
    pub max_record_age: Duration,
    /// Whether a KEK that cannot be locked into memory is an error.
    pub require_locked_memory: bool,
    /// How long to serve on while the KMS does not answer.
    pub stale_if_unavailable: Duration,
}

/// The section `audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// The file that lines are appended to.
    pub path: Option<String>,
    /// The file with the 32 bytes of the HMAC key.
    pub key_file: Option<String>,
    /// Whether an operation fails when its line cannot be written; else that is logged.
    pub fail_on_error: bool,
    /// Bytes after which a new file is begun; 0: never.
    pub max_size: u64,
    /// Who acts, where a scope does not say it.
    pub principal: Option<String>,
}

impl Config {
    /// Reads YAML or JSON. Relative paths in it are relative to `base_dir`, without one to the current
    /// folder; `env` looks a variable up. `CONFIG` for what is wrong, `UNSUPPORTED` for what does nothing yet.
    pub fn parse(
        yaml: &str,
        base_dir: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config> {
        if yaml.len() > MAX_BYTES {
            return Err(too_large());
        }
        check::config(&parse::document(yaml)?, value::Origin { base_dir, env })
    }

    /// Reads a file, with the process's environment; relative paths in it are relative to its folder.
    pub fn load(path: &Path) -> Result<Config> {
        Config::load_with(path, &|name| std::env::var(name).ok())
    }

    /// As [`Config::load`], with another environment.
    pub fn load_with(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config> {
        read(path)
            .and_then(|yaml| Config::parse(&yaml, path.parent(), env))
            .map_err(|error| error.context(format_args!("configuration {}", path.display())))
    }
}

fn too_large() -> crate::error::Error {
    fail!(Config, "the configuration is larger than {MAX_BYTES} bytes: is this the right file?")
}

fn read(path: &Path) -> Result<String> {
    let cannot = |error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::NotFound => "give the path of an existing file",
            std::io::ErrorKind::PermissionDenied => "let this user read it",
            _ => "give the path of a readable file",
        };
        fail!(Config, "cannot be read: {error}; {advice}")
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|_| fail!(Config, "the configuration is not UTF-8: save it as UTF-8"))
}

/// An address may carry a password: only its kind is shown.
impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split_once("://").map_or("path", |(scheme, _)| scheme);
        f.debug_struct("Storage").field("scheme", &scheme).field("options", &self.options).finish()
    }
}
