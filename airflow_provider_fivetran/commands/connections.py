"""``airflow fivetran connections list``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.commands.terminal import hook_of, show
from airflow_provider_fivetran.core.errors import FivetranForbidden, FivetranLookupError

if TYPE_CHECKING:
    import argparse

    from airflow_provider_fivetran.core.models import Connection
    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["list_"]

# An account may have thousands.
MOST_GROUPS = 10


def list_(args: argparse.Namespace) -> None:
    """Show the connections that the key may see, by name."""
    with hook_of(args) as hook:
        found = hook.list_connections(group_id=args.group_id)
        if args.group_id is not None and not found:
            _check_is_a_group(hook, args.group_id)  # Fivetran lists nothing of a group that is none
    wanted = [connection for connection in found if not args.state or _is_in(connection, args.state)]
    rows = [_row(connection) for connection in sorted(wanted, key=lambda c: (c.schema, c.id))]
    show(rows, args.output, nothing=_nothing(args, len(found)))


def _nothing(args: argparse.Namespace, found: int) -> str:
    if args.state and found:
        return f"none of {found} is {' or '.join(args.state)}"
    return "the key sees no connection" + (f" in the group {args.group_id}" if args.group_id else "")


def _check_is_a_group(hook: FivetranHook, group_id: str) -> None:
    try:
        groups = hook.list_groups()
    except FivetranForbidden:
        return  # the key sees nothing at all of groups
    if group_id not in {group.id for group in groups}:
        shown = [f"{group.id} ({group.name})" for group in groups[:MOST_GROUPS]]
        more = [f"{len(groups) - MOST_GROUPS} more"] if len(groups) > MOST_GROUPS else []
        raise FivetranLookupError(
            f"the key sees no group with the id {group_id!r}; it sees {', '.join(shown + more) or 'none'}"
        )


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
