"""A KMS that hangs, answers late, throttles, refuses, comes back: what an index does meanwhile, and who waits for it.

build/venv/bin/python -m tests.cloud.run outage
"""

import os
import time

from tests.python.cyborg_kms import NO_WAIT
from tests.services import faults

from .aws import DECRYPT, configuration, engine, folder, new_key, opened, refused, slot, until, use

SERVERS = ("moto", "localstack")
# How a KMS can be silent, and what those are told who have nothing cached.
SILENCES = {
    "hangs": (faults.hang, "TIMEOUT"),
    "answers half": (faults.half("hang"), "TIMEOUT"),
    "closes": (faults.close, "KMS_UNAVAILABLE"),
    "500": (faults.internal(), "KMS_UNAVAILABLE"),
    "503": (faults.kms_error(503, "ServiceUnavailable"), "KMS_UNAVAILABLE"),
    "throttles": (faults.throttled(), "THROTTLED"),
    "429": (faults.too_many(), "THROTTLED"),
    "a firewall's page": (faults.answer(403, b"<html>blocked</html>", {"Content-Type": "text/html"}), "KMS_UNAVAILABLE"),
}
DENIED = faults.kms_error(400, "AccessDeniedException")
# A KMS that hangs is given up after this, where it is not the point that it hangs for ever.
BRIEF = {"request_timeout": "300ms", "max_retries": 0}
FOR_EVER = {"request_timeout": "10m", "deadline": "1h", "max_retries": 0}
# What returns within this did not wait for a KMS that hangs for ever.
PROMPT = 60


class Cached:
    """An open index with a page, and a proxy before its KMS. Others of which nothing is cached have the names `cold`."""

    def __init__(self, place, server, ttl="500ms", ahead=0, stale="1h", cold=0, **settings):
        # Once: it changes what the engines of this test, which refresh their keys meanwhile, take for credentials.
        if "AWS_ACCESS_KEY_ID" not in os.environ:
            use(place, server)
        self.key = server.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.proxy, self.records = place.proxy(server), folder(place)
        settings = slot(self.proxy, "aws-kms", self.key, **settings)
        self.engine = engine(place, self.records, ttl, ahead, stale, prod=settings)
        self.cold = [f"cold {number}" for number in range(cold)]
        for name in self.cold:
            self.engine.create_index(name, "prod").__exit__()
        self.engine.evict()
        self.index = place.cleanup.enter_context(self.engine.create_index("customers", "prod"))
        self.sealed = self.index.encrypt(b"a page", b"1")
        # Only now, since what is made must not fail because the machine is busy.
        self.slots = {"prod": BRIEF | settings}
        self.engine.reload(configuration(self.records, ttl, ahead, stale, **self.slots))
        self.proxy.clear()

    def away(self, fault):
        """From now on this happens to each request, and nothing else."""
        self.proxy.clear()
        self.proxy.on(fault, times=None)

    def read(self):
        assert self.index.decrypt(self.sealed, b"1") == b"a page"

    def goes_on(self, times=1):
        """It is used beyond its lifetime, so many times two seconds, and never refused."""
        wanted = self.engine.stats().stale_served + times
        while self.engine.stats().stale_served < wanted:
            self.read()
            time.sleep(0.01)
        self.read()
        assert self.index.decrypt(self.index.encrypt(b"another")) == b"another"


def test_a_cached_index_goes_on_while_its_kms_is_silent(place):
    all_cached = [(Cached(place, place.moto), *silence) for silence in SILENCES.values()]
    for cached, fault, _ in all_cached:
        cached.away(fault)
    for cached, _, status in all_cached:
        cached.goes_on()
        opened(cached.engine, "customers")
        cold = engine(place, cached.records, **cached.slots)
        assert refused(status, cold.open_index, "customers", words='slot "prod"').retryable


def test_it_goes_on_for_longer_than_one_pause(place):
    cached = Cached(place, place.moto)
    cached.away(faults.hang)
    cached.goes_on(times=3)
    # It was asked each time, in vain.
    assert cached.proxy.count(target=DECRYPT) >= 3


def test_a_refusal_ends_it_at_once(place):
    cached = Cached(place, place.moto)
    cached.away(faults.hang)
    cached.goes_on()
    cached.away(DENIED)
    until(("ACCESS_DENIED", "AccessDeniedException"), cached.read)
    # And it stays ended when the KMS falls silent again.
    cached.away(faults.hang)
    until(("TIMEOUT", ""), cached.read)
    for call in (cached.read, lambda: cached.index.encrypt(b"x"), lambda: cached.engine.open_index("customers")):
        assert refused("TIMEOUT", call).retryable
    cached.proxy.clear()
    until(None, cached.read)


def test_a_key_that_was_disabled_meanwhile_ends_it_when_the_kms_comes_back(place):
    cached, kms = Cached(place, place.localstack), place.localstack.client("kms")
    cached.away(faults.hang)
    cached.goes_on()
    kms.disable_key(KeyId=cached.key)
    cached.goes_on()
    cached.proxy.clear()
    until(("KEY_DISABLED", "DisabledException"), cached.read)
    kms.enable_key(KeyId=cached.key)
    until(None, cached.read)


def test_it_ends_with_the_time_that_was_allowed(place):
    cached = Cached(place, place.moto, stale="3s")
    cached.away(faults.hang)
    cached.goes_on()
    until(("TIMEOUT", ""), cached.read)
    cached.proxy.clear()
    until(None, cached.read)


def test_without_leave_the_lifetime_is_the_end_and_it_comes_back(place):
    cached = Cached(place, place.moto, stale="0s")
    cached.away(faults.hang)
    until(("TIMEOUT", ""), cached.read)
    assert cached.engine.stats().stale_served == 0
    cached.proxy.clear()
    until(None, cached.read)


def test_a_late_answer_changes_nothing(place):
    """It comes after the deadline, from a key that is disabled since: nobody may take it for an answer of now."""
    cached, kms = Cached(place, place.localstack, stale="0s"), place.localstack.client("kms")
    late = cached.proxy.on(faults.late(1), target=DECRYPT)
    cached.proxy.on(faults.hang, times=None)
    until(("TIMEOUT", ""), cached.read)
    kms.disable_key(KeyId=cached.key)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        refused("TIMEOUT", cached.read)
        time.sleep(0.05)
    assert late.hits == 1
    cached.proxy.clear()
    until(("KEY_DISABLED", "DisabledException"), cached.read)


def test_no_page_waits_for_a_kms_that_hangs(place):
    """Nobody gives up in here but the page, which has keys that it may use."""
    for ahead in (0.5, 0):
        cached = Cached(place, place.moto, ahead=ahead, **FOR_EVER)
        cached.away(faults.hang)
        begun = time.monotonic()
        cached.goes_on(times=2)
        assert time.monotonic() - begun < PROMPT


def test_no_page_waits_for_a_kms_that_is_slow(place):
    """Refreshed ahead, for longer than a lifetime: a handle that never waits is never without keys."""
    cached = Cached(place, place.moto, ttl="4s", ahead=0.25, stale="0s", request_timeout="5s")
    cached.proxy.on(faults.late(0.5), times=None)
    with cached.engine.open_index("customers", NO_WAIT) as index:
        while cached.proxy.count(target=DECRYPT) < 3:
            assert index.decrypt(cached.sealed, b"1") == b"a page"
            time.sleep(0.005)
        cached.away(faults.hang)
        until(("KMS_UNAVAILABLE", ""), lambda: index.decrypt(cached.sealed, b"1"))
        cached.proxy.clear()
        until(None, lambda: index.decrypt(cached.sealed, b"1"))


def breaker(engine, name="prod"):
    """0: its KMS is asked; 1: left alone; 2: being tried."""
    line = f'cyborg_kms_kms_breaker_state{{slot="{name}"}} '
    return next(int(text.removeprefix(line)) for text in engine.metrics().splitlines() if text.startswith(line))


def test_a_silent_kms_is_left_alone_and_found_again(place):
    cached = Cached(place, place.moto, ttl="60s", cold=24, request_timeout="10s")
    cached.away(faults.reset)
    begun = time.monotonic()
    for name in cached.cold[:8]:
        refused("KMS_UNAVAILABLE", cached.engine.open_index, name, words="can't be reached")
    assert cached.proxy.count(target=DECRYPT) == 8
    errors = [refused("KMS_UNAVAILABLE", cached.engine.open_index, name) for name in cached.cold[8:]]
    # It is tried once a second at most.
    assert cached.proxy.count(target=DECRYPT) <= 8 + (time.monotonic() - begun)
    told = [error.retry_after_ms for error in errors if "left alone" in error.message]
    assert told and all(0 < wait <= 30_000 for wait in told), told
    assert breaker(cached.engine) in (1, 2)
    cached.proxy.clear()
    for name in cached.cold:
        until(None, lambda: opened(cached.engine, name))
    assert breaker(cached.engine) == 0 and cached.proxy.count(target=DECRYPT) == len(cached.cold)


def test_a_kms_that_throttles_or_refuses_is_not_left_alone(place):
    for fault, status, code in (
        (faults.throttled(), "THROTTLED", "ThrottlingException"),
        (DENIED, "ACCESS_DENIED", "AccessDeniedException"),
    ):
        cached = Cached(place, place.moto, ttl="60s", cold=12, request_timeout="10s")
        cached.away(fault)
        for name in cached.cold:
            refused(status, cached.engine.open_index, name, code=code)
        assert cached.proxy.count(target=DECRYPT) == 12 and breaker(cached.engine) == 0


def test_one_slots_silence_is_not_anothers(place):
    other = slot(place.moto, "aws-kms", new_key(place.moto))
    cached = Cached(place, place.moto)
    ours = engine(place, other=other, **cached.slots)
    cached.away(faults.reset)
    for _ in range(8):
        refused("KMS_UNAVAILABLE", ours.check, "prod")
    ours.create_index("elsewhere", "other").__exit__()
    assert breaker(ours) in (1, 2) and breaker(ours, "other") == 0


def test_tries_are_counted(place):
    cached = Cached(place, place.moto, ttl="60s", max_retries=3, request_timeout="10s")
    before = cached.engine.stats()
    cached.proxy.on(faults.throttled(), times=2, target=DECRYPT)
    cached.index.refresh()
    after = cached.engine.stats()
    counted = [getattr(after, name) - getattr(before, name) for name in ("kms_calls", "kms_errors", "kms_retries")]
    assert counted == [3, 2, 2] and cached.proxy.count(target=DECRYPT) == 3
    text = cached.engine.metrics()
    for line in (
        'cyborg_kms_kms_retries_total{slot="prod",operation="unwrap"} 2',
        'cyborg_kms_kms_calls_total{slot="prod",operation="unwrap",status="THROTTLED"} 2',
    ):
        assert line in text, text
