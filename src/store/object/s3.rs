//! S3, and what speaks its language.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;

use super::address::Address;
use super::bridge::Bridge;
use super::clients::{Clients, no_retries, options, retries_of_reads, unusable};
use super::wire::WatchedConnector;
use crate::aws::{self, Access};
use crate::error::{Result, fail};

/// The clients, with the credentials that the AWS SDK finds: the standard chain's, or those of a role to assume.
pub(super) async fn connect(address: &Address) -> Result<Clients> {
    let settings = &address.options;
    let access = Access {
        region: settings.region.clone(),
        profile: settings.profile.clone(),
        role_arn: settings.role_arn.clone(),
        external_id: settings.external_id.clone(),
        connect_timeout: settings.connect_timeout(),
        request_timeout: settings.request_timeout(),
        ..Access::default()
    };
    let http = aws::http_client(&access)?;
    let config = aws::sdk_config(&access, http).await.map_err(|error| error.context(address))?;
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let Some(provider) = config.credentials_provider() else {
        return Err(fail!(
            Internal,
            "{address}: the AWS SDK has no provider of credentials: please report it"
        ));
    };
    let credentials = Arc::new(Bridge::new(provider));
    let make = |retries| {
        builder(address)
            .with_region(&region)
            .with_credentials(Arc::clone(&credentials) as _)
            .with_retry(retries)
            .build()
            .map_err(|error| unusable(address, &error))
    };
    Ok(Clients::new(make(retries_of_reads(address))?, make(no_retries())?))
}

fn builder(address: &Address) -> AmazonS3Builder {
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&address.bucket)
        .with_client_options(options(address))
        .with_disable_bulk_delete(true)
        .with_http_connector(WatchedConnector);
    match &address.options.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint),
        // A dot in the bucket's name does not fit AWS's certificate.
        None => builder.with_virtual_hosted_style_request(!address.bucket.contains('.')),
    }
}
