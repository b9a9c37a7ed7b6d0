"""Sync, then run the transformation that Fivetran keeps for the data, and go on when its models are built.

The transformation (a dbt Core project or a Quickstart package in Fivetran) has no schedule of its own: the
DAG runs it. ``when_running="queue"``: a run that is under way already may have begun before the sync ended,
so ours comes after it. If the task is killed, its run is cancelled.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.operators import FivetranOperator, FivetranTransformationOperator

with DAG(
    dag_id="fivetran_transformation",
    schedule=timedelta(hours=6),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    sync_shop = FivetranOperator(task_id="sync_shop", connector_id="shop_orders", deferrable=True)

    transform_shop = FivetranTransformationOperator(
        task_id="transform_shop",
        transformation_name="shop",  # or transformation_id="..."
        when_running="queue",
        timeout=timedelta(hours=2),
        retries=1,
        deferrable=True,
    )

    @task
    def report(transformed_at: str) -> None:
        print(f"The shop's models are complete as of {transformed_at}.")

    sync_shop >> transform_shop
    report(transform_shop.output)
