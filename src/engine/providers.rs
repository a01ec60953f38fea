//! The providers of the slots. Those that hold connections or credentials are kept for as long as their slot is as it
//! was; the others cost nothing to make.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::Core;
#[cfg(feature = "aws")]
use super::core::nanoseconds;
use crate::clock::Clock;
use crate::error::{Result, fail};
use crate::provider::{Breaker, BreakerState, External, Local, Registered, SharedProvider};
use crate::registry::{ProviderKind, Slot};
use crate::sys::fork;

/// What is kept of an engine's providers.
#[derive(Default)]
pub(super) struct Providers {
    /// By slot, with the slot that each was made for.
    kept: Mutex<HashMap<String, (Arc<Slot>, SharedProvider)>>,
    /// What the caller registered, by name.
    externals: Mutex<HashMap<String, Arc<Registered>>>,
    /// By slot.
    breakers: papaya::HashMap<String, Arc<Breaker>>,
    /// The HTTPS clients that the AWS slots share.
    #[cfg(feature = "aws-auth")]
    aws_http: Arc<crate::net::PerProcess<crate::aws::HttpClients>>,
}

impl Providers {
    /// Serves the slots of `external:NAME` from now on.
    pub(super) fn register(&self, name: &str, registered: Registered) -> Result<()> {
        // A child must not find it locked by a thread that it does not have.
        let _no_fork = fork::no_fork();
        let mut externals = self.externals.lock().unwrap_or_else(PoisonError::into_inner);
        if externals.contains_key(name) {
            return Err(fail!(
                AlreadyExists,
                "provider external:{name} is registered already: an engine takes each name once"
            ));
        }
        externals.insert(name.to_owned(), Arc::new(registered));
        Ok(())
    }

    fn external(&self, slot: &Slot, name: &str) -> Result<Arc<Registered>> {
        let _no_fork = fork::no_fork();
        let externals = self.externals.lock().unwrap_or_else(PoisonError::into_inner);
        externals.get(name).map(Arc::clone).ok_or_else(|| {
            fail!(
                Config,
                "slot {:?} needs provider external:{name}, which is not registered: call \
                 cyborg_kms_engine_register_provider first",
                slot.name
            )
        })
    }

    /// Lets go of the providers of slots that are gone or changed.
    pub(super) fn keep_only(&self, slots: &BTreeMap<String, Arc<Slot>>) {
        let _no_fork = fork::no_fork();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|name, (slot, _)| slots.get(name) == Some(slot));
        drop(kept);
        // What is away by the old settings may not be by the new ones.
        self.breakers.pin().clear();
    }

    /// Of every slot that was used.
    pub(super) fn breaker_states(&self) -> Vec<(String, BreakerState)> {
        self.breakers.pin().iter().map(|(slot, breaker)| (slot.clone(), breaker.state())).collect()
    }

    /// The slot's breaker.
    pub(super) fn breaker(&self, slot: &Slot, clock: &Arc<dyn Clock>) -> Arc<Breaker> {
        let breakers = self.breakers.pin();
        if let Some(breaker) = breakers.get(&slot.name) {
            return Arc::clone(breaker);
        }
        let made = || Arc::new(Breaker::new(&slot.name, Arc::clone(clock)));
        Arc::clone(breakers.get_or_insert_with(slot.name.clone(), made))
    }

    /// Has the providers forget what they got from their KMS up to this moment.
    pub(super) fn forget(&self, asked_until: u64) {
        let _no_fork = fork::no_fork();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, provider) in kept.values() {
            provider.forget(asked_until);
        }
    }

    /// The provider that is kept for this slot, made where there is none.
    #[cfg_attr(not(feature = "net"), expect(dead_code, reason = "no provider needs it"))]
    fn keep(&self, slot: &Arc<Slot>, make: impl FnOnce() -> SharedProvider) -> SharedProvider {
        let _no_fork = fork::no_fork();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, provider)) = kept.get(&slot.name)
            && (Arc::ptr_eq(of, slot) || of == slot)
        {
            return Arc::clone(provider);
        }
        let provider = make();
        kept.insert(slot.name.clone(), (Arc::clone(slot), Arc::clone(&provider)));
        provider
    }
}

impl Core {
    /// The provider of a slot.
    pub(super) fn provider(&self, slot: &Arc<Slot>) -> Result<SharedProvider> {
        let arena = || Arc::clone(&self.arena);
        match &slot.provider {
            ProviderKind::None => Err(fail!(
                InvalidArgument,
                "slot {:?} has provider none, which wraps nothing: the caller brings the KEK",
                slot.name
            )),
            ProviderKind::Local => {
                Ok(Arc::new(Local::new(arena(), &slot.key_id, slot.create, !slot.cyborgdb_compatible)))
            }
            ProviderKind::External(name) => {
                let callbacks = self.providers.external(slot, name)?;
                Ok(Arc::new(External::new(callbacks, Arc::clone(&self.runtime), arena(), Arc::clone(slot))))
            }
            ProviderKind::AwsKms => self.aws_kms(slot),
            ProviderKind::Aws => self.aws_secret(slot),
            other => Err(fail!(
                Unsupported,
                "slot {:?} needs provider {other}, which this version of the library does not have: use one of none, \
                 local, aws-kms, aws, external:NAME",
                slot.name
            )),
        }
    }

    #[cfg(feature = "aws-kms")]
    fn aws_kms(&self, slot: &Arc<Slot>) -> Result<SharedProvider> {
        Ok(self.providers.keep(slot, || {
            let http = Arc::clone(&self.providers.aws_http);
            Arc::new(crate::provider::AwsKms::new(
                Arc::clone(slot),
                Arc::clone(&self.arena),
                Arc::clone(&self.network),
                http,
            ))
        }))
    }

    #[cfg(not(feature = "aws-kms"))]
    fn aws_kms(&self, slot: &Slot) -> Result<SharedProvider> {
        Err(not_built_in(slot, "aws-kms"))
    }

    #[cfg(feature = "aws")]
    fn aws_secret(&self, slot: &Arc<Slot>) -> Result<SharedProvider> {
        Ok(self.providers.keep(slot, || {
            let ttl = nanoseconds(self.cache_settings().ttl);
            let http = Arc::clone(&self.providers.aws_http);
            Arc::new(crate::provider::AwsSecret::new(
                Arc::clone(slot),
                Arc::clone(&self.arena),
                Arc::clone(&self.clock),
                ttl,
                Arc::clone(&self.network),
                http,
            ))
        }))
    }

    #[cfg(not(feature = "aws"))]
    fn aws_secret(&self, slot: &Slot) -> Result<SharedProvider> {
        Err(not_built_in(slot, "aws"))
    }
}

#[cfg(not(all(feature = "aws", feature = "aws-kms")))]
fn not_built_in(slot: &Slot, feature: &str) -> crate::error::Error {
    fail!(
        Unsupported,
        "slot {:?} needs provider {}, which was left out of this build of the library: build it with the feature {feature:?}",
        slot.name,
        slot.provider
    )
}
