//! AWS's error codes: the status that a host acts on, and what to change.

use crate::error::Status;

/// What an error code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: Status,
    pub advice: &'static str,
}

const DENIED: &str =
    "allow it in the role's IAM policy and in the key's (or the secret's, the role's) own policy";
const CREDENTIALS: &str =
    "the credentials are not valid: check AWS_ACCESS_KEY_ID, the profile, or the machine's role";
const EXPIRED: &str = "the credentials have expired: renew them (a new session token)";
const SIGNATURE: &str = "the signature was refused: check the secret access key, and this machine's clock";
const NO_KEY: &str = "check key_id and region: the key or secret must exist in that account and region";
const ADDRESS: &str = "check key_id and endpoint";
const NOT_AWS: &str = "check endpoint and proxy, and what stands on the way to AWS";
const LATER: &str = "AWS has a fault of its own: try again";
const SLOWER: &str = "AWS asks for fewer requests: try again later, or have the quota raised";

/// What a code means; `None` for one that is not known, where the HTTP status decides.
pub(super) fn of_code(code: &str) -> Option<Refusal> {
    let (status, advice) = match code {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "LimitExceededException" => (Status::Throttled, SLOWER),

        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "UnauthorizedException"
        | "OptInRequired" => (Status::AccessDenied, DENIED),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException" => (Status::AccessDenied, CREDENTIALS),
        "ExpiredTokenException"
        | "ExpiredToken"
        | "TokenRefreshRequired"
        | "IDPRejectedClaim"
        | "InvalidIdentityToken" => (Status::AccessDenied, EXPIRED),
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "RequestInTheFuture" => (Status::AccessDenied, SIGNATURE),
        "RegionDisabledException" => (
            Status::AccessDenied,
            "AWS STS is not switched on in that region: switch it on in the account, or use another region",
        ),
        "DecryptionFailure" => (
            Status::AccessDenied,
            "Secrets Manager may not use the KMS key that the secret is encrypted with: allow kms:Decrypt on that key",
        ),

        "DisabledException" => (Status::KeyDisabled, "the key is disabled: enable it (aws kms enable-key)"),
        "KMSInvalidStateException" => (
            Status::KeyDisabled,
            "the key is disabled or pending deletion, or its material is not there: enable it, or cancel its deletion",
        ),
        "NotFoundException" | "ResourceNotFoundException" => (Status::KeyNotFound, NO_KEY),

        "IncorrectKeyException" => (
            Status::AuthenticationFailed,
            "another key wrapped this KEK (an alias that points elsewhere now?): add that key to the slot's former_key_ids",
        ),
        "InvalidCiphertextException" => (
            Status::AuthenticationFailed,
            "the wrap was altered, belongs to another index or was made by a key of another account or region: restore \
             the record from its backup",
        ),

        "InvalidArnException"
        | "InvalidKeyUsageException"
        | "InvalidKeyId"
        | "UnsupportedOperationException" => (
            Status::Config,
            "key_id must name a symmetric key for encryption (SYMMETRIC_DEFAULT), by its id, ARN or alias/NAME",
        ),
        "ValidationException"
        | "ValidationError"
        | "InvalidParameterException"
        | "InvalidAction"
        | "UnknownOperationException"
        | "InvalidParameterValue"
        | "MalformedPolicyDocument" => (Status::Config, ADDRESS),

        "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "KMSInternalException"
        | "InternalFailure"
        | "InternalServiceError"
        | "InternalError"
        | "InternalServerError"
        | "InternalServerException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "IDPCommunicationError"
        | "CloudHsmClusterInvalidConfigurationException"
        | "XksProxyUnreachableException" => (Status::KmsUnavailable, LATER),
        _ => return None,
    };
    Some(Refusal { status, advice })
}

/// What an HTTP status means where the code says nothing. An answer that `is_aws` has AWS's request id; without one it is
/// that of a proxy or a firewall on the way, which tells nothing of the key.
pub(super) fn of_http_status(status: u16, is_aws: bool) -> Refusal {
    let (status, advice) = match status {
        408 | 500..=599 => (Status::KmsUnavailable, LATER),
        429 => (Status::Throttled, SLOWER),
        // What AWS itself refuses with, so it may be one of its refusals that someone on the way has written anew.
        400 => (Status::Config, ADDRESS),
        _ if !is_aws => (Status::KmsUnavailable, NOT_AWS),
        401 | 403 => (Status::AccessDenied, DENIED),
        _ => (Status::Config, ADDRESS),
    };
    Refusal { status, advice }
}

/// Whether it may be this machine's clock that was refused.
pub(super) fn may_be_the_clock(code: &str) -> bool {
    matches!(
        code,
        "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed"
            | "RequestExpired"
            | "RequestInTheFuture"
            | "AuthFailure"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_more_than_the_http_status() {
        for (code, status) in [
            ("ThrottlingException", Status::Throttled),
            ("AccessDeniedException", Status::AccessDenied),
            ("ExpiredToken", Status::AccessDenied),
            ("RequestTimeTooSkewed", Status::AccessDenied),
            ("DisabledException", Status::KeyDisabled),
            ("KMSInvalidStateException", Status::KeyDisabled),
            ("NotFoundException", Status::KeyNotFound),
            ("IncorrectKeyException", Status::AuthenticationFailed),
            ("InvalidCiphertextException", Status::AuthenticationFailed),
            ("InvalidKeyUsageException", Status::Config),
            ("KMSInternalException", Status::KmsUnavailable),
        ] {
            assert_eq!(of_code(code).unwrap().status, status, "{code}");
        }
        assert_eq!(of_code("ANewKindOfException"), None);
        assert_eq!(of_code(""), None);
    }

    #[test]
    fn an_http_status_alone_is_never_damage() {
        for number in 0..=u16::MAX {
            let status = of_http_status(number, true).status;
            assert!(!matches!(status, Status::Corrupt | Status::AuthenticationFailed | Status::KeyDisabled));
            assert_eq!(status.is_retryable(), matches!(number, 408 | 429 | 500..=599), "{number}");
        }
    }

    #[test]
    fn an_answer_that_is_not_aws_s_tells_nothing_of_the_key() {
        for number in 0..=u16::MAX {
            assert_eq!(of_http_status(number, false).status.is_retryable(), number != 400, "{number}");
        }
    }

    #[test]
    fn every_signature_that_may_be_the_clocks_fault_is_told_as_one() {
        for code in ["InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"] {
            assert!(may_be_the_clock(code) && of_code(code).unwrap().advice.contains("clock"), "{code}");
        }
        assert!(!may_be_the_clock("AccessDeniedException"));
    }
}
