//! The providers that a slot can name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::parse::nearest;
use crate::error::{Error, Result, fail};

/// Who wraps the KEKs of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// The caller brings the KEK.
    None,
    /// A key file on this machine.
    Local,
    /// A key in AWS Secrets Manager.
    Aws,
    /// AWS KMS.
    AwsKms,
    /// Google Cloud KMS.
    GcpKms,
    /// Azure Key Vault.
    AzureKeyVault,
    /// Vault's transit engine.
    Vault,
    /// A key in Vault's key-value engine.
    VaultKv,
    /// A PKCS#11 module.
    Pkcs11,
    /// A KMIP server.
    Kmip,
    /// The caller's own, registered under this name.
    External(String),
}

/// What external providers' names stand behind.
const EXTERNAL: &str = "external:";

/// Every provider's text but the external ones'.
const NAMED: [(&str, ProviderKind); 10] = [
    ("none", ProviderKind::None),
    ("local", ProviderKind::Local),
    ("aws", ProviderKind::Aws),
    ("aws-kms", ProviderKind::AwsKms),
    ("gcp-kms", ProviderKind::GcpKms),
    ("azure-key-vault", ProviderKind::AzureKeyVault),
    ("vault", ProviderKind::Vault),
    ("vault-kv", ProviderKind::VaultKv),
    ("pkcs11", ProviderKind::Pkcs11),
    ("kmip", ProviderKind::Kmip),
];

impl ProviderKind {
    /// The text in the configuration and in records, such as `aws-kms` or `external:NAME`.
    pub fn as_str(&self) -> Cow<'_, str> {
        if let ProviderKind::External(name) = self {
            return Cow::Owned(format!("{EXTERNAL}{name}"));
        }
        let named = NAMED.iter().find(|(_, kind)| kind == self);
        Cow::Borrowed(named.map_or("", |(text, _)| text))
    }

    /// Whether it is reached by a client of ours, so that addresses and credentials mean something for it.
    pub fn is_remote(&self) -> bool {
        !matches!(self, ProviderKind::None | ProviderKind::Local | ProviderKind::External(_))
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = Error;

    /// The text is not repeated in the error: it may come from a variable.
    fn from_str(text: &str) -> Result<ProviderKind> {
        if let Some((_, kind)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(kind.clone());
        }
        match text.strip_prefix(EXTERNAL) {
            Some("") => Err(fail!(Config, "names no provider: write external:NAME")),
            Some(name) => Ok(ProviderKind::External(name.to_owned())),
            None => {
                let known: Vec<&str> = NAMED.iter().map(|(name, _)| *name).chain(["external:NAME"]).collect();
                Err(fail!(
                    Config,
                    "unknown provider; the nearest known is \"{}\", all are {}",
                    nearest(text, &known),
                    known.join(", ")
                ))
            }
        }
    }
}
