"""What the tests of object stores share: a place on a server, records in short, a test for each of several servers."""

import contextlib
import functools
import urllib.parse

from tests.python.cyborg_kms import Blob, KmsError
from tests.services import Proxy

from .buckets import bucket_on, environment

SAMPLE = {
    "kms_name": "prod",
    "provider": "aws-kms",
    "key_id": "arn:aws:kms:us-east-1:123456789012:key/abcd",
    "region": "us-east-1",
    "wrapped_kek": bytes(range(60)),
    "version": 1,
    "created_at": 1763760000,
}

class Ground:
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


def on_each(servers, module):
    """The tests of a module for each server: `each_a` becomes `test_a_on_SERVER`, which gets a `Ground`."""

    def on(server, each, place):
        with Ground(getattr(place, server)) as ground:
            each(ground)

    return {
        f"test_{name.removeprefix('each_')}_on_{server}": functools.partial(on, server, each)
        for server in servers
        for name, each in list(module.items())
        if name.startswith("each_")
    }


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
