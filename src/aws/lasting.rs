//! Credentials that outlast a failure to refresh them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, error::CredentialsError, future};

/// What is left of credentials must do for the request that they are given to.
const LEFT: Duration = Duration::from_secs(30);

/// A provider that gives its last credentials once more when it can't get new ones and those are still good: they
/// are refreshed minutes before their end, and STS being away meanwhile must not stop an index.
#[derive(Debug)]
pub(super) struct Lasting<P> {
    provider: P,
    last: Mutex<Option<Credentials>>,
}

impl<P: ProvideCredentials> Lasting<P> {
    pub(super) fn new(provider: P) -> Lasting<P> {
        Lasting { provider, last: Mutex::new(None) }
    }

    async fn credentials(&self) -> provider::Result {
        let given = self.provider.provide_credentials().await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match given {
            Ok(credentials) => {
                *last = Some(credentials.clone());
                Ok(credentials)
            }
            Err(error) if is_silence(&error) => last.clone().filter(is_still_good).ok_or(error),
            Err(error) => {
                *last = None;
                Err(error)
            }
        }
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Lasting<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(is_still_good)
    }
}

/// Whether nobody has said no: a role that was taken away must not go on for the minutes that are left.
fn is_silence(error: &CredentialsError) -> bool {
    match error {
        CredentialsError::ProviderTimedOut(_) => true,
        error => super::error::sts_refusal(error).is_none(),
    }
}

fn is_still_good(credentials: &Credentials) -> bool {
    credentials.expiry().is_some_and(|end| end > SystemTime::now() + LEFT)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[derive(Debug)]
    struct Scripted(Mutex<VecDeque<provider::Result>>);

    impl ProvideCredentials for Scripted {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(self.0.lock().unwrap().pop_front().unwrap())
        }
    }

    fn credentials(key: &str, left: Duration) -> Credentials {
        Credentials::new(key, "secret", None, Some(SystemTime::now() + left), "test")
    }

    fn silence() -> provider::Result {
        Err(CredentialsError::provider_error("connection reset"))
    }

    #[tokio::test]
    async fn the_last_serve_on_while_they_are_good() {
        let long = Duration::from_secs(3600);
        let script =
            [silence(), Ok(credentials("a", long)), silence(), Ok(credentials("b", LEFT / 2)), silence()];
        let lasting = Lasting::new(Scripted(Mutex::new(script.into())));
        assert!(lasting.credentials().await.is_err());
        assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "a");
        assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "a");
        assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "b");
        assert!(lasting.credentials().await.is_err());
    }
}
