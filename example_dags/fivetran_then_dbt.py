"""Sync the shop's data, then build the dbt project on it: each model is a task, and so are its tests.

Cosmos (``astronomer-cosmos``) turns the dbt project into tasks. They start only if the sync ended
well, so no model is ever built on half-loaded data.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import TestBehavior

from airflow_provider_fivetran.operators import FivetranOperator

SHOP = Path(__file__).parent / "dbt" / "shop"

with DAG(
    dag_id="fivetran_then_dbt",
    schedule=timedelta(hours=6),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # a DuckDB file has one writer at a time; a warehouse does not need this line
    tags=["fivetran", "dbt"],
):
    sync_shop = FivetranOperator(task_id="sync_shop", connector_id="shop_orders", deferrable=True)

    dbt = DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(SHOP),
        profile_config=ProfileConfig(
            profile_name="shop", target_name="dev", profiles_yml_filepath=SHOP / "profiles.yml"
        ),
        render_config=RenderConfig(test_behavior=TestBehavior.AFTER_ALL),
    )

    sync_shop >> dbt
