"""The part of the C API that the tests in Python need, by ctypes: a C caller's view."""

import ctypes
import os
import pathlib
from ctypes import POINTER, byref, c_bool, c_char_p, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

ROOT = pathlib.Path(__file__).resolve().parents[2]

NOT_FOUND, ALREADY_EXISTS, CORRUPT, UNSUPPORTED, AUTHENTICATION_FAILED = 2, 3, 5, 6, 7
TEXTS = ("kms_name", "provider", "key_id", "region")
NAME_CALLBACK = ctypes.CFUNCTYPE(c_bool, c_char_p, c_void_p)


class KmsError(Exception):
    """What an error of the library tells: `status_name` is such as "NOT_FOUND"."""

    def __init__(self, call, status, error):
        self.status = status
        self.status_name = _lib.cyborg_kms_status_name(status).decode()
        self.message = _text("error_message", error)
        self.provider_code = _text("error_provider_code", error)
        self.request_id = _text("error_request_id", error)
        self.retryable = _function("error_is_retryable", c_void_p)(error)
        self.retry_after_ms = _function("error_retry_after_ms", c_void_p)(error)
        self.outcome_unknown = _function("error_outcome_unknown", c_void_p)(error)
        super().__init__(f"{call}: {self.status_name} ({status}): {self.message}")


class Stats(ctypes.Structure):
    """What an engine has counted: `cyborg_kms_stats`."""

    _fields_ = [("struct_size", c_size_t)] + [
        (name, c_uint64)
        for name in "cache_hits cache_misses cache_entries kms_calls kms_errors kms_retries coalesced_waits"
        " stale_served store_reads store_writes".split()
    ]


def _library():
    named = os.environ.get("CYBORG_KMS_LIBRARY")
    places = [named] if named else [ROOT / "target" / kind / "libcyborg_kms.so" for kind in ("debug", "release")]
    for place in places:
        if pathlib.Path(place).exists():
            return ctypes.CDLL(str(place))
    raise SystemExit(f"no library at {places}: build it, or set CYBORG_KMS_LIBRARY")


_lib = _library()
for _name in ("blob_new", "blob_kms_name", "blob_provider", "blob_key_id", "blob_region", "blob_wrapped_kek"):
    getattr(_lib, "cyborg_kms_" + _name).restype = c_void_p
_lib.cyborg_kms_blob_version.restype = c_uint32
_lib.cyborg_kms_blob_created_at.restype = c_int64
_lib.cyborg_kms_index_version.restype = c_uint32
_lib.cyborg_kms_buffer_data.restype = c_void_p
_lib.cyborg_kms_buffer_len.restype = c_size_t
_lib.cyborg_kms_status_name.restype = c_char_p
_lib.cyborg_kms_error_is_retryable.restype = c_bool
_lib.cyborg_kms_error_retry_after_ms.restype = c_uint64
_lib.cyborg_kms_error_outcome_unknown.restype = c_bool
for _name in ("error_message", "error_provider_code", "error_request_id"):
    getattr(_lib, "cyborg_kms_" + _name).restype = c_char_p


def _function(name, *arguments):
    function = getattr(_lib, "cyborg_kms_" + name)
    function.argtypes = arguments
    return function


def _text(name, handle):
    return _function(name, c_void_p)(handle).decode()


def _name_or_null(name):
    return None if name is None else c_char_p(name.encode())


_free = {kind: _function(kind + "_free", c_void_p) for kind in ("error", "buffer", "blob", "store", "engine", "index")}


def _call(name, *arguments):
    """Calls a function whose last parameter is `error`; raises KmsError unless it succeeds."""
    error = c_void_p()
    function = getattr(_lib, "cyborg_kms_" + name)
    function.restype = c_uint32
    status = function(*arguments, byref(error))
    if status == 0:
        assert not error.value, f"{name} succeeded and set an error"
        return
    try:
        raise KmsError(name, status, error)
    finally:
        _free["error"](error)


def _bytes_of(data):
    return (c_uint8 * max(len(data), 1)).from_buffer_copy(data or b"\0"), c_size_t(len(data))


class Handle:
    """An owned handle; `with` frees it."""

    kind = None

    def __init__(self, pointer):
        self.pointer = pointer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _free[self.kind](self.pointer)
        self.pointer = None


class Blob(Handle):
    """An envelope record's fields."""

    kind = "blob"

    @classmethod
    def make(cls, **fields):
        blob = cls(c_void_p(_lib.cyborg_kms_blob_new()))
        for name, value in fields.items():
            blob.set(name, value)
        return blob

    def set(self, name, value):
        if name in TEXTS:
            _call("blob_set_" + name, self.pointer, c_char_p(value.encode()))
        elif name == "wrapped_kek":
            _call("blob_set_wrapped_kek", self.pointer, *_bytes_of(value))
        else:
            kind = {"version": c_uint32, "created_at": c_int64}[name]
            _call("blob_set_" + name, self.pointer, kind(value))

    def get(self, name):
        if name in ("version", "created_at"):
            return _function("blob_" + name, c_void_p)(self.pointer)
        length = c_size_t()
        at = _function("blob_" + name, c_void_p, POINTER(c_size_t))(self.pointer, byref(length))
        data = ctypes.string_at(at, length.value) if length.value else b""
        return data.decode() if name in TEXTS else data


class Store(Handle):
    """The four functions of CyborgDB, and list."""

    kind = "store"

    @classmethod
    def open(cls, url):
        pointer = c_void_p()
        _call("store_open", c_char_p(str(url).encode()), byref(pointer))
        return cls(pointer)

    def create(self, index_name, blob):
        _call("create_index_kms", self.pointer, c_char_p(index_name.encode()), blob.pointer)

    def push(self, index_name, blob):
        _call("push_index_kms", self.pointer, c_char_p(index_name.encode()), blob.pointer)

    def get(self, index_name):
        pointer = c_void_p()
        _call("get_index_kms", self.pointer, c_char_p(index_name.encode()), byref(pointer))
        return Blob(pointer)

    def delete(self, index_name):
        _call("delete_index_kms", self.pointer, c_char_p(index_name.encode()))

    def list(self, start_after=None, visit=None):
        """The names from behind one; `visit` sees each and says whether to go on."""
        names = []

        @NAME_CALLBACK
        def take(name, _):
            names.append(name.decode())
            return visit is None or visit(names[-1])

        _call("list_index_kms", self.pointer, _name_or_null(start_after), take, None)
        return names


class Engine(Handle):
    """An engine, and the indexes that it makes and opens."""

    kind = "engine"

    @classmethod
    def open(cls, yaml, store=None):
        """With the configuration's store, or with the caller's."""
        pointer, text = c_void_p(), c_char_p(yaml.encode())
        if store is None:
            _call("engine_open_yaml", text, byref(pointer))
        else:
            _call("engine_open_yaml_with_store", text, store.pointer, byref(pointer))
        return cls(pointer)

    def check(self, kms_name=None):
        """A wrap and an unwrap by one slot, or by all."""
        _call("engine_check", self.pointer, _name_or_null(kms_name))

    def evict(self, index_name=None):
        """Forgets the keys of one index, or of all."""
        _call("engine_evict", self.pointer, _name_or_null(index_name))

    def reload(self, yaml):
        """Another configuration."""
        _call("engine_reload", self.pointer, c_char_p(yaml.encode()))

    def stats(self):
        stats = Stats(struct_size=ctypes.sizeof(Stats))
        _call("engine_stats", self.pointer, byref(stats))
        return stats

    def metrics(self):
        """OpenMetrics text."""
        buffer = c_void_p()
        _call("engine_metrics", self.pointer, byref(buffer))
        text = ctypes.string_at(_function("buffer_data", c_void_p)(buffer), _function("buffer_len", c_void_p)(buffer))
        _free["buffer"](buffer)
        return text.decode()

    def create_index(self, index_name, kms_name):
        pointer = c_void_p()
        _call("index_create", self.pointer, c_char_p(index_name.encode()), c_char_p(kms_name.encode()), byref(pointer))
        return Index(pointer)

    def open_index(self, index_name):
        pointer = c_void_p()
        _call("index_open", self.pointer, c_char_p(index_name.encode()), byref(pointer))
        return Index(pointer)


class Index(Handle):
    """An open index."""

    kind = "index"

    def version(self):
        return _function("index_version", c_void_p)(self.pointer)

    def refresh(self):
        """Asks record and KMS now."""
        _call("index_refresh", self.pointer)

    def kek(self):
        out = (c_uint8 * 32)()
        _call("index_export_kek", self.pointer, c_uint32(0), out, c_size_t(32))
        return bytes(out)

    def encrypt(self, plaintext, aad=b""):
        return self._page("index_encrypt", plaintext, aad, len(plaintext) + 48)

    def decrypt(self, sealed, aad=b""):
        return self._page("index_decrypt", sealed, aad, max(len(sealed), 48) - 48)

    def derive(self, label, context, size):
        out = (c_uint8 * size)()
        _call("index_derive_key", self.pointer, c_char_p(label.encode()), *_bytes_of(context), out, c_size_t(size))
        return bytes(out)

    def generate_data_key(self):
        out, wrapped = (c_uint8 * 32)(), c_void_p()
        _call("index_generate_data_key", self.pointer, out, c_size_t(32), byref(wrapped))
        length = _function("buffer_len", c_void_p)(wrapped)
        data = ctypes.string_at(_function("buffer_data", c_void_p)(wrapped), length)
        _free["buffer"](wrapped)
        return bytes(out), data

    def unwrap_data_key(self, wrapped):
        out = (c_uint8 * 32)()
        _call("index_unwrap_data_key", self.pointer, *_bytes_of(wrapped), out, c_size_t(32))
        return bytes(out)

    def _page(self, name, data, aad, size):
        out, length = (c_uint8 * max(size, 1))(), c_size_t()
        _call(name, self.pointer, *_bytes_of(aad), *_bytes_of(data), out, c_size_t(size), byref(length))
        return bytes(out)[: length.value]
