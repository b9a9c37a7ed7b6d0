"""A real Airflow whose DAGs run when Fivetran lands data on its own schedule: each landing once, by whatever way.

``python tests/live/landings.py`` lets three connections sync by themselves, restarts the api-server and the triggerer
in the middle, compares the DAG runs with the simulator's own record, and writes the table to docs/landings.md. The
exit code is 1 if a landing was lost or told twice.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shutil
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

# Its parts that start processes and talk to Airflow serve here too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "example_dags" / "demo"))

import requests

from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from airflow_server import NotReadyError
from running import carry_out
from stage import API_SERVER, Database, LiveAirflow, sync_id_of, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_fivetran.simulator.records import Run
    from progress import Progress
    from running import Place

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "landings.md"
WAYS = ("by_watcher", "by_webhook", "by_both")
INCIDENTS = ("incident_by_watcher", "incident_by_webhook")
# Seconds between the syncs of a connection, and how long one takes.
EVERY, LASTS = 14.0, 3.0
ONE_IN_SO_MANY_FAILS = 5
TRIGGERER_AWAY_FOR = 20.0
SECRET = "a secret of this run"
READY_WITHIN, ALL_TOLD_WITHIN = 180.0, 120.0
INTRODUCTION = """\
# Landings

Three connections of a simulated Fivetran sync by themselves every {every:g} seconds, and every fifth sync fails.
In a real Airflow, an empty DAG is scheduled on each connection's asset: one that is told by a watcher
(`poll_frequency` of {poll:g} seconds), one by Fivetran's webhooks, and one that has both, where the receiver
begins to tell after a minute; two more are scheduled on the failures. In the middle the api-server is restarted,
and later the triggerer, which stays away for {away:g} seconds. The simulator repeats a delivery that fails after
seven seconds instead of six minutes. *Late* counts from the end of the sync by the simulator's record to the asset
event, and to the start of the DAG run, without the syncs that ended shortly before or during a restart. Airflow
makes one DAG run of events that come together, as they do after a restart: so there may be fewer runs than events.
"""


@dataclass(frozen=True)
class Landed:
    """What became of the landings that a DAG is scheduled on."""

    dag_id: str
    syncs: int
    events: int
    runs: int
    lost: list[str]
    repeated: list[str]
    late: list[float]
    late_runs: list[float]


class Landings:
    """One run."""

    def __init__(self, place: Place, choices: Any) -> None:
        self._processes = place.processes
        self._say = place.progress.say
        self._simulator = Simulator()
        self._dags = place.scratch / "dags"
        self._choices = choices
        self.database = Database(place.scratch, place.processes, sqlite=choices.sqlite)
        self._airflow = LiveAirflow(place.scratch / "airflow", self._dags, place.processes)
        self._disturbed: list[tuple[datetime, datetime]] = []

    def run(self) -> list[Landed]:
        with self._simulator.serving() as url:
            triggerer = self._start(url)
            self._hook_up(url)
            began = time.monotonic()
            self._begin_syncs()
            third = self._choices.seconds / 3
            self._pass(third)
            self._restart_api_server()
            self._pass(began + 2 * third - time.monotonic())
            self._restart_triggerer(triggerer)
            self._pass(began + 3 * third - time.monotonic())
            for name in WAYS:
                self._simulator.pause(name)
            lasted = time.monotonic() - began
            self._say(f"no more syncs begin, after {sum(len(self._simulator.runs(name)) for name in WAYS)}")
            until(
                lambda: all(self._is_told(dag_id) for dag_id in (*WAYS, *INCIDENTS)),
                ALL_TOLD_WITHIN,
                self._check,
            )
            self._pass(15)  # in which something might be told twice
            asked = Counter(
                "history"
                if "history" in request.path
                else "list"
                if request.path == "/v1/connections"
                else "look"
                for request in self._simulator.requests
                if request.method == "GET" and request.path.startswith("/v1/connections")
            )
            self._say(f"requests in {lasted:.0f} s: {dict(asked)}")
            return [self._landed(dag_id) for dag_id in (*WAYS, *INCIDENTS)]

    # --- its parts ------------------------------------------------------------------------------------------

    def _start(self, url: str) -> str:
        self._dags.mkdir()
        shutil.copy(HERE / "dags" / "landed.py", self._dags)
        self._say(f"{self.database.name} and Airflow {importlib.metadata.version('apache-airflow')} start")
        fivetran: dict[str, Any] = {
            "login": "sim-key",
            "password": "sim-secret",
            "host": url,
            "extra": {"webhook_secret": SECRET},
        }
        more = {
            "LANDINGS_HOST": urlsplit(url).netloc,
            "LANDINGS_POLL": str(self._choices.poll),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
            **self.database.start(),
        }
        self._airflow.start(self._airflow.environment(fivetran, **more))
        self._airflow.log_in()
        for name in WAYS:
            group = f"group_{name}"
            self._simulator.add_group(group)
            self._simulator.add_connection(
                name, group_id=group, schedule_type="auto", every=EVERY, paused=True, plans=self._plans()
            )
        triggerer = self._airflow.start_triggerer()
        self._airflow.wait_for_triggerer(triggerer)
        wanted = (*WAYS, *INCIDENTS)
        if not until(lambda: all(self._airflow.has(dag_id) for dag_id in wanted), READY_WITHIN, self._check):
            raise NotReadyError(f"Airflow does not know {', '.join(wanted)}")
        # The watchers have had their first look, which is where news begins.
        if not until(lambda: self._simulator.count("GET", "/v1/connections") >= 1, READY_WITHIN, self._check):
            raise NotReadyError("no watcher looks")
        self._pass(2 * self._choices.poll)
        return triggerer

    def _hook_up(self, url: str) -> None:
        self._simulator.switches.update(webhook_retry_factor=0.02)
        for name in ("by_webhook", "by_both"):
            answer = requests.post(
                f"{url}/v1/webhooks/group/group_{name}",
                json={
                    "url": f"{self._airflow.url}/fivetran/webhooks/fivetran_default",
                    "events": ["sync_end"],
                    "active": True,
                    "secret": SECRET,
                },
                auth=("sim-key", "sim-secret"),
                timeout=30,
            )
            if not answer.ok:
                raise NotReadyError(f"the webhook of {name} was refused: {answer.text}")
        self._say("Airflow is ready, and the webhooks are answered")

    def _plans(self) -> list[SyncPlan]:
        bad, good = SyncPlan(duration=LASTS, outcome="failure"), SyncPlan(duration=LASTS)
        count = int(self._choices.seconds / EVERY) + 5
        return [bad if number % ONE_IN_SO_MANY_FAILS == 3 else good for number in range(count)]

    def _begin_syncs(self) -> None:
        for name in WAYS:
            self._simulator.unpause(name)
        self._say(f"three connections sync every {EVERY:g} s")

    def _restart_api_server(self) -> None:
        began = datetime.now(UTC)
        self._say("the api-server is restarted")
        self._processes.terminate(API_SERVER)
        self._airflow.start_api_server()
        self._airflow.log_in()
        self._disturbed.append((began, datetime.now(UTC)))
        self._say("the api-server answers again")

    def _restart_triggerer(self, name: str) -> None:
        began = datetime.now(UTC)
        self._say("the triggerer is restarted")
        (self._processes.kill if self._choices.kill else self._processes.terminate)(name)
        self._pass(TRIGGERER_AWAY_FOR)
        self._airflow.wait_for_triggerer(self._airflow.start_triggerer())
        self._disturbed.append((began, datetime.now(UTC)))
        self._say("another triggerer is there")

    def _pass(self, seconds: float) -> None:
        until(lambda: False, max(seconds, 0), self._check)

    def _check(self) -> None:
        self._processes.check()

    # --- what became of it ----------------------------------------------------------------------------------

    def _syncs(self, dag_id: str) -> dict[str, Run]:
        """The truth: those that the DAG is to be told of, by their ids."""
        name = dag_id.removeprefix("incident_")
        # The pause at the end may have stopped one.
        ended = [run for run in self._simulator.runs(name) if run.ended_at is not None]
        return {run.sync_id: run for run in ended if (run.status == "COMPLETED") != (dag_id in INCIDENTS)}

    def _events(self, dag_id: str) -> list[dict[str, Any]]:
        name = dag_id.removeprefix("incident_")
        ending = f"/failures/{name}" if dag_id in INCIDENTS else f"/{name}"
        events = self._airflow.asset_events()
        failures = dag_id in INCIDENTS
        return [e for e in events if e["uri"].endswith(ending) and ("/failures/" in e["uri"]) == failures]

    def _is_told(self, dag_id: str) -> bool:
        try:
            return len(self._events(dag_id)) >= len(self._syncs(dag_id))
        except NotReadyError:
            return False

    def _landed(self, dag_id: str) -> Landed:
        syncs = self._syncs(dag_id)
        events = self._events(dag_id)
        told = Counter(sync_id_of(event) for event in events)
        runs = self._airflow._call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        late, late_runs = [], []
        for event in events:
            run = syncs.get(sync_id_of(event))
            if run is None or run.ended_at is None:
                continue
            about_to = timedelta(seconds=self._choices.poll + 2)
            if any(began - about_to <= run.ended_at <= ended for began, ended in self._disturbed):
                continue
            late.append((_moment(event["timestamp"]) - run.ended_at).total_seconds())
            queued = [
                _moment(each["start_date"] or each["data_interval_end"]) for each in event["created_dagruns"]
            ]
            late_runs += [(at - run.ended_at).total_seconds() for at in queued]
        return Landed(
            dag_id=dag_id,
            syncs=len(syncs),
            events=len(events),
            runs=len(runs),
            lost=sorted(set(syncs) - set(told)),
            repeated=sorted(name for name, count in told.items() if count > 1 or name not in syncs),
            late=late,
            late_runs=late_runs,
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def table(found: Sequence[Landed]) -> str:
    lines = [
        "| DAG | syncs | asset events | DAG runs | lost | told twice | event late: median | most | DAG run late: median | most |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found:
        spans = [_shown(row.late, statistics.median), _shown(row.late, max)]
        spans += [_shown(row.late_runs, statistics.median), _shown(row.late_runs, max)]
        numbers = [row.syncs, row.events, row.runs, len(row.lost), len(row.repeated)]
        lines.append("| " + " | ".join([f"`{row.dag_id}`", *map(str, numbers), *spans]) + " |")
    return "\n".join(lines)


def _shown(values: list[float], what: Any) -> str:
    return f"{what(values):.1f} s" if values else "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code says whether each landing was told once."""
    choices = _choices(arguments)

    def play(place: Place) -> int:
        landings = Landings(place, choices)
        return _report(landings.run(), landings, place.progress, choices)

    return carry_out("landings", play, keep=choices.keep)


def _report(found: Sequence[Landed], landings: Landings, progress: Progress, choices: Any) -> int:
    progress.plain(f"\n{table(found)}\n")
    wrong = [row for row in found if row.lost or row.repeated or not row.syncs]
    for row in wrong:
        progress.plain(f"{row.dag_id}: lost {row.lost}, told twice or wrongly {row.repeated}")
    if choices.write:
        airflow, python = importlib.metadata.version("apache-airflow"), platform.python_version()
        facts = (
            f"{datetime.now(UTC):%Y-%m-%d}, Airflow {airflow}, Python {python}, {landings.database.name}; "
            f"`make landings`, {choices.seconds:g} seconds of syncs."
        )
        introduction = INTRODUCTION.format(every=EVERY, poll=choices.poll, away=TRIGGERER_AWAY_FOR)
        PAGE.write_text(f"{introduction}\n{facts}\n\n{table(found)}\n", encoding="utf-8")
    return 1 if wrong else 0


def _choices(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=240.0, help="for which syncs begin; %(default)g")
    parser.add_argument("--poll", type=float, default=5.0, help="seconds between looks; %(default)g")
    parser.add_argument("--kill", action="store_true", help="kill the triggerer instead of asking it to end")
    parser.add_argument("--sqlite", action="store_true", help="do without PostgreSQL")
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder with all logs")
    parser.add_argument("--write", action="store_true", help="write docs/landings.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
