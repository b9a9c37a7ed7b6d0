"""Sync two sources and tell Airflow what has landed: whatever is scheduled on that data, runs.

Each task emits an event of its connection's asset when its sync has ended well, and of an asset for
each table that it fills. The DAGs that use the data need not be known here; one of them is in
``fivetran_assets_then_dbt.py``.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, AssetAlias

from airflow_provider_fivetran.assets import connection_asset
from airflow_provider_fivetran.operators import FivetranOperator

with DAG(
    dag_id="fivetran_land_two_sources",
    schedule=timedelta(hours=6),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["fivetran", "assets"],
):
    for source in ("web_shop", "card_payments"):
        FivetranOperator(
            task_id=f"sync_{source}",
            connector_id=source,
            deferrable=True,
            outlets=[connection_asset(source)],
            table_assets=AssetAlias(f"tables_of_{source}"),
        )
