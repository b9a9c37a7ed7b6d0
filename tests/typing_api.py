"""The public API as users write it. Never run: mypy reads it as it would read a user's DAG.

What is not written here may change its types; what is written here may not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, assert_type

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias

from airflow_provider_fivetran import __version__
from airflow_provider_fivetran.assets import (
    account_asset,
    connection_asset,
    failure_asset,
    group_asset,
    sync_record_of,
)
from airflow_provider_fivetran.exceptions import FivetranError, FivetranSyncError, FivetranSyncFailed
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.key_stores import AirflowConnections
from airflow_provider_fivetran.operators import (
    FivetranConnectionOperator,
    FivetranFreshnessOperator,
    FivetranOperator,
    FivetranResyncOperator,
    FivetranRotateKeyOperator,
    FivetranSchemaDriftOperator,
    FivetranSchemaOperator,
    FivetranSnapshotOperator,
    FivetranSyncManyOperator,
    FivetranTransformationOperator,
    FivetranWebhookOperator,
)
from airflow_provider_fivetran.retry_policy import FivetranRetryPolicy
from airflow_provider_fivetran.sensors import (
    FivetranFreshnessSensor,
    FivetranSensor,
    FivetranSetupSensor,
    FivetranTransformationSensor,
)
from airflow_provider_fivetran.task_groups import sync_each
from airflow_provider_fivetran.triggers import FivetranSyncTrigger, FivetranTransformationTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

assert_type(__version__, str)

# --- a task, named in either way, with nothing else said ------------------------------------------------

by_id = FivetranOperator(task_id="sync", connector_id="phonetics_scone")
by_name = FivetranOperator(task_id="sync", connector_name="shop", destination_name="Warehouse")
templated = FivetranOperator(task_id="sync", connector_id="{{ params.connection }}")
by_id >> by_name >> templated

# --- keys ----------------------------------------------------------------------------------------------


def into_vault(conn_id: str, login: str, password: str) -> None: ...


FivetranRotateKeyOperator(task_id="rotate", store=into_vault, admin_conn_id="fivetran_admin")
FivetranRotateKeyOperator(
    task_id="rotate",
    store=AirflowConnections("airflow_api"),
    admin_conn_id="{{ var.value.admin }}",
    fivetran_conn_id="fivetran_default",
    expiration_period="THREE_MONTHS",
    settling=timedelta(minutes=1),
)
FivetranHook().create_system_key("k", permissions=[{"resource_type": "CONNECTOR", "access_level": "READ"}])

# --- every policy, spelt out ----------------------------------------------------------------------------

FivetranOperator(
    task_id="sync",
    connector_id="phonetics_scone",
    fivetran_conn_id="fivetran_default",
    run_name="nightly",
    fivetran_retry_limit=5,
    fivetran_retry_delay=2,
    poll_frequency=30,
    schedule_type="manual",
    restore_schedule=True,
    reschedule_wait_time=60,
    deferrable=True,
    wait_for_completion=True,
    when_running="attach",
    when_rescheduled="wait",
    when_paused="unpause_and_restore",
    when_broken="test",
    fresh_within=timedelta(minutes=15),
    timeout=timedelta(hours=6),
    start_timeout=timedelta(minutes=30),
    retries=2,
    execution_timeout=timedelta(hours=8),
)
FivetranOperator(task_id="sync", connector_id="c", poll_frequency=timedelta(seconds=30), when_running="queue")
FivetranOperator(task_id="sync", connector_id="c", poll_frequency=0.5, when_running="restart")
FivetranOperator(task_id="sync", connector_id="c", when_running="skip", when_paused="skip")
FivetranOperator(task_id="sync", connector_id="c", schedule_type="auto", when_broken="fail")

# --- a connection, described ----------------------------------------------------------------------------

described = FivetranConnectionOperator(
    task_id="describe",
    connector_name="shop",
    destination_name="Warehouse",
    service="postgres",
    config={"host": "db.example", "port": 5432},
    auth={"client_access": {"client_id": "{{ var.value.client }}"}},
    secrets={"config.password": ("shop_db", "password"), "auth.refresh_token": ["ads", "extra.token"]},
    settings={"networking_method": "Directly"},
    schedule={"time_of_day": "06:00", "days_of_week": ["MONDAY"]},
    paused=False,
    connect_card={"redirect_uri": "https://airflow.example", "hide_setup_guide": True},
    when_different="show",
    send_secrets="when_needed",
    setup_tests="never",
    trust_certificates=True,
    trust_fingerprints=True,
    check_metadata=False,
)
FivetranConnectionOperator(
    task_id="describe", connector_name="shop", group_id="g", service="stripe", schedule="manual"
)
FivetranConnectionOperator(
    task_id="describe", connector_name="shop", group_id="g", state="absent", confirm="shop"
)
FivetranConnectionOperator(
    task_id="describe",
    connector_name="shop",
    group_id="g",
    service="stripe",
    when_different="ignore",  # type: ignore[arg-type]
)
described >> FivetranSetupSensor(task_id="authorised", connector_id="c", poke_interval=timedelta(minutes=5))

# --- when to try again, with Airflow 3.3 ----------------------------------------------------------------

FivetranOperator(task_id="sync", connector_id="c", retries=3, retry_policy=FivetranRetryPolicy())
FivetranSensor(
    task_id="wait",
    connector_id="c",
    retries=3,
    retry_policy=FivetranRetryPolicy(first_delay=timedelta(minutes=2), longest_delay=timedelta(hours=6)),
)

# A policy that does not exist is found before the DAG is deployed.
FivetranOperator(task_id="sync", connector_id="c", when_running="ignore")  # type: ignore[arg-type]
FivetranOperator(task_id="sync", connector_id="c", when_paused="unpaused")  # type: ignore[arg-type]
FivetranOperator(task_id="sync", connector_id="c", schedule_type="cron")  # type: ignore[arg-type]

FivetranResyncOperator(task_id="resync", connector_id="c", confirm="c")
FivetranResyncOperator(task_id="resync", connector_id="c", scope={"shop": ["orders", "customers"]})
FivetranResyncOperator(task_id="resync", connector_id="c", scope="{{ params.tables | tojson }}")
FivetranResyncOperator(task_id="resync", connector_id="c", confirm=True)  # type: ignore[arg-type]

FivetranSyncManyOperator(task_id="many", group_id="decent_dropsy")
FivetranSyncManyOperator(
    task_id="many",
    connector_ids=["phonetics_scone", "{{ params.connection }}"],
    services="postgres,mysql",
    name_pattern="shop_*",
    only_failed=True,
    exclude=["canned_peach"],
    max_parallel=20,
    when_some_fail="fail_above",
    fail_above=0.1,
    when_empty="pass",
    total_timeout=timedelta(hours=8),
    timeout=3600,
    when_paused="skip",
    when_killed="stop",
    fresh_within=timedelta(minutes=15),
    retries=2,
)
FivetranSyncManyOperator(task_id="many", group_id="g", when_some_fail="ignore")  # type: ignore[arg-type]
sync_each(["phonetics_scone"], deferrable=True) >> sync_each({"crm": "canned_peach"}, group_id="crm")

FivetranTransformationOperator(task_id="transform", transformation_id="t")
FivetranTransformationOperator(
    task_id="transform",
    transformation_name="shop",
    destination_name="Warehouse",
    fivetran_conn_id="fivetran_default",
    full_refresh=True,
    deferrable=True,
    wait_for_completion=True,
    when_running="queue",
    when_partially_succeeded="succeed",
    when_blocked="wait",
    when_killed="leave",
    timeout=timedelta(hours=6),
    start_timeout=600,
    poll_frequency=30,
    fivetran_retry_limit=5,
    fivetran_retry_delay=2,
    retries=2,
)
FivetranTransformationOperator(task_id="transform", transformation_id="t", when_killed="cancel")  # type: ignore[arg-type]
FivetranTransformationSensor(
    task_id="wait",
    transformation_id="t",
    poke_interval=timedelta(minutes=1),
    completed_after_time="{{ data_interval_end }}",
    when_partially_succeeded="succeed",
    when_blocked="wait",
    mode="reschedule",
)

FivetranWebhookOperator(task_id="webhook")
FivetranWebhookOperator(
    task_id="webhook",
    state="present",
    group_id="g",
    url="https://airflow.example/fivetran/webhooks/fivetran_default",
    events=["sync_end", "transformation_succeeded"],
    fivetran_conn_id="fivetran_default",
    fivetran_retry_limit=5,
    fivetran_retry_delay=2,
)
FivetranWebhookOperator(task_id="webhook", state="gone")  # type: ignore[arg-type]

# --- waiting for what others started --------------------------------------------------------------------

FivetranSensor(task_id="wait", connector_id="c", mode="reschedule", timeout=3600)
FivetranSensor(
    task_id="wait",
    connector_name="shop",
    destination_name="Warehouse",
    poke_interval=timedelta(minutes=1),
    completed_after_time="{{ data_interval_end }}",
    always_wait_when_syncing=True,
    propagate_failures_forward=True,
    deferrable=True,
)
FivetranSensor(task_id="wait", connector_id="c", completed_after_time=datetime(2026, 1, 1, tzinfo=UTC))
FivetranSensor(task_id="wait", connector_id="c", deferrable=True, start_from_trigger=True)
FivetranSensor(task_id="wait", connector_id="c", deferrable=True, start_from_trigger=None)

FivetranSyncTrigger(ticket={}, fivetran_conn_id="fivetran_default")
FivetranTransformationTrigger(ticket={}, fivetran_conn_id="fivetran_default")

# --- how fresh many are ---------------------------------------------------------------------------------

FivetranFreshnessOperator(task_id="check", fresh_within=timedelta(hours=6))
FivetranFreshnessOperator(
    task_id="check",
    connector_ids=["phonetics_scone", "{{ params.connection }}"],
    exclude=["canned_peach"],
    fresh_since="{{ data_interval_end }}",
    when_broken="fail",
    when_paused="ignore",
    when_delayed="fail_if_stale",
    when_rescheduled="fail_if_stale",
    when_missing="ignore",
    when_empty="pass",
    fivetran_conn_id="fivetran_default",
    fivetran_retry_limit=5,
    fivetran_retry_delay=2,
)
FivetranFreshnessOperator(
    task_id="check", group_id="decent_dropsy", fresh_since=datetime(2026, 1, 1, tzinfo=UTC)
)
FivetranFreshnessSensor(
    task_id="fresh",
    destination_name="Warehouse",
    fresh_within=3600,
    when_paused="wait",
    when_missing="wait",
    poke_interval=timedelta(minutes=5),
    deferrable=True,
    timeout=7200,
    soft_fail=True,
)
# A check does not wait.
FivetranFreshnessOperator(task_id="check", fresh_within=60, when_paused="wait")  # type: ignore[arg-type]

# --- what there is ----------------------------------------------------------------------------------------

FivetranSnapshotOperator(task_id="snapshot", target="s3://lake/fivetran/{{ ds }}")
FivetranSnapshotOperator(
    task_id="snapshot",
    target="file:///lake",
    target_conn_id="aws_default",
    file_format="parquet",
    tables=["connections", "latest_status"],
    history_days=0.5,
    max_requests=10_000,
    leave_requests=0,
    fivetran_conn_id="fivetran_default",
    fivetran_retry_limit=5,
    fivetran_retry_delay=2,
)
FivetranSnapshotOperator(task_id="snapshot", tables=["teams"])  # type: ignore[list-item]

# --- what is told of syncs, and what is scheduled on it ---------------------------------------------------

orders, stock = connection_asset("phonetics_scone"), connection_asset("canned_peach", host="127.0.0.1:8081")
assert_type(orders, Asset)
FivetranOperator(task_id="sync", connector_id="phonetics_scone", outlets=[orders])
FivetranOperator(task_id="sync", connector_id="c", table_assets=AssetAlias("shop_tables"))
FivetranSensor(task_id="wait", connector_id="c", outlets=[stock], table_assets=AssetAlias("stock_tables"))
DAG("transform", schedule=orders & stock)
DAG("audit", schedule=[group_asset("decent_dropsy"), account_asset()])
DAG("incident", schedule=failure_asset() | failure_asset("c") | failure_asset(group_id="decent_dropsy"))
assert_type(sync_record_of({}).connection_id, str)


# --- the hook, in a task of one's own -------------------------------------------------------------------


def paused_connections() -> list[str]:
    with FivetranHook("fivetran_default") as hook:
        return [connection.id for connection in hook.list_connections() if connection.paused]


def stale_connections() -> dict[str, str]:
    with FivetranHook() as hook:
        assert_type(hook.choose_connections(services="postgres", only_failed=True), tuple[str, ...])
        report = hook.check_freshness(fresh_within=timedelta(hours=6), exclude=["canned_peach"])
        assert_type(report.is_as_demanded, bool)
        assert_type(report.counts["stale"], int)
        return {finding.connection_id: finding.link for finding in report.failures}


def failing_connections() -> list[str]:
    with FivetranHook() as hook:
        tables = hook.take_snapshot(tables=["latest_status"], history_days=0, most_bytes=1_000_000)["tables"]
        return [row["link"] for row in tables["latest_status"] if row["last_status"] == "failed"]


def tested_webhooks() -> list[str]:
    with FivetranHook() as hook:
        hook.create_webhook("https://airflow.example/hook", events=["sync_end"], group_id="g", active=False)
        found = [webhook.id for webhook in hook.list_webhooks() if webhook.is_active]
        for webhook_id in found:
            hook.change_webhook(hook.get_webhook(webhook_id).id, events=["sync_end"])
            hook.rotate_webhook_secret(webhook_id)
            if not hook.test_webhook(webhook_id, "sync_end").has_succeeded:
                hook.delete_webhook(webhook_id)
        return found


def described_by_hand(host: str) -> str | None:
    with FivetranHook() as hook:
        known = {kind.id for kind in hook.list_connector_types()}
        assert_type(hook.get_connector_type("postgres").config.required, tuple[str, ...])
        outcome = hook.ensure_connection(
            "shop",
            service="postgres" if "postgres" in known else "generic_postgres",
            group_id="g",
            config={"host": host},
            secrets={"config.password": ("shop_db", "password")},
        )
        changed = hook.change_connection(outcome.connection_id or "", paused=False)
        assert_type(changed.connection.id, str)
        hook.set_schedule(changed.connection.id, {"interval": 60})
        hook.run_setup_tests(changed.connection.id, trust_certificates=True)
        card = hook.create_connect_card(changed.connection.id, {"redirect_uri": "https://airflow.example"})
        hook.delete_connection(changed.connection.id)
        hook.remove_connection("shop", destination_name="Warehouse", when_different="show")
        return card.uri


def start_and_wait(connection_id: str) -> None:
    hook = FivetranHook()
    assert_type(hook.get_fivetran_connection(connection_id).id, str)
    assert_type(hook.test_connection(), tuple[bool, str])
    try:
        hook.wait_for_sync(hook.start_sync(connection_id, when_running="attach"))
    except FivetranSyncFailed as error:
        raise SystemExit(str(error)) from error


def transform_and_wait(transformation_id: str) -> str | None:
    with FivetranHook() as hook:
        ticket = hook.run_transformation(transformation_id, full_refresh=False, when_running="fail")
        return hook.wait_for_transformation(ticket).ended_at_text


def cancel_by_name(name: str) -> bool:
    with FivetranHook() as hook:
        known = {transformation.name for transformation in hook.list_transformations(group_id="g")}
        return name in known and hook.cancel_transformation(hook.find_transformation(name, "Warehouse").id)


def load_anew(connection_id: str) -> None:
    hook = FivetranHook()
    [schema] = hook.get_schema_config(connection_id).schemas
    tables = [table.source_name for table in schema.tables if table.enabled]
    hook.wait_for_sync(hook.start_resync(connection_id, scope={schema.source_name: tables}))
    hook.wait_for_sync(hook.start_resync(connection_id, confirm=connection_id, timeout=timedelta(days=2)))


def keep_schema(hook: FivetranHook, connection_id: str) -> int:
    shop = {"shop": {"tables": {"customers": {"columns": {"email": {"hashed": True}}}, "logs": False}}}
    FivetranSchemaOperator(task_id="keep", connector_id=connection_id, schemas=shop, others="disable")
    FivetranSchemaDriftOperator(
        task_id="drift", connector_id=connection_id, columns_of={"shop": ["customers"]}, when_new="fail"
    )
    hook.reload_schema_config(connection_id, exclude_mode="PRESERVE", timeout=timedelta(hours=1))
    changes = hook.ensure_schema_config(connection_id, shop, when_different="show")
    report = hook.check_schema_drift(connection_id, earlier=hook.get_schema_config(connection_id).to_json())
    return len(changes.differences) + report.count


def is_worth_a_look(error: FivetranError) -> bool:
    return isinstance(error, FivetranSyncError)


def next_link(record: Mapping[str, str]) -> str:
    return record["link"]
