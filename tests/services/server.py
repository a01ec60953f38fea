"""A server in a process of its own: on a free port, waited for, and gone when the tests are, however they end."""

import contextlib
import http.client
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALLED = ROOT / "build" / "services"
HOST = "127.0.0.1"
# Below the ports that the system hands out for outgoing connections, which come and go at any moment.
PORTS = range(12000, 32000)


class ServiceError(Exception):
    """A server is not installed, did not start, or ended."""


def free_port():
    """A port that nobody listens on."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue
    raise ServiceError(
        f"of 100 ports from {PORTS.start} to {PORTS.stop} none is free: end the servers that were left over"
    )


class Server:
    """What they have in common. A subclass says how it is installed, run and asked."""

    name = None
    ready_path = None  # answers 200 as soon as the server works
    ready_within = 60  # seconds; generous, since only a broken server needs them
    stop_signal = signal.SIGTERM

    def __init__(self):
        self.process = None

    def program(self):
        """The file whose absence means that it is not installed."""
        raise NotImplementedError

    def command(self):
        """How it is run."""
        raise NotImplementedError

    def environment(self):
        """Variables that it needs; it gets none of the caller's but PATH and HOME."""
        return {}

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    def start(self):
        """Runs it, without waiting: several start faster side by side."""
        if not self.program().exists():
            raise ServiceError(f"{self.name} is not installed ({self.program()} is missing): run scripts/setup.sh")
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"cyborg_kms-{self.name}-"))
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with open(self.folder / "log", "wb") as log:
            # The kernel kills it when the thread that started it ends, so `start` is for a thread that stays. The
            # session of its own is what `stop` kills, children included.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, self.command())],
                env=environment | self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self):
        """Until it answers."""
        until = time.monotonic() + self.ready_within
        while not self.answers():
            if self.process.poll() is not None:
                raise ServiceError(self.broken(f"ended with {self.process.returncode} instead of starting"))
            if time.monotonic() > until:
                raise ServiceError(self.broken(f"does not answer after {self.ready_within} s"))
            time.sleep(0.05)

    def answers(self):
        try:
            with urllib.request.urlopen(self.url + self.ready_path, timeout=5):
                return True
        except (OSError, http.client.HTTPException):
            return False

    def broken(self, what):
        """What is wrong, and the end of what the server said."""
        lines = (self.folder / "log").read_text(errors="replace").splitlines()[-15:]
        return f"{self.name} {what}; the end of its output:\n" + "\n".join(f"  | {line}" for line in lines)

    def stop(self):
        """Ends it and its children, and removes what it wrote."""
        if self.process is None:
            return
        self.end(self.stop_signal, 5)
        self.end(signal.SIGKILL, 30)
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self, number, seconds):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def post(self, path, body=b""):
        """A request of the server's own control interface."""
        # Named, since for urllib a body is a form, which moto reads away.
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise ServiceError(f"{self.name} answers {error.code} to POST {path}") from error

    def __enter__(self):
        self.start()
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()


@contextlib.contextmanager
def started(*servers):
    """Starts them side by side, and ends all, also when one does not start."""
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.stop()
