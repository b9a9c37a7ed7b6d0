"""The ticket: what is awaited.

It is taken before a sync is triggered, and is the only thing that travels: between tasks, and into a trigger's
arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_fivetran.core.models import Connection

__all__ = ["DEFAULT_START_TIMEOUT", "DEFAULT_TIMEOUT", "HISTORICAL_TIMEOUT", "Aim", "Ticket"]

DEFAULT_TIMEOUT = timedelta(hours=24)
HISTORICAL_TIMEOUT = timedelta(days=7)
DEFAULT_START_TIMEOUT = timedelta(hours=1)
USUAL_START = timedelta(minutes=1)


class Aim(StrEnum):
    """Which sync a ticket stands for."""

    TRIGGERED = "triggered"
    """The one that our trigger starts: it begins after the ticket was taken."""
    RUNNING = "running"
    """The one that was running when the ticket was taken."""
    NEXT_END = "next_end"
    """The first to end after the ticket was taken, whoever started it."""
    SUCCESS_AFTER = "success_after"
    """Any that ends well at or after the time of the ticket; a failure since then ends the wait badly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What is awaited, by the facts found just before.

    Two clocks are kept apart. Fivetran's own (the ``Date`` header) dates the ticket, for its timestamps are
    compared with it. Ours dates the beginning of the wait, for deadlines are measured with it.
    """

    connection_id: str
    group_id: str = ""
    """The group of the connection, where known; empty otherwise."""
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
    sync_state: str = ""
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    rescheduled_for: datetime | None = None
    historical: bool = False
    """Whether a historical sync is awaited, which may take days."""
    was_historical: bool = False
    """Fivetran called the connection's next sync historical when the ticket was taken."""
    until_not_historical: bool = False
    """A re-sync of everything is awaited: a sync that ends while Fivetran still calls the next one historical is
    not it."""
    other_sync_id: str | None = None
    """A sync that ran when the ticket was taken and is *not* the awaited one."""
    timeout: timedelta | None = None
    """The whole wait; unset: 24 hours, seven days while Fivetran calls the sync historical."""
    start_timeout: timedelta = DEFAULT_START_TIMEOUT
    """Within this an accepted trigger must show itself."""
    fail_when_rescheduled: bool = False
    reschedule_wait: timedelta | None = None
    """After a put-off wait so long instead of until the time that Fivetran announces."""
    poll_frequency: timedelta | None = None
    """Never look more often than this; unset: chosen."""
    wait_while_syncing: bool = False
    """Do not accept an end while another sync is running already (sensors)."""
    older_failures_count: bool = False
    """A failure that is newer than every success ends the wait even if it is older than the ticket (sensors)."""

    @classmethod
    def of(
        cls,
        connection: Connection,
        *,
        aim: Aim,
        taken_at: datetime,
        now: datetime,
        begun_at: datetime | None = None,
        **policies: Any,
    ) -> Ticket:
        """Take a ticket from what was found.

        :param taken_at: Fivetran's clock when it was found.
        :param now: our clock when it was found.
        :param begun_at: when the whole wait began, if not now.
        :param policies: the remaining fields.
        """
        historical = policies.pop("historical", False) or connection.status.is_historical
        return cls(
            connection_id=connection.id,
            group_id=connection.group_id,
            aim=aim,
            taken_at=taken_at,
            begun_at=begun_at or now,
            asked_at=now,
            sync_state=connection.status.sync_state,
            succeeded_at=connection.succeeded_at,
            failed_at=connection.failed_at,
            rescheduled_for=connection.status.rescheduled_for,
            historical=historical,
            **policies,
        )

    @property
    def link(self) -> str:
        """Where to look in the Fivetran dashboard."""
        return dashboard_link(self.connection_id)

    @property
    def is_of_one_sync(self) -> bool:
        """Whether it stands for one certain sync, as a task's does, or for any that fits, as a sensor's does."""
        return self.aim in {Aim.TRIGGERED, Aim.RUNNING}

    @property
    def latest_end(self) -> datetime | None:
        """The end of the newest sync that had ended before the ticket was taken."""
        known = [moment for moment in (self.succeeded_at, self.failed_at) if moment is not None]
        return max(known, default=None)

    @property
    def after_all_earlier(self) -> datetime:
        """A time after every end that had been when the ticket was taken, and before the end that it stands for."""
        latest = self.latest_end
        return self.taken_at if latest is None else max(self.taken_at, latest + timedelta(microseconds=1))

    def server_clock(self, now: datetime) -> datetime:
        """What Fivetran's clock shows when ours shows ``now``."""
        return now + (self.taken_at - self.asked_at)

    def our_clock(self, moment: datetime) -> datetime:
        """What our clock shows when Fivetran's shows ``moment``."""
        return moment - (self.taken_at - self.asked_at)

    def corrected(self, server_time: datetime | None, now: datetime) -> Ticket:
        """The ticket by Fivetran's clock, once an answer has shown what that is.

        :param server_time: Fivetran's clock in the answer.
        :param now: our clock at the same moment.
        """
        if not self.by_our_clock or server_time is None:
            return self
        return replace(self, taken_at=self.taken_at + (server_time - now), by_our_clock=False)

    def deadline(self, *, historical: bool = False) -> datetime:
        """When the whole wait is over, by our clock."""
        if self.timeout is not None:
            return self.begun_at + self.timeout
        long = historical or self.historical
        return self.begun_at + (HISTORICAL_TIMEOUT if long else DEFAULT_TIMEOUT)

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
    def from_json(cls, data: Mapping[str, Any]) -> Ticket:
        """Read what :meth:`to_json` wrote.

        Fields of a newer version are ignored, so that a wait survives an upgrade and a downgrade.

        :raises ValueError: a field that every version needs is missing or wrong.
        """
        try:
            given = {name: data[name] for name in _NAMES if data.get(name) is not None}
            return cls(**{name: _READERS.get(name, _same)(value) for name, value in given.items()})
        except (AttributeError, OverflowError, TypeError) as error:
            raise ValueError(f"this is not a ticket: {error}") from None

    def but(self, **changes: Any) -> Ticket:
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


def _read_span(value: float) -> timedelta:
    return timedelta(seconds=value)


_NAMES = tuple(field.name for field in fields(Ticket))
_READERS: Mapping[str, Any] = {
    "aim": Aim,
    "taken_at": read_moment,
    "begun_at": read_moment,
    "asked_at": read_moment,
    "triggered_at": read_moment,
    "succeeded_at": read_moment,
    "failed_at": read_moment,
    "rescheduled_for": read_moment,
    "timeout": _read_span,
    "start_timeout": _read_span,
    "reschedule_wait": _read_span,
    "poll_frequency": _read_span,
}
