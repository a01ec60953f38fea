"""Engines on a disk that is full, read-only or gone. Mounts file systems: to be run in a mount namespace.

    CYBORG_KMS_LIBRARY=... unshare --mount build/venv/bin/python -m tests.storage
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from tests.python.cyborg_kms import ALREADY_EXISTS, NOT_FOUND, Engine, KmsError
from tests.python.runner import run

STORAGE, CONFIG = 13, 14


def mount(where, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", where], check=True)


def remount(where, options):
    subprocess.run(["mount", "-o", f"remount,{options}", where], check=True)


class Place:
    """A small file system for the store, and the key elsewhere."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.disk = pathlib.Path(self.folder.name) / "disk"
        self.disk.mkdir()
        return self

    def mount(self, options):
        mount(self.disk, options)

    def engine(self, key="elsewhere.key"):
        return Engine.open(
            f"storage: {{url: {self.disk}/db}}\n"
            f"kms: {{registry: {{own: {{provider: local, key_id: {self.folder.name}/{key}, create: true}}}}}}\n"
            "cache: {ttl: 0s}\n"
        )

    def records(self):
        return sorted(path.name for path in self.disk.rglob("*.kms.cat"))

    def __exit__(self, *_):
        while subprocess.run(["umount", "-l", self.disk], capture_output=True).returncode == 0:
            pass
        self.folder.cleanup()


def status_of(call, *arguments):
    """0, or the status of the KmsError. An index that comes is used and freed."""
    try:
        with call(*arguments) as index:
            assert index.decrypt(index.encrypt(b"page")) == b"page"
        return 0
    except KmsError as error:
        assert "\n" not in str(error)
        return error.status


def fill(disk, leave=0):
    """Takes all space but some pages of 4 KiB."""
    with open(disk / "filling", "wb", 0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(file.tell() - 4096 * leave, 0))


def check_and_free(place, engine, outcome, free):
    """After a creation on a full disk: all or nothing, and it works once there is room."""
    assert outcome in (0, STORAGE), outcome
    assert status_of(engine.open_index, "a") == (0 if outcome == 0 else NOT_FOUND)
    assert place.records() == (["a.kms.cat"] if outcome == 0 else [])
    if outcome != 0:
        left = [path for path in place.disk.rglob("tmp-*") if path.is_file()]
        assert left == [], f"a temporary file was left: {left}"
    free()
    assert status_of(engine.create_index, "a", "own") == (0 if outcome else ALREADY_EXISTS)
    assert status_of(engine.open_index, "a") == 0
    with place.engine() as another:
        assert status_of(another.open_index, "a") == 0


def test_no_space(place):
    outcomes = []
    for leave in range(6):
        place.mount("size=256k,mode=700")
        with place.engine() as engine:
            fill(place.disk, leave)
            outcomes.append(status_of(engine.create_index, "a", "own"))
            check_and_free(place, engine, outcomes[-1], (place.disk / "filling").unlink)
        subprocess.run(["umount", place.disk], check=True)
    assert outcomes[0] == STORAGE and outcomes[-1] == 0, outcomes


def test_no_space_before_the_engine_opens(place):
    place.mount("size=64k,mode=700")
    fill(place.disk)
    with place.engine() as engine:
        check_and_free(place, engine, status_of(engine.create_index, "a", "own"), (place.disk / "filling").unlink)


def test_no_inodes(place):
    outcomes = []
    for inodes in range(3, 14):
        place.mount(f"size=1m,nr_inodes={inodes},mode=700")
        try:
            engine = place.engine()
        except KmsError as error:
            assert error.status == STORAGE, error
            outcomes.append(STORAGE)
        else:
            with engine:
                outcomes.append(status_of(engine.create_index, "a", "own"))
                check_and_free(place, engine, outcomes[-1], lambda: remount(place.disk, "nr_inodes=100"))
        subprocess.run(["umount", place.disk], check=True)
    assert outcomes[0] == STORAGE and outcomes[-1] == 0, outcomes


def test_no_space_for_the_key_file(place):
    place.mount("size=64k,mode=700")
    with Engine.open(
        f"storage: {{url: {place.folder.name}/db}}\n"
        f"kms: {{registry: {{own: {{provider: local, key_id: {place.disk}/local.key, create: true}}}}}}\n"
    ) as engine:
        fill(place.disk)
        assert status_of(engine.create_index, "a", "own") == CONFIG
        assert [path.name for path in place.disk.iterdir()] == ["filling"], "half a key file was left"
        assert status_of(engine.open_index, "a") == NOT_FOUND
        (place.disk / "filling").unlink()
        assert status_of(engine.create_index, "a", "own") == 0
        assert status_of(engine.open_index, "a") == 0


def audited(place, on_error):
    """An engine whose audit log, and nothing else, is on the small disk."""
    return Engine.open(
        f"storage: {{url: {place.folder.name}/db}}\n"
        f"kms: {{registry: {{own: {{provider: local, key_id: {place.folder.name}/own.key, create: true}}}}}}\n"
        "cache: {ttl: 0s}\n"
        f"audit: {{path: {place.disk}/audit.log, on_error: {on_error}}}\n"
    )


def lines_of(place):
    """The audit log's lines, none of them half a line."""
    text = (place.disk / "audit.log").read_text()
    assert text == "" or text.endswith("\n"), "half a line was left"
    return [json.loads(line) for line in text.splitlines()]


def test_no_space_for_the_audit_log(place):
    place.mount("size=64k,mode=700")
    with audited(place, "fail") as engine:
        assert status_of(engine.create_index, "a", "own") == 0
        fill(place.disk)
        opened = 1
        while (status := status_of(engine.open_index, "a")) == 0:
            opened += 1  # what is left of the file's last page
            assert opened < 100
        assert status == STORAGE, "no key without its line"
        assert status_of(engine.create_index, "b", "own") == STORAGE
        assert len(lines_of(place)) == 1 + opened
        (place.disk / "filling").unlink()
        assert status_of(engine.open_index, "b") == NOT_FOUND, "nothing was done"
        assert status_of(engine.create_index, "b", "own") == 0
        assert [line["seq"] for line in lines_of(place)] == list(range(1, opened + 4))


def test_with_on_error_log_a_full_disk_stops_nothing(place):
    place.mount("size=64k,mode=700")
    fill(place.disk)
    with audited(place, "log") as engine:
        assert status_of(engine.create_index, "a", "own") == 0
        assert status_of(engine.open_index, "a") == 0
        (place.disk / "filling").unlink()
        assert status_of(engine.open_index, "a") == 0
        assert [(line["seq"], line["operation"]) for line in lines_of(place)] == [(1, "open")]


def test_an_audit_log_on_a_disk_that_is_read_only(place):
    place.mount("size=64k,mode=700")
    with audited(place, "fail") as engine:
        assert status_of(engine.create_index, "a", "own") == 0
        remount(place.disk, "ro")
        assert status_of(engine.open_index, "a") == STORAGE
        assert status_of(engine.create_index, "b", "own") == STORAGE
        remount(place.disk, "rw")
        assert status_of(engine.open_index, "a") == 0


def test_read_only(place):
    place.mount("size=1m,mode=700")
    with place.engine() as engine:
        assert status_of(engine.create_index, "a", "own") == 0
        remount(place.disk, "ro")
        assert status_of(engine.create_index, "b", "own") == STORAGE
        assert status_of(engine.open_index, "a") == 0
        assert status_of(engine.open_index, "b") == NOT_FOUND
        with place.engine() as another:
            assert status_of(another.open_index, "a") == 0
        remount(place.disk, "rw")
        assert status_of(engine.create_index, "b", "own") == 0


def test_vanished(place):
    place.mount("size=1m,mode=700")
    with place.engine() as engine:
        with engine.create_index("a", "own") as index:
            sealed = index.encrypt(b"page")
            (place.disk / "db").rename(place.disk / "away")
            assert index.decrypt(sealed) == b"page", "an open index needs no store within its lifetime"
            assert status_of(engine.open_index, "a") == STORAGE, "a store that is gone is no store without the index"
            assert status_of(engine.create_index, "b", "own") == STORAGE
            assert not (place.disk / "db").exists(), "a new store was begun where the old one was"
            (place.disk / "away").rename(place.disk / "db")
        assert status_of(engine.open_index, "a") == 0
        assert status_of(engine.create_index, "b", "own") == 0
        os.rename(place.disk / "db" / "_catalog" / "config", place.disk / "config")
        assert status_of(engine.open_index, "a") == STORAGE


def test_unmounted(place):
    place.mount("size=1m,mode=700")
    with place.engine() as engine:
        assert status_of(engine.create_index, "a", "own") == 0
        subprocess.run(["umount", place.disk], check=True)
        assert status_of(engine.open_index, "a") == STORAGE
        assert status_of(engine.create_index, "b", "own") == STORAGE
        assert list(place.disk.iterdir()) == [], "written below the mount point"


if __name__ == "__main__":
    sys.exit(run(globals(), Place))
