"""Start a sync early, do something else, and wait for it only where its data is needed.

With ``wait_for_completion=False`` the operator returns the time from which on the sensor has to
look for the end of this sync, so that a sync that ends before the sensor starts is not missed, and
an older one is not mistaken for it.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.sensors import FivetranSensor

with DAG(
    dag_id="fivetran_fire_and_forget",
    schedule=timedelta(days=1),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    start_sync = FivetranOperator(task_id="start_sync", connector_id="shop_orders", wait_for_completion=False)

    @task
    def something_else() -> None:
        print("Fivetran and this task work at the same time.")

    wait_for_sync = FivetranSensor(
        task_id="wait_for_sync",
        connector_id="shop_orders",
        completed_after_time="{{ ti.xcom_pull(task_ids='start_sync') }}",
        deferrable=True,
    )

    start_sync >> something_else() >> wait_for_sync
