"""Two sources, then dbt over SSH. The Airflow connection is the one that was the default: fivetran."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.ssh.operators.ssh import SSHOperator

from fivetran_provider.operators.fivetran import FivetranOperator
from fivetran_provider.sensors.fivetran import FivetranSensor

default_args = {
    "owner": "Airflow",
    "start_date": datetime(2023, 9, 1),
}

with DAG(
    dag_id="older_default_connection",
    default_args=default_args,
    schedule=timedelta(days=1),
    catchup=False,
) as dag:
    accounts = FivetranOperator(
        task_id="sync-accounts",
        connector_id="{{ var.value.accounts_connection }}",
    )

    accounts_arrived = FivetranSensor(
        task_id="await-accounts", connector_id="{{ var.value.accounts_connection }}", poke_interval=1
    )

    adverts = FivetranOperator(task_id="sync-adverts", connector_id="{{ var.value.adverts_connection }}")

    adverts_arrived = FivetranSensor(
        task_id="await-adverts", connector_id="{{ var.value.adverts_connection }}", poke_interval=1
    )

    dbt = SSHOperator(task_id="dbt_on_a_vm", command="cd reporting && dbt run", ssh_conn_id="dbt_vm")

    accounts >> accounts_arrived
    adverts >> adverts_arrived
    [accounts_arrived, adverts_arrived] >> dbt
