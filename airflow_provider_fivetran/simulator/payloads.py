"""The bodies of webhook deliveries, with their fields in the order in which Fivetran sends them.

The head is that of a delivery captured in May 2026. What stands in ``data`` follows the fields that Fivetran's
log events document: ``status``, ``reason``, ``taskType`` and ``rescheduledAt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .written import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .records import Connection, Run

# The connection of the test payloads, which does not exist.
TEST_CONNECTION = "_connection_1"
TEST_EVENT = "test_event"

# Webhooks have words of their own for how a sync ended. For one that was stopped only the logs document a word.
_STATUSES = {
    "COMPLETED": "SUCCESSFUL",
    "FAILURE": "FAILURE",
    "RESCHEDULED": "RESCHEDULED",
    "CANCELED": "CANCELED",
    "PAUSED": "CANCELED",
    "INCOMPLETE": "CANCELED",
}


def event_body(
    event: str,
    at: datetime,
    connection: Connection,
    *,
    sync_id: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> bytes:
    body: dict[str, Any] = {
        "event": event,
        "created": milliseconds(at),
        "connector_type": connection.service,
        "connector_id": connection.id,
        "connector_name": connection.schema,
        "sync_id": sync_id,
        "destination_group_id": connection.group_id,
        "data": data,
    }
    return as_json({name: value for name, value in body.items() if value is not None})


def probe_body(event: str, at: datetime) -> bytes:
    """What is sent to see whether somebody listens: about no connection, and without a sync."""
    return as_json(
        {
            "event": event,
            "created": milliseconds(at),
            "connector_type": "_connector_type",
            "connector_id": TEST_CONNECTION,
            "group_id": "_destination_1",
        }
    )


def sync_data(connection: Connection, run: Run) -> dict[str, Any] | None:
    """The ``data`` of the end of a sync; its start has none."""
    if run.ended_at is None:
        return None
    data: dict[str, Any] = {"status": _STATUSES[run.status]}
    if run.status == "FAILURE" and run.plan.tasks:
        data["status"] = "FAILURE_WITH_TASK"
    if run.reason:
        data["reason"] = run.reason
    if data["status"] == "FAILURE_WITH_TASK":
        data["taskType"] = str(connection.tasks[0].get("code", ""))
    if run.rescheduled_for is not None:
        data["rescheduledAt"] = milliseconds(run.rescheduled_for)
    return data


def milliseconds(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``, as webhooks write it and other answers do not."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
