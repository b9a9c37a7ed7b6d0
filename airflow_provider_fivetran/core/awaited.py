"""What is awaited, of whatever kind: when it was asked for, by which clock, and until when.

A ticket is taken before something is started, and is the only thing that travels: between tasks, and into a
trigger's arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEFAULT_START_TIMEOUT", "DEFAULT_TIMEOUT", "HISTORICAL_TIMEOUT", "Aim", "Awaited", "limit_of"]

DEFAULT_TIMEOUT = timedelta(hours=24)
HISTORICAL_TIMEOUT = timedelta(days=7)
DEFAULT_START_TIMEOUT = timedelta(hours=1)
USUAL_START = timedelta(minutes=1)


class Aim(StrEnum):
    """Which sync, or which run of a transformation, a ticket stands for."""

    TRIGGERED = "triggered"
    """The one that our trigger starts: it begins after the ticket was taken."""
    RUNNING = "running"
    """The one that was running when the ticket was taken."""
    NEXT_END = "next_end"
    """The first to end after the ticket was taken, whoever started it."""
    SUCCESS_AFTER = "success_after"
    """Any that ends well at or after the time of the ticket; a failure since then ends the wait badly."""


def limit_of(timeout: timedelta | None, at_most: timedelta | None, *, historical: bool = False) -> timedelta:
    """How long a whole wait may take.

    :param timeout: its limit; unset: 24 hours, seven days while Fivetran calls a sync historical.
    :param at_most: what it may not be longer than.
    """
    own = timeout if timeout is not None else HISTORICAL_TIMEOUT if historical else DEFAULT_TIMEOUT
    return own if at_most is None else min(own, at_most)


def _read_span(value: float) -> timedelta:
    return timedelta(seconds=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited(ABC):
    """What is awaited, by the facts found just before.

    Two clocks are kept apart. Fivetran's own (the ``Date`` header) dates the ticket, for its timestamps are
    compared with it. Ours dates the beginning of the wait, for deadlines are measured with it.
    """

    readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "aim": Aim,
        "taken_at": read_moment,
        "begun_at": read_moment,
        "asked_at": read_moment,
        "triggered_at": read_moment,
        "timeout": _read_span,
        "at_most": _read_span,
        "start_timeout": _read_span,
        "poll_frequency": _read_span,
    }
    """How to read those fields back that JSON has no form of its own for."""

    aim: Aim
    taken_at: datetime
    """By Fivetran's clock, rounded down to the second."""
    by_our_clock: bool = False
    """``taken_at`` is still by our clock: the first answer of Fivetran will tell the difference."""
    begun_at: datetime
    """By our clock: the deadlines count from here, and go on counting when a ticket is taken anew."""
    asked_at: datetime
    """By our clock, at the same moment as ``taken_at``."""
    triggered_at: datetime | None = None
    """By Fivetran's clock, rounded down to the second: when it answered our trigger."""
    timeout: timedelta | None = None
    """The whole wait; unset: 24 hours, seven days while Fivetran calls a sync historical."""
    at_most: timedelta | None = None
    """The whole wait is over after this too, where that comes first: a task's ``execution_timeout``."""
    start_timeout: timedelta = DEFAULT_START_TIMEOUT
    """Within this an accepted trigger must show itself."""
    poll_frequency: timedelta | None = None
    """Never look more often than this; unset: chosen."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the log calls that which is awaited."""

    @property
    def is_of_one_sync(self) -> bool:
        """Whether it stands for one certain sync or run, as a task's does, or for any that fits, as a sensor's."""
        return self.aim in {Aim.TRIGGERED, Aim.RUNNING}

    def server_clock(self, now: datetime) -> datetime:
        """What Fivetran's clock shows when ours shows ``now``."""
        return now + (self.taken_at - self.asked_at)

    def our_clock(self, moment: datetime) -> datetime:
        """What our clock shows when Fivetran's shows ``moment``."""
        return moment - (self.taken_at - self.asked_at)

    def corrected(self, server_time: datetime | None, now: datetime) -> Self:
        """The ticket by Fivetran's clock, once an answer has shown what that is.

        :param server_time: Fivetran's clock in the answer.
        :param now: our clock at the same moment.
        """
        if not self.by_our_clock or server_time is None:
            return self
        return replace(self, taken_at=self.taken_at + (server_time - now), by_our_clock=False)

    def deadline(self) -> datetime:
        """When the whole wait is over, by our clock."""
        return self.begun_at + limit_of(self.timeout, self.at_most)

    @property
    def start_deadline(self) -> datetime:
        """Until when a trigger must have shown itself, by our clock."""
        return self.our_clock(self.triggered_at or self.taken_at) + self.start_timeout

    @property
    def shows_by(self) -> datetime:
        """When a sync that was triggered has usually shown itself, by our clock."""
        return self.our_clock(self.triggered_at or self.taken_at) + USUAL_START

    def to_json(self) -> dict[str, Any]:
        """Write the ticket as plain JSON; fields without a value are left out."""
        return {
            field.name: _write(value)
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        Fields of a newer version are ignored, so that a wait survives an upgrade and a downgrade.

        :raises ValueError: a field that every version needs is missing or wrong.
        """
        try:
            names = [field.name for field in fields(cls)]
            given = {name: data[name] for name in names if data.get(name) is not None}
            return cls(**{name: cls.readers.get(name, _same)(value) for name, value in given.items()})
        except (AttributeError, OverflowError, TypeError) as error:
            raise ValueError(f"this is not a ticket: {error}") from None

    def but(self, **changes: Any) -> Self:
        """The same ticket with some fields changed."""
        return replace(self, **changes)


def _write(value: Any) -> Any:
    if isinstance(value, datetime):
        return write_moment(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, Aim) else value


def _same(value: Any) -> Any:
    return value
