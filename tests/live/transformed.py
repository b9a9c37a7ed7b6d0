"""A transformation after a sync in a real Airflow, and what becomes of its run when somebody or something disturbs it.

``python tests/live/transformed.py`` runs all cases; ``--only REGEX`` some. Everything runs on loopback ports and in a
scratch folder; at the end, also by Ctrl-C, nothing of it is left. The exit code is 1 if a case was not as promised.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Its parts that start processes and talk to Airflow serve here too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "example_dags" / "demo"))

from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from airflow_server import NotReadyError
from running import carry_out
from stage import SHORTENED, Database, LiveAirflow, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_fivetran.simulator import Request
    from running import Place

HERE = Path(__file__).resolve().parent
READY_WITHIN = 150.0
PATIENCE = 90.0
# A trigger's first question to Airflow takes about five seconds: whatever would be cancelled has been by then.
LONG_ENOUGH_TO_BE_CANCELLED = 12.0
# A run that lasts until the case is over, and one that does not.
HELD, SHORT = 24 * 3600.0, 4.0
OVER = {"success", "failed"}


class Unlike(Exception):
    """A case went another way than it was to go."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A DAG of a sync and a transformation, what is done to it, and how it ends."""

    name: str
    what: str
    disturb: Callable[[Played], None]
    # State and try of the transformation's task; how the run ended that Fivetran made.
    task: str
    tries: int
    run: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Played:
    """One case as it is played."""

    case: Case
    airflow: LiveAirflow
    simulator: Simulator
    check: Callable[[], None]
    triggerer: str

    run_id = "once"

    def begin(self) -> None:
        """Start the DAG, and wait until its transformation runs and the task has looked at that."""
        self.airflow.run_dag(self.case.name, self.run_id, {})
        waits = "deferred" if self.case.arguments.get("deferrable") else "running"
        self.until(
            lambda: self.task("transform")["state"] == waits and self.is_running, f"the run is {waits}"
        )
        looks = self.looks
        self.until(lambda: self.looks >= looks + 3, "the task looks at the run")

    def until(self, reached: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        if not until(reached, seconds, self.check):
            raise Unlike(f"waited in vain until {what}; {self.told}")

    def until_over(self) -> None:
        self.until(lambda: self.task("transform")["state"] in OVER, "the task has ended")

    def mark_failed(self) -> None:
        self.airflow.mark(self.case.name, self.run_id, "transform", "failed", None)

    def clear(self) -> None:
        self.airflow.clear(self.case.name, self.run_id, "transform")

    def stays_alive(self) -> None:
        until(lambda: not self.is_running, LONG_ENOUGH_TO_BE_CANCELLED, self.check)
        if not self.is_running:
            raise Unlike(f"the run was cancelled; {self.told}")

    def let_end(self) -> None:
        account = self.simulator.account
        with account.lock:
            transformation = account.transformation(self.case.name)
            began = transformation.last_started_at
            if began is None:
                raise Unlike("no run has begun that could end")
            transformation.duration = (self.simulator.clock.now() - began).total_seconds()

    def until_run(self, status: str) -> None:
        self.until(lambda: self.runs == [status], f"the run is {status}")

    # --- what is seen ---------------------------------------------------------------------------------------

    def task(self, task_id: str) -> dict[str, Any]:
        tasks = self.airflow.tasks(self.case.name, self.run_id)
        return next((task for task in tasks if task["task_id"] == task_id), {"state": None, "try_number": 0})

    @property
    def is_running(self) -> bool:
        with self.simulator.account.lock:
            return self.simulator.account.transformation(self.case.name).status == "RUNNING"

    @property
    def runs(self) -> list[str]:
        """How each run ended that there was."""
        with self.simulator.account.lock:
            return [run.status for run in self.simulator.account.transformation(self.case.name).runs]

    @property
    def looks(self) -> int:
        return self.simulator.count("GET", f"/transformations(/{self.case.name})?$")

    def requests(self, action: str) -> list[Request]:
        end = f"/{self.case.name}/{action}"
        return [each for each in self.simulator.requests if each.method == "POST" and each.path.endswith(end)]

    @property
    def told(self) -> str:
        task = self.task("transform")
        return f"task {task['state']}/{task['try_number']}, runs {', '.join(self.runs) or 'none'}"

    def is_as_promised(self) -> bool:
        return not self.differences()

    def differences(self) -> list[str]:
        """In words, what is not as promised."""
        case, task = self.case, self.task("transform")
        sync = [run.status for run in self.simulator.runs(case.name)]
        cancels = len(self.requests("cancel"))
        pairs = (
            ("sync", sync, ["COMPLETED"]),
            ("task", task["state"], case.task),
            ("tries", task["try_number"], case.tries),
            ("runs", self.runs, [case.run]),
            ("triggers", len(self.requests("run")), 1),
            ("cancelled", cancels > 0, case.run == "CANCELED"),
        )
        return [f"{name}: {found} instead of {wanted}" for name, found, wanted in pairs if found != wanted]


# --- the cases ----------------------------------------------------------------------------------------------


def leave_alone(played: Played) -> None:
    played.begin()
    played.let_end()


def mark_failed(played: Played) -> None:
    played.begin()
    played.mark_failed()
    played.until_run("CANCELED")


def mark_failed_and_see_it_live(played: Played) -> None:
    played.begin()
    played.mark_failed()
    played.stays_alive()
    played.let_end()
    played.until_run("SUCCEEDED")


def clear(played: Played) -> None:
    played.begin()
    before = played.task("transform")["try_number"]
    played.clear()
    played.until(lambda: played.task("transform")["try_number"] > before, "the next try has begun")
    played.stays_alive()
    played.let_end()


def restart_the_triggerer(played: Played) -> None:
    played.begin()
    after = played.airflow.start_triggerer()
    played.airflow.wait_for_triggerer(after)
    played.airflow.end_triggerer(played.triggerer)
    played.triggerer = after
    played.stays_alive()
    played.let_end()


DEFERRED = {"deferrable": True}
LEFT = {"when_killed": "leave"}
CASES = (
    Case(
        name="deferred",
        what="left alone",
        arguments=DEFERRED,
        disturb=leave_alone,
        task="success",
        tries=1,
        run="SUCCEEDED",
    ),
    Case(name="in_worker", what="left alone", disturb=leave_alone, task="success", tries=1, run="SUCCEEDED"),
    Case(
        name="marked_failed_deferred",
        what="marked failed",
        arguments=DEFERRED,
        disturb=mark_failed,
        task="failed",
        tries=1,
        run="CANCELED",
    ),
    Case(
        name="marked_failed_in_worker",
        what="marked failed",
        disturb=mark_failed,
        task="failed",
        tries=1,
        run="CANCELED",
    ),
    Case(
        name="marked_failed_deferred_leave",
        what="marked failed, when_killed='leave'",
        arguments=DEFERRED | LEFT,
        disturb=mark_failed_and_see_it_live,
        task="failed",
        tries=1,
        run="SUCCEEDED",
    ),
    Case(
        name="cleared_deferred",
        what="cleared while it waits",
        arguments=DEFERRED,
        disturb=clear,
        task="success",
        tries=2,
        run="SUCCEEDED",
    ),
    Case(
        name="triggerer_restarted",
        what="triggerer replaced while it waits",
        arguments=DEFERRED,
        disturb=restart_the_triggerer,
        task="success",
        tries=1,
        run="SUCCEEDED",
    ),
)


def play(cases: Sequence[Case], place: Place, *, sqlite: bool) -> int:
    """Play one case after the other, and say how each went; the exit code says whether all was as promised."""
    say, check = place.progress.say, place.processes.check
    simulator, dags = Simulator(), place.scratch / "dags"
    airflow = LiveAirflow(place.scratch / "airflow", dags, place.processes)
    database = Database(place.scratch, place.processes, sqlite=sqlite)
    for case in cases:
        simulator.add_connection(case.name, default_plan=SyncPlan(duration=SHORT))
        simulator.add_transformation(case.name, duration=HELD)
    dags.mkdir()
    shutil.copy(HERE / "dags" / "transformed.py", dags)
    wrong = 0
    with simulator.serving() as url:
        say(f"{database.name} and Airflow {importlib.metadata.version('apache-airflow')} start")
        fivetran = {"login": "sim-key", "password": "sim-secret", "host": url}
        described = json.dumps({case.name: dict(case.arguments) for case in cases})
        more = {"TRANSFORMED_CASES": described, **SHORTENED, **database.start()}
        airflow.start(airflow.environment(fivetran, **more))
        airflow.log_in()
        triggerer = airflow.start_triggerer()
        airflow.wait_for_triggerer(triggerer)
        if not until(lambda: all(airflow.has(case.name) for case in cases), READY_WITHIN, check):
            raise NotReadyError("Airflow does not know all DAGs")
        say(f"Airflow is ready; {len(cases)} cases")
        for case in cases:
            played = Played(case, airflow, simulator, check, triggerer)
            try:
                case.disturb(played)
                played.until_over()
                # What comes a little later than the end of the task, and nothing more after that.
                until(played.is_as_promised, PATIENCE / 4, check)
                found = played.differences()
            except Unlike as error:
                found = [str(error)]
            triggerer = played.triggerer
            wrong += bool(found)
            say(f"{case.name:<30} {case.what:<36} {'; '.join(found) or 'as promised'}   [{played.told}]")
    say(f"{len(cases) - wrong} of {len(cases)} cases as promised")
    return 1 if wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    choices = _choices(arguments)
    cases = [case for case in CASES if re.search(choices.only, case.name)]
    return carry_out(
        "transformed", lambda place: play(cases, place, sqlite=choices.sqlite), keep=choices.keep
    )


def _choices(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose names match")
    parser.add_argument("--sqlite", action="store_true", help="do without PostgreSQL")
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder with all logs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
