"""Finding the awaited sync in the sync history of its connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, assert_never

from airflow_provider_fivetran.core.ticket import Aim

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.models import SyncHistoryEntry
    from airflow_provider_fivetran.core.ticket import Ticket

__all__ = ["awaited_entry", "history_window", "is_another_end"]

Entries = tuple["SyncHistoryEntry", ...]

# The Date header is rounded down to the second, and Fivetran's machines need not agree to the second.
CLOCK_SLACK = timedelta(seconds=2)
ONE_SECOND = timedelta(seconds=1)
# The state of a connection and its history need not change in the same moment.
STATE_LAG = timedelta(seconds=60)
# Fivetran refuses a window that begins more than seven days ago.
REACH = timedelta(days=7) - timedelta(minutes=5)
BEFORE_TICKET = {
    Aim.TRIGGERED: timedelta(hours=6),
    Aim.RUNNING: timedelta(hours=24),
    Aim.NEXT_END: timedelta(hours=24),
    Aim.SUCCESS_AFTER: timedelta(0),
}
_FAR_PAST = datetime.min.replace(tzinfo=UTC)
_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


def history_window(ticket: Ticket, now: datetime) -> tuple[datetime, datetime]:
    """The stretch of history that can hold the awaited sync, by Fivetran's clock.

    It begins before the ticket, so that the end of a sync that is not ours can be told from ours.
    """
    until = ticket.server_clock(now) + timedelta(minutes=1)
    since = max(ticket.taken_at - BEFORE_TICKET[ticket.aim], until - REACH)
    return min(since, until - ONE_SECOND), until


def awaited_entry(ticket: Ticket, entries: Entries) -> SyncHistoryEntry | None:
    """Which entry is the awaited sync; ``None`` when it is not there, or not yet."""
    match ticket.aim:
        case Aim.TRIGGERED:
            return _continued(_triggered(ticket, entries), entries)
        case Aim.RUNNING:
            return _continued(_running_then(ticket, entries), entries)
        case Aim.NEXT_END:
            ended = [e for e in entries if (e.is_success or e.is_failure) and _end(e) > ticket.taken_at]
            return min(ended, key=_end, default=None)
        case Aim.SUCCESS_AFTER:  # the timestamps say all
            return None
        case _:
            assert_never(ticket.aim)


def is_another_end(ticket: Ticket, entries: Entries, moment: datetime) -> bool:
    """Whether a timestamp is the end of a sync that is certainly not the awaited one."""
    return any(
        e.ended_at is not None and abs(e.ended_at - moment) <= ONE_SECOND and _is_certainly_another(ticket, e)
        for e in entries
    )


def _is_certainly_another(ticket: Ticket, entry: SyncHistoryEntry) -> bool:
    if entry.sync_id == ticket.other_sync_id:
        return True
    if ticket.aim is not Aim.TRIGGERED or entry.started_at is None or entry.started_at >= _since(ticket):
        return False
    # It began before the ticket: our trigger stopped it, or it ended before our trigger, or it began long before.
    stopped_or_over = ticket.sync_state == "syncing" or _end(entry) <= _instant(ticket)
    return stopped_or_over or entry.started_at < ticket.taken_at - STATE_LAG


def _since(ticket: Ticket) -> datetime:
    """From when on a sync that begins may be ours. Where another was running, one from just before is that one."""
    return ticket.taken_at if ticket.sync_state == "syncing" else ticket.taken_at - CLOCK_SLACK


def _instant(ticket: Ticket) -> datetime:
    """The end of the second in which Fivetran answered our trigger."""
    return (ticket.triggered_at or ticket.taken_at) + ONE_SECOND


def _triggered(ticket: Ticket, entries: Entries) -> SyncHistoryEntry | None:
    """Of the syncs that may be ours, the first that outlived the trigger, or else the last.

    A scheduled sync may begin and end between the look and the trigger: then ours is the one after it. A sync that
    began unseen before the look and outlived the trigger is ours too: the trigger did nothing but join it.
    """
    latest_end = max(ticket.taken_at, ticket.latest_end or ticket.taken_at)
    instant = _instant(ticket)
    possible = sorted(
        (
            e
            for e in entries
            if e.sync_id != ticket.other_sync_id
            and e.started_at is not None
            and (e.started_at >= _since(ticket) or _was_joined(ticket, e, instant))
            and _end(e) > latest_end
            and not _was_over_at_the_look(ticket, e)
            and not _may_be_the_other(ticket, e, instant)
        ),
        key=_start,
    )
    return next((e for e in possible if _end(e) > instant), possible[-1] if possible else None)


def _was_joined(ticket: Ticket, entry: SyncHistoryEntry, instant: datetime) -> bool:
    alive = entry.is_running or (entry.ended_at is not None and entry.ended_at > instant)
    unseen = ticket.sync_state != "syncing" and _start(entry) >= ticket.taken_at - STATE_LAG
    return alive and unseen


def _was_over_at_the_look(ticket: Ticket, entry: SyncHistoryEntry) -> bool:
    """Whether it began before the second of the look, which found none running, and ended in it.

    The timestamps tell that of a sync that ended well or badly; of one that was cancelled nothing else does.
    """
    return _start(entry) < ticket.taken_at and _end(entry) <= ticket.taken_at + ONE_SECOND


def _may_be_the_other(ticket: Ticket, entry: SyncHistoryEntry, instant: datetime) -> bool:
    """Whether it may be the sync that our trigger stopped, whose id could not be read beforehand."""
    unknown = ticket.sync_state == "syncing" and ticket.other_sync_id is None
    in_the_second_of_the_look = _start(entry) < ticket.taken_at + ONE_SECOND
    return unknown and in_the_second_of_the_look and (entry.is_stopped or _end(entry) <= instant)


def _running_then(ticket: Ticket, entries: Entries) -> SyncHistoryEntry | None:
    """The sync that ran when the ticket was taken, or that began right after by the clock of the history."""
    known = [e for e in entries if e.started_at is not None and _end(e) > ticket.taken_at]
    alive = [e for e in known if _start(e) <= ticket.taken_at + ONE_SECOND]
    soon = [e for e in known if _start(e) <= ticket.taken_at + STATE_LAG]
    return max(alive, key=_start) if alive else min(soon, key=_start, default=None)


def _continued(entry: SyncHistoryEntry | None, entries: Entries) -> SyncHistoryEntry | None:
    """A sync that Fivetran put off goes on as the entry after it."""
    while entry is not None and entry.is_put_off:
        later = [e for e in entries if _start(e) > _start(entry)]
        following = min(later, key=_start, default=None)
        if following is None:
            return entry
        entry = following
    return entry


def _start(entry: SyncHistoryEntry) -> datetime:
    return entry.started_at or _FAR_PAST


def _end(entry: SyncHistoryEntry) -> datetime:
    return entry.ended_at or _FAR_FUTURE
