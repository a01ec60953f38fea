"""The command cyborg-kms with AWS's protocols: a KMS that works, refuses, throttles, hangs; records in a bucket.

build/venv/bin/python -m tests.cloud.run command
"""

import contextlib
import signal

from tests.command.place import Place
from tests.services import faults

SERVERS = ("moto", "localstack")


@contextlib.contextmanager
def place_of(place, server, storage="keys", **slot):
    """A place of the command with a slot at a KMS behind a proxy, and one at a key file."""
    key = server.client("kms").create_key()["KeyMetadata"]["KeyId"]
    proxy = place.proxy(server)
    settings = {"provider": "aws-kms", "key_id": key, "region": server.region, "endpoint": proxy.url} | slot
    written = ", ".join(f"{name}: {value!r}" for name, value in settings.items())
    with Place() as here:
        here.variables = server.variables()
        here.write(
            "cyborg_kms.yaml",
            f"storage: {{url: '{storage}'}}\n"
            f"kms: {{registry: {{prod: {{{written}}}, dr: {{provider: local, key_id: dr.key, create: true}}}}}}\n",
        )
        yield here, proxy, key


def test_a_kms_from_the_shell(place):
    with place_of(place, place.moto) as (here, _, key):
        assert here.ok("check") == "dr    ok\nprod  ok\n"
        assert here.ok_json("create", "orders", "prod")["now"]["key_id"] == key
        assert here.ok_json("rotate", "orders", "--kek", "--to", "dr")["now"]["provider"] == "local"
        assert here.ok_json("rotate", "orders", "--rewrap", "--to", "prod")["now"]["provider"] == "aws-kms"
        assert f"wrapped by   slot prod, provider aws-kms, key {key}" in here.ok("inspect", "orders")


def test_records_in_a_bucket(place):
    server = place.localstack
    storage = server.store_url(place.bucket(server), "records")
    with place_of(place, server, storage) as (here, _, _):
        for name in ("a/b", "orders"):
            here.ok("create", name, "prod")
        assert here.ok("list") == "a/b\norders\n"
        assert here.ok("sync") == "2 of 2 indexes: 2 in order\n"
        here.ok("disable", "orders")
        assert here.ok_json("inspect", "orders")["state"] == "disabled"
        assert here.run("delete", "a/b", "--yes", "--json").json()["provider"] == "aws-kms"
        # An object store keeps a mark of what was deleted (docs/stores.md), and list gives the names that the store has.
        assert here.ok("list") == "a/b\norders\n"
        here.refused(3, "NOT_FOUND", "inspect", "a/b")


def test_a_key_that_is_disabled_or_not_there(place):
    with place_of(place, place.localstack) as (here, _, key):
        here.ok("create", "orders", "prod")
        place.localstack.client("kms").disable_key(KeyId=key)
        error = here.refused(4, "KEY_DISABLED", "rotate", "orders", "--kek", words=['slot "prod"'])
        assert error["provider_code"] == "DisabledException" and not error["retryable"], error
        here.refused(4, "KEY_DISABLED", "check", "prod")
    with place_of(place, place.localstack, key_id="00000000-0000-0000-0000-000000000000") as (here, _, _):
        here.refused(4, "KEY_NOT_FOUND", "check", "prod")


def test_a_kms_that_is_away_or_throttles(place):
    with place_of(place, place.moto, max_retries=0) as (here, proxy, _):
        for fault, status in (
            (faults.throttled(), "THROTTLED"),
            (faults.internal(), "KMS_UNAVAILABLE"),
            (faults.reset, "KMS_UNAVAILABLE"),
        ):
            proxy.on(fault, times=None)
            assert here.refused(5, status, "check", "prod")["retryable"]
            assert here.run("check").code == 5
            proxy.clear()
        here.ok("check")
    with place_of(place, place.moto, endpoint="http://127.0.0.1:9", max_retries=0) as (here, _, _):
        here.refused(5, "KMS_UNAVAILABLE", "check", "prod")


def test_a_kms_that_hangs_is_not_waited_for_longer_than_asked(place):
    with place_of(place, place.moto, request_timeout="10m", deadline="30m") as (here, proxy, _):
        proxy.on(faults.hang, times=None)
        here.refused(5, "TIMEOUT", "check", "prod", "--timeout", "500ms")
        here.refused(5, "TIMEOUT", "create", "orders", "prod", "--timeout", "500ms")


def test_ctrl_c_while_a_kms_hangs(place):
    with place_of(place, place.moto, request_timeout="10m", deadline="30m") as (here, proxy, _):
        here.ok("create", "orders", "prod")
        proxy.on(faults.hang, times=None)
        for arguments, words in (
            (["rotate", "orders", "--kek"], "interrupted, and nothing was changed"),
            (["create", "more", "prod"], "interrupted, and nothing was changed"),
            (["check"], "interrupted, 1 of 2 slots were looked at"),
        ):
            seen = proxy.count()
            process = here.start(*arguments)
            while proxy.count() == seen:
                assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGINT)
            result = here.end(process)
            assert result.code == 130 and f"CANCELLED: {words}" in result.err, result
        assert result.out == "dr  ok\n", "what was found out is told"
        proxy.clear()
        assert here.ok("list") == "orders\n" and here.ok_json("inspect", "orders")["version"] == 1


def test_sync_in_which_a_kms_fails(place):
    with place_of(place, place.moto, max_retries=0) as (here, proxy, key):
        for name, slot in (("a", "dr"), ("b", "prod"), ("c", "dr")):
            here.ok("create", name, slot)
        other = place.moto.client("kms").create_key()["KeyMetadata"]["KeyId"]
        config = (here.folder / "cyborg_kms.yaml").read_text()
        config = config.replace("key_id: dr.key,", "key_id: new.key, former_key_ids: [dr.key],")
        here.write("cyborg_kms.yaml", config.replace(f"'{key}'", f"{other}, former_key_ids: [{key}]"))
        proxy.on(faults.internal(), times=None)
        result = here.run("sync", "--json")
        report = result.json()
        assert (result.code, result.error()["status"]) == (5, "KMS_UNAVAILABLE"), result
        assert (report["rewrapped"], report["failed"]) == (2, 1), report
        proxy.clear()
        assert here.ok("sync") == "3 of 3 indexes: 2 in order, 1 rewrapped\n"
