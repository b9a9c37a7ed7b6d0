"""The one decision about transformations: what became of the awaited run, from what Fivetran shows now.

Everything that waits for a run asks :func:`judge_run`. It does no I/O, keeps no state, reads no clock and never
sleeps. Fivetran gives runs no id and keeps no history of them, so there are two kinds of evidence: when the last run
began and ended, against the ticket's own two times, and the state. A success needs the former.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.awaited import Aim
from airflow_provider_fivetran.core.cadence import chance_of, pause_between_looks
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.runs import RunEnded, RunRecord, RunStatus
from airflow_provider_fivetran.core.verdicts import Waiting

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.run_ticket import RunTicket
    from airflow_provider_fivetran.core.transformations import Transformation

__all__ = ["RunSeen", "deleted", "judge_run", "timed_out_run"]

# A state may be ahead of the times: only what has been at rest for so long without a time is taken at its word.
TRACE_LAG = timedelta(seconds=15)
QUEUED = "its run is queued"
RUNNING = "it runs"
STOPPING = "its run is being cancelled"
BLOCKED = "it is blocked, and when_blocked is 'wait'"
NOT_YET = "the run has not shown itself yet"
NO_END = "waiting for the next run to end"

_ENDS = {
    "succeeded": RunStatus.SUCCEEDED,
    "partially_succeeded": RunStatus.PARTIALLY_SUCCEEDED,
    "failed": RunStatus.FAILED,
    "canceled": RunStatus.CANCELLED,
    "blocked": RunStatus.BLOCKED,
}
_SAYING = {"scheduling": QUEUED, "running": RUNNING, "terminating": STOPPING}
_ENDED = {
    RunStatus.SUCCEEDED: "succeeded",
    RunStatus.PARTIALLY_SUCCEEDED: "succeeded only in part (PARTIALLY_SUCCEEDED)",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "was cancelled",
    RunStatus.BLOCKED: "was blocked (BLOCKED)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeen:
    """What one look showed, and what earlier looks of the same wait left to remember.

    Losing the memory (a restarted triggerer) costs time.
    """

    transformation: Transformation
    was_active: bool
    """A run was seen under way since the ticket was taken."""
    at_rest_since: datetime | None
    """Since when none was, by our clock."""
    requests_left: int | None = None
    """What the last answer said of the account's requests in this hour."""

    @classmethod
    def of(
        cls, ticket: RunTicket, transformation: Transformation, now: datetime, before: RunSeen | None = None
    ) -> RunSeen:
        """What is seen now.

        :param before: what the look before has seen.
        """
        was_active = ticket.aim is Aim.RUNNING if before is None else before.was_active
        rested_since = None if before is None else before.at_rest_since
        return cls(
            transformation=transformation,
            was_active=was_active or transformation.is_active,
            at_rest_since=None if transformation.is_active else rested_since or now,
        )

    def knowing(self, requests_left: int | None) -> RunSeen:
        """The same look, with what helps to choose the time of the next."""
        return replace(self, requests_left=requests_left)


def judge_run(ticket: RunTicket, seen: RunSeen, now: datetime) -> Waiting | RunEnded:
    """What became of the awaited run.

    :param ticket: what is awaited.
    :param seen: what Fivetran shows, and what was seen before.
    :param now: our clock.
    """
    verdict = _judge(ticket, seen, now)
    if isinstance(verdict, RunEnded):
        return verdict
    if now >= ticket.deadline():
        return timed_out_run(ticket, verdict.saying, now)
    return Waiting(min(verdict.until, ticket.deadline()), verdict.saying)


def _judge(ticket: RunTicket, seen: RunSeen, now: datetime) -> Waiting | RunEnded:
    transformation = seen.transformation
    if transformation.is_active:
        return _look_later(ticket, seen, now, _SAYING[transformation.status])
    if ticket.has_ended(transformation):
        return _by_status(ticket, seen, now) or _look_later(ticket, seen, now, NOT_YET)
    if not ticket.is_of_one_sync:
        paused = "; it is paused, so that only somebody's hand starts one" if transformation.paused else ""
        return _look_later(ticket, seen, now, NO_END + paused)
    return _by_trace(ticket, seen, now) or _look_later(ticket, seen, now, NOT_YET)


def _by_status(ticket: RunTicket, seen: RunSeen, now: datetime) -> Waiting | RunEnded | None:
    """The last run is the awaited one, and its status is the verdict. ``None``: the word says nothing."""
    transformation = seen.transformation
    status = _ENDS.get(transformation.status)
    if status is None:
        return None
    if status is RunStatus.BLOCKED and ticket.wait_while_blocked:
        return _look_later(ticket, seen, now, BLOCKED)
    return _ended(ticket, transformation, status, times=True)


def _by_trace(ticket: RunTicket, seen: RunSeen, now: datetime) -> Waiting | RunEnded | None:
    """No run is under way, and no end of the awaited one is noted: it ended before it began, or has yet to begin."""
    transformation = seen.transformation
    rested = now - (seen.at_rest_since or now)
    status = _ENDS.get(transformation.status)
    if rested < TRACE_LAG:
        return None
    if status is RunStatus.BLOCKED:
        if ticket.wait_while_blocked:
            return _look_later(ticket, seen, now, BLOCKED)
        return _ended(ticket, transformation, status, times=False)
    is_news = seen.was_active or transformation.status != ticket.status or ticket.has_begun(transformation)
    if is_news and status in {RunStatus.FAILED, RunStatus.CANCELLED}:
        return _ended(ticket, transformation, status, times=False)
    # A success without its times may be one of long ago.
    shows_by = now - rested + ticket.start_timeout if seen.was_active else ticket.start_deadline
    if now >= shows_by and not ticket.has_begun(transformation):
        return _never_started(ticket, transformation)
    return None


def _look_later(ticket: RunTicket, seen: RunSeen, now: datetime, saying: str) -> Waiting:
    pause = pause_between_looks(
        now - ticket.begun_at,
        ticket.poll_frequency,
        requests_left=seen.requests_left,
        chance=chance_of(ticket.transformation_id, now),
    )
    return Waiting(now + pause, saying)


# --- the words ------------------------------------------------------------------------------------------------


def _ended(ticket: RunTicket, transformation: Transformation, status: RunStatus, *, times: bool) -> RunEnded:
    is_good = status is RunStatus.SUCCEEDED or (
        status is RunStatus.PARTIALLY_SUCCEEDED and ticket.partial_is_enough
    )
    what = f"The run of Fivetran's {_called(ticket, transformation)} {_ENDED[status]}"
    if times and transformation.ended_at is not None:
        what += f" at {transformation.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    elif not times:
        what += " before it began"
    advice = ""
    if status is RunStatus.PARTIALLY_SUCCEEDED and not is_good:
        advice = " Set when_partially_succeeded to 'succeed' where that is enough."
    record = RunRecord(
        transformation_id=ticket.transformation_id,
        status=status,
        name=transformation.name or None,
        started_at=transformation.started_at if times else None,
        ended_at=transformation.ended_at if times else None,
        reason=None if is_good else f"Fivetran calls it {transformation.status.upper()}",
        link=ticket.link,
    )
    return RunEnded(record, f"{what}.{advice} {ticket.link}", is_good)


def _never_started(ticket: RunTicket, transformation: Transformation) -> RunEnded:
    within = in_words(ticket.start_timeout)
    reason = f"no run showed itself within {within}; Fivetran calls it {transformation.status.upper()}"
    return RunEnded(
        _record(ticket, RunStatus.NEVER_STARTED, reason),
        f"Fivetran was told to run {_called(ticket, transformation)}, but {reason}"
        f"{', and it is paused' if transformation.paused else ''}. {ticket.link}",
    )


def timed_out_run(ticket: RunTicket, saying: str, now: datetime) -> RunEnded:
    """The deadline of the wait has passed."""
    return RunEnded(
        _record(ticket, RunStatus.TIMED_OUT, saying),
        f"The wait for a run of Fivetran's {ticket.name} reached its limit after "
        f"{in_words(now - ticket.begun_at)}: {saying}. {ticket.link}",
    )


def deleted(ticket: RunTicket) -> RunEnded:
    """The transformation does not exist any more."""
    reason = "it was deleted, or the key may not see it"
    return RunEnded(
        _record(ticket, RunStatus.GONE, reason), f"Fivetran knows no {ticket.name}: {reason}. {ticket.link}"
    )


def _record(ticket: RunTicket, status: RunStatus, reason: str) -> RunRecord:
    return RunRecord(
        transformation_id=ticket.transformation_id, status=status, reason=reason, link=ticket.link
    )


def _called(ticket: RunTicket, transformation: Transformation) -> str:
    return f"{ticket.name}{f' ({transformation.name})' if transformation.name else ''}"
