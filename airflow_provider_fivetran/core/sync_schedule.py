"""When Fivetran syncs a connection by itself: never, every so many minutes, by cron, or at a time of day.

Source: ``sync_frequency``, ``daily_sync_time``, ``schedule_type`` (operation ``modify_connection``) and the schema
``ConnectorSchedule`` of Fivetran's definition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["A_DAY", "DAYS", "FREQUENCIES", "SyncSchedule", "cron_of", "days_of"]

Json = Mapping[str, Any]

FREQUENCIES = (1, 5, 15, 30, 60, 120, 180, 360, 480, 720, 1440)
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
A_DAY = 1440
CRON_FIELDS = 5
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ALLOWED = (
    "'manual', {'interval': minutes}, {'cron': '0 6 * * 1-5'}, {'time_of_day': '06:00'} and "
    "{'time_of_day': '06:00', 'days_of_week': ['MONDAY']}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSchedule:
    """One schedule. Times are in UTC."""

    kind: Literal["manual", "interval", "cron", "time_of_day"]
    interval: int = 0
    """Minutes between two syncs."""
    cron: str = ""
    time_of_day: str = ""
    days: tuple[str, ...] = ()
    """Of the week; none is every day."""

    @classmethod
    def of(cls, value: object) -> SyncSchedule:
        """Read an argument.

        :raises ValueError: it is none of the four kinds; the text lists what is allowed.
        """
        if value == "manual":
            return cls(kind="manual")
        if isinstance(value, timedelta):
            value = {"interval": value}
        if isinstance(value, Mapping):
            for name, read in _READERS.items():
                if name in value:
                    return read(value)
        raise ValueError(f"schedule is {value!r}; allowed are {_ALLOWED}")

    def is_met_by(self, shown: SyncSchedule | None) -> bool:
        """Whether a connection that shows this schedule is synced as is said here.

        Every 1440 minutes is once a day. At what time that is to be is not said with it.
        """
        if self.kind == "interval" and self.interval == A_DAY and shown is not None and not shown.days:
            return shown == self or shown.kind == "time_of_day"
        return self == shown

    @property
    def is_plain(self) -> bool:
        """Whether the fields that every account has can say it: ``sync_frequency`` and ``daily_sync_time``."""
        if self.kind == "time_of_day":
            return not self.days and self.time_of_day.endswith(":00")
        return self.kind != "cron"

    def changes(self, now: SyncSchedule | None = None, *, plainly: bool = True) -> dict[str, Any]:
        """The fields of a change that make it so.

        Only the field ``schedule`` can end what it has begun, for it stands above ``sync_frequency``.

        :param now: what holds so far.
        :param plainly: without that field wherever the others can say it.
        """
        if self.kind == "manual":
            return {"schedule_type": "manual"}
        if not plainly or not self.is_plain or (now is not None and not now.is_plain):
            return {"schedule": self._flexible()}
        if self.kind == "interval":
            return {"schedule_type": "auto", "sync_frequency": self.interval}
        return {"schedule_type": "auto", "sync_frequency": A_DAY, "daily_sync_time": self.time_of_day}

    def _flexible(self) -> dict[str, Any]:
        if self.kind == "interval":
            return {"schedule_type": "INTERVAL", "interval": self.interval}
        if self.kind == "cron":
            return {"schedule_type": "CRON", "cron": self.cron}
        days = list(self.days or DAYS)
        return {"schedule_type": "TIME_OF_DAY", "time_of_day": self.time_of_day, "days_of_week": days}

    def __str__(self) -> str:
        if self.kind == "interval":
            return f"every {self.interval} min"
        if self.kind == "cron":
            return f"cron {self.cron}"
        if self.kind == "time_of_day":
            return f"at {self.time_of_day}" + (f" on {', '.join(self.days)}" if self.days else "")
        return "manual"


def _only(value: Json, *names: str) -> None:
    for name in value:
        if name not in names:
            raise ValueError(
                f"schedule is {dict(value)!r}, in which {name!r} is not allowed beside {names[0]!r}"
            )


def _interval(value: Json) -> SyncSchedule:
    _only(value, "interval")
    given = value["interval"]
    minutes = given / timedelta(minutes=1) if isinstance(given, timedelta) else given
    if isinstance(minutes, bool) or minutes not in FREQUENCIES:
        raise ValueError(
            f"the interval of schedule is {given!r}; allowed are {', '.join(map(str, FREQUENCIES))} minutes"
        )
    return SyncSchedule(kind="interval", interval=int(minutes))


def _cron(value: Json) -> SyncSchedule:
    _only(value, "cron")
    given = value["cron"]
    cron = cron_of(given) if isinstance(given, str) else ""
    if len(cron.split(" ")) != CRON_FIELDS:
        raise ValueError(
            f"the cron of schedule is {given!r}; allowed is one with five fields, as '0 6 * * 1-5'"
        )
    return SyncSchedule(kind="cron", cron=cron)


def _time_of_day(value: Json) -> SyncSchedule:
    _only(value, "time_of_day", "days_of_week")
    given = value["time_of_day"]
    if not isinstance(given, str) or not _TIME.fullmatch(given):
        raise ValueError(
            f"the time_of_day of schedule is {given!r}; allowed is a time such as '06:00', in UTC"
        )
    days = value.get("days_of_week") or ()
    if not isinstance(days, list | tuple) or not {str(day).upper() for day in days} <= set(DAYS):
        raise ValueError(f"the days_of_week of schedule are {days!r}; allowed are {', '.join(DAYS)}")
    return SyncSchedule(kind="time_of_day", time_of_day=given, days=days_of([day.upper() for day in days]))


def cron_of(text: str) -> str:
    """A cron expression with single blanks, as two are compared."""
    return " ".join(text.split())


def days_of(days: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Days as the week has them; all seven are the same as none."""
    known = tuple(day for day in DAYS if day in days)
    return () if len(known) == len(DAYS) else known


_READERS: Mapping[str, Callable[[Json], SyncSchedule]] = {
    "interval": _interval,
    "cron": _cron,
    "time_of_day": _time_of_day,
}
