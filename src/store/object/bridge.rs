//! The AWS SDK's credentials for `object_store`, which asks for them with each request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

use crate::aws;
use crate::error::{Error, Status};

/// Credentials are renewed this long before they end.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);
/// Those that do not say when they end, such as a file's, are looked at again after this time.
const LOOKED_AT_AGAIN: Duration = Duration::from_secs(900);
/// What is left of them must do for a request.
const LEFT: Duration = Duration::from_secs(30);

/// Keeps credentials until they are about to end.
#[derive(Debug)]
pub(super) struct Bridge {
    provider: SharedCredentialsProvider,
    /// Behind a lock that is not held while the provider is asked.
    kept: Mutex<Option<Kept>>,
    /// Held by the one request that asks the provider.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    credential: Arc<AwsCredential>,
    renew_at: SystemTime,
    ends_at: Option<SystemTime>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        SystemTime::now() < self.renew_at
    }

    fn is_good(&self) -> bool {
        self.ends_at.is_some_and(|end| SystemTime::now() + LEFT < end)
    }
}

impl Bridge {
    pub(super) fn new(provider: SharedCredentialsProvider) -> Bridge {
        Bridge { provider, kept: Mutex::default(), renewing: tokio::sync::Mutex::default() }
    }

    fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn renew(&self) -> Result<Kept, Error> {
        let found = self
            .provider
            .provide_credentials()
            .await
            .map_err(|error| in_store(aws::credentials_error(&error)))?;
        let now = SystemTime::now();
        let renew_at = match found.expiry() {
            None => now + LOOKED_AT_AGAIN,
            Some(end) => end.checked_sub(RENEWED_BEFORE).unwrap_or(now),
        };
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        let kept = Kept { credential, renew_at, ends_at: found.expiry() };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept.clone());
        Ok(kept)
    }

    async fn current(&self) -> Result<Kept, Error> {
        if let Some(kept) = self.kept().filter(Kept::is_fresh) {
            return Ok(kept);
        }
        let _renewing = match (self.renewing.try_lock(), self.kept().filter(Kept::is_good)) {
            (Ok(renewing), _) => renewing,
            (Err(_), Some(kept)) => return Ok(kept),
            (Err(_), None) => self.renewing.lock().await,
        };
        match self.kept().filter(Kept::is_fresh) {
            Some(kept) => Ok(kept),
            None => self.renew().await,
        }
    }
}

/// No KMS was asked.
fn in_store(error: Error) -> Error {
    match error.status() {
        Status::KmsUnavailable => error.with_status(Status::Storage).with_retryable(true),
        _ => error,
    }
}

#[async_trait]
impl CredentialProvider for Bridge {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self.current().await {
            Ok(kept) => Ok(kept.credential),
            Err(error) => Err(object_store::Error::Generic { store: "S3", source: Box::new(error) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::{self, error::CredentialsError, future};

    use super::*;

    #[derive(Debug)]
    struct Counting {
        asked: Arc<AtomicUsize>,
        /// Seconds that each is good for.
        lasts: Option<u64>,
    }

    impl Counting {
        async fn next(&self) -> provider::Result {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            let end = self.lasts.map(|seconds| SystemTime::now() + Duration::from_secs(seconds));
            Ok(Credentials::new(format!("key {number}"), "secret", None, end, "test"))
        }
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(self.next())
        }
    }

    fn bridge(lasts: Option<u64>) -> (Bridge, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let provider = Counting { asked: Arc::clone(&asked), lasts };
        (Bridge::new(SharedCredentialsProvider::new(provider)), asked)
    }

    async fn key(bridge: &Bridge) -> String {
        bridge.get_credential().await.unwrap().key_id.clone()
    }

    #[tokio::test]
    async fn credentials_are_kept_until_they_are_about_to_end() {
        for (lasts, expected) in [(None, "key 0"), (Some(3600), "key 0"), (Some(299), "key 1")] {
            let (bridge, _) = bridge(lasts);
            assert_eq!(key(&bridge).await, "key 0");
            assert_eq!(key(&bridge).await, expected, "{lasts:?}");
        }
    }

    #[tokio::test]
    async fn many_requests_ask_once() {
        let (bridge, asked) = bridge(None);
        let keys = futures_util::future::join_all((0..8).map(|_| key(&bridge))).await;
        assert!(keys.iter().all(|key| key == "key 0"));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_renewal_while_the_old_ones_are_good() {
        let (bridge, _) = bridge(Some(299));
        assert_eq!(key(&bridge).await, "key 0");
        let keys = futures_util::future::join(key(&bridge), key(&bridge)).await;
        assert_eq!(keys, ("key 1".to_owned(), "key 0".to_owned()));
    }

    #[tokio::test]
    async fn what_is_wrong_with_them_is_told_as_ours() {
        let none = provider::future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none")));
        let error = in_store(aws::credentials_error(&none.await.unwrap_err()));
        assert_eq!(error.status(), Status::AccessDenied);
        let broken = in_store(aws::credentials_error(&CredentialsError::provider_error("reset")));
        assert!(broken.status() == Status::Storage && broken.is_retryable());
    }
}
