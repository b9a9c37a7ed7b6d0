"""DAGs written for ``airflow-provider-fivetran-async`` 2.4.0 work after changing only the package in their imports.

The DAGs in ``dags/`` use the same constructs as the seven examples that its repository publishes. Only what Airflow 3
itself removed was changed, as each file says. Operators of other companies are replaced by stand-ins that do nothing:
what is tested is that ours parse and run beside them with the arguments that people gave them.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import airflow_home
import pytest

from airflow_provider_fivetran.simulator import Simulator, SyncPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAGS = Path(__file__).parent / "dags"
NAMES = sorted(path.stem for path in DAGS.glob("*.py"))
FOREIGN = {
    "airflow.providers.ssh.operators.ssh": ["SSHOperator"],
    "airflow.providers.google.cloud.sensors.bigquery": ["BigQueryTableExistenceSensor"],
    "airflow.providers.google.cloud.operators.bigquery": [
        "BigQueryExecuteQueryOperator",
        "BigQueryGetDataOperator",
        "BigQueryValueCheckOperator",
    ],
}
VARIABLES = {
    "accounts_connection": "accounts_id",
    "accounts_name": "accounts",
    "accounts_destination": "Warehouse",
    "adverts_connection": "adverts_id",
    "project": "a-project",
}

# Whole runs go through Airflow, whose own warnings are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::airflow_provider_fivetran"),
]


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a module with empty operators where each foreign provider would be."""
    from airflow.providers.common.compat.sdk import BaseOperator

    def accept(self: Any, task_id: str, **arguments: Any) -> None:
        BaseOperator.__init__(self, task_id=task_id)

    for name, operators in FOREIGN.items():
        parts = name.split(".")
        for length in range(3, len(parts) + 1):
            package = ".".join(parts[:length])
            module = ModuleType(package)
            module.__path__ = []
            monkeypatch.setitem(sys.modules, package, module)
        for operator in operators:
            made = type(
                operator, (BaseOperator,), {"__init__": accept, "execute": lambda self, context: None}
            )
            monkeypatch.setattr(sys.modules[name], operator, made, raising=False)


@pytest.fixture
def account(airflow_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    simulator = Simulator()
    # The sensors behind waiting operators want one more sync, which here as there comes from Fivetran's schedule.
    for name in ("accounts", "adverts"):
        simulator.add_connection(f"{name}_id", schema=name, every=2, default_plan=SyncPlan(duration=0.5))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", value)
    with simulator.serving(port=0) as url:
        conn = {"conn_type": "fivetran", "login": "sim-key", "password": "sim-secret", "host": url}
        monkeypatch.setenv("AIRFLOW_CONN_FIVETRAN_DEFAULT", json.dumps(conn))
        yield simulator


@pytest.fixture
def load() -> Iterator[Callable[[str], Any]]:
    """Load one of the DAGs, alone in Airflow's folder, as each run reads the whole folder again."""
    folder = airflow_home.DAGS_FOLDER

    def load_dag(name: str) -> Any:
        try:
            from airflow.dag_processing.dagbag import DagBag
        except ImportError:
            from airflow.models.dagbag import DagBag
        file = folder / f"{name}.py"
        shutil.copy(DAGS / file.name, file)
        bag = DagBag(file)
        assert bag.import_errors == {}
        return bag.dags[f"migrated_{name}"]

    yield load_dag
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _run(dag: Any) -> Any:
    return dag.test(logical_date=datetime.now(UTC))


def test_there_are_as_many_as_were_published() -> None:
    assert len(NAMES) == 7


@pytest.mark.parametrize("name", NAMES)
def test_it_imports_and_asks_nobody_anything(
    name: str, load: Callable[[str], Any], account: Simulator
) -> None:
    assert load(name).tasks
    assert account.requests == []


@pytest.mark.newest
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("resync", "operator_then_sensor")])
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
    account.account.connection("accounts_id").every = None
    began = time.time()
    assert str(_run(load("operator_then_sensor")).state) == "success"
    [run] = account.runs("accounts_id")
    assert run.cause == "api"
    assert run.ended_at.timestamp() > began
