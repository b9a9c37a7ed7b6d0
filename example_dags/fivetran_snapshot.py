"""Write down every night what there is in the Fivetran account, and say what failed.

The files are for a catalogue, a warehouse or a notebook: one folder for each day, one for each table in it. A retry
goes on where the try before stopped, so a large account needs no more requests for being interrupted.
"""

import json
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task

from airflow_provider_fivetran.operators import FivetranSnapshotOperator

with DAG(
    dag_id="fivetran_snapshot",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    snapshot = FivetranSnapshotOperator(
        task_id="snapshot",
        target="{{ var.value.get('fivetran_snapshots', 'file:///tmp/fivetran_snapshots') }}/{{ ds }}",
        # target_conn_id="aws_default",  # for a target such as s3://bucket/fivetran
        # file_format="parquet",
        max_requests=10_000,
        retries=5,
        retry_delay=timedelta(minutes=15),
    )

    @task
    def report(taken: dict) -> list[str]:
        """Name what did not end well, and whose it is."""
        failed = []
        for number in range(taken["parts"].get("latest_status", 0)):
            part = ObjectStoragePath(f"{taken['target']}/latest_status/part-{number:05}.jsonl")
            with part.open("rb") as lines:
                failed += [row for line in lines if (row := json.loads(line))["last_status"] == "failed"]
        for row in failed:
            print(f"{row['name']} of {row['owner_email']}: {row['last_reason']} {row['link']}")
        return [row["connection_id"] for row in failed]

    report(snapshot.output)
