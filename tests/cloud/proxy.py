"""Each fault of the tests' own proxy is what it says, seen from a client; without a rule nothing changes.

build/venv/bin/python -m tests.cloud.run proxy
"""

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import obstore

from tests.services import Proxy, faults
from tests.services.server import HOST, free_port

from .clients import aws_error, azure_store, gcs_store, outcome, s3_store

SERVERS = ("moto", "ministack", "azurite", "gcs")


def raw(port, request, patience=30):
    """Everything that comes back for a request's bytes, and how the connection ended: "fin", "rst" or "hang"."""
    with socket.create_connection((HOST, port), 30) as sock:
        sock.sendall(request)
        sock.settimeout(patience)
        received = b""
        while True:
            try:
                piece = sock.recv(65536)
            except ConnectionResetError:
                return received, "rst"
            except TimeoutError:
                return received, "hang"
            if not piece:
                return received, "fin"
            received += piece


def put(place, proxy, fault, applied, patience=30):
    """Writes an object of Google's store through a proxy with a fault. Gives what came and how it ended; the object must
    be there, or not."""
    bucket = place.name()
    place.gcs.create_bucket(bucket)
    rule = proxy.on(fault, method="PUT", path=f"/{bucket}/object")
    head = (
        f"PUT /{bucket}/object HTTP/1.1\r\nHost: {HOST}:{proxy.port}\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    )
    received, end = raw(proxy.port, head.encode() + b"bytes", patience)
    assert rule.hits == 1
    until = time.monotonic() + 30
    # Of an answer that did not come nobody knows whether the server is done yet.
    while applied and not stored(place, bucket) and time.monotonic() < until:
        time.sleep(0.05)
    assert stored(place, bucket) == applied
    return received, end


def stored(place, bucket):
    """Whether the server itself has the object."""
    try:
        with urllib.request.urlopen(f"{place.gcs.url}/{bucket}/object", timeout=30) as answer:
            return answer.read() == b"bytes"
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
        return False


def test_broken_before_the_server_sees_it(place):
    proxy = place.proxy(place.gcs)
    assert put(place, proxy, faults.reset, False) == (b"", "rst")
    assert put(place, proxy, faults.close, False) == (b"", "fin")
    assert put(place, proxy, faults.hang, False, patience=0.5) == (b"", "hang")


def test_applied_and_lost(place):
    proxy = place.proxy(place.gcs)
    for how in ("rst", "fin", "hang"):
        assert put(place, proxy, faults.lose(how), True, 0.5 if how == "hang" else 30) == (b"", how), how


def test_half_an_answer(place):
    kms = place.moto.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    proxy = place.proxy(place.moto)
    body = json.dumps({"KeyId": key}).encode()
    request = (
        f"POST / HTTP/1.1\r\nHost: {HOST}:{proxy.port}\r\nX-Amz-Target: TrentService.DescribeKey\r\n"
        "Content-Type: application/x-amz-json-1.1\r\nAuthorization: AWS4-HMAC-SHA256 "
        "Credential=AKIATEST/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=5e\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
    whole, _ = raw(proxy.port, request)
    for how in ("fin", "rst"):
        proxy.on(faults.half(how), target="DescribeKey")
        part, end = raw(proxy.port, request)
        assert end == how
        # A reset may drop what the client had not read yet.
        assert how == "rst" or (b"\r\n\r\n" in part and len(whole) // 2 < len(part) < len(whole)), part
    proxy.on(faults.half("hang"), target="DescribeKey")
    part, end = raw(proxy.port, request, 3)
    assert end == "hang" and b"200" in part and len(part) < len(whole)


def test_half_of_an_answer_without_a_body(place):
    received, end = put(place, place.proxy(place.gcs), faults.half(), True)
    assert end == "fin" and received.startswith(b"HTTP/1.1 200") and b"\r\n\r\n" not in received


def test_late_answers(place):
    proxy = place.proxy(place.gcs)
    assert put(place, proxy, faults.late(600), True, patience=0.5) == (b"", "hang")
    assert put(place, proxy, faults.late(600, applied=False), False, patience=0.5) == (b"", "hang")
    for fault in (faults.late(0.1), faults.late(0.1, applied=False)):
        received, end = put(place, proxy, fault, True)
        assert received.startswith(b"HTTP/1.1 200") and end == "fin"


def test_held_until_the_test_says_so(place):
    proxy, bucket = place.proxy(place.gcs), place.name()
    store = gcs_store(place.gcs, bucket, proxy.url)
    gate = threading.Event()
    proxy.on(faults.held(gate, applied=False), method="PUT")
    first = threading.Thread(target=obstore.put, args=(store, "object", b"first"))
    first.start()
    while proxy.count(method="PUT") == 0:
        first.join(0.01)
    # The first is held before the server: the second overtakes it.
    obstore.put(store, "object", b"second", mode="create")
    gate.set()
    first.join(30)
    assert bytes(obstore.get(store, "object").bytes()) == b"first"


def test_canned_answers_of_stores(place):
    proxy = place.proxy(place.gcs)
    for fault, status, words, header in (
        (faults.conflict(), 409, b"<Code>ConditionalRequestConflict</Code>", b""),
        (faults.slow_down(), 503, b"<Code>SlowDown</Code>", b""),
        (faults.slow_down(retry_after=7), 503, b"<Code>SlowDown</Code>", b"Retry-After: 7"),
        (faults.too_many(retry_after=2), 429, b"too many", b"Retry-After: 2"),
        (faults.internal(), 500, b"internal error", b""),
        (faults.answer(418, b"tea", {"X-Pot": "1"}), 418, b"tea", b"X-Pot: 1"),
    ):
        received, end = put(place, proxy, fault, False)
        assert received.startswith(b"HTTP/1.1 %d" % status) and words in received and header in received, received
        assert end == "fin"
    for fault in (faults.conflict(applied=True), faults.slow_down(applied=True), faults.internal(applied=True)):
        received, end = put(place, proxy, fault, True)
        assert received[9:12] in (b"409", b"503", b"500") and end == "fin"


def test_canned_answers_of_a_kms(place):
    proxy = place.proxy(place.moto)
    kms = place.moto.client("kms", endpoint=proxy.url)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    encrypt = {"KeyId": key, "Plaintext": b"kek"}
    proxy.on(faults.throttled(retry_after=3), target="TrentService.Encrypt")
    assert aws_error(kms.encrypt, **encrypt) == ("ThrottlingException", 400)
    proxy.on(faults.kms_error(500, "KMSInternalException"), target="TrentService.Encrypt")
    assert aws_error(kms.encrypt, **encrypt) == ("KMSInternalException", 500)
    kms.encrypt(**encrypt)


def test_answers_rewritten(place):
    proxy = place.proxy(place.moto)
    kms = place.moto.client("kms", endpoint=proxy.url)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    wrapped = kms.encrypt(KeyId=key, Plaintext=b"k" * 32)["CiphertextBlob"]
    for plaintext, given in (("AAAA", b"\0\0\0"), ("", b""), ("QUFB" * 100, b"A" * 300)):
        proxy.on(faults.rewrite_json(lambda answer: answer.update(Plaintext=plaintext)), target="Decrypt")
        assert kms.decrypt(CiphertextBlob=wrapped)["Plaintext"] == given
    assert kms.decrypt(CiphertextBlob=wrapped)["Plaintext"] == b"k" * 32
    received, _ = put(place, place.proxy(place.gcs), faults.rewrite(lambda body: b"other"), True)
    assert received.endswith(b"\r\n\r\nother")


def test_rules_match_and_count(place):
    proxy = place.proxy(place.moto)
    kms = place.moto.client("kms", endpoint=proxy.url)
    key = kms.create_key(Description="the key")["KeyMetadata"]["KeyId"]
    never = [
        proxy.on(faults.reset, method="GET"),
        proxy.on(faults.reset, target="TrentService.Decrypt"),
        proxy.on(faults.reset, headers={"X-Amz-Target": "Decrypt"}),
        proxy.on(faults.reset, body=b"another key"),
        proxy.on(faults.reset, scope="secretsmanager"),
        proxy.on(faults.reset, path="/bucket"),
        proxy.on(faults.reset, times=0),
    ]
    twice = proxy.on(faults.internal(), times=2, method="POST", body=key.encode(), scope="/us-east-1/kms/")
    codes = [aws_error(kms.describe_key, KeyId=key)[1] for _ in range(2)]
    kms.describe_key(KeyId=key)
    assert codes == [500, 500] and twice.hits == 2 and sum(rule.hits for rule in never) == 0
    assert proxy.count(target="DescribeKey") == 3 and proxy.count() == 4 and proxy.count(method="GET") == 0
    assert [line.fault for line in proxy.requests()] == [False, True, True, False]
    proxy.clear()
    assert proxy.count() == 0 and proxy.rules == []


def test_chance_is_the_same_each_time(place):
    kept = []
    for _ in range(2):
        proxy = place.proxy(place.gcs)
        rule = proxy.on(faults.internal(), times=None, chance=0.3, seed=7)
        store = gcs_store(place.gcs, place.name(), proxy.url)
        kept.append([isinstance(outcome(obstore.put, store, "object", b"x"), dict) for _ in range(50)])
        assert rule.hits == kept[-1].count(False)
    assert kept[0] == kept[1] and 5 < kept[0].count(False) < 30, kept


def test_the_log_has_no_secret(place):
    proxy = place.proxy(place.ministack)
    user = place.ministack.user(place.name("user"))
    kms = place.ministack.client("kms", endpoint=proxy.url, **user)
    kms.encrypt(KeyId=kms.create_key()["KeyMetadata"]["KeyId"], Plaintext=b"the plaintext")
    line = proxy.requests()[-1]
    assert (line.method, line.path, line.target) == ("POST", "/", "TrentService.Encrypt")
    key, _, region, service, end = line.scope.split("/")
    assert (key, region, service, end) == (user["access_key"], "us-east-1", "kms", "aws4_request")
    azure = place.proxy(place.azurite)
    obstore.put(azure_store(place.azurite, place.name(), azure.url), "object", b"x")
    assert azure.requests()[-1].scope == "SharedKey"
    assert "Signature" not in str(proxy.requests()) and "plaintext" not in str(proxy.requests())


def test_signatures_stay_valid(place):
    """ministack and azurite check them, Host included."""
    user, bucket = place.ministack.user(place.name("user")), place.bucket(place.ministack)
    s3 = place.ministack.client("s3", endpoint=place.proxy(place.ministack).url, **user)
    # boto3 asks for "100 Continue" and sends chunks with a checksum behind them.
    s3.put_object(Bucket=bucket, Key="a b/é", Body=b"bytes")
    assert s3.get_object(Bucket=bucket, Key="a b/é")["Body"].read() == b"bytes"
    assert s3.head_object(Bucket=bucket, Key="a b/é")["ContentLength"] == 5
    forger = place.ministack.client("s3", endpoint=place.proxy(place.ministack).url, **user | {"secret_key": "wrong"})
    assert aws_error(forger.get_object, Bucket=bucket, Key="a b/é")[0] == "SignatureDoesNotMatch"


def test_stores_work_through_it(place):
    bucket, azure, google = place.bucket(place.moto), place.proxy(place.azurite), place.proxy(place.gcs)
    for store in (
        s3_store(place.moto, bucket, place.proxy(place.moto).url),
        azure_store(place.azurite, place.name(), azure.url),
        gcs_store(place.gcs, place.name(), google.url),
    ):
        data = bytes(range(256)) * 4096
        obstore.put(store, "records/object", data, mode="create")
        assert bytes(obstore.get(store, "records/object").bytes()) == data
        assert [meta["size"] for page in obstore.list(store) for meta in page] == [len(data)]
        obstore.delete(store, "records/object")
        assert outcome(obstore.head, store, "records/object") == "FileNotFoundError"


def test_connections_are_kept(place):
    proxy = place.proxy(place.moto)  # moto itself closes each
    client = http.client.HTTPConnection(HOST, proxy.port, timeout=30)
    proxy.on(faults.internal())
    for status in (500, 200, 200):
        client.request("GET", "/moto-api/data.json")
        answer = client.getresponse()
        answer.read()
        assert answer.status == status
    assert proxy.connections == 1 and proxy.count() == 3
    client.close()


def test_a_server_that_is_gone_is_no_fault_of_a_rule(place):
    with Proxy(f"http://{HOST}:{free_port()}") as proxy:
        received, _ = raw(proxy.port, f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        assert received.startswith(b"HTTP/1.1 502") and b"the server behind the proxy does not answer" in received


def test_the_end_of_a_proxy_ends_what_hangs(place):
    proxy = Proxy(place.gcs.url)
    with proxy:
        proxy.on(faults.hang, times=None)
        sock = socket.create_connection((HOST, proxy.port), 30)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while proxy.count() == 0:
            time.sleep(0.01)
    sock.settimeout(30)
    assert sock.recv(1) == b""
    sock.close()
    refused = socket.socket()
    assert refused.connect_ex((HOST, proxy.port)) != 0
    refused.close()
