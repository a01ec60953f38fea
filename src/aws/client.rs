//! A slot's client of one AWS service: made at its first request, and anew in a forked child.

use std::fmt;
use std::sync::Arc;

use aws_config::SdkConfig;
use tokio::sync::OnceCell;

use super::{Access, HttpClients, sdk_config};
use crate::call::Call;
use crate::error::Result;
use crate::net::{Network, PerProcess};

/// A client of the service `C` for one slot. Nothing is paid for before the first request.
pub struct Clients<C> {
    network: Arc<Network>,
    http: Arc<PerProcess<HttpClients>>,
    access: Access,
    made: PerProcess<OnceCell<C>>,
}

impl<C: Clone + Send + Sync> Clients<C> {
    /// Of a slot that is reached by `access`.
    pub fn new(network: Arc<Network>, http: Arc<PerProcess<HttpClients>>, access: Access) -> Clients<C> {
        Clients { network, http, access, made: PerProcess::default() }
    }

    /// Runs a request with the client; `make` makes it from the SDK's configuration.
    pub fn run<T, F>(
        &self,
        call: &Call,
        what: &str,
        make: impl FnOnce(&SdkConfig) -> C + Send,
        request: impl FnOnce(C) -> F + Send,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let cell = self.made.get(|| Ok(OnceCell::new()))?;
        self.network.run(call, what, || async {
            let make = async || {
                let http = self.http.get(|| Ok(HttpClients::default()))?.get(&self.access)?;
                sdk_config(&self.access, http).await.map(|config| make(&config))
            };
            let client = cell.get_or_try_init(make).await?.clone();
            request(client).await
        })
    }
}

impl<C> fmt::Debug for Clients<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("access", &self.access).finish_non_exhaustive()
    }
}
