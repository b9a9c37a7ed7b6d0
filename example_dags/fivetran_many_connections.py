"""One task for each connection that is in use, a list that is only known when the DAG runs.

All syncs run at once and are waited for at once, and no waiting task takes a worker slot.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranOperator

with DAG(
    dag_id="fivetran_many_connections",
    schedule=timedelta(days=1),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):

    @task
    def connections_in_use() -> list[str]:
        with FivetranHook() as fivetran:
            return [connection.id for connection in fivetran.list_connections() if not connection.paused]

    sync = FivetranOperator.partial(task_id="sync", deferrable=True).expand(connector_id=connections_in_use())

    @task
    def report(ended: list[str]) -> None:
        print(f"{len(list(ended))} connections are up to date; the last sync ended at {max(ended)}.")

    report(sync.output)
