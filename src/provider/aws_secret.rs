//! Provider `aws`: the wrapping key is a secret in AWS Secrets Manager, and wraps here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_secretsmanager::Client;
use base64ct::{Base64, Encoding};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{Provider, Unwrapped, Wrapped};
use crate::aws::{Access, Asked, Clients, HttpClients, error};
use crate::blob::{Binding, WrappedKek};
use crate::call::Call;
use crate::clock::Clock;
use crate::crypto::secret::{Arena, SecretKey};
use crate::crypto::wrap;
use crate::error::{Result, Status, fail};
use crate::name::IndexName;
use crate::net::{Network, PerProcess};
use crate::registry::Slot;

/// One slot with `provider: aws`.
pub struct AwsSecret {
    slot: Arc<Slot>,
    arena: Arc<Arena>,
    clock: Arc<dyn Clock>,
    clients: Clients<Client>,
    /// How old a secret may be to be used once more.
    max_age: u64,
    /// By key: the slot's own, and former ones that records still name.
    latest: Mutex<HashMap<String, Arc<Secret>>>,
}

/// A secret under way or here. Whoever needs it while it is fetched waits for the same answer.
struct Secret {
    key_id: String,
    /// Before it was asked for.
    asked_at: u64,
    process: u64,
    key: OnceCell<Result<SecretKey>>,
}

impl AwsSecret {
    /// The provider of a slot; asks nothing yet. `ttl`: a KEK's, in nanoseconds; with 0 each use asks.
    pub fn new(
        slot: Arc<Slot>,
        arena: Arc<Arena>,
        clock: Arc<dyn Clock>,
        ttl: u64,
        network: Arc<Network>,
        http: Arc<PerProcess<HttpClients>>,
    ) -> AwsSecret {
        let access = Access::of_slot(&slot);
        let clients = Clients::new(network, http, access);
        // What is unwrapped by a secret lives no longer than from when that was asked for: half is left at least.
        AwsSecret { slot, arena, clock, clients, max_age: ttl / 2, latest: Mutex::default() }
    }

    /// The secret, not older than half a KEK's lifetime, or (`anew`) than this call.
    fn secret(&self, call: &Call, key_id: &str, anew: bool) -> Result<Arc<Secret>> {
        let secret = self.latest(key_id, anew);
        self.clients.run(
            call,
            &asked(key_id).to_string(),
            |config| {
                let mut config = aws_sdk_secretsmanager::config::Builder::from(config);
                if let Some(endpoint) = &self.slot.endpoint {
                    config = config.endpoint_url(endpoint);
                }
                Client::from_conf(config.build())
            },
            async |client: Client| {
                secret.key.get_or_init(async || fetch(&client, &self.arena, key_id).await).await;
                Ok(())
            },
        )?;
        if let Some(Err(error)) = secret.key.get() {
            self.forget_failed(&secret);
            return Err(error.clone());
        }
        Ok(secret)
    }

    /// The next caller asks anew.
    fn forget_failed(&self, failed: &Arc<Secret>) {
        let _no_fork = crate::sys::fork::no_fork();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.retain(|_, secret| !Arc::ptr_eq(secret, failed));
    }

    fn latest(&self, key_id: &str, anew: bool) -> Arc<Secret> {
        let process = crate::sys::fork::generation();
        let _no_fork = crate::sys::fork::no_fork();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let usable = |secret: &&Arc<Secret>| {
            secret.process == process && now.saturating_sub(secret.asked_at) < self.max_age
        };
        if let Some(secret) = latest.get(key_id).filter(usable).filter(|_| !anew) {
            return Arc::clone(secret);
        }
        let secret =
            Arc::new(Secret { key_id: key_id.to_owned(), asked_at: now, process, key: OnceCell::new() });
        latest.insert(key_id.to_owned(), Arc::clone(&secret));
        secret
    }

    fn unwrap_by(&self, secret: &Secret, name: &IndexName, wrapped: &WrappedKek) -> Result<Unwrapped> {
        let kek = wrap::unwrap_key(
            &self.arena,
            key(secret)?.expose(),
            &aad(wrapped.binding, name),
            &wrapped.wrapped_kek,
        );
        let kek = kek.map_err(|error| {
            error.context(format!(
                "index {name}: its KEK was not wrapped by the secret {:?} as it is now, or the wrap was altered; if the \
                 secret was changed, bring its former value back",
                secret.key_id
            ))
        })?;
        Ok(Unwrapped { kek, as_of: Some(secret.asked_at) })
    }
}

fn key(secret: &Secret) -> Result<&SecretKey> {
    let missing = || fail!(Internal, "the secret {:?} was fetched but is not there", secret.key_id);
    secret.key.get().ok_or_else(missing)?.as_ref().map_err(Clone::clone)
}

fn asked(key_id: &str) -> Asked<'_> {
    Asked { action: "secretsmanager:GetSecretValue", resource: key_id }
}

async fn fetch(client: &Client, arena: &Arc<Arena>, key_id: &str) -> Result<SecretKey> {
    let answer = client.get_secret_value().secret_id(key_id).send().await;
    let answer = answer.map_err(|failed| error(asked(key_id), failed))?;
    let wrong = |what: String| {
        fail!(
            Config,
            "the secret {key_id:?} {what}; it must hold 32 bytes as SecretBinary, or their base64 as SecretString \
             (openssl rand -base64 32)"
        )
    };
    if let Some(binary) = answer.secret_binary {
        let binary = Zeroizing::new(binary.into_inner());
        if binary.len() != 32 {
            return Err(wrong(format!("has {} bytes", binary.len())));
        }
        return arena.key_from(&binary);
    }
    let text = Zeroizing::new(answer.secret_string.ok_or_else(|| wrong("has no value".to_owned()))?);
    let text = text.trim_ascii();
    arena.key_with(|key| match Base64::decode(text, key) {
        Ok(decoded) if decoded.len() == 32 => Ok(()),
        _ => Err(wrong("is not base64 of 32 bytes".to_owned())),
    })
}

fn aad(binding: Binding, name: &IndexName) -> Vec<u8> {
    match binding {
        Binding::None => Vec::new(),
        Binding::IndexName => wrap::kek_aad(name.as_str()),
    }
}

impl Provider for AwsSecret {
    fn wrap(&self, call: &Call, name: &IndexName, kek: &SecretKey) -> Result<Wrapped> {
        let binding = if self.slot.cyborgdb_compatible { Binding::None } else { Binding::IndexName };
        // Fetched for this: by an older value the KEK could never be unwrapped again, and the proof, which uses what was
        // fetched last, would not notice.
        let secret = self.secret(call, &self.slot.key_id, true)?;
        Ok(Wrapped {
            bytes: wrap::wrap(key(&secret)?.expose(), &aad(binding, name), kek.expose())?,
            binding,
            key_version: String::new(),
            mechanism: String::new(),
        })
    }

    fn unwrap(&self, call: &Call, name: &IndexName, wrapped: &WrappedKek) -> Result<Unwrapped> {
        let secret = self.secret(call, &wrapped.key_id, false)?;
        match self.unwrap_by(&secret, name, wrapped) {
            // Someone may have put another value there since it was fetched.
            Err(error)
                if error.status() == Status::AuthenticationFailed && secret.asked_at < self.clock.now() =>
            {
                let secret = self.secret(call, &wrapped.key_id, true)?;
                self.unwrap_by(&secret, name, wrapped)
            }
            result => result,
        }
    }

    fn forget(&self, asked_until: u64) {
        let _no_fork = crate::sys::fork::no_fork();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.retain(|_, secret| secret.asked_at > asked_until);
    }
}

impl std::fmt::Debug for AwsSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsSecret").field("slot", &self.slot.name).finish_non_exhaustive()
    }
}
