"""Start a sync, wait until it has ended, and go on.

The task starts the sync and defers: while Fivetran works, it takes no worker slot. It is green only
if this very sync ended well.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.operators import FivetranOperator

with DAG(
    dag_id="fivetran_sync",
    schedule=timedelta(hours=6),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    sync_shop = FivetranOperator(task_id="sync_shop", connector_id="shop_orders", deferrable=True)

    @task
    def report(synced_at: str) -> None:
        print(f"The shop's orders are complete as of {synced_at}.")

    report(sync_shop.output)
