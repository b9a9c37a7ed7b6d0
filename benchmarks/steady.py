"""Waits as on a working day: they begin one after the other, each when its predecessor has ended.

The same three processes as for the waits that begin together. Here it is the triggerer process that asks the worker
process to begin the next task when an event has come.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from benchmarks.counts import HOUR, TOO_MANY
from benchmarks.fivetran import NO_LIMIT
from benchmarks.mixture import KINDS, LONGEST, Mixture
from benchmarks.passing import Loop
from benchmarks.processes import (
    SPAWN,
    Place,
    begin_one,
    cancelled,
    first_event,
    process,
    rebuilt,
    received,
    settle,
)
from benchmarks.rows import Spread, Steady
from benchmarks.witness import TRIGGERER_KEY, WORKER_KEY, serving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from multiprocessing.connection import Connection as Pipe

    from benchmarks.mixture import Sync
    from benchmarks.passing import Busy
    from benchmarks.processes import Deferred
    from benchmarks.witness import Run

# Seconds that a verdict may take before it counts as none; and until a task that could not begin is replaced.
PATIENCE = 300.0
REST = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many syncs run at once, in an account that allows how many requests."""

    name: str
    title: str
    slots: int
    budget: int
    limited: bool
    """Whether Fivetran refuses more requests than that."""


MIX = Load(
    name="mix",
    title="A mix of syncs, 200 at once",
    slots=200,
    budget=20_000,
    limited=False,
)
TRIAL = Load(
    name="trial",
    title="The same mix, 50 at once, in an account that allows 500 requests an hour",
    slots=50,
    budget=500,
    limited=True,
)
LOADS = {load.name: load for load in (MIX, TRIAL)}


@dataclass(frozen=True, slots=True)
class Task:
    """A task that could begin, and its verdict, if there is one yet."""

    sync: Sync
    began: datetime
    judged_at: datetime | None = None
    green: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What the waiting process has to report."""

    since: datetime
    until: datetime
    """The hours that count."""
    tasks: list[Task]
    not_begun: Counter[str]
    """Why tasks ended instead of waiting."""
    cpu_seconds: float
    """In the hours that count."""
    seconds: float
    longest: Busy


def measure(load: Load, who: str, hours: float) -> Steady:
    """Let one contender see to the syncs of so many hours, and of the seven before in which they become steady."""
    mixture = Mixture(load.slots)
    plans: dict[str, Mapping[str, object]] = {one.name: {} for one in mixture.connections()}
    budget = load.budget if load.limited else NO_LIMIT
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        serving(plans, Path(folder), budget=budget, earlier=mixture.earlier()) as fivetran,
    ):
        place = Place(who, fivetran.url, fivetran.passing.path, skips=True)
        server_cpu = fivetran.cpu_seconds()
        with process(wait, place, mixture, hours * HOUR) as pipe:
            day: Day = received(pipe, LONGEST + hours * HOUR)
        server_cpu = fivetran.cpu_seconds() - server_cpu
        counts, runs = fivetran.counts(), fivetran.runs()
    for why, number in day.not_begun.items():
        print(f"  {number} tasks did not begin to wait: {why}", file=sys.stderr, flush=True)
    found = [Found(task, _run_of(task, runs)) for task in day.tasks]
    measured = counts.between(day.since, day.until)
    asked = measured.by("what", key=TRIGGERER_KEY)
    return Steady(
        load=load.name,
        title=load.title,
        who=who,
        slots=load.slots,
        hours=hours,
        budget=load.budget,
        late=_by_kind(found, day),
        begun=sum(day.since <= task.began for task in day.tasks),
        to_begin=measured.total(key=WORKER_KEY) / hours,
        asked={what: number / hours for what, number in asked.items()},
        most_in_an_hour=counts.most_in_an_hour(),
        refused=counts.total(status=TOO_MANY),
        not_begun=day.not_begun.total(),
        wrong=sum(one.is_wrong for one in found),
        early=sum(one.is_early for one in found),
        missing=sum(one.is_missing(day.until) for one in found),
        cpu_seconds=day.cpu_seconds / hours,
        longest_hold=day.longest.hold,
        longest_work=day.longest.work,
        longest_collection=day.longest.collection,
        simulator_share=server_cpu / day.seconds,
        machine=os.getloadavg()[0],
    )


# --- what came of it ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A task, and what really became of its sync."""

    task: Task
    run: Run | None

    @property
    def ended_at(self) -> datetime | None:
        return self.run.ended_at if self.run is not None else None

    @property
    def is_early(self) -> bool:
        judged_at = self.task.judged_at
        return judged_at is not None and (self.ended_at is None or judged_at < self.ended_at)

    @property
    def is_wrong(self) -> bool:
        judged = self.task.judged_at is not None and not self.is_early
        return judged and self.run is not None and self.task.green != self.run.ended_well

    def is_missing(self, until: datetime) -> bool:
        """Whether a verdict is overdue."""
        overdue = self.ended_at is not None and self.ended_at < until - timedelta(seconds=PATIENCE)
        return overdue and self.task.judged_at is None

    def late(self) -> float | None:
        """Seconds from the end of the sync to the verdict."""
        if self.task.judged_at is None or self.ended_at is None or self.is_early:
            return None
        return (self.task.judged_at - self.ended_at).total_seconds()


def _run_of(task: Task, runs: Mapping[str, Sequence[Run]]) -> Run | None:
    """The sync that the task started: the first of its connection to be accepted since it began."""
    return next((run for run in runs[task.sync.of.name] if run.accepted_at >= task.began), None)


def _by_kind(found: Sequence[Found], day: Day) -> dict[str, Spread]:
    """How late the verdicts came for syncs that ended in the hours that count."""
    counted = [one for one in found if one.ended_at is not None and day.since <= one.ended_at <= day.until]
    groups = {"all": counted}
    groups |= {kind.name: [one for one in counted if one.task.sync.of.kind == kind] for kind in KINDS}
    groups["surprises"] = [one for one in counted if one.task.sync.surprise]
    return {
        name: Spread.of(late for one in group if (late := one.late()) is not None)
        for name, group in groups.items()
    }


# --- the triggerer --------------------------------------------------------------------------------------------


def wait(pipe: Pipe, place: Place, mixture: Mixture, seconds: float) -> None:
    """See to the syncs of the mixture until they have been steady for so many seconds, and report."""
    passing = settle(place, TRIGGERER_KEY)
    loop = Loop(passing, skips=place.skips)
    with (
        ProcessPoolExecutor(1, mp_context=SPAWN, initializer=settle, initargs=(place, WORKER_KEY)) as worker,
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        began = time.monotonic()
        day = _Triggerer(place, mixture, loop, worker)
        since, until, cpu_seconds, longest = runner.run(day.run(seconds))
    pipe.send(
        Day(
            since=since,
            until=until,
            tasks=day.tasks,
            not_begun=day.not_begun,
            cpu_seconds=cpu_seconds,
            seconds=time.monotonic() - began,
            longest=longest,
        )
    )


class _Triggerer:
    def __init__(self, place: Place, mixture: Mixture, loop: Loop, worker: ProcessPoolExecutor) -> None:
        self._place = place
        self._mixture = mixture
        self._loop = loop
        self._worker = worker
        self._is_green = import_module(f"benchmarks.{place.who}").is_green
        self.tasks: list[Task] = []
        self.not_begun: Counter[str] = Counter()

    async def run(self, seconds: float) -> tuple[datetime, datetime, float, Busy]:
        slots = [asyncio.ensure_future(self._slot(*first)) for first in list(self._mixture.first())]
        await asyncio.sleep(LONGEST)
        self._loop.selector.begin_anew()
        since, cpu = self._loop.passing.now(), time.process_time()
        await asyncio.sleep(seconds)
        until, cpu = self._loop.passing.now(), time.process_time() - cpu
        longest = self._loop.selector.longest
        await cancelled(slots)
        return since, until, cpu, longest

    async def _slot(self, begins_in: float, sync: Sync) -> None:
        """One task after the other."""
        await asyncio.sleep(begins_in)
        while True:
            began = self._loop.passing.now()
            try:
                deferred = await self._loop.run_in_executor(self._worker, begin_as_planned, self._place, sync)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next one has its turn
                self.not_begun[f"{type(error).__name__}: {error}"[:100]] += 1
                await asyncio.sleep(REST)
            else:
                await self._wait(deferred, sync, began)
            self._mixture.over(sync)
            sync = self._mixture.next()

    async def _wait(self, deferred: Deferred, sync: Sync, began: datetime) -> None:
        task = Task(sync, began)
        place = len(self.tasks)
        self.tasks.append(task)
        judged_at, event = await first_event(rebuilt(*deferred[1:]), self._loop.passing)
        self.tasks[place] = replace(task, judged_at=judged_at, green=self._is_green(event))


def begin_as_planned(place: Place, sync: Sync) -> Deferred:
    """In the worker: let the sync go as planned, and run its operator up to its deferral."""
    name = sync.of.name
    answer = requests.post(f"{place.url}/_control/connections/{name}/plan", json=sync.plan, timeout=60)
    answer.raise_for_status()
    return begin_one(place, name)
