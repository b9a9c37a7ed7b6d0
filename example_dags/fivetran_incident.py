"""Open an incident when a sync did not end well that nobody in Airflow had started.

A watcher tells of every sync in the account that failed, was cancelled or was put off; an event says
which, when and why. Put your pager where this prints. Needs Airflow 3.
"""

from datetime import datetime

from airflow.sdk import DAG, AssetWatcher, task

from airflow_provider_fivetran.assets import failure_asset, sync_record_of
from airflow_provider_fivetran.triggers import FivetranSyncEndedTrigger

failures = failure_asset(
    watchers=[AssetWatcher(name="fivetran_failures", trigger=FivetranSyncEndedTrigger(failures=True))]
)

with DAG(
    dag_id="fivetran_incident",
    schedule=[failures],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran", "assets"],
):

    @task
    def what_went_wrong(triggering_asset_events: dict | None = None) -> list[dict]:
        """All that came in since the last run; what was only put off will run by itself."""
        told = (triggering_asset_events or {}).values()
        syncs = [sync_record_of(event) for events in told for event in events]
        return [sync.to_json() for sync in syncs if sync.status != "rescheduled"]

    @task
    def open_incident(sync: dict) -> None:
        print(
            f"{sync['connection_id']} {sync['status']} at {sync['ended_at']}: {sync['reason']}. {sync['link']}"
        )

    open_incident.expand(sync=what_went_wrong())
