"""Fivetran keeps its own schedule; Airflow only waits for it.

The sensor starts nothing and changes nothing in Fivetran. Asked for a sync that ended after
midnight it is content with one that ended while nobody was looking; without
``completed_after_time`` it waits for the next sync to end.
"""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.sensors import FivetranSensor

with DAG(
    dag_id="fivetran_wait_for_scheduled_sync",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    wait_for_crm = FivetranSensor(
        task_id="wait_for_crm",
        connector_id="crm",
        # A run that a person starts has no data interval.
        completed_after_time="{{ data_interval_end | default(dag_run.run_after) }}",
        deferrable=True,
        # start_from_trigger=True,  # needs no worker to begin either (Airflow 3.3 and newer)
    )

    @task
    def report() -> None:
        print("Last night's customer records are here.")

    wait_for_crm >> report()
