"""One KEK in the care of two KMSes, each behind a proxy: who is asked when, whose refusal counts, what is wrapped.

build/venv/bin/python -m tests.cloud.run recipients
"""

import base64
import threading
import time

from tests.python.cyborg_kms import DATA_KEY, KEK, REWRAP
from tests.services import faults

from .aws import (
    CONTEXT,
    DECRYPT,
    ENCRYPT,
    configuration,
    engine,
    folder,
    new_key,
    opened,
    reads,
    refused,
    slot,
    until,
    use,
)
from .outage import DENIED, FOR_EVER, PROMPT

SERVERS = ("moto", "localstack")
# Nobody comes to be asked because of the time in the tests of who is asked.
LATE = {"fallback_after": "10m"}


class Several:
    """Slot `prod` with the recipient `west`, each with a key and a proxy of its own, and an index with a page."""

    def __init__(self, place, server, **settings):
        self.place, self.kms = place, server.client("kms")
        use(place, server)
        self.records = folder(place)
        self.keys = [new_key(server), new_key(server)]
        self.prod, self.west = place.proxy(server), place.proxy(server)
        own = {"recipients": ["west"], "max_retries": 0} | settings
        self.slots = {
            "prod": slot(self.prod, "aws-kms", self.keys[0], **own),
            "west": slot(self.west, "aws-kms", self.keys[1]),
        }
        self.engine = engine(place, self.records, **self.slots)
        with self.engine.create_index("customers", "prod") as index:
            self.kek, self.sealed = index.kek(), index.encrypt(b"a page", b"1")
        self.forget()

    def forget(self):
        """Nothing is cached, nothing is wrong."""
        self.engine.evict()
        for proxy in (self.prod, self.west):
            proxy.clear()

    def asked(self):
        """How often each was asked to decrypt."""
        return self.prod.count(target=DECRYPT), self.west.count(target=DECRYPT)

    def wrapped(self):
        """The KEK as AWS's own client gets it from each wrap of the record."""
        record = self.engine.describe("customers")
        assert [wrap["kms_name"] for wrap in (record, *record["recipients"])] == ["prod", "west"], record
        return [
            self.kms.decrypt(
                KeyId=key,
                CiphertextBlob=base64.b64decode(wrap["wrapped_kek"]),
                EncryptionContext={CONTEXT: "customers"},
            )["Plaintext"]
            for key, wrap in zip(self.keys, (record, *record["recipients"]))
        ]


def test_creation_wraps_under_both_or_fails(place):
    several = Several(place, place.moto)
    assert several.wrapped() == [several.kek] * 2
    several.west.on(DENIED, times=None, target=ENCRYPT)
    words = ['recipient "west"', several.keys[1]]
    refused("ACCESS_DENIED", several.engine.create_index, "new", "prod", code="AccessDeniedException", words=words)
    refused("NOT_FOUND", several.engine.describe, "new")


def test_a_rotation_wraps_under_both_or_changes_nothing(place):
    several = Several(place, place.moto)
    for rotation in (KEK, REWRAP, DATA_KEY, KEK):
        several.forget()
        before = several.engine.describe("customers")
        several.engine.rotate("customers", rotation)
        after, kek = several.engine.describe("customers"), opened(several.engine, "customers")
        assert several.wrapped() == [kek] * 2
        assert (kek != several.kek) == (rotation == KEK)
        several.kek = kek
        for wraps in zip((before, *before["recipients"]), (after, *after["recipients"])):
            assert (wraps[0]["wrapped_kek"] == wraps[1]["wrapped_kek"]) == (rotation == DATA_KEY)
        reads(several.engine, "customers", several.sealed)
        if rotation == DATA_KEY:
            continue
        several.west.on(DENIED, times=None, target=ENCRYPT)
        refused("ACCESS_DENIED", several.engine.rotate, "customers", rotation, code="AccessDeniedException")
        assert several.engine.describe("customers") == after


def test_only_the_first_is_asked_while_it_answers(place):
    several = Several(place, place.moto, **LATE)
    reads(several.engine, "customers", several.sealed)
    assert several.asked() == (1, 0)


def test_one_that_hangs_is_overtaken(place):
    several = Several(place, place.moto, fallback_after="200ms", **FOR_EVER)
    several.prod.on(faults.hang, times=None)
    begun = time.monotonic()
    reads(several.engine, "customers", several.sealed)
    assert time.monotonic() - begun < PROMPT and several.asked() == (1, 1)


def test_one_that_fails_is_not_waited_for(place):
    for fault in (faults.internal(), faults.throttled(), faults.reset):
        several = Several(place, place.moto, **LATE)
        several.prod.on(fault, times=None)
        begun = time.monotonic()
        reads(several.engine, "customers", several.sealed)
        assert time.monotonic() - begun < PROMPT and several.asked() == (1, 1)


def test_a_refusal_by_the_first_counts(place):
    several = Several(place, place.moto)
    several.prod.on(DENIED, times=None)
    words = ['slot "prod"', several.keys[0]]
    refused("ACCESS_DENIED", several.engine.open_index, "customers", code="AccessDeniedException", words=words)
    assert several.asked() == (1, 0)


def test_a_refusal_by_the_first_does_not_count_where_that_is_wanted(place):
    several = Several(place, place.moto, fallback_on_denied=True, **LATE)
    several.prod.on(DENIED, times=None)
    reads(several.engine, "customers", several.sealed)
    assert several.asked() == (1, 1)
    several.forget()
    several.prod.on(DENIED, times=None)
    several.west.on(DENIED, times=None)
    refused("ACCESS_DENIED", several.engine.open_index, "customers", code="AccessDeniedException")


def test_a_key_that_was_disabled_is_not_opened_by_the_other(place):
    several = Several(place, place.localstack)
    several.kms.disable_key(KeyId=several.keys[0])
    refused("KEY_DISABLED", several.engine.open_index, "customers", code="DisabledException")
    several.kms.enable_key(KeyId=several.keys[0])
    until(None, lambda: reads(several.engine, "customers", several.sealed))
    # The other one's key is not the index's own: without it the index is opened all the same.
    several.kms.disable_key(KeyId=several.keys[1])
    several.forget()
    reads(several.engine, "customers", several.sealed)


def test_a_refusal_that_comes_late_ends_the_use(place):
    several = Several(place, place.moto, fallback_after="50ms", request_timeout="1m", deadline="2m")
    gate = threading.Event()
    several.prod.on(lambda exchange: (gate.wait(60), DENIED(exchange)), times=None)
    with several.engine.open_index("customers") as index:
        assert index.decrypt(several.sealed, b"1") == b"a page" and several.asked() == (1, 1)
        gate.set()
        until(("ACCESS_DENIED", "AccessDeniedException"), lambda: index.decrypt(several.sealed, b"1"))
        several.prod.clear()
        until(None, lambda: index.decrypt(several.sealed, b"1"))


def test_an_answer_that_comes_late_is_no_harm(place):
    several = Several(place, place.moto, fallback_after="50ms", request_timeout="1m", deadline="2m")
    gate = threading.Event()
    several.prod.on(faults.held(gate))
    with several.engine.open_index("customers") as index:
        gate.set()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert index.decrypt(several.sealed, b"1") == b"a page"
        assert several.asked() == (1, 1)


def test_when_both_are_silent_the_first_ones_error_is_told(place):
    several = Several(place, place.moto)
    several.prod.on(faults.throttled(), times=None)
    several.west.on(faults.reset, times=None)
    words = ["none of 2 slots gave the KEK", several.keys[0]]
    error = refused("THROTTLED", several.engine.open_index, "customers", code="ThrottlingException", words=words)
    assert error.retryable
    for proxy in (several.prod, several.west):
        proxy.clear()
    until(None, lambda: reads(several.engine, "customers", several.sealed))


def test_a_scopes_deadline_ends_the_wait_for_both(place):
    several = Several(place, place.moto, fallback_after="50ms", **FOR_EVER)
    for proxy in (several.prod, several.west):
        proxy.on(faults.hang, times=None)
    begun = time.monotonic()
    with several.engine.scope(deadline_ms=500) as scope:
        refused("TIMEOUT", scope.open_index, "customers")
    assert time.monotonic() - begun < PROMPT and several.asked() == (1, 1)


def test_another_region_stands_in(place):
    """A replica of a multi-Region key as the recipient, while the region of the primary hangs."""
    use(place, place.localstack)
    here = new_key(place.localstack, MultiRegion=True)
    place.localstack.client("kms").replicate_key(KeyId=here, ReplicaRegion="eu-west-1")
    there, proxy = here.replace("us-east-1", "eu-west-1"), place.proxy(place.localstack)
    ours = engine(
        place,
        folder(place),
        prod=slot(proxy, "aws-kms", here, recipients=["europe"], fallback_after="200ms", **FOR_EVER),
        europe=slot(proxy, "aws-kms", there, region="eu-west-1"),
    )
    with ours.create_index("customers", "prod") as index:
        sealed = index.encrypt(b"a page", b"1")
    ours.evict()
    proxy.clear()
    proxy.on(faults.hang, times=None, scope="/us-east-1/kms/")
    reads(ours, "customers", sealed)
    assert proxy.count(scope="/us-east-1/kms/") == proxy.count(scope="/eu-west-1/kms/") == 1


def test_an_account_that_is_lost_is_left(place):
    """As docs/operating.md says: another key for the slot, the lost one named as a former one, each index rewrapped."""
    several = Several(place, place.localstack, **LATE)
    several.kms.schedule_key_deletion(KeyId=several.keys[0], PendingWindowInDays=7)
    new = new_key(place.localstack)
    moved = slot(several.prod, "aws-kms", new, recipients=["west"])
    while_moving = moved | {"former_key_ids": [several.keys[0]]}
    several.engine.reload(configuration(several.records, **(several.slots | {"prod": while_moving})))
    # What the lost one says is a refusal.
    refused("KEY_DISABLED", several.engine.rotate, "customers", REWRAP, code="KMSInvalidStateException")
    while_moving["fallback_on_denied"] = True
    several.engine.reload(configuration(several.records, **(several.slots | {"prod": while_moving})))
    several.engine.rotate("customers", REWRAP)
    several.keys[0] = new
    assert several.wrapped() == [several.kek] * 2
    reads(engine(place, several.records, **(several.slots | {"prod": moved})), "customers", several.sealed)
