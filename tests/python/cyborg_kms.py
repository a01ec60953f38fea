"""The part of the C API that the tests in Python need, by ctypes: a C caller's view."""

import ctypes
import json
from ctypes import POINTER, byref, c_bool, c_char_p, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

# ROOT and KmsError are for those who import this.
from .library import ROOT, Handle, KmsError, bytes_of, call, function, lib, taken, text_of

NOT_FOUND, ALREADY_EXISTS, CORRUPT, UNSUPPORTED, AUTHENTICATION_FAILED = 2, 3, 5, 6, 7
TEXTS = ("kms_name", "provider", "key_id", "region")
REWRAP, KEK, DATA_KEY = 0, 1, 2
NO_WAIT = 1
NAME_CALLBACK = ctypes.CFUNCTYPE(c_bool, c_char_p, c_void_p)
PROGRESS_CALLBACK = ctypes.CFUNCTYPE(c_bool, c_uint64, c_uint64, c_char_p, c_uint32, c_void_p)


class Options(ctypes.Structure):
    """A struct of the header's, which begins with its size."""

    @classmethod
    def of(cls, **values):
        return cls(struct_size=ctypes.sizeof(cls), **values)


class Stats(Options):
    """What an engine has counted: `cyborg_kms_stats`."""

    _fields_ = [("struct_size", c_size_t)] + [
        (name, c_uint64)
        for name in "cache_hits cache_misses cache_entries kms_calls kms_errors kms_retries coalesced_waits"
        " stale_served store_reads store_writes".split()
    ]


class OpenOptions(Options):
    """`cyborg_kms_open_options`."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("kek", c_void_p),
        ("kek_len", c_size_t),
        ("capabilities", c_uint32),
        ("flags", c_uint32),
        ("min_epoch", c_uint64),
    ]


class ScopeOptions(Options):
    """`cyborg_kms_scope_options`."""

    _fields_ = [("struct_size", c_size_t), ("deadline_ms", c_uint32), ("principal", c_char_p)]


class SyncOptions(Options):
    """`cyborg_kms_sync_options`."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("dry_run", c_bool),
        ("concurrency", c_uint32),
        ("requests_per_second", c_uint32),
    ]


def page_data_key_id(sealed):
    """The data key that sealed a page."""
    out = c_uint32()
    call("page_data_key_id", *bytes_of(sealed), byref(out))
    return out.value


class Blob(Handle):
    """An envelope record's fields."""

    kind = "blob"

    @classmethod
    def make(cls, **fields):
        blob = cls(c_void_p(lib.cyborg_kms_blob_new()))
        for name, value in fields.items():
            blob.set(name, value)
        return blob

    def set(self, name, value):
        if name in TEXTS:
            call("blob_set_" + name, self.pointer, text_of(value))
        elif name == "wrapped_kek":
            call("blob_set_wrapped_kek", self.pointer, *bytes_of(value))
        else:
            kind = {"version": c_uint32, "created_at": c_int64}[name]
            call("blob_set_" + name, self.pointer, kind(value))

    def get(self, name):
        if name in ("version", "created_at"):
            return function("blob_" + name, c_void_p)(self.pointer)
        length = c_size_t()
        at = function("blob_" + name, c_void_p, POINTER(c_size_t))(self.pointer, byref(length))
        data = ctypes.string_at(at, length.value) if length.value else b""
        return data.decode() if name in TEXTS else data


class Store(Handle):
    """The four functions of CyborgDB, and list."""

    kind = "store"

    @classmethod
    def open(cls, url):
        pointer = c_void_p()
        call("store_open", text_of(str(url)), byref(pointer))
        return cls(pointer)

    def create(self, index_name, blob):
        call("create_index_kms", self.pointer, text_of(index_name), blob.pointer)

    def push(self, index_name, blob):
        call("push_index_kms", self.pointer, text_of(index_name), blob.pointer)

    def get(self, index_name):
        pointer = c_void_p()
        call("get_index_kms", self.pointer, text_of(index_name), byref(pointer))
        return Blob(pointer)

    def delete(self, index_name):
        call("delete_index_kms", self.pointer, text_of(index_name))

    def list(self, start_after=None, visit=None):
        """The names from behind one; `visit` sees each and says whether to go on."""
        names = []

        @NAME_CALLBACK
        def take(name, _):
            names.append(name.decode())
            return visit is None or visit(names[-1])

        call("list_index_kms", self.pointer, text_of(start_after), take, None)
        return names


class Engine(Handle):
    """An engine, and what it does to indexes."""

    kind = "engine"

    @classmethod
    def open(cls, yaml, store=None):
        """With the configuration's store, or with the caller's."""
        pointer = c_void_p()
        if store is None:
            call("engine_open_yaml", text_of(yaml), byref(pointer))
        else:
            call("engine_open_yaml_with_store", text_of(yaml), store.pointer, byref(pointer))
        return cls(pointer)

    def scope(self, deadline_ms=0, principal=None):
        """The same engine with a deadline for each call, which can be cancelled."""
        pointer = c_void_p()
        options = ScopeOptions.of(deadline_ms=deadline_ms, principal=principal and principal.encode())
        call("engine_scope", self.pointer, byref(options), byref(pointer))
        return Engine(pointer)

    def cancel(self):
        function("engine_cancel", c_void_p)(self.pointer)

    def check(self, kms_name=None):
        """A wrap and an unwrap by one slot, or by all."""
        call("engine_check", self.pointer, text_of(kms_name))

    def evict(self, index_name=None):
        """Forgets the keys of one index, or of all."""
        call("engine_evict", self.pointer, text_of(index_name))

    def reload(self, yaml):
        """Another configuration."""
        call("engine_reload", self.pointer, text_of(yaml))

    def stats(self):
        stats = Stats.of()
        call("engine_stats", self.pointer, byref(stats))
        return stats

    def metrics(self):
        """OpenMetrics text."""
        return self._taken("engine_metrics").decode()

    def create_index(self, index_name, kms_name):
        return self._index("index_create", text_of(index_name), text_of(kms_name))

    def open_index(self, index_name, flags=0):
        if flags == 0:
            return self._index("index_open", text_of(index_name))
        return self._index("index_open_with_options", text_of(index_name), byref(OpenOptions.of(flags=flags)))

    def rotate(self, index_name, rotation, kms_name=None):
        """`rotation`: REWRAP, KEK or DATA_KEY."""
        call("index_rotate", self.pointer, text_of(index_name), c_uint32(rotation), text_of(kms_name))

    def disable(self, index_name):
        call("index_disable", self.pointer, text_of(index_name))

    def enable(self, index_name):
        call("index_enable", self.pointer, text_of(index_name))

    def describe(self, index_name):
        return json.loads(self._taken("index_describe", text_of(index_name)))

    def sync(self, progress=None, **options):
        """The report. `progress(done, total, index_name, status)` returns False to stop."""

        @PROGRESS_CALLBACK
        def told(done, total, name, status, _):
            return progress is None or progress(done, total, name.decode(), status)

        return json.loads(self._taken("engine_sync", byref(SyncOptions.of(**options)), told, None))

    def _index(self, name, *arguments):
        pointer = c_void_p()
        call(name, self.pointer, *arguments, byref(pointer))
        return Index(pointer)

    def _taken(self, name, *arguments):
        buffer = c_void_p()
        call(name, self.pointer, *arguments, byref(buffer))
        return taken(buffer)


class Index(Handle):
    """An open index."""

    kind = "index"

    def version(self):
        return function("index_version", c_void_p)(self.pointer)

    def epoch(self):
        return function("index_epoch", c_void_p)(self.pointer)

    def data_key_id(self):
        return function("index_data_key_id", c_void_p)(self.pointer)

    def refresh(self):
        """Asks record and KMS now."""
        call("index_refresh", self.pointer)

    def kek(self, version=0):
        out = (c_uint8 * 32)()
        call("index_export_kek", self.pointer, c_uint32(version), out, c_size_t(32))
        return bytes(out)

    def encrypt(self, plaintext, aad=b""):
        return self._page("index_encrypt", plaintext, aad, len(plaintext) + 48)

    def decrypt(self, sealed, aad=b""):
        return self._page("index_decrypt", sealed, aad, max(len(sealed), 48) - 48)

    def derive(self, label, context, size):
        out = (c_uint8 * size)()
        call("index_derive_key", self.pointer, text_of(label), *bytes_of(context), out, c_size_t(size))
        return bytes(out)

    def generate_data_key(self):
        out, wrapped = (c_uint8 * 32)(), c_void_p()
        call("index_generate_data_key", self.pointer, out, c_size_t(32), byref(wrapped))
        return bytes(out), taken(wrapped)

    def unwrap_data_key(self, wrapped):
        out = (c_uint8 * 32)()
        call("index_unwrap_data_key", self.pointer, *bytes_of(wrapped), out, c_size_t(32))
        return bytes(out)

    def _page(self, name, data, aad, size):
        out, length = (c_uint8 * max(size, 1))(), c_size_t()
        call(name, self.pointer, *bytes_of(aad), *bytes_of(data), out, c_size_t(size), byref(length))
        return bytes(out)[: length.value]
