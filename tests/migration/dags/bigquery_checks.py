"""Operator and sensor on the same connection, then checks of what arrived in BigQuery.

Changed for Airflow 3: ``schedule_interval`` is now ``schedule``, and ``EmptyOperator`` comes from the standard provider.
"""

from datetime import datetime

from airflow import DAG
from airflow.providers.google.cloud.operators.bigquery import BigQueryValueCheckOperator
from airflow.providers.google.cloud.sensors.bigquery import BigQueryTableExistenceSensor

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:
    from airflow.operators.empty import EmptyOperator

from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.sensors import FivetranSensor

SCHEMA = "accounts"
TABLE = "customers"

common = {
    "owner": "data",
    "depends_on_past": False,
    "start_date": datetime(2023, 9, 1),
}

with DAG(
    "migrated_bigquery_checks",
    default_args=common,
    description="",
    schedule=None,
    catchup=False,
) as dag:
    begin = FivetranOperator(
        task_id="begin-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
    )

    arrived = FivetranSensor(
        task_id="await-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        poke_interval=5,
    )

    exists = BigQueryTableExistenceSensor(
        task_id="table_exists",
        project_id="{{ var.value.project }}",
        dataset_id=SCHEMA,
        table_id=TABLE,
    )

    enough = BigQueryValueCheckOperator(
        task_id="enough_rows",
        sql=f"select count(*) from {SCHEMA}.{TABLE}",
        pass_value=100,
        use_legacy_sql=False,
    )

    done = EmptyOperator(task_id="done")

    begin >> arrived >> exists
    exists >> enough >> done
