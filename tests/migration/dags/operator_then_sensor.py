"""A sync that is not waited for, other work, and a sensor that takes the operator's XCom."""

import time
from datetime import datetime, timedelta

try:
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk.definitions.dag import DAG
except ImportError:
    from airflow import DAG
    from airflow.operators.python import PythonOperator

from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.sensors import FivetranSensor

common = {
    "owner": "Airflow",
    "start_date": datetime(2023, 9, 1),
    "provide_context": True,
}

dag = DAG(
    dag_id="migrated_operator_then_sensor",
    default_args=common,
    schedule=timedelta(days=1),
    catchup=False,
)

with dag:
    begin = FivetranOperator(
        task_id="begin-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        wait_for_completion=False,
    )

    meanwhile = PythonOperator(task_id="meanwhile", python_callable=lambda: time.sleep(0.5))

    arrived = FivetranSensor(
        task_id="await-sync",
        fivetran_conn_id="fivetran_default",
        connector_id="{{ var.value.accounts_connection }}",
        poke_interval=5,
        completed_after_time="{{ task_instance.xcom_pull('begin-sync', key='return_value') }}",
    )

    begin >> meanwhile >> arrived
