"""A TCP server that answers each request with given bytes, at a given pace: for what no web server would do."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def http(status: int = 200, body: bytes | dict = b"", **headers: str) -> bytes:
    """Bytes of an answer; names of headers are written with underscores."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    headers.setdefault("Content_Length", str(len(body)))
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def envelope(**data: object) -> bytes:
    return http(200, {"code": "Success", "data": data})


class Drip:
    """An answer that comes byte by byte."""

    def __init__(self, head: bytes, *, pause: float) -> None:
        self.head = head
        self.pause = pause


class RawServer:
    """Serves each connection in a thread and remembers the heads of the requests.

    ``answer`` gets the head of a request and gives the bytes of the answer, a drip, or ``None`` to hang up.
    """

    def __init__(self, answer: Callable[[str], bytes | Drip | None], *, host: str = "127.0.0.1") -> None:
        self._answer = answer
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._stopped = threading.Event()
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        """The first line of each request."""
        return [head.partition("\r\n")[0] for head in self.heads]

    def header(self, name: str, which: int = -1) -> str | None:
        """A header of a request."""
        for line in self.heads[which].split("\r\n")[1:]:
            found, _, value = line.partition(": ")
            if found.lower() == name.lower():
                return value
        return None

    @contextmanager
    def running(self) -> Iterator[RawServer]:
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            self._stopped.set()
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            accepting.join(5)

    def _accept(self) -> None:
        threads = []
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                break
            self.connections += 1
            threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(5)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(0.02)
        with client:
            while not self._stopped.is_set():
                head = self._read_request(client)
                if head is None:
                    return
                answer = self._answer(head)
                if answer is None:
                    return
                try:
                    if isinstance(answer, Drip):
                        self._drip(client, answer)
                        return
                    client.settimeout(5)
                    client.sendall(answer)
                    client.settimeout(0.02)
                except OSError:
                    return

    def _read_request(self, client: socket.socket) -> str | None:
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = self._receive(client)
            if not chunk:
                return None
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        self.heads.append(head.decode("latin-1"))
        length = int(self.header("Content-Length") or 0)
        while len(body) < length:
            chunk = self._receive(client)
            if not chunk:
                return None
            body += chunk
        self.bodies.append(body)
        return self.heads[-1]

    def _receive(self, client: socket.socket) -> bytes:
        while not self._stopped.is_set():
            try:
                return client.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
        return b""

    def _drip(self, client: socket.socket, drip: Drip) -> None:
        client.sendall(drip.head)
        while not self._stopped.wait(drip.pause):
            client.sendall(b" ")


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def has_ipv6() -> bool:
    """Whether this machine has a loopback address of IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def elapsed(begin: float) -> float:
    return time.monotonic() - begin
