"""What a proxy does to a request that a rule matches. A fault is a function of an `Exchange`.

Before the server sees the request: `hang`, `reset`, `close`, `answer` and the canned answers, `held` and `late` with
`applied=False`. Behind it, so that it is applied: `lose`, `half`, `held`, `late`, `rewrite`, `answer(…, applied=True)`.
"""

import json

from .exchange import Answer


def hang(exchange):
    """No answer, and the server never sees it."""
    exchange.hang()


def reset(exchange):
    """A connection that is reset before the server sees the request."""
    exchange.reset()


def close(exchange):
    """A connection that is closed before the server sees the request."""
    exchange.close()


ENDS = {"rst": reset, "fin": close, "hang": hang}


def lose(how):
    """Applied, and the answer lost: by "rst", "fin" or "hang"."""
    end = ENDS[how]

    def fault(exchange):
        exchange.forward()
        end(exchange)

    return fault


def half(how="fin"):
    """Applied, and half of the answer's body (or of its head, where it has none), then "rst", "fin" or "hang"."""
    end = ENDS[how]

    def fault(exchange):
        received = exchange.forward()
        wire = exchange.wire(received)
        cut = len(wire) - (len(received.body) + 1) // 2 if received.body else len(wire) // 2
        exchange.sock.sendall(wire[:cut])
        end(exchange)

    return fault


def late(seconds, applied=True):
    """The answer comes `seconds` later; with `applied=False` the server sees the request that much later only."""

    def fault(exchange):
        received = exchange.forward() if applied else None
        exchange.proxy.ended.wait(seconds)
        exchange.send(received or exchange.forward())

    return fault


def held(gate, applied=True):
    """As `late`, until the test sets `gate` (a threading.Event): for an order of things without clocks."""

    def fault(exchange):
        received = exchange.forward() if applied else None
        while not (gate.wait(0.1) or exchange.proxy.ended.is_set()):
            pass
        exchange.send(received or exchange.forward())

    return fault


def rewrite(change):
    """Applied; the answer's body goes through `change`."""

    def fault(exchange):
        received = exchange.forward()
        exchange.send(received.with_body(change(received.body)))

    return fault


def rewrite_json(change):
    """Applied; `change` alters the JSON object of an answer, such as the Plaintext of a KMS."""

    def changed(body):
        value = json.loads(body)
        change(value)
        return json.dumps(value).encode()

    return rewrite(changed)


def answer(status, body=b"", headers=None, applied=False):
    """This answer; with `applied=True` behind the server's back, which has done what was asked."""
    canned = Answer(status, [(name.encode(), str(value).encode()) for name, value in (headers or {}).items()])

    def fault(exchange):
        if applied:
            exchange.forward()
        exchange.send(canned.with_body(body))

    return fault


def s3_error(status, code, retry_after=None, applied=False):
    """A refusal in S3's XML."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}, says the proxy</Message></Error>'
    return answer(status, body.encode(), _headers("application/xml", retry_after), applied)


def kms_error(status, code, retry_after=None, applied=False):
    """A refusal in the JSON of KMS, Secrets Manager and others."""
    body = json.dumps({"__type": code, "message": f"{code}, says the proxy"}).encode()
    headers = {"x-amzn-RequestId": "00000000-0000-4000-8000-70726f787921"}
    return answer(status, body, headers | _headers("application/x-amz-json-1.1", retry_after), applied)


def sts_error(status, code):
    """A refusal in STS's XML."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{code}, says the proxy</Message></Error>"
    body = f"<ErrorResponse>{error}<RequestId>00000000-0000-4000-8000-70726f787921</RequestId></ErrorResponse>"
    return answer(status, body.encode(), _headers("text/xml", None))


def _headers(content_type, retry_after):
    return {"Content-Type": content_type} | ({} if retry_after is None else {"Retry-After": retry_after})


def conflict(applied=False):
    """S3's 409: two conditional writes at once."""
    return s3_error(409, "ConditionalRequestConflict", applied=applied)


def slow_down(retry_after=None, applied=False):
    """S3's 503."""
    return s3_error(503, "SlowDown", retry_after, applied)


def throttled(retry_after=None):
    """KMS's 400 for too many requests."""
    return kms_error(400, "ThrottlingException", retry_after)


def too_many(retry_after=None):
    """A 429, as Google's and other servers say it."""
    return answer(429, b"too many requests, says the proxy", _headers("text/plain", retry_after))


def internal(applied=False):
    """A 500 without anything that a client could read."""
    return answer(500, b"internal error, says the proxy", _headers("text/plain", None), applied)
