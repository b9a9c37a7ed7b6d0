"""What was measured, as plain data that can be kept in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spread:
    """Some values, in order."""

    values: list[float]

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        return cls(sorted(values))

    def at(self, share: float) -> float | None:
        """The value that this share of all does not exceed; ``None`` if there are none."""
        return self.values[round(share * (len(self.values) - 1))] if self.values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender with a number of waits that began together."""

    load: str
    title: str
    who: str
    count: int
    to_begin: int
    """Requests before the waits, by the worker."""
    asked: dict[str, int]
    """Requests of the waits, by what they asked for."""
    late: Spread
    cpu_seconds: float
    cpu_share: float
    peak_mib: float
    added_mib: float
    longest_hold: float
    wrong: int
    """Red instead of green, or green instead of red."""
    early: int
    """Decided before the sync had ended."""
    missing: int
    simulator_share: float
    longest_work: float | None = None
    longest_collection: float | None = None
    machine: float | None = None
    """Its load average in the last minute of the run."""

    @property
    def requests(self) -> int:
        return self.to_begin + sum(self.asked.values())

    @property
    def key(self) -> tuple[object, ...]:
        return (self.load, self.count, self.who)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """One contender with waits that began one after the other."""

    load: str
    title: str
    who: str
    slots: int
    hours: float
    budget: int
    late: dict[str, Spread]
    """``all``, and by the kind of sync."""
    begun: int
    to_begin: float
    asked: dict[str, float]
    """Requests in an hour, by what they asked for."""
    most_in_an_hour: int
    refused: int
    not_begun: int
    wrong: int
    early: int
    missing: int
    cpu_seconds: float
    """In an hour."""
    longest_hold: float
    simulator_share: float
    longest_work: float | None = None
    longest_collection: float | None = None
    machine: float | None = None

    @property
    def requests(self) -> float:
        """In an hour."""
        return self.to_begin + sum(self.asked.values())

    @property
    def key(self) -> tuple[object, ...]:
        return (self.load, self.who)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What importing operators and sensors adds to what every DAG file imports from Airflow."""

    who: str
    milliseconds: Spread
    modules: int
    load: str = "imports"
    airflow: bool = field(default=False)
    """This is Airflow itself, to which the others are added."""

    @property
    def key(self) -> tuple[object, ...]:
        return (self.load, self.who)


Measured: TypeAlias = Row | Steady | Import
_KINDS: dict[str, type[Measured]] = {kind.__name__: kind for kind in (Row, Steady, Import)}


class Notes:
    """All that was measured; a later measurement of the same takes the place of the earlier one.

    :param path: where to keep it, beyond this run.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._rows: dict[tuple[object, ...], Measured] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = _read(json.loads(line))
                self._rows[row.key] = row

    def add(self, row: Measured) -> None:
        self._rows[row.key] = row
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": type(row).__name__, **asdict(row)}) + "\n")

    def waits(self) -> dict[str, list[Row]]:
        """By load."""
        found: dict[str, list[Row]] = {}
        rows = [row for row in self._rows.values() if isinstance(row, Row)]
        for row in sorted(rows, key=lambda row: (row.count, row.who)):
            found.setdefault(row.load, []).append(row)
        return {load: found[load] for load in ("quick", "even", "frozen", "long", "hour") if load in found}

    def days(self) -> dict[str, list[Steady]]:
        """By load."""
        found: dict[str, list[Steady]] = {}
        rows = [row for row in self._rows.values() if isinstance(row, Steady)]
        for row in sorted(rows, key=lambda row: row.who):
            found.setdefault(row.load, []).append(row)
        return dict(sorted(found.items()))

    def imports(self) -> list[Import]:
        return [row for row in self._rows.values() if isinstance(row, Import)]


def _read(data: dict[str, Any]) -> Measured:
    kind = _KINDS[data.pop("kind")]
    for name in ("late", "milliseconds"):
        if name in data:
            data[name] = _spread(data[name])
    return kind(**data)


def _spread(data: dict[str, Any]) -> Spread | dict[str, Spread]:
    if set(data) == {"values"}:
        return Spread(data["values"])
    return {name: Spread(values["values"]) for name, values in data.items()}
