"""One run of the DAG with all its tasks, left alone or with a triggerer killed in the middle."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_server import NotReadyError
from benchmarks.cluster.meters import Meter, Use
from benchmarks.cluster.parts import pause
from benchmarks.cluster.record import DAG
from stage import until

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from benchmarks.cluster.parts import Cluster, Parts
    from benchmarks.cluster.record import Ledger, Request, Sync, Task, Truth
    from progress import Progress

SYNC, FAILING = "sync", "sync_that_fails"
ONE_IN_SO_MANY_FAILS = 10
ENDED = {"success", "failed", "upstream_failed", "skipped", "removed"}
SETTLE = 10.0  # seconds that new triggerers get before their memory is taken for that of idle ones
ENDED_BEFORE_KILL = 10  # one in so many tasks has ended when a triggerer is killed
SAID_EVERY = 15.0
# Seconds that tasks may take from the last sync's end to theirs, besides those for a worker each.
PATIENCE = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many syncs there are, and how long they take."""

    tasks: int
    lead: float
    """Seconds that are added to each sync, so that the last has begun before the first ends."""
    shortest: float
    longest: float

    def connections(self) -> dict[str, list[str]]:
        """The ids by task."""
        ids = [f"connection_{number:04}" for number in range(self.tasks)]
        return {
            SYNC: [name for number, name in enumerate(ids) if number % ONE_IN_SO_MANY_FAILS != 1],
            FAILING: [name for number, name in enumerate(ids) if number % ONE_IN_SO_MANY_FAILS == 1],
        }

    def names(self) -> dict[tuple[str, int], str]:
        """The ids by task and place in it."""
        return {
            (task, index): name for task, ids in self.connections().items() for index, name in enumerate(ids)
        }

    def plans(self) -> dict[str, dict[str, object]]:
        chance = random.Random(self.tasks)
        return {
            name: {
                "duration": self.lead + chance.uniform(self.shortest, self.longest),
                "outcome": "success" if task == SYNC else "failure",
            }
            for (task, _), name in self.names().items()
        }

    @property
    def longest_scene(self) -> float:
        return 2 * (self.lead + self.longest) + self.tasks * 2 + PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """How the triggers of a killed triggerer came to another."""

    killed_at: datetime
    connections: frozenset[str]
    seconds: float
    """Until the last of them belonged to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """All that is known of a scene once it is over."""

    title: str
    seconds: float
    tasks: Sequence[Task]
    syncs: Sequence[Sync]
    requests: Sequence[Request]
    uses: Sequence[Use]
    most_deferred: int
    deferred_after: float
    hand_over: HandOver | None


class Stage:
    """The cluster and whoever looks on."""

    def __init__(
        self, cluster: Cluster, parts: Parts, ledger: Ledger, truth: Truth, load: Load, progress: Progress
    ) -> None:
        self._cluster = cluster
        self._parts = parts
        self._ledger = ledger
        self._truth = truth
        self._load = load
        self._progress = progress
        self._said = 0.0

    def play(self, run_id: str, title: str, triggerers: int, *, kill: bool) -> Played:
        """Run the DAG, with triggerers of its own.

        :raises NotReadyError: if the tasks do not end.
        """
        names = self._load.names()
        self._truth.begin_anew(self._load.plans())
        started = [self._cluster.one_more_triggerer() for _ in range(triggerers)]
        pause(self._parts, SETTLE)
        uses = [
            Use(name=name, job=self._cluster.job(name), session=self._parts.session(name)) for name in started
        ]
        meter = Meter(uses, self._ledger, run_id)
        self._progress.say(f"{title}: {self._load.tasks} tasks")
        self._cluster.run_dag(DAG, run_id, {})
        meter.start()
        hand_over = None
        try:
            if kill:
                # Late enough that some syncs end while nobody looks.
                self._wait_until_ended(max(1, self._load.tasks // ENDED_BEFORE_KILL), run_id, meter)
                hand_over = self._kill_one(uses[0], meter, names)
            self._wait_until_ended(self._load.tasks, run_id, meter)
            seconds = meter.seconds()
        finally:
            meter.stop()
        for use in uses:
            if use.ended_after is None:
                self._parts.terminate(use.name)
            use.read_log(self._parts.log(use.name))
        return Played(
            title=title,
            seconds=seconds,
            tasks=self._ledger.tasks(run_id, names),
            syncs=self._truth.syncs(),
            requests=self._truth.requests(),
            uses=uses,
            most_deferred=meter.most_deferred,
            deferred_after=meter.first_with_most,
            hand_over=hand_over,
        )

    def _wait_until_ended(self, tasks: int, run_id: str, meter: Meter) -> None:
        """Wait until so many tasks have ended."""

        def reached() -> bool:
            states = self._ledger.states(run_id)
            self._tell(states)
            return sum(states[state] for state in ENDED) >= tasks

        if not until(reached, self._load.longest_scene - meter.seconds(), self._parts.check):
            raise NotReadyError(f"The tasks did not end in time: {dict(self._ledger.states(run_id))}")

    def _tell(self, states: Counter[str]) -> None:
        if time.monotonic() - self._said > SAID_EVERY:
            self._said = time.monotonic()
            self._progress.say(
                "  " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            )

    def _kill_one(self, use: Use, meter: Meter, names: Mapping[tuple[str, int], str]) -> HandOver:
        """Kill a triggerer as if its machine had died, and see how others take its triggers over."""
        use.ended_after = meter.seconds()
        connections = self._ledger.waiting_at(use.job, names)
        killed_at, began = datetime.now(UTC), time.monotonic()
        self._parts.kill(use.name)
        self._progress.say(f"{use.name} is killed; {len(connections)} tasks waited in it")
        if not until(lambda: use.job not in self._ledger.triggers(), PATIENCE, self._parts.check):
            raise NotReadyError("Nobody took over what the killed triggerer had.")
        seconds = time.monotonic() - began
        self._progress.say(f"all of them have another triggerer after {seconds:.0f} s")
        return HandOver(killed_at=killed_at, connections=frozenset(connections), seconds=seconds)
