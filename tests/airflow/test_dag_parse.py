"""Importing a DAG file is cheap, sends nothing, and is where a wrong argument shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

USES = """
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_fivetran.assets import connection_asset
from airflow_provider_fivetran.key_stores import AirflowConnections
from airflow_provider_fivetran.operators import (
    FivetranConnectionOperator,
    FivetranFreshnessOperator,
    FivetranOperator,
    FivetranResyncOperator,
    FivetranSnapshotOperator,
    FivetranRotateKeyOperator,
    FivetranSchemaDriftOperator,
    FivetranSchemaOperator,
    FivetranSyncManyOperator,
    FivetranTransformationOperator,
    FivetranWebhookOperator,
)
from airflow_provider_fivetran.sensors import (
    FivetranFreshnessSensor, FivetranSensor, FivetranSetupSensor, FivetranTransformationSensor
)
from airflow_provider_fivetran.task_groups import sync_each

with DAG("uses_fivetran", schedule=None, start_date=datetime(2026, 1, 1)):
    by_name = FivetranOperator(
        task_id="by_name",
        connector_name="{{ var.value.shop }}",
        destination_name="Warehouse",
        deferrable=True,
        when_running="POLICY",
    )
    resync = FivetranResyncOperator(
        task_id="resync", connector_id="c", scope={"shop": ["orders"]}, outlets=[connection_asset("c")]
    )
    sense = FivetranSensor(
        task_id="sense", connector_name="shop", destination_name="Warehouse", completed_after_time=by_name.output
    )
    FivetranRotateKeyOperator(task_id="rotate", store=AirflowConnections("api"), admin_conn_id="{{ var.value.admin }}")
    FivetranWebhookOperator(task_id="webhook", group_id="{{ var.value.group }}")
    described = FivetranConnectionOperator(
        task_id="described",
        connector_name="{{ var.value.shop }}",
        destination_name="Warehouse",
        service="postgres",
        config={"host": "{{ var.value.host }}", "port": 5432},
        secrets={"config.password": ("{{ var.value.source }}", "password")},
        schedule={"cron": "0 6 * * 1-5"},
    )
    FivetranSetupSensor(task_id="authorised", connector_id=described.output)
    FivetranSnapshotOperator(task_id="snapshot", target="s3://bucket/{{ ds }}", file_format="parquet")
    FivetranFreshnessOperator(task_id="check", connector_ids=by_name.output, fresh_since="{{ data_interval_end }}")
    FivetranFreshnessSensor(task_id="fresh", connector_ids=["{{ var.value.shop }}"], fresh_since=by_name.output)
    transform = FivetranTransformationOperator(task_id="transform", transformation_name="shop", deferrable=True)
    FivetranTransformationSensor(task_id="sense_run", transformation_id="{{ var.value.run }}", deferrable=True)
    FivetranSchemaOperator(task_id="keep", connector_id="c", schemas={"shop": {"tables": {"logs": False}}})
    FivetranSchemaDriftOperator(task_id="drift", connector_id=by_name.output, schemas="{{ var.value.schemas }}")
    FivetranSyncManyOperator(task_id="many", connector_ids=by_name.output, name_pattern="{{ var.value.names }}")
    sync_each({"orders": "{{ var.value.orders }}"}, group_id="each")
    by_name >> resync >> sense
    assert by_name.connector_id is None
"""
# The same without this provider: what that loads is Airflow's own affair.
PLAIN = """
from datetime import datetime

class Plain(BaseOperator):
    pass

class Sensor(BaseSensorOperator):
    template_fields = ("after",)
    def __init__(self, after=None, **kwargs):
        super().__init__(**kwargs)
        self.after = after

with DAG("plain", schedule=None, start_date=datetime(2026, 1, 1)):
    plain = Plain(task_id="plain")
    plain >> Sensor(task_id="sensor", after=plain.output)
"""
# Which modules are loaded, and whether anybody looked anything up or connected to anything.
PROBE = """
import json, socket, sys
from airflow.providers.common.compat.sdk import DAG, BaseOperator, BaseSensorOperator, BaseHook, conf
import airflow.triggers.base
before = set(sys.modules)
reached = []
def reach(*args, **kwargs):
    reached.append(repr(args))
    raise OSError("nothing may be sent")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = reach
exec(compile(sys.stdin.read(), "dag.py", "exec"))
print(json.dumps([sorted(set(sys.modules) - before), reached]))
"""
PLAIN_RESUMED = """
Plain.execute_complete = lambda self, context, event: event
plain.resume_execution("execute_complete", {"event": 1}, {})
"""
# Both resume with the event of a sync that has ended well.
RESUMED = """
from airflow_provider_fivetran.core.events import write_event
from airflow_provider_fivetran.core.verdicts import Succeeded, SyncRecord

try:
    from airflow.sdk.execution_time.context import OutletEventAccessors
except ImportError:
    from airflow.utils.context import OutletEventAccessors

class TaskInstance:
    task_id, try_number, max_tries = "t", 1, 0
    def xcom_push(self, key, value):
        pass

record = SyncRecord(connection_id="c", status="succeeded", link="l", ended_at=datetime(2026, 1, 1))
event = write_event(Succeeded(record, "it ended well"))
errand = {"connection_id": "c", "begun_at": None, "undo": {}, "then_start_ours": False, "wanted": {"resync": False}}
events = OutletEventAccessors()
context = {"ti": TaskInstance(), "task_state_store": None, "outlet_events": events}
assert sense.resume_execution("execute_complete", {"event": event}, context)
assert resync.resume_execution("execute_complete", {"event": {**event, "errand": errand}}, context)
assert events[connection_asset("c")].extra["status"] == "succeeded"
"""
HEAVY_OURS = tuple(
    f"airflow_provider_fivetran.{name}"
    for name in (
        "hooks",
        "transport",
        "triggers",
        "operators.visit",
        "core.starting",
        "core.watch",
        "core.decision",
    )
)
HEAVY = {
    "requests",
    "aiohttp",
    "tenacity",
    "urllib3",
    "httpx",
    "fastapi",
    "uvicorn",
    "duckdb",
    "fsspec",
    "openlineage",
    "pyarrow",
    "upath",
    "wtforms",
    "flask_appbuilder",
}


def modules_loaded_by(source):
    """What importing a DAG file loads and whom it tries to reach, in a process of its own."""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE],
        input=source,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert out.returncode == 0, out.stderr
    loaded, reached = json.loads(out.stdout.strip().splitlines()[-1])
    return set(loaded), reached


def test_importing_a_dag_loads_no_http_library_and_sends_nothing():
    of_airflow, _ = modules_loaded_by(PLAIN)
    loaded, reached = modules_loaded_by(USES.replace("POLICY", "attach"))
    assert reached == []
    assert "airflow_provider_fivetran.operators" in loaded
    assert "airflow_provider_fivetran.transport" not in loaded
    assert not HEAVY & {name.partition(".")[0] for name in loaded - of_airflow}


# What a DAG file needs: the classes, what checks their arguments, and the link.
LIGHT = {
    "airflow_provider_fivetran",
    "airflow_provider_fivetran.arguments",
    "airflow_provider_fivetran.assets",
    "airflow_provider_fivetran.clock",
    "airflow_provider_fivetran.connection_arguments",
    "airflow_provider_fivetran.core",
    "airflow_provider_fivetran.core.asset_uris",
    "airflow_provider_fivetran.core.moments",
    "airflow_provider_fivetran.core.policies",
    "airflow_provider_fivetran.core.sync_schedule",
    "airflow_provider_fivetran.core.schema_description",
    "airflow_provider_fivetran.fivetran_task",
    "airflow_provider_fivetran.freshness_task",
    "airflow_provider_fivetran.key_stores",
    "airflow_provider_fivetran.links",
    "airflow_provider_fivetran.operators",
    "airflow_provider_fivetran.operators.connection",
    "airflow_provider_fivetran.operators.freshness",
    "airflow_provider_fivetran.operators.resync",
    "airflow_provider_fivetran.operators.rotate_key",
    "airflow_provider_fivetran.operators.schema",
    "airflow_provider_fivetran.operators.schema_drift",
    "airflow_provider_fivetran.operators.snapshot",
    "airflow_provider_fivetran.operators.sync",
    "airflow_provider_fivetran.operators.sync_many",
    "airflow_provider_fivetran.operators.transformation",
    "airflow_provider_fivetran.operators.waiting_task",
    "airflow_provider_fivetran.operators.webhook",
    "airflow_provider_fivetran.schema_task",
    "airflow_provider_fivetran.sensor_freshness",
    "airflow_provider_fivetran.sensor_setup",
    "airflow_provider_fivetran.sensors",
    "airflow_provider_fivetran.sensor_transformation",
    "airflow_provider_fivetran.snapshot_arguments",
    "airflow_provider_fivetran.task_groups",
    "airflow_provider_fivetran.ticket_sensor",
    "airflow_provider_fivetran.without_worker",
}


def test_importing_a_dag_loads_nothing_that_only_runs_tasks():
    """Of 27 ms for operators and sensors 24 were for that (docs/worker-seconds.md)."""
    loaded, _ = modules_loaded_by(USES.replace("POLICY", "attach"))
    ours = {name for name in loaded if name.startswith("airflow_provider_fivetran")}
    assert ours <= LIGHT


def test_the_second_visit_of_a_task_loads_nothing_of_http_and_no_hook():
    """Most syncs end well, and then there is nothing to ask."""
    of_airflow, _ = modules_loaded_by(PLAIN + PLAIN_RESUMED)
    loaded, reached = modules_loaded_by(USES.replace("POLICY", "attach") + RESUMED)
    assert reached == []
    assert "airflow_provider_fivetran.operators.ending" in loaded
    assert not {name for name in loaded if name.startswith(HEAVY_OURS)}
    assert not HEAVY & {name.partition(".")[0] for name in loaded - of_airflow}


@pytest.fixture
def dag_bag(tmp_path, airflow_db):
    """Read a DAG file as Airflow's DAG processor does."""
    try:  # Airflow 3.2 and newer
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    def read(source):
        (tmp_path / "dag.py").write_text(textwrap.dedent(source))
        known = (
            {"include_examples": False} if "include_examples" in DagBag.__init__.__code__.co_varnames else {}
        )
        return DagBag(str(tmp_path), **known)

    return read


def test_a_dag_that_uses_everything_is_read(dag_bag):
    bag = dag_bag(USES.replace("POLICY", "queue"))
    assert bag.import_errors == {}
    assert set(bag.dags["uses_fivetran"].task_dict) == {
        *("by_name", "resync", "sense", "webhook", "snapshot"),
        *("check", "fresh"),
        *("transform", "sense_run"),
        *("described", "authorised", "rotate"),
        *("keep", "drift"),
        *("many", "each.orders"),
    }


def test_a_wrong_policy_is_an_import_error_that_lists_what_is_allowed(dag_bag):
    [error] = dag_bag(USES.replace("POLICY", "whenever")).import_errors.values()
    assert "when_running is 'whenever'; allowed are 'attach', 'queue', 'restart', 'fail', 'skip'" in error
