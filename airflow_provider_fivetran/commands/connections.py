"""``airflow fivetran connections list``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.commands.terminal import hook_of, show

if TYPE_CHECKING:
    import argparse

    from airflow_provider_fivetran.core.models import Connection

__all__ = ["list_"]


def list_(args: argparse.Namespace) -> None:
    """Show the connections that the key may see, by name."""
    with hook_of(args) as hook:
        found = hook.list_connections(group_id=args.group_id)
    wanted = [connection for connection in found if not args.state or _is_in(connection, args.state)]
    rows = [_row(connection) for connection in sorted(wanted, key=lambda c: (c.schema, c.id))]
    known = f"none of {len(found)} is {' or '.join(args.state)}" if args.state and found else None
    show(rows, args.output, nothing=known or "the key sees no connection")


def _is_in(connection: Connection, states: list[str]) -> bool:
    status = connection.status
    return (
        status.sync_state in states
        or status.setup_state in states
        or ("paused" in states and connection.paused)
    )


def _row(connection: Connection) -> dict[str, Any]:
    by_itself = connection.schedule_type != "manual" and connection.sync_frequency is not None
    return {
        "id": connection.id,
        "name": connection.schema,
        "service": connection.service,
        "paused": connection.paused,
        "setup_state": connection.status.setup_state,
        "sync_state": connection.status.sync_state,
        "schedule": connection.schedule_type,
        "every": timedelta(minutes=connection.sync_frequency or 0) if by_itself else None,
        "last_success": connection.succeeded_at,
        "last_failure": connection.failed_at,
    }
