"""Runs tests against real servers, which are started once: build/venv/bin/python -m tests.cloud.run MODULE…

MODULE is a file of this folder. It names what it needs in SERVERS; each `test_…` in it gets a `Place`.
"""

import contextlib
import importlib
import itertools
import sys

from tests.python.runner import run
from tests.services import SERVERS, Proxy, ServiceError, started

numbers = itertools.count(1)


class Place:
    """The servers as attributes (`place.moto`), and names that no other test has."""

    def __init__(self, servers):
        self.servers = servers
        self.cleanup = contextlib.ExitStack()

    def __getattr__(self, name):
        if name in SERVERS:
            raise AttributeError(f"this test's module does not have {name} in its SERVERS")
        raise AttributeError(name)

    def __enter__(self):
        self.__dict__.update(self.servers)
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def proxy(self, server):
        """A proxy before a server, for this test."""
        return self.cleanup.enter_context(Proxy(server.url))

    def name(self, prefix="test"):
        """A name that is new, fit for a bucket, a container, an alias."""
        return f"{prefix}-{next(numbers)}"

    def bucket(self, server):
        """A new bucket of an S3."""
        name = self.name("bucket")
        server.client("s3").create_bucket(Bucket=name)
        return name


def main(modules):
    if not modules:
        print("say which modules of tests/cloud", file=sys.stderr)
        return 2
    loaded = {name: importlib.import_module(f"tests.cloud.{name}") for name in modules}
    needed = dict.fromkeys(server for module in loaded.values() for server in module.SERVERS)
    tests = {f"{name}.{test}": value for name, module in loaded.items() for test, value in vars(module).items()}
    try:
        with started(*(SERVERS[name]() for name in needed)) as servers:
            by_name = dict(zip(needed, servers))
            return run(tests, lambda: Place(by_name))
    except ServiceError as error:
        print(f"FAILED  {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
