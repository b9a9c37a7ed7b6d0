"""One task starts a sync, the next waits for it; the Airflow connection is named."""

from datetime import datetime, timedelta

from airflow import DAG
from fivetran_provider.operators.fivetran import FivetranOperator
from fivetran_provider.sensors.fivetran import FivetranSensor

common = {
    "owner": "Airflow",
    "start_date": datetime(2023, 9, 1),
}

dag = DAG(dag_id="older_start_and_wait", default_args=common, schedule=timedelta(days=1), catchup=False)

with dag:
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

    begin >> arrived
