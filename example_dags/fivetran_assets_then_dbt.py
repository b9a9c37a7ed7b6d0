"""Run dbt when two sources have landed anew, whoever synced them and whenever that was.

There is no clock in this DAG, and no Fivetran: it waits for the assets of two connections. What
emits their events is the other DAG's affair, such as ``fivetran_land_two_sources.py``.
"""

from datetime import datetime
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import TestBehavior

from airflow_provider_fivetran.assets import connection_asset, sync_record_of

SHOP = Path(__file__).parent / "dbt" / "shop"

with DAG(
    dag_id="fivetran_assets_then_dbt",
    schedule=connection_asset("web_shop") & connection_asset("card_payments"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # for DuckDB, see fivetran_then_dbt.py
    tags=["fivetran", "dbt", "assets"],
):

    @task
    def say_what_has_landed(triggering_asset_events: dict | None = None) -> None:
        for events in (triggering_asset_events or {}).values():
            for event in events:
                sync = sync_record_of(event)
                print(f"{sync.connection_id} is complete as of {sync.ended_at}: {sync.link}")

    dbt = DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            SHOP, dbt_vars={"shop_schema": "web_shop", "payments_schema": "card_payments"}
        ),
        profile_config=ProfileConfig(
            profile_name="shop", target_name="dev", profiles_yml_filepath=SHOP / "profiles.yml"
        ),
        render_config=RenderConfig(test_behavior=TestBehavior.AFTER_ALL),
    )

    say_what_has_landed() >> dbt
