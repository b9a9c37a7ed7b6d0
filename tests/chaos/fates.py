"""What befalls the tasks of a storm and the account they use. All of it is drawn from the seed.

What is known beforehand is drawn when the storm is made. The rest (where a worker dies, what happens to a trigger) each
task draws from a luck of its own as it comes to it, so that one task's course changes nothing for the others.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_fivetran.simulator import Fault, Simulator, SyncPlan

FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "reset"},
    {"kind": "lost"},
    {"kind": "html"},
    {"kind": "garbage"},
    {"kind": "wrong_shape"},
    {"kind": "slow", "delay": 0.7},
    {"kind": "slow", "delay": 3.0},
)
OUTCOMES = {"success": 5.0, "failure": 2.0, "rescheduled": 1.5, "canceled": 0.7, "incomplete": 0.5}
# The whole wait of a task, in seconds. It must outlast every doubt about a lost answer.
TIMEOUT = 600.0

OfTrigger = Literal["left alone", "dies", "moves", "stalls", "cleared"]
TRIGGER_FATES: dict[OfTrigger, float] = {"left alone": 12, "dies": 4, "moves": 2, "stalls": 2, "cleared": 1}
OfWorker = Literal["lives", "killed", "shut down", "cleared"]
WORKER_FATES: dict[OfWorker, float] = {"lives": 12, "killed": 6, "shut down": 1, "cleared": 1}


@dataclass(frozen=True)
class Death:
    """How and where a worker dies.

    ``killed``: at once. ``shut down``: it is told to stop, and has some seconds for it. ``cleared``: the same, since a
    person has cleared the task.
    """

    how: OfWorker
    at_request: int | None
    """``None``: when all its work is done, but Airflow has not learned of it."""
    answered: bool
    """Whether that request has left and its answer has come, of which no line of ours gets to know."""
    requests_more: int
    """How many follow until it is killed, if it was told to stop."""


@dataclass(frozen=True)
class Rotation:
    """A key is replaced, and some time later the Airflow connection that holds it is changed too."""

    at: float
    which: int
    """0: the key of the Airflow connection itself, 1: that of its fallback."""
    noticed_after: float


@dataclass
class Weather:
    """What holds for all tasks of a storm."""

    disturbed: float
    history: Literal[True, "not_found", "forbidden"]
    has_fallback: bool
    rotations: list[Rotation]

    def __str__(self) -> str:
        keys = f"{len(self.rotations)} rotations{' with a fallback' if self.has_fallback else ''}"
        return f"history {self.history}, {self.disturbed:.0%} of requests to be disturbed, {keys}"


@dataclass
class Fate:
    """What a task is, and what befalls its connection."""

    connection_id: str
    arguments: dict[str, Any]
    retries: int
    has_store: bool
    """Whether its Airflow keeps notes from one try to the next, as Airflow does from 3.3 on."""
    delay: float
    already_running: bool
    meddling: Literal["cancel", "pause", "delete"] | None
    meddling_after: float
    luck: random.Random

    def __str__(self) -> str:
        waits = "in a trigger" if self.arguments["deferrable"] else "in a worker"
        notes = "" if self.has_store else ", no task state store"
        befalls = f", {self.meddling} after {self.meddling_after:.1f} s" if self.meddling else ""
        return f"{self.connection_id} ({self.arguments['when_running']}, waits {waits}{notes}{befalls})"

    def of_the_worker(self) -> Death | None:
        """How the next worker dies, if it does."""
        luck = self.luck
        [how] = luck.choices(list(WORKER_FATES), list(WORKER_FATES.values()))
        death = Death(how, luck.choice([None, *range(1, 11)]), luck.random() < 0.5, luck.randrange(4))
        return None if how == "lives" else death

    def of_the_trigger(self) -> tuple[OfTrigger, float]:
        """What happens to a trigger next, and after how many seconds."""
        [fate] = self.luck.choices(list(TRIGGER_FATES), list(TRIGGER_FATES.values()))
        return fate, self.luck.uniform(0, 2.5)

    def is_cleared_after_its_end(self) -> bool:
        """Whether a person wants the ended task once more."""
        return self.luck.random() < 0.05


def draw_weather(luck: random.Random, sim: Simulator, disturbed: float, lasting: float) -> Weather:
    """Choose what Fivetran is like during this storm, which lasts about so many seconds."""
    history = luck.choice([True, True, True, "not_found", "forbidden"])
    sim.switches.update(
        history=history,
        history_lag=luck.choice([0.0, 0.0, 1.0]),
        start_lag=luck.choice([0.0, 0.3]),
        sync_while_running=luck.choice(["ok", "conflict"]),
    )
    share = disturbed / len(FAULTS)
    for number, fault in enumerate(FAULTS if disturbed else ()):
        # Each is asked only where none before it struck.
        sim.faults.add(Fault(**fault, times=None, probability=share / (1 - number * share)))
    has_fallback = luck.random() < 0.4
    return Weather(disturbed, history, has_fallback, _rotations(luck, lasting, has_fallback=has_fallback))


def _rotations(luck: random.Random, lasting: float, *, has_fallback: bool) -> list[Rotation]:
    """Some of the storm's moments, far enough apart for each key to be in its place before the next one goes."""
    count = luck.choice([0, 1, 2, 3])
    rotations, span = [], lasting / max(count, 1)
    for number in range(count):
        which = luck.choice([0, 0, 1]) if has_fallback else 0
        longest = span / 2 if has_fallback else min(span / 2, 5)
        noticed_after = luck.choice([0.0, luck.uniform(0, longest)])
        rotations.append(Rotation(span * (number + luck.uniform(0, 0.5)), which, noticed_after))
    return rotations


def draw_fate(sim: Simulator, name: str, lasting: float, start_timeout: float) -> Fate:
    """Add a connection, and choose the task that syncs it; both have their luck from the name."""
    luck, connection_id = random.Random(name), name.rpartition(" ")[2]
    [outcome] = luck.choices(list(OUTCOMES), list(OUTCOMES.values()))
    schedule = luck.choice(["auto", "manual"])
    every = luck.choice([None, None, None, 5.0]) if schedule == "auto" else None
    already_running = luck.random() < 0.25
    # A sync that is over within a second is taken for ours only where nobody else starts any: no clock of Fivetran
    # shows more than seconds, and no sync of it is that quick.
    shortest = 0.1 if every is None and not already_running else 1.1
    sim.add_connection(
        connection_id,
        schema=connection_id,
        schedule_type=schedule,
        every=every,
        plans=[
            SyncPlan(
                duration=luck.uniform(shortest, 4),
                queue_delay=luck.choice([0, 0, 0.5, 1.5]),
                outcome=outcome,
                reschedule_after=luck.uniform(0.5, 2),
            )
        ],
        default_plan=SyncPlan(duration=luck.uniform(1.1, 2.5)),
    )
    return Fate(
        connection_id=connection_id,
        arguments={
            "connector_id": connection_id,
            "when_running": luck.choice(["attach", "queue", "restart"]),
            "when_paused": "unpause",
            "start_timeout": start_timeout,
            "timeout": TIMEOUT,
            "poll_frequency": 0.3,
            "fivetran_retry_delay": 0.1,
            "deferrable": luck.random() < 0.5,
        },
        retries=luck.choice([0, 1, 3, 3, 3]),
        has_store=luck.random() < 0.75,
        delay=luck.uniform(0, lasting),
        already_running=already_running,
        meddling=luck.choice([None] * 7 + ["cancel", "pause", "delete"]),
        meddling_after=luck.uniform(0.2, 3),
        luck=luck,
    )
