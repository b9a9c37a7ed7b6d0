"""A receiver of webhooks on this machine, which answers as it is told and remembers what arrived."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNATURE_HEADER = "X-Fivetran-Signature-256"


@dataclass(frozen=True)
class Arrival:
    """One request as it arrived."""

    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def signature(self) -> str | None:
        return self.headers.get(SIGNATURE_HEADER)

    def is_signed_with(self, secret: str) -> bool:
        digest = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        return self.signature is not None and self.signature.lower() == digest


@dataclass
class Receiver:
    """Answers each request with the next of ``statuses``, and with 200 when there are no more."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    # Called before each answer.
    before_answer: Callable[[], object] = lambda: None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, arrival: Arrival) -> int:
        with self._changed:
            self.arrivals.append(arrival)
            self._changed.notify_all()
            status = self.statuses.pop(0) if self.statuses else 200
        self.before_answer()
        return status

    def wait_for(self, number: int, seconds: float = 10.0) -> list[Arrival]:
        """All that arrived, once they are so many."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.arrivals) >= number, seconds)
            assert enough, f"{len(self.arrivals)} of {number} arrived"
            return list(self.arrivals)

    def forget(self) -> None:
        with self._changed:
            self.arrivals.clear()


@contextmanager
def listening() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.take(Arrival(body, dict(self.headers.items())))
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                pass  # whoever asked did not wait for the answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
