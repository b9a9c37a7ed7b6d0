"""A connection by its name and its destination's, both templated.

Changed for Airflow 3: ``schedule_interval`` is now ``schedule``.
"""

from datetime import datetime, timedelta

from airflow import DAG

from airflow_provider_fivetran.operators import FivetranOperator

common = {
    "owner": "Airflow",
    "start_date": datetime(2023, 9, 1),
}

with DAG(
    "migrated_sync_by_name",
    default_args=common,
    schedule=timedelta(days=1),
    catchup=False,
) as dag:
    by_name = FivetranOperator(
        task_id="sync_by_name",
        fivetran_conn_id="fivetran_default",
        connector_name="{{ var.value.accounts_name }}",
        destination_name="{{ var.value.accounts_destination }}",
    )
