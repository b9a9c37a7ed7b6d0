"""What a task wants of a connection, and what it owes it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.policies import POLICIES
from airflow_provider_fivetran.core.ticket import DEFAULT_START_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow_provider_fivetran.core.policies import (
        ScheduleType,
        WhenBroken,
        WhenPaused,
        WhenRescheduled,
        WhenRunning,
    )

__all__ = ["Order", "Undo"]

# Of a re-sync of hundreds of tables so many are named.
MOST_TABLES = 10


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
    at_most: timedelta | None = None
    start_timeout: timedelta = DEFAULT_START_TIMEOUT
    reschedule_wait: timedelta | None = None
    poll_frequency: timedelta | None = None
    maybe_started: bool = False
    """An earlier try of the task, of which nothing is known, may have started it already: a sync that runs and may
    be that one is never stopped, and none is started after it."""

    scope_is_checked: bool = False
    """The tables of ``scope`` were found in the schema configuration, when this order was begun."""
    patience: timedelta | None = None
    """For how long to go on looking at the connection, before anything is started, while Fivetran cannot be
    reached; two minutes if it is not said."""
    resumable: bool = False
    """A later try of the task finds what this one has kept: what cannot be told now can be looked for then."""

    @property
    def what(self) -> str:
        """What is to be started, in words for the log."""
        if not self.resync:
            return "a sync"
        if self.scope is None:
            return "a re-sync of everything"
        tables = [f"{schema}.{table}" for schema, names in self.scope.items() for table in names]
        more = f" and {len(tables) - MOST_TABLES} more" if len(tables) > MOST_TABLES else ""
        return f"a re-sync of {', '.join(tables[:MOST_TABLES])}{more}"

    def __post_init__(self) -> None:
        """Refuse a policy that does not exist, which would otherwise be taken for the last one that does.

        :raises ValueError: it names the argument, the value and what is allowed.
        """
        for name, allowed in POLICIES.items():
            value = getattr(self, name)
            if value not in allowed and not (name == "schedule_type" and value is None):
                raise ValueError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")


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
