"""Runs the DAGs of an Airflow home of its own, with real task logs and a real triggerer, and keeps all that passes.

Run as a program, in a process whose environment names the home. The Airflow connections in the variable ``STORED``
are put into the database; all others are in the environment.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow.executors.base_executor import BaseExecutor

HOME = Path(os.environ["AIRFLOW_HOME"])


class Supervising(BaseExecutor):
    """Runs each task at once, in a process of its own that is supervised and writes its log like any worker's.

    The log goes into its file only. The copy that a LocalExecutor of Airflow 3.3.2 makes on its terminal is not masked.
    """

    is_local = True

    def _process_workloads(self, workloads: Any) -> None:
        from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, supervise_task

        for workload in workloads:
            self.queued_tasks.pop(workload.ti.key, None)
            self.running.add(workload.ti.key)
            supervise_task(
                ti=workload.ti,
                bundle_info=workload.bundle_info,
                dag_rel_path=workload.dag_rel_path,
                token="",
                log_path=workload.log_path,
                client=InProcessTestSupervisor._api_client(object()),
            )
            self.success(workload.ti.key)
            keep_a_copy()

    def sync(self) -> None:
        """There is nothing to wait for."""

    def end(self) -> None:
        """There is nothing to wait for."""


def keep_a_copy() -> None:
    """Keep the database as it is now, and what it holds for triggers without their encryption."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    copies = HOME / "copies"
    copies.mkdir(exist_ok=True)
    number = len(list(copies.glob("*.db")))
    with (
        closing(sqlite3.connect(HOME / "airflow.db")) as source,
        closing(sqlite3.connect(copies / f"{number:02}.db")) as target,
    ):
        source.backup(target)
    with create_session() as session, (HOME / "trigger_kwargs.txt").open("a") as file:
        for trigger in session.query(Trigger):
            file.write(f"{trigger.classpath} {trigger.kwargs!r}\n")


def main() -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.connection import Connection
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        for conn_id, fields in json.loads(os.environ.pop("STORED")).items():
            session.add(Connection(conn_id=conn_id, **fields))
    triggerer = subprocess.Popen([sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"])
    try:
        bag = DagBag(HOME / "dags")
        if bag.import_errors:
            raise ImportError(bag.import_errors)
        supervised = bag.dags["supervised"].test(use_executor=True)
    finally:
        triggerer.kill()
        triggerer.wait()

    # And as people do it at their desks: everything in this process, the log on the terminal.
    from airflow_provider_fivetran import triggers

    def mistaken(*_args: object, **_kwargs: object) -> None:
        raise KeyError("a mistake of this program")

    triggers.watch = mistaken  # type: ignore[assignment]
    at_the_desk = bag.dags["at_the_desk"].test()
    keep_a_copy()
    states = {
        ti.task_id: str(ti.state) for run in (supervised, at_the_desk) for ti in run.get_task_instances()
    }
    (HOME / "states.json").write_text(json.dumps(states))


if __name__ == "__main__":
    main()
