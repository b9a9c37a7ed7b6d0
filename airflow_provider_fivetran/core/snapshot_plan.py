"""What a snapshot is asked to be, and how far it has come: values, of which the second outlives an interruption."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.snapshot_tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_fivetran.core.policies import SnapshotTable

__all__ = ["BY_CONNECTION", "NAMES", "REFUSALS_ENOUGH", "Plan", "Progress"]

# When the history of so many connections was refused (403), and of none was given, it is asked for no more.
REFUSALS_ENOUGH = 3
# What latest_status says in names, and the column that is the name.
NAMES: Mapping[str, str] = {"users": "email", "groups": "name"}
# The tables that are made of the list of connections, and of their histories.
BY_CONNECTION = frozenset({"syncs", "latest_status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is read, and with how many requests."""

    tables: tuple[SnapshotTable, ...] = TABLES
    """What only others need is not asked for."""
    history_days: float
    """How far back; 0: no history is asked for."""
    leave_requests: int
    """So many of the account's hour are left to others, but no more than half of what the first try found."""
    max_requests: int | None = None
    """Of one try."""

    def to_json(self) -> dict[str, Any]:
        """What a later try must share with an earlier one to go on from there, as plain JSON."""
        return {"tables": list(self.tables), "history_days": self.history_days}

    @property
    def asks_history(self) -> bool:
        return self.history_days > 0 and not BY_CONNECTION.isdisjoint(self.tables)

    @property
    def sources(self) -> set[str]:
        """The lists without which there is nothing in any of the tables."""
        return {"connections" if table in BY_CONNECTION else table for table in self.tables}

    def needs(self, list_: str) -> bool:
        return list_ in self.sources or self.needs_names(list_)

    def needs_names(self, list_: str) -> bool:
        return list_ in NAMES and "latest_status" in self.tables


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a snapshot has come, in all tries together."""

    tries: int = 0
    requests: int = 0
    """A request that a transport sent again counts once."""
    left_at_first: int | None = None
    """What the first answer said of the account's hour."""
    lists_done: list[str] = field(default_factory=list)
    lists_refused: list[str] = field(default_factory=list)
    """Of these the key may see nothing."""
    pages: int = 0
    """So many pages of connections were put aside,"""
    connections: int = 0
    """which hold so many connections."""
    page: int = 0
    """The history is read up to this page,"""
    row: int = 0
    """and of it up to this row;"""
    connections_done: int = 0
    """of so many connections,"""
    readable: str = ""
    """of which this was the last whose history was given; empty: none was."""
    refusals: int = 0
    """So many histories the key may not see (403)."""
    syncs: int = 0

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""
        return asdict(self)

    @property
    def has_no_history(self) -> bool:
        """Whether the key may see none, as far as it was asked."""
        return not self.readable and self.refusals >= REFUSALS_ENOUGH

    def __str__(self) -> str:
        if "connections" not in self.lists_done:
            return f"{', '.join(self.lists_done) or 'nothing'} read"
        return f"{self.connections_done:,} of {self.connections:,} connections, {self.syncs:,} syncs"
