//! The clients of a store: one that reads and tries again, one that writes and does not.

use std::time::Duration;

use object_store::list::PaginatedListStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::Cloud;
use super::address::Address;
use crate::error::{Error, Result, fail};
use crate::net::causes;

/// What we need of a cloud's client.
pub(super) trait Client: ObjectStore + PaginatedListStore {}

impl<T: ObjectStore + PaginatedListStore> Client for T {}

/// The clients of one process.
pub(super) struct Clients {
    /// Tries again: reading twice does no harm.
    pub reads: Box<dyn Client>,
    /// Never tries again: the second try of a conditional write that worked is refused, and tells nothing.
    pub writes: Box<dyn Client>,
}

impl Clients {
    /// Makes them; credentials are found out about, and asked for when a request needs them.
    pub(super) async fn connect(address: &Address) -> Result<Clients> {
        match address.cloud {
            #[cfg(feature = "s3")]
            Cloud::S3 => super::s3::connect(address).await,
            #[cfg(feature = "gs")]
            Cloud::Google => super::google::connect(address),
            #[cfg(feature = "az")]
            Cloud::Azure => super::azure::connect(address),
            #[allow(unreachable_patterns)] // Where all are built in.
            _ => Err(address.cloud.not_built_in()),
        }
    }

    pub(super) fn new(reads: impl Client, writes: impl Client) -> Clients {
        Clients { reads: Box::new(reads), writes: Box::new(writes) }
    }
}

/// What the clients of all clouds have in common.
pub(super) fn options(address: &Address) -> ClientOptions {
    let options = &address.options;
    ClientOptions::new()
        .with_connect_timeout(options.connect_timeout())
        .with_timeout(options.request_timeout())
        .with_allow_http(options.allow_http.unwrap_or(false))
}

/// Short tries that end with the first one's time-out.
pub(super) fn retries_of_reads(address: &Address) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(500),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: address.options.request_timeout(),
    }
}

pub(super) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The error of a client that can't be made.
pub(super) fn unusable(address: &Address, error: &object_store::Error) -> Error {
    let text = causes(error);
    fail!(Config, "{address}: {text}: check the credentials and the settings of the store")
}
