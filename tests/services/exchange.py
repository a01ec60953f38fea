"""One request through the proxy: what the client asked, what the server said, and how the connection may end."""

import contextlib
import re
import socket
import struct
from dataclasses import dataclass, field

import h11

PIECE = 65536
# What a server may take to answer a request of ours; beyond it the tests hang, and not because of a rule.
PATIENCE = 60


@dataclass
class Request:
    """A whole request. Headers as they came: order, case and Host, so that signatures stay valid."""

    method: str
    path: str  # with its query
    headers: list
    body: bytes

    def header(self, name):
        """The first header of that name, or ""."""
        return next((value.decode() for key, value in self.headers if key.decode().lower() == name.lower()), "")

    @property
    def target(self):
        """The operation of AWS's JSON protocols, such as TrentService.Decrypt; "" for others."""
        return self.header("X-Amz-Target")

    @property
    def scope(self):
        """What the credentials are for: of a signature its `key/date/region/service/…`, else the scheme."""
        authorization = self.header("Authorization")
        found = re.search(r"Credential=([^,\s]+)", authorization)
        return found[1] if found else authorization.partition(" ")[0]


@dataclass
class Answer:
    """A whole answer."""

    status: int
    headers: list = field(default_factory=list)
    body: bytes = b""
    reason: bytes = b""

    def without(self, *names):
        """The same without these headers (in small letters)."""
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        return Answer(self.status, kept, self.body, self.reason)

    def with_body(self, body):
        """The same with another body, whose length the headers give."""
        kept = self.without(b"content-length", b"transfer-encoding", b"content-md5").headers
        return Answer(self.status, [*kept, (b"Content-Length", str(len(body)).encode())], body, self.reason)


def whole_body(connection, sock):
    """Reads up to the end of a message; gives its body."""
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                sock.sendall(connection.send(h11.InformationalResponse(status_code=100, headers=[])))
            connection.receive_data(sock.recv(PIECE))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)


def read_request(connection, sock):
    """The next request of a client, or None when it is gone."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(sock.recv(PIECE))
        elif isinstance(event, h11.Request):
            method, path = event.method.decode(), event.target.decode()
            return Request(method, path, event.headers.raw_items(), whole_body(connection, sock))
        else:
            return None


def ask(upstream, request):
    """Sends a request to the server, on a connection of its own; gives the answer."""
    connection = h11.Connection(h11.CLIENT)
    with socket.create_connection(upstream, PATIENCE) as sock:
        # The client was told to go on by us already.
        headers = [(name, value) for name, value in request.headers if name.lower() != b"expect"]
        head = h11.Request(method=request.method, target=request.path, headers=headers)
        sock.sendall(connection.send(head) + connection.send(h11.Data(request.body)))
        sock.sendall(connection.send(h11.EndOfMessage()))
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(sock.recv(PIECE))
            elif isinstance(event, h11.Response):
                headers = event.headers.raw_items()
                answer = Answer(event.status_code, headers, whole_body(connection, sock), event.reason)
                # Whether a connection stays is between each two: the client's does, as with the real clouds. So a body
                # that ended with the connection needs a length.
                answer = answer.without(b"connection", b"keep-alive")
                framed = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)
                return answer if framed or not answer.body else answer.with_body(answer.body)
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("closed without an answer")


class NoAnswer(Exception):
    """The real server did not answer: not a fault that a rule asked for."""


class Exchange:
    """What a fault acts on: it may ask the server, answer, wait, or break the connection."""

    def __init__(self, proxy, sock, connection, request):
        self.proxy, self.sock, self.connection, self.request = proxy, sock, connection, request

    def forward(self):
        """The server's answer. From now on the request is applied."""
        changes = self.request.method not in ("GET", "HEAD")
        try:
            with self.proxy.changing if changes else contextlib.nullcontext():
                return ask(self.proxy.upstream, self.request)
        except (OSError, h11.ProtocolError) as error:
            raise NoAnswer(f"the server behind the proxy does not answer: {error}") from error

    def wire(self, answer):
        """An answer as bytes."""
        head = h11.Response(status_code=answer.status, headers=answer.headers, reason=answer.reason)
        data = self.connection.send(head)
        if self.request.method != "HEAD" and answer.body:
            data += self.connection.send(h11.Data(answer.body))
        return data + self.connection.send(h11.EndOfMessage())

    def send(self, answer):
        self.sock.sendall(self.wire(answer))

    def close(self):
        """A FIN, where an answer is due."""
        self.sock.shutdown(socket.SHUT_RDWR)

    def reset(self):
        """An RST, where an answer is due."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang(self):
        """Nothing, until the client goes or the proxy ends."""
        while self.sock.recv(PIECE):
            pass
