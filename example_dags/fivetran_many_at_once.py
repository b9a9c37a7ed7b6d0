"""Many connections at once: all of a warehouse in one task, and a few that matter in a task each.

The task group makes a task for each connection that is named here. One task then syncs whatever else loads into the
warehouse, two at a time, without a worker slot while it waits. It bears it if up to a tenth of those fail; a retry
syncs only what did not end well.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.operators import FivetranSyncManyOperator
from airflow_provider_fivetran.task_groups import sync_each

IMPORTANT = {"orders": "shop_orders", "payments": "card_payments"}

with DAG(
    dag_id="fivetran_many_at_once",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran"],
):
    important = sync_each(IMPORTANT, group_id="important", deferrable=True, retries=2)

    the_rest = FivetranSyncManyOperator(
        task_id="the_rest",
        destination_name="Warehouse",
        exclude=list(IMPORTANT.values()),
        # services=["postgres"], name_pattern="shop_*", only_failed=True,
        max_parallel=2,
        when_paused="skip",
        when_some_fail="fail_above",
        fail_above=0.1,
        total_timeout=timedelta(hours=8),
        retries=2,
    )

    @task
    def report(up_to_date: list[str]) -> None:
        print(f"{len(up_to_date)} more connections are up to date: {', '.join(up_to_date)}")

    important >> the_rest
    report(the_rest.output)
