"""What to do when things are not as they should be, before the sync and after it.

Four arguments say what happens if the connection is busy, paused, broken or slow. If the sync fails
all the same, the callback finds everything known about it in the XCom ``fivetran_sync``, and can
tell somebody.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_fivetran.operators import FivetranOperator


def tell_somebody(context: dict[str, Any]) -> None:
    """Log the message that a team would send to its chat or its pager."""
    ti = context["ti"]
    sync = ti.xcom_pull(task_ids=ti.task_id, key="fivetran_sync") or {}
    logging.getLogger(__name__).error(
        "Sync of %s ended as %s: %s  See %s",
        sync.get("connection_id"),
        sync.get("status"),
        sync.get("reason"),
        sync.get("link"),
    )


with DAG(
    dag_id="fivetran_failure_handling",
    schedule=timedelta(hours=1),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["fivetran"],
):
    FivetranOperator(
        task_id="sync_shop",
        connector_id="shop_orders",
        when_running="queue",  # somebody else's sync is running: wait for its end, then start ours
        when_paused="unpause_and_restore",  # paused: wake it up for this sync only
        when_broken="test",  # broken: run Fivetran's setup tests first, they may heal it
        timeout=timedelta(hours=3),  # the whole wait, whatever happens in between
        retries=2,
        retry_delay=timedelta(minutes=5),
        on_failure_callback=tell_somebody,
        deferrable=True,
    )
