"""The library by ctypes: how it is found, how a function of it is called. `cyborg_kms.py` has the handles."""

import ctypes
import os
import pathlib
from ctypes import byref, c_bool, c_char_p, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

ROOT = pathlib.Path(__file__).resolve().parents[2]


class KmsError(Exception):
    """What an error of the library tells: `status_name` is such as "NOT_FOUND"."""

    def __init__(self, name, status, error):
        self.status = status
        self.status_name = lib.cyborg_kms_status_name(status).decode()
        self.message = function("error_message", c_void_p)(error).decode()
        self.provider_code = function("error_provider_code", c_void_p)(error).decode()
        self.request_id = function("error_request_id", c_void_p)(error).decode()
        self.retryable = function("error_is_retryable", c_void_p)(error)
        self.retry_after_ms = function("error_retry_after_ms", c_void_p)(error)
        self.outcome_unknown = function("error_outcome_unknown", c_void_p)(error)
        super().__init__(f"{name}: {self.status_name} ({status}): {self.message}")


def _path():
    named = os.environ.get("CYBORG_KMS_LIBRARY")
    places = [named] if named else [ROOT / "target" / kind / "libcyborg_kms.so" for kind in ("debug", "release")]
    for place in places:
        if pathlib.Path(place).exists():
            return str(place)
    raise SystemExit(f"no library at {places}: build it, or set CYBORG_KMS_LIBRARY")


PATH = _path()
lib = ctypes.CDLL(PATH)
# What is no status.
RESULTS = {
    c_void_p: "blob_new blob_kms_name blob_provider blob_key_id blob_region blob_wrapped_kek buffer_data",
    c_char_p: "status_name error_message error_provider_code error_request_id",
    c_bool: "error_is_retryable error_outcome_unknown",
    c_int64: "blob_created_at",
    c_size_t: "buffer_len",
    c_uint32: "blob_version index_version index_data_key_id",
    c_uint64: "error_retry_after_ms index_epoch",
}
for _result, _names in RESULTS.items():
    for _name in _names.split():
        getattr(lib, "cyborg_kms_" + _name).restype = _result


def function(name, *arguments):
    """A function that gives what `RESULTS` says."""
    found = getattr(lib, "cyborg_kms_" + name)
    found.argtypes = arguments
    return found


free = {kind: function(kind + "_free", c_void_p) for kind in ("error", "buffer", "blob", "store", "engine", "index")}


def call(name, *arguments):
    """Calls a function whose last parameter is `error`; raises KmsError unless it succeeds."""
    error = c_void_p()
    found = getattr(lib, "cyborg_kms_" + name)
    found.restype = c_uint32
    status = found(*arguments, byref(error))
    if status == 0:
        assert not error.value, f"{name} succeeded and set an error"
        return
    try:
        raise KmsError(name, status, error)
    finally:
        free["error"](error)


def text_of(value):
    """A text as an argument; None is NULL."""
    return None if value is None else c_char_p(value.encode())


def bytes_of(data):
    """Bytes as two arguments."""
    return (c_uint8 * max(len(data), 1)).from_buffer_copy(data or b"\0"), c_size_t(len(data))


def taken(buffer):
    """What a buffer holds, which is freed."""
    length = function("buffer_len", c_void_p)(buffer)
    data = ctypes.string_at(function("buffer_data", c_void_p)(buffer), length)
    free["buffer"](buffer)
    return data


class Handle:
    """An owned handle; `with` frees it."""

    kind = None

    def __init__(self, pointer):
        self.pointer = pointer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        free[self.kind](self.pointer)
        self.pointer = None
