"""The servers do what the library's tests rely on, the bad ones too: a version that behaves otherwise is found here.

build/venv/bin/python -m tests.cloud.run services
"""

import json
import socket
import urllib.error
import urllib.request

import obstore

from tests.services.proxy import Proxy
from tests.services.server import HOST

from .clients import aws_error, azure_store, gcs_store, outcome, race, s3_store, winners

SERVERS = ("moto", "localstack", "ministack", "s3rver", "azurite", "gcs")
CONTEXT = {"cyborg_kms:index": "customers"}


def condition(meta):
    """What a compare-and-swap compares: of Google's the version, of the others the ETag."""
    return {"e_tag": meta["e_tag"]} | ({"version": meta["version"]} if meta["version"] else {})


def one_wins(store):
    """Of racing creators one wins, of racing replacers too, in each of some rounds."""
    for round in range(5):
        name = f"records/{round} é%2F.kms.cat"
        made = race(16, lambda i: obstore.put(store, name, b"%d" % i, mode="create"))
        assert len(winners(made)) == 1 and made.count("AlreadyExistsError") == 15, made
        read = obstore.get(store, name)
        meta, stored = read.meta, bytes(read.bytes())
        assert isinstance(made[int(stored)], dict), "another's bytes than the winner's are there"
        replace = lambda i: obstore.put(store, name, b"new %d" % i, mode=condition(meta))  # noqa: E731
        replaced = race(16, replace)
        assert len(winners(replaced)) == 1 and replaced.count("PreconditionError") == 15, replaced
        obstore.delete(store, name)
        assert outcome(obstore.get, store, name) == "FileNotFoundError"


def s3_heeds_conditions(place, server):
    """These look and write in two steps, so several can win where the server sees two changes at once: it must not."""
    with Proxy(server.url, one_by_one=True) as proxy:
        one_wins(s3_store(server, place.bucket(server), endpoint=proxy.url))


def test_localstack_s3_heeds_conditions(place):
    s3_heeds_conditions(place, place.localstack)


def test_ministack_s3_heeds_conditions(place):
    s3_heeds_conditions(place, place.ministack)


def test_azurite_heeds_conditions(place):
    one_wins(azure_store(place.azurite, place.name()))


def test_gcs_heeds_conditions(place):
    one_wins(gcs_store(place.gcs, place.name()))


def test_s3rver_passes_over_conditions(place):
    store = s3_store(place.s3rver, place.bucket(place.s3rver))
    assert len(winners(race(32, lambda i: obstore.put(store, "record", b"%d" % i, mode="create")))) == 32
    meta = obstore.head(store, "record")
    obstore.put(store, "record", b"another's")
    obstore.put(store, "record", b"mine", mode=condition(meta))
    assert bytes(obstore.get(store, "record").bytes()) == b"mine"


def pages(server, bucket, query):
    """The names in each page of a list by the XML API, and the tokens' way through them."""
    token, found = "", []
    while True:
        with urllib.request.urlopen(f"{server.url}/{bucket}?list-type=2&{query}{token}", timeout=30) as answer:
            text = answer.read().decode()
        names = [
            part.partition("<")[0] for part in text.split("<Key>")[1:] + text.split("<CommonPrefixes><Prefix>")[1:]
        ]
        found.append(sorted(names))
        if "<NextContinuationToken>" not in text:
            return found
        token = "&continuation-token=" + text.split("<NextContinuationToken>")[1].partition("<")[0]


def test_gcs_lists_in_pages(place):
    bucket = place.name()
    store = gcs_store(place.gcs, bucket)
    for name in ("a/1", "a/2", "b", "c/1", "d"):
        obstore.put(store, name, b"x")
    assert pages(place.gcs, bucket, "max-keys=2") == [["a/1", "a/2"], ["b", "c/1"], ["d"]]
    assert pages(place.gcs, bucket, "max-keys=2&delimiter=/") == [["a/", "b"], ["c/", "d"]]
    assert pages(place.gcs, bucket, "prefix=a/&start-after=a/1") == [["a/2"]]
    assert [meta["path"] for page in obstore.list(store, offset="b") for meta in page] == ["c/1", "d"]
    meta = obstore.head(store, "b")
    assert meta["size"] == 1 and meta["version"].isdigit() and meta == obstore.get(store, "b").meta


def test_gcs_lists_more_than_a_page(place):
    store = gcs_store(place.gcs, place.name())
    names = [f"record-{number:04}" for number in range(1001)]
    race(8, lambda i: [obstore.put(store, name, b"x") for name in names[i::8]])
    assert [meta["path"] for page in obstore.list(store) for meta in page] == names


def test_gcs_refuses_as_the_xml_api_does(place):
    bucket = place.name()
    store = gcs_store(place.gcs, bucket)
    assert outcome(obstore.delete, store, "none") == "FileNotFoundError"
    for method, path, status, code, *headers in (
        ("GET", f"{bucket}/none", 404, "NoSuchKey"),
        ("GET", "no-bucket/none", 404, "NoSuchBucket"),
        ("PUT", "no-bucket/none", 404, "NoSuchBucket"),
        ("GET", "no-bucket?list-type=2", 404, "NoSuchBucket"),
        ("GET", f"{bucket}?list-type=2&max-keys=none", 400, "InvalidArgument"),
        ("POST", f"{bucket}/none?uploads", 501, "NotImplemented"),
        ("PUT", f"{bucket}/to", 501, "NotImplemented", ("X-Goog-Copy-Source", f"{bucket}/from")),
    ):
        data = None if method == "GET" else b"x"
        request = urllib.request.Request(f"{place.gcs.url}/{path}", data, dict(headers), method=method)
        try:
            urllib.request.urlopen(request, timeout=30)
            raise AssertionError(f"{method} {path} was not refused")
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            assert (error.code, f"<Code>{code}</Code>" in text) == (status, True), (path, error.code, text)


def test_localstack_kms_refuses_by_state(place):
    kms = place.localstack.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    wrapped = kms.encrypt(KeyId=key, Plaintext=b"kek", EncryptionContext=CONTEXT)["CiphertextBlob"]
    given = {"CiphertextBlob": wrapped, "EncryptionContext": CONTEXT}
    assert kms.decrypt(KeyId=key, **given)["Plaintext"] == b"kek"
    assert aws_error(kms.decrypt, KeyId=other, **given) == ("IncorrectKeyException", 400)
    assert aws_error(kms.decrypt, KeyId=key, CiphertextBlob=wrapped) == ("InvalidCiphertextException", 400)
    assert aws_error(kms.encrypt, KeyId="alias/none", Plaintext=b"kek") == ("NotFoundException", 400)
    kms.disable_key(KeyId=key)
    assert aws_error(kms.decrypt, KeyId=key, **given) == ("DisabledException", 400)
    assert aws_error(kms.encrypt, KeyId=key, Plaintext=b"kek") == ("DisabledException", 400)
    kms.enable_key(KeyId=key)
    assert kms.decrypt(KeyId=key, **given)["Plaintext"] == b"kek"
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert aws_error(kms.decrypt, KeyId=key, **given) == ("KMSInvalidStateException", 400)
    assert aws_error(kms.encrypt, KeyId=key, Plaintext=b"kek") == ("KMSInvalidStateException", 400)


def test_localstack_kms_has_replicas(place):
    here, there = place.localstack.client("kms"), place.localstack.client("kms", region="eu-west-1")
    key = here.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    here.replicate_key(KeyId=key, ReplicaRegion="eu-west-1")
    wrapped = here.encrypt(KeyId=key, Plaintext=b"kek")["CiphertextBlob"]
    assert there.decrypt(KeyId=key, CiphertextBlob=wrapped)["Plaintext"] == b"kek"


def test_moto_kms_binds_the_context(place):
    kms = place.moto.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    wrapped = kms.encrypt(KeyId=key, Plaintext=b"kek", EncryptionContext=CONTEXT)["CiphertextBlob"]
    assert kms.decrypt(KeyId=key, CiphertextBlob=wrapped, EncryptionContext=CONTEXT)["Plaintext"] == b"kek"
    assert aws_error(kms.decrypt, KeyId=key, CiphertextBlob=wrapped)[0] == "InvalidCiphertextException"
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    refused = aws_error(kms.decrypt, KeyId=key, CiphertextBlob=changed, EncryptionContext=CONTEXT)
    assert refused[0] == "InvalidCiphertextException"


def test_moto_kms_decrypts_in_any_state(place):
    """So states are tested with LocalStack."""
    kms = place.moto.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    wrapped = kms.encrypt(KeyId=key, Plaintext=b"kek")["CiphertextBlob"]
    kms.disable_key(KeyId=key)
    assert kms.decrypt(KeyId=key, CiphertextBlob=wrapped)["Plaintext"] == b"kek"
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert kms.decrypt(KeyId=key, CiphertextBlob=wrapped)["Plaintext"] == b"kek"


def test_moto_keeps_secrets(place):
    secrets, name = place.moto.client("secretsmanager"), place.name()
    arn = secrets.create_secret(Name=name, SecretBinary=b"k" * 32)["ARN"]
    assert secrets.get_secret_value(SecretId=arn)["SecretBinary"] == b"k" * 32
    secrets.put_secret_value(SecretId=name, SecretString="text")
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "text"
    # AWS says it with 400: the code is what counts.
    assert aws_error(secrets.get_secret_value, SecretId="none") == ("ResourceNotFoundException", 404)


def trust(external_id, account):
    """A role's trust policy that asks for an external id."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(action):
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(place, server):
    """A role with an external id, which may decrypt; gives what AssumeRole needs."""
    iam, name = server.client("iam"), place.name("role")
    account = server.client("sts").get_caller_identity()["Account"]
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("the-id", account))
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=allow("kms:Decrypt"))
    return {"RoleArn": made["Role"]["Arn"], "RoleSessionName": "tests"}


def assumed(server, **parameters):
    """A KMS client as a role."""
    given = server.client("sts").assume_role(**parameters)["Credentials"]
    names = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey", "session_token": "SessionToken"}
    return server.client("kms", **{argument: given[field] for argument, field in names.items()})


def test_moto_checks_no_external_id(place):
    """So external ids are tested with ministack."""
    place.moto.client("sts").assume_role(**role(place, place.moto))


def test_moto_iam_decides(place):
    kms = place.moto.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    wrapped = kms.encrypt(KeyId=key, Plaintext=b"kek")["CiphertextBlob"]
    as_role = assumed(place.moto, **role(place, place.moto), ExternalId="the-id")
    place.moto.check_iam()
    place.cleanup.callback(place.moto.trust)
    assert as_role.decrypt(KeyId=key, CiphertextBlob=wrapped)["Plaintext"] == b"kek"
    assert aws_error(as_role.encrypt, KeyId=key, Plaintext=b"kek")[1] == 403
    place.moto.trust()
    as_role.encrypt(KeyId=key, Plaintext=b"kek")


def test_ministack_checks_external_ids(place):
    sts, named = place.ministack.client("sts"), role(place, place.ministack)
    assert aws_error(sts.assume_role, **named) == ("AccessDenied", 403)
    assert aws_error(sts.assume_role, **named, ExternalId="another") == ("AccessDenied", 403)
    assumed(place.ministack, **named, ExternalId="the-id")


def test_ministack_checks_policies_and_signatures(place):
    kms = place.ministack.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    wrapped = kms.encrypt(KeyId=key, Plaintext=b"kek")["CiphertextBlob"]
    as_role = assumed(place.ministack, **role(place, place.ministack), ExternalId="the-id")
    assert as_role.decrypt(KeyId=key, CiphertextBlob=wrapped)["Plaintext"] == b"kek"
    assert aws_error(as_role.encrypt, KeyId=key, Plaintext=b"kek")[0] == "AccessDeniedException"
    # The root's signature it does not check.
    place.ministack.client("kms", secret_key="wrong").describe_key(KeyId=key)
    user = place.ministack.user(place.name("user"))
    place.ministack.client("kms", **user).describe_key(KeyId=key)
    forger = place.ministack.client("kms", **user | {"secret_key": "wrong"})
    assert aws_error(forger.describe_key, KeyId=key)[0] == "InvalidSignatureException"


def test_ministack_kms_gives_changed_keys_back(place):
    """The hostile KMS: success, and another key."""
    kms = place.ministack.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    wrapped = kms.encrypt(KeyId=key, Plaintext=b"k" * 32)["CiphertextBlob"]
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    given = kms.decrypt(KeyId=key, CiphertextBlob=changed)["Plaintext"]
    assert len(given) == 32 and given != b"k" * 32, given


def test_resets_forget(place):
    for server in (place.moto, place.ministack):
        key = server.client("kms").create_key()["KeyMetadata"]["KeyId"]
        server.reset()
        assert aws_error(server.client("kms").describe_key, KeyId=key)[0] == "NotFoundException"


def test_they_listen_on_loopback_only(place):
    """A server that listens on all interfaces would answer on 127.0.0.2, too."""
    for name, server in place.servers.items():
        with socket.create_connection((HOST, server.port), 30):
            pass
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", server.port)) != 0, f"{name} listens on all interfaces"
