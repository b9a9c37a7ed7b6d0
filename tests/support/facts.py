"""Values for the tests of the core: a connection, a sync in its history, a ticket, each with one fact changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_fivetran.core import errors
from airflow_provider_fivetran.core.models import Connection, ConnectionStatus, Notice, SyncHistoryEntry
from airflow_provider_fivetran.core.run_ticket import RunTicket
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.core.transformations import Transformation

T0 = datetime(2026, 11, 2, 10, 0, 0, tzinfo=UTC)
"""When the ticket was taken."""
EARLIER = T0 - timedelta(hours=1)
EARLIER_STILL = T0 - timedelta(hours=2)

_STATUS = ("setup_state", "update_state", "is_historical", "rescheduled_for", "tasks", "warnings")


def at(seconds: float) -> datetime:
    """A moment, by seconds from the ticket."""
    return T0 + timedelta(seconds=seconds)


def connection(state: str = "scheduled", **changes: Any) -> Connection:
    """A connection whose last success was an hour before the ticket."""
    status = {
        "setup_state": "connected",
        "update_state": "on_schedule",
        "is_historical": False,
        "rescheduled_for": None,
    } | {name: changes.pop(name) for name in _STATUS if name in changes}
    fields: dict[str, Any] = {
        "id": "c",
        "group_id": "g",
        "service": "stripe",
        "schema": "payments",
        "paused": False,
        "schedule_type": "auto",
        "succeeded_at": EARLIER,
        "failed_at": None,
    }
    return Connection(status=ConnectionStatus(sync_state=state, **status), **(fields | changes))


def entry(
    status: str, start: float | None, end: float | None = None, sync_id: str = "ours", **changes: Any
) -> SyncHistoryEntry:
    """A sync in the history; its times are seconds from the ticket."""
    return SyncHistoryEntry(
        sync_id=sync_id,
        status=status,
        started_at=None if start is None else at(start),
        ended_at=None if end is None else at(end),
        **changes,
    )


def ticket(aim: Aim = Aim.TRIGGERED, **changes: Any) -> Ticket:
    """A ticket taken at T0 on the connection above; a triggered one was triggered a second later."""
    fields: dict[str, Any] = {
        "connection_id": "c",
        "aim": aim,
        "taken_at": T0,
        "asked_at": T0,
        "begun_at": T0,
        "sync_state": "syncing" if aim is Aim.RUNNING else "scheduled",
        "succeeded_at": EARLIER,
        "triggered_at": at(1) if aim is Aim.TRIGGERED else None,
    }
    return Ticket(**(fields | changes))


def transformation(
    status: str = "succeeded", start: float | None = -3600, end: float | None = -3000, **changes: Any
) -> Transformation:
    """A transformation whose last run was an hour before the ticket; its times are seconds from the ticket."""
    fields: dict[str, Any] = {
        "id": "t",
        "status": status,
        "name": "shop",
        "started_at": None if start is None else at(start),
        "ended_at": None if end is None else at(end),
    }
    return Transformation(**(fields | changes))


def run_ticket(aim: Aim = Aim.TRIGGERED, found: Transformation | None = None, **changes: Any) -> RunTicket:
    """A ticket taken at T0 of the transformation above, or of one that runs; a trigger came a second later."""
    found = found or (transformation("running", -60) if aim is Aim.RUNNING else transformation())
    fields: dict[str, Any] = {"is_ours": aim is Aim.TRIGGERED} | changes
    if aim is Aim.TRIGGERED:
        fields = {"triggered_at": at(1)} | fields
    return RunTicket.of(found, aim=aim, **{"taken_at": T0, "now": T0} | fields)


RECONNECT = Notice(code="reconnect", message="Reconnect it")

_MORE_THAN_OTHERS: dict[str, dict[str, Any]] = {
    "FivetranRateLimited": {"retry_after": 7.5},
    "FivetranUnreachable": {"maybe_received": False},
    "FivetranSyncRescheduled": {"rescheduled_for": at(3600)},
}


def whole_error(name: str) -> errors.FivetranError:
    """An error that knows all that its kind can know."""
    facts = {"status": 418, "code": "Broken", "connection_id": "c", "link": "https://x"}
    facts["transformation_id"] = "t"
    return getattr(errors, name)("it broke", **facts, **_MORE_THAN_OTHERS.get(name, {}))
