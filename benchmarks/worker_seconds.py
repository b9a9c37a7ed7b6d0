"""What a deferrable task costs a worker: each of its two visits, in its real process, under a real Airflow.

``python -m benchmarks.worker_seconds`` starts a private Airflow whose executor gives each visit of a task a Python
of its own, as Airflow's KubernetesExecutor does, and takes the time and the CPU of that process. The tasks are ours
and, for what is Airflow's own, one that defers to a timer and does nothing else. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.simulator import Simulator, SyncPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
CONNECTION = "shop"
DURATION = 12.0
STARTS_WITHIN = 150.0
ENDED = {"success", "failed"}
SKIPPED_FIRST = 1
ATTEMPTS = 3
MEASURED = ("cpu", "own_cpu", "seconds", "own_seconds", "mib")

DAGS = {
    "airflow_alone": """
        from datetime import timedelta
        from airflow.sdk import DAG, BaseOperator
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
        from benchmarks.spans import timed

        class Timer(BaseOperator):
            def execute(self, context):
                self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=12)), method_name="execute_complete")

            def execute_complete(self, context, event):
                return str(event)

        with DAG("airflow_alone", schedule=None):
            timed(Timer)(task_id="t")
    """,
    "operator": """
        from airflow.sdk import DAG
        from airflow_provider_fivetran.operators import FivetranOperator
        from benchmarks.spans import timed

        with DAG("operator", schedule=None):
            timed(FivetranOperator)(task_id="t", connector_id="shop", deferrable=True)
    """,
    "sensor": """
        from airflow.sdk import DAG
        from airflow_provider_fivetran.sensors import FivetranSensor
        from benchmarks.spans import timed

        with DAG("sensor", schedule=None):
            timed(FivetranSensor)(task_id="t", connector_id="shop", deferrable=True)
    """,
    "sensor_from_trigger": """
        from airflow.sdk import DAG
        from airflow_provider_fivetran.sensors import FivetranSensor
        from benchmarks.spans import timed

        with DAG("sensor_from_trigger", schedule=None):
            timed(FivetranSensor)(task_id="t", connector_id="shop", deferrable=True, start_from_trigger=True)
    """,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    # The parts of the demo that start Airflow serve here too.
    sys.path.insert(0, str(ROOT / "example_dags" / "demo"))
    from airflow_server import Airflow
    from services import Interrupts, Services, Stopped

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each DAG; the first is not counted")
    parser.add_argument("--only", default="", help="names of DAGs, separated by commas")
    choices = parser.parse_args(arguments)
    names = [name for name in DAGS if not choices.only or name in choices.only.split(",")]

    scratch = Path(tempfile.mkdtemp(prefix="fivetran-worker-seconds-"))
    for folder in ("logs", "tmp", "dags"):
        (scratch / folder).mkdir()
    for name in names:
        lines = [line.removeprefix(" " * 8) for line in DAGS[name].strip("\n").splitlines()]
        (scratch / "dags" / f"{name}.py").write_text("\n".join(lines), encoding="utf-8")
    interrupts = Interrupts()
    services = Services(scratch / "logs", interrupts)
    airflow = Airflow(scratch / "airflow", scratch / "dags", services)
    simulator = Simulator()
    simulator.add_connection(CONNECTION, default_plan=SyncPlan(duration=DURATION))
    visits = scratch / "visits.jsonl"
    try:
        with simulator.serving() as url:
            env = airflow.environment(
                {"login": "sim-key", "password": "sim-secret", "host": url},
                AIRFLOW__CORE__EXECUTOR="benchmarks.visits.OwnProcess",
                PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                FIVETRAN_BENCH_VISITS=str(visits),
            )
            airflow.start(env)
            deadline = time.monotonic() + STARTS_WITHIN
            for name in names:
                airflow.wait_until_ready(name, deadline)
            runs: dict[str, list[str]] = {name: [] for name in names}
            for number in range(choices.runs):
                for name in names:
                    print(f"run {number + 1} of {choices.runs}: {name}", flush=True)
                    runs[name].append(_run(airflow, simulator, visits, name))
            _report(visits, runs)
    except Stopped as stop:
        return int(stop.exit_code)
    finally:
        interrupts.ignore()
        services.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def _run(airflow: Any, simulator: Simulator, visits: Path, name: str) -> str:
    """Run a DAG, and return the id of its run."""
    for _ in range(ATTEMPTS):
        run_id = airflow.trigger(name, {})
        deadline = time.monotonic() + STARTS_WITHIN
        asked = not name.startswith("sensor")
        while (state := airflow.run_state(name, run_id)) not in ENDED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is still {state}")
            [task] = airflow.tasks(name, run_id)
            if task["state"] == "deferred" and not asked:
                asked = True
                time.sleep(1.5)  # the clock of Fivetran has whole seconds
                simulator.start_sync(CONNECTION)
            time.sleep(0.3)
        if state == "success":
            _until_noted(visits, run_id, 2 if name == "sensor_from_trigger" else 4)
            return str(run_id)
        # Now and then Airflow fails a task that resumes before its executor has told the end of the first visit.
        print(
            f"{name} ended as {state}; again\n{airflow.task_log(airflow.tasks(name, run_id)[0])}", flush=True
        )
    raise RuntimeError(f"{name} does not succeed")


def _until_noted(visits: Path, run_id: str, count: int) -> None:
    """Wait until the processes have ended, which they do after their tasks."""
    deadline = time.monotonic() + STARTS_WITHIN
    while visits.read_text(encoding="utf-8").count(json.dumps(run_id)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the processes of {run_id} do not end")
        time.sleep(0.2)


def _report(visits: Path, runs: dict[str, list[str]]) -> None:
    taken: dict[str, list[dict[str, Any]]] = {}
    for line in visits.read_text(encoding="utf-8").splitlines():
        visit = json.loads(line)
        # The task notes its own part first, and then the executor the whole.
        of_run = taken.setdefault(visit["run_id"], [])
        if of_run and "cpu" not in of_run[-1]:
            of_run[-1].update(visit)
        else:
            of_run.append(visit)
    print(
        "\n| task | visit | CPU s | of it the task's own, ms | seconds | the task's own, ms | MiB | visits |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, run_ids in runs.items():
        counted = [taken[run_id] for run_id in run_ids[SKIPPED_FIRST:]]
        for index, kind in enumerate(["end"] if name == "sensor_from_trigger" else ["start", "end"]):
            middle = {what: statistics.median(of_run[index][what] for of_run in counted) for what in MEASURED}
            cpu, own_cpu = f"{middle['cpu']:.2f}", f"{1000 * middle['own_cpu']:.0f}"
            seconds, own_seconds = f"{middle['seconds']:.1f}", f"{1000 * middle['own_seconds']:.0f}"
            print(f"| {name} | {kind} | {cpu} | {own_cpu} | {seconds} | {own_seconds}", end=" | ")
            print(f"{middle['mib']:.0f} | {len(counted)} |")


if __name__ == "__main__":
    sys.exit(main())
