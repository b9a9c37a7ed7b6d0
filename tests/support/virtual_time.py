"""An event loop whose clock jumps to the next thing to do, and a Fivetran in its memory: hours pass in an instant."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_fivetran.core.cadence import Usual
from airflow_provider_fivetran.core.errors import FivetranRateLimited
from airflow_provider_fivetran.core.protocol import Answer, Call, read_answer
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.transport.aio import AsyncTransport
from airflow_provider_fivetran.transport.polling import Poller
from facts import T0, ticket

ROWS_ON_A_PAGE = 1000


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: the time until the next timer has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        self.set_back = timedelta(0)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def utcnow(self) -> datetime:
        """Our clock, which may be set back."""
        return T0 + timedelta(seconds=self._jumping.now) - self.set_back


def run(loop: VirtualLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; nothing may be left behind."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_and_nothing_left(work))


async def _and_nothing_left(work: Coroutine[Any, Any, Any]) -> Any:
    result = await work
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks were left behind: {left}"
    return result


@dataclass
class Sync:
    """One sync of a connection, in seconds from T0."""

    begin: float
    end: float
    ends_well: bool = True


@dataclass
class Account:
    """Fivetran as a line: each connection syncs once. It counts requests, and can be made to fail.

    :param syncs: by connection id.
    :param earlier: how long earlier syncs took, by connection id, in seconds; an hour apart.
    :param group_of: the group of a connection.
    :param answer: called for each call before it is answered; raises what is to go wrong, or changes the data.
    """

    loop: VirtualLoop
    syncs: dict[str, Sync]
    earlier: dict[str, list[float]] = field(default_factory=dict)
    group_of: Callable[[str], str] = lambda _name: "g"
    answer: Callable[[Call[Any], dict[str, Any]], None] = lambda _call, _data: None
    latency: float = 0.05
    left: int | None = None
    rows_on_a_page: int = ROWS_ON_A_PAGE
    requests: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.poller = Poller(self.exchange, lambda: self.left)

    async def close(self) -> None:
        await self.poller.close()

    @property
    def kinds(self) -> Counter[str]:
        return Counter(kind for _, kind in self.requests)

    def times(self, kind: str) -> list[float]:
        return [when for when, its_kind in self.requests if its_kind == kind]

    async def exchange(self, call: Call[Any]) -> Answer[Any]:
        kind = _kind(call)
        self.requests.append((self.loop.time(), kind))
        if self.left is not None:
            self.left = max(0, self.left - 1)
        await asyncio.sleep(self.latency)
        data = self._data(call, kind)
        self.answer(call, data)
        headers = {"Date": self.loop.utcnow().strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if self.left is not None:
            headers["X-Rate-Limit-Remaining"] = str(self.left)
        status = data.pop("status_of_answer", 200)
        headers |= data.pop("headers_of_answer", {})
        try:
            return read_answer(call, status, headers, json.dumps({"code": "x", "data": data}).encode())
        except FivetranRateLimited as error:
            self.poller.hold(error.retry_after)
            raise

    def _data(self, call: Call[Any], kind: str) -> dict[str, Any]:
        if kind in {"look", "history"}:
            name = call.connection_id or ""
            if name not in self.syncs:
                return {"status_of_answer": 404}
            return self._row(name) if kind == "look" else {"items": self._history(name)}
        group = call.params.get("group_id")
        names = [name for name in self.syncs if group is None or self.group_of(name) == group]
        first = int(call.params.get("cursor", 0))
        after = first + self.rows_on_a_page
        rows = [self._row(name) for name in names[first:after]]
        return {"items": rows} | ({"next_cursor": str(after)} if after < len(names) else {})

    def _row(self, name: str) -> dict[str, Any]:
        now, sync = self.loop.time(), self.syncs[name]
        ended = _moment(sync.end) if now >= sync.end else None
        return {
            "id": name,
            "group_id": self.group_of(name),
            "service": "stripe",
            "schema": name,
            "paused": False,
            "schedule_type": "manual",
            "succeeded_at": ended if sync.ends_well else None,
            "failed_at": None if sync.ends_well else ended,
            "status": {
                "sync_state": "syncing" if sync.begin <= now < sync.end else "scheduled",
                "setup_state": "connected",
                "is_historical_sync": False,
            },
        }

    def _history(self, name: str) -> list[dict[str, Any]]:
        now, sync = self.loop.time(), self.syncs[name]
        runs = [
            (-3600.0 * n, -3600.0 * n + took, True) for n, took in enumerate(self.earlier.get(name, []), 1)
        ]
        if now >= sync.begin:
            runs.append((sync.begin, sync.end, sync.ends_well))
        return [
            {
                "sync_id": f"{name}{begin}",
                "status": ("COMPLETED" if well else "FAILURE") if end <= now else "SYNCING",
                "start": _moment(begin),
                "end": _moment(end) if end <= now else None,
                "stages": {},
            }
            for begin, end, well in runs
        ]


def _kind(call: Call[Any]) -> str:
    if call.path == "/v1/connections":
        return f"list {call.params['group_id']}" if "group_id" in call.params else "list"
    return "history" if call.path.endswith("/sync-history") else "look"


def _moment(seconds: float) -> str:
    return (T0 + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def named(count: int, begin: float = 1.0, end: float = 30.0) -> dict[str, Sync]:
    """So many connections, whose syncs end within ten seconds."""
    return {f"c{number}": Sync(begin, end + number % 10) for number in range(count)}


class Fleet:
    """Waits for connections of an account, one transport each, as triggers have them.

    :param fields: of their tickets.
    """

    def __init__(self, account: Account, **fields: Any) -> None:
        self.account = account
        self.fields = {"group_id": "", "succeeded_at": None} | fields
        self.notes: list[str] = []
        self.verdicts: dict[str, Any] = {}
        self.late: dict[str, float] = {}
        self.usual: dict[str, Usual] = {}

    async def wait(self, name: str, *, joining: float = 0.0, **fields: Any) -> None:
        """Wait for one, from so many seconds on."""
        loop = self.account.loop
        await asyncio.sleep(joining)
        wanted = ticket(connection_id=name, **(self.fields | {"begun_at": loop.utcnow()} | fields))
        transport = AsyncTransport(self.account, note=lambda note: self.notes.append(note.text))  # type: ignore[arg-type]
        self.verdicts[name] = await transport.drive(watch(wanted, loop.utcnow, usual=self.usual))
        if name in self.account.syncs:
            self.late[name] = loop.time() - self.account.syncs[name].end

    async def wait_for_all(self, names: list[str] | None = None) -> None:
        await asyncio.gather(*(self.wait(name) for name in names or list(self.account.syncs)))
        await self.account.close()

    async def leave(self, waits: list[asyncio.Task[None]]) -> None:
        """End waits that still go on, and all."""
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await self.account.close()


def waited(loop: VirtualLoop, account: Account, **fields: Any) -> Fleet:
    """What became of waits for all syncs of an account."""
    fleet = Fleet(account, **fields)
    run(loop, fleet.wait_for_all())
    return fleet
