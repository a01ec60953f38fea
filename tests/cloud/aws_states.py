"""What happens to the key in KMS reaches the index: disabled, to be deleted, enabled again, a replica elsewhere.

build/venv/bin/python -m tests.cloud.run aws_states
"""

import time

from tests.services.proxy import pass_on

from .aws import DECRYPT, create, engine, folder, key_id, new_key, opened, reads, refused, slot, store, until, use

SERVERS = ("localstack",)


def change(place, end, again, code):
    """An open handle stops when the key's state changes, and goes on when it is changed back."""
    use(place, place.localstack)
    key = new_key(place.localstack)
    ours = engine(place, ttl="1s", prod=slot(place.localstack, "aws-kms", key))
    _, sealed = create(ours, "customers")
    with ours.open_index("customers") as index:
        end(key)
        until(("KEY_DISABLED", code), lambda: index.decrypt(sealed, b"1"))
        for call in (lambda: index.encrypt(b"x"), index.kek, index.refresh, lambda: ours.open_index("customers")):
            refused("KEY_DISABLED", call, code=code)
        refused("KEY_DISABLED", ours.create_index, "new", "prod", code=code)
        again(key)
        until(None, lambda: index.decrypt(sealed, b"1"))
        assert index.decrypt(index.encrypt(b"x")) == b"x"


def test_a_disabled_key_stops_an_open_index(place):
    kms = place.localstack.client("kms")
    change(place, lambda key: kms.disable_key(KeyId=key), lambda key: kms.enable_key(KeyId=key), "DisabledException")


def test_a_key_that_is_to_be_deleted_stops_an_open_index(place):
    kms = place.localstack.client("kms")

    def cancel(key):
        kms.cancel_key_deletion(KeyId=key)
        kms.enable_key(KeyId=key)

    def end(key):
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    change(place, end, cancel, "KMSInvalidStateException")


def test_the_message_says_what_to_do(place):
    use(place, place.localstack)
    kms, key = place.localstack.client("kms"), new_key(place.localstack)
    ours = engine(place, prod=slot(place.localstack, "aws-kms", key))
    create(ours, "customers")
    ours.evict()
    kms.disable_key(KeyId=key)
    words = ['slot "prod"', "kms:Decrypt", key, "aws kms enable-key"]
    error = refused("KEY_DISABLED", ours.open_index, "customers", code="DisabledException", words=words)
    assert error.request_id and not error.retryable, vars(error)


def test_a_refusal_is_asked_for_once_a_second(place):
    """Whoever keeps trying does not cost a call each time."""
    use(place, place.localstack)
    kms, key, proxy = place.localstack.client("kms"), new_key(place.localstack), place.proxy(place.localstack)
    ours = engine(place, prod=slot(proxy, "aws-kms", key))
    create(ours, "customers")
    with ours.open_index("customers") as index:
        kms.disable_key(KeyId=key)
        proxy.clear()
        begun = time.monotonic()
        refused("KEY_DISABLED", index.refresh)
        for _ in range(1000):
            refused("KEY_DISABLED", index.encrypt, b"x")
        assert proxy.count(target=DECRYPT) <= 1 + (time.monotonic() - begun)


def test_a_key_that_is_not_there(place):
    use(place, place.localstack)
    key = new_key(place.localstack)
    for lost in ("00000000-0000-4000-8000-000000000000", key.rpartition("/")[0] + "/mrk-0", "alias/none"):
        ours = engine(place, prod=slot(place.localstack, "aws-kms", lost))
        refused("KEY_NOT_FOUND", ours.create_index, "customers", "prod", code="NotFoundException", words="region")


def replicated(place, region="eu-west-1"):
    """A multi-Region key: its ARNs here and there."""
    here = new_key(place.localstack, MultiRegion=True)
    place.localstack.client("kms").replicate_key(KeyId=here, ReplicaRegion=region)
    return here, here.replace("us-east-1", region)


def test_a_replica_opens_what_the_primary_wrapped(place):
    use(place, place.localstack)
    records, (here, there) = folder(place), replicated(place)
    kek, sealed = create(engine(place, records, prod=slot(place.localstack, "aws-kms", here)), "customers")
    elsewhere = engine(place, records, prod=slot(place.localstack, "aws-kms", there, region="eu-west-1"))
    reads(elsewhere, "customers", sealed)
    # The other way round, too.
    there_kek, _ = create(elsewhere, "theirs")
    assert opened(engine(place, records, prod=slot(place.localstack, "aws-kms", here)), "theirs") == there_kek
    with store(place, records).get("theirs") as blob:
        assert blob.get("key_id") == there


def test_a_replica_is_asked_in_its_own_region(place):
    use(place, place.localstack)
    records, (here, there) = folder(place), replicated(place)
    create(engine(place, records, prod=slot(place.localstack, "aws-kms", here)), "customers")
    proxy = place.proxy(place.localstack)
    elsewhere = engine(place, records, prod=slot(proxy, "aws-kms", there, region=""))
    asked = proxy.on(pass_on, target=DECRYPT, body=there.encode(), scope="/eu-west-1/kms/")
    opened(elsewhere, "customers")
    assert asked.hits == 1 and proxy.count() == 1


def test_a_replica_under_its_bare_id(place):
    """Then the same configuration serves each region, which comes from the machine."""
    records, (here, _) = folder(place), replicated(place)
    named = {"prod": slot(place.localstack, "aws-kms", key_id(here), region="")}
    use(place, place.localstack)
    _, sealed = create(engine(place, records, **named), "customers")
    use(place, place.localstack, AWS_REGION="eu-west-1")
    reads(engine(place, records, **named), "customers", sealed)


def test_a_former_key_may_be_a_replica_too(place):
    use(place, place.localstack)
    records, (here, there) = folder(place), replicated(place)
    kek, _ = create(engine(place, records, prod=slot(place.localstack, "aws-kms", here)), "customers")
    new = new_key(place.localstack)
    settings = slot(place.localstack, "aws-kms", new.replace("us-east-1", "eu-west-1"), region="eu-west-1")
    assert opened(engine(place, records, prod=settings | {"former_key_ids": [there]}), "customers") == kek


def test_only_a_replica_is_the_same_key(place):
    use(place, place.localstack)
    records, (here, there) = folder(place), replicated(place)
    create(engine(place, records, prod=slot(place.localstack, "aws-kms", here)), "customers")
    for other in (there.replace("000000000000", "000000000001"), there + "0", key_id(there)):
        settings = slot(place.localstack, "aws-kms", other, region="eu-west-1")
        refused("CONFIG", engine(place, records, prod=settings).open_index, "customers", words="former_key_ids")
