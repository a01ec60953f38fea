//! The settings of `storage` beside its URL: each may stand in the configuration or in the URL's query.

use std::fmt;
use std::time::Duration;

use crate::registry::rules::CONNECT_TIMEOUT;

/// How long to wait for an answer, where nothing else is said.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What is set; the rest is at its default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// How long to wait for a connection.
    pub connect_timeout: Option<Duration>,
    /// How long to wait for an answer; on disk, for another process's lock.
    pub request_timeout: Option<Duration>,
    /// S3: the region.
    pub region: Option<String>,
    /// Object stores: another address of the service.
    pub endpoint: Option<String>,
    /// S3: the profile that credentials are taken from.
    pub profile: Option<String>,
    /// S3: the role to assume.
    pub role_arn: Option<String>,
    /// S3: what the role's trust policy asks for.
    pub external_id: Option<String>,
    /// Azure: the storage account.
    pub account: Option<String>,
    /// Google: an absolute path of a file with credentials.
    pub credentials_file: Option<String>,
    /// Object stores: whether a connection without TLS is allowed.
    pub allow_http: Option<bool>,
}

impl StoreOptions {
    /// How long to wait for an answer.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout.unwrap_or(REQUEST_TIMEOUT)
    }

    /// How long to wait for a connection.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(CONNECT_TIMEOUT)
    }
}

/// The keys, time-outs aside, that mean something for the stores of a scheme.
pub fn keys_of(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "s3" => &["region", "endpoint", "profile", "role_arn", "external_id", "allow_http"],
        "gs" => &["endpoint", "credentials_file", "allow_http"],
        "az" => &["endpoint", "account", "allow_http"],
        _ => &[],
    }
}

/// An address may carry a password: only what can't is shown.
impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("connect_timeout", &self.connect_timeout())
            .field("request_timeout", &self.request_timeout())
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
