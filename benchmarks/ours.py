"""Our provider in the benchmark: how a task begins, and what its trigger's event says."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from benchmarks.witness import SECRET

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

CONN_ID = "fivetran_ours"


def declare(url: str, key: str) -> None:
    """Let the Airflow connection lead to the simulator."""
    connection = {"conn_type": "fivetran", "login": key, "password": SECRET, "host": url}
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(connection)


def task(connection_id: str, poll: float | None) -> BaseOperator:
    from airflow_provider_fivetran.operators import FivetranOperator

    return FivetranOperator(
        task_id=connection_id,
        connector_id=connection_id,
        fivetran_conn_id=CONN_ID,
        poll_frequency=poll,
        deferrable=True,
    )


def is_green(event: Any) -> bool:
    """Whether the task would end well."""
    from airflow_provider_fivetran.core.events import read_event
    from airflow_provider_fivetran.core.verdicts import Succeeded

    return isinstance(read_event(event), Succeeded)
