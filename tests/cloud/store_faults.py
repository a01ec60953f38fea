"""Writes whose answers are lost, halved, late or lies: what was acknowledged is true.

build/venv/bin/python -m tests.cloud.run store_faults
"""

import threading

from tests.interop.format import Fields
from tests.python.cyborg_kms import KmsError
from tests.services import faults

from .records import object_of, on_each, read, refused, write

SERVERS = ("localstack", "gcs", "azurite")
# A request that hangs is given up after this.
BRIEF = {"request_timeout": "1s"}
WRITE_IDS = 15  # the slot of the record
# The server has done it.
APPLIED = {
    "reset after": faults.lose("rst"),
    "closed after": faults.lose("fin"),
    "hangs after": faults.lose("hang"),
    "half an answer": faults.half(),
    "half an answer, hanging": faults.half("hang"),
    "half an answer, reset": faults.half("rst"),
    "409 after": faults.conflict(applied=True),
    "412 after": faults.s3_error(412, "PreconditionFailed", applied=True),
    "500 after": faults.internal(applied=True),
    "503 after": faults.slow_down(applied=True),
}
# The server has not seen it.
NOT_APPLIED = {
    "reset before": faults.reset,
    "closed before": faults.close,
    "hangs before": faults.hang,
    "409 before": faults.conflict(),
    "412 before": faults.s3_error(412, "PreconditionFailed"),
    "500 before": faults.internal(),
    "503 of another kind": faults.s3_error(503, "ServiceUnavailable"),
}


def ids(place, name):
    """The ids of the writes that a record has seen."""
    data = Fields.root(place.bucket.get(object_of(name))).bytes(WRITE_IDS)
    return [data[at : at + 16] for at in range(0, len(data), 16)]


def on_write(place, fault, times=1):
    """From now on `fault` happens to the next writes of records."""
    return place.proxy.on(fault, times=times, method="PUT", path="config")


def each_a_lost_answer_of_a_create_is_found_out(place):
    with place.through_proxy(**BRIEF) as store:
        for what, fault in (APPLIED | NOT_APPLIED).items():
            rule = on_write(place, fault)
            write("create", store, what, key_id=what)
            assert rule.hits == 1, what
            assert read(place.store, what)["key_id"] == what
            assert len(ids(place, what)) == 1, f"{what}: it was written twice"
            refused("ALREADY_EXISTS", write, "create", store, what)


def each_a_lost_answer_of_a_push_is_found_out(place):
    with place.through_proxy(**BRIEF) as store:
        write("create", store, "a")
        for number, (what, fault) in enumerate((APPLIED | NOT_APPLIED).items(), 2):
            rule = on_write(place, fault)
            write("push", store, "a", key_id=what)
            assert rule.hits == 1, what
            assert read(place.store, "a")["key_id"] == what
            assert len(ids(place, "a")) == min(number, 16), f"{what}: it was written twice"


def each_a_late_write_changes_nothing(place):
    """The answer does not come in time, the write is tried anew, and then the first one arrives."""
    with place.through_proxy(**BRIEF) as store:
        write("create", place.store, "b")
        for verb, name in (("create", "a"), ("push", "b")):
            gate = threading.Event()
            on_write(place, faults.held(gate, applied=False))
            write(verb, store, name, key_id="ours")
            before = place.bucket.get(object_of(name))
            gate.set()
            write("push", store, name, key_id="newer")
            assert read(place.store, name)["key_id"] == "newer"
            assert ids(place, name)[-2] == Fields.root(before).bytes(WRITE_IDS)[-16:], "the late one came between"


def each_a_slow_answer_is_waited_for(place):
    with place.through_proxy() as store:
        rule = on_write(place, faults.late(0.5))
        write("create", store, "a")
        assert rule.hits == 1 and len(ids(place, "a")) == 1


def each_another_creator_is_told_from_ourselves(place):
    """The server refuses our create because another's was faster, and that answer is lost."""
    with place.through_proxy(**BRIEF) as store:
        for what, fault in APPLIED.items():
            if what.startswith("503"):
                continue  # who asks for fewer requests is not asked again at once

            def others_first(exchange, name=what, fault=fault):
                write("create", place.store, name, key_id="theirs")
                fault(exchange)

            on_write(place, others_first)
            error = refused("ALREADY_EXISTS", write, "create", store, what, key_id="ours")
            # A request without an answer may still be on its way; one that was refused is not.
            assert not (error.outcome_unknown and what.startswith("4")), error
            assert read(place.store, what)["key_id"] == "theirs"


def each_another_writer_is_not_overwritten(place):
    """Someone pushes while our push is on its way: ours comes on top, with theirs in the record's past."""
    with place.through_proxy() as store:
        write("create", store, "a")

        def others_first(exchange):
            write("push", place.store, "a", key_id="theirs")
            exchange.send(exchange.forward())

        rule = on_write(place, others_first)
        write("push", store, "a", key_id="ours")
        assert rule.hits == 1 and read(place.store, "a")["key_id"] == "ours" and len(ids(place, "a")) == 3


def each_faults_without_end_are_told_as_they_are(place):
    expected = {
        "reset before": ("STORAGE", True),
        "closed before": ("STORAGE", True),
        "hangs before": ("TIMEOUT", True),
        "409 before": ("STORAGE", False),
        "412 before": ("STORAGE", False),
        "500 before": ("STORAGE", True),
        "503 of another kind": ("STORAGE", True),
    }
    with place.through_proxy(request_timeout="300ms") as store:
        write("create", store, "b")
        for what, fault in NOT_APPLIED.items():
            for verb, name in (("create", "a"), ("push", "b")):
                on_write(place, fault, times=None)
                status, unknown = expected[what]
                error = refused(status, write, verb, store, name, key_id=what)
                assert error.retryable and error.outcome_unknown == unknown, f"{what}: {error}"
                place.proxy.clear()
        refused("NOT_FOUND", place.store.get, "a")
        assert len(ids(place, "b")) == 1
        for what, fault in APPLIED.items():
            on_write(place, fault, times=None)
            write("push", store, "b", key_id=what)
            assert read(place.store, "b")["key_id"] == what
            place.proxy.clear()


def each_a_store_that_asks_for_fewer_requests(place):
    with place.through_proxy() as store:
        write("create", store, "b")
        for fault, code in [(faults.slow_down(retry_after=7), "SlowDown"), (faults.too_many(retry_after=7), "")]:
            rule = on_write(place, fault)
            error = refused("THROTTLED", write, "create", store, "a")
            assert rule.hits == 1, "it was asked again at once"
            assert error.retryable and not error.outcome_unknown and error.retry_after_ms == 7000, error
            assert error.provider_code == code, error
        place.proxy.on(faults.slow_down(), times=None, method="GET", path="config")
        refused("THROTTLED", store.get, "b")


def each_a_delete_whose_answer_is_lost(place):
    with place.through_proxy(**BRIEF) as store:
        # Azure's are sent as a batch.
        method = "POST" if place.server.name == "azurite" else "DELETE"
        for what, fault in APPLIED.items():
            if what.startswith("4"):
                continue  # nobody refuses what has no condition
            write("create", place.store, what)
            rule = place.proxy.on(fault, method=method)
            store.delete(what)
            assert rule.hits == 1, what
            refused("NOT_FOUND", place.store.get, what)
        for what in ("reset before", "closed before", "hangs before", "500 before"):
            write("create", place.store, what)
            place.proxy.on(NOT_APPLIED[what], method=method)
            try:
                store.delete(what)
                raise AssertionError(f"{what}: nothing was told")
            except KmsError as error:
                assert error.status_name in ("STORAGE", "TIMEOUT") and error.outcome_unknown, error
            store.delete(what)


def each_a_read_is_tried_again(place):
    write("create", place.store, "a")
    with place.through_proxy(**BRIEF) as store:
        for what, fault in {
            "reset": faults.reset,
            "closed": faults.close,
            "half": faults.half(),
            "half, reset": faults.half("rst"),
            "500": faults.internal(),
            "503": faults.slow_down(),
            "429": faults.too_many(),
        }.items():
            rule = place.proxy.on(fault, method="GET", path="config")
            assert read(store, "a")["version"] == 1 and rule.hits == 1, what
        for what, fault in {"reset": faults.reset, "500": faults.internal(), "half": faults.half()}.items():
            place.proxy.on(fault, times=None, method="GET", path="config")
            error = refused("STORAGE", store.get, "a")
            assert error.retryable, f"{what}: {error}"
            place.proxy.clear()
        place.proxy.on(faults.hang, times=None, method="GET")
        refused("TIMEOUT", store.get, "a", words=["request_timeout"])
        refused("TIMEOUT", store.list, words=["request_timeout"])


def each_the_check_of_the_store_and_its_faults(place):
    """Its answers are lost like all others: the write that waits for it says so, and did not happen."""
    for what, fault in (APPLIED | NOT_APPLIED).items():
        place.proxy.clear()
        with place.through_proxy(**BRIEF) as store:
            rule = place.proxy.on(fault, method="PUT", path="probe")
            try:
                write("create", store, what)
            except KmsError as error:
                assert not error.outcome_unknown and error.status_name in ("TIMEOUT", "THROTTLED", "STORAGE"), error
                refused("NOT_FOUND", place.store.get, what)
                write("create", store, what)
            assert rule.hits == 1 and read(place.store, what)["version"] == 1
    left = [key for key in place.bucket.keys() if "probe-" in key]
    assert left == [], left


globals().update(on_each(SERVERS, globals()))
