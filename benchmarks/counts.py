"""How many requests arrived, counted by what was asked for, by whom, and with what answer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

HOUR = 3600
TOO_MANY = 429
_PARTS_OF_A_LOOK = 3
_WHAT = {"sync": "trigger", "force": "trigger", "sync-history": "history"}


def what_it_is(method: str, path: str) -> str:
    """A word for what is asked: ``list``, ``look``, ``trigger``, ``history`` or ``other``."""
    parts = path.strip("/").split("/")
    if parts[1:2] not in (["connections"], ["connectors"]):
        return "other"
    if method == "GET" and len(parts) <= _PARTS_OF_A_LOOK:
        return "list" if len(parts) < _PARTS_OF_A_LOOK else "look"
    return _WHAT.get(parts[-1], "other")


class Counts:
    """How many requests arrived when, with which key, for what, and with which status of the answer."""

    def __init__(self, rows: list[list[Any]]) -> None:
        self._rows = rows

    def total(self, **wanted: object) -> int:
        """The number of those that have these values."""
        return self.by("what", **wanted).total()

    def between(self, since: datetime, until: datetime) -> Counts:
        return Counts([row for row in self._rows if since.timestamp() <= row[0] < until.timestamp()])

    def most_in_an_hour(self) -> int:
        """The highest number in any hour."""
        numbers = sorted(self.by("at").items())
        most = inside = first = 0
        for at, number in numbers:
            inside += number
            while numbers[first][0] <= at - HOUR:
                inside -= numbers[first][1]
                first += 1
            most = max(most, inside)
        return most

    def by(self, name: str, **wanted: object) -> Counter[Any]:
        """The numbers by one of ``at``, ``key``, ``what``, ``status``, of those that have these values."""
        names = ("at", "key", "what", "status")
        found: Counter[Any] = Counter()
        for *values, number in self._rows:
            row = dict(zip(names, values, strict=True))
            if all(row[key] == value for key, value in wanted.items()):
                found[row[name]] += number
        return found
