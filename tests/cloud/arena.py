"""Indexes that several processes use at once, on each kind of store, and what must be true of them afterwards."""

import json
import subprocess
import sys

from tests.interop.format import U8, U32, U64, Fields
from tests.services import Proxy, faults
from tests.services.server import ROOT

from .aws import folder, new_key, slot, use
from .buckets import bucket_on
from .racing import ROTATIONS, Host, check_page, derived, read_pages, sealed_page, write_page
from .records import object_of
from .sqlite_host import SqliteHost, build, host_rows, make_database
from .store_processes import LOSSES, check_chain

# Fields of the record (docs/format.md), and what the first is of a disabled index.
STATE, ENVELOPE_VERSION, EPOCH = 12, 7, 21
DISABLED = 1
KMS_LOSSES = [faults.lose("rst"), faults.lose("fin"), faults.half(), faults.reset, faults.internal()]
# Some processes ask again and again, others use what they have for as long as they may.
LIFETIMES = ("200ms", "60s", "0s")
# A change that was made: by the library alone, or together with the host's row.
DONE = ("OK", "COMMIT")


class Arena:
    """Indexes, each with a page; a subclass says where."""

    # What may be answered besides that it is done.
    refusals = {
        "use": {"KEY_DISABLED"},
        "disable": {"CONFLICT"},
        "enable": {"CONFLICT"},
        **{rotation: {"CONFLICT", "KEY_DISABLED"} for rotation in ROTATIONS},
    }
    sqlite = None

    def __init__(self, place, names):
        self.place, self.folder = place, folder(place)
        self.pages, self.derived = self.folder / "pages", {}
        self.prepare()
        with self.host() as host:
            for name in names:
                with host.engine.create_index(name, "prod") as index:
                    write_page(self.pages, sealed_page(index, name, b"first"))
                    self.derived[name] = derived(index)

    def prepare(self):
        """Makes what the indexes need."""

    def host(self):
        """The indexes as they are, with nothing in the way."""
        return Host(self.config("60s"))

    def slot(self):
        return {"provider": "local", "key_id": str(self.folder / "wrap.key"), "create": True}

    def config(self, ttl, **sections):
        return json.dumps({"cache": {"ttl": ttl}, "kms": {"registry": {"prod": self.slot()}}} | sections)

    def start(self, what, worker, operations=0):
        """A process of its own, which does what `racing` calls so."""
        job = {
            "config": self.config(LIFETIMES[worker % len(LIFETIMES)]),
            "sqlite": self.sqlite,
            "worker": worker,
            "operations": operations,
            "derived": self.derived,
            "pages": str(self.pages),
        }
        file = self.folder / f"job {worker}"
        file.write_text(json.dumps(job))
        command = [sys.executable, "-m", "tests.cloud.racing", what, file]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def race(self, processes, operations):
        """What all of them were told."""
        started = [self.start("work", worker, operations) for worker in range(processes)]
        outputs = [each.communicate(timeout=300)[0] for each in started]
        assert all(each.returncode == 0 for each in started), [each.returncode for each in started]
        return self.allowed([line for output in outputs for line in json.loads(output)])

    def allowed(self, told):
        """The same, where nothing is among it that must not be."""
        for what, index, status, _, message in told:
            assert status in {*DONE, "ROLLBACK", *self.refusals[what]}, f"{what} of {index}: {status}: {message}"
        return told

    def check(self, told, kills=0):
        """All that must be true now; gives how many rotations there have been. Of the last change of a process that was
        killed nobody was told."""
        with self.host() as host:
            return sum(self.check_index(host.engine, name, told, kills) for name in self.derived)

    def check_index(self, engine, name, told, kills):
        engine.enable(name)
        record = engine.describe(name)
        found = rotations(record)
        for rotation, count in found.items():
            done, unknown = told_of(told, name, rotation)
            assert done <= count <= done + unknown + kills, f"{name}: {count} times {rotation}, told of {done}, {unknown}"
        assert record["epoch"] == 1 + sum(found.values()), record
        with engine.open_index(name) as handle:
            assert derived(handle) == self.derived[name], name
            for page in [*read_pages(self.pages), sealed_page(handle, name, b"last")]:
                if page.index == name:
                    check_page(handle, page)
            keks = {handle.kek(version) for version in range(1, record["version"] + 1)}
            assert len(keks) == 1 + found["kek"], f"{name}: {len(keks)} KEKs of {record['version']} versions"
        return sum(found.values())


def rotations(record):
    """How often an index was rotated since it was created, by what describe tells."""
    keks = len(record["former_keks"])
    return {"rewrap": record["version"] - 1 - keks, "kek": keks, "data key": record["current_data_key"] - 1}


def told_of(told, name, what):
    """How many of these were acknowledged, and of how many nobody knows."""
    lines = [line for line in told if line[:2] == [what, name]]
    return sum(line[2] in DONE for line in lines), sum(line[3] for line in lines)


class Disk(Arena):
    """A folder."""

    def config(self, ttl, **sections):
        return super().config(ttl, storage={"url": str(self.folder / "db")}, **sections)


class Sqlite(Arena):
    """A table of a database, by the example's store; the host has rows of its own in the same transactions."""

    def prepare(self):
        self.sqlite = [make_database(self.folder), build(self.folder)]

    def host(self):
        return SqliteHost(self.config("60s"), *self.sqlite)

    def check_index(self, engine, name, told, kills):
        for rotation in ROTATIONS:
            rows = host_rows(self.sqlite[0], name, rotation)
            commits = sum(line[:3] == [rotation, name, "COMMIT"] for line in told)
            assert commits <= rows <= commits + kills, f"{name}: {rows} rows of {rotation}, {commits} commits"
        return super().check_index(engine, name, told, kills)


class S3(Arena):
    """A bucket that keeps every version, and a KMS, each behind a proxy of which one answer in ten is lost."""

    refusals = {what: statuses | {"STORAGE", "KMS_UNAVAILABLE", "TIMEOUT"} for what, statuses in Arena.refusals.items()}
    is_direct = True

    def prepare(self):
        server = self.place.localstack
        use(self.place, server)
        self.key, self.bucket = new_key(server), bucket_on(server)
        self.bucket.keep_versions()
        self.kms = self.place.proxy(server)
        self.s3 = self.place.cleanup.enter_context(Proxy(server.url, one_by_one=True))
        for number, loss in enumerate(LOSSES):
            self.s3.on(loss, times=None, chance=0.1 / len(LOSSES), seed=number, method="PUT", path="config")
        for number, loss in enumerate(KMS_LOSSES):
            self.kms.on(loss, times=None, chance=0.1 / len(KMS_LOSSES), seed=number)

    def lost(self):
        """How many answers were lost."""
        return sum(rule.hits for rule in [*self.s3.rules, *self.kms.rules])

    def slot(self):
        return slot(self.place.localstack if self.is_direct else self.kms, "aws-kms", self.key)

    def config(self, ttl, **sections):
        url = self.bucket.url(endpoint=None if self.is_direct else self.s3.url)
        return super().config(ttl, storage={"url": url}, **sections)

    def start(self, what, worker, operations=0):
        self.is_direct = False
        try:
            return super().start(what, worker, operations)
        finally:
            self.is_direct = True

    def check_index(self, engine, name, told, kills):
        self.check_history(name, told, kills)
        return super().check_index(engine, name, told, kills)

    def check_history(self, name, told, kills):
        """Every write that ever happened, in its order."""
        records = [Fields.root(data) for data in self.bucket.versions(object_of(name))]
        check_chain(name, records)
        for before, after in zip(records, records[1:]):
            step = tuple(after.number(*field) - before.number(*field) for field in ((ENVELOPE_VERSION, U32), (EPOCH, U64)))
            assert step in ((0, 0), (0, 1), (1, 1)), f"{name}: a write changed version and epoch by {step}"
        states = [record.number(STATE, U8) for record in records]
        stops = sum(pair == (0, DISABLED) for pair in zip(states, states[1:]))
        done, unknown = told_of(told, name, "disable")
        assert stops <= done + unknown + kills, f"{name}: was disabled {stops} times, told of {done}, {unknown}"
