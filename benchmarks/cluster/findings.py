"""What came of a scene: every task beside its sync, and the figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.counts import what_it_is
from benchmarks.rows import Spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from benchmarks.cluster.record import Request, Sync, Task
    from benchmarks.cluster.scenes import HandOver, Played

GREEN, RED = "success", "failed"
VERDICTS = {"COMPLETED": GREEN, "FAILURE": RED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is to be told of a scene."""

    played: Played
    wrong: Sequence[str]
    """What must not be, in words."""
    green: int
    red: int
    as_recorded: int
    """How many tasks say of their syncs what the simulator's record says."""
    most_triggers: int
    """Triggers sent to the connection that got most of them."""
    most_tries: int
    kinds: Counter[str]
    busiest_minute: int
    noticed: Spread
    """From the end of a sync until Airflow had its trigger's event."""
    over: Spread
    """From the end of a sync to the end of its task."""
    noticed_after_kill: Spread
    """As ``noticed``, of the tasks that waited in the triggerer when it was killed."""
    ended_unwatched: int
    """How many of those syncs ended between the kill and the hand-over."""


def find(played: Played) -> Findings:
    syncs: dict[str, list[Sync]] = {}
    for sync in played.syncs:
        syncs.setdefault(sync.connection, []).append(sync)
    triggers = Counter(
        request.path.split("/")[3] for request in played.requests if _kind(request) == "trigger"
    )
    complaints = {
        task.connection: _complaint(task, syncs.get(task.connection, []), triggers[task.connection])
        for task in played.tasks
    }
    complaints |= dict.fromkeys(syncs.keys() - complaints.keys(), "synced, but there is no such task")
    ends = {name: rows[0].ended_at for name, rows in syncs.items()}
    states = Counter(task.state for task in played.tasks)
    moved = played.hand_over.connections if played.hand_over else frozenset()
    waited_there = [task for task in played.tasks if task.connection in moved]
    return Findings(
        played=played,
        wrong=[f"{name}: {text}" for name, text in sorted(complaints.items()) if text],
        green=states[GREEN],
        red=states[RED],
        as_recorded=sum(not text for text in complaints.values()),
        most_triggers=max(triggers.values(), default=0),
        most_tries=max((task.tries for task in played.tasks), default=0),
        kinds=Counter(_kind(request) for request in played.requests),
        busiest_minute=_busiest([request.at for request in played.requests]),
        noticed=Spread.of(_delays((task.woken_at, ends.get(task.connection)) for task in played.tasks)),
        over=Spread.of(_delays((task.ended_at, ends.get(task.connection)) for task in played.tasks)),
        noticed_after_kill=Spread.of(
            _delays((task.woken_at, ends.get(task.connection)) for task in waited_there)
        ),
        ended_unwatched=sum(_ended_unwatched(ends.get(name), played.hand_over) for name in moved),
    )


def _complaint(task: Task, syncs: Sequence[Sync], triggers: int) -> str:
    """What is wrong with a task, by the record of the syncs of its connection."""
    if triggers != 1 or len(syncs) != 1:
        return f"{triggers} triggers, {len(syncs)} syncs, the task is {task.state}"
    (sync,) = syncs
    if task.state != VERDICTS.get(sync.status, "neither"):
        return f"the task is {task.state}, its sync {sync.status}"
    if task.sync_id != sync.sync_id:
        return f"the task stands for the sync {task.sync_id}, but {sync.sync_id} was its own"
    if sync.ended_at is None or task.ended_at is None or task.ended_at < sync.ended_at:
        return f"the task ended at {task.ended_at}, its sync at {sync.ended_at}"
    return ""


def _ended_unwatched(ended_at: datetime | None, hand_over: HandOver | None) -> bool:
    if ended_at is None or hand_over is None:
        return False
    return 0 <= (ended_at - hand_over.killed_at).total_seconds() <= hand_over.seconds


def _kind(request: Request) -> str:
    return what_it_is(request.method, request.path)


def _delays(pairs: Iterable[tuple[datetime | None, datetime | None]]) -> list[float]:
    return [(later - earlier).total_seconds() for later, earlier in pairs if later and earlier]


def _busiest(times: Sequence[datetime]) -> int:
    """The number of requests in the minute with most of them."""
    ordered = sorted(time.timestamp() for time in times)
    first = most = 0
    for last, time in enumerate(ordered):
        while ordered[first] < time - 60:
            first += 1
        most = max(most, last - first + 1)
    return most
