"""The command as a process among others: signals, pipes that close, disks that are full, terminals."""

import base64
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

from .place import PATIENCE


def hold_lock(place):
    """Another process writes a record and does not come to an end."""
    (lock,) = place.folder.glob("keys/**/lock-*")
    holder = subprocess.Popen(["flock", lock, "-c", "echo here; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"here\n"
    return holder


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)


def waiting(place, process):
    """Whether it has written its intent, and so waits for the lock of the record."""
    until("the intent", lambda: place.lines()[-1]["phase"] == "intent")
    assert process.poll() is None, process.communicate()


def test_ctrl_c_ends_a_change_that_waits(place):
    place.ok("create", "orders", "prod")
    for number, arguments in ((signal.SIGINT, []), (signal.SIGTERM, ["--json"])):
        holder = hold_lock(place)
        process = place.start("disable", "orders", *arguments)
        waiting(place, process)
        process.send_signal(number)
        result = place.end(process)
        assert (result.code, result.out) == (130, ""), result
        if arguments:
            error = result.error()
            assert (error["status"], error["outcome_unknown"]) == ("CANCELLED", False), error
        else:
            warning, line = result.err.splitlines()
            assert warning.startswith("warning: interrupted: "), result
            assert line.startswith("cyborg-kms: CANCELLED: interrupted, and nothing was changed: "), result
        holder.communicate()
        assert place.ok_json("inspect", "orders")["state"] == "enabled"
        assert place.lines()[-1]["outcome"] == "CANCELLED", "the audit log tells how it ended"


def test_a_second_ctrl_c_ends_at_once(place):
    place.ok("create", "orders", "prod")
    # The audit log's lock is waited for beyond a cancellation: how a change ended is to be known.
    holder = hold_lock(place)
    process = place.start("disable", "orders")
    waiting(place, process)
    log = subprocess.Popen(
        ["flock", place.folder / "audit.log.lock", "-c", "echo here; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert log.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    assert b"interrupted" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    process.communicate()
    log.communicate()
    holder.communicate()
    assert place.lines()[-1]["phase"] == "intent"


def test_ctrl_c_at_the_question(place):
    place.ok("create", "orders", "prod")
    process = place.start("delete", "orders")
    assert process.stderr.read(8) == b"Deleting"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == -signal.SIGINT
    process.communicate()
    assert place.ok("list") == "orders\n"


def test_a_reader_that_goes_away(place):
    names = [f"index-{number:05}" for number in range(5)]
    for name in names:
        place.ok("create", name, "prod")
    # So many names that no pipe takes them all.
    folder = next(place.folder.glob("keys/**/*.kms.cat")).parent
    for number in range(5, 8000):
        (folder / f"index-{number:05}.kms.cat").write_bytes(b"")
    for arguments in ("", "--json"):
        shell = f"set -o pipefail; cyborg-kms list {arguments} | head -c 20"
        result = place.end(subprocess.Popen(
            ["bash", "-c", shell], cwd=place.folder, env=place.environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ))
        assert (result.code, len(result.out), result.err) == (0, 20, ""), result
    assert len(place.ok("list").splitlines()) == 8000
    assert place.ok_json("list", "--start-after", "index-07997")["indexes"] == ["index-07998", "index-07999"]
    for arguments in (["slots"], ["inspect", names[0]], ["man"], ["completions", "zsh"], ["--help"], ["disable", names[0]]):
        read, write = os.pipe()
        os.close(read)
        result = place.run(*arguments, stdout=write)
        os.close(write)
        assert (result.code, result.err) == (0, ""), (arguments, result)
    assert place.ok_json("inspect", names[0])["state"] == "disabled"


def test_output_that_can_t_be_written(place):
    place.ok("create", "orders", "prod")
    for arguments in (["list"], ["slots"], ["inspect", "orders", "--json"], ["man"], ["disable", "orders"]):
        with open("/dev/full", "wb") as full:
            result = place.run(*arguments, stdout=full)
        assert result.code == 1 and "standard output can't be written" in result.err, (arguments, result)
    assert place.ok_json("inspect", "orders")["state"] == "disabled"
    with open("/dev/full", "wb") as full:
        assert place.run("list", stderr=full).code == 0
        assert place.run("inspect", "none", stderr=full).code == 3


def test_a_receipt_is_never_lost(place):
    for number, arguments in enumerate(([], ["--json"])):
        place.ok("create", "orders", "prod")
        read, write = os.pipe()
        os.close(read)
        with open("/dev/full", "wb") as full:
            result = place.run("delete", "orders", "--yes", *arguments, stdout=(full, write)[number])
        os.close(write)
        assert result.code == 1, result
        text = result.error()["message"] if arguments else result.err
        receipt = json.loads(text[text.index("{") : text.rindex("}") + 1])
        assert receipt["index"] == "orders" and receipt["record_sha256"], result
        assert place.ok("list") == ""


def on_terminal(place, *arguments, typed=b""):
    """Its standard streams are a terminal; what stands on it in the end, and the exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\x00\x50\x00\x00\x00\x00\x00")
    process = place.start(
        *arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env={"TERM": "xterm"}
    )
    os.close(slave)
    os.write(master, typed)
    shown = b""
    while select.select([master], [], [], PATIENCE)[0]:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(master)
    code = process.wait(PATIENCE)
    place.printed.append(shown.decode())
    return code, shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_what_a_pipe_gets(place):
    place.ok("create", "orders", "prod")
    for arguments in (["list"], ["slots"], ["inspect", "orders"], ["check"], ["inspect", "orders", "--json"]):
        assert on_terminal(place, *arguments) == (0, place.ok(*arguments)), arguments
    code, shown = on_terminal(place, "inspect", "none")
    assert code == 3 and shown == place.run("inspect", "none").err


def test_a_terminal_is_asked(place):
    place.ok("create", "orders", "prod")
    code, shown = on_terminal(place, "delete", "orders", typed=b"no\n")
    assert code == 2 and "nothing was deleted" in shown, shown
    code, shown = on_terminal(place, "rotate", "orders", "--data-key", "--key-stdin")
    assert code == 2 and "a terminal would show the key" in shown, shown
    code, shown = on_terminal(place, "delete", "orders", typed=b"orders\n")
    assert code == 0 and '"record_sha256"' in shown, shown
    assert place.ok("list") == ""


def test_closed_streams(place):
    place.ok("create", "orders", "prod")
    for shell in ("cyborg-kms list 2>&-", "cyborg-kms list <&-"):
        result = place.end(subprocess.Popen(
            ["bash", "-c", shell], cwd=place.folder, env=place.environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ))
        assert (result.code, result.out) == (0, "orders\n"), result


def test_a_core_dump_has_no_key(place):
    kek = place.key("kek")
    place.ok("create", "orders", "own", "--key-file", "kek")
    for arguments, stdin in ((["--key-file", "kek"], b""), (["--key-stdin"], base64.b64encode(kek))):
        holder = hold_lock(place)
        process = place.start("rotate", "orders", "--data-key", *arguments)
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        waiting(place, process)
        dump = ["gcore", "-o", place.folder / "core", str(process.pid)]
        subprocess.run(dump, check=True, capture_output=True, timeout=PATIENCE)
        core = (place.folder / f"core.{process.pid}").read_bytes()
        process.send_signal(signal.SIGINT)
        assert place.end(process, None).code == 130
        holder.communicate()
        assert b"orders" in core, "nothing was looked through"
        forms = {"raw": kek, "hex": kek.hex().encode(), "base64": base64.b64encode(kek)}
        for name, form in forms.items():
            assert form[:16] not in core and form[16:32] not in core, (arguments, name)
