"""A connection whose id is kept in an Airflow Variable, once a day."""

from datetime import datetime, timedelta

try:
    from airflow.sdk.definitions.dag import DAG
except ImportError:
    from airflow import DAG

from airflow_provider_fivetran.operators import FivetranOperator

dag = DAG(
    dag_id="migrated_plain_sync",
    schedule=timedelta(days=1),
    start_date=datetime(2025, 3, 1),
    catchup=False,
)

with dag:
    FivetranOperator(
        task_id="sync_accounts",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
    )
