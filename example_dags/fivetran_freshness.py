"""Run dbt only on fresh data, and say which sources are not fresh, why, and where to look.

Fivetran keeps its own schedule. One task waits until every connection of the warehouse has synced within
six hours; it gives up at once on what only a person can mend, and on all others after two hours. A check
after dbt looks at the health of everything that the key may see, and fails with one text about all of it.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.operators import FivetranFreshnessOperator
from airflow_provider_fivetran.sensors import FivetranFreshnessSensor

with DAG(
    dag_id="fivetran_freshness",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    sources_are_fresh = FivetranFreshnessSensor(
        task_id="sources_are_fresh",
        destination_name="Warehouse",
        fresh_within=timedelta(hours=6),
        # fresh_since="{{ data_interval_end }}",  # or since a certain time
        when_paused="ignore",  # somebody wanted it so
        poke_interval=timedelta(minutes=2),
        timeout=timedelta(hours=2).total_seconds(),
        deferrable=True,
    )

    @task
    def transform(fresh_up_to: str) -> None:
        print(f"dbt build  # all sources are there up to {fresh_up_to}")

    all_is_healthy = FivetranFreshnessOperator(
        task_id="all_is_healthy",
        fresh_within=timedelta(hours=26),
        when_broken="fail",
        when_delayed="fail",
        when_paused="ignore",
    )

    transform(sources_are_fresh.output) >> all_is_healthy
