"""Many tasks in bad weather: random ends, meddling people, a broken network, keys that change and processes that die.

Each task is a real operator on a connection of its own; half of them wait in a worker, half in a trigger. Afterwards
each verdict is compared with the simulator's own record of what happened. Everything random comes from the seed, so
a bad storm can be replayed (what the clock decides stays with the clock):

    make chaos ARGS="--seed 7 --storms 1 --tasks 100 --disturbed 0.3 --talk"
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # as a command it has no conftest to give it an Airflow of its own
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from airflow_provider_fivetran.simulator import Simulator
from fates import TIMEOUT, draw_fate, draw_weather
from judge import Judge
from tries import CONN_ID, Airflow, Task, Triggerer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fates import Rotation, Weather
    from judge import Gap

FALLBACK_CONN_ID = f"{CONN_ID}_2"
# A task that has not ended so many seconds after its own timeout is stuck: before its wait it may look for two
# minutes, and be in doubt about three triggers.
MARGIN = 600.0


@dataclass
class Report:
    """What became of all tasks of one storm, or of several."""

    verdicts: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)
    """By kind: ``wrong``, ``twice`` or ``stuck``."""

    def add(self, other: Report) -> None:
        self.verdicts += other.verdicts
        self.figures += other.figures
        self.faults += other.faults

    def __str__(self) -> str:
        kinds = {"wrong": 0, "twice": 0, "stuck": 0} | Counter(kind for kind, _ in self.faults)
        share = self.figures["disturbed requests"] / max(self.figures["requests"], 1)
        figures = {name: count for name, count in self.figures.items() if name != "disturbed requests"}
        return "; ".join(
            [
                _counts(figures),
                f"{share:.0%} of requests disturbed",
                f"verdicts: {_counts(dict(self.verdicts.most_common()))}",
                _counts(kinds),
            ]
        ) + "".join(f"\n  {kind}: {fault}" for kind, fault in self.faults)


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.items())


# --- one storm ------------------------------------------------------------------------------------------------


def storm(seed: int, tasks: int, disturbed: float, start_timeout: float = 40) -> Report:
    """Run so many tasks at once and judge their verdicts."""
    random.seed(seed)  # the transports take the jitter of their pauses from here
    luck = random.Random(seed)
    sim = Simulator(seed=seed)
    lasting = 0.2 * tasks
    weather = draw_weather(luck, sim, disturbed, lasting)
    cast = [Task(draw_fate(sim, f"{seed} c{number}", lasting, start_timeout)) for number in range(tasks)]
    with (
        sim.serving(port=0) as url,
        Triggerer().running() as one,
        Triggerer().running() as other,
        tempfile.TemporaryDirectory() as folder,
    ):
        keys = Keys(sim, url, has_fallback=weather.has_fallback)
        airflow = Airflow([one, other], Path(folder))
        with keys.rotating(weather.rotations):
            _play(sim, airflow, cast)
        return _report(sim, airflow, cast, weather, keys)


def _play(sim: Simulator, airflow: Airflow, cast: list[Task]) -> None:
    threads = [threading.Thread(target=_perform, args=(sim, airflow, task), daemon=True) for task in cast]
    for thread in threads:
        thread.start()
    while any(_is_waited_for(task) for task in cast):
        threading.Event().wait(0.2)


def _is_waited_for(task: Task) -> bool:
    return not task.is_over and time.monotonic() < task.wait_began + TIMEOUT + MARGIN


def _perform(sim: Simulator, airflow: Airflow, task: Task) -> None:
    fate = task.fate
    threading.Event().wait(fate.delay)
    if fate.already_running:
        sim.start_sync(task.connection_id)
    if fate.meddling is not None:
        meddle = threading.Timer(fate.meddling_after, getattr(sim, fate.meddling), [task.connection_id])
        meddle.daemon = True
        meddle.start()
    airflow.see_through(task)


class Keys:
    """The keys that Fivetran takes, and the Airflow connections that hold them, sometimes a little late."""

    def __init__(self, sim: Simulator, url: str, *, has_fallback: bool) -> None:
        self._sim = sim
        self._url = url
        self._conn_ids = (CONN_ID, FALLBACK_CONN_ID)[: 1 + has_fallback]
        self._secrets = [""] * len(self._conn_ids)
        self._lock = threading.Lock()
        self.gaps: list[Gap] = []
        self.rotated = 0
        sim.revoke("sim-key")
        for which in range(len(self._conn_ids)):
            self._replace(which)
            self._declare(which)

    @contextmanager
    def rotating(self, rotations: list[Rotation]) -> Iterator[None]:
        """Replace keys while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._rotate_until, args=(over, rotations))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _rotate_until(self, over: threading.Event, rotations: list[Rotation]) -> None:
        began = time.monotonic()
        for rotation in rotations:
            if over.wait(max(0.0, began + rotation.at - time.monotonic())):
                return
            replaced_at = self._sim.clock.now()
            self.rotated += 1
            self._replace(rotation.which)
            over.wait(rotation.noticed_after)
            self._declare(rotation.which)
            if len(self._conn_ids) == 1:
                self.gaps.append((replaced_at, self._sim.clock.now()))

    def _replace(self, which: int) -> None:
        """A new key kills the old one at once."""
        old, new = self._secrets[which], f"key-{which}-{self.rotated}"
        self._sim.add_key(new, f"secret of {new}")
        self._sim.revoke(old)
        self._secrets[which] = new

    def _declare(self, which: int) -> None:
        """Declare the Airflow connection in the environment, as users do."""
        conn_id, key = self._conn_ids[which], self._secrets[which]
        extra = {"timeout": 2} | ({"fallback_conn_id": FALLBACK_CONN_ID} if len(self._conn_ids) > 1 else {})
        conn = {"conn_type": "fivetran", "login": key, "password": f"secret of {key}", "host": self._url}
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(conn | {"extra": extra})


def _report(sim: Simulator, airflow: Airflow, cast: list[Task], weather: Weather, keys: Keys) -> Report:
    judge = Judge(sim, keys.gaps)
    report = Report()
    report.figures.update(
        {
            "storms": 1,
            "tasks": len(cast),
            "syncs of theirs": sum(
                run.cause in {"api", "force"} for task in cast for run in sim.runs(task.connection_id)
            ),
            "requests": len(sim.requests),
            "disturbed requests": sum(request.fault is not None for request in sim.requests),
            "rotations": keys.rotated,
            **airflow.happened,
        }
    )
    report.verdicts.update(attempt.verdict for task in cast for attempt in task.tries if attempt.verdict)
    for task in cast:
        for kind, fault in judge.faults_of(task):
            report.faults.append((kind, f"{task.fate}: {fault}; its tries: {task.course}; {weather}"))
    return report


# --- the command ----------------------------------------------------------------------------------------------


def main() -> int:
    """Run storms from the command line; 1 if any verdict was wrong."""
    parser = argparse.ArgumentParser(description="Run tasks in bad weather and judge their verdicts.")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="seed of the first storm")
    parser.add_argument("--storms", type=int, default=24, help="how many storms, each with the next seed")
    parser.add_argument("--tasks", type=int, default=100, help="tasks in each storm")
    parser.add_argument("--disturbed", type=float, default=0.3, help="share of requests that are disturbed")
    parser.add_argument("--at-once", type=int, default=6, help="how many storms rage side by side")
    parser.add_argument("--talk", action="store_true", help="show the log of each task")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.storms)
    if not options.talk:
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"  # read by the processes that are made here
    total, began = Report(), time.monotonic()
    with ProcessPoolExecutor(options.at_once, get_context("spawn"), max_tasks_per_child=1) as pool:
        storms = {pool.submit(storm, seed, options.tasks, options.disturbed): seed for seed in seeds}
        for ended in as_completed(storms):
            report = ended.result()
            print(f"seed {storms[ended]}: {report}", flush=True)
            if report.faults:
                again = f"--seed {storms[ended]} --storms 1 --tasks {options.tasks} --disturbed {options.disturbed} --talk"
                print(f'  again: make chaos ARGS="{again}"')
            total.add(report)
    print(f"in {(time.monotonic() - began) / 60:.1f} minutes: {total}")
    return 1 if total.faults else 0


if __name__ == "__main__":
    sys.exit(main())
