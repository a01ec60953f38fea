//! Credentials that outlast a failure to refresh them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, error::CredentialsError, future};

/// What is left of credentials must do for the request that they are given to.
const LEFT: Duration = Duration::from_secs(30);
/// After a renewal that failed the next is tried this much later, so that not each request waits for it.
const PAUSE: Duration = Duration::from_secs(10);

/// A provider that gives its last credentials once more when it can't get new ones and those are still good: they
/// are renewed minutes before their end, and STS being away meanwhile must not stop an index.
#[derive(Debug)]
pub(super) struct Lasting<P> {
    provider: P,
    /// Of the requests that the credentials are for.
    request_timeout: Duration,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    credentials: Option<Credentials>,
    failed_at: Option<Instant>,
}

impl<P: ProvideCredentials> Lasting<P> {
    /// `request_timeout`: of the requests that the credentials are for, which waits for them, too.
    pub(super) fn new(provider: P, request_timeout: Duration) -> Lasting<P> {
        Lasting { provider, request_timeout, last: Mutex::default() }
    }

    async fn credentials(&self) -> provider::Result {
        let good = self.good();
        if let Some(good) = &good
            && self.last().failed_at.is_some_and(|at| at.elapsed() < PAUSE)
        {
            return Ok(good.clone());
        }
        // Before the request is over, so that it can say what was waited for; with good ones at hand, so that it can be made.
        let patience = if good.is_some() { self.request_timeout / 2 } else { self.request_timeout * 9 / 10 };
        let given = tokio::time::timeout(patience, self.provider.provide_credentials()).await;
        let given = given.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(patience)));
        let mut last = self.last();
        match given {
            Ok(credentials) => {
                *last = Last { credentials: Some(credentials.clone()), failed_at: None };
                Ok(credentials)
            }
            Err(error) if is_silence(&error) => {
                last.failed_at = Some(Instant::now());
                good.ok_or(error)
            }
            Err(error) => {
                *last = Last::default();
                Err(error)
            }
        }
    }

    fn good(&self) -> Option<Credentials> {
        self.last().credentials.clone().filter(is_still_good)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.good()
    }
}

/// Whether nobody has said no: a role that was taken away must not go on for the minutes that are left.
fn is_silence(error: &CredentialsError) -> bool {
    match error {
        CredentialsError::ProviderTimedOut(_) => true,
        error => !super::error::is_refusal(error),
    }
}

fn is_still_good(credentials: &Credentials) -> bool {
    credentials.expiry().is_some_and(|end| end > SystemTime::now() + LEFT)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use aws_sdk_sts::operation::assume_role::AssumeRoleError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::client::result::SdkError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// Gives these results; where there is none left, no answer comes.
    #[derive(Debug)]
    struct Scripted(Mutex<VecDeque<provider::Result>>);

    impl ProvideCredentials for Scripted {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            match self.0.lock().unwrap().pop_front() {
                Some(result) => future::ProvideCredentials::ready(result),
                None => future::ProvideCredentials::new(std::future::pending()),
            }
        }
    }

    fn lasting<const N: usize>(script: [provider::Result; N]) -> Lasting<Scripted> {
        Lasting::new(Scripted(Mutex::new(script.into())), Duration::from_millis(2))
    }

    fn credentials(key: &str, left: Duration) -> Credentials {
        Credentials::new(key, "secret", None, Some(SystemTime::now() + left), "test")
    }

    fn silence() -> provider::Result {
        Err(CredentialsError::provider_error("connection reset"))
    }

    fn refusal(status: u16, code: &str) -> provider::Result {
        let error = AssumeRoleError::generic(ErrorMetadata::builder().code(code).build());
        let answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        Err(CredentialsError::provider_error(SdkError::service_error(error, answer)))
    }

    #[tokio::test]
    async fn the_last_serve_on_while_they_are_good() {
        let lasting = lasting([silence(), Ok(credentials("a", LONG)), silence()]);
        assert!(lasting.credentials().await.is_err());
        assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "a");
        assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "a");
        // The renewal has just failed: it is not tried again, though it would wait for ever.
        assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "a");
        assert_eq!(lasting.fallback_on_interrupt().unwrap().access_key_id(), "a");
    }

    #[tokio::test]
    async fn no_answer_is_not_waited_for_for_ever() {
        let waiting = lasting([]);
        assert!(matches!(waiting.credentials().await, Err(CredentialsError::ProviderTimedOut(_))));
        let lasting = lasting([Ok(credentials("a", LONG))]);
        lasting.credentials().await.unwrap();
        assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "a");
    }

    #[tokio::test]
    async fn those_that_are_over_do_not_serve() {
        let lasting = lasting([Ok(credentials("a", LEFT / 2)), silence()]);
        lasting.credentials().await.unwrap();
        assert!(lasting.credentials().await.is_err());
        assert!(lasting.fallback_on_interrupt().is_none());
    }

    #[tokio::test]
    async fn those_without_an_end_are_not_kept() {
        let lasting = lasting([Ok(Credentials::new("a", "secret", None, None, "test")), silence()]);
        lasting.credentials().await.unwrap();
        assert!(lasting.credentials().await.is_err());
    }

    #[tokio::test]
    async fn a_no_is_a_no() {
        let lasting = lasting([Ok(credentials("a", LONG)), refusal(403, "AccessDenied")]);
        lasting.credentials().await.unwrap();
        assert!(lasting.credentials().await.is_err());
        assert!(lasting.fallback_on_interrupt().is_none());
    }

    #[tokio::test]
    async fn a_no_that_may_pass_is_none() {
        for answer in [refusal(400, "Throttling"), refusal(403, "")] {
            let lasting = lasting([Ok(credentials("a", LONG)), answer]);
            lasting.credentials().await.unwrap();
            assert_eq!(lasting.credentials().await.unwrap().access_key_id(), "a");
        }
    }
}
