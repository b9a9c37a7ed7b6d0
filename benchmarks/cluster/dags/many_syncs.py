"""One mapped task for each connection in `connections.json` beside this file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_fivetran.operators import FivetranOperator

# The ids by task: that of the syncs that end well, and that of those that are to fail.
CONNECTIONS = json.loads(Path(__file__).with_name("connections.json").read_text(encoding="utf-8"))

with DAG(
    dag_id="many_syncs",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retry_delay": timedelta(seconds=10)},
):
    for task_id, ids in CONNECTIONS.items():
        # A sync that failed would rightly be triggered again by a retry: only those that end well have one.
        retries = 0 if task_id == "sync_that_fails" else 1
        FivetranOperator.partial(task_id=task_id, deferrable=True, retries=retries).expand(connector_id=ids)
