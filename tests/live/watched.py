"""What watchers cost: a real Airflow that watches one connection, then fifty, then five hundred, each by a watcher.

``python tests/live/watched.py`` starts a fresh Airflow for each number, lets some of the connections sync, counts the
requests that reach the simulator, and measures the triggerer; ``--write`` puts the table into docs/watched.md. The
exit code is 1 if an end of a sync was lost or told twice.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

# Its parts that start processes and talk to Airflow serve here too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "example_dags" / "demo"))

import psutil

from airflow_provider_fivetran.core.claims import SEEN
from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from airflow_server import NotReadyError
from running import carry_out
from stage import Database, LiveAirflow, sync_id_of, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from running import Place

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "watched.md"
DAG_ID = "watched"
# Seconds between two looks of a watcher that was not told otherwise, and for which a sync lasts.
POLL, LASTS = 15.0, 3.0
FEWEST_SYNCS, ONE_IN_SO_MANY_SYNCS = 3, 10
ALLOWED_AN_HOUR = 20_000
HOUR = 3600.0
MIB = 1024 * 1024
READY_WITHIN, ALL_TOLD_WITHIN = 300.0, 120.0
COLUMNS = (
    "connections",
    "looks an hour",
    "sync history, for each end",
    "in all an hour",
    "of 20,000",
    "by polls",
    "of 20,000",
    "triggerer: memory",
    "CPU an hour",
    "syncs ended",
    "told",
    "lost",
    "told twice",
)
INTRODUCTION = """\
# What watchers cost

A fresh, real Airflow for each row watches so many connections of a simulated Fivetran, each with an asset and a
`FivetranSyncEndedTrigger` of its own, all settings as they come (a look every {poll:g} seconds); one empty DAG is
scheduled on any of the assets. Once every watcher has looked, requests are counted for {seconds:g} seconds, in which some
of the connections sync, one after the other and not by Airflow. *Looks* are all requests but those to the sync history,
in an hour at the measured rate. *In all* is reckoned from the two: the looks, and the requests for each end if each
connection syncs once an hour; its share is of the {allowed:,} requests that Fivetran allows an account in an hour. *By
polls* is what one request for each connection every {poll:g} seconds would be. The triggerer is two processes; their
memory (RSS) is added up, so what they share counts twice. Its CPU is for an hour at the measured rate, idle or not; that
each watcher writes down every ten minutes how far it is counts only where requests are counted for so long.
"""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What it took to watch so many connections."""

    connections: int
    seconds: float
    looks: int
    histories: int
    syncs: int
    events: int
    lost: list[str]
    repeated: list[str]
    memory: int
    cpu_seconds: float

    @property
    def looks_per_hour(self) -> float:
        return self.looks / self.seconds * HOUR

    @property
    def histories_per_end(self) -> float:
        return self.histories / self.syncs

    @property
    def per_hour(self) -> float:
        """All requests in an hour in which each connection syncs once."""
        return self.looks_per_hour + self.connections * self.histories_per_end

    @property
    def by_polls(self) -> float:
        return self.connections * HOUR / POLL


class Watching:
    """One Airflow, and so many connections that it watches."""

    def __init__(self, place: Place, connections: int, choices: Any) -> None:
        self._processes = place.processes
        self._say = place.progress.say
        self._seconds: float = choices.seconds
        self._names = [f"connection_{number}" for number in range(connections)]
        self._simulator = Simulator()
        self._dags = place.scratch / "dags"
        self.database = Database(place.scratch, place.processes, sqlite=choices.sqlite)
        self._airflow = LiveAirflow(place.scratch / "airflow", self._dags, place.processes)

    def run(self) -> Watched:
        with self._simulator.serving() as url:
            triggerer = self._start(url)
            self._wait_until_all_have_looked()
            self._wait_between_two_looks()
            began, cpu = self._simulator.clock.now(), self._cpu_seconds(triggerer)
            self._let_some_sync()
            ended, cpu = self._simulator.clock.now(), self._cpu_seconds(triggerer) - cpu
            memory = sum(psutil.Process(pid).memory_info().rss for pid in self._processes.members(triggerer))
            until(self._all_is_told, ALL_TOLD_WITHIN, self._check)
            self._pass(2 * POLL)  # in which something might be told twice
            syncs = self._syncs()
            told = Counter(sync_id_of(event) for event in self._airflow.asset_events())
            return Watched(
                connections=len(self._names),
                seconds=(ended - began).total_seconds(),
                looks=self._requests(began, ended)["look"],
                # The last end may be read about after the time.
                histories=self._requests(began, self._simulator.clock.now())["history"],
                syncs=len(syncs),
                events=told.total(),
                lost=sorted(syncs - told.keys()),
                repeated=sorted(name for name, count in told.items() if count > 1 or name not in syncs),
                memory=memory,
                cpu_seconds=cpu,
            )

    # --- its parts ------------------------------------------------------------------------------------------

    def _start(self, url: str) -> str:
        self._dags.mkdir()
        shutil.copy(HERE / "dags" / "watched.py", self._dags)
        airflow = importlib.metadata.version("apache-airflow")
        self._say(f"{self.database.name} and Airflow {airflow} start, to watch {len(self._names)}")
        for name in self._names:
            self._simulator.add_connection(name, default_plan=SyncPlan(duration=LASTS))
        fivetran = {"login": "sim-key", "password": "sim-secret", "host": url}
        more = {
            "WATCHED_HOST": urlsplit(url).netloc,
            "WATCHED_NAMES": ",".join(self._names),
            **self.database.start(),
        }
        self._airflow.start(self._airflow.environment(fivetran, **more))
        self._airflow.log_in()
        triggerer = self._airflow.start_triggerer()
        self._airflow.wait_for_triggerer(triggerer)
        if not until(lambda: self._airflow.has(DAG_ID), READY_WITHIN, self._check):
            raise NotReadyError(f"Airflow does not know {DAG_ID}")
        return triggerer

    def _wait_until_all_have_looked(self) -> None:
        """A watcher that has looked for the first time remembers when: from then on, it tells."""
        waiting: list[dict[str, Any]] = []

        def all_known() -> bool:
            waiting[:] = self._airflow.assets()
            return len(waiting) == len(self._names)

        def all_have_looked() -> bool:
            while waiting and self._airflow.remembers(waiting[-1], SEEN):
                waiting.pop()
            return not waiting

        if not all(until(reached, READY_WITHIN, self._check) for reached in (all_known, all_have_looked)):
            raise NotReadyError(f"of {len(self._names)} watchers, {len(waiting)} do not look")
        self._say(f"{len(self._names)} watchers look")

    def _wait_between_two_looks(self) -> None:
        """So that as many looks are within the time as belong there."""
        before = self._simulator.count("GET")
        if not until(lambda: self._simulator.count("GET") > before, READY_WITHIN, self._check):
            raise NotReadyError("no watcher looks any more")
        self._pass(POLL / 2)

    def _let_some_sync(self) -> None:
        """As by Fivetran's own schedule, at even distances."""
        count = max(FEWEST_SYNCS, len(self._names) // ONE_IN_SO_MANY_SYNCS)
        self._say(f"{count} syncs in {self._seconds:g} s")
        began, step = time.monotonic(), self._seconds / count
        for number in range(count):
            self._pass(began + (number + 0.5) * step - time.monotonic())
            name = self._names[number * len(self._names) // count]
            if self._simulator.start_sync(name) is None:
                raise NotReadyError(f"{name} still syncs: there are too few seconds for {count} syncs")
        self._pass(began + self._seconds - time.monotonic())

    def _pass(self, seconds: float) -> None:
        until(lambda: False, max(seconds, 0), self._check)

    def _check(self) -> None:
        self._processes.check()

    # --- what came of it ------------------------------------------------------------------------------------

    def _requests(self, began: datetime, ended: datetime) -> Counter[str]:
        return Counter(
            "history" if request.path.endswith("/sync-history") else "look"
            for request in list(self._simulator.requests)
            if began <= request.at < ended
        )

    def _cpu_seconds(self, service: str) -> float:
        spent = [psutil.Process(pid).cpu_times() for pid in self._processes.members(service)]
        return sum((each.user + each.system for each in spent), 0.0)

    def _syncs(self) -> set[str]:
        """The truth: all that ended, by their ids."""
        runs = [run for name in self._names for run in self._simulator.runs(name)]
        return {run.sync_id for run in runs if run.status == "COMPLETED"}

    def _all_is_told(self) -> bool:
        try:
            told = {sync_id_of(event) for event in self._airflow.asset_events()}
        except NotReadyError:
            return False
        return self._syncs() <= told


def table(found: Sequence[Watched]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join(['---:'] * len(COLUMNS))} |"]
    for row in found:
        cells = [
            f"{row.connections:,}",
            f"{row.looks_per_hour:,.0f}",
            f"{row.histories_per_end:.2f}",
            f"{row.per_hour:,.0f}",
            f"{row.per_hour / ALLOWED_AN_HOUR:.1%}",
            f"{row.by_polls:,.0f}",
            f"{row.by_polls / ALLOWED_AN_HOUR:.1%}",
            f"{row.memory / MIB:,.0f} MiB",
            f"{row.cpu_seconds / row.seconds * HOUR:,.0f} s",
            *map(str, (row.syncs, row.events, len(row.lost), len(row.repeated))),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code says whether each end was told once."""
    choices = _choices(arguments)
    found: list[Watched] = []
    databases: set[str] = set()
    for connections in choices.counts:

        def play(place: Place, connections: int = connections) -> int:
            watching = Watching(place, connections, choices)
            databases.add(watching.database.name)
            found.append(watching.run())
            place.progress.plain(f"\n{table(found)}\n")
            return 0

        if exit_code := carry_out(f"watched-{connections}", play, keep=choices.keep):
            return exit_code
    return _report(found, ", ".join(databases), choices)


def _report(found: Sequence[Watched], database: str, choices: Any) -> int:
    wrong = [row for row in found if row.lost or row.repeated]
    for row in wrong:
        sys.stdout.write(f"of {row.connections}: lost {row.lost}, told twice or wrongly {row.repeated}\n")
    if choices.write:
        airflow, python = importlib.metadata.version("apache-airflow"), platform.python_version()
        facts = (
            f"{datetime.now(UTC):%Y-%m-%d}, Airflow {airflow}, Python {python}, {database}, {os.cpu_count()} cores; "
            f"`make watched`, {choices.seconds:g} seconds for each row."
        )
        introduction = INTRODUCTION.format(poll=POLL, seconds=choices.seconds, allowed=ALLOWED_AN_HOUR)
        PAGE.write_text(f"{introduction}\n{facts}\n\n{table(found)}\n", encoding="utf-8")
    return 1 if wrong else 0


def _choices(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--counts", type=_numbers, default=[1, 50, 500], help="of watched connections; 1,50,500"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=180.0,
        help="for which requests are counted, best a multiple of 15; %(default)g",
    )
    parser.add_argument("--sqlite", action="store_true", help="do without PostgreSQL")
    parser.add_argument("--keep", action="store_true", help="keep the scratch folders with all logs")
    parser.add_argument("--write", action="store_true", help="write docs/watched.md")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text} has a number below 1")
    return numbers


if __name__ == "__main__":
    sys.exit(main())
