"""Sync the one connection that the run names. The demo uses this DAG for a real Fivetran account."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_fivetran.operators import FivetranOperator

with DAG(
    dag_id="sync_one_connection",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"connection": Param(type="string", description="id of the connection in Fivetran")},
    tags=["fivetran"],
):
    FivetranOperator(task_id="sync", connector_id="{{ params.connection }}", deferrable=True)
