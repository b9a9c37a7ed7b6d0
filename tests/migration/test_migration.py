"""DAGs written for other providers work after ``airflow fivetran migrate``.

The DAGs in ``dags/`` use the same constructs as the seven examples that the repository of
``airflow-provider-fivetran-async`` 2.4.0 publishes, one that came with 2.0 only, and what its README shows besides; for
these it is enough to change the package in their imports, and they stand there as they are after that. Those in ``older/`` use the constructs of the five examples that the older
``airflow-provider-fivetran`` 1.1.4 comes with, and stand there as they were. Only what Airflow 3 itself removed was
changed. Operators of other companies are replaced by stand-ins that do nothing: what is tested is that ours parse and
run beside them with the arguments that people gave them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_fivetran.migrate.rewriting import rewrite

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_fivetran.simulator import Simulator

DAGS = Path(__file__).parent / "dags"
OLDER = Path(__file__).parent / "older"
NAMES = sorted(path.stem for path in DAGS.glob("*.py"))
OLDER_NAMES = sorted(path.stem for path in OLDER.glob("*.py"))
# Whole runs go through Airflow, whose own warnings are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::airflow_provider_fivetran"),
]


@pytest.fixture
def load(load_text: Callable[[str, str], Any]) -> Callable[[str], Any]:
    """Load a DAG as the command rewrites it."""

    def load_rewritten(name: str) -> Any:
        if name in OLDER_NAMES:
            return load_text(
                f"older_{name}", rewrite((OLDER / f"{name}.py").read_text(encoding="utf-8")).text
            )
        ours = (DAGS / f"{name}.py").read_text(encoding="utf-8")
        theirs = ours.replace("airflow_provider_fivetran", "fivetran_provider_async")
        return load_text(f"migrated_{name}", rewrite(theirs).text)

    return load_rewritten


def _run(dag: Any) -> Any:
    return dag.test(logical_date=datetime.now(UTC))


def _stop_its_schedule(account: Simulator) -> None:
    connection = account.account.connection("accounts_id")
    connection.every = connection.interval = connection.scheduled_at = None


def test_there_are_as_many_as_were_published() -> None:
    assert (len(NAMES), len(OLDER_NAMES)) == (7 + 2, 5)


@pytest.mark.parametrize("name", NAMES + OLDER_NAMES)
def test_it_imports_and_asks_nobody_anything(
    name: str, load: Callable[[str], Any], account: Simulator
) -> None:
    assert load(name).tasks
    assert account.requests == []


@pytest.mark.newest
@pytest.mark.parametrize(
    "name", [*(name for name in NAMES if name not in ("resync", "operator_then_sensor")), *OLDER_NAMES]
)
def test_it_runs_to_its_end(name: str, load: Callable[[str], Any], account: Simulator) -> None:
    dag_run = _run(load(name))
    states = {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}
    assert str(dag_run.state) == "success"
    # The branch that was not taken.
    assert {task for task, state in states.items() if state != "success"} <= {"train"}


@pytest.mark.newest
def test_a_resync_of_chosen_tables_asks_for_just_these(
    load: Callable[[str], Any], account: Simulator
) -> None:
    assert str(_run(load("resync")).state) == "success"
    scopes = [run.tables for run in account.runs("accounts_id") if run.cause == "resync"]
    assert {"accounts": ["customers", "orders"]} in scopes
    assert None in scopes


@pytest.mark.newest
def test_the_sensor_waits_for_the_sync_whose_time_the_operator_returned(
    load: Callable[[str], Any], account: Simulator
) -> None:
    _stop_its_schedule(account)
    began = time.time()
    assert str(_run(load("operator_then_sensor")).state) == "success"
    [run] = account.runs("accounts_id")
    assert run.cause == "api"
    assert run.ended_at.timestamp() > began


@pytest.mark.newest
def test_the_sensor_waits_for_a_sync_of_fivetrans_schedule_that_ended_after_the_interval(
    load: Callable[[str], Any], account: Simulator
) -> None:
    dag_run = _run(load("scheduled_elsewhere"))
    assert str(dag_run.state) == "success"
    [arrived] = dag_run.get_task_instances()
    due = dag_run.data_interval_end + timedelta(seconds=2)
    runs = account.runs("accounts_id")
    assert {run.cause for run in runs} == {"schedule"}
    assert any(due < run.ended_at < arrived.end_date for run in runs if run.ended_at)


@pytest.mark.newest
def test_of_the_older_provider_too_the_sensor_waits_for_that_sync_and_the_operator_does_not(
    load: Callable[[str], Any], account: Simulator
) -> None:
    _stop_its_schedule(account)
    dag_run = _run(load("time_of_the_operator"))
    assert str(dag_run.state) == "success"
    [run] = account.runs("accounts_id")
    assert run.cause == "api"
    [begin] = [ti for ti in dag_run.get_task_instances() if ti.task_id == "begin-sync"]
    assert begin.end_date < run.ended_at
