"""Provider aws: the wrap key is a secret. What it may hold, how often it is fetched, and what ends its use.

build/venv/bin/python -m tests.cloud.run aws_secret
"""

import base64
import json
import os
import time

from cyborgdb_service.kms import KMSEntry, build_kms_handle_from_entry, reset_for_tests, unwrap_kek
from cyborgdb_service.kms.providers.aws import AWSSecretsProvider

from tests.python.cyborg_kms import Blob
from tests.services import faults

from .aws import GET_SECRET, configuration, create, engine, folder, opened, reads, refused, slot, store, use
from .aws_states import until
from .clients import race

SERVERS = ("moto",)


def new_secret(place, **value):
    """The name of a new secret, and its ARN."""
    name = place.name("secret")
    value = value or {"SecretBinary": os.urandom(32)}
    return name, place.moto.client("secretsmanager").create_secret(Name=name, **value)["ARN"]


def round_trip(place, named):
    use(place, place.moto)
    records, settings = folder(place), slot(place.moto, "aws", named)
    kek, sealed = create(engine(place, records, prod=settings), "customers")
    second = engine(place, records, prod=settings)
    reads(second, "customers", sealed)
    assert opened(second, "customers") == kek
    second.check("prod")


def test_a_binary_secret_by_name_and_by_arn(place):
    for named in new_secret(place):
        round_trip(place, named)


def test_base64_with_blanks_around(place):
    text = base64.b64encode(os.urandom(32)).decode()
    for value in (text, text + "\n", f"  {text} "):
        round_trip(place, new_secret(place, SecretString=value)[0])


def test_a_secret_that_is_no_key(place):
    use(place, place.moto)
    for value in (
        {"SecretBinary": os.urandom(31)},
        {"SecretBinary": os.urandom(33)},
        {"SecretString": "correct horse battery staple"},
        {"SecretString": base64.b64encode(os.urandom(31)).decode()},
        {"SecretString": base64.b64encode(os.urandom(64)).decode()},
        {"SecretString": base64.b64encode(os.urandom(32)).decode().rstrip("=")},
        {"SecretString": os.urandom(32).hex()},
        {"SecretString": json.dumps({"key": base64.b64encode(os.urandom(32)).decode()})},
    ):
        name, _ = new_secret(place, **value)
        ours = engine(place, prod=slot(place.moto, "aws", name))
        error = refused("CONFIG", ours.create_index, "customers", "prod", words=[name, "openssl rand -base64 32"])
        told = value.get("SecretString") or value["SecretBinary"].hex()
        assert told not in error.message and told[:12] not in error.message, "the message has the secret's content"
        refused("NOT_FOUND", ours.open_index, "customers")


def test_an_empty_secret(place):
    use(place, place.moto)
    proxy, (name, _) = place.proxy(place.moto), new_secret(place)
    proxy.on(faults.rewrite_json(lambda value: value.pop("SecretBinary")), times=None)
    refused("CONFIG", engine(place, prod=slot(proxy, "aws", name)).create_index, "customers", "prod", words=name)


def test_a_secret_that_is_not_there_or_deleted(place):
    use(place, place.moto)
    words = ["secretsmanager:GetSecretValue", "region"]
    lost = engine(place, prod=slot(place.moto, "aws", "none"))
    refused("KEY_NOT_FOUND", lost.create_index, "customers", "prod", code="ResourceNotFoundException", words=words)
    name, _ = new_secret(place)
    ours = engine(place, prod=slot(place.moto, "aws", name))
    create(ours, "customers")
    place.moto.client("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=7)
    ours.evict()
    words = ["aws secretsmanager restore-secret", name]
    refused("KEY_DISABLED", ours.open_index, "customers", code="InvalidRequestException", words=words)


def test_a_deleted_secret_stops_an_open_index_and_a_restored_one_serves_on(place):
    use(place, place.moto)
    secrets, (name, _) = place.moto.client("secretsmanager"), new_secret(place)
    ours = engine(place, ttl="1s", prod=slot(place.moto, "aws", name))
    _, sealed = create(ours, "customers")
    with ours.open_index("customers") as index:
        secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)
        until(("KEY_DISABLED", "InvalidRequestException"), lambda: index.decrypt(sealed, b"1"))
        refused("KEY_DISABLED", index.kek, code="InvalidRequestException")
        secrets.restore_secret(SecretId=name)
        until(None, lambda: index.decrypt(sealed, b"1"))


def test_a_deleted_secret_is_seen_by_a_refresh_at_once(place):
    """Though the secret is cached for the other indexes."""
    use(place, place.moto)
    secrets, (name, _) = place.moto.client("secretsmanager"), new_secret(place)
    ours = engine(place, ttl="1h", prod=slot(place.moto, "aws", name))
    _, sealed = create(ours, "customers")
    with ours.open_index("customers") as index:
        secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)
        assert index.decrypt(sealed, b"1") == b"a page"
        refused("KEY_DISABLED", index.refresh, code="InvalidRequestException")
        refused("KEY_DISABLED", index.decrypt, sealed, b"1", code="InvalidRequestException")


def test_an_index_lives_from_when_the_secret_was_fetched(place):
    """A secret of some age does not give an index that is opened by it a whole lifetime: all end with the first."""
    use(place, place.moto)
    for _ in range(10):
        records, proxy, (name, _) = folder(place), place.proxy(place.moto), new_secret(place)
        writer = engine(place, records, prod=slot(place.moto, "aws", name))
        create(writer, "first")
        create(writer, "late")
        ours = engine(place, records, ttl="4s", ahead=0, prod=slot(proxy, "aws", name))
        opened(ours, "first")
        time.sleep(1)
        opened(ours, "late")
        if proxy.count(target=GET_SECRET) == 1:
            break
    else:
        raise AssertionError("the secret is not cached for half a lifetime")
    place.moto.client("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=7)
    with ours.open_index("first") as first, ours.open_index("late") as late:
        until(("KEY_DISABLED", "InvalidRequestException"), first.kek)
        refused("KEY_DISABLED", late.kek)


def test_a_changed_secret(place):
    use(place, place.moto)
    first, secrets, (name, _) = os.urandom(32), place.moto.client("secretsmanager"), new_secret(place)
    secrets.put_secret_value(SecretId=name, SecretBinary=first)
    ours = engine(place, prod=slot(place.moto, "aws", name))
    _, sealed = create(ours, "customers")
    secrets.put_secret_value(SecretId=name, SecretBinary=os.urandom(32))
    with ours.open_index("customers") as index:
        refused("AUTHENTICATION_FAILED", index.refresh, words=[name, "bring its former value back", "customers"])
    secrets.put_secret_value(SecretId=name, SecretBinary=first)
    ours.evict()
    reads(ours, "customers", sealed)


def test_a_secret_that_was_changed_elsewhere_is_fetched_anew(place):
    """Another machine has seen the new value and wraps by it: ours must not insist on the old one."""
    use(place, place.moto)
    secrets, records, (name, _) = place.moto.client("secretsmanager"), folder(place), new_secret(place)
    settings = slot(place.moto, "aws", name)
    ours = engine(place, records, ttl="1h", prod=settings)
    create(ours, "before")
    secrets.put_secret_value(SecretId=name, SecretBinary=os.urandom(32))
    kek, _ = create(engine(place, records, prod=settings), "after")
    assert opened(ours, "after") == kek


def test_an_index_is_wrapped_by_the_secret_as_it_is_now(place):
    """By an older value that this process still has it could never be opened again."""
    use(place, place.moto)
    secrets, records, (name, _) = place.moto.client("secretsmanager"), folder(place), new_secret(place)
    settings = slot(place.moto, "aws", name)
    ours = engine(place, records, ttl="1h", prod=settings)
    create(ours, "before")
    secrets.put_secret_value(SecretId=name, SecretBinary=os.urandom(32))
    kek, _ = create(ours, "after")
    assert opened(engine(place, records, prod=settings), "after") == kek


def test_a_former_secret_unwraps(place):
    use(place, place.moto)
    records, proxy, (old, _), (new, _) = folder(place), place.proxy(place.moto), new_secret(place), new_secret(place)
    keks = {name: create(engine(place, records, prod=slot(place.moto, "aws", old)), name)[0] for name in "abcd"}
    ours = engine(place, records, prod=slot(proxy, "aws", new, former_key_ids=[old]))
    for name, kek in keks.items():
        create(ours, name + name)
        assert opened(ours, name) == kek
    assert proxy.count() == len(keks) + 1, "the two secrets are not kept side by side"


def test_a_burst_of_openings_costs_one_call(place):
    use(place, place.moto)
    records, proxy, (name, _) = folder(place), place.proxy(place.moto), new_secret(place)
    writer = engine(place, records, prod=slot(proxy, "aws", name))
    keks = [create(writer, f"index {number}")[0] for number in range(200)]
    assert proxy.count(target=GET_SECRET) == 200, "a KEK is wrapped by the secret as it is now"
    proxy.clear()
    cold = engine(place, records, prod=slot(proxy, "aws", name))
    got = race(32, lambda i: [opened(cold, f"index {number}") for number in range(i, 200, 32)])
    assert [got[number % 32][number // 32] for number in range(200)] == keks
    assert proxy.count(target=GET_SECRET) == 1 == proxy.count()


def test_without_a_lifetime_each_open_asks(place):
    use(place, place.moto)
    proxy, (name, _) = place.proxy(place.moto), new_secret(place)
    ours = engine(place, ttl="0", prod=slot(proxy, "aws", name))
    create(ours, "customers")
    proxy.clear()
    for _ in range(3):
        opened(ours, "customers")
    assert proxy.count(target=GET_SECRET) >= 3


def test_who_evicts_has_the_secret_forgotten_too(place):
    use(place, place.moto)
    proxy, (name, _) = place.proxy(place.moto), new_secret(place)
    ours = engine(place, ttl="1h", prod=slot(proxy, "aws", name))
    create(ours, "customers")
    for evicted in (None, "customers"):
        proxy.clear()
        ours.evict(evicted)
        opened(ours, "customers")
        assert proxy.count(target=GET_SECRET) == 1


def test_a_shorter_lifetime_holds_for_a_cached_secret_too(place):
    use(place, place.moto)
    proxy, records, (name, _) = place.proxy(place.moto), folder(place), new_secret(place)
    settings = slot(proxy, "aws", name)
    ours = engine(place, records, ttl="1h", prod=settings)
    create(ours, "customers")
    ours.reload(configuration(records, ttl="10m", prod=settings))
    proxy.clear()
    create(ours, "new")
    assert proxy.count(target=GET_SECRET) == 1


def test_a_failure_is_not_cached(place):
    use(place, place.moto)
    proxy, (name, _) = place.proxy(place.moto), new_secret(place)
    ours = engine(place, prod=slot(proxy, "aws", name, max_retries=0))
    proxy.on(faults.internal())
    refused("KMS_UNAVAILABLE", ours.create_index, "customers", "prod", code="HTTP 500")
    create(ours, "customers")


def test_records_of_other_indexes_and_altered_ones_are_refused(place):
    use(place, place.moto)
    records, (name, _) = folder(place), new_secret(place)
    settings = slot(place.moto, "aws", name)
    before = engine(place, records, prod=settings)
    create(before, "mine")
    create(before, "theirs")
    stored = records / "_catalog" / "config"
    theirs = (stored / "theirs.kms.cat").read_bytes()
    (stored / "mine.kms.cat").write_bytes(theirs)
    refused("AUTHENTICATION_FAILED", engine(place, records, prod=settings).open_index, "mine", words='index "mine"')
    with store(place, records).get("theirs") as blob:
        wrap = blob.get("wrapped_kek")
    (stored / "theirs.kms.cat").write_bytes(theirs.replace(wrap, wrap[:-1] + bytes([wrap[-1] ^ 1])))
    refused("AUTHENTICATION_FAILED", engine(place, records, prod=settings).open_index, "theirs", words="altered")


def entry(place, name):
    """CyborgDB's slot for the same secret."""
    use(place, place.moto, AWS_ENDPOINT_URL=place.moto.url)
    reset_for_tests()
    return KMSEntry(provider="aws", key_id=name, region="us-east-1")


def test_cyborgdbs_service_unwraps_what_we_wrapped(place):
    for value in ({"SecretBinary": os.urandom(32)}, {"SecretString": base64.b64encode(os.urandom(32)).decode()}):
        records, (name, _) = folder(place), new_secret(place, **value)
        theirs = entry(place, name)
        ours = engine(place, records, prod=slot(place.moto, "aws", name, cyborgdb_compatible=True))
        with ours.create_index("shared", "prod") as index, store(place, records).get("shared") as blob:
            assert bytes(unwrap_kek(theirs, blob.get("wrapped_kek"))) == index.kek()


def test_we_unwrap_what_cyborgdbs_service_wrapped(place):
    records, kek, (name, _) = folder(place), os.urandom(32), new_secret(place)
    made = build_kms_handle_from_entry(entry(place, name)).wrap(kek)
    fields = {"kms_name": "prod", "provider": "aws", "key_id": name, "region": "us-east-1", "version": 1}
    with Blob.make(**fields, wrapped_kek=bytes(made)) as blob:
        store(place, records).create("shared", blob)
    assert opened(engine(place, records, prod=slot(place.moto, "aws", name)), "shared") == kek


def test_a_secret_that_cyborgdbs_service_made(place):
    use(place, place.moto, AWS_ENDPOINT_URL=place.moto.url)
    name = place.name("secret")
    AWSSecretsProvider(name, "us-east-1").create_wrap_key()
    round_trip(place, name)
