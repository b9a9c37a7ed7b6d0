"""Name the connection as people do: by its name and its destination's, not by its id.

The name is looked up when the task runs, never while the file is parsed. Two connections of that
name in the destination are an error that lists them.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_fivetran.operators import FivetranOperator

with DAG(
    dag_id="fivetran_sync_by_name",
    schedule=timedelta(hours=6),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    FivetranOperator(
        task_id="sync_shop",
        connector_name="shop",
        destination_name="Warehouse",
        deferrable=True,
    )
