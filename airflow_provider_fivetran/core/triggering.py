"""Triggering a sync exactly once, even when the answer to the trigger is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core import steps
from airflow_provider_fivetran.core.endpoints import (
    get_connection,
    get_sync_history,
    resync_connection,
    sync_connection,
)
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranError,
    FivetranResyncRefused,
    FivetranServerError,
    FivetranTriggerUncertain,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.history import awaited_entry, history_window
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.steps import PATIENCE, Note, Pause, ask, ask_pages, patiently

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
    from airflow_provider_fivetran.core.protocol import Answer, Call
    from airflow_provider_fivetran.core.starting import Order
    from airflow_provider_fivetran.core.steps import Clock, Procedure
    from airflow_provider_fivetran.core.ticket import Ticket

__all__ = ["Trigger", "history_of"]

# After an answer was lost: pauses before looks for a sign of the sync, in seconds. An error answer of a server is a
# weaker hint that the trigger took than no answer at all. A forced start may take Fivetran a minute, and sent again
# it would stop the sync that the first one started.
LOOKS_AFTER_LOST_ANSWER = (1, 2, 4, 8, 15, 30)
LOOKS_AFTER_SERVER_ERROR = (1, 2, 4, 8)
LOOKS_AFTER_LOST_RESTART = (1, 2, 4, 8, 15, 30, 30, 30)
LOOKS_AFTER_CONFLICT = (1, 2, 4, 8)
MOST_TRIGGERS = 3
BAD_REQUEST = 400
MOST_HISTORY_PAGES = 3


def history_of(
    ticket: Ticket, clock: Clock, *, with_refusals: timedelta = timedelta(0)
) -> Procedure[tuple[SyncHistoryEntry, ...] | None]:
    """The sync history, or ``None`` where this account or key has none.

    :param with_refusals: for how long to go on when the key is refused.
    :raises FivetranError: it cannot be read at the moment.
    """

    def read() -> Procedure[tuple[SyncHistoryEntry, ...] | None]:
        since, until = history_window(ticket, clock())
        call = get_sync_history(ticket.connection_id, since=since, until=until)
        try:
            return (yield from ask_pages(call, most=MOST_HISTORY_PAGES))
        except FivetranUnauthorized:
            raise
        except FivetranError as error:
            if error.permanent:
                return None
            raise

    return patiently(read, clock, patience=PATIENCE, with_refusals=with_refusals)


class Trigger:
    """One trigger, sent as often as it takes for Fivetran to have it exactly once."""

    def __init__(
        self,
        order: Order,
        ticket: Ticket,
        clock: Clock,
        *,
        before_sending: Callable[[], None] = lambda: None,
        maybe_sent: bool = False,
    ) -> None:
        """Prepare a trigger.

        :param before_sending: is called each time before it is sent, which what it raises prevents.
        :param maybe_sent: another process, which took the ticket, may have sent it already.
        """
        self._order = order
        self._ticket = ticket
        self._clock = clock
        self._before_sending = before_sending
        self._restarts = ticket.sync_state == "syncing"
        self.sent_at = (maybe_sent and ticket.triggered_at) or self._server_now()
        """By Fivetran's clock: the time of the first attempt. What ended before it is not ours."""
        self.in_doubt = maybe_sent
        """Whether it may have been sent without it being known that Fivetran refused it."""

    def pull(self) -> Procedure[datetime]:
        """Trigger, and return Fivetran's clock at that time; that of the first attempt where the answer was lost."""
        if self.in_doubt and (yield from self._took_before()):
            return self.sent_at
        for _ in range(MOST_TRIGGERS):
            self._before_sending()
            try:
                answer = yield from self._send()
            except FivetranConflict as error:
                yield from self._after_conflict(error)
                return self.sent_at
            except FivetranServerError as error:
                lost: FivetranError = error
                looks: tuple[int, ...] = LOOKS_AFTER_SERVER_ERROR
            except (FivetranUnreachable, FivetranUnexpectedAnswer) as error:
                lost, looks = error, LOOKS_AFTER_LOST_ANSWER
            else:
                yield Note(
                    f"{self._order.connection_id}: triggered {self._order.what}. "
                    f"{dashboard_link(self._order.connection_id)}"
                )
                return answer.server_time or self._server_now()
            self.in_doubt = True
            yield Note(
                f"{self._order.connection_id}: the answer to the trigger was lost, "
                f"looking whether it took: {lost}",
                is_warning=True,
            )
            if (yield from self._took(self._looks(looks))):
                yield Note(f"{self._order.connection_id}: the trigger took")
                return self.sent_at
            if self._order.resync:
                raise self._uncertain(lost) from lost
        raise self._uncertain(lost) from lost

    def _took_before(self) -> Procedure[bool]:
        """Whether another process has sent it."""
        if (yield from self._took(self._looks(LOOKS_AFTER_LOST_ANSWER))):
            yield Note(f"{self._order.connection_id}: it did, and the trigger took")
            return True
        if self._order.resync:
            raise self._uncertain(None)
        yield Note(f"{self._order.connection_id}: it did not")
        return False

    def _looks(self, usual: tuple[int, ...]) -> tuple[int, ...]:
        return LOOKS_AFTER_LOST_RESTART if self._restarts else usual

    def _send(self) -> Procedure[Answer[None]]:
        """Send it, once.

        :raises FivetranResyncRefused: 400 to a scope. Of the reasons for that in Fivetran's definition the others,
            an empty scope and an empty list, are never sent: the connection's type cannot re-sync single tables.
        """
        try:
            return (yield from ask(self._call()))
        except FivetranApiError as error:
            if error.status != BAD_REQUEST or self._order.scope is None:
                raise
            link = dashboard_link(self._order.connection_id)
            raise FivetranResyncRefused(
                f"Fivetran does not re-sync single tables of {self._order.connection_id}, and nothing was started: "
                "mostly only connections to databases can do that. Re-sync everything instead, without scope and "
                f"with confirm. {error}. {link}",
                status=error.status,
                code=error.code,
                connection_id=self._order.connection_id,
                link=link,
            ) from error

    def _call(self) -> Call[None]:
        if self._order.resync:
            return resync_connection(self._order.connection_id, scope=self._order.scope)
        return sync_connection(self._order.connection_id, force=self._restarts)

    def _after_conflict(self, error: FivetranConflict) -> Procedure[None]:
        """Another start came first, and then that sync is ours; or Fivetran means something else.

        A re-sync is refused when a sync is running, and that sync is no re-sync.
        """
        refused = self._restarts or self._order.resync
        if refused or not (yield from self._took(LOOKS_AFTER_CONFLICT)):
            raise error

    def _took(self, looks: tuple[int, ...]) -> Procedure[bool]:
        """Whether a sync shows itself that began after the ticket was taken."""
        for seconds in looks:
            yield Pause(self._clock() + timedelta(seconds=seconds))
            try:
                if (yield from self._shows((yield from self._look()))):
                    return True
            except FivetranError as error:
                if error.permanent or self._order.resumable:
                    raise
                raise self._uncertain(error) from error
        return (yield from self._was_there())

    def _look(self) -> Procedure[Connection]:
        call = get_connection(self._order.connection_id)
        answer = yield from patiently(
            lambda: ask(call), self._clock, patience=PATIENCE, with_refusals=steps.REFUSAL_PATIENCE
        )
        return answer.value

    def _history(self) -> Procedure[tuple[SyncHistoryEntry, ...] | None]:
        return history_of(self._ticket, self._clock, with_refusals=steps.REFUSAL_PATIENCE)

    def _was_there(self) -> Procedure[bool]:
        """Whether a sync came and went without a trace in the state, as one does that is cancelled at once."""
        if self._restarts or self._order.resync:
            return False
        try:
            entries = yield from self._history()
        except FivetranError as error:
            if error.permanent or self._order.resumable:
                raise
            raise self._uncertain(error) from error
        return awaited_entry(self._ticket, entries or ()) is not None

    def _shows(self, connection: Connection) -> Procedure[bool]:
        if self._restarts:
            return (yield from self._another_runs())
        if self._order.resync:
            # A sync that runs may be any; only one that has become historical is surely the re-sync.
            if self._order.scope is not None or self._ticket.was_historical:
                raise self._uncertain(None)
            return connection.status.is_historical
        if connection.is_syncing or (connection.is_rescheduled and self._ticket.sync_state != "rescheduled"):
            return True
        return _is_newer(connection.succeeded_at, self._ticket) or _is_newer(
            connection.failed_at, self._ticket
        )

    def _another_runs(self) -> Procedure[bool]:
        """Before the trigger a sync was running; only the history can tell it from ours."""
        entries = yield from self._history()
        if entries is None or self._ticket.other_sync_id is None:
            raise self._uncertain(None)
        return any(
            e.is_stopped
            if e.sync_id == self._ticket.other_sync_id
            else e.started_at is not None and e.started_at >= self._ticket.taken_at
            for e in entries
        )

    def _uncertain(self, lost: FivetranError | None) -> FivetranTriggerUncertain:
        link = dashboard_link(self._order.connection_id)
        return FivetranTriggerUncertain(
            f"the answer to the trigger of {self._order.connection_id} was lost"
            f"{f' ({lost})' if lost else ''}, and nothing tells whether Fivetran started {self._order.what}: "
            f"look there before the task runs again. {link}",
            connection_id=self._order.connection_id,
            link=link,
        )

    def _server_now(self) -> datetime:
        return self._ticket.server_clock(self._clock()).replace(microsecond=0)


def _is_newer(moment: datetime | None, ticket: Ticket) -> bool:
    latest = ticket.latest_end
    return moment is not None and moment > ticket.taken_at and (latest is None or moment > latest)
