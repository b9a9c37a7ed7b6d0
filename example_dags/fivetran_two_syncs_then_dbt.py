"""Two sources at the same time, one dbt project on both.

Orders come from the shop's database, payments from the card processor: two connections in Fivetran.
Both syncs run at once; dbt starts when the later one has ended, and not at all if one of them
failed.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import TestBehavior

from airflow_provider_fivetran.operators import FivetranOperator

SHOP = Path(__file__).parent / "dbt" / "shop"

with DAG(
    dag_id="fivetran_two_syncs_then_dbt",
    schedule=timedelta(days=1),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # for DuckDB, see fivetran_then_dbt.py; a sync that is waited for does not count
    tags=["fivetran", "dbt"],
):
    sync_orders = FivetranOperator(task_id="sync_orders", connector_id="web_shop", deferrable=True)
    sync_payments = FivetranOperator(task_id="sync_payments", connector_id="card_payments", deferrable=True)

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

    [sync_orders, sync_payments] >> dbt
