"""The connections as all who watch them on one line read them: the same list at the same time, once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.endpoints import get_connection, list_connection_rows
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.models import Connection
from airflow_provider_fivetran.core.protocol import next_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.protocol import Answer, Call, Page
    from airflow_provider_fivetran.transport.polling import Row

__all__ = ["Listing", "Scope", "Shown"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# So few connections are read one by one, and so many as the list has pages.
FEW = 3
MOST_PAGES = 100
# More rows than that are read in a thread.
ROWS_AT_ONCE = 200
# Seconds for which a list that the key may not read is not tried again.
REST = 600.0


@dataclass(frozen=True, slots=True)
class Scope:
    """Which connections are watched: those, or all of a group, or, with neither, all that the key may see."""

    connection_ids: frozenset[str] = frozenset()
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What Fivetran showed."""

    connections: dict[str, Connection]
    """By id."""
    at: datetime
    """By Fivetran's clock, at the latest: all that ended before this is in it."""
    is_complete: bool = True
    """The key may see all that is watched."""
    unread: int = 0
    """So many rows of the list, or the pages after the last that is read, could not be read."""
    alone: int = 0
    """So many connections took a request of their own."""


class Listing:
    """Reads what is watched.

    :param send: sends a call once.
    """

    def __init__(self, send: Callable[[Call[Any]], Awaitable[Answer[Any]]]) -> None:
        self._exchange = send
        self.requests_left: int | None = None
        """What the last answer said of the account's requests in this hour."""
        self._is_in_trouble = False
        self._watched: Counter[str] = Counter()
        self._readings: dict[Hashable, tuple[float, asyncio.Task[Shown]]] = {}
        self._pages = 1
        self._rests_until = 0.0

    async def close(self) -> None:
        """End what is still being read."""
        readings = [reading for _, reading in self._readings.values() if not reading.done()]
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)

    @contextmanager
    def watching(self, scope: Scope) -> Iterator[None]:
        """Let those connections count among those that are watched."""
        self._watched.update(scope.connection_ids)
        try:
            yield
        finally:
            self._watched.subtract(scope.connection_ids)
            self._watched = +self._watched

    async def read(self, scope: Scope, fresh: float) -> Shown:
        """What Fivetran shows of those connections.

        :param fresh: an answer to a question asked within so many seconds will do.
        :raises FivetranError: (one of its kinds) it cannot be read now.
        """
        if not scope.connection_ids:
            return await self._shared(scope.group_id, fresh, lambda: self._list(scope.group_id))
        one_by_one = len(self._watched) <= max(FEW, self._pages)
        if not one_by_one and _now() >= self._rests_until:
            try:
                shown = await self._shared(None, fresh, lambda: self._list(None))
            except FivetranError as error:
                if not error.permanent or isinstance(error, FivetranUnauthorized):
                    raise
                self._rests_until = _now() + REST
            else:
                return await self._completed(shown, scope, fresh)
        return await self._completed(None, scope, fresh)

    async def _completed(self, shown: Shown | None, scope: Scope, fresh: float) -> Shown:
        """What the list shows of those, and, read alone, what it does not show."""
        listed = {} if shown is None else shown.connections
        connections = {name: listed[name] for name in scope.connection_ids & listed.keys()}
        at, is_complete = utcnow() if shown is None else shown.at, True
        missing = sorted(scope.connection_ids - connections.keys())
        for connection_id in missing:
            alone = await self._shared((connection_id,), fresh, partial(self._single, connection_id))
            connections |= alone.connections
            at, is_complete = min(at, alone.at), is_complete and alone.is_complete
        return Shown(connections, at, is_complete, alone=len(missing))

    async def _shared(self, what: Hashable, fresh: float, read: Callable[[], Any]) -> Shown:
        began, reading = self._readings.get(what, (0.0, None))
        if reading is None or began + fresh <= _now():
            # In a context of its own: it is not of the watcher that happens to ask first.
            began, reading = _now(), asyncio.create_task(read(), context=Context())
            reading.add_done_callback(_heed)
            self._readings[what] = (began, reading)
        return await asyncio.shield(reading)

    async def _send(self, call: Call[T]) -> Answer[T]:
        try:
            answer = await self._exchange(call)
        except FivetranNotFound:
            raise
        except FivetranError as error:
            if not self._is_in_trouble:
                log.warning("cannot read what is watched at the moment, asking again: %s", error)
            self._is_in_trouble = True
            raise
        if self._is_in_trouble:
            log.info("what is watched can be read again")
        self._is_in_trouble = False
        self.requests_left = answer.requests_left
        return answer

    async def _list(self, group_id: str | None) -> Shown:
        call: Call[Page[Row]] | None = list_connection_rows(group_id=group_id)
        connections: dict[str, Connection] = {}
        at, pages, unread = None, 0, 0
        while call is not None and pages < MOST_PAGES:
            page = await self._send(call)
            # An end that comes while later pages are read may show in those and not in the first.
            at = at or page.server_time
            pages += 1
            rows = page.value.items
            # A thousand take some hundredths of a second.
            few = len(rows) <= ROWS_AT_ONCE
            read = _read_rows(rows) if few else await asyncio.to_thread(_read_rows, rows)
            connections |= read
            unread += len(rows) - len(read)
            call = next_page(call, page.value)
        if group_id is None:
            self._pages = pages
        return Shown(connections, at or utcnow(), unread=unread + (call is not None))

    async def _single(self, connection_id: str) -> Shown:
        try:
            answer = await self._send(get_connection(connection_id))
        except FivetranNotFound:  # it may come back, or was misspelt: the watcher says so
            return Shown({}, utcnow())
        except FivetranForbidden:  # which is no reason to show nothing of the others
            return Shown({}, utcnow(), is_complete=False)
        return Shown({connection_id: answer.value}, answer.server_time or utcnow())


def _read_rows(rows: Sequence[Row]) -> dict[str, Connection]:
    connections = {}
    for row in rows:
        with suppress(FivetranUnexpectedAnswer):  # it is read alone, if it is watched by its id
            connection = Connection.from_json(row)
            connections[connection.id] = connection
    return connections


def _heed(reading: asyncio.Task[Shown]) -> None:
    """Those who asked may be gone when it fails; nobody needs to hear of it then."""
    if not reading.cancelled():
        reading.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
