"""How time passes in a measurement: alike in all its processes, and, where wanted, without the time nobody uses.

Hours of waiting are mostly idle. A loop that skips moves the clock of all processes forward whenever it has nothing
to do and nothing is on its way to it. Whatever takes time, a request or a long calculation, takes as long as ever.
"""

from __future__ import annotations

import asyncio
import gc
import math
import mmap
import selectors
import struct
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NUMBERS, _NUMBER = struct.Struct("ddd"), struct.Struct("d")
_DOZE, _GLANCE = 0.001, 0.01
_really_sleep = time.sleep


class Passing:
    """The clock, in a file that all processes map into their memory.

    It holds what the time of day was at the zero of this machine's monotonic clock, the seconds skipped so far, and
    when by this clock the worker wakes up, if it sleeps.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _NUMBERS.size)

    @classmethod
    def begin(cls, path: Path) -> Passing:
        path.write_bytes(_NUMBERS.pack(time.time() - time.monotonic(), 0.0, math.inf))
        return cls(path)

    def seconds(self) -> float:
        """Like ``time.monotonic()``, with what was skipped."""
        return time.monotonic() + float(_NUMBERS.unpack_from(self._memory)[1])

    def now(self) -> datetime:
        zero, skipped, _ = _NUMBERS.unpack_from(self._memory)
        return datetime.fromtimestamp(zero + skipped + time.monotonic(), UTC)

    def skip(self, seconds: float) -> None:
        """Move the clock forward. One process at a time may do so."""
        skipped = float(_NUMBERS.unpack_from(self._memory)[1])
        _NUMBER.pack_into(self._memory, _NUMBER.size, skipped + seconds)

    def wakes(self) -> float:
        """When the worker wakes up; for ever, if it does not sleep."""
        return float(_NUMBERS.unpack_from(self._memory)[2])

    def sleep(self, seconds: float) -> None:
        """Sleep by this clock, in the worker, of which there is one."""
        wakes = self.seconds() + seconds
        _NUMBER.pack_into(self._memory, 2 * _NUMBER.size, wakes)
        while self.seconds() < wakes:
            _really_sleep(_DOZE)
        _NUMBER.pack_into(self._memory, 2 * _NUMBER.size, math.inf)


@dataclass(frozen=True, slots=True)
class Busy:
    """For how long a loop was busy between two looks at its sockets."""

    hold: float = 0.0
    """Real seconds."""
    work: float = 0.0
    """Seconds of CPU that it used itself, without collections of garbage."""
    collection: float = 0.0
    """Seconds of CPU that the longest collection of garbage took: of all that the process has in memory."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop by that clock, which notices how long it was held up.

    :param skips: let idle time be over at once.
    """

    def __init__(self, passing: Passing, *, skips: bool) -> None:
        self.under_way = 0
        """Requests, and jobs in other threads, for which the clock must not be moved."""
        self.in_worker = 0
        self.passing = passing
        self.selector = _Selector(self, skips=skips)
        super().__init__(self.selector)
        if skips:
            _tell_of_requests(self)

    def time(self) -> float:
        return self.passing.seconds()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        in_worker = isinstance(executor, ProcessPoolExecutor)
        future = super().run_in_executor(executor, func, *args)
        self._count(1, in_worker=in_worker)
        future.add_done_callback(lambda _: self._count(-1, in_worker=in_worker))
        return future

    def _count(self, number: int, *, in_worker: bool) -> None:
        if in_worker:
            self.in_worker += number
        else:
            self.under_way += number

    def idle_for(self) -> float:
        """Seconds in which nothing will happen but what the loop itself has planned."""
        if self.under_way:
            return 0.0
        if not self.in_worker:
            return math.inf
        wakes = self.passing.wakes()
        return 0.0 if math.isinf(wakes) else max(0.0, wakes - self.time())


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: Loop, *, skips: bool) -> None:
        super().__init__()
        self._loop = loop
        self._skips = skips
        self._collecting_since = 0.0
        self.begin_anew()
        gc.callbacks.append(self._collect)

    def begin_anew(self) -> None:
        self._returned, self._worked, self._collected = time.perf_counter(), time.thread_time(), 0.0
        self.longest = Busy()

    def close(self) -> None:
        gc.callbacks.remove(self._collect)
        super().close()

    def _collect(self, phase: str, _info: dict[str, int]) -> None:
        if threading.current_thread() is not threading.main_thread():  # the loop's is the main one
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
            return
        took = time.thread_time() - self._collecting_since
        self._collected += took
        self.longest = replace(self.longest, collection=max(took, self.longest.collection))

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        hold, work = time.perf_counter() - self._returned, time.thread_time() - self._worked - self._collected
        if hold > self.longest.hold or work > self.longest.work:
            self.longest = replace(
                self.longest, hold=max(hold, self.longest.hold), work=max(work, self.longest.work)
            )
        ready = self._select(timeout)
        self._returned, self._worked, self._collected = time.perf_counter(), time.thread_time(), 0.0
        return ready

    def _select(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self._skips or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        idle = self._loop.idle_for()
        if idle:
            if ready := super().select(0):
                return ready
            next_event = min(idle, math.inf if timeout is None else timeout)
            if not math.isinf(next_event):
                self._loop.passing.skip(next_event)
                return []
        # The worker may fall asleep meanwhile, of which nothing is heard.
        return super().select(_GLANCE if self._loop.in_worker else timeout)


def _tell_of_requests(loop: Loop) -> None:
    """Let the loop know of each request of aiohttp, which both contenders use, until its answer has been read."""
    from aiohttp.connector import BaseConnector

    connect, release = BaseConnector.connect, BaseConnector._release  # noqa: SLF001 - nothing public tells it

    async def counted_connect(self: BaseConnector, *args: Any, **kwargs: Any) -> Any:
        loop.under_way += 1
        try:
            return await connect(self, *args, **kwargs)
        except BaseException:
            loop.under_way -= 1
            raise

    def counted_release(self: BaseConnector, *args: Any, **kwargs: Any) -> None:
        loop.under_way -= 1
        release(self, *args, **kwargs)

    BaseConnector.connect = counted_connect  # type: ignore[method-assign]
    BaseConnector._release = counted_release  # type: ignore[method-assign]  # noqa: SLF001
