"""Our records read by the real cyborgdb-core, and its records read by us.

    build/venv/bin/python -m tests.interop.cyborgdb

Needs tests/interop/requirements.txt, and the library: CYBORG_KMS_LIBRARY, or target/{debug,release}.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

import cyborgdb_core
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.python import cyborg_kms
from tests.python.cyborg_kms import ROOT, Blob, Engine, KmsError, Store
from tests.python.runner import run

VECTORS = ROOT / "tests" / "vectors" / "cyborgdb-0.18"
CASES = json.loads((VECTORS / "expected.json").read_text())
FIELDS = ("kms_name", "provider", "key_id", "region", "wrapped_kek", "version", "created_at")
SAMPLE = {
    "kms_name": "prod",
    "provider": "aws-kms",
    "key_id": "arn:aws:kms:us-east-1:123456789012:key/abcd",
    "region": "us-east-1",
    "wrapped_kek": bytes(range(60)),
    "version": 1,
    "created_at": 1763760000,
}
UNREADABLE = "unsupported schema version"
EXISTS = "already exists"


class Place:
    """A folder that both libraries have open, a `local` key, and an engine over it with two slots:
    `shared` makes records of CyborgDB's kind, `own` makes ours."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name) / "db"
        self.key = os.urandom(32)
        self.key_file = pathlib.Path(self.folder.name) / "wrap.key"
        self.key_file.write_bytes(self.key)
        self.key_file.chmod(0o600)
        self.theirs = cyborgdb_core.StorageConfig.disk(str(self.root))
        self.ours = Store.open(self.root)
        slot = f"provider: local, key_id: {self.key_file}"
        self.engine = Engine.open(
            f"storage: {{url: {self.root}}}\n"
            "kms: {registry: {shared: {" + slot + ", cyborgdb_compatible: true}, own: {" + slot + "}}}\n"
            "cache: {ttl: 0}\n"
        )
        return self

    def __exit__(self, *_):
        self.engine.__exit__()
        self.ours.__exit__()
        self.folder.cleanup()

    def they_get(self, index_name):
        got = cyborgdb_core.get_index_kms(self.theirs, index_name)
        return {field: getattr(got, field) for field in FIELDS}

    def we_get(self, index_name):
        with self.ours.get(index_name) as got:
            return {field: got.get(field) for field in FIELDS}

    def we_write(self, verb, index_name, fields):
        with Blob.make(**fields) as blob:
            getattr(self.ours, verb)(index_name, blob)

    def wrap(self, kek):
        """A KEK wrapped as CyborgDB's service does it: nonce, ciphertext, tag, no additional data."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.key).encrypt(nonce, kek, None)

    def unwrap(self, wrapped):
        return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], None)

    def envelope(self, kek):
        """What CyborgDB's service would store for the slot `shared`."""
        return {**SAMPLE, "kms_name": "shared", "provider": "local", "key_id": str(self.key_file), "region": "",
                "wrapped_kek": self.wrap(kek)}

    def record(self, index_name):
        """The stored bytes of an index with a plain name."""
        return (self.root / "_catalog" / "config" / f"{index_name}.kms.cat").read_bytes()


def they_refuse(words, call, *arguments):
    try:
        call(*arguments)
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"cyborgdb-core did not refuse: {words}")


def we_refuse(status, call, *arguments):
    try:
        call(*arguments)
    except KmsError as error:
        assert error.status == status, error
    else:
        raise AssertionError(f"we did not refuse with status {status}")


def their_blob(fields):
    return cyborgdb_core.KMSBlob(**fields)


def case_fields(case):
    fields = {field: case[field] for field in FIELDS if field != "wrapped_kek"}
    return {**fields, "wrapped_kek": bytes.fromhex(case["wrapped_kek_hex"])}


def test_fixtures_read_as_expected(place):
    shutil.copytree(VECTORS / "_catalog", place.root / "_catalog", dirs_exist_ok=True)
    for case in CASES:
        assert place.we_get(case["index_name"]) == case_fields(case), case
        if case["cyborgdb_reads_it"]:
            assert place.they_get(case["index_name"]) == case_fields(case), case
    assert sorted(place.ours.list()) == sorted(case["index_name"] for case in CASES)


def test_they_read_what_we_create_and_push(place):
    for verb in ("create", "push"):
        for number, case in enumerate(CASES):
            fields = case_fields(case)
            if any("\0" in fields[text] for text in cyborg_kms.TEXTS):
                continue  # C text ends at a NUL: only a record that was read can hold one
            index_name = f"{verb} {number}"
            place.we_write(verb, index_name, fields)
            assert place.we_get(index_name) == fields
            # A new record's version slot is 1; what its writer calls version is a slot that they pass over.
            assert place.they_get(index_name) == {**fields, "version": 1}


def test_we_read_what_they_create_and_push(place):
    for write in (cyborgdb_core.create_index_kms, cyborgdb_core.push_index_kms):
        for number, case in enumerate(CASES):
            index_name = f"{write.__name__} {number}"
            write(place.theirs, index_name, their_blob(case_fields(case)))
            assert place.we_get(index_name) == case_fields(case), case


def test_names_are_the_same_files(place):
    for case in CASES:
        index_name = case["index_name"]
        place.we_write("create", index_name, SAMPLE)
        assert (place.root / case["file"]).is_file(), case["file"]
        assert place.they_get(index_name) == SAMPLE
        cyborgdb_core.push_index_kms(place.theirs, index_name, their_blob({**SAMPLE, "key_id": "changed"}))
        assert place.we_get(index_name) == {**SAMPLE, "key_id": "changed"}
        cyborgdb_core.delete_index_kms(place.theirs, index_name)
        we_refuse(cyborg_kms.NOT_FOUND, place.ours.get, index_name)
    assert place.ours.list() == []


def test_strict_insert_sees_the_others_record(place):
    place.we_write("create", "ours", SAMPLE)
    they_refuse(EXISTS, cyborgdb_core.create_index_kms, place.theirs, "ours", their_blob(SAMPLE))
    cyborgdb_core.create_index_kms(place.theirs, "theirs", their_blob(SAMPLE))
    we_refuse(cyborg_kms.ALREADY_EXISTS, place.we_write, "create", "theirs", SAMPLE)


def test_deleting_the_others_record(place):
    place.we_write("create", "ours", SAMPLE)
    cyborgdb_core.delete_index_kms(place.theirs, "ours")
    we_refuse(cyborg_kms.NOT_FOUND, place.ours.get, "ours")
    cyborgdb_core.create_index_kms(place.theirs, "theirs", their_blob(SAMPLE))
    place.ours.delete("theirs")
    place.ours.delete("theirs")
    they_refuse("No KMS blob exists", cyborgdb_core.get_index_kms, place.theirs, "theirs")


def test_many_records(place):
    count = 300
    for number in range(count):
        fields = {**SAMPLE, "created_at": number}
        place.we_write("create", f"ours-{number}", fields)
        cyborgdb_core.create_index_kms(place.theirs, f"theirs-{number}", their_blob(fields))
    for number in range(count):
        fields = {**SAMPLE, "created_at": number}
        assert place.they_get(f"ours-{number}") == fields
        assert place.we_get(f"theirs-{number}") == fields
    names = place.ours.list()
    assert names == sorted(names) and len(names) == 2 * count


def test_they_open_what_the_engine_creates(place):
    with place.engine.create_index("index", "shared") as index:
        kek = index.kek()
        we_refuse(cyborg_kms.UNSUPPORTED, index.encrypt, b"page")
    got = place.they_get("index")
    assert (got["kms_name"], got["provider"], got["version"]) == ("shared", "local", 1), got
    assert got["key_id"] == str(place.key_file) and place.unwrap(got["wrapped_kek"]) == kek


def test_the_engine_opens_what_they_create(place):
    kek = os.urandom(32)
    cyborgdb_core.create_index_kms(place.theirs, "index", their_blob(place.envelope(kek)))
    with place.engine.open_index("index") as index:
        assert index.kek() == kek and index.version() == 1


def test_their_rotation_of_our_record(place):
    with place.engine.create_index("index", "shared") as index:
        kek = index.kek()
    got = cyborgdb_core.get_index_kms(place.theirs, "index")
    got.wrapped_kek = place.wrap(kek)
    got.version += 1
    cyborgdb_core.push_index_kms(place.theirs, "index", got)
    with place.engine.open_index("index") as index:
        assert index.kek() == kek and index.version() == 2
    # Their own get refuses what their own rotation leaves (measured).
    they_refuse(UNREADABLE, cyborgdb_core.get_index_kms, place.theirs, "index")


def test_our_rotation_of_their_record(place):
    kek = os.urandom(32)
    first = place.envelope(kek)
    cyborgdb_core.create_index_kms(place.theirs, "index", their_blob(first))
    rotated = place.wrap(kek)
    with place.ours.get("index") as blob:
        blob.set("wrapped_kek", rotated)
        blob.set("version", blob.get("version") + 1)
        place.ours.push("index", blob)
    assert place.we_get("index") == {**first, "wrapped_kek": rotated, "version": 2}
    # They still read it: its version slot stays what it was.
    assert place.they_get("index") == {**first, "wrapped_kek": rotated}
    with place.engine.open_index("index") as index:
        assert index.kek() == kek and index.version() == 2


def test_rotations_by_turns(place):
    kek = os.urandom(32)
    cyborgdb_core.create_index_kms(place.theirs, "index", their_blob(place.envelope(kek)))
    for version in (2, 3):
        with place.ours.get("index") as blob:
            blob.set("wrapped_kek", place.wrap(kek))
            blob.set("version", version)
            place.ours.push("index", blob)
    got = cyborgdb_core.get_index_kms(place.theirs, "index")
    got.wrapped_kek = place.wrap(kek)
    got.version += 1
    cyborgdb_core.push_index_kms(place.theirs, "index", got)
    assert place.we_get("index")["version"] == 2
    with place.ours.get("index") as blob:
        blob.set("wrapped_kek", place.wrap(kek))
        blob.set("version", 3)
        place.ours.push("index", blob)
    with place.engine.open_index("index") as index:
        assert index.kek() == kek and index.version() == 3


def test_they_refuse_a_record_with_data_keys(place):
    with place.engine.create_index("index", "own") as index:
        sealed = index.encrypt(b"page", b"7")
    before = place.record("index")
    they_refuse(UNREADABLE, cyborgdb_core.get_index_kms, place.theirs, "index")
    they_refuse(EXISTS, cyborgdb_core.create_index_kms, place.theirs, "index", their_blob(SAMPLE))
    assert place.record("index") == before
    with place.engine.open_index("index") as index:
        assert index.decrypt(sealed, b"7") == b"page"


def test_their_push_replaces_a_record_with_data_keys(place):
    """The documented danger: docs/integrating.md says what the host must do about it."""
    with place.engine.create_index("index", "own"):
        pass
    fields = place.envelope(os.urandom(32))
    cyborgdb_core.push_index_kms(place.theirs, "index", their_blob(fields))
    assert place.we_get("index") == fields == place.they_get("index")
    with place.engine.open_index("index") as index:
        we_refuse(cyborg_kms.UNSUPPORTED, index.encrypt, b"page")


def test_their_delete_removes_a_record_with_data_keys(place):
    with place.engine.create_index("index", "own"):
        pass
    cyborgdb_core.delete_index_kms(place.theirs, "index")
    we_refuse(cyborg_kms.NOT_FOUND, place.ours.get, "index")
    we_refuse(cyborg_kms.NOT_FOUND, place.engine.open_index, "index")


if __name__ == "__main__":
    sys.exit(run(globals(), Place))
