"""Taking a snapshot of an account: what is read, in which order, and where an interrupted one goes on.

The lists come first, one request for each thousand rows. The history is asked for afterwards, connection by
connection and one after the other: it is nearly all of the requests, and what an interruption must not lose. Several
at once would only spend the account's hour faster, which bears about five requests a second.

What was read goes to a keeper, which is handed in: nothing here does I/O.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow_provider_fivetran.core import endpoints
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranSnapshotIncomplete,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.fields import storable
from airflow_provider_fivetran.core.history import REACH
from airflow_provider_fivetran.core.ingestion_status import status_row, with_history
from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
from airflow_provider_fivetran.core.protocol import next_page
from airflow_provider_fivetran.core.snapshot_plan import NAMES, REFUSALS_ENOUGH
from airflow_provider_fivetran.core.snapshot_tables import plain, read_row, restored, sync_row
from airflow_provider_fivetran.core.steps import PATIENCE, Note, ask_patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_fivetran.core.protocol import Call, Page
    from airflow_provider_fivetran.core.snapshot_plan import Plan, Progress
    from airflow_provider_fivetran.core.snapshot_tables import Row
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["Keeper", "take_snapshot"]

T = TypeVar("T")

# After so many connections the parts under way are closed: a process that is killed loses at most so much.
CONNECTIONS_IN_A_PART = 100
# An account of a hundred thousand connections is a hundred pages; a week of syncs every minute is ten thousand.
MOST_PAGES = 1000
MOST_SYNCS = 50_000
# When that of so many was not given in one try, and of none ever was, it is not those connections' own trouble.
UNREAD_ENOUGH = 10
AHEAD = timedelta(minutes=1)
NO_PATIENCE = timedelta(0)

_LISTS: Mapping[str, Callable[[], Call[Any]]] = {
    "users": endpoints.list_user_rows,
    "groups": endpoints.list_group_rows,
    "destinations": endpoints.list_destination_rows,
    "transformations": endpoints.list_transformation_rows,
    "connections": endpoints.list_connection_rows,
}


class Keeper(Protocol):
    """Where a snapshot goes. What was added counts once it is committed, and not before."""

    def add(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows to the part under way."""

    def put_aside(self, number: int, rows: Sequence[Row]) -> None:
        """Keep rows of plain JSON for this snapshot's own use."""

    def take_up(self, number: int) -> Sequence[Row]:
        """Give back what was put aside."""

    def commit(self, progress: Mapping[str, Any]) -> None:
        """Close the parts under way, and remember with them how far the snapshot has come."""


def take_snapshot(plan: Plan, keeper: Keeper, clock: Clock, progress: Progress) -> Procedure[Progress]:
    """Read what the plan wants, from where the progress stands, and give it to the keeper.

    What the key may not see (403 or 404), and what cannot be understood, is a row of ``not_seen``, not an error. So
    is a history that Fivetran does not give (5xx, no JSON, no answer) while it gives another one.

    :param progress: changed as it goes, and returned.
    :raises FivetranSnapshotIncomplete: the requests that may be taken do not suffice.
    :raises FivetranUnauthorized: the key is refused.
    :raises FivetranApiError: nothing of the wanted tables may be seen, mostly for want of rights
        (``FivetranForbidden``).
    :raises FivetranError: (one of its kinds) Fivetran could not be reached for two minutes, wants a long pause, or
        gives no history at all. After each of these another try goes on where this one stopped.
    """
    return (yield from _Try(plan, keeper, clock, progress).take())


class _Try:
    """One try."""

    def __init__(self, plan: Plan, keeper: Keeper, clock: Clock, progress: Progress) -> None:
        self._plan = plan
        self._keeper = keeper
        self._clock = clock
        self._progress = progress
        self._requests = 0
        self._unread = 0
        self._left: int | None = None
        self._fivetran_time = clock()
        self._names: dict[str, dict[str, str]] = {table: {} for table in NAMES}

    def take(self) -> Procedure[Progress]:
        if self._progress.tries:
            yield self._note("going on where the try before stopped")
        self._progress.tries += 1
        for table in filter(self._plan.needs, _LISTS):
            if table not in self._progress.lists_done:
                yield from self._take_list(table)
            elif self._needs_names_again(table):
                yield from self._read_names(table)
        if self._plan.asks_history:
            yield from self._take_histories()
        yield self._note("complete")
        return self._progress

    # -- the lists --

    def _take_list(self, table: str) -> Procedure[None]:
        """Read one list to its end, and commit it."""
        progress = self._progress
        try:
            found = yield from self._read_list(table, is_kept=True)
        except FivetranApiError as error:
            _raise_unless_refused(error)
            progress.lists_refused.append(table)
            if self._plan.sources <= set(progress.lists_refused):
                raise
            self._unseen(table, str(error))
            yield Note(f"snapshot: {table} cannot be seen: {error}", is_warning=True)
        else:
            yield Note(f"snapshot: {table}: {found:,}")
        progress.lists_done.append(table)
        self._keeper.commit(progress.to_json())

    def _needs_names_again(self, table: str) -> bool:
        """Whether a try before read the list, but died before it had put the names in it to use."""
        progress = self._progress
        is_known = "connections" in progress.lists_done or table in progress.lists_refused
        return self._plan.needs_names(table) and not is_known

    def _read_names(self, table: str) -> Procedure[None]:
        try:
            yield from self._read_list(table, is_kept=False)
        except FivetranApiError as error:  # it is not the same key any more
            _raise_unless_refused(error)

    def _read_list(self, table: str, *, is_kept: bool) -> Procedure[int]:
        """Read all pages of one list, which is kept, or read for the names in it alone."""
        call: Call[Page[Mapping[str, Any]]] | None = _LISTS[table]()
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            if call is None:
                return len(seen)
            page = yield from self._ask(call)
            read = list(self._read_rows(table, page.items, seen, is_kept=is_kept))
            if table in NAMES:
                self._names[table] |= {row["id"]: name for row, _ in read if (name := row[NAMES[table]])}
            if is_kept:
                self._add(table, [row for row, _ in read])
            if table == "connections":
                self._keep_statuses(read)
            call = next_page(call, page)
        raise FivetranUnexpectedAnswer(f"the list of {table} does not end after {MOST_PAGES} pages")

    def _read_rows(
        self, table: str, items: Sequence[Mapping[str, Any]], seen: set[str], *, is_kept: bool
    ) -> Iterator[tuple[Row, Connection | None]]:
        """What can be understood of a page, each id once: a list that changes while it is read may repeat one."""
        for data in items:
            try:
                row = read_row(table, data)
                connection = Connection.from_json(data) if table == "connections" else None
            except FivetranUnexpectedAnswer as error:
                if is_kept:
                    self._unseen(table, str(error), data.get("id"))
                continue
            if row["id"] not in seen:
                seen.add(row["id"])
                yield row, connection

    def _keep_statuses(self, read: Sequence[tuple[Row, Connection | None]]) -> None:
        progress = self._progress
        rows = [
            status_row(connection, row, self._names, self._fivetran_time)
            for row, connection in read
            if connection is not None
        ]
        progress.connections += len(rows)
        if self._plan.asks_history:
            self._keeper.put_aside(progress.pages, [plain(row) for row in rows])
            progress.pages += 1
        else:
            self._add("latest_status", rows)
            progress.connections_done += len(rows)

    # -- the history --

    def _take_histories(self) -> Procedure[None]:
        progress = self._progress
        try:
            while progress.page < progress.pages:
                rows = self._keeper.take_up(progress.page)
                while progress.row < len(rows):
                    yield from self._take_history(restored("latest_status", rows[progress.row]))
                    progress.row += 1
                    progress.connections_done += 1
                    if progress.connections_done % CONNECTIONS_IN_A_PART == 0:
                        self._keeper.commit(progress.to_json())
                        yield self._note()
                progress.page, progress.row = progress.page + 1, 0
        except FivetranError:  # what was read is not lost
            self._keeper.commit(progress.to_json())
            yield self._note("stopped")
            raise
        self._keeper.commit(progress.to_json())

    def _take_history(self, row: Row) -> Procedure[None]:
        """Complete one connection. What it adds and the progress change together, with no request in between."""
        entries = yield from self._history_of(row["connection_id"])
        if entries is not None:
            self._progress.readable = row["connection_id"]
            self._progress.syncs += len(entries)
            self._add("syncs", [sync_row(row["connection_id"], entry) for entry in entries])
            row = with_history(row, entries)
        self._add("latest_status", [row])

    def _history_of(self, connection_id: str) -> Procedure[list[SyncHistoryEntry] | None]:
        """The syncs of a connection; ``None`` where they cannot be seen."""
        if self._progress.has_no_history:
            return None
        found = yield from self._read_history(connection_id)
        if isinstance(found, FivetranError) and not found.permanent:
            yield from self._await_another_answer()
            found = yield from self._read_history(connection_id)
        if isinstance(found, FivetranError):
            yield from self._note_unread(connection_id, found)
            return None
        return list(self._understood(connection_id, found))

    def _read_history(self, connection_id: str) -> Procedure[list[Mapping[str, Any]] | FivetranError]:
        """All pages of a history, or why there is none."""
        call: Call[Page[Mapping[str, Any]]] | None = self._history_call(connection_id)
        items: list[Mapping[str, Any]] = []
        try:
            while call is not None and len(items) < MOST_SYNCS:
                page = yield from self._ask(call, patience=NO_PATIENCE)
                items += page.items
                call = next_page(call, page)
        except (FivetranUnauthorized, FivetranSnapshotIncomplete):
            raise
        except FivetranError as error:
            return error
        if call is not None:
            self._unseen("syncs", f"only the first {len(items):,} were read", connection_id)
        return items

    def _history_call(self, connection_id: str) -> Call[Page[Mapping[str, Any]]]:
        until = self._fivetran_time + AHEAD
        since = max(self._fivetran_time - timedelta(days=self._plan.history_days), until - REACH)
        return endpoints.list_sync_rows(connection_id, since=since, until=until)

    def _await_another_answer(self) -> Procedure[None]:
        """Ask for a history that was given before; for want of one, whose key it is.

        :raises FivetranError: for two minutes there was no answer to this either. So it is an outage.
        """
        known = self._progress.readable
        call: Call[Any] = self._history_call(known) if known else endpoints.get_account()
        try:
            yield from self._ask(call)
        except (FivetranForbidden, FivetranNotFound):  # an answer too
            return

    def _note_unread(self, connection_id: str, error: FivetranError) -> Procedure[None]:
        """Tell of one connection why its history cannot be seen.

        :raises FivetranError: it is not this one connection's history that cannot.
        """
        progress = self._progress
        if isinstance(error, FivetranRateLimited):
            raise error
        if isinstance(error, FivetranForbidden):
            is_last = not progress.readable and progress.refusals + 1 == REFUSALS_ENOUGH
            if is_last and self._plan.tables == ("syncs",):
                raise error
            progress.refusals += 1
        elif not error.permanent:
            self._unread += 1
            if not progress.readable and self._unread >= UNREAD_ENOUGH:
                yield Note("snapshot: no sync history is given; history_days=0 does without", is_warning=True)
                raise error
            yield Note(
                f"snapshot: the sync history of {connection_id} cannot be read: {error}", is_warning=True
            )
        self._unseen("syncs", str(error), connection_id)
        if progress.has_no_history:
            why = f"not asked for any more after {progress.refusals} refusals: {error}"
            self._unseen("syncs", why)
            yield Note(f"snapshot: the sync history cannot be seen: {why}", is_warning=True)

    def _understood(
        self, connection_id: str, items: Sequence[Mapping[str, Any]]
    ) -> Iterator[SyncHistoryEntry]:
        for data in items:
            try:
                yield SyncHistoryEntry.from_json(data)
            except FivetranUnexpectedAnswer as error:
                self._unseen("syncs", str(error), connection_id)

    # -- requests --

    def _ask(self, call: Call[T], *, patience: timedelta = PATIENCE) -> Procedure[T]:
        self._check_budget()
        self._requests += 1
        self._progress.requests += 1
        answer = yield from ask_patiently(call, self._clock, patience=patience)
        self._fivetran_time = answer.server_time or self._clock()
        if answer.requests_left is not None:
            self._left = answer.requests_left
            if self._progress.left_at_first is None:
                self._progress.left_at_first = answer.requests_left
        return answer.value

    def _check_budget(self) -> None:
        plan = self._plan
        if plan.max_requests is not None and self._requests >= plan.max_requests:
            why = f"this try has made all of its max_requests, {plan.max_requests}"
        elif self._left is not None and self._left <= self._floor():
            why = (
                f"the account has {self._left} requests left in this hour, of which leave_requests, "
                f"{plan.leave_requests}, leaves {self._floor()} to others"
            )
        else:
            return
        raise FivetranSnapshotIncomplete(
            f"The snapshot is not complete: {why}. So far: {self._progress}. Another try goes on from there"
        )

    def _floor(self) -> int:
        """So many requests are left to others. An account that has few still gets its snapshot."""
        return min(self._plan.leave_requests, (self._progress.left_at_first or 0) // 2)

    # -- what is kept and said --

    def _add(self, table: str, rows: Sequence[Row]) -> None:
        if table in self._plan.tables and rows:
            self._keeper.add(table, rows)

    def _unseen(self, table: str, why: str, id_: object = None) -> None:
        id_ = None if id_ is None else storable(str(id_))
        self._keeper.add("not_seen", [{"table": table, "id": id_, "why": why}])

    def _note(self, what: str = "") -> Note:
        left = "" if self._left is None else f", {self._left:,} left in this hour"
        return Note(
            f"snapshot{what and f' {what}'}: {self._progress}; {self._progress.requests:,} requests{left}"
        )


def _raise_unless_refused(error: FivetranApiError) -> None:
    """Let pass what says that the key may not see something, or that it is not there."""
    if isinstance(error, FivetranUnauthorized) or not error.permanent:
        raise error
