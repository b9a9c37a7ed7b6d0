"""What became of the latest ingestion of a connection, and of those before it: one pure function, one row.

It does no I/O and reads no clock. Source: Fivetran's REST API definition, ``GET /v1/connections`` (schema
``ConnectorResponseV1``) and ``GET /v1/connections/{connectionId}/sync-history``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.reports import reasons_of
from airflow_provider_fivetran.core.snapshot_tables import COLUMNS, seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
    from airflow_provider_fivetran.core.snapshot_tables import Row

__all__ = ["status_row", "with_history"]

# A timestamp of a connection and the end that its history shows are of one sync when they are as close as this.
SAME_END = timedelta(seconds=1)
_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


def status_row(
    connection: Connection, row: Mapping[str, Any], names: Mapping[str, Mapping[str, str]], read_at: datetime
) -> Row:
    """A row of ``latest_status`` by what the list of connections shows, which is all but the history.

    :param row: the row of ``connections``.
    :param names: by id, ``groups`` their names and ``users`` their email addresses, as far as they were seen.
    :param read_at: when the list was read, by Fivetran's clock.
    """
    shown = {name: row[name] for name in _AS_IN_CONNECTIONS}
    return dict.fromkeys(column.name for column in COLUMNS["latest_status"]) | {
        "connection_id": connection.id,
        **shown,
        "destination": names["groups"].get(connection.group_id),
        "owner_id": row["connected_by"],
        "owner_email": names["users"].get(row["connected_by"] or ""),
        "notices": reasons_of(connection, None) or None,
        "link": connection.link,
        "read_at": read_at,
        **_without_history(connection),
    }


def with_history(row: Row, entries: Sequence[SyncHistoryEntry]) -> Row:
    """The row once its history is known: which sync was the latest, how all went.

    The history is read after the list, and so its newest entry is the latest ingestion, with two exceptions: the
    list showed a running sync, of which the history shows nothing yet; or a newer end, for the history may lag.
    """
    found = {
        "syncs": len(entries),
        "failed_syncs": sum(entry.is_failure for entry in entries),
        "mean_seconds": _mean([seconds_of(entry) for entry in entries if entry.is_success]),
        "load_mb": _sum([entry.volume_mb.get("load") for entry in entries]),
    }
    newest = max(entries, key=_begin, default=None)
    if newest is None or _is_older(newest, row):
        return row | found
    return row | found | _by_entry(newest)


_AS_IN_CONNECTIONS = (
    "name",
    "service",
    "group_id",
    "succeeded_at",
    "failed_at",
    "is_paused",
    "setup_state",
    "sync_state",
    "update_state",
    "rescheduled_for",
    "schedule_type",
    "sync_frequency_minutes",
)


def _without_history(connection: Connection) -> Row:
    succeeded_at, failed_at = connection.succeeded_at, connection.failed_at
    if connection.is_syncing:
        return {"last_status": "running"}
    if connection.is_rescheduled:  # which moves no timestamp
        return {"last_status": "rescheduled"}
    if succeeded_at is None and failed_at is None:
        return {"last_status": "never"}
    if failed_at is None or (succeeded_at is not None and succeeded_at >= failed_at):
        return {"last_status": "succeeded", "last_ended_at": succeeded_at}
    return {"last_status": "failed", "last_ended_at": failed_at}


def _is_older(newest: SyncHistoryEntry, row: Row) -> bool:
    """Whether the list showed something later than the newest entry of the history."""
    if row["last_status"] == "running":
        listed_at: datetime = row["read_at"]
        return _end(newest) <= listed_at
    known: datetime | None = row["last_ended_at"]
    return known is not None and _end(newest) < known - SAME_END


def _by_entry(entry: SyncHistoryEntry) -> Row:
    return {
        "last_status": _word(entry),
        "last_sync_id": entry.sync_id,
        "last_started_at": entry.started_at,
        "last_ended_at": entry.ended_at,
        "last_seconds": seconds_of(entry),
        "last_load_mb": entry.volume_mb.get("load"),
        "last_reason": entry.reason,
    }


def _word(entry: SyncHistoryEntry) -> str:
    words = {
        "succeeded": entry.is_success,
        "failed": entry.is_failure,
        "rescheduled": entry.is_put_off,
        "cancelled": entry.is_stopped,
        "running": entry.is_running,
    }
    return next((word for word, is_so in words.items() if is_so), entry.status)


def _begin(entry: SyncHistoryEntry) -> datetime:
    """When it began, for which one stands after another: one that was broken off may never get an end."""
    return entry.started_at or _end(entry)


def _end(entry: SyncHistoryEntry) -> datetime:
    return entry.ended_at or _FAR_FUTURE


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    total = sum(known)
    return total if known and math.isfinite(total) else None  # JSON has no word for infinity
