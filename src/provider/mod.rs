//! Key management services behind one trait: wrap a KEK, unwrap it.

#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "aws")]
mod aws_secret;
mod breaker;
mod external;
mod limit;
mod local;
mod pacer;
mod retry;

use std::fmt::Debug;
use std::sync::Arc;

#[cfg(feature = "aws-kms")]
pub use aws_kms::AwsKms;
#[cfg(feature = "aws")]
pub use aws_secret::AwsSecret;
pub use breaker::{Breaker, BreakerState, Permit};
pub use external::{External, ExternalCallbacks, Registered};
pub use local::Local;
pub use pacer::Pacer;
pub use retry::with_retries;

use crate::blob::{Binding, WrappedKek};
use crate::call::Call;
use crate::crypto::secret::SecretKey;
use crate::error::Result;
use crate::name::IndexName;

/// A wrap as a provider made it, with what must be known to undo it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The provider's answer.
    pub bytes: Vec<u8>,
    /// What it is bound to.
    pub binding: Binding,
    /// The wrapping key's version, where the provider has such.
    pub key_version: String,
    /// How it was wrapped, where the provider knows several ways.
    pub mechanism: String,
}

/// A KEK as a provider gave it back.
#[derive(Debug)]
pub struct Unwrapped {
    /// The KEK.
    pub kek: SecretKey,
    /// When the KMS was asked for what it was unwrapped with, by the engine's clock; `None`: for this very call. A KEK's
    /// lifetime counts from then.
    pub as_of: Option<u64>,
}

impl Unwrapped {
    /// A KEK that the KMS was asked for just now.
    pub fn now(kek: SecretKey) -> Unwrapped {
        Unwrapped { kek, as_of: None }
    }
}

/// A slot's key management service.
///
/// An error's status is one that the host can act on: `ACCESS_DENIED`, `KEY_DISABLED`, `KEY_NOT_FOUND` are
/// refusals and end the use of a key at once; `KMS_UNAVAILABLE`, `THROTTLED`, `TIMEOUT` are silence.
pub trait Provider: Send + Sync + Debug {
    /// Wraps the KEK of an index under the slot's key.
    fn wrap(&self, call: &Call, name: &IndexName, kek: &SecretKey) -> Result<Wrapped>;

    /// Undoes a wrap by the slot's key or one of its former keys. The caller has checked that the slot names
    /// `wrap.key_id`.
    fn unwrap(&self, call: &Call, name: &IndexName, wrap: &WrappedKek) -> Result<Unwrapped>;

    /// Forgets the secrets that it got from its KMS up to this moment of the engine's clock.
    fn forget(&self, _asked_until: u64) {}
}

/// A provider that is ready for use.
pub type SharedProvider = Arc<dyn Provider>;
