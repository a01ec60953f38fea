//! Provider `external:NAME`: the caller's own callbacks, which answer through a reply.

use std::sync::Arc;

use super::limit::Limit;
use super::{Provider, Unwrapped, Wrapped};
use crate::blob::{Binding, WrappedKek};
use crate::call::Call;
use crate::crypto::secret::{Arena, SecretKey};
use crate::crypto::wrap;
use crate::error::{Error, Result, Status, fail};
use crate::name::IndexName;
use crate::registry::Slot;
use crate::reply::{Answer, Reply, channel};
use crate::runtime::Runtime;

/// The longest wrap that a record may hold beside its other fields.
const MAX_WRAPPED: usize = 64 << 10;

/// What a caller registers. Runs on threads of the library, several at once.
pub trait ExternalCallbacks: Send + Sync {
    /// Wraps `plaintext` under `key_id`, bound to `aad`.
    fn wrap(&self, key_id: &str, aad: &[u8], plaintext: &[u8], reply: Reply);
    /// Undoes it.
    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply);
}

/// What was registered under a name, and how much of it is under way.
pub struct Registered {
    callbacks: Arc<dyn ExternalCallbacks>,
    limit: Arc<Limit>,
}

impl Registered {
    /// Ready for the slots that name it.
    pub fn new(callbacks: Arc<dyn ExternalCallbacks>) -> Registered {
        Registered { callbacks, limit: Arc::default() }
    }
}

/// One slot with `provider: external:NAME`.
pub struct External {
    registered: Arc<Registered>,
    runtime: Arc<Runtime>,
    arena: Arc<Arena>,
    slot: Arc<Slot>,
}

impl External {
    /// The provider of a slot, by what was registered under its name.
    pub fn new(
        registered: Arc<Registered>,
        runtime: Arc<Runtime>,
        arena: Arc<Arena>,
        slot: Arc<Slot>,
    ) -> External {
        External { registered, runtime, arena, slot }
    }

    /// One try: hands the reply to `ask` on a thread of the library and waits.
    fn ask<T>(
        &self,
        call: &Call,
        (reply, answer): (Reply, Answer<T>),
        ask: impl FnOnce(&dyn ExternalCallbacks, Reply) + Send + 'static,
    ) -> Result<T> {
        let call = call.within(self.slot.request_timeout);
        let what = format!("slot {:?}: its provider {} did not answer", self.slot.name, self.slot.provider);
        let turn = self.registered.limit.turn(&call, &what)?;
        let registered = Arc::clone(&self.registered);
        self.runtime.spawn(move || {
            ask(&*registered.callbacks, reply);
            drop(turn);
        })?;
        answer.wait(&call, &what).map_err(|error| {
            let cancelled = |error: &Error| error.status() == Status::Cancelled;
            // The call's own end, not the provider's word for something.
            let own = cancelled(&error) && call.check(&what).is_err_and(|end| cancelled(&end));
            if own { error } else { as_of_a_provider(error) }
        })
    }
}

impl std::fmt::Debug for External {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("External").field("slot", &self.slot.name).finish_non_exhaustive()
    }
}

impl Provider for External {
    fn wrap(&self, call: &Call, name: &IndexName, kek: &SecretKey) -> Result<Wrapped> {
        let (binding, aad) = binding(self.slot.cyborgdb_compatible, name);
        let plaintext = kek.duplicate()?;
        let key_id = self.slot.key_id.clone();
        let provider = self.slot.provider.to_string();
        let reply = channel(move |bytes, _| match bytes.len() {
            0 => Err(fail!(Internal, "provider {provider} answered a wrap without bytes")),
            1..=MAX_WRAPPED => Ok(bytes.to_vec()),
            len => Err(fail!(Corrupt, "provider {provider} answered a wrap of {len} bytes: at most 64 KiB")),
        });
        let bytes = self.ask(call, reply, move |callbacks, reply| {
            callbacks.wrap(&key_id, &aad, plaintext.expose(), reply);
        })?;
        Ok(Wrapped { bytes, binding, key_version: String::new(), mechanism: String::new() })
    }

    fn unwrap(&self, call: &Call, name: &IndexName, wrapped: &WrappedKek) -> Result<Unwrapped> {
        let (_, aad) = binding(wrapped.binding == Binding::None, name);
        let key_id = wrapped.key_id.clone();
        let bytes = wrapped.wrapped_kek.clone();
        let provider = self.slot.provider.to_string();
        let arena = Arc::clone(&self.arena);
        let reply = channel(move |bytes, _| match bytes.len() {
            0 => Err(fail!(Internal, "provider {provider} answered an unwrap without bytes")),
            32 => arena.key_from(bytes),
            len => Err(fail!(Corrupt, "provider {provider} gave back a KEK of {len} bytes, not 32")),
        });
        let kek =
            self.ask(call, reply, move |callbacks, reply| callbacks.unwrap(&key_id, &aad, &bytes, reply))?;
        Ok(Unwrapped::now(kek))
    }
}

/// A provider's answer says something of its key, never of a record or of this call: NOT_FOUND would have the host
/// create the index again, CANCELLED each waiting caller ask in turn.
fn as_of_a_provider(error: Error) -> Error {
    let status = match error.status() {
        Status::NotFound => Status::KeyNotFound,
        Status::Ok
        | Status::AlreadyExists
        | Status::Conflict
        | Status::BufferTooSmall
        | Status::Cancelled
        | Status::RolledBack
        | Status::KeySetIncomplete
        | Status::Expired
        | Status::Storage => Status::Internal,
        _ => return error,
    };
    let what = format!("a provider can't answer {}, so it is {status}", error.status());
    error.with_status(status).context(what)
}

fn binding(unbound: bool, name: &IndexName) -> (Binding, Vec<u8>) {
    if unbound { (Binding::None, Vec::new()) } else { (Binding::IndexName, wrap::kek_aad(name.as_str())) }
}
