"""A sender of anything, fast and without manners: raw HTTP over asyncio, many connections, no retries."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PATIENCE = 30.0
NO_ANSWER = "no answer"


@dataclass
class Outcome:
    """What became of many requests."""

    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    took: float = 0.0
    note: str = ""

    def add(self, answer: str, seconds: float) -> None:
        self.answers[answer] += 1
        self.seconds.append(seconds)

    def percentile(self, share: float) -> float:
        """So many of the answers came within this time, in milliseconds."""
        ranked = sorted(self.seconds)
        return ranked[min(len(ranked) - 1, int(len(ranked) * share))] * 1000 if ranked else 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took if self.took else 0.0


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire."""

    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    length: int | None = None
    """What ``Content-Length`` says; the truth when unset."""

    def encode(self) -> bytes:
        said = len(self.body) if self.length is None else self.length
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: airflow", f"Content-Length: {said}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class Client:
    """Sends to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def send(self, requests: Iterable[Request], *, at_once: int, a_second: float = 0.0) -> Outcome:
        """Send all of them, so many at once at most and, if that is set, no faster than so many a second."""
        outcome = Outcome()
        waiting = iter(requests)
        begin = time.perf_counter()
        sent = 0

        async def work() -> None:
            nonlocal sent
            connection = None
            for request in waiting:
                due, sent = begin + sent / a_second if a_second else begin, sent + 1
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                asked = time.perf_counter()
                try:
                    async with asyncio.timeout(PATIENCE):
                        connection = connection or await self.connect()
                        answer, keep = await _exchange(*connection, request.encode())
                except (OSError, EOFError, TimeoutError):
                    answer, keep = NO_ANSWER, False
                outcome.add(answer, time.perf_counter() - asked)
                if not keep and connection:
                    await close(connection[1])
                    connection = None
            if connection:
                await close(connection[1])

        await asyncio.gather(*(work() for _ in range(at_once)))
        outcome.took = time.perf_counter() - begin
        return outcome


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[str, bool]:
    """The status, and whether the connection can be used again."""
    writer.write(request)
    return await read_answer(reader)


async def read_answer(reader: asyncio.StreamReader) -> tuple[str, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    await reader.readexactly(int(fields.get("content-length", 0)))
    return head.split(" ", 2)[1], fields.get("connection") != "close"


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
