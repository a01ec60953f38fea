"""Records on object stores: the same tests on each cloud.

build/venv/bin/python -m tests.cloud.run stores
"""

import concurrent.futures
import contextlib
import os
import pathlib
import tempfile
import urllib.parse

from tests.python.cyborg_kms import Engine, KmsError, Store
from tests.services import Proxy

from .records import SAMPLE, object_of, on_each, read, refused, write

SERVERS = ("localstack", "ministack", "gcs", "azurite")
# Names that begin each other, and characters that sort before the ending's dot.
NAMES = ["a", "a-b", "a.b", "a b", "a/b", "ab", "..", "ü", "%", "a-", "z" * 220, "~", "A", "_", "a-b-c", "0"]


def each_create_get_push_delete(place):
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


def each_the_check_leaves_nothing(place):
    write("create", place.store, "a")
    assert place.bucket.keys() == [object_of("a")], place.bucket.keys()


def each_names_are_the_objects(place):
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


def each_foreign_objects_are_passed_over(place):
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


def each_a_listing_goes_on_from_where_it_stopped(place):
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


def each_what_visits_may_use_the_store(place):
    for name in ("a", "b", "c"):
        write("create", place.store, name)

    def delete(name):
        place.store.delete(name)
        return True

    place.store.list(visit=delete)
    assert place.store.list() == []


def each_many_pages(place):
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


def each_what_is_no_record_is_corrupt(place):
    for data, words in [(b"x" * ((1 << 20) + 1), ["larger than 1048576 bytes"]), (b"garbage", ["damaged"]), (b"", [])]:
        place.bucket.put(object_of("a"), data)
        refused("CORRUPT", place.store.get, "a", words=words)
        refused("CORRUPT", write, "push", place.store, "a")
        assert place.bucket.get(object_of("a")) == data
    place.store.delete("a")
    assert place.bucket.get(object_of("a")) is None


def each_opening_asks_nobody(place):
    with place.through_proxy() as store:
        assert place.proxy.requests() == []
        refused("NOT_FOUND", store.get, "a")
        assert place.proxy.count() == place.proxy.count("GET") == 1


def each_one_check_for_all_threads(place):
    with place.through_proxy() as store, concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write("create", store, f"index {number}"), range(16)))
        assert len(store.list()) == 16
        puts = [line for line in place.proxy.requests() if line.method == "PUT" and "/probe-" in urllib.parse.unquote(line.path)]
        assert len(puts) == 3, puts


def each_one_of_many_creators_wins(place):
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


def each_a_child_uses_the_parents_store(place):
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


def each_a_missing_bucket(place):
    place.bucket.name += "x"
    for call in ("get", "list", "create", "push"):
        with place.bucket.open() as store:
            arguments = {"get": ("a",), "list": ()}.get(call)
            if arguments is None:
                error = refused("STORAGE", write, call, store, "a", words=["create it", place.bucket.name])
            else:
                error = refused("STORAGE", getattr(store, call), *arguments, words=["create it", place.bucket.name])
            assert not error.retryable and not error.outcome_unknown, error


def each_an_engine_on_it(place):
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


def each_nobody_listens(place):
    with Proxy(place.server.url) as gone:
        url = place.bucket.url(endpoint=gone.url)
    with Store.open(url) as store:
        for call in (lambda: store.get("a"), lambda: write("create", store, "a"), store.list):
            error = refused("STORAGE", call, words=["no connection to 127.0.0.1", "check endpoint"])
            assert error.retryable and not error.outcome_unknown, error


globals().update(on_each(SERVERS, globals()))
