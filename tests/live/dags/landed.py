"""One DAG for each way in which Airflow may learn of a landing. They do nothing: that they run is the point."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, AssetWatcher

from airflow_provider_fivetran.assets import connection_asset, failure_asset
from airflow_provider_fivetran.triggers import FivetranSyncEndedTrigger

HOST, POLL = os.environ["LANDINGS_HOST"], float(os.environ["LANDINGS_POLL"])


def watchers(connection_id: str, *, failures: bool = False) -> list[AssetWatcher]:
    trigger = FivetranSyncEndedTrigger(connection_id, failures=failures, poll_frequency=POLL)
    return [AssetWatcher(name=f"{connection_id}_{failures}", trigger=trigger)]


assets = {
    "by_watcher": connection_asset("by_watcher", host=HOST, watchers=watchers("by_watcher")),
    "by_webhook": connection_asset("by_webhook", host=HOST),
    "by_both": connection_asset("by_both", host=HOST, watchers=watchers("by_both")),
    "incident_by_watcher": failure_asset(
        "by_watcher", host=HOST, watchers=watchers("by_watcher", failures=True)
    ),
    "incident_by_webhook": failure_asset("by_webhook", host=HOST),
}
for dag_id, asset in assets.items():
    with DAG(
        dag_id,
        schedule=[asset],
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=100,
    ):
        EmptyOperator(task_id="models")
