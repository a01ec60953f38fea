use super::*;
use crate::store::StoreOptions;

fn address(url: &str) -> Address {
    let cloud = Cloud::of(url.split_once("://").unwrap().0).unwrap();
    let account = (cloud == Cloud::Azure).then(|| "acmedb".to_owned());
    Address::parse(cloud, url, &StoreOptions { account, ..StoreOptions::default() }).unwrap()
}

fn answered(status: u16, code: &str) -> Seen {
    let answer = Answer { status, code: code.to_owned(), request_id: "R".to_owned(), ..Answer::default() };
    Seen { host: "h".to_owned(), change_sent: true, answer: Some(answer) }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: source.into() }
}

#[track_caller]
fn explained(action: Action, seen: &Seen) -> Error {
    let error = explain(&address("s3://bucket/p"), action, &generic("the crate's words"), seen);
    assert!(!error.message().contains("the crate's words"), "{error}");
    error
}

#[test]
fn each_answer_has_its_status_and_what_to_change() {
    for (action, status, code, expected, retryable, words) in [
        (Action::Read, 404, "NoSuchBucket", Status::Storage, false, "create it"),
        (Action::Replace, 404, "NoSuchBucket", Status::Storage, false, "create it"),
        (Action::Create, 404, "", Status::Storage, false, "create it"),
        (Action::List, 404, "ContainerNotFound", Status::Storage, false, "create it"),
        (Action::Read, 403, "AccessDenied", Status::AccessDenied, false, "without s3:ListBucket"),
        (Action::Create, 403, "AccessDenied", Status::AccessDenied, false, "s3:PutObject"),
        (Action::Remove, 403, "AccessDenied", Status::AccessDenied, false, "s3:DeleteObject"),
        (Action::List, 403, "", Status::AccessDenied, false, "s3:ListBucket"),
        (Action::Read, 400, "ExpiredToken", Status::AccessDenied, false, "expired"),
        (Action::Read, 403, "RequestTimeTooSkewed", Status::AccessDenied, false, "clock"),
        (Action::Read, 403, "SignatureDoesNotMatch", Status::AccessDenied, false, "credentials"),
        (Action::Read, 301, "PermanentRedirect", Status::Config, false, "region"),
        (Action::Read, 400, "AuthorizationHeaderMalformed", Status::Config, false, "region"),
        (Action::Create, 503, "SlowDown", Status::Throttled, true, "fewer"),
        (Action::Create, 429, "", Status::Throttled, true, "fewer"),
        (Action::Create, 503, "ServiceUnavailable", Status::Storage, true, "try again"),
        (Action::Read, 500, "InternalError", Status::Storage, true, "try again"),
        (Action::Create, 501, "NotImplemented", Status::Unsupported, false, "does not know"),
        (Action::Create, 412, "PreconditionFailed", Status::AlreadyExists, false, "already"),
        (Action::Create, 409, "ConditionalRequestConflict", Status::AlreadyExists, false, "already"),
        (Action::Replace, 412, "PreconditionFailed", Status::Conflict, true, "read it"),
        (Action::Replace, 404, "NoSuchKey", Status::Conflict, true, "read it"),
        (Action::Overwrite, 409, "OperationAborted", Status::Storage, true, "try again"),
        (Action::Read, 400, "InvalidArgument", Status::Storage, false, "check"),
    ] {
        let error = explained(action, &answered(status, code));
        let found = (error.status(), error.is_retryable());
        assert_eq!(found, (expected, retryable), "{action:?} {status} {code}: {error}");
        assert!(error.message().contains(words), "{words:?} is missing in: {error}");
        if !says_no_bucket(&Answer { code: code.to_owned(), ..Answer::default() }) && status != 404 {
            assert_eq!((error.provider_code(), error.request_id()), (code, "R"), "{error}");
        }
    }
}

#[test]
fn only_a_plain_no_says_that_a_write_did_not_happen() {
    for (status, code, unknown) in [
        (412, "PreconditionFailed", true),
        (409, "ConditionalRequestConflict", true),
        (500, "InternalError", true),
        (503, "SlowDown", true),
        (403, "AccessDenied", false),
        (301, "PermanentRedirect", false),
        (501, "NotImplemented", false),
        (404, "NoSuchBucket", false),
    ] {
        for action in [Action::Create, Action::Replace] {
            let error = explained(action, &answered(status, code));
            assert_eq!(error.is_outcome_unknown(), unknown, "{status} {code}: {error}");
        }
        let not_sent = Seen { change_sent: false, ..answered(status, code) };
        assert!(!explained(Action::Create, &not_sent).is_outcome_unknown());
    }
}

#[test]
fn silence_is_told_from_a_connection_that_never_was() {
    let sent = Seen { host: "h".to_owned(), change_sent: true, answer: None };
    for (kind, status, unknown) in [
        (HttpErrorKind::Timeout, Status::Timeout, true),
        (HttpErrorKind::Interrupted, Status::Storage, true),
        (HttpErrorKind::Request, Status::Storage, true),
        (HttpErrorKind::Decode, Status::Storage, true),
        (HttpErrorKind::Unknown, Status::Storage, true),
        (HttpErrorKind::Connect, Status::Storage, false),
    ] {
        let broken = generic(HttpError::new(kind, std::io::Error::other("broken")));
        let error = explain(&address("s3://bucket/p"), Action::Create, &broken, &sent);
        assert_eq!((error.status(), error.is_outcome_unknown()), (status, unknown), "{kind:?}: {error}");
        assert!(error.is_retryable(), "{error}");
    }
}

#[test]
fn a_refused_token_is_not_the_stores_refusal() {
    let seen = Seen { host: "oauth2.googleapis.com".to_owned(), change_sent: false, ..answered(401, "") };
    let error = explain(&address("gs://bucket/p"), Action::Create, &generic("x"), &seen);
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::AccessDenied, false));
    assert!(error.message().contains("oauth2.googleapis.com gave no token"), "{error}");
    for (url, variable) in
        [("gs://bucket/p", "GOOGLE_APPLICATION_CREDENTIALS"), ("az://bucket/p", "AZURE_CLIENT_ID")]
    {
        let machine = Seen { host: "169.254.169.254".to_owned(), ..answered(403, "") };
        let error = explain(&address(url), Action::Read, &generic("x"), &machine);
        assert!(error.message().contains(variable), "{error}");
    }
    let away = Seen { answer: answered(503, "").answer, ..seen };
    let error = explain(&address("gs://bucket/p"), Action::Read, &generic("x"), &away);
    assert!(error.status() == Status::Storage && error.is_retryable(), "{error}");
}

#[test]
fn our_own_errors_come_through_and_the_region_is_named() {
    let own = fail!(AccessDenied, "no AWS credentials were found");
    let error = explain(&address("s3://bucket/p"), Action::Read, &generic(own), &Seen::default());
    assert_eq!(error.message(), "no AWS credentials were found");
    let mut seen = answered(301, "PermanentRedirect");
    seen.answer.as_mut().unwrap().region = "eu-west-1".to_owned();
    assert!(explained(Action::Read, &seen).message().contains("eu-west-1: say so by region"));
    let odd = explain(&address("s3://bucket/p"), Action::Read, &generic("no ETag"), &Seen::default());
    assert_eq!(odd.status(), Status::Storage);
    assert!(odd.message().contains("no ETag"), "{odd}");
}
