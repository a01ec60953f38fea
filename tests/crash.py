"""Kills a process that creates an index, at each of its system calls that change something, and looks what is left.

    python3 tests/crash.py PROGRAM

PROGRAM is tests/c/crash.c. Needs strace. The index must be there and work, or not be there; a second creation must say
the same; the key file is whole or not there, and no index was ever wrapped by a key that a crash could lose.
"""

import base64
import pathlib
import re
import subprocess
import sys
import tempfile

# exit_group: everything done. close, too, since locks and durability hang on it.
CALLS = "openat mkdir fchmod flock write fdatasync fsync linkat rename unlink unlinkat close exit_group".split()
PROGRAM = sys.argv[1]


def step(folder, what):
    """Runs one step in a process of its own; gives the status that it printed."""
    done = subprocess.run([PROGRAM, folder, what], capture_output=True, text=True)
    assert done.returncode == 0, f"{what}: {done.stdout}{done.stderr}"
    return done.stdout.split()[0], done.stdout.strip()


def killed(folder, call, number):
    """Creates, killed at the nth such call; False: it had fewer."""
    inject = f"inject={call}:signal=KILL:when={number}"
    command = ["strace", "-f", "-qq", "-o", folder / "trace", "-e", f"trace={call}", "-e", inject]
    done = subprocess.run([*command, PROGRAM, folder, "create"], capture_output=True, text=True)
    (folder / "trace").unlink()
    if done.returncode in (-9, 128 + 9):
        return True
    assert done.returncode == 0, f"{call} {number}: {done.returncode} {done.stdout}{done.stderr}"
    return False


def check_key_file(folder):
    """Whether there is one; it must be whole."""
    path = folder / "local.key"
    if not path.exists():
        return False
    assert len(base64.b64decode(path.read_bytes().strip(), validate=True)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    return True


def check_left(folder, what):
    """What a killed creation left; gives the status of opening."""
    has_key = check_key_file(folder)
    status, line = step(folder, "open")
    assert status in ("NOT_FOUND", "OK"), f"{what}: opening gives {line}"
    assert status != "OK" or has_key, f"{what}: the index was wrapped by a key that is not there"
    again, line = step(folder, "create")
    assert again == {"NOT_FOUND": "OK", "OK": "ALREADY_EXISTS"}[status], f"{what}: {status}, then creating gives {line}"
    assert step(folder, "open")[0] == "OK" and check_key_file(folder), what
    return status


def kill_everywhere(prepare):
    """Gives how often opening gave what."""
    seen = {"NOT_FOUND": 0, "OK": 0}
    for call in CALLS:
        number = 1
        while True:
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                prepare(folder)
                if not killed(folder, call, number):
                    break
                seen[check_left(folder, f"killed at {call} {number}")] += 1
            number += 1
    return seen


def key_of_a_killed_process(folder):
    """A key file by a process that was killed right after it had put it in place."""
    assert killed(folder, "unlink", 1), "the creation removes no temporary file any more: kill it elsewhere"
    assert check_key_file(folder) and step(folder, "open")[0] == "NOT_FOUND"


def nothing(folder):
    pass


def check_order(prepare, what):
    """The key file is made durable before a record that needs it is put in place."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder)
        trace = folder / "trace"
        command = ["strace", "-f", "-y", "-qq", "-o", trace, "-e", "trace=fsync,linkat", PROGRAM, folder, "create"]
        subprocess.run(command, check=True, capture_output=True)
        lines = trace.read_text().splitlines()
        record = next(i for i, line in enumerate(lines) if "linkat" in line and "crash.kms.cat" in line)
        synced = re.compile(rf"fsync\(\d+<{re.escape(str(folder))}>\) += 0")
        key = [i for i, line in enumerate(lines) if "linkat" in line and "local.key" in line] or [-1]
        between = lines[key[0] + 1 : record]
        assert any(synced.search(line) for line in between), f"{what}: the key file's folder is not synced:\n" + "\n".join(lines)


def main():
    kills = 0
    for what, prepare in (("nothing", nothing), ("a key file", key_of_a_killed_process)):
        check_order(prepare, what)
        seen = kill_everywhere(prepare)
        print(f"from {what}: {seen}")
        assert min(seen.values()) > 0, "no kill before, or none after the record was there: the test kills nothing"
        kills += sum(seen.values())
    print(f"killed {kills} times, no index lost or damaged")


main()
