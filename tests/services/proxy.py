"""The tests' own proxy in front of a real server: it makes the faults that no real server makes on demand."""

import contextlib
import random
import socket
import threading
import urllib.parse
from dataclasses import dataclass

import h11

from .exchange import Answer, Exchange, NoAnswer, read_request
from .server import HOST


@dataclass(frozen=True)
class Seen:
    """A line of the log. No bodies, no signatures."""

    method: str
    path: str
    target: str
    scope: str
    fault: bool


class Match:
    """Which requests: every condition that is given must hold. `path`, `target`, `scope` and `body` are parts of theirs."""

    def __init__(self, method=None, path="", target="", scope="", body=b"", headers=None):
        self.method, self.path, self.target, self.scope = method, path, target, scope
        self.body, self.headers = body, headers or {}

    def seen(self, line):
        """Of what the log has."""
        return (
            self.method in (None, line.method)
            and self.path in line.path
            and self.target in line.target
            and self.scope in line.scope
        )

    def __call__(self, request):
        headers = all(value in request.header(name) for name, value in self.headers.items())
        return self.seen(request) and headers and self.body in request.body


class Rule:
    """A fault for some of the requests that match."""

    def __init__(self, fault, match, times, chance, seed):
        self.fault, self.match, self.left, self.chance = fault, match, times, chance
        self.random = random.Random(seed)
        self.hits = 0

    def takes(self, request):
        """Whether this request gets the fault; counts it."""
        if self.left == 0 or not self.match(request) or self.random.random() >= self.chance:
            return False
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return True


class Proxy:
    """Speaks HTTP/1.1, keeps connections alive; one thread for each connection. `one_by_one`: the server sees no two
    requests that change something at once, since the emulators of S3 do not compare and swap atomically (measured: of
    12 writers with one If-Match several won in half of the rounds, on LocalStack, ministack and moto; S3 has one winner)."""

    def __init__(self, upstream, one_by_one=False):
        self.changing = threading.Lock() if one_by_one else contextlib.nullcontext()
        parts = urllib.parse.urlsplit(upstream)
        self.upstream = parts.hostname, parts.port
        self.lock = threading.Lock()
        self.rules, self.log, self.sockets = [], [], set()
        self.connections = 0
        self.ended = threading.Event()

    def on(self, fault, times=1, chance=1.0, seed=0, **match):
        """From now on `fault` (of `faults`) happens to the next `times` requests (None: all) that match (see `Match`),
        each with `chance`. Of two rules for a request, the one made first acts. Gives the rule, whose `hits` count."""
        rule = Rule(fault, Match(**match), times, chance, seed)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        """No rules, an empty log."""
        with self.lock:
            self.rules, self.log = [], []

    def count(self, method=None, path="", target="", scope=""):
        """How many such requests came since `clear`."""
        return sum(map(Match(method, path, target, scope).seen, self.requests()))

    def requests(self):
        """The log, oldest first."""
        with self.lock:
            return list(self.log)

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    def __enter__(self):
        self.listener = socket.create_server((HOST, 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        # A close alone would leave `accept` waiting, and the port open.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            sockets = list(self.sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self.ended.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.sockets.add(sock)
                self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), name="proxy", daemon=True).start()

    def _serve(self, sock):
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := read_request(connection, sock)) is not None:
                exchange = Exchange(self, sock, connection, request)
                self._act(exchange)
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except (OSError, h11.ProtocolError):
            pass  # the client is gone, or the server: the client sees a closed connection either way
        finally:
            with self.lock:
                self.sockets.discard(sock)
            sock.close()

    def _act(self, exchange):
        try:
            self._fault(exchange.request)(exchange)
        except NoAnswer as error:
            exchange.send(Answer(502).with_body(str(error).encode()))

    def _fault(self, request):
        """What happens to a request; writes the log."""
        with self.lock:
            rule = next((rule for rule in self.rules if rule.takes(request)), None)
            line = Seen(request.method, request.path, request.target, request.scope, rule is not None)
            self.log.append(line)
        return rule.fault if rule else pass_on


def pass_on(exchange):
    """No fault: the server's answer."""
    exchange.send(exchange.forward())
