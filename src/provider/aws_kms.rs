//! Provider `aws-kms`: AWS KMS wraps by `kms:Encrypt` and unwraps by `kms:Decrypt`. The key is named in both, so that
//! a wrap by any other key is refused, and the index's name is the encryption context.

use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use zeroize::Zeroizing;

use super::{Provider, Unwrapped, Wrapped};
use crate::aws::{Access, Asked, Clients, HttpClients, error};
use crate::blob::{Binding, WrappedKek};
use crate::call::Call;
use crate::crypto::secret::{Arena, SecretKey};
use crate::error::{Result, fail};
use crate::name::IndexName;
use crate::net::{Network, PerProcess};
use crate::registry::Slot;

/// The key of the encryption context whose value is the index's name.
const CONTEXT: &str = "cyborg_kms:index";
/// The longest `CiphertextBlob` that KMS gives and takes.
const MAX_CIPHERTEXT: usize = 6144;

/// One slot with `provider: aws-kms`.
#[derive(Debug)]
pub struct AwsKms {
    slot: Arc<Slot>,
    arena: Arc<Arena>,
    clients: Clients<Client>,
}

impl AwsKms {
    /// The provider of a slot; asks nothing yet.
    pub fn new(
        slot: Arc<Slot>,
        arena: Arc<Arena>,
        network: Arc<Network>,
        http: Arc<PerProcess<HttpClients>>,
    ) -> AwsKms {
        let access = Access::of_slot(&slot);
        AwsKms { clients: Clients::new(network, http, access), slot, arena }
    }

    fn run<T, F>(&self, call: &Call, what: &str, request: impl FnOnce(Client) -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let make = |config: &aws_config::SdkConfig| {
            let mut config = aws_sdk_kms::config::Builder::from(config);
            if let Some(endpoint) = &self.slot.endpoint {
                config = config.endpoint_url(endpoint);
            }
            Client::from_conf(config.build())
        };
        self.clients.run(call, what, make, request)
    }

    /// By one key; the bytes as KMS gives them.
    fn decrypt(
        &self,
        call: &Call,
        name: &IndexName,
        key_id: &str,
        wrapped: &WrappedKek,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let asked = Asked { action: "kms:Decrypt", resource: key_id };
        let plaintext = self.run(call, &asked.to_string(), async |client: Client| {
            let mut request =
                client.decrypt().key_id(key_id).ciphertext_blob(Blob::new(wrapped.wrapped_kek.as_slice()));
            if wrapped.binding == Binding::IndexName {
                request = request.encryption_context(CONTEXT, name.as_str());
            }
            let answer = request.send().await.map_err(|failed| error(asked, failed))?;
            Ok(answer.plaintext)
        })?;
        let plaintext = plaintext.ok_or_else(|| {
            fail!(Corrupt, "kms:Decrypt of {key_id}: AWS KMS answered without a plaintext; check endpoint")
        })?;
        Ok(Zeroizing::new(plaintext.into_inner()))
    }
}

impl Provider for AwsKms {
    fn wrap(&self, call: &Call, name: &IndexName, kek: &SecretKey) -> Result<Wrapped> {
        let key_id = &self.slot.key_id;
        let asked = Asked { action: "kms:Encrypt", resource: key_id };
        let binding = if self.slot.cyborgdb_compatible { Binding::None } else { Binding::IndexName };
        let ciphertext = self.run(call, &asked.to_string(), async |client: Client| {
            let mut request = client.encrypt().key_id(key_id).plaintext(Blob::new(kek.expose().as_slice()));
            if binding == Binding::IndexName {
                request = request.encryption_context(CONTEXT, name.as_str());
            }
            let answer = request.send().await.map_err(|failed| error(asked, failed))?;
            Ok(answer.ciphertext_blob)
        })?;
        let bytes = ciphertext.map(Blob::into_inner).unwrap_or_default();
        if bytes.is_empty() || bytes.len() > MAX_CIPHERTEXT {
            return Err(fail!(
                Corrupt,
                "kms:Encrypt of {key_id}: AWS KMS answered a ciphertext of {} bytes; check endpoint",
                bytes.len()
            ));
        }
        Ok(Wrapped { bytes, binding, key_version: String::new(), mechanism: String::new() })
    }

    fn unwrap(&self, call: &Call, name: &IndexName, wrapped: &WrappedKek) -> Result<Unwrapped> {
        // Of a multi-Region key the replica of the slot's own region.
        let key_id = self.slot.key_for(&wrapped.key_id).unwrap_or(&wrapped.key_id);
        let mut result = self.decrypt(call, name, key_id, wrapped);
        // An alias may have been given to another key meanwhile: the slot says which it had.
        for former in self.slot.former_key_ids.iter().filter(|former| *former != key_id) {
            match &result {
                Err(error) if error.provider_code() == "IncorrectKeyException" => {
                    result = self.decrypt(call, name, former, wrapped);
                }
                _ => break,
            }
        }
        let plaintext = result?;
        if plaintext.len() != 32 {
            return Err(fail!(
                Corrupt,
                "kms:Decrypt of {}: AWS KMS gave back a KEK of {} bytes, not 32",
                wrapped.key_id,
                plaintext.len()
            ));
        }
        self.arena.key_from(&plaintext).map(Unwrapped::now)
    }
}
