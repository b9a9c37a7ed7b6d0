"""Starting a sync: look, obey the policies, take the ticket, trigger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_fivetran.core import reports
from airflow_provider_fivetran.core.awaited import limit_of
from airflow_provider_fivetran.core.endpoints import (
    change_connection,
    get_connection,
    run_setup_tests,
)
from airflow_provider_fivetran.core.errors import (
    FivetranConnectionBroken,
    FivetranConnectionPaused,
    FivetranError,
    FivetranSyncRunning,
    FivetranSyncTimeout,
)
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.orders import Order, Undo
from airflow_provider_fivetran.core.scoping import check_scope
from airflow_provider_fivetran.core.steps import PATIENCE, Note, Pause, ask, ask_patiently
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.core.triggering import Trigger, history_of
from airflow_provider_fivetran.core.verdicts import SyncRecord

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection
    from airflow_provider_fivetran.core.protocol import Answer
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["Keep", "NotNeeded", "Order", "Progress", "Skipped", "Started", "Undo", "start", "take_up", "undo"]

# A sync that runs may take a moment to show in the history: pauses before looks there, in seconds.
LOOKS_FOR_THE_RUNNING = (0, 1, 2)
# Without a Date header our own clock must do, and it may be ahead.
UNKNOWN_CLOCK = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a start has come: what another process must know to go on from here if this one dies."""

    undo: Undo
    ticket: Ticket | None = None
    """``None``: no sync of ours is under way, but something may have been changed."""
    unanswered: bool = False
    """The trigger may have been sent; how Fivetran answered is not known."""
    then_start_ours: bool = False
    comes_before_a_change: bool = False
    """A request that changes something follows: it must not be sent if this cannot be kept."""


# Called before each step that must not be forgotten, and after it, with the newest state of things. What it raises
# ends the start.
Keep: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """There is a sync to wait for."""

    ticket: Ticket
    undo: Undo = field(default_factory=Undo)
    then_start_ours: bool = False
    """It is another's, and ours comes after it (``when_running="queue"``)."""


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """The data is fresh enough."""

    record: SyncRecord


@dataclass(frozen=True, slots=True)
class Skipped:
    """A policy says to skip the task."""

    record: SyncRecord
    reason: str


Start: TypeAlias = Started | NotNeeded | Skipped


def _forget(_progress: Progress) -> None:
    """Keep nothing: for those who do not come back."""


def start(
    order: Order, clock: Clock, *, begun_at: datetime | None = None, keep: Keep = _forget
) -> Procedure[Start]:
    """Start the sync that is wanted, or find out why not.

    What was changed for that is put back by whoever asked, when it ends or fails: only they know whether a sync may
    still run, which pausing would stop.

    :param begun_at: when the whole wait began, if this is not its first start.
    :param keep: is told how far it has come, each time before and after a request that changes something.
    :raises FivetranRefused: (one of its kinds) a policy forbids to start.
    :raises FivetranTriggerUncertain: it cannot be told whether the trigger took.
    :raises FivetranApiError: Fivetran refused.
    """
    if order.scope is not None and not order.scope_is_checked:
        # First, because it may take a while, in which a sync may begin that must not be taken for the re-sync.
        yield from check_scope(order.connection_id, order.scope, clock)
    found = yield from _look(order, clock)
    _check_deadline(order, found, begun_at)
    not_now = _without_a_sync(order, found)
    if not_now is not None:
        return not_now
    sound = yield from _with_sound_setup(order, found, clock)
    if sound is not found:  # the setup tests took their time, in which a sync may have begun
        found, not_now = sound, _without_a_sync(order, sound)
        if not_now is not None:
            return not_now
    changes, undone = _changes(order, found.connection)
    if changes:
        keep(Progress(undo=undone, comes_before_a_change=True))
        try:
            yield from ask_patiently(
                change_connection(order.connection_id, changes), clock, patience=PATIENCE
            )
        except FivetranError as error:
            if error.permanent:  # otherwise the change may have taken all the same
                keep(Progress(undo=Undo()))
            raise
        yield Note(f"{order.connection_id}: set {changes}")
    if changes and order.resync:  # unpausing may have started a sync, which would be no re-sync
        found = yield from _look(order, clock)
    return (yield from _begin(order, found, undone, clock, begun_at, keep))


def take_up(
    order: Order, begun: Started, clock: Clock, *, unanswered: bool, keep: Keep = _forget
) -> Procedure[Started]:
    """Go on where a process died that had taken a ticket.

    :param unanswered: it may have died before it triggered: its sync is looked for, and triggered if there is none.
    :raises FivetranTriggerUncertain: it cannot be told whether its trigger took.
    :raises FivetranApiError: Fivetran refused.
    """
    if (
        not unanswered or clock() >= begun.ticket.deadline()
    ):  # too late to trigger; the wait tells what became of it
        return begun
    yield Note(
        f"{order.connection_id}: an earlier try of this task may have triggered, looking whether it did"
    )
    return (yield from _trigger(order, begun.ticket, begun.undo, clock, keep, maybe_sent=True))


def _check_deadline(order: Order, found: _Found, begun_at: datetime | None) -> None:
    """A start that comes again, after a put-off or behind another sync, may come too late."""
    is_historical = order.resync or found.connection.status.is_historical
    limit = limit_of(order.timeout, order.at_most, historical=is_historical)
    if begun_at is not None and found.now >= begun_at + limit:
        link = dashboard_link(order.connection_id)
        raise FivetranSyncTimeout(
            f"the wait for a Fivetran sync of {order.connection_id} reached its limit of {in_words(limit)} before "
            f"the sync could be started again; nothing was started. {link}",
            connection_id=order.connection_id,
            link=link,
        )


def undo(
    connection_id: str, undone: Undo, clock: Clock, *, patience: timedelta = PATIENCE
) -> Procedure[bool]:
    """Put back what a task changed. A failure to do so is said, and changes no verdict.

    :param patience: how long to try while Fivetran cannot be reached.
    :return: whether all is as it was.
    """
    changes = undone.changes()
    if not changes:
        return True
    try:
        yield from ask_patiently(change_connection(connection_id, changes), clock, patience=patience)
    except FivetranError as error:
        link = dashboard_link(connection_id)
        yield Note(
            f"{connection_id}: could not put back {changes}, do it by hand: {error}. {link}", is_warning=True
        )
        return False
    yield Note(f"{connection_id}: put back {changes}")
    return True


@dataclass(frozen=True, slots=True)
class _Found:
    connection: Connection
    taken_at: datetime
    now: datetime


def _look(order: Order, clock: Clock) -> Procedure[_Found]:
    patience = PATIENCE if order.patience is None else order.patience
    answer = yield from ask_patiently(get_connection(order.connection_id), clock, patience=patience)
    return _found(answer, clock)


def _found(answer: Answer[Connection], clock: Clock) -> _Found:
    now = clock()
    return _Found(answer.value, answer.server_time or now - UNKNOWN_CLOCK, now)


def _without_a_sync(order: Order, found: _Found) -> NotNeeded | Skipped | None:
    """The policies that end the matter before anything is changed."""
    connection = found.connection
    if _is_fresh(order, connection, found.taken_at):
        return NotNeeded(_record(connection, "fresh"))
    if connection.paused and order.when_paused == "skip":
        return Skipped(_record(connection, "skipped"), "the connection is paused, and when_paused is 'skip'")
    if connection.paused and order.when_paused == "fail":
        raise FivetranConnectionPaused(
            f"{reports.name_of(connection)} is paused, and when_paused is 'fail': unpause it, "
            f"or set when_paused to 'unpause', 'unpause_and_restore' or 'skip'. {connection.link}",
            connection_id=connection.id,
            link=connection.link,
        )
    if not connection.is_syncing or _may_be_ours(order, connection):
        return None
    if order.when_running == "skip":
        return Skipped(_record(connection, "skipped"), "a sync is running, and when_running is 'skip'")
    if order.when_running == "fail":
        raise FivetranSyncRunning(
            f"a sync of {reports.name_of(connection)} is running, and when_running is 'fail'. "
            f"{connection.link}",
            connection_id=connection.id,
            link=connection.link,
        )
    return None


def _is_fresh(order: Order, connection: Connection, server_now: datetime) -> bool:
    success, failure = connection.succeeded_at, connection.failed_at
    if order.fresh_within is None or success is None or (failure is not None and failure > success):
        return False
    return success >= server_now - order.fresh_within


def _with_sound_setup(order: Order, found: _Found, clock: Clock) -> Procedure[_Found]:
    state = found.connection.status.setup_state
    broken, incomplete = state == "broken", state == "incomplete"
    if order.when_broken == "test" and (broken or incomplete):
        found = _found((yield from ask(run_setup_tests(order.connection_id))), clock)
        broken = found.connection.status.setup_state in {"broken", "incomplete"}
        incomplete = False
    elif order.when_broken == "try":
        broken = False  # a sync can heal a broken connection; it cannot heal one that was never set up
    if not broken and not incomplete:
        return found
    connection = found.connection
    raise FivetranConnectionBroken(
        f"the setup of {reports.name_of(connection)} is {connection.status.setup_state}: "
        f"{reports.reasons_of(connection, None)}. {connection.link}",
        connection_id=connection.id,
        link=connection.link,
    )


def _changes(order: Order, connection: Connection) -> tuple[dict[str, Any], Undo]:
    """What to set before the sync, where it differs from what is wanted, and what to put back after it."""
    changes: dict[str, Any] = {}
    if connection.paused:
        changes["paused"] = False
    if order.schedule_type is not None and connection.schedule_type != order.schedule_type:
        changes["schedule_type"] = order.schedule_type
    restore = order.restore_schedule and "schedule_type" in changes
    return changes, Undo(
        pause="paused" in changes and order.when_paused == "unpause_and_restore",
        schedule_type=connection.schedule_type if restore else None,
    )


def _begin(
    order: Order, found: _Found, undone: Undo, clock: Clock, begun_at: datetime | None, keep: Keep
) -> Procedure[Started]:
    running = found.connection.is_syncing
    maybe_ours = running and _may_be_ours(order, found.connection)
    # A sync is no re-sync, and Fivetran completes a running one before it: so do we. One that is being stopped,
    # since the connection is paused, is not to be shared either.
    follows = (order.when_running == "queue" or order.resync) and not maybe_ours
    queue = running and (follows or found.connection.paused)
    joins = queue or maybe_ours or (running and order.when_running == "attach")
    ticket = Ticket.of(
        found.connection,
        aim=Aim.RUNNING if joins else Aim.TRIGGERED,
        taken_at=found.taken_at,
        now=found.now,
        begun_at=begun_at,
        timeout=order.timeout,
        at_most=order.at_most,
        start_timeout=order.start_timeout,
        fail_when_rescheduled=order.when_rescheduled == "fail",
        reschedule_wait=order.reschedule_wait,
        poll_frequency=order.poll_frequency,
        historical=order.resync,
        until_not_historical=order.resync and order.scope is None and not queue,
        was_historical=found.connection.status.is_historical,
    )
    if joins:
        what = "waiting for it to end before ours" if queue else "it is taken as ours"
        yield Note(f"{order.connection_id}: a sync is running already; {what}")
        keep(Progress(undo=undone, ticket=ticket, then_start_ours=queue))
        return Started(ticket=ticket, undo=undone, then_start_ours=queue)
    if running:
        ticket = ticket.but(other_sync_id=(yield from _id_of_the_running(ticket, clock)))
    return (yield from _trigger(order, ticket, undone, clock, keep))


def _may_be_ours(order: Order, connection: Connection) -> bool:
    """Whether an earlier try may have started the sync that runs. Of a re-sync it must be certain."""
    if order.resync:
        return order.maybe_started and order.scope is None and connection.status.is_historical
    return order.maybe_started


def _trigger(
    order: Order, ticket: Ticket, undone: Undo, clock: Clock, keep: Keep, *, maybe_sent: bool = False
) -> Procedure[Started]:
    def note() -> None:
        sent = ticket.but(triggered_at=trigger.sent_at)
        keep(Progress(undo=undone, ticket=sent, unanswered=True, comes_before_a_change=True))

    trigger = Trigger(order, ticket, clock, before_sending=note, maybe_sent=maybe_sent)
    try:
        triggered_at = yield from trigger.pull()
    except FivetranError:
        if not trigger.in_doubt:
            keep(Progress(undo=undone))
        raise
    took = ticket.but(triggered_at=triggered_at)
    keep(Progress(undo=undone, ticket=took))
    return Started(ticket=took, undo=undone)


def _id_of_the_running(ticket: Ticket, clock: Clock) -> Procedure[str | None]:
    """Which sync runs, so that it is not taken for ours; ``None`` where no history tells."""
    for seconds in LOOKS_FOR_THE_RUNNING:
        yield Pause(clock() + timedelta(seconds=seconds))  # one that began a moment ago may not show yet
        try:
            entries = yield from history_of(ticket, clock)
        except FivetranError as error:
            if error.permanent:
                raise
            return None
        running = next((entry.sync_id for entry in entries or () if entry.is_running), None)
        if entries is None or running is not None:
            return running
    return None


def _record(connection: Connection, status: str) -> SyncRecord:
    return SyncRecord(
        connection_id=connection.id, status=status, link=connection.link, ended_at=connection.succeeded_at
    )
