"""What goes wrong on the way: each of AWS's codes, faults of the network, time. A proxy before moto makes them.

build/venv/bin/python -m tests.cloud.run aws_errors
"""

import json
import threading
import time

from tests.services import faults

from .aws import DECRYPT, create, engine, new_key, opened, refused, slot, use

SERVERS = ("moto",)
REQUEST_ID = "00000000-0000-4000-8000-70726f787921"

# AWS's code, what it becomes, what the message says to change.
REFUSALS = (
    ("AccessDeniedException", "ACCESS_DENIED", "IAM policy"),
    ("AccessDenied", "ACCESS_DENIED", "IAM policy"),
    ("UnrecognizedClientException", "ACCESS_DENIED", "AWS_ACCESS_KEY_ID"),
    ("InvalidClientTokenId", "ACCESS_DENIED", "AWS_ACCESS_KEY_ID"),
    ("MissingAuthenticationTokenException", "ACCESS_DENIED", "AWS_ACCESS_KEY_ID"),
    ("IncompleteSignatureException", "ACCESS_DENIED", "AWS_ACCESS_KEY_ID"),
    ("ExpiredTokenException", "ACCESS_DENIED", "renew"),
    ("InvalidSignatureException", "ACCESS_DENIED", "secret access key"),
    ("SignatureDoesNotMatch", "ACCESS_DENIED", "secret access key"),
    ("DisabledException", "KEY_DISABLED", "aws kms enable-key"),
    ("KMSInvalidStateException", "KEY_DISABLED", "cancel its deletion"),
    ("NotFoundException", "KEY_NOT_FOUND", "region"),
    ("ResourceNotFoundException", "KEY_NOT_FOUND", "region"),
    ("IncorrectKeyException", "AUTHENTICATION_FAILED", "former_key_ids"),
    ("InvalidCiphertextException", "AUTHENTICATION_FAILED", "restore"),
    ("InvalidArnException", "CONFIG", "alias/NAME"),
    ("InvalidKeyUsageException", "CONFIG", "SYMMETRIC_DEFAULT"),
    ("ValidationException", "CONFIG", "key_id"),
    ("com.amazonaws.kms#DisabledException", "KEY_DISABLED", "aws kms enable-key"),
    ("AccessDeniedException:http://internal.amazon.com/", "ACCESS_DENIED", "IAM policy"),
    ("ANewKindOfException", "CONFIG", "endpoint"),
)
TROUBLES = (
    (400, "ThrottlingException", "THROTTLED", "fewer requests"),
    (400, "LimitExceededException", "THROTTLED", "quota"),
    (500, "KeyUnavailableException", "KMS_UNAVAILABLE", "try again"),
    (503, "DependencyTimeoutException", "KMS_UNAVAILABLE", "try again"),
    (500, "KMSInternalException", "KMS_UNAVAILABLE", "try again"),
    (500, "InternalFailure", "KMS_UNAVAILABLE", "try again"),
    (503, "ServiceUnavailable", "KMS_UNAVAILABLE", "try again"),
    (500, "ANewKindOfException", "KMS_UNAVAILABLE", "try again"),
    (429, "ANewKindOfException", "THROTTLED", "fewer requests"),
)


def behind(place, **settings):
    """An index whose key is behind a proxy: the proxy, the engine, the key."""
    use(place, place.moto)
    proxy, key = place.proxy(place.moto), new_key(place.moto)
    ours = engine(place, prod=slot(proxy, "aws-kms", key, **settings))
    create(ours, "customers")
    return proxy, ours, key


def fails(proxy, ours, fault, status, **expected):
    """The error of an opening while a fault lasts."""
    proxy.clear()
    proxy.on(fault, times=None, target=DECRYPT)
    ours.evict()
    return refused(status, ours.open_index, "customers", **expected)


def test_a_refusal_says_what_to_change_and_is_not_repeated(place):
    proxy, ours, key = behind(place)
    for code, status, words in REFUSALS:
        given = code.partition("#")[2] or code.partition(":")[0]
        words = ['slot "prod"', "kms:Decrypt of " + key, given, words]
        error = fails(proxy, ours, faults.kms_error(400, code), status, code=given, words=words)
        assert (error.request_id, error.retryable, error.retry_after_ms) == (REQUEST_ID, False, 0), vars(error)
        assert proxy.count(target=DECRYPT) == 1, code
        assert "\n" not in error.message


def test_a_trouble_is_repeated_as_often_as_the_slot_says(place):
    for retries in (0, 2):
        for number, code, status, words in TROUBLES:
            # A slot that fails all the time is tried again less and less: each gets a new one.
            proxy, ours, _ = behind(place, max_retries=retries)
            error = fails(proxy, ours, faults.kms_error(number, code), status, code=code, words=[words, "kms:Decrypt"])
            assert error.retryable and error.request_id == REQUEST_ID, vars(error)
            assert proxy.count(target=DECRYPT) == 1 + retries, (code, proxy.requests())


def test_a_trouble_that_passes_is_not_noticed(place):
    proxy, ours, _ = behind(place)
    for fault in (faults.reset, faults.close, faults.half(), faults.internal(), faults.throttled(), faults.too_many()):
        proxy.clear()
        proxy.on(fault, times=3)
        ours.evict()
        opened(ours, "customers")
        assert proxy.count(target=DECRYPT) == 4
    assert ours.stats().kms_retries == 18


def test_the_time_to_wait_is_told_and_heeded(place):
    proxy, ours, _ = behind(place, max_retries=1, deadline="3s")
    assert fails(proxy, ours, faults.throttled(), "THROTTLED").retry_after_ms == 0
    assert proxy.count(target=DECRYPT) == 2
    error = fails(proxy, ours, faults.throttled(60), "THROTTLED", code="ThrottlingException")
    assert error.retry_after_ms == 60_000
    assert proxy.count(target=DECRYPT) == 1, "it was asked again before the time"
    proxy.clear()
    proxy.on(faults.too_many(1), target=DECRYPT)
    begun = time.monotonic()
    ours.evict()
    opened(ours, "customers")
    assert time.monotonic() - begun >= 1 and proxy.count(target=DECRYPT) == 2


def test_a_time_to_wait_that_is_nonsense(place):
    proxy, ours, _ = behind(place, max_retries=0)
    for text in ("soon", "-1", "1e9", "", "Wed, 21 Oct 2026 07:28:00 GMT"):
        assert fails(proxy, ours, faults.throttled(text), "THROTTLED").retry_after_ms == 0
    assert fails(proxy, ours, faults.throttled("99999999999999999999"), "THROTTLED").retry_after_ms == 0
    assert fails(proxy, ours, faults.throttled("18446744073709551615"), "THROTTLED").retry_after_ms == 2**64 - 1


def test_faults_of_the_network(place):
    proxy, ours, key = behind(place, max_retries=1)
    for fault, words in (
        (faults.reset, "can't be reached"),
        (faults.close, "can't be reached"),
        (faults.half(), "not one of AWS's"),
        (faults.half("rst"), "not one of AWS's"),
    ):
        error = fails(proxy, ours, fault, "KMS_UNAVAILABLE", words=[words, "endpoint", key])
        assert error.retryable and proxy.count(target=DECRYPT) == 2, vars(error)


def test_nobody_there(place):
    use(place, place.moto)
    away = slot(place.moto, "aws-kms", "alias/none", endpoint="http://127.0.0.1:1", max_retries=0)
    ours = engine(place, prod=away, unknown=away | {"endpoint": "http://nobody.invalid"})
    words = ["endpoint", "refused"]
    assert refused("KMS_UNAVAILABLE", ours.create_index, "customers", "prod", words=words).retryable
    assert refused("KMS_UNAVAILABLE", ours.create_index, "customers", "unknown", words="endpoint").retryable


def test_silence_ends_with_the_requests_time(place):
    for fault in (faults.hang, faults.half("hang"), faults.lose("hang")):
        proxy, ours, _ = behind(place, request_timeout="300ms", max_retries=1)
        error = fails(proxy, ours, fault, "TIMEOUT", words="request_timeout")
        assert error.retryable and proxy.count(target=DECRYPT) == 2, vars(error)


def test_silence_ends_with_the_deadline(place):
    proxy, ours, _ = behind(place, request_timeout="1m", deadline="500ms", max_retries=5)
    begun = time.monotonic()
    fails(proxy, ours, faults.hang, "TIMEOUT", words="deadline")
    assert proxy.count(target=DECRYPT) == 1 and time.monotonic() - begun < 30


def test_why_it_was_tried_again_is_told_though_the_deadline_came(place):
    proxy, ours, _ = behind(place, request_timeout="1m", deadline="1s")
    ours.evict()
    proxy.clear()
    proxy.on(faults.throttled(), target=DECRYPT)
    proxy.on(faults.hang, times=None, target=DECRYPT)
    refused("THROTTLED", ours.open_index, "customers", code="ThrottlingException")


def test_an_answer_after_the_deadline_is_dropped(place):
    proxy, ours, _ = behind(place, deadline="500ms")
    gate = threading.Event()
    fails(proxy, ours, faults.held(gate), "TIMEOUT")
    gate.set()
    refused("TIMEOUT", ours.open_index, "customers")  # the failure is remembered for a second, the late key is not
    proxy.clear()
    ours.evict()
    opened(ours, "customers")
    assert proxy.count(target=DECRYPT) == 1


def test_pages_that_say_nothing(place):
    """A proxy's own page tells nothing of the key, but for HTTP 400, which is what AWS refuses with; with AWS's request id it
    is AWS's answer."""
    proxy, ours, _ = behind(place, max_retries=0)
    for number, status in (
        (400, "CONFIG"),
        (401, "ACCESS_DENIED"),
        (403, "ACCESS_DENIED"),
        (404, "CONFIG"),
        (407, "CONFIG"),
        (408, "KMS_UNAVAILABLE"),
        (502, "KMS_UNAVAILABLE"),
        (503, "KMS_UNAVAILABLE"),
    ):
        html = {"Content-Type": "text/html"}
        alone = status if number == 400 else "KMS_UNAVAILABLE"
        for headers, meaning in ((html, alone), (html | {"x-amzn-RequestId": "id-7"}, status)):
            page = faults.answer(number, b"<html>a page</html>", headers)
            error = fails(proxy, ours, page, meaning, code=f"HTTP {number}")
            assert f"HTTP {number}" in error.message, error.message


def test_a_redirect_is_not_followed(place):
    """It would carry the request, with its signature, to whoever the answer names."""
    proxy, ours, _ = behind(place, max_retries=0)
    other = place.proxy(place.moto)
    fails(proxy, ours, faults.answer(307, b"", {"Location": other.url + "/"}), "KMS_UNAVAILABLE", code="HTTP 307")
    assert other.count() == 0


SIGNED = {
    "__type": "InvalidSignatureException",
    "message": "The request signature we calculated does not match the signature you provided.\n\n"
    "The Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:TOPSECRETTOKEN'",
}


def refused_signature(value, **headers):
    return faults.answer(400, json.dumps(value).encode(), {"Content-Type": "application/x-amz-json-1.1"} | headers)


def test_a_refused_signature_does_not_tell_the_session_token(place):
    proxy, ours, _ = behind(place)
    words = ["secret access key", "calculated does not match"]
    code = "InvalidSignatureException"
    error = fails(proxy, ours, refused_signature(SIGNED), "ACCESS_DENIED", code=code, words=words)
    assert "TOPSECRETTOKEN" not in error.message and "Canonical" not in error.message, error.message


def test_a_clock_that_is_wrong(place):
    """The SDK learns the difference from the answer, so the second try is right."""
    proxy, ours, _ = behind(place, max_retries=1)
    old = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    words = ["clock", "NTP", "s off"]
    code = "InvalidSignatureException"
    error = fails(proxy, ours, refused_signature(SIGNED, **old), "ACCESS_DENIED", code=code, words=words)
    assert error.retryable and proxy.count(target=DECRYPT) == 2
    proxy.clear()
    proxy.on(refused_signature(SIGNED, **old), target=DECRYPT)
    learnt = proxy.on(faults.rewrite(lambda body: body), target=DECRYPT, headers={"X-Amz-Date": "2015"})
    ours.evict()
    opened(ours, "customers")
    assert learnt.hits == 1, "the second try was signed with the same time"


def test_a_long_answer_is_not_all_repeated(place):
    proxy, ours, _ = behind(place)
    value = {"__type": "AccessDeniedException", "message": "é" * 100_000}
    error = fails(proxy, ours, refused_signature(value), "ACCESS_DENIED", words="…")
    assert len(error.message) < 2000


def test_a_secrets_refusals(place):
    use(place, place.moto)
    proxy = place.proxy(place.moto)
    ours = engine(place, prod=slot(proxy, "aws", "secret", max_retries=0))
    for number, code, status, words in (
        (400, "AccessDeniedException", "ACCESS_DENIED", "secretsmanager:GetSecretValue"),
        (400, "DecryptionFailure", "ACCESS_DENIED", "kms:Decrypt"),
        (400, "InvalidRequestException", "CONFIG", "key_id"),
        (400, "InvalidParameterException", "CONFIG", "key_id"),
        (500, "InternalServiceError", "KMS_UNAVAILABLE", "try again"),
        (400, "ThrottlingException", "THROTTLED", "fewer"),
    ):
        proxy.clear()
        proxy.on(faults.kms_error(number, code))
        refused(status, ours.create_index, "customers", "prod", code=code, words=words)


def test_an_address_that_is_none(place):
    use(place, place.moto)
    for endpoint in ("127.0.0.1:4566", "ftp://127.0.0.1", "http://a b/", "http://a{b}", "http://é"):
        refused(
            "CONFIG", lambda: engine(place, prod=slot(place.moto, "aws-kms", "k", endpoint=endpoint)), words="endpoint"
        )
    # The environment's is not checked by us, and the SDK's own words repeat the request with the KEK in it.
    use(place, place.moto, AWS_ENDPOINT_URL_KMS="http://a b/")
    ours = engine(place, prod=slot(place.moto, "aws-kms", "k", endpoint=None, max_retries=0))
    error = refused("KMS_UNAVAILABLE", ours.create_index, "customers", "prod", words="not a valid URI")
    assert "Plaintext" not in error.message and "{" not in error.message, error.message


def test_a_trouble_while_the_index_is_open_does_not_stop_it_before_its_end(place):
    proxy, ours, _ = behind(place, max_retries=0)
    with ours.open_index("customers") as index:
        sealed = index.encrypt(b"x")
        proxy.on(faults.reset, times=None)
        assert refused("KMS_UNAVAILABLE", index.refresh).retryable
        assert index.decrypt(sealed) == b"x"
