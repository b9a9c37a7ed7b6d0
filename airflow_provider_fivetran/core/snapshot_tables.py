"""The tables of a snapshot: what is in each column, and where in Fivetran's answers it stands.

Source: Fivetran's REST API definition, schemas ``UserResponse``, ``GroupResponse``, ``DestinationResponse``,
``TransformationResponse`` and ``ConnectorResponseV1``, as ``GET /v1/users``, ``/v1/groups``, ``/v1/destinations``,
``/v1/transformations`` and ``/v1/connections`` list them. Of a connection and a destination the ``config`` is left
out: its fields differ by service, and it is where secrets are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.fields import (
    flag,
    maybe_moment,
    maybe_number,
    maybe_text,
    section,
    storable,
    text,
    texts,
)
from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.policies import SnapshotTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_fivetran.core.models import SyncHistoryEntry

__all__ = ["COLUMNS", "TABLES", "Column", "Row", "plain", "read_row", "restored", "sync_row"]

# Of an integer: beyond it not every number is one, and a Parquet file takes none beyond 2**63.
LARGEST = 2**53
Kind: TypeAlias = Literal["text", "flag", "integer", "number", "moment", "texts", "json"]
Row: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind
    """``moment`` is a time in UTC, ``texts`` a list of texts, ``json`` a text that holds JSON."""
    wire: str = ""
    """Where it stands in Fivetran's row, from the outside in; empty: it is worked out."""
    is_required: bool = False


def _id() -> Column:
    return Column("id", "text", "id", is_required=True)


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "users": (
        _id(),
        Column("email", "text", "email"),
        Column("given_name", "text", "given_name"),
        Column("family_name", "text", "family_name"),
        Column("role", "text", "role"),
        Column("is_active", "flag", "active"),
        Column("is_verified", "flag", "verified"),
        Column("created_at", "moment", "created_at"),
        Column("logged_in_at", "moment", "logged_in_at"),
    ),
    "groups": (_id(), Column("name", "text", "name"), Column("created_at", "moment", "created_at")),
    "destinations": (
        _id(),
        Column("group_id", "text", "group_id"),
        Column("service", "text", "service"),
        Column("region", "text", "region"),
        Column("setup_status", "text", "setup_status"),
        Column("time_zone_offset", "text", "time_zone_offset"),
        Column("networking_method", "text", "networking_method"),
    ),
    "transformations": (
        _id(),
        Column("type", "text", "type"),
        Column("name", "text", "transformation_config.name"),
        Column("package_name", "text", "transformation_config.package_name"),
        Column("project_id", "text", "transformation_config.project_id"),
        Column("status", "text", "status"),
        Column("is_paused", "flag", "paused"),
        Column("created_at", "moment", "created_at"),
        Column("created_by_id", "text", "created_by_id"),
        Column("last_started_at", "moment", "last_started_at"),
        Column("last_ended_at", "moment", "last_ended_at"),
        Column("schedule", "json", "schedule"),
        Column("output_model_names", "texts", "output_model_names"),
    ),
    "connections": (
        _id(),
        Column("name", "text", "schema"),
        Column("service", "text", "service"),
        Column("service_version", "integer", "service_version"),
        Column("group_id", "text", "group_id"),
        Column("connected_by", "text", "connected_by"),
        Column("created_at", "moment", "created_at"),
        Column("succeeded_at", "moment", "succeeded_at"),
        Column("failed_at", "moment", "failed_at"),
        Column("is_paused", "flag", "paused"),
        Column("setup_state", "text", "status.setup_state"),
        Column("sync_state", "text", "status.sync_state"),
        Column("update_state", "text", "status.update_state"),
        Column("is_historical_sync", "flag", "status.is_historical_sync"),
        Column("rescheduled_for", "moment", "status.rescheduled_for"),
        Column("tasks", "json", "status.tasks"),
        Column("warnings", "json", "status.warnings"),
        Column("schedule_type", "text", "schedule_type"),
        Column("sync_frequency_minutes", "integer", "sync_frequency"),
        Column("daily_sync_time", "text", "daily_sync_time"),
        Column("schedule", "json", "schedule"),
        Column("data_delay_sensitivity", "text", "data_delay_sensitivity"),
        Column("data_delay_threshold_minutes", "integer", "data_delay_threshold"),
        Column("networking_method", "text", "networking_method"),
    ),
    "syncs": (
        Column("connection_id", "text"),
        Column("sync_id", "text"),
        Column("status", "text"),
        Column("started_at", "moment"),
        Column("ended_at", "moment"),
        Column("seconds", "number"),
        Column("extract_mb", "number"),
        Column("process_mb", "number"),
        Column("load_mb", "number"),
        Column("reason", "text"),
    ),
    "latest_status": (
        Column("connection_id", "text"),
        Column("name", "text"),
        Column("service", "text"),
        Column("group_id", "text"),
        Column("destination", "text"),
        Column("owner_id", "text"),
        Column("owner_email", "text"),
        Column("last_status", "text"),
        Column("last_sync_id", "text"),
        Column("last_started_at", "moment"),
        Column("last_ended_at", "moment"),
        Column("last_seconds", "number"),
        Column("last_load_mb", "number"),
        Column("last_reason", "text"),
        Column("succeeded_at", "moment"),
        Column("failed_at", "moment"),
        Column("is_paused", "flag"),
        Column("setup_state", "text"),
        Column("sync_state", "text"),
        Column("update_state", "text"),
        Column("rescheduled_for", "moment"),
        Column("schedule_type", "text"),
        Column("sync_frequency_minutes", "integer"),
        Column("notices", "text"),
        Column("syncs", "integer"),
        Column("failed_syncs", "integer"),
        Column("mean_seconds", "number"),
        Column("load_mb", "number"),
        Column("link", "text"),
        Column("read_at", "moment"),
    ),
    "not_seen": (Column("table", "text"), Column("id", "text"), Column("why", "text")),
}
# Those that may be chosen. Of what could not be seen nobody chooses not to hear.
TABLES: tuple[SnapshotTable, ...] = get_args(SnapshotTable)


def read_row(table: str, data: Mapping[str, Any]) -> Row:
    """One row of a table that Fivetran lists, out of a row of that list.

    :raises FivetranUnexpectedAnswer: a field is not as documented.
    """
    return {column.name: _read(column, data) for column in COLUMNS[table]}


def sync_row(connection_id: str, entry: SyncHistoryEntry) -> Row:
    """One row of ``syncs``."""
    return {
        "connection_id": connection_id,
        "sync_id": entry.sync_id,
        "status": entry.status,
        "started_at": entry.started_at,
        "ended_at": entry.ended_at,
        "seconds": seconds_of(entry),
        "extract_mb": entry.volume_mb.get("extract"),
        "process_mb": entry.volume_mb.get("process"),
        "load_mb": entry.volume_mb.get("load"),
        "reason": entry.reason,
    }


def seconds_of(entry: SyncHistoryEntry) -> float | None:
    """How long a sync took; ``None`` while it runs."""
    if entry.started_at is None or entry.ended_at is None:
        return None
    return (entry.ended_at - entry.started_at).total_seconds()


def plain(row: Mapping[str, Any]) -> Row:
    """The row as plain JSON."""
    return {
        name: write_moment(value) if isinstance(value, datetime) else value for name, value in row.items()
    }


def restored(table: str, row: Mapping[str, Any]) -> Row:
    """Read what :func:`plain` wrote."""
    return {
        column.name: _moment_or_none(row[column.name]) if column.kind == "moment" else row[column.name]
        for column in COLUMNS[table]
    }


def _moment_or_none(value: str | None) -> datetime | None:
    return None if value is None else read_moment(value)


def _read(column: Column, data: Mapping[str, Any]) -> Any:
    *outer, name = column.wire.split(".")
    for part in outer:
        data = section(data, part)
    return text(data, name) if column.is_required else _READERS[column.kind](data, name)


def _integer(data: Mapping[str, Any], name: str) -> int | None:
    number = maybe_number(data, name)
    if number is None:
        return None
    if abs(number) > LARGEST:
        raise FivetranUnexpectedAnswer(
            f"Fivetran's answer has {number:g} for {name!r} where a number of a sensible size is documented"
        )
    return int(number)


def _list_of_texts(data: Mapping[str, Any], name: str) -> list[str]:
    return list(texts(data, name))


def _as_json(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return None if value is None else storable(json.dumps(value, ensure_ascii=False, sort_keys=True))


_READERS: Mapping[Kind, Callable[[Mapping[str, Any], str], Any]] = {
    "text": maybe_text,
    "flag": flag,
    "integer": _integer,
    "number": maybe_number,
    "moment": maybe_moment,
    "texts": _list_of_texts,
    "json": _as_json,
}
