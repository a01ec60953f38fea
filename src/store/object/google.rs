//! Google Cloud Storage.

use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};

use super::address::{Address, is_without_tls};
use super::clients::{Clients, no_retries, options, retries_of_reads, unusable};
use super::wire::WatchedConnector;
use crate::error::Result;

pub(super) fn connect(address: &Address) -> Result<Clients> {
    let build =
        |builder: GoogleCloudStorageBuilder| builder.build().map_err(|error| unusable(address, &error));
    let reads = build(with_credentials(address).with_retry(retries_of_reads(address)))?;
    // One token for both clients.
    let same = builder(address).with_credentials(Arc::clone(reads.credentials()));
    let writes = build(same.with_retry(no_retries()))?;
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
    if address.options.endpoint.as_deref().is_some_and(is_without_tls) {
        // An emulator looks at no token, and everybody on the way would read a real one.
        let none = StaticCredentialProvider::new(GcpCredential { bearer: String::new() });
        return builder.with_credentials(Arc::new(none));
    }
    match address.options.credentials_file.clone().or_else(from_environment) {
        Some(file) => builder.with_application_credentials(file),
        None => builder,
    }
}
