"""One DAG for each way to wait for a transformation that comes after a sync, as `CASES` of the command names them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_provider_fivetran.operators import FivetranOperator, FivetranTransformationOperator

for dag_id, arguments in json.loads(os.environ["TRANSFORMED_CASES"]).items():
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):
        sync = FivetranOperator(task_id="sync", connector_id=dag_id, deferrable=True, poll_frequency=1)
        transform = FivetranTransformationOperator(
            task_id="transform",
            transformation_id=dag_id,
            poll_frequency=1,
            retries=1,
            retry_delay=1,
            **arguments,
        )
        sync >> transform
