"""A reader and writer of our stored bytes, made from docs/format.md alone, held against the library.

    build/venv/bin/python -m tests.interop.format

Needs tests/interop/requirements.txt, and the library: CYBORG_KMS_LIBRARY, or target/{debug,release}.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import struct
import sys
import tempfile

import flatbuffers
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from tests.python import cyborg_kms
from tests.python.cyborg_kms import Engine, KmsError
from tests.python.runner import run

PAGE, DATA_KEY = 1, 2


def hkdf(key, info, length=32):
    return HKDF(hashes.SHA256(), length, None, info).derive(key)


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def u32(number):
    return struct.pack(">I", number)


def behind_length(data):
    return u32(len(data)) + data


# Part 3: wrapped keys.


def wrap(key, plaintext, aad):
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def unwrap(key, wrapped, aad):
    return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], aad)


def kek_aad(index_name):
    return b"cyborg_kms kek v1\0" + index_name.encode()


def data_key_aad(key_id, index_name):
    return b"cyborg_kms data key v1\0" + u32(key_id) + index_name.encode()


# Part 4: sealed pages.


def xaes(key, nonce):
    """The AES-256-GCM that a 24-byte nonce selects, and the nonce left for it."""
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    first = int.from_bytes(block(bytes(16)), "big")
    mask = ((first << 1) ^ (0x87 if first >> 127 else 0)) & (1 << 128) - 1
    halves = [bytes([0, number]) + b"X\0" + nonce[:12] for number in (1, 2)]
    derived = b"".join(block((int.from_bytes(half, "big") ^ mask).to_bytes(16, "big")) for half in halves)
    return AESGCM(derived), nonce[12:]


def seal(kind, key_id, key, aad, plaintext):
    header, nonce = struct.pack(">B3xI", kind, key_id), os.urandom(24)
    aead, rest = xaes(key, nonce)
    return header + nonce + aead.encrypt(rest, plaintext, header + aad)


def unseal(kind, keys, aad, sealed):
    found, key_id = struct.unpack(">B3xI", sealed[:8])
    assert found == kind and key_id != 0 and sealed[1:4] == bytes(3), sealed[:8]
    aead, rest = xaes(keys[key_id], sealed[8:32])
    return aead.decrypt(rest, sealed[32:], sealed[:8] + aad)


def derive(keys, label, context, length):
    info = b"cyborg_kms derive v1\0" + behind_length(label.encode()) + behind_length(context)
    return hkdf(keys[0], info, length)


# Part 2: the record.


class Fields:
    """A FlatBuffers table's fields by slot."""

    def __init__(self, data, at):
        self.table = Table(bytearray(data), at)

    @classmethod
    def root(cls, data):
        return cls(data, encode.Get(number_types.UOffsetTFlags.packer_type, data, 0))

    def _at(self, slot):
        return self.table.Offset(4 + 2 * slot)

    def number(self, slot, flags):
        at = self._at(slot)
        return self.table.Get(flags, self.table.Pos + at) if at else 0

    def bytes(self, slot):
        at = self._at(slot)
        if not at:
            return b""
        start = self.table.Vector(at)
        return bytes(self.table.Bytes[start : start + self.table.VectorLen(at)])

    def table_at(self, slot):
        at = self._at(slot)
        return Fields(self.table.Bytes, self.table.Indirect(self.table.Pos + at)) if at else None

    def tables(self, slot):
        at = self._at(slot)
        if not at:
            return []
        start, data = self.table.Vector(at), self.table.Bytes
        return [Fields(data, self.table.Indirect(start + 4 * i)) for i in range(self.table.VectorLen(at))]


U8, U32 = number_types.Uint8Flags, number_types.Uint32Flags
U64, I64 = number_types.Uint64Flags, number_types.Int64Flags


def record_mac(kek, index_name, epoch, binding, current, keys, former=()):
    """`keys`: id, wrapped, created_at, superseded_at of each, in stored order; `former`: last_version, wrapped."""
    items = [index_name.encode(), struct.pack(">Q", epoch), bytes([binding]), u32(current), u32(len(former))]
    for last_version, wrapped in former:
        items += [u32(last_version), wrapped]
    items.append(u32(len(keys)))
    for key_id, wrapped, created_at, superseded_at in keys:
        items += [u32(key_id), wrapped, struct.pack(">q", created_at), struct.pack(">q", superseded_at)]
    return mac(hkdf(kek, b"cyborg_kms record v1"), b"".join(map(behind_length, items)))


def read_record(data, index_name, wrap_key):
    """The KEK and the data keys of a new record of our kind, everything checked."""
    root = Fields.root(data)
    assert root.number(5, U32) == 2 and root.number(7, U32) == 1 and root.number(12, U8) == 0
    binding, epoch, current = root.number(8, U8), root.number(21, U64), root.number(20, U32)
    assert (binding, epoch, current) == (1, 1, 1)
    kek = unwrap(wrap_key, root.bytes(4), kek_aad(index_name))
    assert root.bytes(11) == mac(hkdf(kek, b"cyborg_kms check v1"), index_name.encode())
    stored = [(t.number(0, U32), t.bytes(1), t.number(2, I64), t.number(3, I64)) for t in root.tables(19)]
    assert root.tables(18) == []
    assert root.bytes(22) == record_mac(kek, index_name, epoch, binding, current, stored)
    under = hkdf(kek, b"cyborg_kms wrap v1")
    return kek, {key_id: unwrap(under, wrapped, data_key_aad(key_id, index_name)) for key_id, wrapped, *_ in stored}


def write_record(index_name, slot, key_file, wrap_key, kek, keys):
    """A record of our kind, of version 1."""
    under = hkdf(kek, b"cyborg_kms wrap v1")
    stored = [(key_id, wrap(under, key, data_key_aad(key_id, index_name)), 1763760000, 0) for key_id, key in keys.items()]
    builder = flatbuffers.Builder()
    tables = []
    for key_id, wrapped, created_at, superseded_at in stored:
        at = builder.CreateByteVector(wrapped)
        builder.StartObject(4)
        builder.PrependUint32Slot(0, key_id, 0)
        builder.PrependUOffsetTRelativeSlot(1, at, 0)
        builder.PrependInt64Slot(2, created_at, 0)
        builder.PrependInt64Slot(3, superseded_at, 0)
        tables.append(builder.EndObject())
    builder.StartVector(4, len(tables), 4)
    for at in reversed(tables):
        builder.PrependUOffsetTRelative(at)
    offsets = {19: builder.EndVector()}
    for number, text in ((0, slot), (1, "local"), (2, str(key_file))):
        offsets[number] = builder.CreateString(text)
    check = mac(hkdf(kek, b"cyborg_kms check v1"), index_name.encode())
    authentic = record_mac(kek, index_name, 1, 1, 1, stored)
    vectors = ((4, wrap(wrap_key, kek, kek_aad(index_name))), (11, check), (15, os.urandom(16)), (22, authentic))
    for number, data in vectors:
        offsets[number] = builder.CreateByteVector(data)
    builder.StartObject(23)
    for number, at in offsets.items():
        builder.PrependUOffsetTRelativeSlot(number, at, 0)
    builder.PrependUint32Slot(5, 2, 0)
    builder.PrependInt64Slot(6, 1763760000, 0)
    builder.PrependUint32Slot(7, 1, 0)
    builder.PrependUint8Slot(8, 1, 0)
    builder.PrependUint32Slot(20, 1, 0)
    builder.PrependUint64Slot(21, 1, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


class Place:
    """A store on disk, an engine over it, and the `local` key that both sides know."""

    NAME = "an index/ü"
    FILE = "an%20index%2F%C3%BC.kms.cat"

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name) / "db"
        self.key = os.urandom(32)
        self.key_file = pathlib.Path(self.folder.name) / "wrap.key"
        self.key_file.write_bytes(self.key)
        self.key_file.chmod(0o600)
        self.yaml = (
            f"storage: {{url: {self.root}}}\n"
            f"kms: {{registry: {{own: {{provider: local, key_id: {self.key_file}}}}}}}\n"
            "cache: {ttl: 0}\n"
        )
        self.engine = Engine.open(self.yaml)
        self.path = self.root / "_catalog" / "config" / self.FILE
        return self

    def __exit__(self, *_):
        self.engine.__exit__()
        self.folder.cleanup()

    def create(self):
        """An open index of the library's making, and what the reader here finds in its record."""
        index = self.engine.create_index(self.NAME, "own")
        return index, *read_record(self.path.read_bytes(), self.NAME, self.key)


def test_xaes_is_that_of_the_specification(_):
    for byte, aad, sealed in (
        (1, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (3, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ):
        aead, rest = xaes(bytes([byte]) * 32, b"ABCDEFGHIJKLMNOPQRSTUVWX")
        assert aead.encrypt(rest, b"XAES-256-GCM", aad).hex() == sealed


def test_the_librarys_record_is_read(place):
    index, kek, keys = place.create()
    with index:
        assert index.kek() == kek and sorted(keys) == [0, 1]


def test_the_librarys_pages_are_read(place):
    index, _, keys = place.create()
    with index:
        for size in (0, 1, 4096, 70000):
            page = os.urandom(size)
            assert unseal(PAGE, keys, b"aad", index.encrypt(page, b"aad")) == page
        key, wrapped = index.generate_data_key()
        assert len(wrapped) == 80 and unseal(DATA_KEY, keys, b"", wrapped) == key
        assert index.derive("label", b"context", 100) == derive(keys, "label", b"context", 100)


def test_the_librarys_nonces_all_differ(place):
    index, _, keys = place.create()
    with index:
        sealed = [index.encrypt(b"page") for _ in range(2000)]
        assert len({page[8:32] for page in sealed}) == 2000
        assert all(unseal(PAGE, keys, b"", page) == b"page" for page in sealed)


def written(place):
    """A record that was written here, from the format's description."""
    kek, keys = os.urandom(32), {0: os.urandom(32), 1: os.urandom(32)}
    place.path.parent.mkdir(parents=True, exist_ok=True)
    record = write_record(place.NAME, "own", place.key_file, place.key, kek, keys)
    place.path.write_bytes(record)
    assert read_record(record, place.NAME, place.key) == (kek, keys)
    return kek, keys


def test_the_library_reads_what_is_written_by_the_description(place):
    kek, keys = written(place)
    with place.engine.open_index(place.NAME) as index:
        assert index.kek() == kek
        for size in (0, 1, 4096, 70000):
            page = os.urandom(size)
            assert index.decrypt(seal(PAGE, 1, keys[1], b"aad", page), b"aad") == page
        assert unseal(PAGE, keys, b"7", index.encrypt(b"page", b"7")) == b"page"
        assert index.unwrap_data_key(seal(DATA_KEY, 1, keys[1], b"", kek)) == kek
        assert index.derive("", b"", 8160) == derive(keys, "", b"", 8160)


def test_the_library_refuses_what_the_description_refuses(place):
    _, keys = written(place)
    with place.engine.open_index(place.NAME) as index:
        page = seal(PAGE, 1, keys[1], b"", b"page")
        for sealed, status in (
            (seal(DATA_KEY, 1, keys[1], b"", b"k" * 32), cyborg_kms.CORRUPT),
            (seal(PAGE, 0, keys[0], b"", b"page"), cyborg_kms.CORRUPT),
            (seal(3, 1, keys[1], b"", b"page"), cyborg_kms.CORRUPT),
            (page[:-1], cyborg_kms.AUTHENTICATION_FAILED),
            (page[:47], cyborg_kms.CORRUPT),
            (page[:40] + bytes([page[40] ^ 1]) + page[41:], cyborg_kms.AUTHENTICATION_FAILED),
        ):
            try:
                index.decrypt(sealed)
            except KmsError as error:
                assert error.status == status, (sealed[:8], error)
            else:
                raise AssertionError(f"opened: {sealed.hex()}")
        try:
            unseal(PAGE, keys, b"", page[:-1])
        except InvalidTag:
            return
        raise AssertionError("the reader here opened a cut page")


def test_data_keys_without_their_mac_are_refused(place):
    kek, keys = written(place)
    record = place.path.read_bytes()
    authentic = Fields.root(record).bytes(22)
    at = record.index(authentic)
    place.path.write_bytes(record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :])
    try:
        place.engine.open_index(place.NAME)
    except KmsError as error:
        assert error.status == cyborg_kms.CORRUPT, error
    else:
        raise AssertionError("opened with an altered MAC")


# The golden files.

VECTORS = cyborg_kms.ROOT / "tests" / "vectors" / "v1"


def unwrap_kek(fields, binding, case):
    """The KEK by a wrap: the record's own, or the one that a push replaced."""
    provider = fields.bytes(1).decode()
    aad = kek_aad(case["index_name"]) if binding else b""
    if provider == "none":
        return bytes.fromhex(case["kek_hex"])
    if provider == "external:flip":
        return bytes(byte ^ 0x5A for byte in fields.bytes(4))
    assert provider == "local", provider
    return unwrap(bytes.fromhex(case["wrap_key_hex"]), fields.bytes(4), aad)


def read_vector(case):
    """The KEK, the data keys and the former KEKs of a golden record, everything checked. A former KEK without its wrap was
    retired."""
    root, name = Fields.root((VECTORS / case["file"]).read_bytes()), case["index_name"]
    check = root.bytes(11)
    kek = unwrap_kek(root, root.number(8, U8), case)
    if check != mac(hkdf(kek, b"cyborg_kms check v1"), name.encode()):
        replaced = root.table_at(17)
        kek = unwrap_kek(replaced, replaced.number(5, U8), case)
    assert check == mac(hkdf(kek, b"cyborg_kms check v1"), name.encode()), name
    if root.number(5, U32) == 1:
        return kek, {}, {}
    stored = [(t.number(0, U32), t.bytes(1), t.number(2, I64), t.number(3, I64)) for t in root.tables(19)]
    former = [(t.number(0, U32), t.bytes(1)) for t in root.tables(18)]
    numbers = root.number(21, U64), root.number(8, U8), root.number(20, U32)
    assert root.bytes(22) == record_mac(kek, name, *numbers, stored, former), name
    under = hkdf(kek, b"cyborg_kms wrap v1")
    keys = {key_id: unwrap(under, wrapped, data_key_aad(key_id, name)) for key_id, wrapped, *_ in stored}
    aad = b"cyborg_kms former kek v1\0"
    return kek, keys, {last: wrapped and unwrap(under, wrapped, aad + u32(last) + name.encode()) for last, wrapped in former}


def test_the_golden_files_are_read(_):
    cases = json.loads((VECTORS / "expected.json").read_text())
    assert len(cases) == 6
    for case in cases:
        kek, keys, former = read_vector(case)
        assert kek.hex() == case["kek_hex"]
        assert [key.hex() for key in former.values()] == ([case["former_kek_hex"]] if "former_kek_hex" in case else [])
        for page in case.get("pages", []):
            sealed, aad = bytes.fromhex(page["sealed_hex"]), bytes.fromhex(page["aad_hex"])
            assert unseal(PAGE, keys, aad, sealed).hex() == page["plaintext_hex"]
        if not keys:
            continue
        page = {name: bytes.fromhex(value) for name, value in case["detached"].items()}
        sealed = page["overhead_hex"][:32] + page["ciphertext_hex"] + page["overhead_hex"][32:]
        assert unseal(PAGE, keys, page["aad_hex"], sealed) == page["plaintext_hex"]
        wrapped = bytes.fromhex(case["data_key"]["wrapped_hex"])
        assert unseal(DATA_KEY, keys, b"", wrapped).hex() == case["data_key"]["key_hex"]
        for key in case["derived"]:
            length = len(key["key_hex"]) // 2
            assert derive(keys, key["label"], bytes.fromhex(key["context_hex"]), length).hex() == key["key_hex"]


# Part 6: the audit log.

AUDIT_FIELDS = (
    "seq time operation phase index slot provider key_id version epoch outcome intent outcome_unknown provider_code "
    "request_id principal torn prev mac"
).split()


def check_audit_log(path, key):
    """Follows the chain through all files; gives the lines and how many closed what a crash had left."""
    mac_key = hkdf(key, b"cyborg_kms audit v1")
    seq, prev, lines, recovered, torn = 0, bytes(32), [], 0, None
    for file in [*sorted(path.parent.glob(path.name + "." + 20 * "[0-9]")), path]:
        for line in file.read_bytes().split(b"\n")[:-1]:
            try:
                fields = json.loads(line)
            except ValueError:
                torn = line if torn is None else torn + b"\n" + line
                continue
            if torn is not None:
                assert fields["operation"] == "recovered"
                assert fields["torn"] == {"bytes": len(torn), "hash": b64(hashlib.sha256(torn).digest())}
                recovered, torn = recovered + 1, None
            assert [field for field in AUDIT_FIELDS if field in fields] == list(fields), "other fields, or another order"
            assert fields["seq"] == seq + 1 and fields["prev"] == b64(prev), fields
            without_mac, end = line.rsplit(b',"mac":', 1)
            assert json.loads(end[:-1]) == fields["mac"] == b64(mac(mac_key, without_mac + b"}"))
            seq, prev = fields["seq"], hashlib.sha256(line).digest()
            lines.append(fields)
    assert torn is None
    return lines, recovered, {"seq": seq, "hash": b64(prev)}


def b64(data):
    return base64.b64encode(data).decode()


def test_the_golden_audit_log_is_read(_):
    folder = pathlib.Path(__file__).parent.parent / "vectors" / "v1-audit"
    expected = json.loads((folder / "expected.json").read_text())
    lines, recovered, head = check_audit_log(folder / "audit.log", bytes.fromhex(expected["key_hex"]))
    assert head == expected["head"] and recovered == 1
    assert {line["operation"] for line in lines} == {"create", "open", "recovered"}
    assert "AUTHENTICATION_FAILED" in {line["outcome"] for line in lines}


def test_the_librarys_audit_log_is_read(place):
    key = os.urandom(32)
    with open(os.open(place.root / "audit.key", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(key)
    path = place.root / "audit.log"
    audit = f"audit: {{path: {path}, key_file: {place.root}/audit.key, max_size: 1KiB}}\n"
    with Engine.open(place.yaml + audit) as engine:
        for name in ("a", "b/ü", 'c "d"'):
            with engine.create_index(name, "own"):
                pass
    lines, recovered, _ = check_audit_log(path, key)
    assert [(line["phase"], line["index"], line.get("intent")) for line in lines] == [
        ("intent", "a", None), ("outcome", "a", 1), ("intent", "b/ü", None), ("outcome", "b/ü", 3),
        ("intent", 'c "d"', None), ("outcome", 'c "d"', 5),
    ]
    assert recovered == 0 and len(list(place.root.glob("audit.log.0*"))) == 1


def test_retired_keys_are_gone_and_not_taken_for_others(_):
    case = json.loads((VECTORS / "retired.json").read_text())
    kek, keys, former = read_vector(case)
    assert kek.hex() == case["kek_hex"] and sorted(keys) == case["data_keys"]
    for version, expected in enumerate(case["keks_hex"], 1):
        later = [last for last in former if last >= version]
        found = former[min(later)] if later else kek
        assert found == (bytes.fromhex(expected) if expected else b""), version
    assert sum(found == b"" for found in former.values()) == 2
    for page in case["pages"]:
        sealed, aad = bytes.fromhex(page["sealed_hex"]), bytes.fromhex(page["aad_hex"])
        assert unseal(PAGE, keys, aad, sealed).hex() == page["plaintext_hex"]
    assert derive(keys, "label", b"context", 32).hex() == case["derived_hex"]


if __name__ == "__main__":
    sys.exit(run(globals(), Place))
