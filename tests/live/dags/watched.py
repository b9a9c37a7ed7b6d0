"""A DAG that needs every asset, each of which has a watcher of its own with no setting changed."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, AssetAny, AssetWatcher

from airflow_provider_fivetran.assets import connection_asset
from airflow_provider_fivetran.triggers import FivetranSyncEndedTrigger

HOST, NAMES = os.environ["WATCHED_HOST"], os.environ["WATCHED_NAMES"].split(",")

assets = [
    connection_asset(
        name, host=HOST, watchers=[AssetWatcher(name=name, trigger=FivetranSyncEndedTrigger(name))]
    )
    for name in NAMES
]
with DAG(
    "watched",
    schedule=AssetAny(*assets),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=100,
):
    EmptyOperator(task_id="models")
