"""A KMS that lies with success: another key, garbage, too much or too little. Nothing is ever sealed by what it gives.

build/venv/bin/python -m tests.cloud.run aws_hostile
"""

import base64
import os

from tests.python.cyborg_kms import KmsError
from tests.services import faults

from .aws import DECRYPT, ENCRYPT, GET_SECRET, create, engine, folder, new_key, opened, refused, slot, store, use
from .aws_kms import wrapped

SERVERS = ("moto", "ministack")


def plaintext(data):
    """Another Plaintext in the answer."""
    return faults.rewrite_json(lambda value: value.update(Plaintext=base64.b64encode(data).decode()))


def without(name):
    return faults.rewrite_json(lambda value: value.pop(name))


LIES = {
    "another key": plaintext(b"k" * 32),
    "zeros": plaintext(bytes(32)),
    "31 bytes": plaintext(b"k" * 31),
    "33 bytes": plaintext(b"k" * 33),
    "0 bytes": plaintext(b""),
    "64 KiB": plaintext(bytes(65536)),
    "no plaintext": without("Plaintext"),
    "no base64": faults.rewrite_json(lambda value: value.update(Plaintext="no base64!")),
    "a number": faults.rewrite_json(lambda value: value.update(Plaintext=7)),
    "a page": faults.rewrite(lambda body: b"<html>hello</html>"),
    "nothing": faults.rewrite(lambda body: b""),
    "half of the JSON": faults.rewrite(lambda body: body[: len(body) // 2]),
    "a list": faults.rewrite(lambda body: b"[]"),
    "bytes that are no text": faults.rewrite(lambda body: b"\xff\xfe" * 99),
}


def index_behind(place, **settings):
    use(place, place.moto)
    records, proxy = folder(place), place.proxy(place.moto)
    prod = slot(proxy, "aws-kms", new_key(place.moto), **settings)
    kek, sealed = create(engine(place, records, prod=prod), "customers")
    return records, proxy, prod, kek


def test_a_lie_opens_no_index(place):
    records, proxy, prod, kek = index_behind(place)
    for name, lie in LIES.items():
        proxy.clear()
        proxy.on(lie, times=None, target=DECRYPT)
        refused("CORRUPT", engine(place, records, prod=prod).open_index, "customers")
        assert proxy.count(target=DECRYPT) == 1, f"{name}: a lie was asked for again"
    proxy.clear()
    assert opened(engine(place, records, prod=prod), "customers") == kek


def test_a_lie_ends_an_open_index(place):
    records, proxy, prod, _ = index_behind(place)
    with engine(place, records, prod=prod).open_index("customers") as index:
        proxy.on(plaintext(b"k" * 32), times=None, target=DECRYPT)
        refused("CORRUPT", index.refresh, words="another KEK")
        for call in (lambda: index.encrypt(b"a page"), index.kek, lambda: index.derive("label", b"", 32)):
            refused("CORRUPT", call)


def test_a_lie_creates_no_index(place):
    use(place, place.moto)
    records, proxy = folder(place), place.proxy(place.moto)
    ours = engine(place, records, prod=slot(proxy, "aws-kms", new_key(place.moto)))
    for target, lies in (
        (DECRYPT, LIES.values()),
        (ENCRYPT, [without("CiphertextBlob"), faults.rewrite_json(lambda value: value.update(CiphertextBlob=""))]),
        (
            ENCRYPT,
            [faults.rewrite_json(lambda value: value.update(CiphertextBlob=base64.b64encode(bytes(6145)).decode()))],
        ),
        (ENCRYPT, [LIES["a page"], LIES["nothing"], LIES["a list"]]),
    ):
        for lie in lies:
            proxy.clear()
            proxy.on(lie, target=target)
            refused("CORRUPT", ours.create_index, "customers", "prod")
    assert store(place, records).list() == []


def test_a_ciphertext_of_another_key_creates_no_index(place):
    """KMS wraps something else than it was given: only unwrapping shows it."""
    use(place, place.moto)
    records, proxy, key = folder(place), place.proxy(place.moto), new_key(place.moto)
    other = place.moto.client("kms").encrypt(
        KeyId=key, Plaintext=b"k" * 32, EncryptionContext={"cyborg_kms:index": "a"}
    )
    blob = base64.b64encode(other["CiphertextBlob"]).decode()
    proxy.on(faults.rewrite_json(lambda value: value.update(CiphertextBlob=blob)), target=ENCRYPT)
    ours = engine(place, records, prod=slot(proxy, "aws-kms", key))
    refused("CORRUPT", ours.create_index, "a", "prod", words="nothing was stored")
    assert store(place, records).list() == []


def test_a_kms_that_gives_changed_keys_for_changed_wraps(place):
    """ministack's: a plain XOR. The check value of the record finds it."""
    use(place, place.ministack)
    records, prod = folder(place), slot(place.ministack, "aws-kms", new_key(place.ministack))
    kek, _ = create(engine(place, records, prod=prod), "customers")
    wrap, path = wrapped(place, records, "customers"), records / "_catalog" / "config" / "customers.kms.cat"
    whole, lies = path.read_bytes(), 0
    for at in range(len(wrap)):
        changed = wrap[:at] + bytes([wrap[at] ^ 1]) + wrap[at + 1 :]
        path.write_bytes(whole.replace(wrap, changed))
        try:
            # It does not read all of a wrap, so some changes change nothing.
            assert opened(engine(place, records, prod=prod), "customers") == kek, f"byte {at}: another KEK"
        except KmsError as error:
            assert not error.retryable, error
            lies += error.status_name == "CORRUPT"
    assert lies >= 32, "the KMS did not lie: is it still the one that does?"


def test_a_real_kms_refuses_changed_wraps(place):
    records, proxy, prod, _ = index_behind(place)
    wrap, path = wrapped(place, records, "customers"), records / "_catalog" / "config" / "customers.kms.cat"
    whole = path.read_bytes()
    for changed in (wrap[:-1] + bytes([wrap[-1] ^ 1]), wrap[:40] + bytes([wrap[40] ^ 1]) + wrap[41:]):
        path.write_bytes(whole.replace(wrap, changed))
        refused("AUTHENTICATION_FAILED", engine(place, records, prod=prod).open_index, "customers", words="altered")


def test_a_secret_that_lies(place):
    use(place, place.moto)
    records, proxy, name = folder(place), place.proxy(place.moto), place.name("secret")
    place.moto.client("secretsmanager").create_secret(Name=name, SecretBinary=os.urandom(32))
    prod = slot(proxy, "aws", name)
    create(engine(place, records, prod=prod), "customers")
    key = base64.b64encode(os.urandom(32)).decode()
    for lie, status in (
        (faults.rewrite_json(lambda value: value.update(SecretBinary=key)), "AUTHENTICATION_FAILED"),
        (faults.rewrite_json(lambda value: value.update(SecretBinary="AAAA")), "CONFIG"),
        (LIES["a page"], "CORRUPT"),
        (LIES["nothing"], "CONFIG"),
    ):
        proxy.clear()
        proxy.on(lie, times=None, target=GET_SECRET)
        refused(status, engine(place, records, prod=prod).open_index, "customers")


def test_garbage_instead_of_a_roles_credentials(place):
    use(place, place.moto, AWS_ENDPOINT_URL_STS=(sts := place.proxy(place.moto)).url)
    role = {"role_arn": "arn:aws:iam::123456789012:role/customer"}
    prod = slot(place.moto, "aws-kms", new_key(place.moto), max_retries=0, **role)
    for lie in (LIES["a page"], LIES["nothing"], LIES["bytes that are no text"]):
        sts.clear()
        sts.on(lie, times=None)
        ours = engine(place, prod=prod)
        refused("KMS_UNAVAILABLE", ours.create_index, "customers", "prod", words="role")
    sts.clear()
    create(engine(place, prod=prod), "customers")
