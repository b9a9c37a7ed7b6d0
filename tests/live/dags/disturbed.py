"""One DAG for each row of the live matrix, as `rows.json` beside this file describes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_fivetran.operators import FivetranOperator

for row in json.loads(Path(__file__).with_name("rows.json").read_text(encoding="utf-8")):
    task, dag_timeout = row["task"], row["dagrun_timeout"]
    for name in ("execution_timeout", "retry_delay"):
        if name in task:
            task[name] = timedelta(seconds=task[name])
    with DAG(
        dag_id=row["dag_id"],
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        dagrun_timeout=timedelta(seconds=dag_timeout) if dag_timeout else None,
    ):
        connection = "{{ dag_run.conf['connection'] }}"
        if row["mapped"]:
            several = FivetranOperator.partial(task_id="sync", poll_frequency=1, **task)
            several.expand(connector_id=[connection, f"{connection}_beside"])
        else:
            FivetranOperator(task_id="sync", connector_id=connection, poll_frequency=1, **task)
