use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;

use super::*;

const ASKED: Asked<'_> = Asked { action: "kms:Decrypt", resource: "alias/db" };

type Failed = SdkError<AssumeRoleError, HttpResponse>;

fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> HttpResponse {
    let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
    for (name, value) in headers {
        answer.headers_mut().insert(*name, *value);
    }
    answer
}

fn service_error(code: &str, message: &str, answer: HttpResponse) -> Failed {
    let meta = ErrorMetadata::builder().code(code).message(message).build();
    SdkError::service_error(AssumeRoleError::generic(meta), answer)
}

#[test]
fn a_refusal_keeps_what_aws_said() {
    let headers = [("x-amzn-requestid", "id-7"), ("retry-after", "2")];
    let failed = service_error("com.amazonaws#ThrottlingException:http://x", "slow", answer(400, &headers));
    let error = error(ASKED, failed);
    assert_eq!(error.status(), Status::Throttled);
    assert_eq!((error.provider_code(), error.request_id()), ("ThrottlingException", "id-7"));
    assert_eq!(error.retry_after_ms(), 2000);
    assert!(error.message().starts_with("kms:Decrypt of alias/db: AWS refused: ThrottlingException: slow"));
}

#[test]
fn success_with_garbage_is_corrupt_and_not_repeated() {
    let error = error(ASKED, service_error("", "", answer(200, &[])));
    assert_eq!(error.status(), Status::Corrupt);
    assert!(!error.is_retryable());
}

#[test]
fn a_deleted_secret_is_not_a_wrong_name() {
    let of = |message| error(ASKED, service_error("InvalidRequestException", message, answer(400, &[])));
    let deleted = of("You can't perform this operation because it was marked for deletion.");
    assert_eq!(deleted.status(), Status::KeyDisabled);
    assert_eq!(of("no").status(), Status::Config);
}

#[test]
fn a_clock_that_is_right_is_not_blamed() {
    let now = DateTime::from(SystemTime::now()).fmt(Format::HttpDate).unwrap();
    for (date, blamed) in [("Wed, 21 Oct 2015 07:28:00 GMT", true), (now.leak(), false), ("soon", false)] {
        let headers = [("date", date)];
        let error = error(ASKED, service_error("SignatureDoesNotMatch", "", answer(403, &headers)));
        assert_eq!(error.is_retryable(), blamed, "{date}");
        assert_eq!(error.message().contains("NTP"), blamed, "{date}");
    }
}

#[test]
fn a_signatures_message_ends_before_the_token() {
    let message = "does not match. The Canonical String for this request: x-amz-security-token:TOKEN";
    let error = error(ASKED, service_error("SignatureDoesNotMatch", message, answer(403, &[])));
    assert!(!error.message().contains("TOKEN") && error.message().contains("does not match."), "{error}");
}

#[test]
fn a_printed_request_is_not_shown() {
    let printed = r#"failed to apply endpoint to Request { body: "{\"Plaintext\":\"KEK\"}" }"#;
    let failed: Failed = SdkError::dispatch_failure(ConnectorError::other(printed.into(), None));
    let error = error(ASKED, failed);
    assert_eq!(error.status(), Status::KmsUnavailable);
    assert!(!error.message().contains("KEK") && error.message().contains("check endpoint"), "{error}");
}

#[test]
fn silence_is_a_timeout() {
    let failed: Failed = SdkError::timeout_error("late");
    assert_eq!(error(ASKED, failed).status(), Status::Timeout);
    let failed: Failed = SdkError::dispatch_failure(ConnectorError::timeout("late".into()));
    assert_eq!(error(ASKED, failed).status(), Status::Timeout);
}

#[test]
fn an_address_of_the_callers_that_is_wrong_is_the_configurations() {
    let failed: Failed = SdkError::dispatch_failure(ConnectorError::user("no host".into()));
    assert_eq!(error(ASKED, failed).status(), Status::Config);
}

#[test]
fn a_broken_answer_is_as_its_status_says() {
    const ID: (&str, &str) = ("x-amzn-requestid", "id-7");
    const NONE: (&str, &str) = ("via", "a proxy");
    for (number, id, status) in [
        (200, ID, Status::KmsUnavailable),
        (403, ID, Status::AccessDenied),
        (403, NONE, Status::KmsUnavailable),
        (429, NONE, Status::Throttled),
    ] {
        let failed: Failed = SdkError::response_error("half", answer(number, &[("retry-after", "3"), id]));
        let error = error(ASKED, failed);
        assert_eq!((error.status(), error.retry_after_ms()), (status, 3000), "{number}");
    }
}

#[test]
fn a_refusal_without_code_counts_if_it_is_aws_s() {
    let of = |headers: &[_]| error(ASKED, service_error("", "", answer(403, headers)));
    let refused = of(&[("x-amzn-requestid", "id-7")]);
    assert_eq!((refused.status(), refused.request_id()), (Status::AccessDenied, "id-7"));
    let on_the_way = of(&[]);
    assert_eq!((on_the_way.status(), on_the_way.provider_code()), (Status::KmsUnavailable, "HTTP 403"));
    assert!(on_the_way.message().contains("not AWS's"), "{on_the_way}");
}

#[test]
fn a_code_of_someone_on_the_way_is_not_aws_s() {
    let of = |code, headers: &[_]| error(ASKED, service_error(code, "", answer(403, headers)));
    assert_eq!(of("blocked", &[]).status(), Status::KmsUnavailable);
    assert_eq!(of("ANewException", &[("x-amzn-requestid", "id-7")]).status(), Status::AccessDenied);
}

#[test]
fn a_code_in_the_head_counts_where_the_body_was_lost() {
    let head = [("x-amzn-errortype", "DisabledException:http://x")];
    let refused = error(ASKED, service_error("", "", answer(400, &head)));
    assert_eq!((refused.status(), refused.provider_code()), (Status::KeyDisabled, "DisabledException"));
    let failed: Failed = SdkError::response_error("half", answer(400, &head));
    assert_eq!(error(ASKED, failed).status(), Status::KeyDisabled);
}

#[test]
fn what_aws_refuses_with_is_no_silence_whoever_wrote_it_anew() {
    assert_eq!(error(ASKED, service_error("", "", answer(400, &[]))).status(), Status::Config);
}

#[test]
fn missing_credentials_are_told_through_the_role_that_needs_them() {
    let none = CredentialsError::not_loaded("no profile");
    let sts: Failed = SdkError::dispatch_failure(ConnectorError::other(none.into(), None));
    let failed: Failed =
        SdkError::dispatch_failure(ConnectorError::other(CredentialsError::provider_error(sts).into(), None));
    let error = error(ASKED, failed);
    assert_eq!(error.status(), Status::AccessDenied);
    assert!(error.message().contains("no AWS credentials were found"), "{error}");
}

#[test]
fn each_kind_of_missing_credentials_has_its_status() {
    for (error, status) in [
        (CredentialsError::not_loaded("x"), Status::AccessDenied),
        (CredentialsError::provider_timed_out(Duration::ZERO), Status::Timeout),
        (CredentialsError::invalid_configuration("x"), Status::Config),
        (CredentialsError::provider_error("x"), Status::KmsUnavailable),
        (CredentialsError::unhandled("x"), Status::KmsUnavailable),
    ] {
        assert_eq!(credentials_error(&error).status(), status, "{error}");
        assert!(!is_refusal(&error));
    }
}
