"""Sync over a bucket on S3 and keys in KMS, each behind a proxy: what drifted is mended, slower where the KMS asks for
that, in as many runs as it takes.

build/venv/bin/python -m tests.cloud.run sync
"""

import base64
import collections
import time

from tests.services import Proxy, faults

from .arena import KMS_LOSSES
from .aws import CONTEXT, DECRYPT, configuration, engine, new_key, refused, slot, use
from .buckets import bucket_on
from .store_processes import LOSSES

SERVERS = ("localstack",)
# As fast as it goes, but where the test is about that.
FAST = {"requests_per_second": 0}


class Fleet:
    """Indexes on a bucket, each with a page, whose slot has a new key since they were made."""

    def __init__(self, place, number=12, **settings):
        server = place.localstack
        use(place, server)
        self.client, self.bucket = server.client("kms"), bucket_on(server)
        self.old, self.new = new_key(server), new_key(server)
        self.kms = place.proxy(server)
        self.s3 = place.cleanup.enter_context(Proxy(server.url, one_by_one=True))
        self.records = self.bucket.url(endpoint=self.s3.url)
        self.prod = slot(self.kms, "aws-kms", self.new, former_key_ids=[self.old], **(FAST | settings))
        self.engine = engine(place, self.records, prod=slot(self.kms, "aws-kms", self.old))
        self.indexes = {}
        for name in (f"index {i:02}" for i in range(number)):
            with self.engine.create_index(name, "prod") as index:
                self.indexes[name] = index.kek(), index.encrypt(b"a page", b"1")
        self.configure(prod=self.prod)
        self.clear()

    def configure(self, **slots):
        self.engine.reload(configuration(self.records, **slots))

    def clear(self):
        self.kms.clear()
        self.s3.clear()

    def kek(self, name, wrap, key):
        """What AWS's own client makes of a wrap."""
        return self.client.decrypt(
            KeyId=key,
            CiphertextBlob=base64.b64decode(wrap["wrapped_kek"]),
            EncryptionContext={CONTEXT: name},
        )["Plaintext"]

    def moved(self):
        """How many are wrapped by the new key. Each is by the one that its record names, and opens."""
        self.engine.evict()
        keys = collections.Counter()
        for name, (kek, sealed) in self.indexes.items():
            record = self.engine.describe(name)
            keys[record["key_id"]] += 1
            assert self.kek(name, record, record["key_id"]) == kek, name
            with self.engine.open_index(name) as index:
                assert index.kek() == kek and index.decrypt(sealed, b"1") == b"a page"
        return keys[self.new]


def counts(report, *names):
    return tuple(report[name] for name in ("checked", "in_order", "rewrapped", "failed", *names))


def test_what_drifted_is_mended(place):
    fleet = Fleet(place)
    report = fleet.engine.sync(dry_run=True)
    assert counts(report, "would_rewrap") == (12, 0, 0, 0, 12) and fleet.kms.count() == 0, report
    assert fleet.moved() == 0
    told = []
    report = fleet.engine.sync(lambda *line: told.append(line) is None)
    assert counts(report) == (12, 0, 12, 0) and not report["stopped"], report
    assert [line[:2] for line in told] == [(done, 12) for done in range(1, 13)]
    assert sorted(line[2] for line in told) == sorted(fleet.indexes) and {line[3] for line in told} == {0}
    assert fleet.moved() == 12
    fleet.clear()
    assert counts(fleet.engine.sync()) == (12, 12, 0, 0) and fleet.kms.count() == 0
    # And the former key may go.
    fleet.client.disable_key(KeyId=fleet.old)
    fleet.configure(prod={name: value for name, value in fleet.prod.items() if name != "former_key_ids"})
    fleet.moved()


def test_a_kms_that_throttles_makes_it_slower_but_not_fail(place):
    fleet = Fleet(place, max_retries=0)
    rule = fleet.kms.on(faults.throttled(1), times=3, target=DECRYPT)
    begun = time.monotonic()
    report = fleet.engine.sync(concurrency=2)
    assert counts(report) == (12, 0, 12, 0), report
    assert rule.hits == 3 and time.monotonic() - begun >= 1, "it did not wait for as long as the KMS has asked for"
    assert fleet.moved() == 12


def test_a_kms_that_throttles_without_end_is_told_of(place):
    fleet = Fleet(place, number=2, max_retries=0)
    fleet.kms.on(faults.throttled(), times=None)
    report = fleet.engine.sync()
    assert counts(report) == (2, 0, 0, 2), report
    assert {failure["status"] for failure in report["failures"]} == {"THROTTLED"}, report
    fleet.clear()
    assert fleet.moved() == 0
    assert counts(fleet.engine.sync()) == (2, 0, 2, 0) and fleet.moved() == 2


def test_stopped_it_goes_on_where_it_was(place):
    fleet = Fleet(place)
    report = fleet.engine.sync(lambda done, *_: done < 3, concurrency=2)
    assert report["stopped"] and report["failed"] == 0 and 3 <= report["rewrapped"] < 12, report
    done = report["rewrapped"]
    assert fleet.moved() == done
    assert counts(fleet.engine.sync()) == (12, done, 12 - done, 0)
    assert fleet.moved() == 12


def test_a_scopes_end_stops_it_too(place):
    fleet = Fleet(place)
    fleet.kms.on(faults.hang, times=None)
    begun = time.monotonic()
    with fleet.engine.scope(deadline_ms=500) as scope:
        refused("TIMEOUT", scope.sync, words="sync was ended after")
    with fleet.engine.scope() as scope:
        scope.cancel()
        refused("CANCELLED", scope.sync)
    assert time.monotonic() - begun < 60
    fleet.clear()
    done = fleet.moved()
    assert counts(fleet.engine.sync()) == (12, done, 12 - done, 0) and fleet.moved() == 12


def test_one_refusal_does_not_stop_the_others(place):
    fleet = Fleet(place)
    denied = faults.kms_error(400, "AccessDeniedException")
    fleet.kms.on(denied, times=None, target=DECRYPT, body=b"index 05")
    report = fleet.engine.sync()
    assert counts(report) == (12, 0, 11, 1), report
    (failure,) = report["failures"]
    assert (failure["index"], failure["status"]) == ("index 05", "ACCESS_DENIED"), failure
    fleet.clear()
    assert fleet.moved() == 11 and counts(fleet.engine.sync()) == (12, 11, 1, 0)


def test_lost_answers_do_not_show(place):
    fleet = Fleet(place, number=24)
    for number, loss in enumerate(LOSSES):
        fleet.s3.on(loss, times=None, chance=0.1 / len(LOSSES), seed=number, method="PUT", path="config")
    for number, loss in enumerate(KMS_LOSSES):
        fleet.kms.on(loss, times=None, chance=0.1 / len(KMS_LOSSES), seed=number)
    runs, done = 0, 0
    while done < 24:
        report, runs = fleet.engine.sync(), runs + 1
        statuses = {failure["status"] for failure in report["failures"]}
        assert statuses <= {"STORAGE", "CONFLICT", "KMS_UNAVAILABLE"} and runs <= 10, report
        done = report["in_order"] + report["rewrapped"]
    assert sum(rule.hits for proxy in (fleet.s3, fleet.kms) for rule in proxy.rules) > 0
    fleet.clear()
    assert fleet.moved() == 24
    # Nothing was rewrapped for nothing.
    versions = [fleet.engine.describe(name)["version"] for name in fleet.indexes]
    assert all(version == 2 for version in versions), versions


def test_recipients_are_given_their_wraps_and_dropped(place):
    fleet = Fleet(place, number=4)
    west = slot(fleet.kms, "aws-kms", fleet.old)
    fleet.configure(prod=fleet.prod | {"recipients": ["west"]}, west=west)
    assert counts(fleet.engine.sync()) == (4, 0, 4, 0) and fleet.moved() == 4
    for name, (kek, _) in fleet.indexes.items():
        (recipient,) = fleet.engine.describe(name)["recipients"]
        assert recipient["kms_name"] == "west" and fleet.kek(name, recipient, fleet.old) == kek
    assert counts(fleet.engine.sync()) == (4, 4, 0, 0)
    fleet.configure(prod=fleet.prod)
    assert counts(fleet.engine.sync()) == (4, 0, 4, 0)
    assert not any(fleet.engine.describe(name)["recipients"] for name in fleet.indexes)
