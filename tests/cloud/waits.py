"""Callers with little time while a KMS hangs: a scope's deadline, a cancelled scope, and those who wait with them.

build/venv/bin/python -m tests.cloud.run waits
"""

import threading
import time

from tests.python.cyborg_kms import DATA_KEY, KEK, REWRAP, KmsError
from tests.services import faults

from .aws import DECRYPT, PATIENCE, opened, refused, until
from .outage import FOR_EVER, PROMPT, Cached

SERVERS = ("moto",)


def hanging(place):
    """An engine whose KMS would hang for an hour."""
    cached = Cached(place, place.moto, ttl="60s", stale="0s", cold=3, **FOR_EVER)
    cached.away(faults.hang)
    return cached


def uses(engine):
    """What asks a KMS."""
    return {
        "open": lambda: engine.open_index("cold 0"),
        "create": lambda: engine.create_index("new", "prod"),
        "rewrap": lambda: engine.rotate("cold 1", REWRAP),
        "new KEK": lambda: engine.rotate("cold 1", KEK),
        "new data key": lambda: engine.rotate("cold 1", DATA_KEY),
        "check": lambda: engine.check("prod"),
    }


class Waiting(threading.Thread):
    """A call on a thread of its own, and what it came to."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.error = call, None
        self.start()

    def run(self):
        try:
            with self.call() or threading.Lock():
                pass
        except KmsError as error:
            self.error = error

    def outcome(self):
        self.join(PROMPT)
        assert not self.is_alive(), "it waits for a KMS that hangs"
        return self.error and self.error.status_name


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def test_a_scopes_deadline_ends_the_wait(place):
    cached = hanging(place)
    before = cached.engine.describe("cold 1")
    begun = time.monotonic()
    with cached.engine.scope(deadline_ms=500) as scope:
        for call in uses(scope).values():
            assert refused("TIMEOUT", call, words="deadline").retryable
    assert time.monotonic() - begun < PROMPT
    assert cached.engine.describe("cold 1") == before
    refused("NOT_FOUND", cached.engine.describe, "new")


def test_a_cancelled_scope_ends_the_wait(place):
    cached = hanging(place)
    before = cached.engine.describe("cold 1")
    for what in uses(cached.engine):
        with cached.engine.scope() as scope:
            cached.away(faults.hang)
            waiting = Waiting(uses(scope)[what])
            wait_for(lambda: cached.proxy.count() == 1)
            scope.cancel()
            assert waiting.outcome() == "CANCELLED", what
            refused("CANCELLED", uses(scope)[what])
    assert cached.engine.describe("cold 1") == before
    refused("NOT_FOUND", cached.engine.describe, "new")
    cached.proxy.clear()
    until(None, lambda: opened(cached.engine, "cold 0"))


def test_who_waited_with_a_cancelled_one_gets_the_answer(place):
    cached = hanging(place)
    cached.proxy.clear()
    cached.proxy.on(faults.hang)
    with cached.engine.scope() as scope:
        first = Waiting(lambda: scope.open_index("cold 0"))
        wait_for(lambda: cached.proxy.count(target=DECRYPT) == 1)
        others = [Waiting(lambda: cached.engine.open_index("cold 0")) for _ in range(4)]
        wait_for(lambda: cached.engine.stats().coalesced_waits >= 4)
        scope.cancel()
        assert first.outcome() == "CANCELLED"
        assert [each.outcome() for each in others] == [None] * 4
    assert cached.proxy.count(target=DECRYPT) == 2


def test_an_open_index_is_not_bound_to_its_scope(place):
    cached = Cached(place, place.moto, ttl="1s", stale="0s", cold=1)
    with cached.engine.scope(deadline_ms=30_000) as scope, scope.open_index("cold 0") as index:
        scope.cancel()
        sealed = index.encrypt(b"page")
        cached.engine.evict()
        until(None, lambda: index.decrypt(sealed))


def test_callers_without_patience_do_not_spoil_it_for_others(place):
    """A KMS that answers, later than some wait: it is not silent, and those who wait must get their keys."""
    cached = Cached(place, place.moto, ttl="60s", stale="0s", cold=21, request_timeout="10s")
    cached.proxy.on(faults.late(0.5), times=None)
    with cached.engine.scope(deadline_ms=50) as scope:
        for name in cached.cold[:20]:
            refused("TIMEOUT", scope.open_index, name)
    opened(cached.engine, cached.cold[20])
