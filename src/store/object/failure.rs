//! What went wrong, as a status that a host acts on and a line that says what to change.

use object_store::client::{HttpError, HttpErrorKind};

use super::address::Address;
use super::wire::{Answer, Seen};
use super::{Action, Cloud};
use crate::error::{Error, Status, fail};
use crate::net::causes;

/// Codes by which the clouds say that the bucket, not the object, is missing.
const NO_BUCKET: [&str; 4] =
    ["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "AccountNotFound"];
const SLOWER: [&str; 6] =
    ["SlowDown", "Slow Down", "ServerBusy", "TooManyRequests", "RequestLimitExceeded", "ThrottlingException"];
/// S3 calls these bad requests.
const NO_CREDENTIALS: [&str; 3] = ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"];
const WRONG_REGION: [&str; 3] =
    ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"];

/// The error of a request. A write's is marked where the write may have happened, and that goes for a refusal too:
/// `object_store`, or a proxy in between, may have sent it twice.
pub(super) fn explain(address: &Address, action: Action, error: &object_store::Error, seen: &Seen) -> Error {
    if let Some(own) = cause::<Error>(error) {
        return own.clone();
    }
    let asked_store = seen.host.is_empty() || address.serves(&seen.host);
    let explained = match (cause::<HttpError>(error), &seen.answer) {
        (Some(broken), _) => transport(address, broken, seen),
        (None, Some(answer)) if !asked_store => no_token(address.cloud, answer, seen),
        (None, Some(answer)) => refusal(address, action, answer),
        (None, None) => {
            let text = causes(error);
            fail!(Storage, "{address}: the server's answer can't be used ({text}): is this an object store?")
        }
    };
    let was_sent = seen.change_sent && !never_left(error);
    if was_sent && may_have_happened(&explained, seen) { explained.with_outcome_unknown() } else { explained }
}

/// The first cause of a kind.
fn cause<'e, T: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e T> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(found) = this.downcast_ref::<T>() {
            return Some(found);
        }
        error = this.source();
    }
    None
}

fn never_left(error: &object_store::Error) -> bool {
    cause::<HttpError>(error).is_some_and(|broken| broken.kind() == HttpErrorKind::Connect)
}

/// A plain no to who we are, or to where we write, is proof; everything else may hide a write that was done.
fn may_have_happened(explained: &Error, seen: &Seen) -> bool {
    let is_no = matches!(explained.status(), Status::AccessDenied | Status::Config | Status::Unsupported);
    let bucket_is_missing = seen.answer.as_ref().is_some_and(says_no_bucket);
    !is_no && !bucket_is_missing
}

/// Whether the server says that the object, not the bucket, is missing.
pub(super) fn is_absent(seen: &Seen) -> bool {
    seen.answer
        .as_ref()
        .is_some_and(|answer| answer.status == 404 && !answer.code.is_empty() && !says_no_bucket(answer))
}

/// Whether it says that something is missing, and not what.
pub(super) fn says_nothing(seen: &Seen) -> bool {
    seen.answer.as_ref().is_some_and(|answer| answer.status == 404 && answer.code.is_empty())
}

pub(super) fn says_no_bucket(answer: &Answer) -> bool {
    NO_BUCKET.contains(&&*answer.code)
}

fn transport(address: &Address, broken: &HttpError, seen: &Seen) -> Error {
    let (host, why) = (&seen.host, causes(broken));
    match broken.kind() {
        HttpErrorKind::Timeout => fail!(
            Timeout,
            "{address}: {host} did not answer within connect_timeout ({:?}) and request_timeout ({:?}): try again later, \
             or allow more",
            address.options.connect_timeout(),
            address.options.request_timeout()
        ),
        HttpErrorKind::Connect => fail!(
            Storage,
            "{address}: no connection to {host} ({why}): check endpoint, region, network and TLS certificates"
        )
        .with_retryable(true),
        _ => fail!(Storage, "{address}: the connection to {host} broke ({why}): try again")
            .with_retryable(true),
    }
}

/// Where a machine is asked for its own credentials, as the last resort.
const METADATA: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// Who gives out tokens refused one.
fn no_token(cloud: Cloud, answer: &Answer, seen: &Seen) -> Error {
    let (status, host) = (answer.status, &seen.host);
    let advice = match cloud {
        _ if !METADATA.iter().any(|metadata| host.starts_with(metadata)) => {
            "check the credentials that this program was given"
        }
        Cloud::S3 => "no other credentials were found: set AWS_ACCESS_KEY_ID, or give this machine a role",
        Cloud::Google => {
            "no other credentials were found: set credentials_file or GOOGLE_APPLICATION_CREDENTIALS, or give this \
             machine a service account"
        }
        Cloud::Azure => {
            "no other credentials were found: set AZURE_STORAGE_ACCOUNT_KEY, or AZURE_CLIENT_ID, AZURE_TENANT_ID and \
             AZURE_CLIENT_SECRET, or give this machine an identity"
        }
    };
    let error = fail!(AccessDenied, "{host} gave no token (HTTP {status}{}): {advice}", told(answer));
    provided(
        if status >= 500 { error.with_status(Status::Storage).with_retryable(true) } else { error },
        answer,
    )
}

fn refusal(address: &Address, action: Action, answer: &Answer) -> Error {
    let status = answer.status;
    let what = format!("{address}: refused (HTTP {status}{})", told(answer));
    let code = &*answer.code;
    let error = match status {
        _ if says_no_bucket(answer) => no_bucket(address, answer),
        429 => throttled(&what),
        500.. if SLOWER.contains(&code) => throttled(&what),
        _ if WRONG_REGION.contains(&code) || status == 301 => wrong_region(&what, answer),
        400 if NO_CREDENTIALS.contains(&code) => {
            fail!(AccessDenied, "{what}: {}", denied(address.cloud, action, code))
        }
        401 | 403 => fail!(AccessDenied, "{what}: {}", denied(address.cloud, action, code)),
        404 if !action.can_miss() => no_bucket(address, answer),
        404 | 304 | 409 | 412 if action == Action::Create => {
            fail!(AlreadyExists, "{what}: there is one already")
        }
        404 | 304 | 409 | 412 if action == Action::Replace => {
            fail!(Conflict, "{what}: someone else changed it: read it and try again")
        }
        409 => fail!(Storage, "{what}: others change it at this moment: try again").with_retryable(true),
        501 => fail!(Unsupported, "{what}: this server does not know what was asked: use one that does"),
        408 | 500.. => fail!(Storage, "{what}: the server has trouble: try again later").with_retryable(true),
        _ => {
            fail!(Storage, "{what}: the server does not take the request: check bucket, endpoint and region")
        }
    };
    provided(error, answer)
}

/// What the server said itself, for a message.
fn told(answer: &Answer) -> String {
    let (code, words) = (&answer.code, &answer.words);
    match (code.is_empty(), words.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(", {code}"),
        (true, false) => format!(", {words:?}"),
        (false, false) => format!(", {code}, {words:?}"),
    }
}

fn provided(error: Error, answer: &Answer) -> Error {
    error.with_provider(&*answer.code, &*answer.request_id).with_retry_after_ms(answer.retry_after_ms)
}

/// The error of a bucket that is not there.
fn no_bucket(address: &Address, answer: &Answer) -> Error {
    let what = match address.cloud {
        Cloud::Azure => "container",
        _ => "bucket",
    };
    fail!(
        Storage,
        "{address}: there is no {what} {:?} (HTTP {}{}): create it, or check its name and the store's settings",
        address.bucket,
        answer.status,
        told(answer)
    )
}

fn throttled(what: &str) -> Error {
    fail!(Throttled, "{what}: the store asks for fewer requests: try again later")
}

fn wrong_region(what: &str, answer: &Answer) -> Error {
    let region = &*answer.region;
    let advice = if region.is_empty() {
        "another one: say which by region".to_owned()
    } else {
        format!("{region}: say so by region")
    };
    fail!(Config, "{what}: the bucket's region is {advice}")
}

fn denied(cloud: Cloud, action: Action, code: &str) -> String {
    match code {
        "ExpiredToken" | "TokenRefreshRequired" => "the credentials have expired: renew them".to_owned(),
        "RequestTimeTooSkewed" => "this machine's clock is wrong: set it".to_owned(),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthenticationFailed" | "InvalidToken" => {
            "the server does not know these credentials: check them".to_owned()
        }
        "AuthorizationFailure" => {
            format!(
                "check the credentials and the account's network rules, and allow {}",
                action.permission(cloud)
            )
        }
        _ => {
            let absent = match (cloud, action) {
                (Cloud::S3, Action::Read) => {
                    "; without s3:ListBucket S3 says this of a record that is not there, too"
                }
                _ => "",
            };
            format!("allow {}{absent}", action.permission(cloud))
        }
    }
}

#[cfg(test)]
mod tests;
