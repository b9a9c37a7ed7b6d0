"""What Airflow has in its own tables when a DAG of each kind of task has run."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

import airflow_home
from airflow_provider_fivetran.assets import sync_record_of
from airflow_provider_fivetran.simulator import SyncPlan
from stories import IS_AIRFLOW_2

# A whole run goes through Airflow, whose own warnings are not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::airflow_provider_fivetran"),
]

USES = """
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG, AssetAlias
from airflow_provider_fivetran.assets import connection_asset, group_asset
from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.sensors import FivetranSensor

def task(name, kind=FivetranOperator, **arguments):
    return kind(task_id=name, connector_id=name, outlets=[connection_asset(name)], **arguments)

with DAG("tells", schedule=None, start_date=datetime(2026, 1, 1), default_args={"retries": 0}):
    task("blocking", poll_frequency=0.1)
    task("deferred", poll_frequency=0.1, deferrable=True)
    task("sensed", FivetranSensor, poke_interval=0.1, deferrable=True)
    task("fails", poll_frequency=0.1)
    task("is_skipped", when_paused="skip")
    FivetranOperator.partial(
        task_id="mapped", outlets=[AssetAlias("synced"), group_asset("w")], poll_frequency=0.1, deferrable=True
    ).expand(connector_id=["one", "two"])
    FivetranOperator.partial(
        task_id="tables", outlets=[AssetAlias("filled")], table_assets=AssetAlias("filled"), poll_frequency=0.1
    ).expand(connector_id=["three"])
"""


@pytest.fixture
def dag(airflow_db):
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    file = airflow_home.DAGS_FOLDER / "tells.py"
    file.write_text(USES)
    bag = DagBag(file)
    assert bag.import_errors == {}
    if IS_AIRFLOW_2:  # whose dag.test() does not do so, and fails over aliases that it does not know
        bag.dags["tells"].sync_to_db()
    yield bag.dags["tells"]
    file.unlink()
    shutil.rmtree(airflow_home.DAGS_FOLDER / "__pycache__", ignore_errors=True)


def events_of(run):
    """The events of a DAG run: who emitted each, of which asset, through which aliases, and its record."""
    from airflow.utils.session import create_session

    if IS_AIRFLOW_2:
        from airflow.models.dataset import DatasetEvent as AssetEvent
    else:
        from airflow.models.asset import AssetEvent
    with create_session() as session:
        return [
            (
                f"{event.source_task_id}[{event.source_map_index}]",
                event.dataset.uri if IS_AIRFLOW_2 else event.asset.uri,
                [alias.name for alias in event.source_aliases],
                sync_record_of(event),
            )
            for event in session.query(AssetEvent).filter(AssetEvent.source_run_id == run.run_id)
        ]


def test_tasks_that_succeed_tell_of_their_own_sync_once_and_others_of_nothing(dag, simulator, fivetran_conn):
    postgres = {"host": "db.example.com", "port": 5432, "database": "analytics"}
    simulator.add_group("w", service="postgres_warehouse", config=postgres)
    for name in ("blocking", "deferred", "one", "two", "three"):
        simulator.add_connection(name, group_id="w", default_plan=SyncPlan(duration=0.2))
    simulator.add_connection("sensed", every=0.5, default_plan=SyncPlan(duration=0.2))
    simulator.add_connection("fails", default_plan=SyncPlan(duration=0.2, outcome="failure"))
    simulator.add_connection("is_skipped", paused=True)

    began = datetime.now(UTC) - timedelta(seconds=1)
    told = events_of(dag.test(**{"execution_date" if IS_AIRFLOW_2 else "logical_date": datetime.now(UTC)}))

    ours, here = "fivetran://api.fivetran.com", f"fivetran://{simulator.url.removeprefix('http://')}"
    above = "postgres://db.example.com:5432/analytics" + (".three." if IS_AIRFLOW_2 else "/three/")
    assert sorted((task, uri, aliases, record.connection_id) for task, uri, aliases, record in told) == [
        ("blocking[-1]", f"{ours}/blocking", [], "blocking"),
        ("deferred[-1]", f"{ours}/deferred", [], "deferred"),
        ("mapped[0]", f"{here}/one", ["synced"], "one"),
        ("mapped[0]", f"{ours}/groups/w", [], "one"),
        ("mapped[1]", f"{here}/two", ["synced"], "two"),
        ("mapped[1]", f"{ours}/groups/w", [], "two"),
        ("sensed[-1]", f"{ours}/sensed", [], "sensed"),
        ("tables[0]", f"{above}customers", ["filled"], "three"),
        ("tables[0]", f"{above}orders", ["filled"], "three"),
        ("tables[0]", f"{above}payments", ["filled"], "three"),
    ]
    for _, _, _, record in told:
        ends = [sync.ended_at for sync in simulator.runs(record.connection_id) if sync.status == "COMPLETED"]
        assert record.status == "succeeded"
        assert record.ended_at in ends
        assert record.ended_at > began
