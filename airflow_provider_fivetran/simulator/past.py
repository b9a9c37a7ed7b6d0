"""Syncs from before a connection was added, worked out when they are asked for: thousands cost nothing."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .records import Run

if TYPE_CHECKING:
    from .records import Connection

_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
_NAMESPACE = uuid.UUID("8a5ad3ae-95a4-4a52-8ca2-bd37b86ca3f4")
_REASON = "The sync failed. Fivetran could not read from the source."


def past_runs(connection: Connection, since: datetime) -> list[Run]:
    """The syncs that ended before the connection was added, of those that began after ``since``, oldest first."""
    every, until = connection.past_every, connection.past_until
    if every is None or until is None:
        return []
    first = math.ceil((since - _BEGINNING).total_seconds() / every)
    return [_run(connection, every, number) for number in range(first, _last(connection, every, until) + 1)]


def remember_past(connection: Connection, now: datetime) -> None:
    """Let the timestamps of a connection that is added tell of its past, where they are not given."""
    every, failing = connection.past_every, connection.past_failing
    if every is None:
        return
    connection.past_until = now
    last = _last(connection, every, now)
    failed = last - last % failing if failing else None
    if connection.failed_at is None and failed is not None:
        connection.failed_at = _run(connection, every, failed).ended_at
    if connection.succeeded_at is None and failing != 1:
        connection.succeeded_at = _run(connection, every, last - (last == failed)).ended_at


def _last(connection: Connection, every: float, before: datetime) -> int:
    ended = before - timedelta(seconds=connection.default_plan.duration)
    return math.floor((ended - _BEGINNING).total_seconds() / every)


def _run(connection: Connection, every: float, number: int) -> Run:
    plan = connection.default_plan
    started_at = _BEGINNING + timedelta(seconds=number * every)
    has_failed = connection.past_failing is not None and number % connection.past_failing == 0
    return Run(
        sync_id=str(uuid.uuid5(_NAMESPACE, f"{connection.id}/{number}")),
        connection_id=connection.id,
        cause="schedule",
        plan=plan,
        accepted_at=started_at,
        starts_at=started_at,
        started_at=started_at,
        ended_at=started_at + timedelta(seconds=plan.duration),
        status="FAILURE" if has_failed else "COMPLETED",
        reason=_REASON if has_failed else None,
        volume_mb=(None, None, None) if has_failed else plan.volume_mb,
    )
