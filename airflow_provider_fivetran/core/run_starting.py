"""Starting a run of a transformation: look, obey the policies, take the ticket, trigger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_fivetran.core import steps
from airflow_provider_fivetran.core.awaited import DEFAULT_START_TIMEOUT, Aim, limit_of
from airflow_provider_fivetran.core.endpoints import get_transformation, run_transformation
from airflow_provider_fivetran.core.errors import (
    FivetranConflict,
    FivetranError,
    FivetranServerError,
    FivetranTransformationRunning,
    FivetranTransformationTimeout,
    FivetranTriggerUncertain,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.run_ticket import RunTicket
from airflow_provider_fivetran.core.run_watch import cancel_whatever_runs
from airflow_provider_fivetran.core.runs import RunRecord, RunStatus
from airflow_provider_fivetran.core.steps import PATIENCE, Note, Pause, ask, ask_patiently, patiently

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.policies import WhenBlocked, WhenPartiallySucceeded, WhenRunning
    from airflow_provider_fivetran.core.protocol import Answer
    from airflow_provider_fivetran.core.steps import Clock, Procedure
    from airflow_provider_fivetran.core.transformations import Transformation

__all__ = ["RunOrder", "RunProgress", "RunSkipped", "RunStarted", "start_run", "take_up_run"]

# Without a Date header our own clock must do, and it may be ahead.
UNKNOWN_CLOCK = timedelta(seconds=60)
# Runs of others that come between our look and our trigger, before that counts as an error.
MOST_STARTS = 5
MOST_TRIGGERS = 3
# Pauses in seconds before the looks that tell whether a trigger took whose answer was lost.
LOOKS_AFTER_LOST_ANSWER = (0, 1, 2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What a task wants: a run of which transformation, and under which policies."""

    transformation_id: str
    full_refresh: bool = False
    when_running: WhenRunning = "attach"
    when_partially_succeeded: WhenPartiallySucceeded = "fail"
    when_blocked: WhenBlocked = "fail"
    timeout: timedelta | None = None
    at_most: timedelta | None = None
    start_timeout: timedelta = DEFAULT_START_TIMEOUT
    poll_frequency: timedelta | None = None
    maybe_started: bool = False
    """An earlier try of the task, of which nothing is known, may have started the run that is under way: then it is
    not cancelled, and none is started beside it."""

    @property
    def name(self) -> str:
        return f"transformation {self.transformation_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far a start has come: what another process must know to go on from here if this one dies."""

    ticket: RunTicket | None = None
    """``None``: no run of ours is under way."""
    unanswered: bool = False
    """The trigger may have been sent; how Fivetran answered is not known."""
    then_start_ours: bool = False
    comes_before_a_change: bool = False
    """A trigger follows: it must not be sent if this cannot be kept."""


# Called before and after a trigger. What it raises ends the start.
KeepRun: TypeAlias = Callable[[RunProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """There is a run to wait for."""

    ticket: RunTicket
    then_start_ours: bool = False
    """It is another's, and ours comes after it."""


@dataclass(frozen=True, slots=True)
class RunSkipped:
    """A policy says to skip the task."""

    record: RunRecord
    reason: str


@dataclass(frozen=True, slots=True)
class _Found:
    transformation: Transformation
    taken_at: datetime
    now: datetime


def start_run(
    order: RunOrder, clock: Clock, *, begun_at: datetime | None = None, keep: KeepRun
) -> Procedure[RunStarted | RunSkipped]:
    """Start the run that is wanted, or find out why not.

    :param begun_at: when the whole wait began, if this is not its first start.
    :param keep: is told how far it has come, before and after a trigger.
    :raises FivetranTransformationRunning: one is under way and ``when_running`` is ``"fail"``.
    :raises FivetranTriggerUncertain: it cannot be told whether the trigger took.
    :raises FivetranApiError: Fivetran refused.
    """
    for _ in range(MOST_STARTS):
        found = yield from _look(order, clock)
        _check_deadline(order, found, begun_at)
        if found.transformation.is_active:
            begun = yield from _beside_another(order, found, clock, begun_at, keep)
        else:
            ticket = _ticket(order, found, begun_at, Aim.TRIGGERED, is_ours=True)
            begun = yield from _trigger(order, ticket, clock, keep)
        if begun is not None:
            return begun
    raise FivetranConflict(
        f"{order.name}: each time that it was to be run, a run of somebody else had just begun",
        transformation_id=order.transformation_id,
    )


def take_up_run(
    order: RunOrder, begun: RunStarted, clock: Clock, *, unanswered: bool, keep: KeepRun
) -> Procedure[RunStarted | RunSkipped]:
    """Go on where a process died that had taken a ticket.

    :param unanswered: it may have died before it triggered: its run is looked for, and started if there is none.
    """
    if not unanswered or clock() >= begun.ticket.deadline():
        return begun
    yield Note(f"{order.name}: an earlier try of this task may have triggered, looking whether it did")
    again = yield from _trigger(order, begun.ticket, clock, keep, maybe_sent=True)
    if again is not None:
        return again
    return (yield from start_run(order, clock, begun_at=begun.ticket.begun_at, keep=keep))


def _look(order: RunOrder, clock: Clock) -> Procedure[_Found]:
    call = get_transformation(order.transformation_id)
    answer: Answer[Transformation] = yield from ask_patiently(call, clock, patience=PATIENCE)
    now = clock()
    return _Found(answer.value, answer.server_time or now - UNKNOWN_CLOCK, now)


def _check_deadline(order: RunOrder, found: _Found, begun_at: datetime | None) -> None:
    """A start that comes behind another run may come too late."""
    limit = limit_of(order.timeout, order.at_most)
    if begun_at is not None and found.now >= begun_at + limit:
        link = found.transformation.link
        raise FivetranTransformationTimeout(
            f"the wait for a run of Fivetran's {order.name} reached its limit of {in_words(limit)} before it could "
            f"be started; nothing was started. {link}",
            transformation_id=order.transformation_id,
            link=link,
        )


def _ticket(
    order: RunOrder, found: _Found, begun_at: datetime | None, aim: Aim, *, is_ours: bool
) -> RunTicket:
    return RunTicket.of(
        found.transformation,
        aim=aim,
        taken_at=found.taken_at,
        now=found.now,
        begun_at=begun_at,
        is_ours=is_ours,
        timeout=order.timeout,
        at_most=order.at_most,
        start_timeout=order.start_timeout,
        poll_frequency=order.poll_frequency,
        partial_is_enough=order.when_partially_succeeded == "succeed",
        wait_while_blocked=order.when_blocked == "wait",
    )


def _beside_another(
    order: RunOrder, found: _Found, clock: Clock, begun_at: datetime | None, keep: KeepRun
) -> Procedure[RunStarted | RunSkipped | None]:
    """A run is under way. ``None``: it is no more, so look anew."""
    transformation = found.transformation
    maybe_ours = order.maybe_started and not transformation.is_being_cancelled
    if not maybe_ours and order.when_running == "skip":
        record = RunRecord(
            transformation_id=transformation.id, status=RunStatus.SKIPPED, name=transformation.name or None
        )
        return RunSkipped(record, "a run is under way, and when_running is 'skip'")
    if not maybe_ours and order.when_running == "fail":
        raise FivetranTransformationRunning(
            f"a run of Fivetran's {order.name} is under way, and when_running is 'fail'. {transformation.link}",
            transformation_id=order.transformation_id,
            link=transformation.link,
        )
    if not maybe_ours and order.when_running == "restart":
        yield Note(f"{order.name}: a run is under way; it is cancelled, and ours comes after it")
        if (yield from cancel_whatever_runs(order.transformation_id, clock)):
            return None
    # What runs may be no full refresh; and one that is being cancelled is not to be shared.
    attaches = maybe_ours or order.when_running == "attach"
    joins = attaches and not order.full_refresh and not transformation.is_being_cancelled
    ticket = _ticket(order, found, begun_at, Aim.RUNNING, is_ours=joins and maybe_ours)
    what = "it is taken as ours" if joins else "waiting for it to end before ours"
    yield Note(f"{order.name}: a run is under way already; {what}")
    keep(RunProgress(ticket=ticket, then_start_ours=not joins))
    return RunStarted(ticket=ticket, then_start_ours=not joins)


def _trigger(
    order: RunOrder, ticket: RunTicket, clock: Clock, keep: KeepRun, *, maybe_sent: bool = False
) -> Procedure[RunStarted | None]:
    """Trigger, as often as it takes for Fivetran to have it exactly once. ``None``: another run came first."""
    server_now = ticket.server_clock(clock()).replace(microsecond=0)
    sent = ticket.but(triggered_at=(maybe_sent and ticket.triggered_at) or server_now)
    in_doubt = maybe_sent
    lost: FivetranError | None = None
    for attempt in range(MOST_TRIGGERS + 1):
        if in_doubt and (yield from _took(sent, clock)):
            yield Note(f"{order.name}: the trigger took")
            return _take_place(sent, keep)
        if attempt == MOST_TRIGGERS:
            break
        keep(RunProgress(ticket=sent, unanswered=True, comes_before_a_change=True))
        try:
            answer = yield from ask(
                run_transformation(order.transformation_id, full_refresh=order.full_refresh)
            )
        except (FivetranServerError, FivetranUnreachable, FivetranUnexpectedAnswer) as error:
            in_doubt, lost = True, error
            text = f"{order.name}: the answer to the trigger was lost, looking whether it took: {error}"
            yield Note(text, is_warning=True)
        except FivetranConflict as error:
            return (yield from _after_conflict(order, sent, clock, keep, error, in_doubt=in_doubt))
        except FivetranError:
            if not in_doubt:
                keep(RunProgress())
            raise
        else:
            what = "a run with a full refresh" if order.full_refresh else "a run"
            yield Note(f"{order.name}: triggered {what}. {ticket.link}")
            return _take_place(ticket.but(triggered_at=answer.server_time or server_now), keep)
    raise FivetranTriggerUncertain(
        f"the answer to the trigger of {order.name} was lost ({lost}), and nothing tells whether Fivetran started a "
        f"run: look there before the task runs again. {ticket.link}",
        transformation_id=order.transformation_id,
        link=ticket.link,
    ) from lost


def _after_conflict(
    order: RunOrder,
    sent: RunTicket,
    clock: Clock,
    keep: KeepRun,
    error: FivetranConflict,
    *,
    in_doubt: bool,
) -> Procedure[RunStarted | None]:
    """Another run came first (``None``), or it is ours after all; or Fivetran means something else."""
    if in_doubt and (yield from _took(sent, clock, looks=(0,))):
        return _take_place(sent, keep)
    keep(RunProgress())
    if (yield from _look(order, clock)).transformation.is_active:
        return None
    raise error


def _take_place(ticket: RunTicket, keep: KeepRun) -> RunStarted:
    keep(RunProgress(ticket=ticket))
    return RunStarted(ticket=ticket)


def _took(
    ticket: RunTicket, clock: Clock, *, looks: tuple[int, ...] = LOOKS_AFTER_LOST_ANSWER
) -> Procedure[bool]:
    """Whether a run shows itself that began after the ticket was taken: a trigger leaves none idle."""
    call: Any = get_transformation(ticket.transformation_id)
    for seconds in looks:
        yield Pause(clock() + timedelta(seconds=seconds))
        answer: Answer[Transformation] = yield from patiently(
            lambda: ask(call), clock, patience=PATIENCE, with_refusals=steps.REFUSAL_PATIENCE
        )
        found = answer.value
        if found.is_active or ticket.has_begun(found) or found.status != ticket.status:
            return True
    return False
