"""Load tables anew, chosen by whoever triggers the DAG, or everything, for which they have to say what that is.

The tables are looked for in the connection's schema configuration first, and a wrong name is an error that
says what is near. Choosing none is an error too. To load everything anew, which can take days, repeat the
connection's id in the form: a flag would be set too easily.
"""

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_fivetran.operators import FivetranResyncOperator

with DAG(
    dag_id="fivetran_resync",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    max_active_runs=1,
    params={
        "tables": Param({"shop": ["orders"]}, type="object", description="the tables, by schema"),
        "everything": Param("", type="string", description="or everything: the id of the connection"),
    },
    tags=["fivetran"],
):

    @task.branch
    def tables_or_everything(params: dict[str, Any]) -> str:
        return "resync_everything" if params["everything"] else "resync_tables"

    tables_or_everything() >> [
        FivetranResyncOperator(
            task_id="resync_tables",
            connector_id="shop_orders",
            scope="{{ params.tables | tojson }}",
            deferrable=True,
        ),
        FivetranResyncOperator(
            task_id="resync_everything",
            connector_id="shop_orders",
            confirm="{{ params.everything }}",
            deferrable=True,
        ),
    ]
