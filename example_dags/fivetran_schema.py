"""Sync only with e-mail addresses hashed, and tell what is new in the source, or gone from it, since the last time.

Before each sync the schema configuration is made as it is described here, whoever has changed it in the
dashboard meanwhile; where it is so already, that costs one request. After the sync, which has looked at the
source, a check compares the configuration with what it was a day before: a table that is gone fails it, new
tables and columns are reported.
"""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_fivetran.operators import (
    FivetranOperator,
    FivetranSchemaDriftOperator,
    FivetranSchemaOperator,
)

with DAG(
    dag_id="fivetran_schema",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["fivetran"],
):
    keep_as_described = FivetranSchemaOperator(
        task_id="keep_as_described",
        connector_id="shop_orders",
        schema_change_handling="ALLOW_COLUMNS",  # new tables wait for somebody to describe them
        schemas={
            "shop": {
                "enabled": True,
                "tables": {
                    "orders": {"enabled": True, "sync_mode": "HISTORY"},
                    "customers": {"enabled": True, "columns": {"email": {"hashed": True}}},
                },
            }
        },
        # others="disable",      # no tables but these
        # when_different="show",  # a dry run: only say what would be changed
    )
    sync_shop = FivetranOperator(task_id="sync_shop", connector_id="shop_orders", deferrable=True)
    has_it_drifted = FivetranSchemaDriftOperator(
        task_id="has_it_drifted",
        connector_id="shop_orders",
        columns_of={"shop": ["customers"]},
        when_missing="fail",
        when_new="report",
    )

    keep_as_described >> sync_shop >> has_it_drifted
