"""An Airflow with stand-ins for what the DAGs import from other companies, and an account with two connections."""

from __future__ import annotations

import json
import shutil
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import airflow_home
import pytest

from airflow_provider_fivetran.simulator import Simulator, SyncPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture
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
def account(airflow_db: None, stand_ins: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    simulator = Simulator()
    # The sensors behind waiting operators want one more sync, which here as there comes from Fivetran's schedule.
    for name in ("accounts", "adverts"):
        simulator.add_connection(f"{name}_id", schema=name, every=2, default_plan=SyncPlan(duration=0.5))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", value)
    with simulator.serving(port=0) as url:
        conn = {"conn_type": "fivetran", "login": "sim-key", "password": "sim-secret", "host": url}
        for conn_id in ("FIVETRAN_DEFAULT", "FIVETRAN"):  # the latter is the older provider's default
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", json.dumps(conn))
        yield simulator


@pytest.fixture
def load_text(stand_ins: None) -> Iterator[Callable[[str, str], Any]]:
    """Load the DAG of that id from the text of its file, alone in Airflow's folder: each run reads the whole folder."""
    folder = airflow_home.DAGS_FOLDER

    def load_dag(dag_id: str, text: str) -> Any:
        try:
            from airflow.dag_processing.dagbag import DagBag
        except ImportError:
            from airflow.models.dagbag import DagBag
        file = folder / f"{dag_id}.py"
        file.write_text(text, encoding="utf-8")
        bag = DagBag(file)
        assert bag.import_errors == {}
        return bag.dags[dag_id]

    yield load_dag
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
