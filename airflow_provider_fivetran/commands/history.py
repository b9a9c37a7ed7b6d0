"""``airflow fivetran history``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.commands.terminal import check_names_a_connection, find_id, hook_of, show
from airflow_provider_fivetran.core.errors import FivetranForbidden, FivetranNotFound
from airflow_provider_fivetran.core.history import REACH
from airflow_provider_fivetran.core.reports import name_of

if TYPE_CHECKING:
    import argparse

    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry

__all__ = ["history"]

# Fivetran's clock may be ahead of ours.
SOON = timedelta(minutes=1)


def history(args: argparse.Namespace) -> None:
    """Show the last syncs of a connection, the newest first; it fails where there is no history to read."""
    check_names_a_connection(args)
    with hook_of(args) as hook:
        connection_id = find_id(hook, args)
        until = utcnow() + SOON
        try:
            entries = hook.get_sync_history(connection_id, since=until - REACH, until=until)
        except (FivetranNotFound, FivetranForbidden):
            # Either the connection is unknown, which this tells, or it is the history that is missing.
            raise SystemExit(_without(hook.get_fivetran_connection(connection_id))) from None
    newest = sorted(entries, key=_began, reverse=True)[: args.limit]
    show(
        [_row(entry) for entry in newest],
        args.output,
        nothing=f"{connection_id} had no sync in the last seven days",
    )


def _began(entry: SyncHistoryEntry) -> datetime:
    return entry.started_at or entry.ended_at or datetime.min.replace(tzinfo=UTC)


def _row(entry: SyncHistoryEntry) -> dict[str, Any]:
    return {
        "sync_id": entry.sync_id,
        "status": entry.status,
        "started": entry.started_at,
        "ended": entry.ended_at,
        "duration": entry.ended_at - entry.started_at if entry.ended_at and entry.started_at else None,
        "volume_mb": entry.volume_mb,
        "reason": entry.reason,
    }


def _without(connection: Connection) -> str:
    def at(moment: datetime | None) -> str:
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"

    return (
        f"Fivetran offers this account or this key no sync history. Of {name_of(connection)} it tells: "
        f"last success {at(connection.succeeded_at)}, last failure {at(connection.failed_at)}, "
        f"now {connection.status.sync_state}. {connection.link}"
    )
