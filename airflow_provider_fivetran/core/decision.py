"""The one decision: what became of the awaited sync, from what Fivetran shows now.

Everything that waits asks :func:`judge`. It does no I/O, keeps no state, reads no clock and never sleeps. The
evidence, strongest first: the sync history, the two timestamps against the ticket's own two, the state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core import reports
from airflow_provider_fivetran.core.cadence import chance_of, pause_between_looks
from airflow_provider_fivetran.core.history import (
    ONE_SECOND,
    STATE_LAG,
    awaited_entry,
    history_window,
    is_another_end,
)
from airflow_provider_fivetran.core.ticket import Aim
from airflow_provider_fivetran.core.verdicts import AskHistory, TriggerAgain, Waiting

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.cadence import Usual
    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
    from airflow_provider_fivetran.core.ticket import Ticket
    from airflow_provider_fivetran.core.verdicts import Verdict

__all__ = ["Seen", "judge"]

# An end in the very second of the trigger that no history explains is held this long: if it was another sync's,
# ours shows itself meanwhile. Longer when a sync is known to have been running.
HOLD = timedelta(seconds=10)
HOLD_AFTER_RESTART = timedelta(seconds=60)
# A state may be ahead of the timestamps: only a sync that has left no trace for so long was cancelled.
TRACE_LAG = timedelta(seconds=15)
# How long the history may go on calling a sync running after the connection came to rest.
HISTORY_LAG = timedelta(minutes=2)
# When Fivetran puts a sync off without saying until when.
UNANNOUNCED_PUT_OFF = timedelta(minutes=30)
# A put-off lasts minutes to hours: that is watched, unless the user chose otherwise, at this pace.
PUT_OFF_LOOKS = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look showed, and what earlier looks of the same wait left to remember.

    Losing the memory (a restarted triggerer) costs time: what only the memory could tell is looked for anew.
    """

    connection: Connection
    history: tuple[SyncHistoryEntry, ...] | None = None
    """``None``: not read at this look."""
    history_absent: bool = False
    """This account or key has no sync history."""
    taken_up: bool = False
    """This wait goes on with a ticket of another process, whose looks are not remembered."""
    looking_since: datetime | None = None
    """When this wait, or what is remembered of it, began to look, by our clock."""
    was_historical: bool = False
    """Fivetran called the sync historical at some look."""
    was_running: bool = False
    """The awaited sync was seen running, and not put off since."""
    was_put_off: bool = False
    """The awaited sync was put off, and not seen running since."""
    at_rest_since: datetime | None = None
    """When the connection was first found at rest after either, by our clock."""
    put_off_since: datetime | None = None
    """When the connection was first found rescheduled, by our clock."""
    asked_about: tuple[datetime | None, datetime | None] | None = None
    """The two timestamps for which the history was last read."""
    looked_at: datetime | None = None
    """By our clock."""
    running_since: datetime | None = None
    """When the awaited sync began, by our clock: at the latest look that did not show it yet."""
    usual: Usual | None = None
    """How long syncs of this connection take."""
    requests_left: int | None = None
    """What the last answer said of the account's requests in this hour."""

    @classmethod
    def first(cls, ticket: Ticket, connection: Connection, now: datetime, *, taken_up: bool = False) -> Seen:
        """The first look of a wait."""
        seen = cls(
            connection=connection,
            was_running=ticket.aim is Aim.RUNNING,
            taken_up=taken_up,
            running_since=ticket.asked_at if ticket.aim is Aim.TRIGGERED else None,
        )
        return seen.then(ticket, connection, now)

    def then(self, ticket: Ticket, connection: Connection, now: datetime) -> Seen:
        """The next look."""
        # Right after a forced restart it may still be the old sync that is seen running.
        ours = (
            ticket.aim is Aim.RUNNING or ticket.sync_state != "syncing" or now >= ticket.asked_at + STATE_LAG
        )
        put_off = connection.is_rescheduled and not _is_the_old_put_off(ticket, connection, now)
        was_running = (self.was_running or (connection.is_syncing and ours)) and not put_off
        was_put_off = put_off or (self.was_put_off and not connection.is_syncing)
        rests = (was_running or was_put_off) and not connection.is_syncing
        put_off_is_over = self.connection.is_rescheduled and not connection.is_rescheduled
        rested_since = None if put_off_is_over else self.at_rest_since
        begins = connection.is_syncing and not self.connection.is_syncing and self.looked_at is not None
        return replace(
            self,
            connection=connection,
            history=None,
            looking_since=self.looking_since or now,
            was_historical=self.was_historical or connection.status.is_historical,
            was_running=was_running,
            was_put_off=was_put_off,
            at_rest_since=(rested_since or now) if rests else None,
            put_off_since=(self.put_off_since or now) if connection.is_rescheduled else None,
            running_since=self.looked_at if begins else self.running_since,
            looked_at=now,
        )

    def with_history(self, ticket: Ticket, entries: tuple[SyncHistoryEntry, ...], now: datetime) -> Seen:
        """The same look, with the sync history read."""
        entry = awaited_entry(ticket, entries)
        runs = entry is not None and entry.is_running
        put_off = entry is not None and entry.is_put_off and self.connection.is_at_rest
        rests = (runs or put_off) and not self.connection.is_syncing
        return replace(
            self,
            history=entries,
            asked_about=self.timestamps,
            was_running=(self.was_running or runs) and not put_off,
            was_put_off=(self.was_put_off or put_off) and not runs,
            at_rest_since=(self.at_rest_since or now) if rests else self.at_rest_since,
        )

    def knowing(self, usual: Usual | None, requests_left: int | None) -> Seen:
        """The same look, with what helps to choose the time of the next."""
        return replace(self, usual=usual, requests_left=requests_left)

    def without_history(self) -> Seen:
        """The same look; the sync history is not to be had here."""
        return replace(self, history_absent=True)

    @property
    def timestamps(self) -> tuple[datetime | None, datetime | None]:
        return (self.connection.succeeded_at, self.connection.failed_at)

    @property
    def can_ask(self) -> bool:
        return self.history is None and not self.history_absent


def judge(ticket: Ticket, seen: Seen, now: datetime) -> Verdict:
    """What became of the awaited sync.

    :param ticket: what is awaited.
    :param seen: what Fivetran shows, and what was seen before.
    :param now: our clock.
    """
    verdict = (
        _by_history(ticket, seen, now) or _by_timestamps(ticket, seen, now) or _by_state(ticket, seen, now)
    )
    if not isinstance(verdict, Waiting):
        return verdict
    deadline = ticket.deadline(historical=seen.was_historical)
    if now >= deadline:
        if seen.can_ask and ticket.is_of_one_sync and seen.was_running:
            return AskHistory(*history_window(ticket, now))  # so that a person finds the sync that goes on
        entry = awaited_entry(ticket, seen.history or ())
        return reports.timed_out(ticket, verdict.saying, now, entry=entry)
    return Waiting(min(verdict.until, deadline), verdict.saying)


# --- the sync history -----------------------------------------------------------------------------------------


def _by_history(ticket: Ticket, seen: Seen, now: datetime) -> Verdict | None:
    entry = awaited_entry(ticket, seen.history) if seen.history is not None else None
    if entry is None:
        return None
    if ticket.wait_while_syncing and seen.connection.is_syncing:
        return _look_later(ticket, seen, now, reports.SYNCING)
    held_until = _held_in_history(ticket, entry)
    if held_until is not None and now < held_until:
        return _look_later(ticket, seen, now, reports.HELD, held_until)
    if entry.is_success and _was_not_the_resync(ticket, seen):
        return _look_later(ticket, seen, now, reports.RESYNC)
    if entry.is_success:
        success = _ours(ticket, seen, seen.connection.succeeded_at, ticket.succeeded_at)
        return reports.succeeded(ticket, entry=entry, ended_at=success or ticket.server_clock(now))
    if entry.is_failure:
        failure = _ours(ticket, seen, seen.connection.failed_at, ticket.failed_at)
        return reports.failed(ticket, seen.connection, entry=entry, ended_at=failure)
    if entry.is_stopped:
        return _stopped(ticket, seen, entry)
    if entry.is_running:
        return _running_in_history(ticket, seen, now)
    if entry.is_put_off:
        return _put_off_in_history(ticket, seen, now)
    return None  # a word that is newer than this code: the other evidence decides


def _was_not_the_resync(ticket: Ticket, seen: Seen) -> bool:
    return ticket.until_not_historical and seen.connection.status.is_historical


def _stopped(ticket: Ticket, seen: Seen, entry: SyncHistoryEntry) -> Verdict:
    if seen.connection.paused:
        return reports.paused(ticket, seen.connection, entry=entry)
    return reports.cancelled(ticket, seen.connection, entry=entry)


def _running_in_history(ticket: Ticket, seen: Seen, now: datetime) -> Verdict | None:
    if seen.at_rest_since is not None and now >= seen.at_rest_since + HISTORY_LAG:
        return None  # the history lags too far behind to be believed
    return _look_later(ticket, seen, now, reports.SYNCING)


def _put_off_in_history(ticket: Ticket, seen: Seen, now: datetime) -> Verdict | None:
    if not seen.connection.is_at_rest or seen.connection.paused:
        return None
    return _not_started_again(ticket, seen, now)


def _held_in_history(ticket: Ticket, entry: SyncHistoryEntry) -> datetime | None:
    """Until when to hold the end of a sync that did not outlive the trigger, or was stopped by it."""
    if ticket.triggered_at is None or entry.started_at is None or entry.ended_at is None:
        return None
    instant = ticket.triggered_at + ONE_SECOND
    # One that began on its own after the look, and was running when our trigger stopped what ran.
    stopped = ticket.sync_state == "syncing" and entry.is_stopped and entry.ended_at <= instant
    if entry.started_at < ticket.triggered_at or stopped:
        return _held_until(ticket, entry.ended_at)
    return None


# --- the two timestamps ---------------------------------------------------------------------------------------


def _by_timestamps(ticket: Ticket, seen: Seen, now: datetime) -> Verdict | None:
    if ticket.aim is Aim.SUCCESS_AFTER:
        return _success_after(ticket, seen, now)
    success = _ours(ticket, seen, seen.connection.succeeded_at, ticket.succeeded_at)
    failure = _ours(ticket, seen, seen.connection.failed_at, ticket.failed_at)
    ends = [moment for moment in (success, failure) if moment is not None]
    if not ends:
        return None
    if seen.connection.is_syncing and (ticket.is_of_one_sync or ticket.wait_while_syncing):
        # Another sync already runs. Only the history can tell the two apart; it is read once for each new end.
        if seen.can_ask and ticket.is_of_one_sync and seen.asked_about != seen.timestamps:
            return AskHistory(*history_window(ticket, now))
        return _look_later(ticket, seen, now, reports.SYNCING)
    if seen.can_ask:
        return AskHistory(*history_window(ticket, now))
    ends = [moment for moment in ends if not _came_before_ours(ticket, moment)]
    if not ends:
        return None
    # Of one sync the later of the two is the last word; of "the next to end" the earlier is.
    end = min(ends) if ticket.aim is Aim.NEXT_END else max(ends)
    held_until = _held_until(ticket, end)
    if held_until is not None and now < held_until:
        return _look_later(ticket, seen, now, reports.HELD, held_until)
    if end == success:
        if _was_not_the_resync(ticket, seen):
            return _look_later(ticket, seen, now, reports.RESYNC)
        return reports.succeeded(ticket, ended_at=end)
    return reports.failed(ticket, seen.connection, ended_at=end)


def _ours(ticket: Ticket, seen: Seen, moment: datetime | None, before: datetime | None) -> datetime | None:
    """The timestamp, if it is newer than its own predecessor and than the ticket, and not another sync's."""
    if moment is None or moment <= ticket.taken_at or (before is not None and moment <= before):
        return None
    if ticket.is_of_one_sync and seen.history and is_another_end(ticket, seen.history, moment):
        return None
    return moment


def _came_before_ours(ticket: Ticket, moment: datetime) -> bool:
    """Whether it is the end of the sync that our restart was to stop: ours begins as Fivetran answers, and lasts."""
    restarted = ticket.aim is Aim.TRIGGERED and ticket.sync_state == "syncing"
    return restarted and ticket.triggered_at is not None and moment < ticket.triggered_at + ONE_SECOND


def _held_until(ticket: Ticket, end: datetime) -> datetime | None:
    if ticket.aim is not Aim.TRIGGERED:
        return None
    triggered_at = ticket.triggered_at or ticket.taken_at
    if ticket.sync_state == "syncing":  # the sync that the trigger stops may end by itself in that moment
        return ticket.our_clock(triggered_at) + HOLD_AFTER_RESTART
    return ticket.our_clock(triggered_at) + HOLD if end <= triggered_at + ONE_SECOND else None


def _success_after(ticket: Ticket, seen: Seen, now: datetime) -> Verdict | None:
    success, failure = seen.timestamps
    if seen.connection.is_syncing and ticket.wait_while_syncing:
        return _look_later(ticket, seen, now, reports.SYNCING)
    # An end at the very time counts: that time may be the return value of the task that waited for it.
    if success is not None and success >= ticket.taken_at:
        return reports.succeeded(ticket, ended_at=success)
    failed_last = failure is not None and (success is None or failure > success)
    if failure is not None and failed_last and (failure >= ticket.taken_at or ticket.older_failures_count):
        return reports.failed(ticket, seen.connection, ended_at=failure)
    return None


# --- the state ------------------------------------------------------------------------------------------------


def _by_state(ticket: Ticket, seen: Seen, now: datetime) -> Verdict:
    connection = seen.connection
    if connection.paused and not connection.is_syncing:
        if seen.can_ask and ticket.is_of_one_sync:
            return AskHistory(*history_window(ticket, now))
        return reports.paused(ticket, connection)
    if connection.is_syncing:
        return _look_later(ticket, seen, now, reports.STOPPING if connection.paused else reports.SYNCING)
    if connection.is_rescheduled:
        return _put_off(ticket, seen, now)
    if not ticket.is_of_one_sync:
        return _look_later(ticket, seen, now, reports.NEXT)
    if not connection.is_at_rest:
        return _look_later(ticket, seen, now, reports.unknown_state(connection))
    if seen.was_put_off:
        return _not_started_again(ticket, seen, now)
    if seen.was_running:
        return _left_without_trace(ticket, seen, now)
    return _not_started(ticket, seen, now)


def _left_without_trace(ticket: Ticket, seen: Seen, now: datetime) -> Verdict:
    """It ran, it no longer runs, and no timestamp moved: it was cancelled, unless the state is ahead of them."""
    if seen.can_ask:
        return AskHistory(*history_window(ticket, now))
    limit = (seen.at_rest_since or now) + TRACE_LAG
    if now >= limit:
        entry = awaited_entry(ticket, seen.history or ())
        return reports.cancelled(ticket, seen.connection, entry=entry)
    return _look_later(ticket, seen, now, reports.VANISHED, limit)


def _not_started(ticket: Ticket, seen: Seen, now: datetime) -> Verdict:
    if seen.can_ask and seen.asked_about is None and (seen.taken_up or now >= ticket.shows_by):
        # It may have been cancelled before it was seen, or before a process died that had seen it.
        return AskHistory(*history_window(ticket, now))
    limit = ticket.start_deadline
    if seen.looking_since is not None and seen.looking_since > limit:
        # This wait goes on in another process and does not remember what it saw: it looks for a while first.
        limit = seen.looking_since + HISTORY_LAG
    if now < limit:
        return _look_later(ticket, seen, now, reports.STARTING, limit)
    if seen.can_ask:
        return AskHistory(*history_window(ticket, now))
    return reports.never_started(ticket, seen.connection, now)


def _not_started_again(ticket: Ticket, seen: Seen, now: datetime) -> Verdict:
    """Neither put off any longer nor running again: it must start within the time that a start may take."""
    limit = (seen.at_rest_since or now) + ticket.start_timeout
    if now < limit:
        return _look_later(ticket, seen, now, reports.PUT_OFF_OVER, limit)
    if seen.can_ask:
        return AskHistory(*history_window(ticket, now))
    return reports.never_started(ticket, seen.connection, now)


def _put_off(ticket: Ticket, seen: Seen, now: datetime) -> Verdict:
    """Fivetran put the sync off: ours, or one from before our trigger that still shows."""
    connection, announced = seen.connection, seen.connection.status.rescheduled_for
    if not ticket.is_of_one_sync:
        return _watch_put_off(ticket, seen, now, announced)
    if _is_the_old_put_off(ticket, connection, now):
        return _not_started(ticket, seen, now)
    if ticket.fail_when_rescheduled:
        return reports.rescheduled(ticket, connection)
    if connection.schedule_type == "manual":
        return _put_off_under_manual(ticket, seen, now)
    # Under the automatic schedule Fivetran starts it again by itself.
    if announced is not None and now >= ticket.our_clock(announced) + ticket.start_timeout:
        return reports.never_started(ticket, connection, now)
    return _watch_put_off(ticket, seen, now, announced)


def _is_the_old_put_off(ticket: Ticket, connection: Connection, now: datetime) -> bool:
    announced = connection.status.rescheduled_for
    if ticket.sync_state != "rescheduled" or announced != ticket.rescheduled_for:
        return False
    was_over = announced is not None and announced <= ticket.taken_at + ONE_SECOND
    return was_over or now < ticket.asked_at + STATE_LAG


def _put_off_under_manual(ticket: Ticket, seen: Seen, now: datetime) -> Verdict:
    announced = seen.connection.status.rescheduled_for
    since = seen.put_off_since or now
    if ticket.reschedule_wait is not None:
        due = since + ticket.reschedule_wait
    elif announced is not None:
        due = ticket.our_clock(announced)
    else:
        due = since + UNANNOUNCED_PUT_OFF
    if now >= due:
        return TriggerAgain(announced, reports.due_again(ticket, seen.connection))
    return _watch_put_off(ticket, seen, now, announced, due)


def _watch_put_off(
    ticket: Ticket, seen: Seen, now: datetime, announced: datetime | None, due: datetime | None = None
) -> Waiting:
    at = due or (ticket.our_clock(announced) if announced else None)
    pause = ticket.poll_frequency or PUT_OFF_LOOKS
    if at is not None and at > now:
        return Waiting(min(at, now + pause), reports.put_off(announced))
    return _look_later(ticket, seen, now, reports.put_off(announced))


def _look_later(
    ticket: Ticket, seen: Seen, now: datetime, saying: str, latest: datetime | None = None
) -> Waiting:
    pause = pause_between_looks(
        now - (seen.running_since or ticket.begun_at),
        ticket.poll_frequency,
        usual=seen.usual,
        requests_left=seen.requests_left,
        chance=chance_of(ticket.connection_id, now),
    )
    return Waiting(min(now + pause, latest) if latest is not None else now + pause, saying)
