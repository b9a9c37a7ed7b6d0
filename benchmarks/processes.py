"""The two processes that Airflow has: a worker that begins the tasks, and a triggerer in which they wait.

Each is a new process, so that neither the CPU nor the memory of one contender is counted for another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import selectors
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from benchmarks.fivetran import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from multiprocessing.connection import Connection as Pipe

    from airflow.triggers.base import BaseTrigger

STARTED_AT_ONCE = 4
WATCH = 0.005

Deferred: TypeAlias = tuple[str, str, dict[str, Any]]
"""A task that waits: the id of its Fivetran connection, and its trigger as Airflow's database holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What the waiting process has to report."""

    events: dict[str, tuple[datetime, bool]]
    """By the id of the connection: when the event came, and whether the task would be green."""
    seconds: float
    cpu_seconds: float
    """Without what the watchdog takes of an idle loop."""
    peak_mib: float
    added_mib: float
    """How much of that came with the waits."""
    worst_stall: float


# --- the worker -----------------------------------------------------------------------------------------------


@dataclass
class TaskInstance:
    """As much of it as operators touch before they defer."""

    task_id: str
    dag_id: str = "dag"
    run_id: str = field(default_factory=lambda: uuid4().hex)
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0

    def xcom_push(self, key: str, value: Any) -> None:
        pass

    def xcom_pull(self, **_: Any) -> None:
        pass


def begin(who: str, url: str, connection_ids: list[str], poll: float | None) -> list[Deferred]:
    """Run the operators up to their deferral, a few at a time."""
    _settle(who, url)

    def defer(connection_id: str) -> Deferred:
        return _deferred(import_module(f"benchmarks.{who}").task(connection_id, poll), connection_id)

    with ThreadPoolExecutor(STARTED_AT_ONCE) as pool:
        return list(pool.map(defer, connection_ids))


def _deferred(task: Any, connection_id: str) -> Deferred:
    from airflow.providers.common.compat.sdk import TaskDeferred
    from airflow.sdk.bases.operator import ExecutorSafeguard

    ti = TaskInstance(connection_id)
    called_by_airflow = {f"{type(task).__name__}__sentinel": ExecutorSafeguard.sentinel_value}
    try:
        task.execute({"ti": ti, "task_instance": ti}, **called_by_airflow)
    except TaskDeferred as deferral:
        return (connection_id, *deferral.trigger.serialize())
    raise RuntimeError(f"the task of {connection_id} did not wait: its sync was over too early")


# --- the triggerer --------------------------------------------------------------------------------------------


def wait(pipe: Pipe, who: str, url: str, spread: float, speed: float, limit: float) -> None:
    """Run one trigger to warm up, then all in one event loop, and report.

    :param pipe: gives the first; then all and the clock by which they wait, when they are to begin.
    :param spread: simulated seconds over which the triggers arrive.
    :param limit: simulated seconds after which those that still wait are given up.
    """
    clock = Clock.real()
    if speed != 1:
        from airflow_provider_fivetran import clock as ours

        ours.utcnow = clock.now  # before anything imports it by name
    _settle(who, url)
    is_green = import_module(f"benchmarks.{who}").is_green
    with asyncio.Runner(loop_factory=lambda: _Loop(speed)) as runner:
        runner.run(_all_events(pipe.recv(), clock, 0, limit))
        idle = runner.run(_cpu_of_idling(speed))
        pipe.send("ready")
        tasks, its_clock = pipe.recv()
        clock.set(its_clock)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        before, memory, began = time.process_time(), _mib("VmRSS"), time.monotonic()
        events, worst = runner.run(_all_events(tasks, clock, spread, limit))
        seconds = time.monotonic() - began
        spent = time.process_time() - before
    peak = _mib("VmHWM")
    pipe.send(
        Waited(
            events={connection_id: (at, is_green(event)) for connection_id, at, event in events},
            seconds=seconds,
            cpu_seconds=max(0.0, spent - idle * seconds),
            peak_mib=peak,
            added_mib=max(0.0, peak - memory),
            worst_stall=worst,
        )
    )


Event: TypeAlias = "tuple[str, datetime, Any]"


async def _all_events(
    tasks: list[Deferred], clock: Clock, spread: float, limit: float
) -> tuple[list[Event], float]:
    events: list[Event] = []

    async def first_event(number: int, connection_id: str, trigger: BaseTrigger) -> None:
        await asyncio.sleep(spread * number / len(tasks))
        async for event in trigger.run():
            events.append((connection_id, clock.now(), event.payload))
            return

    watchdog = _Watchdog(clock.speed)
    watching = asyncio.ensure_future(watchdog.watch())
    waits = [
        asyncio.ensure_future(first_event(number, connection_id, _rebuilt(path, arguments)))
        for number, (connection_id, path, arguments) in enumerate(tasks)
    ]
    await asyncio.wait(waits, timeout=limit)
    await _cancelled([*waits, watching])
    return events, watchdog.worst


async def _cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            logging.getLogger(__name__).error("a trigger failed: %r", outcome)


async def _cpu_of_idling(speed: float) -> float:
    """CPU seconds that the watchdog takes per second."""
    watching = asyncio.ensure_future(_Watchdog(speed).watch())
    before, began = time.process_time(), time.monotonic()
    await asyncio.sleep(speed)
    rate = (time.process_time() - before) / (time.monotonic() - began)
    await _cancelled([watching])
    return rate


class _Watchdog:
    """Notices how late the loop lets a short sleep end."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self.worst = 0.0

    async def watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(WATCH * self._speed)
            self.worst = max(self.worst, time.perf_counter() - began - WATCH)


class _Selector(selectors.DefaultSelector):
    """Waits for less than it is told, by the speed of the loop's clock."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / self._speed if timeout else timeout)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop in which all sleeps and timeouts are in simulated seconds."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__(_Selector(speed))

    def time(self) -> float:
        return super().time() * self._speed


# --- both -----------------------------------------------------------------------------------------------------


def _settle(who: str, url: str) -> None:
    """An Airflow without database, which reads its connections from the environment, and logs what is wrong only."""
    for name in list(os.environ):
        if name.startswith("AIRFLOW_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    home = tempfile.mkdtemp(prefix="airflow-home-", dir=os.environ.get("BENCHMARK_FOLDER"))
    os.environ["AIRFLOW_HOME"] = home
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db"
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    import_module(f"benchmarks.{who}").declare(url)


def _rebuilt(path: str, arguments: dict[str, Any]) -> BaseTrigger:
    module, _, name = path.rpartition(".")
    trigger: BaseTrigger = getattr(import_module(module), name)(**arguments)
    return trigger


def _mib(what: str) -> float:
    """A line of what Linux says about the memory of this process."""
    found = re.search(
        rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE
    )
    return int(found.group(1)) / 1024 if found else float("nan")
