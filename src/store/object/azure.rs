//! Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::address::Address;
use super::clients::{Clients, no_retries, options, retries_of_reads, unusable};
use super::wire::WatchedConnector;
use crate::error::Result;

/// Where credentials are looked for; the first kind that is complete is taken, else the machine's managed identity.
const ENVIRONMENT: [(&str, AzureConfigKey); 8] = [
    ("AZURE_STORAGE_ACCOUNT_KEY", AzureConfigKey::AccessKey),
    ("AZURE_CLIENT_ID", AzureConfigKey::ClientId),
    ("AZURE_TENANT_ID", AzureConfigKey::AuthorityId),
    ("AZURE_FEDERATED_TOKEN_FILE", AzureConfigKey::FederatedTokenFile),
    ("AZURE_CLIENT_SECRET", AzureConfigKey::ClientSecret),
    ("AZURE_STORAGE_SAS_TOKEN", AzureConfigKey::SasKey),
    ("AZURE_AUTHORITY_HOST", AzureConfigKey::AuthorityHost),
    ("IDENTITY_ENDPOINT", AzureConfigKey::MsiEndpoint),
];

pub(super) fn connect(address: &Address) -> Result<Clients> {
    let build = |builder: MicrosoftAzureBuilder| builder.build().map_err(|error| unusable(address, &error));
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let from_environment = ENVIRONMENT
        .into_iter()
        .filter_map(|(name, key)| Some((key, set(name)?)))
        .fold(builder(address), |builder, (key, value)| builder.with_config(key, value));
    let reads = build(from_environment.with_retry(retries_of_reads(address)))?;
    // One token for both clients.
    let same = builder(address).with_credentials(Arc::clone(reads.credentials()));
    Ok(Clients::new(reads, build(same.with_retry(no_retries()))?))
}

fn builder(address: &Address) -> MicrosoftAzureBuilder {
    let builder = MicrosoftAzureBuilder::new()
        .with_account(address.options.account.clone().unwrap_or_default())
        .with_container_name(&address.bucket)
        .with_client_options(options(address))
        .with_http_connector(WatchedConnector);
    match &address.options.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint.clone()),
        None => builder,
    }
}
