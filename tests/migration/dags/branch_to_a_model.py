"""Two connections, each with an operator and a sensor, then dbt over SSH and a branch that trains or asks a model.

Changed for Airflow 3: ``provide_context`` is no longer an argument of Python operators.
"""

from datetime import datetime, timedelta

try:
    from airflow.providers.standard.operators.python import BranchPythonOperator
    from airflow.sdk.definitions.dag import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.python import BranchPythonOperator

from airflow.providers.google.cloud.operators.bigquery import (
    BigQueryExecuteQueryOperator,
    BigQueryGetDataOperator,
)
from airflow.providers.ssh.operators.ssh import SSHOperator

from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.sensors import FivetranSensor

PROJECT = "a-project"
SCHEMA = "forecasts"
FORECASTS = "demand"


def train_or_ask(ds, **kwargs):
    return "train" if kwargs["params"].get("train") else "ask"


common = {
    "owner": "Airflow",
    "start_date": datetime(2023, 9, 1),
}

dag = DAG(
    dag_id="migrated_branch_to_a_model",
    default_args=common,
    schedule=timedelta(days=1),
    catchup=False,
)

with dag:
    accounts = FivetranOperator(
        task_id="sync-accounts",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
    )

    accounts_arrived = FivetranSensor(
        task_id="await-accounts",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        poke_interval=5,
    )

    adverts = FivetranOperator(
        task_id="sync-adverts",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.adverts_connection }}",
    )

    adverts_arrived = FivetranSensor(
        task_id="await-adverts",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.adverts_connection }}",
        poke_interval=5,
    )

    dbt = SSHOperator(task_id="dbt_on_a_vm", command="cd reporting && dbt run", ssh_conn_id="dbt_vm")

    choice = BranchPythonOperator(task_id="train_or_ask", python_callable=train_or_ask)

    train = BigQueryExecuteQueryOperator(
        task_id="train",
        sql=f"create or replace model {SCHEMA}.model as select * from `{PROJECT}.{SCHEMA}.history`",
        use_legacy_sql=False,
    )

    ask = BigQueryExecuteQueryOperator(
        task_id="ask",
        sql=f"select * from ml.forecast(model `{PROJECT}.{SCHEMA}.model`)",
        use_legacy_sql=False,
        destination_dataset_table=f"{SCHEMA}.{FORECASTS}",
        write_disposition="WRITE_APPEND",
    )

    show = BigQueryGetDataOperator(task_id="show", dataset_id=SCHEMA, table_id=FORECASTS)

    accounts >> accounts_arrived
    adverts >> adverts_arrived

    [accounts_arrived, adverts_arrived] >> dbt

    dbt >> choice >> [train, ask]
    ask >> show
