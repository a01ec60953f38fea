//! The same engine with a deadline, a principal and an end of its own.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use crate::call::{Call, CancelToken};

/// What everything that is called through a scope has in common. Index handles that were opened through it do not:
/// they outlive it.
#[derive(Debug, Default)]
pub struct ScopeOptions {
    /// How long each call may take, retries included.
    pub deadline: Option<Duration>,
    /// Who acts, for the audit trail.
    pub principal: Option<String>,
}

/// A scope of an engine, or of another scope.
#[derive(Debug)]
pub(super) struct Scope {
    deadline: Option<Duration>,
    principal: Option<Arc<str>>,
    cancelled: CancelToken,
}

impl Engine {
    /// The same engine with settings of its own; what is left out is as it is here. It ends with this one, too.
    #[must_use]
    pub fn scope(&self, options: ScopeOptions) -> Engine {
        let outer = self.scope.as_deref();
        let scope = Scope {
            deadline: options.deadline.or_else(|| outer.and_then(|outer| outer.deadline)),
            principal: options
                .principal
                .map(Into::into)
                .or_else(|| outer.and_then(|outer| outer.principal.clone())),
            cancelled: outer.map_or(&self.core().ended, |outer| &outer.cancelled).child(),
        };
        Engine { lifeline: Arc::clone(&self.lifeline), scope: Some(Arc::new(scope)) }
    }

    /// Ends the calls through this scope, under way and to come, with `CANCELLED`. Nothing for an engine itself.
    pub fn cancel(&self) {
        if let Some(scope) = &self.scope {
            scope.cancelled.cancel();
        }
    }

    /// A call through this engine or scope, which begins now.
    pub(crate) fn call(&self) -> Call {
        if self.scope.is_none() { Call::unbounded() } else { self.call_until_freed() }
    }

    /// The same, ended by the engine's end.
    pub(super) fn call_until_freed(&self) -> Call {
        let Some(scope) = &self.scope else { return Call::unbounded().cancelled_by(&self.core().ended) };
        let mut call = Call::unbounded().cancelled_by(&scope.cancelled);
        if let Some(deadline) = scope.deadline {
            call = call.within(deadline);
        }
        match &scope.principal {
            Some(principal) => call.acting_for(principal),
            None => call,
        }
    }
}
