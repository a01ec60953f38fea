"""Looks for keys in a running process: in all its memory, and in its core dump.

    CYBORG_KMS_LIBRARY=... build/venv/bin/python -m tests.memory PROGRAM

PROGRAM is tests/c/memory.c. Needs gdb's gcore and what tests/interop needs.
"""

import base64
import pathlib
import subprocess
import sys
import tempfile

from tests.interop import format as description

CANARY = b"a canary that every dump must show"


def halves(key):
    return [key[:16], key[16:32]]


def memory_of(pid):
    """What the process could read itself, mapping by mapping."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, flags, *_ = line.split()
            if not flags.startswith("r") or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            memory.seek(start)
            yield memory.read(end - start)


def core_of(pid, folder):
    subprocess.run(["gcore", "-o", folder / "core", str(pid)], check=True, capture_output=True)
    core = folder / f"core.{pid}"
    data = core.read_bytes()
    core.unlink()
    return data


def found(keys, parts):
    """The names of the keys of which a half is in one of the parts."""
    parts = list(parts)
    assert any(CANARY in part for part in parts), "the canary is not there: nothing was looked through"
    return {name for name, key in keys.items() if any(half in part for half in halves(key) for part in parts)}


class Process:
    def __init__(self, program, folder):
        command = [program, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = {}

    def until(self, where):
        """Runs on to the next stop."""
        for line in self.process.stdout:
            word, value = line.split()
            if word == "stop":
                assert value == where, (value, where)
                return
            self.told[word] = bytes(byte ^ 0xFF for byte in bytes.fromhex(value))
        raise SystemExit(f"the program ended before {where}")

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def main(program):
    checks = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        run = Process(program, folder)
        run.until("open")
        text = (folder / "local.key").read_bytes().strip()
        wrap_key = base64.b64decode(text)
        record = (folder / "store" / "_catalog" / "config" / "memory.kms.cat").read_bytes()
        kek, data_keys = description.read_record(record, "memory", wrap_key)
        assert kek == run.told["kek"] and sorted(data_keys) == [0, 1]
        held = {"kek": kek, "data key 0": data_keys[0], "data key 1": data_keys[1]}
        passing = {"wrap key": wrap_key, "key file": text} | {name: run.told[name] for name in ("derived", "generated")}
        for purpose in ("wrap", "check", "record"):
            passing[f"{purpose} sub-key"] = description.hkdf(kek, f"cyborg_kms {purpose} v1".encode())
        everything = held | passing
        for where, in_memory in (("open", set(held)), ("evicted", set()), ("freed", set())):
            if where != "open":
                run.go_on()
                run.until(where)
            pid = run.process.pid
            there = found(everything, memory_of(pid))
            # The open index's keys must be found, or the search is no good.
            assert there == in_memory, f"{where}: in memory are {sorted(there)}, expected {sorted(in_memory)}"
            there = found(everything, [core_of(pid, folder)])
            assert not there, f"{where}: the core dump has {sorted(there)}"
            print(f"{where}: in memory {sorted(in_memory) or 'nothing'}, in the core dump nothing")
            checks += 2
        run.go_on()
        assert run.process.wait() == 0, "the program's own checks failed"
    print(f"{checks} searches for {len(everything)} keys")


if __name__ == "__main__":
    main(sys.argv[1])
