"""The two processes that Airflow has: a worker that begins the tasks, and a triggerer in which they wait.

Each is a new process, so that neither the CPU nor the memory of one contender is counted for another.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from benchmarks.passing import Loop, Passing
from benchmarks.witness import TRIGGERER_KEY, WORKER_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from multiprocessing.connection import Connection as Pipe

    from airflow.triggers.base import BaseTrigger

    from benchmarks.passing import Busy

SPAWN = multiprocessing.get_context("spawn")
STARTED_AT_ONCE = 4
PATIENCE = 600.0
"""Real seconds in which a process must show life."""

Deferred: TypeAlias = tuple[str, str, dict[str, Any]]
"""A task that waits: the id of its Fivetran connection, and its trigger as Airflow's database holds it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a process must know of the measurement it is in."""

    who: str
    url: str
    clock: Path
    skips: bool
    """Whether idle time is skipped."""
    poll: float | None = None
    """Seconds between two looks; ``None``: what the contender does by default."""
    freezes: bool = False
    """Whether garbage is no longer looked for in what was loaded before the waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What the waiting process has to report."""

    began: datetime
    events: dict[str, tuple[datetime, bool]]
    """By the id of the connection: when the event came, and whether the task would be green."""
    seconds: float
    cpu_seconds: float
    peak_mib: float
    added_mib: float
    """How much of that came with the waits."""
    longest: Busy


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


def begin(place: Place, connection_ids: list[str]) -> list[Deferred]:
    """Run the operators up to their deferral, a few at a time."""
    settle(place, WORKER_KEY)
    with ThreadPoolExecutor(STARTED_AT_ONCE) as pool:
        return list(pool.map(lambda connection_id: begin_one(place, connection_id), connection_ids))


def begin_one(place: Place, connection_id: str) -> Deferred:
    from airflow.providers.common.compat.sdk import TaskDeferred
    from airflow.sdk.bases.operator import ExecutorSafeguard

    task = import_module(f"benchmarks.{place.who}").task(connection_id, place.poll)
    ti = TaskInstance(connection_id)
    called_by_airflow = {f"{type(task).__name__}__sentinel": ExecutorSafeguard.sentinel_value}
    try:
        task.execute({"ti": ti, "task_instance": ti}, **called_by_airflow)
    except TaskDeferred as deferral:
        return (connection_id, *deferral.trigger.serialize())
    raise RuntimeError(f"the task of {connection_id} did not wait: its sync was over too early")


# --- the triggerer --------------------------------------------------------------------------------------------


@contextmanager
def process(target: Any, *arguments: object) -> Iterator[Pipe]:
    """A process that is given one end of a pipe, and the arguments."""
    pipe, its_pipe = SPAWN.Pipe()
    started = SPAWN.Process(target=target, args=(its_pipe, *arguments))
    started.start()
    its_pipe.close()  # so that its end is noticed
    try:
        yield pipe
    finally:
        started.join(1)
        started.terminate()
        started.join()


def received(pipe: Pipe, patience: float = PATIENCE) -> Any:
    """What the process at the other end sends."""
    if not pipe.poll(patience):
        raise TimeoutError(f"the waiting process has said nothing for {patience:.0f} seconds")
    return pipe.recv()


def wait(pipe: Pipe, place: Place, spread: float, limit: float) -> None:
    """Run one trigger to warm up, then all in one event loop, and report.

    :param pipe: gives the first, and then all.
    :param spread: seconds over which the triggers arrive.
    :param limit: seconds after which those that still wait are given up.
    """
    passing = settle(place, TRIGGERER_KEY)
    is_green = import_module(f"benchmarks.{place.who}").is_green
    loop = Loop(passing, skips=place.skips)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_all_events(pipe.recv(), loop, 0, limit))
        if place.freezes:
            gc.collect()
            gc.freeze()
        pipe.send("ready")
        tasks = pipe.recv()
        forget_the_peak()
        began, memory, cpu, started = passing.now(), mib("VmRSS"), time.process_time(), time.monotonic()
        events, longest = runner.run(_all_events(tasks, loop, spread, limit))
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    peak = mib("VmHWM")
    pipe.send(
        Waited(
            began=began,
            events={connection_id: (at, is_green(event)) for connection_id, at, event in events},
            seconds=seconds,
            cpu_seconds=cpu,
            peak_mib=peak,
            added_mib=max(0.0, peak - memory),
            longest=longest,
        )
    )


Event: TypeAlias = "tuple[str, datetime, Any]"


async def _all_events(
    tasks: list[Deferred], loop: Loop, spread: float, limit: float
) -> tuple[list[Event], Busy]:
    events: list[Event] = []

    async def one(number: int, connection_id: str, trigger: BaseTrigger) -> None:
        await asyncio.sleep(spread * number / len(tasks))
        events.append((connection_id, *await first_event(trigger, loop.passing)))

    waits = [
        asyncio.ensure_future(one(number, connection_id, rebuilt(path, arguments)))
        for number, (connection_id, path, arguments) in enumerate(tasks)
    ]
    await asyncio.sleep(0)
    loop.selector.begin_anew()
    await asyncio.wait(waits, timeout=limit)
    longest = loop.selector.longest
    await cancelled(waits)
    return events, longest


async def first_event(trigger: BaseTrigger, passing: Passing) -> tuple[datetime, Any]:
    """The event of a trigger, and when it came."""
    async for event in trigger.run():
        return passing.now(), event.payload
    raise RuntimeError("a trigger ended without an event")


async def cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """End tasks, and say which had failed."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            logging.getLogger(__name__).error("a trigger failed: %r", outcome)


def rebuilt(path: str, arguments: dict[str, Any]) -> BaseTrigger:
    """A trigger as Airflow makes it from what its database holds."""
    module, _, name = path.rpartition(".")
    trigger: BaseTrigger = getattr(import_module(module), name)(**arguments)
    return trigger


# --- both -----------------------------------------------------------------------------------------------------


def settle(place: Place, key: str) -> Passing:
    """An Airflow without database, which reads its connections from the environment, and logs what is wrong only."""
    passing = Passing(place.clock)
    if place.skips:
        from airflow_provider_fivetran import clock

        clock.utcnow = passing.now  # before anything imports it by name
        if key == WORKER_KEY:
            time.sleep = passing.sleep
    for name in list(os.environ):
        if name.startswith("AIRFLOW_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    home = tempfile.mkdtemp(prefix="airflow-home-", dir=place.clock.parent)
    os.environ["AIRFLOW_HOME"] = home
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db"
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    import_module(f"benchmarks.{place.who}").declare(place.url, key)
    return passing


def forget_the_peak() -> None:
    """Let the peak of this process's memory be counted anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def mib(what: str) -> float:
    """A line of what Linux says about the memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) / 1024 if found else float("nan")
