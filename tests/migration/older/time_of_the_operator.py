"""The sensor takes the time that the operator has returned, so that a quick sync is not missed."""

import time
from datetime import datetime, timedelta

from airflow import DAG

try:
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:
    from airflow.operators.python import PythonOperator

from fivetran_provider.operators.fivetran import FivetranOperator
from fivetran_provider.sensors.fivetran import FivetranSensor

common = {
    "owner": "Airflow",
    "start_date": datetime(2023, 9, 1),
}

dag = DAG(dag_id="older_time_of_the_operator", default_args=common, schedule=timedelta(days=1), catchup=False)

with dag:
    begin = FivetranOperator(
        task_id="begin-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
    )

    # Longer than the sync takes.
    meanwhile = PythonOperator(task_id="meanwhile", python_callable=lambda: time.sleep(1.5))

    arrived = FivetranSensor(
        task_id="await-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        poke_interval=1,
        xcom="{{ task_instance.xcom_pull('begin-sync', key='return_value') }}",  # not the next one
    )

    begin >> meanwhile >> arrived
