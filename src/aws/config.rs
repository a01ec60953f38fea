//! Who we are at AWS: the standard chain's credentials, or a customer's role that those assume.

use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::lasting::Lasting;
use crate::error::{Result, fail};
use crate::registry::Slot;

/// Credentials are refreshed this long before they end. The SDK takes up to half of it off, so that not all machines
/// ask at once: what is left are five minutes at least.
const REFRESH_BEFORE_END: Duration = Duration::from_secs(600);

/// How to reach AWS, and as whom. What is absent comes from the environment, the profile or the machine's role.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// The region; also looked for in the environment, the profile and on the machine.
    pub region: Option<String>,
    /// The profile of the shared configuration files.
    pub profile: Option<String>,
    /// The role to assume, at the customer's.
    pub role_arn: Option<String>,
    /// What that role's trust policy asks for.
    pub external_id: Option<String>,
    /// What the role's sessions are called in the customer's CloudTrail.
    pub session_name: String,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub request_timeout: Duration,
    /// The proxy to go through; without one, `HTTPS_PROXY` and so on.
    pub proxy: Option<String>,
    /// A file of further root certificates.
    pub ca_file: Option<String>,
}

impl Access {
    /// As a slot says.
    pub fn of_slot(slot: &Slot) -> Access {
        Access {
            region: region(slot),
            profile: slot.profile.clone(),
            role_arn: slot.role_arn.clone(),
            external_id: slot.external_id.clone(),
            session_name: slot.role_session_name.clone(),
            connect_timeout: slot.connect_timeout,
            request_timeout: slot.request_timeout,
            proxy: slot.proxy.clone(),
            ca_file: slot.ca_file.clone(),
        }
    }
}

impl Default for Access {
    fn default() -> Access {
        Access {
            region: None,
            profile: None,
            role_arn: None,
            external_id: None,
            session_name: "cyborg-kms".to_owned(),
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            proxy: None,
            ca_file: None,
        }
    }
}

/// The slot's region, else that of its key's ARN: `arn:aws:kms:REGION:ACCOUNT:key/ID`.
fn region(slot: &Slot) -> Option<String> {
    if !slot.region.is_empty() {
        return Some(slot.region.clone());
    }
    let of_arn = slot.key_id.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
    of_arn.filter(|region| !region.is_empty()).map(str::to_owned)
}

/// Addresses may carry a password, so only what it is about is shown.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("region", &self.region)
            .field("role_arn", &self.role_arn)
            .finish_non_exhaustive()
    }
}

/// The SDK's configuration: region, credentials (cached, and refreshed in time), time-outs, and no retries: those are
/// `provider::with_retries`' alone. Asks the network where the region or the credentials come from there.
pub async fn sdk_config(access: &Access, http: SharedHttpClient) -> Result<SdkConfig> {
    // No read_timeout beside it: it would be the same time once more, and each is a timer that callers contend for.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(access.connect_timeout)
        .operation_attempt_timeout(access.request_timeout)
        .build();
    // Credentials have a time-out of their own (`Lasting`), which says what it is.
    let cache =
        IdentityCache::lazy().buffer_time(REFRESH_BEFORE_END).load_timeout(access.request_timeout * 2);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        .identity_cache(cache.build());
    if let Some(region) = &access.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &access.profile {
        // Without this the environment's credentials would win over a profile that was asked for.
        let settings = ProviderConfig::default().with_http_client(http);
        let of_profile = ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&settings);
        loader = loader.profile_name(profile).credentials_provider(of_profile.build());
    }
    let own = loader.load().await;
    if own.region().is_none() {
        let advice = "say region in the slot or in storage, or set AWS_REGION";
        return Err(fail!(Config, "no AWS region is known: {advice}"));
    }
    let own = with_lasting(own.credentials_provider(), access, own);
    let Some(role) = &access.role_arn else { return Ok(own) };
    let mut assumed = AssumeRoleProvider::builder(role).configure(&own).session_name(&access.session_name);
    if let Some(id) = &access.external_id {
        assumed = assumed.external_id(id);
    }
    let assumed = assumed.build().await;
    Ok(with_lasting(Some(assumed), access, own))
}

/// The configuration with this provider, whose credentials serve on while they can't be renewed.
fn with_lasting(
    provider: Option<impl ProvideCredentials + 'static>,
    access: &Access,
    config: SdkConfig,
) -> SdkConfig {
    let Some(provider) = provider else { return config };
    let lasting = SharedCredentialsProvider::new(Lasting::new(provider, access.request_timeout));
    config.into_builder().credentials_provider(lasting).build()
}
