"""The servers start, say why when they do not, and are gone when the tests are, however these end.

build/venv/bin/python -m tests.cloud.run processes
"""

import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

from tests.services import SERVERS as KINDS
from tests.services import ServiceError, started
from tests.services.server import HOST, ROOT, Server

SERVERS = ()


class Shell(Server):
    """A server that a line of shell makes."""

    name = "shell"
    ready_path = "/"

    def __init__(self, line):
        super().__init__()
        self.line = line

    def program(self):
        return pathlib.Path("/bin/sh")

    def command(self):
        return [self.program(), "-c", self.line.replace("PORT", str(self.port))]


def serve():
    """A line of shell that serves a folder, behind a child that would stay."""
    return f"sleep 1000 & exec {sys.executable} -m http.server --bind {HOST} PORT"


def message(server):
    """Why a server does not start."""
    try:
        with server:
            raise AssertionError(f"{server.name} started")
    except ServiceError as error:
        return str(error)


def members(group):
    """The processes of a group that are not dead."""
    alive = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it ended meanwhile
        if int(of) == group and state not in "ZX":
            alive.append(path.parent.name)
    return alive


def gone(group):
    """Whether all of a group end soon."""
    until = time.monotonic() + 30
    while members(group) and time.monotonic() < until:
        time.sleep(0.05)
    return members(group) == []


def test_one_that_is_not_installed_says_what_to_do(_):
    class Missing(Shell):
        def program(self):
            return pathlib.Path("/nowhere/server")

    assert message(Missing("")) == "shell is not installed (/nowhere/server is missing): run scripts/setup.sh"


def test_one_that_ends_says_why(_):
    text = message(Shell("echo the reason; exit 3"))
    assert text.startswith("shell ended with 3 instead of starting") and "  | the reason" in text, text


def test_one_that_never_answers_is_ended(_):
    server = Shell("echo waiting; sleep 1000")
    server.ready_within = 0.5
    text = message(server)
    assert text.startswith("shell does not answer after 0.5 s") and "  | waiting" in text, text
    assert server.process is None and not server.folder.exists()


def test_a_stop_leaves_nothing(_):
    with Shell(serve()) as server:
        group = server.process.pid
        assert len(members(group)) == 2 and server.folder.exists()
    assert gone(group) and not server.folder.exists()
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, server.port)) != 0


def test_one_that_fails_takes_the_others_with_it(_):
    good, bad = Shell(serve()), Shell("exit 1")
    try:
        with started(good, bad):
            raise AssertionError("they started")
    except ServiceError as error:
        assert "ended with 1" in str(error)
    assert good.process is None and not good.folder.exists()


def test_every_server_ends_when_the_run_is_killed(_):
    """SIGKILL, so that nothing of the run's own can end them."""
    program = (
        "from tests.services import SERVERS, started\n"
        "with started(*(kind() for kind in SERVERS.values())) as servers:\n"
        "    print(*(f'{server.process.pid}:{server.folder}' for server in servers), flush=True)\n"
        "    input()\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with run:
        told = [part.split(":", 1) for part in run.stdout.readline().split()]
        groups = [int(pid) for pid, _ in told]
        assert len(groups) == len(KINDS) and all(members(group) for group in groups)
        run.kill()
    left = [name for name, group in zip(KINDS, groups) if not gone(group)]
    for _, folder in told:  # what the killed run could not remove
        subprocess.run(["rm", "-r", folder], check=True)
    assert left == [], f"these were left over: {left}"


def told_by(*names):
    """The program for humans, running, and what it says up to its last line."""
    run = subprocess.Popen(
        [sys.executable, "-m", "tests.services", *names],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in run.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("# Running"):
            break
    return run, lines


def test_the_program_for_humans_says_what_to_paste(_):
    run, lines = told_by("moto", "gcs")
    with run:
        text = "\n".join(lines)
        assert "export AWS_ACCESS_KEY_ID=test" in lines and "export AWS_REGION=us-east-1" in lines
        assert "  url: s3://kms/records" in lines and "  url: gs://kms/records" in lines
        assert re.search(
            r"^    prod: \{provider: aws-kms, key_id: \S+, region: us-east-1, endpoint: http://", text, re.M
        )
        assert re.search(r"^    secret: \{provider: aws, key_id: arn:aws:secretsmanager:\S+, region: ", text, re.M)
        port = int(re.search(r"^# gcs: http://127\.0\.0\.1:(\d+)$", text, re.M)[1])
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 0
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0


def test_the_program_for_humans_refuses_what_it_does_not_know(_):
    for names, words in ((["nothing"], "there is no server nothing; there are: moto"), ([], "say which servers")):
        run, lines = told_by(*names)
        with run:
            assert run.wait(30) == 2 and lines == [] and words in run.stderr.read()
