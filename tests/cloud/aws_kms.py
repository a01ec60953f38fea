"""Provider aws-kms: how its key may be named, what is bound, ciphertexts that others made, CyborgDB's own provider.

build/venv/bin/python -m tests.cloud.run aws_kms
"""

import os

from cyborgdb_service.kms import KMSEntry, build_kms_handle_from_entry, reset_for_tests, unwrap_kek

from tests.python.cyborg_kms import Blob

from .aws import (
    CONTEXT,
    DECRYPT,
    ENCRYPT,
    create,
    engine,
    folder,
    key_id,
    new_key,
    opened,
    reads,
    refused,
    slot,
    store,
    use,
)
from .clients import aws_error, race

SERVERS = ("moto", "localstack")


def round_trip(place, server, named):
    """One process creates an index, another opens it."""
    records = folder(place)
    use(place, server)
    with engine(place, records, prod=slot(server, "aws-kms", named)) as first:
        kek, sealed = create(first, "customers")
    second = engine(place, records, prod=slot(server, "aws-kms", named))
    reads(second, "customers", sealed)
    assert opened(second, "customers") == kek
    with second.open_index("customers") as index:
        index.refresh()
        assert index.kek() == kek
    with store(place, records).get("customers") as blob:
        assert (blob.get("provider"), blob.get("key_id"), blob.get("region")) == ("aws-kms", named, "us-east-1")


def test_a_key_by_its_id(place):
    for server in (place.moto, place.localstack):
        round_trip(place, server, key_id(new_key(server)))


def test_a_key_by_its_arn(place):
    for server in (place.moto, place.localstack):
        round_trip(place, server, new_key(server))


def test_a_key_by_an_alias(place):
    for server in (place.moto, place.localstack):
        alias = "alias/" + place.name("key")
        server.client("kms").create_alias(AliasName=alias, TargetKeyId=new_key(server))
        round_trip(place, server, alias)


def test_a_key_by_an_aliass_arn(place):
    alias, key = "alias/" + place.name("key"), new_key(place.localstack)
    place.localstack.client("kms").create_alias(AliasName=alias, TargetKeyId=key)
    round_trip(place, place.localstack, key.rpartition(":")[0] + ":" + alias)


def wrapped(place, records, name):
    with store(place, records).get(name) as blob:
        return blob.get("wrapped_kek")


def test_the_name_is_the_encryption_context(place):
    use(place, place.moto)
    records, key, kms = folder(place), new_key(place.moto), place.moto.client("kms")
    kek, _ = create(engine(place, records, prod=slot(place.moto, "aws-kms", key)), "café 1/2")
    given = {"KeyId": key, "CiphertextBlob": wrapped(place, records, "café 1/2")}
    assert kms.decrypt(**given, EncryptionContext={CONTEXT: "café 1/2"})["Plaintext"] == kek
    for context in ({}, {CONTEXT: "other"}, {CONTEXT: "café 1/2", "more": "x"}):
        assert aws_error(kms.decrypt, **given, EncryptionContext=context)[0] == "InvalidCiphertextException"


def test_another_indexs_record_is_refused(place):
    use(place, place.moto)
    records = folder(place)
    slots = {"prod": slot(place.moto, "aws-kms", new_key(place.moto))}
    before = engine(place, records, **slots)
    kek, sealed = create(before, "mine")
    create(before, "theirs")
    folder_of = records / "_catalog" / "config"
    (folder_of / "mine.kms.cat").write_bytes((folder_of / "theirs.kms.cat").read_bytes())
    words = ["belongs to another index", "restore"]
    refused("AUTHENTICATION_FAILED", engine(place, records, **slots).open_index, "mine", words=words)


def test_another_indexs_wrap_that_is_pushed_does_not_open_it(place):
    use(place, place.moto)
    records = folder(place)
    slots = {"prod": slot(place.moto, "aws-kms", new_key(place.moto))}
    before = engine(place, records, **slots)
    kek, _ = create(before, "mine")
    create(before, "theirs")
    with store(place, records).get("theirs") as blob:
        store(place, records).push("mine", blob)
    # The record keeps what the push replaced, and that is right.
    assert opened(engine(place, records, **slots), "mine") == kek


def test_the_key_is_named_in_decrypt(place):
    """A blob that another key of the same account made is refused by KMS, not opened by whatever key it names."""
    use(place, place.localstack)
    records, kms = folder(place), place.localstack.client("kms")
    ours, theirs = new_key(place.localstack), new_key(place.localstack)
    made = kms.encrypt(KeyId=theirs, Plaintext=os.urandom(32))["CiphertextBlob"]
    take_over(place, records, "customers", ours, made)
    slots = {"prod": slot(place.localstack, "aws-kms", ours)}
    words = ["former_key_ids"]
    code = "IncorrectKeyException"
    refused("AUTHENTICATION_FAILED", engine(place, records, **slots).open_index, "customers", code=code, words=words)


def test_an_alias_that_moved(place):
    use(place, place.localstack)
    records, kms, alias = folder(place), place.localstack.client("kms"), "alias/" + place.name("moved")
    first, second = new_key(place.localstack), new_key(place.localstack)
    kms.create_alias(AliasName=alias, TargetKeyId=first)
    settings = slot(place.localstack, "aws-kms", alias)
    kek, sealed = create(engine(place, records, prod=settings), "customers")
    kms.update_alias(AliasName=alias, TargetKeyId=key_id(second))  # LocalStack takes no ARN here
    code = "IncorrectKeyException"
    refused("AUTHENTICATION_FAILED", engine(place, records, prod=settings).open_index, "customers", code=code)
    for former in ([first], [key_id(first)], [second, first]):
        after = engine(place, records, prod=settings | {"former_key_ids": former})
        reads(after, "customers", sealed)
    created, _ = create(after, "new")
    given = {"KeyId": second, "CiphertextBlob": wrapped(place, records, "new"), "EncryptionContext": {CONTEXT: "new"}}
    assert kms.decrypt(**given)["Plaintext"] == created


def test_a_record_brings_in_no_key(place):
    use(place, place.moto)
    records, proxy = folder(place), place.proxy(place.moto)
    named, other = new_key(place.moto), new_key(place.moto)
    create(engine(place, records, prod=slot(place.moto, "aws-kms", other)), "customers")
    ours = engine(place, records, prod=slot(proxy, "aws-kms", named))
    refused("CONFIG", ours.open_index, "customers", words=[other, "former_key_ids"])
    assert proxy.count() == 0
    former = engine(place, records, prod=slot(proxy, "aws-kms", named, former_key_ids=[other]))
    opened(former, "customers")
    assert proxy.count(target=DECRYPT) == 1


def test_a_new_index_costs_two_calls_and_an_open_one_none(place):
    use(place, place.moto)
    proxy = place.proxy(place.moto)
    ours = engine(place, prod=slot(proxy, "aws-kms", new_key(place.moto)))
    create(ours, "customers")
    assert (proxy.count(target=ENCRYPT), proxy.count(target=DECRYPT)) == (1, 1)
    opened(ours, "customers")
    assert proxy.count() == 2


def test_many_open_a_cold_index_by_one_call(place):
    use(place, place.moto)
    records, proxy = folder(place), place.proxy(place.moto)
    settings = slot(proxy, "aws-kms", new_key(place.moto))
    kek, _ = create(engine(place, records, prod=settings), "customers")
    proxy.clear()
    cold = engine(place, records, prod=settings)
    assert race(300, lambda _: opened(cold, "customers")) == [kek] * 300
    assert proxy.count(target=DECRYPT) == 1 == proxy.count()


def take_over(place, records, name, key, ciphertext, write="create"):
    """What a key of the caller's own needs: a blob, and create (or push) of it."""
    fields = {"kms_name": "prod", "provider": "aws-kms", "key_id": key, "region": "us-east-1"}
    with Blob.make(**fields, wrapped_kek=ciphertext, version=1) as blob:
        getattr(store(place, records), write)(name, blob)


def test_a_data_key_that_aws_made_becomes_a_kek(place):
    use(place, place.localstack)
    records, key = folder(place), new_key(place.localstack)
    made = place.localstack.client("kms").generate_data_key(KeyId=key, KeySpec="AES_256")
    for write in ("create", "push"):
        take_over(place, records, write, key, made["CiphertextBlob"], write)
        assert opened(engine(place, records, prod=slot(place.localstack, "aws-kms", key)), write) == made["Plaintext"]


def test_a_key_that_the_caller_had_encrypted_becomes_a_kek(place):
    use(place, place.moto)
    records, key, kek = folder(place), new_key(place.moto), os.urandom(32)
    made = place.moto.client("kms").encrypt(KeyId=key, Plaintext=kek)["CiphertextBlob"]
    take_over(place, records, "customers", key, made)
    assert opened(engine(place, records, prod=slot(place.moto, "aws-kms", key)), "customers") == kek


def test_a_takeover_is_bound_to_nothing(place):
    """What was encrypted with the index's name as context can't be taken over: a blob can't say so."""
    use(place, place.moto)
    records, key = folder(place), new_key(place.moto)
    context = {CONTEXT: "customers"}
    made = place.moto.client("kms").encrypt(KeyId=key, Plaintext=os.urandom(32), EncryptionContext=context)
    take_over(place, records, "customers", key, made["CiphertextBlob"])
    ours = engine(place, records, prod=slot(place.moto, "aws-kms", key))
    refused("AUTHENTICATION_FAILED", ours.open_index, "customers", code="InvalidCiphertextException")


def entry(place, key, endpoint):
    """CyborgDB's slot for the same key."""
    use(place, place.moto, AWS_ENDPOINT_URL=endpoint)
    reset_for_tests()
    return KMSEntry(provider="aws-kms", key_id=key, region="us-east-1")


def test_cyborgdbs_service_unwraps_what_we_wrapped(place):
    records, key = folder(place), new_key(place.moto)
    theirs = entry(place, key, place.moto.url)
    settings = slot(place.moto, "aws-kms", key, cyborgdb_compatible=True)
    with engine(place, records, prod=settings).create_index("shared", "prod") as index:
        assert bytes(unwrap_kek(theirs, wrapped(place, records, "shared"))) == index.kek()


def test_we_unwrap_what_cyborgdbs_service_wrapped(place):
    records, key, kek = folder(place), new_key(place.moto), os.urandom(32)
    made = build_kms_handle_from_entry(entry(place, key, place.moto.url)).wrap(kek)
    take_over(place, records, "shared", key, bytes(made))
    assert opened(engine(place, records, prod=slot(place.moto, "aws-kms", key)), "shared") == kek


def test_a_check_asks_each_slot(place):
    use(place, place.moto)
    proxy = place.proxy(place.moto)
    prod = slot(proxy, "aws-kms", new_key(place.moto))
    ours = engine(place, prod=prod, lost=prod | {"key_id": "alias/none"})
    ours.check("prod")
    assert (proxy.count(target=ENCRYPT), proxy.count(target=DECRYPT)) == (1, 1)
    refused("KEY_NOT_FOUND", ours.check, code="NotFoundException", words=['slot "lost"', "kms:Encrypt", "region"])
