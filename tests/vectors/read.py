"""read.py FOLDER: opens, through the C API, everything that another program wrote there.

The folder has the form of tests/vectors/v1: engine.yaml with the slots, expected.json with what each index gives, and
the records. A binding's tests write one, so that the library reads in this process what it wrote in that one.
"""

import json
import pathlib
import sys
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_size_t, c_uint8, c_uint64, c_void_p, sizeof

from tests.python.cyborg_kms import Engine, Index
from tests.python.library import bytes_of, call, function, text_of

FLIPS = CFUNCTYPE(None, c_char_p, c_void_p, c_size_t, POINTER(c_uint8), c_size_t, c_void_p, c_void_p)


class Callbacks(Structure):
    """cyborg_kms_provider_callbacks."""

    _fields_ = [("struct_size", c_size_t), ("wrap", FLIPS), ("unwrap", FLIPS), ("destroy", c_void_p)]


@FLIPS
def flip(_key_id, _aad, _aad_len, data, length, reply, _user_data):
    """The "KMS" of the vectors flips bits."""
    flipped = bytes_of(bytes(byte ^ 0x5A for byte in data[:length]))
    function("reply_bytes", c_void_p, c_void_p, c_size_t, c_uint64)(reply, *flipped, 0)


FLIP = Callbacks(sizeof(Callbacks), flip, flip, None)


def opened(engine, case):
    if case["kms_name"]:
        return engine.open_index(case["index_name"])
    pointer, kek = c_void_p(), bytes.fromhex(case["kek_hex"])
    call("index_open_with_key", engine.pointer, c_char_p(case["index_name"].encode()), *bytes_of(kek), byref(pointer))
    return Index(pointer)


def detached(index, page):
    data = bytes.fromhex(page["ciphertext_hex"])
    out, overhead = (c_uint8 * max(len(data), 1))(), bytes_of(bytes.fromhex(page["overhead_hex"]))[0]
    aad = bytes_of(bytes.fromhex(page["aad_hex"]))
    call("index_decrypt_detached", index.pointer, *aad, *bytes_of(data), overhead, out)
    return bytes(out)[: len(data)]


def check(what, got, expected_hex):
    if got.hex() != expected_hex:
        sys.exit(f"{what}: not what was written")


def read(index, case):
    """Checks all parts of a case; how many there were."""
    name = case["index_name"]
    check(f"{name}: the KEK", index.kek(), case["kek_hex"])
    for page in case.get("pages", []):
        plaintext = index.decrypt(bytes.fromhex(page["sealed_hex"]), bytes.fromhex(page["aad_hex"]))
        check(f"{name}: a page", plaintext, page["plaintext_hex"])
    if "detached" not in case:
        return 1
    check(f"{name}: a detached page", detached(index, case["detached"]), case["detached"]["plaintext_hex"])
    key = index.unwrap_data_key(bytes.fromhex(case["data_key"]["wrapped_hex"]))
    check(f"{name}: a data key", key, case["data_key"]["key_hex"])
    for derived in case["derived"]:
        size = len(derived["key_hex"]) // 2
        key = index.derive(derived["label"], bytes.fromhex(derived["context_hex"]), size)
        check(f"{name}: a derived key", key, derived["key_hex"])
    return 3 + len(case["pages"]) + len(case["derived"])


def main(folder):
    folder = pathlib.Path(folder)
    parts = 0
    with Engine.open(f"storage: {{url: {folder}}}\n" + (folder / "engine.yaml").read_text()) as engine:
        call("engine_register_provider", engine.pointer, text_of("flip"), byref(FLIP), None)
        for case in json.loads((folder / "expected.json").read_text()):
            with opened(engine, case) as index:
                parts += read(index, case)
    if parts < 10:
        sys.exit(f"{folder} has only {parts} parts: what wrote it did not write all")
    print(f"{parts} parts are what was written")


main(*sys.argv[1:])
