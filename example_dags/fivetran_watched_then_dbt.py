"""Run dbt when two connections have landed that Fivetran syncs on its own schedule.

No task of Airflow starts a sync here, waits for one, or knows when one is due. The triggerer watches
both connections with one request for all that it watches; each good end of a sync is an event of the
connection's asset, and when both have had one, dbt runs. Needs Airflow 3.
"""

from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG, Asset, AssetWatcher
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import TestBehavior

from airflow_provider_fivetran.assets import connection_asset
from airflow_provider_fivetran.triggers import FivetranSyncEndedTrigger

SHOP = Path(__file__).parent / "dbt" / "shop"


def watched(connector_id: str) -> Asset:
    watcher = AssetWatcher(name=connector_id, trigger=FivetranSyncEndedTrigger(connector_id))
    return connection_asset(connector_id, watchers=[watcher])


with DAG(
    dag_id="fivetran_watched_then_dbt",
    schedule=watched("web_shop") & watched("card_payments"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # for DuckDB, see fivetran_then_dbt.py
    tags=["fivetran", "dbt", "assets"],
):
    DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            SHOP, dbt_vars={"shop_schema": "web_shop", "payments_schema": "card_payments"}
        ),
        profile_config=ProfileConfig(
            profile_name="shop", target_name="dev", profiles_yml_filepath=SHOP / "profiles.yml"
        ),
        render_config=RenderConfig(test_behavior=TestBehavior.AFTER_ALL),
    )
