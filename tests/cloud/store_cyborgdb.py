"""The real cyborgdb-core and the library with one bucket: each reads what the other wrote.

build/venv/bin/python -m tests.cloud.run store_cyborgdb
"""

import contextlib
import os
import pathlib
import tempfile

import cyborgdb_core
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.python.cyborg_kms import Engine

from .records import SAMPLE, Ground, object_of, read, refused, write

SERVERS = ("localstack",)
UNREADABLE = "unsupported schema version"


class Shared(Ground):
    """A bucket that both have open, below one prefix."""

    def __enter__(self):
        super().__enter__()
        key = cyborgdb_core.S3Credentials(self.server.access_key, self.server.secret_key)
        self.theirs = cyborgdb_core.StorageConfig.s3(
            self.bucket.name, region=self.server.region, endpoint=self.server.url, prefix="db", credentials=key
        )
        return self

    def they_get(self, name):
        got = cyborgdb_core.get_index_kms(self.theirs, name)
        return {field: getattr(got, field) for field in SAMPLE}


def they_refuse(words, call, *arguments):
    try:
        call(*arguments)
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"cyborgdb-core did not refuse: {words}")


def test_they_read_what_we_write(place):
    with Shared(place.localstack) as shared:
        for verb in ("create", "push"):
            for name in ("plain", "a b/ü%~", ".."):
                write(verb, shared.store, name, key_id=f"{verb} {name}")
                assert shared.they_get(name) == SAMPLE | {"key_id": f"{verb} {name}"}
        they_refuse("already exists", cyborgdb_core.create_index_kms, shared.theirs, "..", cyborgdb_core.KMSBlob(**SAMPLE))


def test_we_read_what_they_write(place):
    with Shared(place.localstack) as shared:
        for name in ("plain", "a b/ü%~", ".."):
            cyborgdb_core.create_index_kms(shared.theirs, name, cyborgdb_core.KMSBlob(**SAMPLE))
            assert read(shared.store, name) == SAMPLE
            assert shared.bucket.get(object_of(name)) is not None
            refused("ALREADY_EXISTS", write, "create", shared.store, name)
            cyborgdb_core.push_index_kms(shared.theirs, name, cyborgdb_core.KMSBlob(**SAMPLE | {"key_id": "changed"}))
            assert read(shared.store, name) == SAMPLE | {"key_id": "changed"}
        assert shared.store.list() == ["..", "a b/ü%~", "plain"]
        for name in shared.store.list():
            cyborgdb_core.delete_index_kms(shared.theirs, name)
            refused("NOT_FOUND", shared.store.get, name)


def test_either_deletes_the_others(place):
    with Shared(place.localstack) as shared:
        write("create", shared.store, "ours")
        cyborgdb_core.create_index_kms(shared.theirs, "theirs", cyborgdb_core.KMSBlob(**SAMPLE))
        cyborgdb_core.delete_index_kms(shared.theirs, "ours")
        shared.store.delete("theirs")
        refused("NOT_FOUND", shared.store.get, "ours")
        they_refuse("No KMS blob exists", cyborgdb_core.get_index_kms, shared.theirs, "theirs")


def test_their_client_passes_over_what_is_ours_alone(place):
    """The object of the check, left by who may not remove it, and a record that they can't read."""
    with Shared(place.localstack) as shared:
        shared.bucket.put("db/_catalog/.cyborg_kms/probe-0", b"cyborg_kms")
        write("create", shared.store, "ours")
        client = cyborgdb_core.Client(storage_config=shared.theirs)
        assert client.list_indexes() == []
        assert shared.they_get("ours") == SAMPLE and shared.store.list() == ["ours"]


def test_keys_go_from_one_to_the_other(place):
    with Shared(place.localstack) as shared, contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        key, key_file = os.urandom(32), folder / "wrap.key"
        key_file.write_bytes(key)
        key_file.chmod(0o600)
        slot = f"provider: local, key_id: {key_file}"
        yaml = f"kms: {{registry: {{shared: {{{slot}, cyborgdb_compatible: true}}, own: {{{slot}}}}}}}"
        engine = stack.enter_context(Engine.open(yaml, shared.store))
        with engine.create_index("ours", "shared") as index:
            got = shared.they_get("ours")
            assert AESGCM(key).decrypt(got["wrapped_kek"][:12], got["wrapped_kek"][12:], None) == index.kek()
        kek, nonce = os.urandom(32), os.urandom(12)
        wrapped = nonce + AESGCM(key).encrypt(nonce, kek, None)
        fields = {"kms_name": "shared", "provider": "local", "key_id": str(key_file), "region": "", "wrapped_kek": wrapped}
        cyborgdb_core.create_index_kms(shared.theirs, "theirs", cyborgdb_core.KMSBlob(**SAMPLE | fields))
        with engine.open_index("theirs") as index:
            assert index.kek() == kek
        with engine.create_index("with data keys", "own"):
            they_refuse(UNREADABLE, cyborgdb_core.get_index_kms, shared.theirs, "with data keys")
