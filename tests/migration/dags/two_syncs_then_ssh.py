"""Two syncs side by side, then dbt on another machine over SSH."""

from datetime import datetime, timedelta

try:
    from airflow.sdk.definitions.dag import DAG
except ImportError:
    from airflow import DAG

from airflow.providers.ssh.operators.ssh import SSHOperator

from airflow_provider_fivetran.operators import FivetranOperator

common = {
    "owner": "Airflow",
    "start_date": datetime(2023, 9, 1),
}

with DAG(
    dag_id="migrated_two_syncs_then_ssh",
    default_args=common,
    schedule=timedelta(days=1),
    catchup=False,
) as dag:
    accounts = FivetranOperator(
        task_id="sync-accounts",
        connector_id="{{ var.value.accounts_connection }}",
    )

    adverts = FivetranOperator(
        task_id="sync-adverts",
        connector_id="{{ var.value.adverts_connection }}",
    )

    dbt = SSHOperator(
        task_id="dbt_on_a_vm",
        command="cd reporting && dbt build",
        ssh_conn_id="dbt_vm",
    )

    [accounts, adverts] >> dbt
