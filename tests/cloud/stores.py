"""Records on object stores: the same tests on each cloud, then what each is to be refused for.

    build/venv/bin/python -m tests.cloud.stores [SERVER…]

Needs scripts/setup.sh, and the library: CYBORG_KMS_LIBRARY, or target/{debug,release}.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import sys
import tempfile
import urllib.parse

from tests.cloud.buckets import bucket_on, environment
from tests.python.cyborg_kms import Blob, Engine, KmsError, Store
from tests.python.runner import run
from tests.services import SERVERS, Proxy, started

SAMPLE = {
    "kms_name": "prod",
    "provider": "aws-kms",
    "key_id": "arn:aws:kms:us-east-1:123456789012:key/abcd",
    "region": "us-east-1",
    "wrapped_kek": bytes(range(60)),
    "version": 1,
    "created_at": 1763760000,
}
ON = ("localstack", "ministack", "gcs", "azurite")
# Names that begin each other, and characters that sort before the ending's dot.
NAMES = ["a", "a-b", "a.b", "a b", "a/b", "ab", "..", "ü", "%", "a-", "z" * 220, "~", "A", "_", "a-b-c", "0"]


class Place:
    """A bucket on a server, a proxy in front of that, and the environment with its credentials."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(environment(self.server.variables()))
            self.proxy = stack.enter_context(Proxy(self.server.url))
            self.bucket = bucket_on(self.server)
            self.store = stack.enter_context(self.bucket.open())
            self.ends = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.ends.close()

    def through_proxy(self, **query):
        """The same store, by way of the proxy."""
        return self.bucket.open(endpoint=self.proxy.url, **query)


def object_of(name, prefix="db/"):
    """Where the record of an index lies."""
    return f"{prefix}_catalog/config/{urllib.parse.quote(name, safe='._-').replace('~', '%7E')}.kms.cat"


def write(verb, store, name, **fields):
    with Blob.make(**(SAMPLE | fields)) as blob:
        getattr(store, verb)(name, blob)


def read(store, name):
    with store.get(name) as blob:
        return {field: blob.get(field) for field in SAMPLE}


def refused(status, call, *arguments, words=(), **more):
    """The error of a call that must fail so."""
    try:
        call(*arguments, **more)
    except KmsError as error:
        assert error.status_name == status, f"{status} was expected: {error}"
        for word in words:
            assert word in error.message, f"{word!r} is missing in: {error}"
        return error
    raise AssertionError(f"it was not refused with {status}")


def test_create_get_push_delete(place):
    store = place.store
    refused("NOT_FOUND", store.get, "a")
    store.delete("a")
    write("create", store, "a")
    assert read(store, "a") == SAMPLE
    refused("ALREADY_EXISTS", write, "create", store, "a", key_id="other")
    assert read(store, "a") == SAMPLE
    for version in (2, 3):
        write("push", store, "a", version=version)
        write("push", store, "a", version=version)
        assert read(store, "a") == SAMPLE | {"version": version}
    store.delete("a")
    store.delete("a")
    refused("NOT_FOUND", store.get, "a")
    write("push", store, "a")
    assert read(store, "a") == SAMPLE


def test_the_check_leaves_nothing(place):
    write("create", place.store, "a")
    assert place.bucket.keys() == [object_of("a")], place.bucket.keys()


def test_names_are_the_objects(place):
    for prefix in ("", "one", "one/two%20three"):
        with place.bucket.open(prefix) as store:
            for name in NAMES:
                write("create", store, name, key_id=f"{prefix} {name}")
            folder = urllib.parse.unquote(prefix) + "/" if prefix else ""
            for name in NAMES:
                assert read(store, name)["key_id"] == f"{prefix} {name}"
                assert place.bucket.get(object_of(name, folder)), object_of(name, folder)
            assert store.list() == in_order(NAMES)


def in_order(names):
    return sorted(names, key=lambda name: object_of(name, "").removesuffix(".kms.cat"))


def test_foreign_objects_are_passed_over(place):
    write("create", place.store, "b")
    record = place.bucket.get(object_of("b"))
    for key in ["", "x", "sub/a.kms.cat", "%2f.kms.cat", "ü.kms.cat", ".kms.cat", "a.kms.cat.old", "a b.kms.cat"]:
        with contextlib.suppress(Exception):  # not every server takes every name
            place.bucket.put(f"db/_catalog/config/{key}", record)
    place.bucket.put("db/_catalog/configuration.kms.cat", record)
    place.bucket.put("db/_catalog/config.kms.cat", record)
    place.bucket.put("db2/_catalog/config/c.kms.cat", record)
    assert len(place.bucket.keys()) >= 8, place.bucket.keys()
    assert place.store.list() == ["b"]


def test_a_listing_goes_on_from_where_it_stopped(place):
    for name in NAMES:
        write("create", place.store, name)
    order = in_order(NAMES)
    for at, name in enumerate(order):
        assert place.store.list(name) == order[at + 1 :], name
    seen = []

    def until_the_third(name):
        seen.append(name)
        return len(seen) < 3

    place.store.list(visit=until_the_third)
    assert seen == order[:3]


def test_what_visits_may_use_the_store(place):
    for name in ("a", "b", "c"):
        write("create", place.store, name)

    def delete(name):
        place.store.delete(name)
        return True

    place.store.list(visit=delete)
    assert place.store.list() == []


def test_many_pages(place):
    write("create", place.store, "first")
    record = place.bucket.get(object_of("first"))
    names = [f"index-{number:04}" for number in range(2100)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: place.bucket.put(object_of(name), record), names))
    with place.through_proxy() as store:
        place.proxy.clear()
        assert store.list() == ["first", *names]
        assert place.proxy.count("GET") <= 5, place.proxy.requests()
        assert store.list(names[1999]) == names[2000:]


def test_what_is_no_record_is_corrupt(place):
    for data, words in [(b"x" * ((1 << 20) + 1), ["larger than 1048576 bytes"]), (b"garbage", ["damaged"]), (b"", [])]:
        place.bucket.put(object_of("a"), data)
        refused("CORRUPT", place.store.get, "a", words=words)
        refused("CORRUPT", write, "push", place.store, "a")
        assert place.bucket.get(object_of("a")) == data
    place.store.delete("a")
    assert place.bucket.get(object_of("a")) is None


def test_opening_asks_nobody(place):
    with place.through_proxy() as store:
        assert place.proxy.requests() == []
        refused("NOT_FOUND", store.get, "a")
        assert place.proxy.count() == place.proxy.count("GET") == 1


def test_one_check_for_all_threads(place):
    with place.through_proxy() as store, concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write("create", store, f"index {number}"), range(16)))
        assert len(store.list()) == 16
        puts = [line for line in place.proxy.requests() if line.method == "PUT" and "/probe-" in urllib.parse.unquote(line.path)]
        assert len(puts) == 3, puts


def test_one_of_many_creators_wins(place):
    for number in range(5):
        name = f"index {number}"

        def create(worker):
            with place.bucket.open() as store:
                try:
                    write("create", store, name, key_id=str(worker))
                    return worker
                except KmsError as error:
                    assert error.status_name == "ALREADY_EXISTS", error
                    return None

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            winners = [worker for worker in pool.map(create, range(8)) if worker is not None]
        assert len(winners) == 1 and read(place.store, name)["key_id"] == str(winners[0])


def test_a_child_uses_the_parents_store(place):
    write("create", place.store, "a")
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            assert read(place.store, "a") == SAMPLE
            write("create", place.store, "b")
            code = 0
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert place.store.list() == ["a", "b"]


def test_a_missing_bucket(place):
    place.bucket.name += "x"
    for call in ("get", "list", "create", "push"):
        with place.bucket.open() as store:
            arguments = {"get": ("a",), "list": ()}.get(call)
            if arguments is None:
                error = refused("STORAGE", write, call, store, "a", words=["create it", place.bucket.name])
            else:
                error = refused("STORAGE", getattr(store, call), *arguments, words=["create it", place.bucket.name])
            assert not error.retryable and not error.outcome_unknown, error


def test_an_engine_on_it(place):
    with tempfile.TemporaryDirectory() as folder:
        key = pathlib.Path(folder) / "wrap.key"
        url, _, query = place.bucket.url().partition("?")
        settings = "".join(f", {key}: '{value[0]}'" for key, value in urllib.parse.parse_qs(query).items())
        slot = f"kms: {{registry: {{prod: {{provider: local, key_id: {key}, create: true}}}}}}"
        yaml = f"storage: {{url: '{url}'{settings}}}\n{slot}\n"
        with Engine.open(yaml) as engine, engine.create_index("orders", "prod") as index:
            sealed = index.encrypt(b"what nobody else may read", b"page 1")
        with Engine.open(yaml) as engine, engine.open_index("orders") as index:
            assert index.decrypt(sealed, b"page 1") == b"what nobody else may read"
            refused("ALREADY_EXISTS", engine.create_index, "orders", "prod")
        assert place.store.list() == ["orders"]


def test_nobody_listens(place):
    with Proxy(place.server.url) as gone:
        url = place.bucket.url(endpoint=gone.url)
    with Store.open(url) as store:
        for call in (lambda: store.get("a"), lambda: write("create", store, "a"), store.list):
            error = refused("STORAGE", call, words=["no connection to 127.0.0.1", "check endpoint"])
            assert error.retryable and not error.outcome_unknown, error


def main(names):
    servers = [SERVERS[name]() for name in names or ON]
    with started(*servers):
        failed = 0
        for server in servers:
            print(f"-- {server.name}")
            failed |= run(globals(), lambda: Place(server))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
