"""One of several processes that use the same indexes at once: what it does, and what it was told.

A job is a JSON file: `config`; `sqlite`, the paths of a database and of the example's store, or null;
`worker`; `operations`; `derived`, what each index derives; `pages`, a file to which every sealed page is appended.
"""

import collections
import json
import os
import random
import sys

from tests.python.cyborg_kms import DATA_KEY, KEK, REWRAP, Engine, KmsError

from .sqlite_host import SqliteHost

ROTATIONS = {"rewrap": REWRAP, "kek": KEK, "data key": DATA_KEY}
# What a worker does, and how often.
ACTIONS = {"rewrap": 2, "kek": 2, "data key": 2, "stop": 1, "use": 7}

Page = collections.namedtuple("Page", "index aad sealed")


def write_page(file, page):
    """Appends a page, in one write: a process may be killed behind it, and others read meanwhile."""
    line = json.dumps([page.index, page.aad.decode(), page.sealed.hex()]) + "\n"
    with open(file, "ab", 0) as pages:
        pages.write(line.encode())


def read_pages(file):
    """Every page that was sealed so far."""
    with open(file) as pages:
        lines = [json.loads(line) for line in pages if line.endswith("\n")]
    return [Page(index, aad.encode(), bytes.fromhex(sealed)) for index, aad, sealed in lines]


def sealed_page(handle, index, aad):
    """A new page that says where it belongs."""
    return Page(index, aad, handle.encrypt(b"page " + aad, aad))


def check_page(handle, page):
    """For a data key that it does not know a handle reads the record again, once a second: here others rotate more
    often."""
    try:
        found = handle.decrypt(page.sealed, page.aad)
    except KmsError as error:
        if error.status_name != "CORRUPT":
            raise
        handle.refresh()
        found = handle.decrypt(page.sealed, page.aad)
    assert found == b"page " + page.aad, f"another page than {page}: {found}"


def derived(handle):
    return handle.derive("race", b"", 32).hex()


class Host:
    """An engine over a store of the library's own."""

    def __init__(self, config):
        self.engine = Engine.open(config)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.engine.__exit__()

    def change(self, _index, _rotation, rotate):
        """Rotates."""
        rotate()


class Worker:
    """What one process does; `report` hears of each change."""

    def __init__(self, job, report):
        self.job, self.report = job, report
        self.choose = random.Random(job["worker"])
        self.host = SqliteHost(job["config"], *job["sqlite"], job["worker"]) if job["sqlite"] else Host(job["config"])
        self.engine = self.host.engine
        self.handles, self.sealed = {}, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles.values():
            handle.__exit__()
        self.host.__exit__()

    def tell(self, what, index, call):
        """A call, and what came of it."""
        try:
            status, unknown, message = call() or "OK", False, ""
        except KmsError as error:
            status, unknown, message = error.status_name, error.outcome_unknown, error.message
        self.report([what, index, status, unknown, message])

    def act(self):
        index = self.choose.choice(list(self.job["derived"]))
        what = self.choose.choices(list(ACTIONS), ACTIONS.values())[0]
        if what == "use":
            self.tell("use", index, lambda: self.use(index))
        elif what == "stop":
            self.tell("disable", index, lambda: self.engine.disable(index))
            self.tell("enable", index, lambda: self.engine.enable(index))
        else:
            self.rotate(index, what)

    def rotate(self, index, what):
        rotate = lambda: self.engine.rotate(index, ROTATIONS[what])
        self.tell(what, index, lambda: self.host.change(index, what, rotate))

    def use(self, index):
        """A page is sealed, some of anybody's are read, a key is derived; now and then with nothing cached."""
        if index not in self.handles:
            self.handles[index] = self.engine.open_index(index)
        handle = self.handles[index]
        self.sealed += 1
        page = sealed_page(handle, index, f"{self.job['worker']}.{self.sealed}".encode())
        write_page(self.job["pages"], page)
        pages = [page for page in read_pages(self.job["pages"]) if page.index == index]
        for page in [*self.choose.sample(pages, min(4, len(pages))), pages[-1]]:
            check_page(handle, page)
        found = derived(handle)
        assert found == self.job["derived"][index], f"{index} derives {found}"
        if self.choose.random() < 0.2:
            self.engine.evict(index)


def work(job):
    """So many operations; what was told of each in the end."""
    told = []
    with Worker(job, told.append) as worker:
        for _ in range(job["operations"]):
            worker.act()
    json.dump(told, sys.stdout)


def storm(job):
    """Rotates without an end, and tells of each at once: to be killed."""
    worker = Worker(job, lambda line: os.write(1, (json.dumps(line) + "\n").encode()))
    (index,) = job["derived"]
    while True:
        worker.tell("use", index, lambda: worker.use(index))
        worker.rotate(index, worker.choose.choice(list(ROTATIONS)))


def once(job):
    """One new KEK."""
    with Worker(job, lambda line: print(json.dumps(line))) as worker:
        (index,) = job["derived"]
        worker.rotate(index, "kek")


if __name__ == "__main__":
    with open(sys.argv[2]) as file:
        {"work": work, "storm": storm, "once": once}[sys.argv[1]](json.load(file))
