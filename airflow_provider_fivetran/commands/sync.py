"""``airflow fivetran sync``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.commands.terminal import (
    INTERRUPTED,
    Progress,
    check_names_a_connection,
    find_id,
    hook_of,
    show_one,
)
from airflow_provider_fivetran.core.events import error_of
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.verdicts import SyncRecord

if TYPE_CHECKING:
    import argparse

    from airflow_provider_fivetran.core.errors import FivetranError
    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["sync"]


def sync(args: argparse.Namespace) -> None:
    """Start a sync, or join the one that runs, and see it to its end; it fails unless that sync ended well."""
    check_names_a_connection(args)
    progress = Progress()
    with hook_of(args, progress.say) as hook:
        with progress:
            record, error = _carried_out(hook, args)
        progress.say(f"{record.connection_id}: {record.status.replace('_', ' ')}")
        show_one(record.to_json() if args.output in {"json", "yaml"} else _for_people(record), args.output)
        if error is not None:
            raise error


def _carried_out(hook: FivetranHook, args: argparse.Namespace) -> tuple[SyncRecord, FivetranError | None]:
    """What became of the sync, and the error that this is, if it did not end well."""
    connection_id, ticket = None, None
    try:
        connection_id = find_id(hook, args)
        ticket = hook.start_sync(
            connection_id,
            when_running=args.when_running,
            when_paused=args.when_paused,
            when_broken=args.when_broken,
            timeout=args.timeout,
        )
        if not args.no_wait:
            ended = hook.see_sync_through(ticket)
            return ended.record, error_of(ended)
        return SyncRecord(connection_id=connection_id, status="started", link=ticket.link), None
    except KeyboardInterrupt:
        print(_left(connection_id, is_ours=ticket is not None), file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def _left(connection_id: str | None, *, is_ours: bool) -> str:
    if connection_id is None:
        return "Interrupted. Nothing was started."
    link = dashboard_link(connection_id)
    if not is_ours:
        return f"Interrupted before it was certain that a sync was started; nothing was stopped: {link}"
    return (
        f"Interrupted. The sync goes on in Fivetran: {link}\n"
        f"`airflow fivetran sync {connection_id}` waits for it again."
    )


def _for_people(record: SyncRecord) -> dict[str, Any]:
    duration = record.ended_at - record.started_at if record.ended_at and record.started_at else None
    return {
        "connection": record.connection_id,
        "status": record.status,
        "sync_id": record.sync_id,
        "started": record.started_at,
        "ended": record.ended_at,
        "duration": duration,
        "volume_mb": record.volume_mb,
        "reason": record.reason,
        "link": record.link,
    }
