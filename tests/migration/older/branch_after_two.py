"""Two connections side by side, dbt over SSH, and a branch that trains a model or asks it."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.google.cloud.operators.bigquery import (
    BigQueryExecuteQueryOperator,
    BigQueryGetDataOperator,
)
from airflow.providers.ssh.operators.ssh import SSHOperator

try:
    from airflow.providers.standard.operators.python import BranchPythonOperator
except ImportError:
    from airflow.operators.python import BranchPythonOperator

from fivetran_provider.operators.fivetran import FivetranOperator
from fivetran_provider.sensors.fivetran import FivetranSensor

SCHEMA = "forecasts"


def train_or_ask(ds, **kwargs):
    return "train" if kwargs["params"].get("train") else "ask"


dag = DAG(
    dag_id="older_branch_after_two",
    default_args={"owner": "Airflow", "start_date": datetime(2023, 9, 1)},
    schedule=timedelta(days=1),
    catchup=False,
)

with dag:
    dbt = SSHOperator(task_id="dbt_on_a_vm", command="cd reporting && dbt run", ssh_conn_id="dbt_vm")

    for source in ("accounts", "adverts"):
        begin = FivetranOperator(
            task_id=f"sync-{source}",
            fivetran_conn_id="fivetran_default",
            connector_id=f"{{{{ var.value.{source}_connection }}}}",
        )
        arrived = FivetranSensor(
            task_id=f"await-{source}",
            fivetran_conn_id="fivetran_default",
            connector_id=f"{{{{ var.value.{source}_connection }}}}",
            poke_interval=1,
        )
        begin >> arrived >> dbt

    choice = BranchPythonOperator(task_id="train_or_ask", python_callable=train_or_ask)
    train = BigQueryExecuteQueryOperator(
        task_id="train", sql=f"create model {SCHEMA}.model", use_legacy_sql=False
    )
    ask = BigQueryExecuteQueryOperator(
        task_id="ask", sql=f"select * from {SCHEMA}.model", use_legacy_sql=False
    )
    show = BigQueryGetDataOperator(task_id="show", dataset_id=SCHEMA, table_id="demand")

    dbt >> choice >> [train, ask]
    ask >> show
