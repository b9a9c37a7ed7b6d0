"""The one event of a trigger, written by the triggerer and read by the worker that resumes.

An event crossed a database and maybe an upgrade, so it is read as input from outside: what is not understood is
an error, never a success.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

from airflow_provider_fivetran.core import errors
from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.verdicts import (
    Cancelled,
    Ended,
    Failed,
    Gone,
    NeverStarted,
    Paused,
    Rescheduled,
    Succeeded,
    SyncRecord,
    TimedOut,
    TriggerAgain,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_fivetran.core.verdicts import (
        Final,
    )

__all__ = ["BrokenOff", "error_of", "read_event", "write_event"]

T = TypeVar("T")

_ENDED: Mapping[str, type[Final]] = {
    kind.__name__: kind
    for kind in (Succeeded, Failed, Cancelled, Rescheduled, Paused, Gone, NeverStarted, TimedOut)
}
_STATUSES: Mapping[str, str] = {
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Cancelled": "cancelled",
    "Rescheduled": "rescheduled",
    "Paused": "paused",
    "Gone": "gone",
    "NeverStarted": "never_started",
    "TimedOut": "timed_out",
}


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """The wait itself failed: what became of the sync is not known."""

    error: errors.FivetranError


def error_of(ended: Final) -> errors.FivetranError | None:
    """The error that an end of a wait means for a task; ``None`` for a success."""
    kind: type[errors.FivetranError]
    about: errors.Facts = {"connection_id": ended.record.connection_id, "link": ended.record.link}
    match ended:
        case Succeeded():
            return None
        case Failed():
            kind = errors.FivetranSyncFailed
        case Cancelled():
            kind = errors.FivetranSyncCancelled
        case Rescheduled():
            return errors.FivetranSyncRescheduled(
                ended.message, rescheduled_for=ended.record.rescheduled_for, **about
            )
        case Paused():
            kind = errors.FivetranConnectionPaused
        case Gone():
            kind = errors.FivetranConnectionDeleted
        case NeverStarted():
            kind = errors.FivetranSyncNeverStarted
        case TimedOut():
            kind = errors.FivetranSyncTimeout
        case _:
            assert_never(ended)
    return kind(ended.message, **about)


def write_event(outcome: Final | TriggerAgain | BrokenOff) -> dict[str, Any]:
    """Write the end of a wait as plain JSON."""
    match outcome:
        case Ended():
            return {
                "verdict": type(outcome).__name__,
                "record": outcome.record.to_json(),
                "message": outcome.message,
            }
        case TriggerAgain():
            announced = outcome.announced and write_moment(outcome.announced)
            return {"verdict": "TriggerAgain", "announced": announced, "message": outcome.message}
        case BrokenOff():
            error = outcome.error
            known = {name: value for name, value in vars(error).items() if name in _FACTS}
            return {
                "verdict": "BrokenOff",
                "error": type(error).__name__,
                "message": str(error),
                **{name: _plain(value) for name, value in known.items() if value is not None},
            }


def read_event(event: object) -> Final | TriggerAgain | BrokenOff:
    """Read what :func:`write_event` wrote.

    :raises FivetranUnexpectedAnswer: the event is something else.
    """
    try:
        return _read_event(event)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise errors.FivetranUnexpectedAnswer(
            f"the trigger sent an event that this version does not understand: {str(event)[:300]}"
        ) from error


def _read_event(event: object) -> Final | TriggerAgain | BrokenOff:
    if not isinstance(event, Mapping):
        raise TypeError("an event is a mapping")
    verdict = event["verdict"]
    if verdict == "TriggerAgain":
        announced = event.get("announced")
        return TriggerAgain(read_moment(announced) if announced else None, str(event["message"]))
    if verdict == "BrokenOff":
        return BrokenOff(_read_error(event))
    record = SyncRecord.from_json(event["record"])
    if record.status != _STATUSES[verdict]:
        raise ValueError("an event and its record say the same")
    return _ENDED[verdict](record, str(event["message"]))


def _read_error(event: Mapping[str, Any]) -> errors.FivetranError:
    kind = getattr(errors, str(event["error"]), errors.FivetranError)
    if not (isinstance(kind, type) and issubclass(kind, errors.FivetranError)):
        raise TypeError("an event carries an error of this package")
    error = kind(str(event["message"]))
    for name, read in _FACTS.items():
        if hasattr(error, name) and event.get(name) is not None:
            setattr(error, name, read(event[name]))
    return error


def _plain(value: object) -> object:
    return write_moment(value) if isinstance(value, datetime) else value


def _number(value: object) -> float:
    number = float(value) if isinstance(value, (int, float)) else math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number of seconds")
    return number


def _only(kind: type[T]) -> Callable[[object], T]:
    def read(value: object) -> T:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r} is not what an error of this package knows")
        return value

    return read


# All that an error of this package may know besides its message, and how to read it. An event of an older version
# has less.
_FACTS: Mapping[str, Callable[[Any], object]] = {
    "status": _only(int),
    "code": _only(str),
    "connection_id": _only(str),
    "link": _only(str),
    "transformation_id": _only(str),
    "retry_after": _number,
    "maybe_received": _only(bool),
    "rescheduled_for": read_moment,
}
