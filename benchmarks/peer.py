"""``airflow-provider-fivetran-async`` in the benchmark: how a task begins, and what its trigger's event says."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.witness import SECRET

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

CONN_ID = "fivetran_peer"
ITS_DEFAULT_POLL = 15


def declare(url: str, key: str) -> None:
    """Let its Airflow connection hold the key, and its hook, whose host is a constant, talk to the simulator."""
    from fivetran_provider_async.hooks import FivetranHook

    warnings.filterwarnings(
        "ignore", module="fivetran_provider_async"
    )  # it uses what it has deprecated itself
    connection = {"conn_type": "fivetran", "login": key, "password": SECRET}
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(connection)
    address = urlsplit(url)
    FivetranHook.api_protocol, FivetranHook.api_host = address.scheme, address.netloc


def task(connection_id: str, poll: float | None) -> BaseOperator:
    from fivetran_provider_async.operators import FivetranOperator

    made: BaseOperator = FivetranOperator(
        task_id=connection_id,
        connector_id=connection_id,
        fivetran_conn_id=CONN_ID,
        poll_frequency=poll or ITS_DEFAULT_POLL,
        deferrable=True,
    )
    return made


def is_green(event: Any) -> bool:
    """Whether the task would end well."""
    return bool(event["status"] == "success")
