"""One after the other: a sync that may be waited for in the triggerer, and one that holds its worker meanwhile."""

from datetime import datetime

from airflow import DAG

from airflow_provider_fivetran.operators import FivetranOperator

with DAG(
    "migrated_deferred_or_not",
    default_args={"start_date": datetime(2024, 2, 1), "fivetran_conn_id": "fivetran_default"},
    schedule="@daily",
    catchup=False,
) as dag:
    in_triggerer = FivetranOperator(task_id="in_triggerer", connector_id="accounts_id")

    in_worker = FivetranOperator(task_id="in_worker", connector_id="accounts_id", deferrable=False)

    in_triggerer >> in_worker
