"""A KEK that AWS gave is in no core dump, and in no memory once its index was closed.

build/venv/bin/python -m tests.cloud.run aws_memory; needs gdb's gcore.
"""

import base64
import pathlib
import subprocess
import sys
import tempfile

from tests.memory import CANARY, memory_of
from tests.services.server import ROOT

from .aws import configuration, create, engine, folder, new_key, slot, use

SERVERS = ("moto",)

# Opens the index, says so, frees all, says so, waits. It has no copy of the KEK of its own.
PROGRAM = """
import sys
from tests.python.cyborg_kms import Engine

canary = b"a canary that every " + b"dump must show"
with Engine.open(sys.argv[1]) as engine:
    with engine.open_index("customers") as index:
        for _ in range(5):
            index.refresh()
            index.decrypt(index.encrypt(b"a page"))
        print("open", flush=True)
        sys.stdin.readline()
    engine.evict()
    print("closed", flush=True)
    sys.stdin.readline()
print("freed", flush=True)
sys.stdin.readline()
"""


def forms(kek):
    """What a KEK may look like: halves of it, of its base64 at each of three offsets, of its hex."""
    found = {"the KEK, first half": kek[:16], "the KEK, second half": kek[16:]}
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + kek)[4 if shift else 0 : -4]
        found |= {f"its base64 at {shift}, first half": text[:20], f"its base64 at {shift}, second half": text[-16:]}
    return found | {"its hex": kek.hex().encode()[:32]}


def core_of(pid):
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["gcore", "-o", f"{name}/core", str(pid)], check=True, capture_output=True)
        return pathlib.Path(f"{name}/core.{pid}").read_bytes()


def seen(pid, kek):
    """The forms of a KEK in the core dump of a process, and in its memory."""
    places = {"core": [core_of(pid)], "memory": list(memory_of(pid))}
    for where, parts in places.items():
        assert any(CANARY in part for part in parts), f"{where}: the canary is not there: nothing was looked through"
    return {
        where: sorted(form for form, bytes_ in forms(kek).items() if any(bytes_ in part for part in parts))
        for where, parts in places.items()
    }


def searched(place, settings):
    records = folder(place)
    kek, _ = create(engine(place, records, prod=settings), "customers")
    command = [sys.executable, "-c", PROGRAM, configuration(records, prod=settings)]
    told = {}
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for stage in ("open", "closed", "freed"):
            assert process.stdout.readline().strip() == stage
            told[stage] = seen(process.pid, kek)
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == 0
    assert "the KEK, first half" in told["open"]["memory"], "the open index's KEK was not found: the search is no good"
    return told


def check(told):
    for stage, places in told.items():
        assert not places["core"], f"{stage}: the core dump has {places['core']}"
    for stage in ("closed", "freed"):
        assert not told[stage]["memory"], f"{stage}: in memory is {told[stage]['memory']}"


def test_a_kek_of_kms(place):
    use(place, place.moto)
    check(searched(place, slot(place.moto, "aws-kms", new_key(place.moto))))


def test_a_kek_under_a_secret(place):
    use(place, place.moto)
    name = place.name("secret")
    place.moto.client("secretsmanager").create_secret(Name=name, SecretBinary=bytes(range(32)))
    check(searched(place, slot(place.moto, "aws", name)))
