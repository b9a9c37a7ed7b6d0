"""Starting a sync: look, obey the policies, take the ticket, trigger, and learn whether the trigger took."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_fivetran.core import reports
from airflow_provider_fivetran.core.endpoints import (
    change_connection,
    get_connection,
    get_sync_history,
    resync_connection,
    run_setup_tests,
    sync_connection,
)
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranConnectionBroken,
    FivetranConnectionPaused,
    FivetranError,
    FivetranServerError,
    FivetranSyncRunning,
    FivetranTriggerUncertain,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.history import history_window
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.steps import Note, Pause, ask, ask_pages
from airflow_provider_fivetran.core.ticket import DEFAULT_START_TIMEOUT, Aim, Ticket
from airflow_provider_fivetran.core.verdicts import SyncRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
    from airflow_provider_fivetran.core.policies import (
        ScheduleType,
        WhenBroken,
        WhenPaused,
        WhenRescheduled,
        WhenRunning,
    )
    from airflow_provider_fivetran.core.protocol import Answer, Call
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["NotNeeded", "Order", "Skipped", "Started", "Undo", "start", "undo"]

# Without a Date header our own clock must do, and it may be ahead.
UNKNOWN_CLOCK = timedelta(seconds=60)
# After an answer was lost: pauses between looks for a sign of the sync, in seconds. An error answer of a server is
# a weaker hint that the trigger took than no answer at all.
LOOKS_AFTER_LOST_ANSWER = (1, 2, 4, 8, 15, 30)
LOOKS_AFTER_SERVER_ERROR = (1, 2, 4, 8)
LOOKS_AFTER_CONFLICT = (1, 2, 4, 8)
MOST_TRIGGERS = 3
MOST_HISTORY_PAGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a task wants: which sync, and under which policies."""

    connection_id: str
    resync: bool = False
    """A historical re-sync instead of a sync."""
    scope: Mapping[str, Sequence[str]] | None = None
    """Only these tables, by schema (with ``resync``)."""
    when_running: WhenRunning = "attach"
    when_paused: WhenPaused = "fail"
    when_broken: WhenBroken = "try"
    when_rescheduled: WhenRescheduled = "wait"
    schedule_type: ScheduleType | None = None
    restore_schedule: bool = False
    fresh_within: timedelta | None = None
    timeout: timedelta | None = None
    start_timeout: timedelta = DEFAULT_START_TIMEOUT
    reschedule_wait: timedelta | None = None
    poll_frequency: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What to put back when the task is done with the connection."""

    pause: bool = False
    schedule_type: str | None = None

    def changes(self) -> dict[str, Any]:
        """The fields to set."""
        back: dict[str, Any] = {"schedule_type": self.schedule_type} if self.schedule_type else {}
        return {**back, "paused": True} if self.pause else back

    def and_earlier(self, earlier: Undo) -> Undo:
        """Both together; what was found first is what is put back."""
        return Undo(
            pause=self.pause or earlier.pause, schedule_type=earlier.schedule_type or self.schedule_type
        )

    def to_json(self) -> dict[str, Any]:
        return {"pause": self.pause, "schedule_type": self.schedule_type}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Undo:
        data = data or {}
        return cls(pause=data.get("pause") is True, schedule_type=data.get("schedule_type") or None)


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


def start(order: Order, clock: Clock, *, begun_at: datetime | None = None) -> Procedure[Start]:
    """Start the sync that is wanted, or find out why not.

    :param begun_at: when the whole wait began, if this is not its first start.
    :raises FivetranRefused: (one of its kinds) a policy forbids to start.
    :raises FivetranTriggerUncertain: it cannot be told whether the trigger took.
    :raises FivetranApiError: Fivetran refused.
    """
    found = yield from _look(order.connection_id, clock)
    not_now = _without_a_sync(order, found)
    if not_now is not None:
        return not_now
    found = yield from _with_sound_setup(order, found, clock)
    undone = yield from _prepare(order, found.connection)
    try:
        return (yield from _begin(order, found, undone, clock, begun_at))
    except FivetranError:
        yield from undo(order.connection_id, undone)
        raise


def undo(connection_id: str, undone: Undo) -> Procedure[None]:
    """Put back what a task changed. A failure to do so is said, and changes no verdict."""
    changes = undone.changes()
    if not changes:
        return
    try:
        yield from ask(change_connection(connection_id, changes))
    except FivetranError as error:
        yield Note(f"{connection_id}: could not put back {changes}, do it by hand: {error}", is_warning=True)
    else:
        yield Note(f"{connection_id}: put back {changes}")


@dataclass(frozen=True, slots=True)
class _Found:
    connection: Connection
    taken_at: datetime
    now: datetime


def _look(connection_id: str, clock: Clock) -> Procedure[_Found]:
    return _found((yield from ask(get_connection(connection_id))), clock)


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
    if connection.is_syncing and order.when_running == "skip":
        return Skipped(_record(connection, "skipped"), "a sync is running, and when_running is 'skip'")
    if connection.is_syncing and order.when_running == "fail":
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


def _prepare(order: Order, connection: Connection) -> Procedure[Undo]:
    """Unpause and set the schedule, in one request, where they differ from what is wanted."""
    changes: dict[str, Any] = {}
    if connection.paused:
        changes["paused"] = False
    if order.schedule_type is not None and connection.schedule_type != order.schedule_type:
        changes["schedule_type"] = order.schedule_type
    if not changes:
        return Undo()
    yield from ask(change_connection(connection.id, changes))
    yield Note(f"{connection.id}: set {changes}")
    restore = order.restore_schedule and "schedule_type" in changes
    return Undo(
        pause="paused" in changes and order.when_paused == "unpause_and_restore",
        schedule_type=connection.schedule_type if restore else None,
    )


def _begin(
    order: Order, found: _Found, undone: Undo, clock: Clock, begun_at: datetime | None
) -> Procedure[Started]:
    running = found.connection.is_syncing
    attach = running and order.when_running in {"attach", "queue"} and not order.resync
    queue = running and (order.when_running == "queue" or (order.resync and order.when_running == "attach"))
    ticket = Ticket.of(
        found.connection,
        aim=Aim.RUNNING if attach or queue else Aim.TRIGGERED,
        taken_at=found.taken_at,
        now=found.now,
        begun_at=begun_at,
        timeout=order.timeout,
        start_timeout=order.start_timeout,
        fail_when_rescheduled=order.when_rescheduled == "fail",
        reschedule_wait=order.reschedule_wait,
        poll_frequency=order.poll_frequency,
        historical=order.resync,
    )
    if attach or queue:
        what = "waiting for it to end before ours" if queue else "it is taken as ours"
        yield Note(f"{order.connection_id}: a sync is running already; {what}")
        return Started(ticket=ticket, undo=undone, then_start_ours=queue)
    if running:
        entries = yield from _history(ticket, clock)
        other = next((entry.sync_id for entry in entries or () if entry.is_running), None)
        ticket = ticket.but(other_sync_id=other)
    triggered_at = yield from _Trigger(
        order, ticket, clock, was_historical=found.connection.status.is_historical
    ).pull()
    return Started(ticket=ticket.but(triggered_at=triggered_at), undo=undone)


def _history(ticket: Ticket, clock: Clock) -> Procedure[tuple[SyncHistoryEntry, ...] | None]:
    """The sync history, or ``None`` when it cannot be had."""
    since, until = history_window(ticket, clock())
    try:
        return (
            yield from ask_pages(
                get_sync_history(ticket.connection_id, since=since, until=until), most=MOST_HISTORY_PAGES
            )
        )
    except FivetranUnauthorized:
        raise
    except FivetranError:
        return None


class _Trigger:
    """One trigger, sent as often as it takes for Fivetran to have it exactly once."""

    def __init__(self, order: Order, ticket: Ticket, clock: Clock, *, was_historical: bool) -> None:
        self._order = order
        self._ticket = ticket
        self._clock = clock
        self._was_historical = was_historical
        self._restarts = ticket.sync_state == "syncing"

    def pull(self) -> Procedure[datetime]:
        """Trigger, and return Fivetran's clock at that time."""
        for _ in range(MOST_TRIGGERS):
            try:
                answer = yield from ask(self._call())
            except FivetranConflict as error:
                return (yield from self._after_conflict(error))
            except FivetranServerError as error:
                lost: FivetranError = error
                looks: tuple[int, ...] = LOOKS_AFTER_SERVER_ERROR
            except (FivetranUnreachable, FivetranUnexpectedAnswer) as error:
                lost, looks = error, LOOKS_AFTER_LOST_ANSWER
            else:
                yield Note(
                    f"{self._order.connection_id}: triggered. {dashboard_link(self._order.connection_id)}"
                )
                return answer.server_time or self._server_now()
            yield Note(
                f"{self._order.connection_id}: the answer to the trigger was lost, "
                f"looking whether it took: {lost}",
                is_warning=True,
            )
            if (yield from self._took(looks)):
                yield Note(f"{self._order.connection_id}: the trigger took")
                return self._server_now()
            if self._order.resync:
                raise self._uncertain(lost) from lost
        raise self._uncertain(lost) from lost

    def _call(self) -> Call[None]:
        if self._order.resync:
            return resync_connection(self._order.connection_id, scope=self._order.scope)
        return sync_connection(self._order.connection_id, force=self._restarts)

    def _after_conflict(self, error: FivetranConflict) -> Procedure[datetime]:
        """Another start came first, and then that sync is ours; or Fivetran means something else."""
        if self._restarts or not (yield from self._took(LOOKS_AFTER_CONFLICT)):
            raise error
        return self._server_now()

    def _took(self, looks: tuple[int, ...]) -> Procedure[bool]:
        """Whether a sync shows itself that began after the ticket was taken."""
        for seconds in looks:
            try:
                found = yield from _look(self._order.connection_id, self._clock)
                if (yield from self._shows(found.connection)):
                    return True
            except FivetranApiError as error:
                if error.permanent:
                    raise
            except FivetranError:
                pass  # not readable either: look again
            yield Pause(self._clock() + timedelta(seconds=seconds))
        return False

    def _shows(self, connection: Connection) -> Procedure[bool]:
        if self._restarts:
            return (yield from self._another_runs())
        if self._order.resync and self._order.scope is None and not self._was_historical:
            return connection.status.is_historical
        if connection.is_syncing or (connection.is_rescheduled and self._ticket.sync_state != "rescheduled"):
            return True
        return _is_newer(connection.succeeded_at, self._ticket) or _is_newer(
            connection.failed_at, self._ticket
        )

    def _another_runs(self) -> Procedure[bool]:
        """Before the trigger a sync was running; only the history can tell it from ours."""
        entries = yield from _history(self._ticket, self._clock)
        if entries is None or self._ticket.other_sync_id is None:
            raise self._uncertain(None)
        return any(
            e.sync_id != self._ticket.other_sync_id
            and e.started_at is not None
            and e.started_at >= self._ticket.taken_at
            for e in entries
        )

    def _uncertain(self, lost: FivetranError | None) -> FivetranTriggerUncertain:
        link = dashboard_link(self._order.connection_id)
        return FivetranTriggerUncertain(
            f"the answer to the trigger of {self._order.connection_id} was lost"
            f"{f' ({lost})' if lost else ''}, and nothing tells whether Fivetran started a sync: look there "
            f"before the task runs again. {link}",
            connection_id=self._order.connection_id,
            link=link,
        )

    def _server_now(self) -> datetime:
        return self._ticket.server_clock(self._clock()).replace(microsecond=0)


def _is_newer(moment: datetime | None, ticket: Ticket) -> bool:
    latest = ticket.latest_end
    return moment is not None and moment > ticket.taken_at and (latest is None or moment > latest)


def _record(connection: Connection, status: str) -> SyncRecord:
    return SyncRecord(
        connection_id=connection.id, status=status, link=connection.link, ended_at=connection.succeeded_at
    )
