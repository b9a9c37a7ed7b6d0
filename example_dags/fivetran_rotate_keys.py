"""Give both keys of a Fivetran connection new secrets each month, with one that works at every moment.

The Airflow connection `fivetran_default` names another one as its `fallback_conn_id`, and each has a system key of
its own. The second is rotated, stored and seen to work, and only then the first: while that one is replaced, tasks
and waits go on with the second. `fivetran_admin` has the key of an account administrator, `airflow_api` the name and
password of an Airflow user who may change connections. A task that dies is tried again, and mends what it left.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_fivetran.key_stores import AirflowConnections
from airflow_provider_fivetran.operators import FivetranRotateKeyOperator

with DAG(
    dag_id="fivetran_rotate_keys",
    schedule="@monthly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["fivetran"],
):
    FivetranRotateKeyOperator(
        task_id="rotate_keys",
        fivetran_conn_id="fivetran_default",
        admin_conn_id="fivetran_admin",
        store=AirflowConnections("airflow_api"),
        expiration_period="THREE_MONTHS",
        retries=3,
        retry_delay=timedelta(minutes=5),
    )
