"""When something is next due at which connection, so that time passes without a look at all of them."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .records import Connection

    _Entry = tuple[datetime, int, Connection]


class Timetable:
    """Remembers connections by the time of their next event, and those that may have changed since."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._noted: dict[int, _Entry] = {}
        self._changed: dict[int, Connection] = {}
        self._number = count()

    def clear(self) -> None:
        self._entries.clear()
        self._noted.clear()
        self._changed.clear()

    def may_change(self, connection: Connection) -> None:
        """Somebody holds the connection and may change it: what was noted of it no longer counts."""
        self._changed[id(connection)] = connection

    def note(self, connection: Connection, due: datetime | None) -> None:
        noted = self._noted.get(id(connection))
        if due is None:
            self._noted.pop(id(connection), None)
        elif noted is None or noted[0] != due:
            entry = (due, next(self._number), connection)
            self._noted[id(connection)] = entry
            heappush(self._entries, entry)

    def due(self, now: datetime) -> Iterator[Connection]:
        """Every connection at which something may have to happen by now; each must be noted anew."""
        changed, self._changed = self._changed, {}
        yield from changed.values()
        while self._entries and self._entries[0][0] <= now:
            entry = heappop(self._entries)
            connection = entry[2]
            if self._noted.get(id(connection)) is entry:  # else it was noted for another time since
                del self._noted[id(connection)]
                yield connection
