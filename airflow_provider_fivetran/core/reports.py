"""The words for people: what a wait is waiting for, and what each end of it means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.verdicts import (
    Cancelled,
    Failed,
    Gone,
    NeverStarted,
    Paused,
    Rescheduled,
    Succeeded,
    SyncRecord,
    TimedOut,
)

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
    from airflow_provider_fivetran.core.ticket import Ticket

SYNCING = "the sync is running"
STARTING = "the trigger was accepted; waiting for the sync to show itself"
STOPPING = "the connection was paused; waiting for its sync to stop"
PUT_OFF_OVER = "the time that the sync was put off for is over; waiting for it to start again"
HELD = "a sync ended in the very second of the trigger; making sure that ours is not still to come"
VANISHED = "the sync is no longer running but left no result; looking once more"
RESYNC = "a sync ended, but Fivetran still has the re-sync to come"
NEXT = "waiting for the next sync to end"

# An error text with hundreds of notices, or with pages of one, helps nobody.
MOST_NOTICES = 5
LONGEST_NOTICE = 1000


def unknown_state(connection: Connection) -> str:
    return (
        f"Fivetran calls its state {connection.status.sync_state!r}, a word that this version does not know"
    )


def put_off(announced: datetime | None) -> str:
    until = f" until {_clock(announced)}" if announced else ", without saying until when"
    return f"Fivetran put the sync off{until}"


def due_again(ticket: Ticket, connection: Connection) -> str:
    return (
        f"Fivetran put the sync of {name_of(connection)} off, and starts nothing by itself under manual scheduling; "
        f"its time has come. {ticket.link}"
    )


def succeeded(
    ticket: Ticket, *, entry: SyncHistoryEntry | None = None, ended_at: datetime | None = None
) -> Succeeded:
    record = _record(ticket, "succeeded", entry, ended_at)
    return Succeeded(record, f"the sync of {ticket.connection_id} ended well{_at(record.ended_at)}")


def failed(
    ticket: Ticket,
    connection: Connection,
    *,
    entry: SyncHistoryEntry | None = None,
    ended_at: datetime | None = None,
) -> Failed:
    reasons = reasons_of(connection, entry)
    record = _record(ticket, "failed", entry, ended_at, reasons)
    why = f": {reasons}" if reasons else "; Fivetran gives no reason"
    return Failed(
        record, f"The Fivetran sync of {name_of(connection)} failed{_at(record.ended_at)}{why}. {ticket.link}"
    )


def cancelled(ticket: Ticket, connection: Connection, *, entry: SyncHistoryEntry | None = None) -> Cancelled:
    reasons = reasons_of(connection, entry)
    record = _record(ticket, "cancelled", entry, None, reasons)
    word = f"; Fivetran calls its end {entry.status!r}" if entry else ""
    why = f": {reasons}" if reasons else ""
    return Cancelled(
        record,
        f"The Fivetran sync of {name_of(connection)} was cancelled before its end{_at(record.ended_at)}"
        f"{word}{why}. {ticket.link}",
    )


def paused(ticket: Ticket, connection: Connection, *, entry: SyncHistoryEntry | None = None) -> Paused:
    record = _record(ticket, "paused", entry, None, entry.reason if entry else None)
    return Paused(
        record,
        f"The Fivetran connection {name_of(connection)} is paused, so the awaited sync cannot end. "
        f"Unpause it and run the task again. {ticket.link}",
    )


def rescheduled(ticket: Ticket, connection: Connection) -> Rescheduled:
    reasons = reasons_of(connection, None)
    announced = connection.status.rescheduled_for
    return Rescheduled(
        replace(_record(ticket, "rescheduled", None, None, reasons), rescheduled_for=announced),
        f"{put_off(announced)}, and when_rescheduled is 'fail': {name_of(connection)}"
        f"{': ' + reasons if reasons else ''}. {ticket.link}",
    )


def gone(ticket: Ticket) -> Gone:
    return Gone(
        _record(ticket, "gone"),
        f"The Fivetran connection {ticket.connection_id} no longer exists (or the key may no longer see it), "
        f"so the awaited sync cannot end. {ticket.link}",
    )


def never_started(ticket: Ticket, connection: Connection, now: datetime) -> NeverStarted:
    reasons = reasons_of(connection, None)
    waited = in_words(now - ticket.start_deadline + ticket.start_timeout)
    return NeverStarted(
        _record(ticket, "never_started", None, None, reasons),
        f"Fivetran accepted the trigger for {name_of(connection)}, but no sync has shown itself for "
        f"{waited} (start_timeout is {in_words(ticket.start_timeout)}). "
        f"Sync state: {connection.status.sync_state}, setup: {connection.status.setup_state}"
        f"{'; ' + reasons if reasons else ''}. {ticket.link}",
    )


def timed_out(
    ticket: Ticket, saying: str, now: datetime, *, entry: SyncHistoryEntry | None = None
) -> TimedOut:
    return TimedOut(
        _record(ticket, "timed_out", entry, reason=saying),
        f"The wait for the Fivetran sync of {ticket.connection_id} reached its limit after "
        f"{in_words(now - ticket.begun_at)}: {saying}. {ticket.link}",
    )


def reasons_of(connection: Connection, entry: SyncHistoryEntry | None) -> str:
    """Everything that Fivetran says about why."""
    status = connection.status
    reason = entry.reason if entry else None
    # A task often says the same with more.
    parts = [reason] if reason and not any(reason in str(task) for task in status.tasks) else []
    parts += [f"task: {notice}" for notice in status.tasks[:MOST_NOTICES]]
    parts += [f"failed setup test {test}" for test in connection.setup_tests if test.has_failed][
        :MOST_NOTICES
    ]
    if status.setup_state and not status.is_set_up:
        parts.append(f"the setup is {status.setup_state}")
    parts += [f"warning: {notice}" for notice in status.warnings[:MOST_NOTICES]]
    return "; ".join(_shortened(part).rstrip(".") for part in parts)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_NOTICE else f"{text[:LONGEST_NOTICE]} [...]"


def _record(
    ticket: Ticket,
    status: str,
    entry: SyncHistoryEntry | None = None,
    ended_at: datetime | None = None,
    reason: str | None = None,
) -> SyncRecord:
    return SyncRecord(
        connection_id=ticket.connection_id,
        status=status,
        link=ticket.link,
        sync_id=entry.sync_id if entry else None,
        started_at=entry.started_at if entry else None,
        ended_at=(entry.ended_at if entry else None) or ended_at,
        volume_mb=entry.volume_mb if entry else {},
        reason=reason or None,
    )


def name_of(connection: Connection) -> str:
    return (
        f"{connection.schema} ({connection.service}, {connection.id})" if connection.schema else connection.id
    )


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _at(moment: datetime | None) -> str:
    return f" at {_clock(moment)}" if moment else ""
