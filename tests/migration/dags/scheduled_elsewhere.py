"""A connection that Fivetran syncs by its own schedule: data is there when a sync has ended after the interval."""

from datetime import datetime

from airflow import DAG

from airflow_provider_fivetran.sensors import FivetranSensor

with DAG("migrated_scheduled_elsewhere", start_date=datetime(2024, 2, 1), schedule=None) as dag:
    FivetranSensor(
        task_id="accounts_arrived",
        connector_id="accounts_id",
        completed_after_time="{{ data_interval_end + macros.timedelta(seconds=2) }}",
        poke_interval=0.5,
    )
