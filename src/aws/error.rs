//! What a failed request to AWS means: a status, AWS's own code and request id, and what to change.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use super::refusal::{self, Refusal};
use crate::error::{Error, Status, fail};
use crate::net::causes_that;

/// AWS takes a request whose time is off by five minutes.
const MAX_SKEW: Duration = Duration::from_secs(300);
/// More of a foreign message than this helps nobody.
const MAX_MESSAGE: usize = 600;

/// What was asked, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The action, as IAM calls it: `kms:Decrypt`.
    pub action: &'a str,
    /// What it was asked of: a key, a secret.
    pub resource: &'a str,
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.action, self.resource)
    }
}

/// The error of a failed request.
pub fn error<E>(asked: Asked<'_>, failed: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    meaning_of(&failed).context(asked)
}

fn meaning_of<E>(failed: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    if let Some(error) = find::<CredentialsError>(failed) {
        return credentials_error(error);
    }
    match failed {
        SdkError::ServiceError(answer) => refused(answer.err(), Some(answer.raw())),
        SdkError::TimeoutError(_) => no_answer(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => no_answer(),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            fail!(Config, "the request can't be made: {}; check endpoint and proxy", causes(failed))
        }
        SdkError::DispatchFailure(_) => fail!(
            KmsUnavailable,
            "AWS can't be reached: {}; check endpoint, region and proxy, and the way there",
            causes(failed)
        ),
        SdkError::ResponseError(answer) => broken_answer(answer.raw(), &causes(failed)),
        _ => fail!(Internal, "the request can't be made: {}", causes(failed)),
    }
}

fn no_answer() -> Error {
    fail!(Timeout, "AWS did not answer in time: check endpoint, region and proxy, or raise request_timeout")
}

/// An answer that is none: half of one, or a page of some proxy's.
fn broken_answer(answer: &HttpResponse, cause: &str) -> Error {
    let status = answer.status().as_u16();
    let request_id = answer.request_id();
    let code = code_in_the_head(answer).map(plain_code).unwrap_or_default();
    let meaning = if answer.status().is_success() {
        Status::KmsUnavailable
    } else {
        refusal_of(code, "").unwrap_or_else(|| refusal::of_http_status(status, request_id.is_some())).status
    };
    fail!(
        KmsUnavailable,
        "the answer (HTTP {status}) is not one of AWS's: {}; check endpoint and proxy",
        cause
    )
    .with_status(meaning)
    .with_provider(format!("HTTP {status}"), request_id.unwrap_or_default())
    .with_retry_after_ms(retry_after_ms(answer))
}

/// What AWS, or its STS, said no with.
fn refused<E: ProvideErrorMetadata>(error: &E, answer: Option<&HttpResponse>) -> Error {
    let http_status = answer.map_or(0, |answer| answer.status().as_u16());
    let code = error.code().filter(|code| !code.is_empty());
    let code = plain_code(code.or_else(|| answer.and_then(code_in_the_head)).unwrap_or_default());
    let message = error.message().unwrap_or_default();
    if (200..300).contains(&http_status) {
        let advice = "check endpoint, and who answers there";
        return fail!(Corrupt, "AWS answered with success and with garbage (HTTP {http_status}); {advice}");
    }
    let request_id = answer.and_then(RequestId::request_id).or_else(|| error.meta().request_id());
    let known = refusal_of(code, message);
    // What others on the way answer may have a code of theirs.
    let is_aws = known.is_some() || request_id.is_some();
    let Refusal { status, advice } = known.unwrap_or_else(|| refusal::of_http_status(http_status, is_aws));
    let who = if is_aws { "AWS refused" } else { "the answer is not AWS's" };
    let shown = if code.is_empty() { format!("HTTP {http_status}") } else { code.to_owned() };
    let mut refused = fail!(Internal, "{who}: {shown}: {}; {advice}", without_secrets(message))
        .with_status(status)
        .with_provider(shown.clone(), request_id.unwrap_or_default())
        .with_retry_after_ms(answer.map_or(0, retry_after_ms));
    if refusal::may_be_the_clock(code)
        && let Some(skew) = answer.and_then(clock_skew)
    {
        let wait = format!("this machine's clock is {} s off AWS's: set it (NTP)", skew.as_secs());
        // The SDK has learnt the difference from this answer.
        refused = refused.context(wait).with_retryable(true);
    }
    refused
}

/// A code may come with its namespace in front or an address behind.
fn plain_code(code: &str) -> &str {
    code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default()
}

/// Where the SDK does not look if the body is not AWS's.
fn code_in_the_head(answer: &HttpResponse) -> Option<&str> {
    answer.headers().get("x-amzn-errortype")
}

fn refusal_of(code: &str, message: &str) -> Option<Refusal> {
    // Secrets Manager has one code for much.
    if code == "InvalidRequestException" {
        let is_deleted = message.contains("deletion") || message.contains("deleted");
        let advice = "the secret is to be deleted: restore it (aws secretsmanager restore-secret)";
        return Some(if is_deleted {
            Refusal { status: Status::KeyDisabled, advice }
        } else {
            Refusal { status: Status::Config, advice: "check key_id, the name or ARN of the secret" }
        });
    }
    refusal::of_code(code)
}

/// Why there are no credentials to ask with.
pub fn credentials_error(error: &CredentialsError) -> Error {
    if let Some(error) = no_role(error) {
        return error;
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => fail!(
            AccessDenied,
            "no AWS credentials were found ({}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile that \
             has them, or give this machine a role",
            causes(error)
        ),
        CredentialsError::ProviderTimedOut(_) => fail!(
            Timeout,
            "AWS credentials did not come in time: check the way to STS or to the metadata service, or raise \
             request_timeout"
        ),
        CredentialsError::InvalidConfiguration(_) => {
            fail!(
                Config,
                "the configuration of the AWS credentials is wrong: {}; check the profile and the AWS_ variables",
                causes(error)
            )
        }
        _ => fail!(
            KmsUnavailable,
            "AWS credentials could not be had: {}; check the profile and the way to where they come from",
            causes(error)
        ),
    }
}

const ROLE: &str = "the role can't be assumed (its trust policy must allow sts:AssumeRole to these credentials, with \
                    the slot's external_id)";
const WEB_ROLE: &str = "the role can't be assumed (AWS_ROLE_ARN's trust policy must allow \
                        sts:AssumeRoleWithWebIdentity to the token in AWS_WEB_IDENTITY_TOKEN_FILE)";

/// Why a role's credentials are missing, where they are a role's.
fn no_role(error: &CredentialsError) -> Option<Error> {
    let (error, refused) = if let Some(failed) = find::<SdkError<AssumeRoleError, HttpResponse>>(error) {
        (meaning_of(failed), ROLE)
    } else {
        let failed = find::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>(error)?;
        (meaning_of(failed), WEB_ROLE)
    };
    // Garbage from STS tells nothing of the key.
    let is_garbage = error.status() == Status::Corrupt;
    let error = if is_garbage { error.with_status(Status::KmsUnavailable) } else { error };
    let passes = error.is_retryable();
    Some(error.context(if passes { "no answer with the role's credentials from STS" } else { refused }))
}

/// Whether STS has said that these credentials are not to be had.
pub(super) fn is_refusal(error: &CredentialsError) -> bool {
    // With neither a code nor a request id of AWS's it was someone on the way.
    no_role(error).is_some_and(|error| {
        !error.is_retryable()
            && !error.provider_code().is_empty()
            && (!error.provider_code().starts_with("HTTP ") || !error.request_id().is_empty())
    })
}

/// The first cause of this type.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Why there was no answer. The SDK prints a whole request where it can't be sent, and in its body there may be a KEK: no
/// text with a printed structure in it is shown.
fn causes(error: &(dyn StdError + 'static)) -> String {
    shorten(&causes_that(error, |text| !text.contains(['{', '"'])))
}

/// What the answer asks to wait: whole seconds, as HTTP has it.
fn retry_after_ms(answer: &HttpResponse) -> u64 {
    let seconds = answer.headers().get("retry-after").and_then(|text| text.trim().parse::<u64>().ok());
    seconds.map_or(0, |seconds| seconds.saturating_mul(1000))
}

/// How far the answer's time is from ours, where that is why a signature was refused.
fn clock_skew(answer: &HttpResponse) -> Option<Duration> {
    let date = answer.headers().get("date")?;
    let theirs = SystemTime::try_from(DateTime::from_str(date, Format::HttpDate).ok()?).ok()?;
    let now = SystemTime::now();
    let skew = now.duration_since(theirs).or_else(|_| theirs.duration_since(now)).ok()?;
    (skew >= MAX_SKEW).then_some(skew)
}

/// A refused signature's message repeats the request, and with it the session's token.
fn without_secrets(message: &str) -> String {
    let end = message.find("The Canonical String").unwrap_or(message.len());
    shorten(message[..end].trim_end())
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
