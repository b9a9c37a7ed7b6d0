"""What a stranger, a careless sender and a thief of one secret can do to the receiver, one attack each.

Each returns what was answered; ``ATTACKS`` says which answers are right. Who is still sending when the receiver
closes may find the connection reset before it has read the answer. Sizes are for a run of three minutes; a ``scale``
below 1 makes them smaller.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client import NO_ANSWER, Client, Outcome, Request, close, read_answer
from webhook_bodies import SIGNATURE, delivery, signed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

SECRET, OTHER_SECRET = "the secret of the first", "the secret of the second"
FIRST, SECOND, WITHOUT_SECRET = "abused", "other", "no_secret"
CONNECTION = "speak_menial"
DRIP = 0.25
ALIVE = Request("/api/v2/version", method="GET")


@dataclass
class Siege:
    """The receiver under attack."""

    client: Client
    scale: float

    def times(self, number: int) -> range:
        return range(max(1, int(number * self.scale)))


@dataclass(frozen=True)
class Attack:
    """One thing to try."""

    name: str
    run: Callable[[Siege], Awaitable[Outcome]]
    expected: frozenset[str]


def to(conn_id: str = FIRST, body: bytes | None = None, secret: str = SECRET, **headers: str) -> Request:
    body = delivery() if body is None else body
    return Request(f"/fivetran/webhooks/{conn_id}", body, {**signed(body, secret), **headers})


async def good(siege: Siege) -> Outcome:
    return await siege.client.send((to() for _ in siege.times(200)), at_once=4)


async def replayed(siege: Siege) -> Outcome:
    body = delivery()
    return await siege.client.send((to(body=body) for _ in siege.times(500)), at_once=16)


async def airflows_own(siege: Siege) -> Outcome:
    """What the api-server itself makes of as many requests, to compare with."""
    return await siege.client.send((ALIVE for _ in siege.times(10000)), at_once=50, a_second=1000)


async def unsigned(siege: Siege) -> Outcome:
    request = Request(f"/fivetran/webhooks/{FIRST}", delivery())
    return await siege.client.send((request for _ in siege.times(10000)), at_once=50, a_second=1000)


async def wrong(siege: Siege) -> Outcome:
    request = to(secret="guessed")
    return await siege.client.send((request for _ in siege.times(10000)), at_once=50, a_second=1000)


async def unknown(siege: Siege) -> Outcome:
    """The same for connections that there are not, each another one."""
    requests = (to(f"guess_{secrets.token_hex(4)}", secret="guessed") for _ in siege.times(10000))
    return await siege.client.send(requests, at_once=50, a_second=1000)


async def probing(siege: Siege) -> Outcome:
    """Whether the time of an answer tells a connection that exists from one that does not."""
    body = delivery()
    known, missing = Outcome(), Outcome()
    begin = time.perf_counter()
    for _ in siege.times(20):
        for name, outcome in ((FIRST, known), ("missing", missing)):
            part = await siege.client.send([to(name, body, "guessed")] * 50, at_once=1)
            outcome.answers += part.answers
            outcome.seconds += part.seconds
    both = Outcome(known.answers + missing.answers, known.seconds + missing.seconds)
    both.took = time.perf_counter() - begin
    both.note = f"median {known.percentile(0.5):.2f} ms known, {missing.percentile(0.5):.2f} ms unknown"
    return both


async def others_secret(siege: Siege) -> Outcome:
    requests = [to(FIRST, secret=OTHER_SECRET), to(WITHOUT_SECRET), to(WITHOUT_SECRET, secret="")]
    return await siege.client.send(requests * len(siege.times(100)), at_once=8)


async def truncated(siege: Siege) -> Outcome:
    """A body that is shorter than it was when it was signed."""

    def cut() -> Iterator[Request]:
        for _ in siege.times(200):
            whole = to()
            yield Request(whole.path, whole.body[:100], whole.headers)

    return await siege.client.send(cut(), at_once=8)


async def broken_off(siege: Siege) -> Outcome:
    """A body that ends in the middle, with the connection."""
    outcome = Outcome()

    async def one() -> None:
        begin = time.perf_counter()
        reader, writer = await siege.client.connect()
        whole = to().encode()
        writer.write(whole[:-50])
        await writer.drain()
        writer.write_eof()
        answer = await _answer(reader)
        await close(writer)
        outcome.add(answer, time.perf_counter() - begin)

    begin = time.perf_counter()
    for _ in siege.times(20):
        await asyncio.gather(*(one() for _ in range(10)))
    outcome.took = time.perf_counter() - begin
    return outcome


async def wrong_content_type(siege: Siege) -> Outcome:
    kinds = (
        "text/html",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "?",
        "a" * 2000,
    )
    requests = [to(**{"Content-Type": kind}) for kind in kinds for _ in siege.times(20)]
    return await siege.client.send(requests, at_once=8)


async def compressed(siege: Siege) -> Outcome:
    """A bomb that nobody unpacks."""
    import gzip

    bomb = gzip.compress(b" " * 60_000_000)[:60_000]
    return await siege.client.send(
        [to(body=bomb, **{"Content-Encoding": "gzip"})] * len(siege.times(50)), at_once=8
    )


async def json_bombs(siege: Siege) -> Outcome:
    """From a thief of the secret: deep, wide, long and huge things, as large as may be."""
    size = 65_000
    bombs = [
        b"[" * size,
        b'{"a":' * (size // 5),
        b'{"event":' + b"9" * (size - 20) + b"}",
        b'{"event":1e' + b"9" * (size - 20) + b"}",
        b'{"event":"' + b"\\u0000" * (size // 6 - 5) + b'"}',
        b"[" + b"{}," * (size // 3 - 2) + b"{}]",
        json.dumps({"event": "sync_end", "data": {f"k{n}": n for n in range(5000)}}).encode()[:size],
    ]
    return await siege.client.send([to(body=bomb) for bomb in bombs for _ in siege.times(30)], at_once=8)


async def announced_100_mb(siege: Siege) -> Outcome:
    """Well signed or not: what says that it is too large is not read."""
    return await _pour(siege, "Content-Length: 104857600", lambda block: block)


async def chunked_100_mb(siege: Siege) -> Outcome:
    return await _pour(
        siege, "Transfer-Encoding: chunked", lambda block: b"%x\r\n%s\r\n" % (len(block), block)
    )


async def _pour(siege: Siege, header: str, frame: Callable[[bytes], bytes]) -> Outcome:
    outcome = Outcome()
    poured: list[int] = []
    block = frame(b"x" * 65_536)
    lines = [f"POST /fivetran/webhooks/{FIRST} HTTP/1.1", "Host: airflow", header, f"{SIGNATURE}: {'0' * 64}"]

    async def one() -> None:
        begin = time.perf_counter()
        reader, writer = await siege.client.connect()
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = asyncio.create_task(_answer(reader))
        sent = 0
        try:
            while sent < 104_857_600 and not answer.done():
                writer.write(block)
                await writer.drain()
                sent += 65_536
                await asyncio.sleep(0)
        except OSError:
            pass
        outcome.add(await answer, time.perf_counter() - begin)
        poured.append(sent)
        await close(writer)

    begin = time.perf_counter()
    for _ in siege.times(10):
        await asyncio.gather(*(one() for _ in range(4)))
    outcome.took = time.perf_counter() - begin
    outcome.note = f"refused before more than {max(poured) / 2**20:.1f} MB of it had left the sender"
    return outcome


async def slow_bodies(siege: Siege) -> Outcome:
    """Hundreds that send a byte of their body now and then, and good deliveries among them."""
    whole = to()
    head = Request(whole.path, b"", whole.headers, length=len(whole.body)).encode()
    return await _drip(siege, head, whole.body)


async def slow_heads(siege: Siege) -> Outcome:
    """The same, of a head that never ends: no application is asked before it is whole."""
    return await _drip(
        siege, f"POST /fivetran/webhooks/{FIRST} HTTP/1.1\r\nX-A: ".encode(), b"b" * 400, seconds=10
    )


async def _drip(siege: Siege, head: bytes, rest: bytes, *, seconds: float = 20.0) -> Outcome:
    outcome = Outcome()

    async def one() -> None:
        begin = time.perf_counter()
        reader, writer = await siege.client.connect()
        writer.write(head)
        answer = asyncio.create_task(_answer(reader))
        for place in range(len(rest)):
            if answer.done() or time.perf_counter() - begin > seconds:
                break
            writer.write(rest[place : place + 1])
            await asyncio.sleep(DRIP)
        gave_up = not answer.done()
        if gave_up:
            answer.cancel()
        said = "still waiting" if gave_up else answer.result()
        outcome.add(said, time.perf_counter() - begin)
        await close(writer)

    begin = time.perf_counter()
    drips = asyncio.gather(*(one() for _ in siege.times(300)))
    await asyncio.sleep(1)
    among = await siege.client.send((to() for _ in range(20)), at_once=1)
    await drips
    outcome.took = time.perf_counter() - begin
    outcome.note = (
        f"{among.answers['200']} of 20 good ones meanwhile were taken, within {among.percentile(1):.0f} ms"
    )
    return outcome


async def _answer(reader: asyncio.StreamReader) -> str:
    try:
        async with asyncio.timeout(30):
            return (await read_answer(reader))[0]
    except (OSError, EOFError, TimeoutError):
        return NO_ANSWER


ATTACKS = (
    Attack("good deliveries, four at a time", good, frozenset({"200"})),
    Attack("one delivery replayed", replayed, frozenset({"200"})),
    Attack("Airflow's own version page, 1,000 a second", airflows_own, frozenset({"200"})),
    Attack("unsigned, 1,000 a second", unsigned, frozenset({"401"})),
    Attack("wrongly signed, 1,000 a second", wrong, frozenset({"401"})),
    Attack("to unknown connections, 1,000 a second", unknown, frozenset({"401"})),
    Attack("known or unknown, told by time?", probing, frozenset({"401"})),
    Attack("another connection's secret, or none", others_secret, frozenset({"401"})),
    Attack("cut after it was signed", truncated, frozenset({"401"})),
    Attack("broken off in the middle", broken_off, frozenset({"400", NO_ANSWER})),
    Attack("wrong content type", wrong_content_type, frozenset({"200"})),
    Attack("gzip bomb, well signed", compressed, frozenset({"400"})),
    Attack("JSON bombs, well signed", json_bombs, frozenset({"400"})),
    Attack("100 MB, announced", announced_100_mb, frozenset({"413", NO_ANSWER})),
    Attack("100 MB, in chunks", chunked_100_mb, frozenset({"413", NO_ANSWER})),
    Attack("slow-loris, bodies", slow_bodies, frozenset({"408"})),
    Attack("slow-loris, heads", slow_heads, frozenset({"still waiting", NO_ANSWER, "400", "408"})),
    Attack("good deliveries afterwards", good, frozenset({"200"})),
)
