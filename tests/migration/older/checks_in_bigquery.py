"""A sync, and then checks of what has arrived in BigQuery; the DAG documents itself."""

from datetime import datetime

from airflow import DAG
from airflow.providers.google.cloud.operators.bigquery import BigQueryValueCheckOperator
from airflow.providers.google.cloud.sensors.bigquery import BigQueryTableExistenceSensor
from fivetran_provider.operators.fivetran import FivetranOperator
from fivetran_provider.sensors.fivetran import FivetranSensor

SCHEMA = "accounts"
TABLE = "customers"

with DAG(
    "older_checks_in_bigquery",
    default_args={"owner": "data", "depends_on_past": False, "start_date": datetime(2023, 9, 1)},
    description="",
    schedule=None,
    catchup=False,
    doc_md=__doc__,
) as dag:
    """
    #### Data arrives
    fivetran_provider starts the sync and waits for it.
    """
    begin = FivetranOperator(
        task_id="begin-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
    )
    arrived = FivetranSensor(
        task_id="await-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        poke_interval=1,
    )

    """
    #### What arrived is checked
    """
    exists = BigQueryTableExistenceSensor(
        task_id="table_exists", project_id="{{ var.value.project }}", dataset_id=SCHEMA, table_id=TABLE
    )
    enough = BigQueryValueCheckOperator(
        task_id="enough_rows",
        sql=f"select count(*) from {SCHEMA}.{TABLE}",
        pass_value=100,
        use_legacy_sql=False,
    )

    begin >> arrived >> exists >> enough
