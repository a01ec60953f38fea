"""Kills a process that creates or changes an index, at each of its system calls that change something, and looks what
is left.

    python3 tests/crash.py PROGRAM

PROGRAM is tests/c/crash.c. Needs strace.

Created: the index must be there and work, or not be there; a second creation must say the same; the key file is whole
or not there, and no index was ever wrapped by a key that a crash could lose.

Rotated, disabled: the index must open, read every page that was ever sealed, and derive what it did; the change is made
or not, and can be made again. Besides, KILLS (50) times a process that changes keys without an end is killed at some
moment.
"""

import base64
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

# exit_group: everything done. close, too, since locks and durability hang on it.
CALLS = "openat mkdir fchmod flock write fdatasync fsync linkat rename unlink unlinkat close exit_group".split()
PROGRAM = sys.argv[1]


def step(folder, what):
    """Runs one step in a process of its own; gives the status that it printed."""
    done = subprocess.run([PROGRAM, folder, what], capture_output=True, text=True)
    assert done.returncode == 0, f"{what}: {done.stdout}{done.stderr}"
    return done.stdout.split()[0], done.stdout.strip()


def killed(folder, call, number, what="create"):
    """Does one step, killed at the nth such call; False: it had fewer."""
    inject = f"inject={call}:signal=KILL:when={number}"
    command = ["strace", "-f", "-qq", "-o", folder / "trace", "-e", f"trace={call}", "-e", inject]
    done = subprocess.run([*command, PROGRAM, folder, what], capture_output=True, text=True)
    (folder / "trace").unlink()
    if done.returncode in (-9, 128 + 9):
        return True
    assert done.returncode == 0, f"{what} at {call} {number}: {done.returncode} {done.stdout}{done.stderr}"
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


# What each change adds to version, epoch and data key.
CHANGES = {"rewrap": (1, 1, 0), "move": (1, 1, 0), "kek": (1, 1, 0), "data-key": (0, 1, 1), "disable": (0, 0, 0)}


def prepared(folder):
    """An index with pages."""
    (folder / "pages").mkdir()
    subprocess.run([PROGRAM, folder, "prepare"], check=True)


def check_index(folder, what):
    """All that must hold of an index with pages; gives version, epoch and data key."""
    done = subprocess.run([PROGRAM, folder, "check"], capture_output=True, text=True)
    assert done.returncode == 0, f"{what}: {done.stdout}{done.stderr}"
    return tuple(int(number) for number in re.search(r"version (\d+) epoch (\d+) data_key (\d+)", done.stdout).groups())


def disabled(folder):
    return step(folder, "open")[0] == "KEY_DISABLED"


def kill_change(folder, change, before, after):
    """Kills a change at each call; gives how often it had happened and not."""
    seen = {"before": 0, "after": 0}
    saved = folder.parent / "saved"
    shutil.copytree(folder, saved)
    for call in CALLS:
        number = 1
        while killed(folder, call, number, change):
            what = f"{change} killed at {call} {number}"
            done = disabled(folder)
            found = check_index(folder, what)
            if change == "disable":
                assert found == before, what
            else:
                assert found in (before, after) and not done, f"{what}: {found}"
                done = found == after
            seen["after" if done else "before"] += 1
            # The same step, again or anew, and nothing in its way.
            subprocess.run([PROGRAM, folder, change], check=True)
            check_index(folder, f"{what}, then again")
            shutil.rmtree(folder)
            shutil.copytree(saved, folder)
            number += 1
        shutil.rmtree(folder)
        shutil.copytree(saved, folder)
    return seen


def kill_changes():
    kills = 0
    for change, grows in CHANGES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name) / "index"
            folder.mkdir()
            prepared(folder)
            # Not the first rotation: there are former keys to be wrapped anew.
            for earlier in ("kek", "data-key"):
                subprocess.run([PROGRAM, folder, earlier], check=True)
            before = check_index(folder, "before")
            seen = kill_change(folder, change, before, tuple(old + more for old, more in zip(before, grows)))
            print(f"{change}: {seen}")
            assert min(seen.values()) > 0, "no kill before, or none after the record was there: the test kills nothing"
            kills += sum(seen.values())
    return kills


def kill_at_random(kills, seed):
    """Kills a process that changes keys, at some moment; gives how many changes that made."""
    moments, changes = random.Random(seed), 0
    print(f"random kills: seed {seed}")
    while kills > 0:
        # Anew now and then: a record has room for some thousand keys.
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            prepared(folder)
            epoch = 1
            for _ in range(min(kills, 50)):
                storm = subprocess.Popen([PROGRAM, folder, "storm"], stdout=subprocess.PIPE, text=True)
                assert storm.stdout.readline() == "started\n"
                time.sleep(moments.uniform(0, 0.1))
                storm.kill()
                storm.wait()
                assert storm.returncode == -9, f"the storm ended by itself: {storm.returncode}"
                storm.stdout.close()
                found = check_index(folder, f"random kill, {kills} left")
                assert found[1] >= epoch, "a rotation was lost"
                epoch = found[1]
                kills -= 1
            changes += epoch - 1
    return changes


def main():
    kills = 0
    for what, prepare in (("nothing", nothing), ("a key file", key_of_a_killed_process)):
        check_order(prepare, what)
        seen = kill_everywhere(prepare)
        print(f"from {what}: {seen}")
        assert min(seen.values()) > 0, "no kill before, or none after the record was there: the test kills nothing"
        kills += sum(seen.values())
    kills += kill_changes()
    at_random = int(os.environ.get("KILLS", "50"))
    changes = kill_at_random(at_random, int(os.environ.get("SEED", str(random.randrange(1 << 32)))))
    assert changes > at_random // 5, f"only {changes} changes: the test kills nothing"
    print(f"killed {kills + at_random} times, no index lost or damaged")


main()
