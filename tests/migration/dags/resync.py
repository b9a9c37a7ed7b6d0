"""A historical re-sync of everything, and one of chosen tables."""

from datetime import datetime, timedelta

try:
    from airflow.sdk.definitions.dag import DAG
except ImportError:
    from airflow import DAG

from airflow_provider_fivetran.operators import FivetranResyncOperator

dag = DAG(
    dag_id="migrated_resync",
    schedule=timedelta(days=1),
    start_date=datetime(2025, 3, 1),
    catchup=False,
)

with dag:
    everything = FivetranResyncOperator(
        task_id="resync_everything",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        confirm="{{ var.value.accounts_connection }}",
    )

    some_tables = FivetranResyncOperator(
        task_id="resync_some_tables",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        scope={"accounts": ["customers", "orders"]},
    )
