//! Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};

use super::address::Address;
use super::clients::{Clients, no_retries, options, retries_of_reads, unusable};
use super::wire::WatchedConnector;
use crate::error::Result;

pub(super) fn connect(address: &Address) -> Result<Clients> {
    let build =
        |builder: GoogleCloudStorageBuilder| builder.build().map_err(|error| unusable(address, &error));
    let reads = build(with_credentials(address).with_retry(retries_of_reads(address)))?;
    let writes = build(with_the_same(address, &reads).with_retry(no_retries()))?;
    Ok(Clients::new(reads, writes))
}

fn builder(address: &Address) -> GoogleCloudStorageBuilder {
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&address.bucket)
        .with_client_options(options(address))
        .with_http_connector(WatchedConnector);
    match &address.options.endpoint {
        Some(endpoint) => builder.with_base_url(endpoint),
        None => builder,
    }
}

/// The file that is named, else Google's application default credentials.
fn with_credentials(address: &Address) -> GoogleCloudStorageBuilder {
    let builder = builder(address);
    let from_environment =
        || std::env::var("GOOGLE_APPLICATION_CREDENTIALS").ok().filter(|path| !path.is_empty());
    match &address.options.credentials_file {
        Some(file) => builder.with_application_credentials(file),
        // An emulator asks for none, and everybody on the way would read a real one.
        None if address.is_without_tls() => builder.with_skip_signature(true),
        None => match from_environment() {
            Some(file) => builder.with_application_credentials(file),
            None => builder,
        },
    }
}

/// One token for both clients.
fn with_the_same(address: &Address, other: &GoogleCloudStorage) -> GoogleCloudStorageBuilder {
    builder(address)
        .with_credentials(Arc::clone(other.credentials()))
        .with_skip_signature(address.is_without_tls())
}
