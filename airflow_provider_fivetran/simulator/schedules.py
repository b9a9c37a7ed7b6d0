"""The schedule of a connection: one that its ``sync_frequency`` says, or one of the flexible kinds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .problems import invalid
from .records import SyncFrequency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .records import Connection

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_FIELDS = {
    "MANUAL": set[str](),
    "INTERVAL": {"interval"},
    "CRON": {"cron"},
    "TIME_OF_DAY": {"time_of_day", "days_of_week"},
}
_CRON_PARTS = 5


def check_schedule(schedule: Mapping[str, Any]) -> None:
    """Refuse what is none of the four kinds."""
    kind = schedule.get("schedule_type")
    if kind not in _FIELDS:
        raise invalid(f"Field 'schedule.schedule_type' is {kind!r}; allowed: {', '.join(_FIELDS)}")
    for name in schedule:
        if name != "schedule_type" and name not in _FIELDS[kind]:
            raise invalid(f"Field 'schedule.{name}' does not belong to {kind}")
    if kind == "INTERVAL" and schedule.get("interval") not in SyncFrequency:
        raise invalid(f"Field 'schedule.interval' is {schedule.get('interval')!r}")
    if kind == "CRON" and len(str(schedule.get("cron", "")).split()) != _CRON_PARTS:
        raise invalid(f"Field 'schedule.cron' is {schedule.get('cron')!r}; allowed: a cron expression")
    if kind == "TIME_OF_DAY":
        _check_time_of_day(schedule)


def _check_time_of_day(schedule: Mapping[str, Any]) -> None:
    if not _TIME.fullmatch(str(schedule.get("time_of_day"))):
        raise invalid(f"Field 'schedule.time_of_day' is {schedule.get('time_of_day')!r}; allowed: HH:MM")
    days = schedule.get("days_of_week", list(DAYS))
    if not isinstance(days, list) or not days or not set(days) <= set(DAYS):
        raise invalid(f"Field 'schedule.days_of_week' is {days!r}; allowed: {', '.join(DAYS)}")


def shape_schedule(connection: Connection) -> dict[str, Any]:
    if connection.schedule_type == "manual":
        return {"schedule_type": "MANUAL"}
    if connection.flexible_schedule:
        return connection.flexible_schedule
    if connection.sync_frequency is None:
        return {"schedule_type": "CRON", "cron": "0 6 * * 1-5"}
    return {"schedule_type": "INTERVAL", "interval": connection.sync_frequency}
