"""Waiting for a sync: look, judge, pause, look again. Written once for workers, sensors and the triggerer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_fivetran.core import reports
from airflow_provider_fivetran.core.cadence import QUICKEST, pause_between_looks, usual_of
from airflow_provider_fivetran.core.decision import Seen, judge
from airflow_provider_fivetran.core.endpoints import get_connection, get_sync_history
from airflow_provider_fivetran.core.enduring import Endurance
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranError,
    FivetranNotFound,
    FivetranUnauthorized,
)
from airflow_provider_fivetran.core.history import REACH
from airflow_provider_fivetran.core.steps import Look, Note, ask, ask_pages
from airflow_provider_fivetran.core.verdicts import AskHistory, Ended, Final, TriggerAgain, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from datetime import datetime

    from airflow_provider_fivetran.core.cadence import Usual
    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
    from airflow_provider_fivetran.core.steps import Clock, Procedure
    from airflow_provider_fivetran.core.ticket import Ticket

__all__ = ["Outcome", "watch"]

Outcome: TypeAlias = Final | TriggerAgain

# Seven days of syncs every five minutes are three pages.
MOST_HISTORY_PAGES = 12
# A sync that runs for so long is worth a request that tells when it will probably end.
PAYS_AFTER = timedelta(minutes=3)
# After so many failed reads of the history in a row the other evidence must do.
HISTORY_PATIENCE = 3


def watch(
    ticket: Ticket,
    clock: Clock,
    *,
    key_has_worked: bool = True,
    taken_up: bool = False,
    usual: MutableMapping[str, Usual] | None = None,
) -> Procedure[Outcome]:
    """Wait until the awaited sync is decided.

    An API that cannot be read delays the verdict and nothing else: it is asked again, less and less often, until
    the deadline of the ticket. So does a key that is refused, or lacks the right to read the connection, for ten
    minutes: by then somebody may have replaced it.

    :param taken_up: the ticket is of another process, whose looks are not remembered: what they would tell is
        looked for in the history.
    :param key_has_worked: in this wait or for the start of its sync. If not, a refusal before the first answer ends
        the wait at once.
    :param usual: what is known of how long syncs take, by connection id; what this wait learns is added.
    :raises FivetranApiError: the key is wrong, or lacks the right to read the connection.
    """
    known = {} if usual is None else usual
    eyes = _Eyes(ticket, clock, known, key_has_worked=key_has_worked, taken_up=taken_up)
    due = clock()
    while True:
        connection = yield from eyes.look(due)
        if connection is None:
            return reports.gone(ticket)
        if isinstance(connection, Ended):
            return connection
        verdict = yield from eyes.decide(connection)
        if not isinstance(verdict, Waiting):
            return verdict
        due = verdict.until


class _Eyes:
    """One wait: what was seen, what was said, and how often the API could not be read."""

    def __init__(
        self,
        ticket: Ticket,
        clock: Clock,
        usual: MutableMapping[str, Usual],
        *,
        key_has_worked: bool,
        taken_up: bool,
    ) -> None:
        self._ticket = ticket
        self._taken_up = taken_up
        self._clock = clock
        self._usual = usual
        self._usual_is_asked_for = False
        self._requests_left: int | None = None
        self._looks_are_shared = False
        self._seen: Seen | None = None
        self._said: str | None = None
        self._endurance = Endurance(ticket, clock, key_has_worked=key_has_worked)
        self._history_failures = 0

    def look(self, due: datetime) -> Procedure[Connection | Final | None]:
        """Read the connection, however long that takes. ``None``: it does not exist. ``Ended``: out of time.

        :param due: when to look, by our clock.
        """
        try:
            answer = yield from self._endurance.read(self._look_at, due)
        except FivetranNotFound:
            return None
        now = self._clock()
        if isinstance(answer, FivetranError):
            return reports.timed_out(self._ticket, f"Fivetran cannot be read: {answer}", now)
        self._ticket = self._ticket.corrected(answer.server_time, now)
        self._requests_left, self._looks_are_shared = answer.requests_left, answer.shared
        return answer.value

    def _look_at(self, due: datetime, now: datetime) -> Look[Connection]:
        ticket, seen = self._ticket, self._seen
        return Look(
            get_connection(ticket.connection_id),
            due=due,
            pace=max(due - now, ticket.poll_frequency or QUICKEST),
            latest=ticket.deadline(historical=seen is not None and seen.was_historical),
            seen=None if seen is None else seen.connection,
            group_id=ticket.group_id if seen is None else seen.connection.group_id,
            is_floor=ticket.poll_frequency is not None,
        )

    def decide(self, connection: Connection) -> Procedure[Outcome | Waiting]:
        now = self._clock()
        before = self._seen
        seen = (
            before.then(self._ticket, connection, now)
            if before
            else Seen.first(self._ticket, connection, now, taken_up=self._taken_up)
        )
        yield from self._ask_for_the_usual(seen, now)
        seen = seen.knowing(self._usual.get(connection.id), self._requests_left)
        verdict = judge(self._ticket, seen, now)
        if isinstance(verdict, AskHistory):
            seen = yield from self._read_history(seen, verdict)
            verdict = judge(self._ticket, seen, self._clock())
        self._seen = seen
        # Asked for a second time, the history could not be read.
        outcome = self._go_without(seen) if isinstance(verdict, AskHistory) else verdict
        if isinstance(outcome, Waiting) and outcome.saying != self._said:
            self._said = outcome.saying
            yield Note(f"{self._ticket.connection_id}: {outcome.saying}")
        return outcome

    def _ask_for_the_usual(self, seen: Seen, now: datetime) -> Procedure[None]:
        """Read once how long syncs of this connection take, where that pays: a long sync, looked at for itself."""
        ticket = self._ticket
        free_to_choose = ticket.is_of_one_sync and ticket.poll_frequency is None
        pays = free_to_choose and seen.connection.is_syncing and not self._looks_are_shared
        young = now - (seen.running_since or ticket.begun_at) < PAYS_AFTER
        known = ticket.connection_id in self._usual or self._usual_is_asked_for or seen.history_absent
        if not pays or young or known:
            return
        self._usual_is_asked_for = True
        server_now = ticket.server_clock(now)
        try:
            page = yield from ask(
                get_sync_history(ticket.connection_id, since=server_now - REACH, until=server_now)
            )
        except FivetranError:
            return  # it only makes the looks better timed
        self._learn(page.value.items)

    def _learn(self, entries: Iterable[SyncHistoryEntry]) -> None:
        name = self._ticket.connection_id
        usual = usual_of(entries, self._usual.get(name))
        if usual is not None:
            self._usual[name] = usual

    def _read_history(self, seen: Seen, wanted: AskHistory) -> Procedure[Seen]:
        call = get_sync_history(self._ticket.connection_id, since=wanted.since, until=wanted.until)
        try:
            entries = yield from ask_pages(call, most=MOST_HISTORY_PAGES)
        except FivetranUnauthorized:
            # The next look at the connection meets the same, and deals with it.
            return self._history_failed(seen)
        except FivetranApiError as error:
            # 403 and 404: this account or key has none. What else is permanent will not get better either.
            return seen.without_history() if error.permanent else self._history_failed(seen)
        except FivetranError:
            return self._history_failed(seen)
        self._history_failures = 0
        self._learn(entries)
        return seen.with_history(self._ticket, entries, self._clock())

    def _history_failed(self, seen: Seen) -> Seen:
        self._history_failures += 1
        # A sensor keeps no memory between its looks, and its question hardly needs the history.
        patience = HISTORY_PATIENCE if self._ticket.is_of_one_sync else 1
        return seen.without_history() if self._history_failures >= patience else seen

    def _go_without(self, seen: Seen) -> Outcome | Waiting:
        """Wait for the sync history to be readable, unless the wait is over: then the other evidence must do."""
        now = self._clock()
        deadline = self._ticket.deadline(historical=seen.was_historical)
        if now >= deadline:
            verdict = judge(self._ticket, seen.without_history(), now)
            if isinstance(verdict, (Ended, TriggerAgain)):
                return verdict
        return Waiting(min(self._next_look(), deadline), "waiting for the sync history to be readable")

    def _next_look(self) -> datetime:
        now = self._clock()
        return now + pause_between_looks(now - self._ticket.begun_at, self._ticket.poll_frequency)
