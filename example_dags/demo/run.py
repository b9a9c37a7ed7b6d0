"""The main job, before your eyes: a real Airflow starts a Fivetran sync, defers, notices its end, runs dbt.

With ``--watched`` nothing is started: Fivetran keeps its own schedule, and a DAG runs when data has landed.
``python example_dags/demo/run.py --help`` lists what can be chosen. Everything runs on loopback ports and
in a scratch folder; when the demo ends, also by Ctrl-C, nothing of it is left.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_server import USER, Airflow, NotReadyError
from choices import RefusedError, read_choices
from progress import Follower, Progress
from report import landed, mart, moment, syncs, table
from services import Interrupts, ServiceDiedError, Services, Stopped
from simulated import KEY, SECRET, SYNCED, SimulatedFivetran
from watched import DAG_ID as WATCHED
from watched import EVERY, Landings, last_to_land, record_of

if TYPE_CHECKING:
    from typing import Any

    from choices import Account, Choices

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent
START_UP_TAKES_AT_MOST = 120.0
EVERY_IN_UI = {"crm": 60.0}
WITH_DBT, PLAIN = "fivetran_then_dbt", "sync_one_connection"
NEEDED = (
    "airflow_provider_fivetran",
    "airflow",
    "cosmos",
    "dbt.adapters.duckdb",
    "duckdb",
    "fastapi",
    "uvicorn",
)


class Demo:
    """One run of the demo: what is started, watched, shown and stopped."""

    def __init__(self, choices: Choices, scratch: Path, services: Services, progress: Progress) -> None:
        self._choices = choices
        self._services = services
        self._progress = progress
        self._scratch = scratch
        self._warehouse = scratch / "warehouse.duckdb"
        self._dag_id = PLAIN if choices.account else WATCHED if choices.watched else WITH_DBT
        self._fivetran: SimulatedFivetran | None = None
        self._airflow = Airflow(scratch / "airflow", self._dags_folder(), services)

    def _dags_folder(self) -> Path:
        """Where Airflow looks for DAGs: all examples, to be looked at, or a copy of the one that runs."""
        if self._choices.ui and not self._choices.account:
            return EXAMPLES
        folder = self._scratch / "dags"
        folder.mkdir()
        source = HERE / "dags" if self._choices.account else EXAMPLES
        shutil.copy(source / f"{self._dag_id}.py", folder)
        if not self._choices.account:
            shutil.copytree(EXAMPLES / "dbt", folder / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
            (folder / ".airflowignore").write_text("dbt/\n")
        return folder

    def run(self) -> int:
        """Run the demo and return the exit code."""
        self._start()
        if self._choices.ui:
            return self._leave_running()
        return self._watch_landings() if self._choices.watched else self._watch_one_run()

    def _start(self) -> None:
        account = self._choices.account
        if account is None:
            self._fivetran = SimulatedFivetran(self._services, self._scratch, self._warehouse)
            every = EVERY if self._choices.watched else EVERY_IN_UI if self._choices.ui else {}
            self._fivetran.start(self._choices.seconds_per_sync, every)
            self._progress.say(f"A simulated Fivetran listens at {self._fivetran.url}")
        else:
            self._progress.say(f"Fivetran is the real one{f' ({account.url})' if account.url else ''}")
        self._progress.say(
            f"Airflow {version('apache-airflow')} starts: API server, scheduler, DAG processor, triggerer"
        )
        env = self._airflow.environment(self._connection(account), SHOP_DUCKDB=str(self._warehouse))
        self._airflow.start(env)
        self._airflow.wait_until_ready(self._dag_id, time.monotonic() + START_UP_TAKES_AT_MOST)

    def _connection(self, account: Account | None) -> dict[str, str]:
        if account is None:
            assert self._fivetran is not None  # noqa: S101
            return {"login": KEY, "password": SECRET, "host": self._fivetran.url}
        return {"login": account.key, "password": account.secret, "host": account.url}

    def _watch_one_run(self) -> int:
        account = self._choices.account
        run_id = self._airflow.trigger(self._dag_id, {"connection": account.connection} if account else {})
        self._progress.say(f"Airflow is ready; {self._dag_id} is triggered")
        follower = Follower(self._airflow, self._dag_id, run_id, self._progress)
        # A real sync may take a day, and its task ends by itself; a simulated one must not take long.
        deadline = None if account else time.monotonic() + self._choices.time_limit
        state, tasks = follower.follow(deadline, self._services.check)
        self._show_syncs(run_id, tasks)
        if state != "success":
            return self._fail(tasks)
        if account is None:
            self._show_warehouse("shop")
        how = "deferred in between" if follower.deferred else "never deferred"
        self._progress.plain()
        self._progress.say(f"{self._dag_id} succeeded; the sync's task was {how}")
        return 0

    def _watch_landings(self) -> int:
        fivetran = self._fivetran
        assert fivetran is not None  # noqa: S101
        self._progress.say(f"Airflow is ready; nobody triggers {WATCHED}, it waits for {' and '.join(EVERY)}")
        deadline = time.monotonic() + self._choices.time_limit
        landings = Landings(self._airflow, fivetran, self._progress)
        run_id = landings.wait_for_run(deadline, self._services.check)
        # One of dbt's tests compares a table with what it was made of, which must not change in between.
        for name in EVERY:
            fivetran.rest(name)
        self._progress.say(
            "Fivetran starts no more syncs: dbt's tests are to find the rows that its models found"
        )
        follower = Follower(self._airflow, WATCHED, run_id, self._progress)
        state, tasks = follower.follow(deadline, self._services.check)
        events = self._airflow.events_behind(WATCHED, run_id)
        self._progress.plain("\nSyncs that the run was made for, as their asset events told\n")
        self._progress.plain(syncs(sorted(map(record_of, events), key=lambda record: record["ended_at"])))
        if state != "success":
            return self._fail(tasks)
        self._show_warehouse(*EVERY)
        last, ended = last_to_land(events)
        started = moment(self._airflow.run(WATCHED, run_id)["start_date"]) or ended
        late = f"{(started - ended).total_seconds():.1f} s"
        self._progress.plain()
        self._progress.say(f"{WATCHED} succeeded; it started {late} after the second sync, of {last}, ended")
        return 0

    def _show_syncs(self, run_id: str, tasks: list[dict[str, Any]]) -> None:
        records = [
            self._airflow.xcom(self._dag_id, run_id, task["task_id"], "fivetran_sync") for task in tasks
        ]
        records = [record for record in records if record]
        if records:
            self._progress.plain("\nSyncs that ran, as the tasks recorded them (XCom fivetran_sync)\n")
            self._progress.plain(syncs(records))
            for record in records:
                self._progress.plain(f"\n  {record['link']}")
        if self._fivetran is not None:
            items = self._fivetran.history(SYNCED)
            self._progress.plain("\nWhat Fivetran itself says about it (sync history)\n")
            rows = [
                (item["sync_id"], item["status"], moment(item["start"]), moment(item.get("end")))
                for item in items
            ]
            self._progress.plain(table(("sync", "status", "started", "ended"), rows))

    def _show_warehouse(self, *schemas: str) -> None:
        self._progress.plain(f"\nWhat the sync{'s' if len(schemas) > 1 else ''} landed\n")
        self._progress.plain(landed(self._warehouse, *schemas))
        self._progress.plain("\nWhat dbt made of it: the last ten days of the mart daily_revenue\n")
        self._progress.plain(mart(self._warehouse, "daily_revenue", "order_date desc", 10))
        self._progress.plain("\n... and the five best customers of the mart customer_orders\n")
        self._progress.plain(mart(self._warehouse, "customer_orders", "lifetime_value desc, customer_id", 5))

    def _fail(self, tasks: list[dict[str, Any]]) -> int:
        for task in tasks:
            if task["state"] == "failed":
                self._progress.plain(f"\n{task['task_id']} failed. The end of its log:\n")
                self._progress.plain(self._airflow.task_log(task))
        self._progress.say(f"{self._dag_id} failed")
        return 1

    def _leave_running(self) -> int:
        say = self._progress.plain
        self._progress.say("Airflow is ready")
        say(f"\n  Airflow    {self._airflow.url}   user {USER}, password {self._airflow.password}")
        if self._fivetran is not None:
            say(f"  Fivetran   {self._fivetran.url}   simulated; key {KEY}, secret {SECRET}")
            say(f"  Warehouse  {self._warehouse}")
        say(f"\n  Trigger the DAG {self._dag_id} to begin with. Ctrl-C stops everything.\n")
        while True:
            self._services.check()
            time.sleep(0.5)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the exit code says how it went."""
    try:
        choices = read_choices(arguments)
        _check_installed()
    except RefusedError as refusal:
        print(refusal, file=sys.stderr)
        return 2
    interrupts = Interrupts()
    progress = Progress()
    scratch: Path | None = None
    services: Services | None = None
    try:
        with interrupts.held():
            scratch = Path(tempfile.mkdtemp(prefix="fivetran-demo-"))
            for folder in ("logs", "tmp"):
                (scratch / folder).mkdir()
            services = Services(scratch / "logs", interrupts)
        return Demo(choices, scratch, services, progress).run()
    except Stopped as stop:
        progress.plain("\nStopping everything ...")
        return stop.exit_code
    except (NotReadyError, ServiceDiedError) as problem:
        progress.plain(f"\n{problem}")
        return 1
    finally:
        interrupts.ignore()
        if services is not None:
            services.stop()
        if scratch is not None:
            _dispose(scratch, progress, keep=choices.keep)


def _check_installed() -> None:
    for name in NEEDED:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise RefusedError(f"{name} is not installed here. `make demo` installs all that is needed.")


def _dispose(scratch: Path, progress: Progress, *, keep: bool) -> None:
    if keep:
        progress.plain(f"The scratch folder is kept: {scratch}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
