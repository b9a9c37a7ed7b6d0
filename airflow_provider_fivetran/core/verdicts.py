"""The verdicts of the one decision, and the record of a sync that comes with those that end a wait."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "AskHistory",
    "Cancelled",
    "Ended",
    "Failed",
    "Final",
    "Gone",
    "NeverStarted",
    "Paused",
    "Rescheduled",
    "Succeeded",
    "SyncRecord",
    "TimedOut",
    "TriggerAgain",
    "Verdict",
    "Waiting",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRecord:
    """What became of a sync, as it is shown to users (the XCom ``fivetran_sync``)."""

    connection_id: str
    status: str
    """``succeeded``, ``failed``, ``cancelled``, ``rescheduled``, ``paused``, ``gone``, ``never_started``,
    ``timed_out``, ``started`` (nobody waited), ``fresh`` (no sync was needed) or ``skipped``."""
    link: str
    sync_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    volume_mb: Mapping[str, float] = field(default_factory=dict)
    """Megabytes per stage, where the sync history tells."""
    reason: str | None = None
    rescheduled_for: datetime | None = None
    """Until when Fivetran put the sync off, where that is the end of the wait and was announced."""

    @property
    def ended_at_text(self) -> str | None:
        """The end in ISO 8601."""
        return _write(self.ended_at)

    def to_json(self) -> dict[str, Any]:
        """Write the record as plain JSON, with the duration in seconds where both ends are known."""
        duration = self.ended_at - self.started_at if self.ended_at and self.started_at else None
        return {
            **asdict(self),
            **{name: _write(getattr(self, name)) for name in _TIMES},
            "duration": duration.total_seconds() if duration is not None else None,
            "volume_mb": dict(self.volume_mb),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SyncRecord:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: a field is missing or wrong.
        """
        try:
            known = {name: data[name] for name in _RECORD_FIELDS if data.get(name) is not None}
            for name in _TIMES:
                if name in known:
                    known[name] = read_moment(known[name])
            record = cls(**known)
        except (AttributeError, OverflowError, TypeError) as error:
            raise ValueError(f"this is not the record of a sync: {error}") from None
        if not all(isinstance(known.get(name, ""), str) for name in _TEXTS):
            raise ValueError("this is not the record of a sync: it has something else where a text belongs")
        return record


def _write(moment: datetime | None) -> str | None:
    return None if moment is None else write_moment(moment)


_RECORD_FIELDS = tuple(field.name for field in fields(SyncRecord))
_TIMES = ("started_at", "ended_at", "rescheduled_for")
_TEXTS = ("connection_id", "status", "link", "sync_id", "reason")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not decided yet: look again at ``until`` (our clock)."""

    until: datetime
    saying: str
    """What is waited for, in words that change only when the situation does."""


@dataclass(frozen=True, slots=True)
class AskHistory:
    """Not decided yet: read the sync history of this time (Fivetran's clock) and ask again."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class TriggerAgain:
    """Fivetran put the sync off, starts nothing by itself under manual scheduling, and its time has come."""

    announced: datetime | None
    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The wait is over. ``message`` is for people: what happened, when, why, and where to look."""

    record: SyncRecord
    message: str


class Succeeded(Ended):
    """The awaited sync ended well."""

    __slots__ = ()


class Failed(Ended):
    """The awaited sync ended badly."""

    __slots__ = ()


class Cancelled(Ended):
    """The awaited sync was stopped before its end."""

    __slots__ = ()


class Rescheduled(Ended):
    """Fivetran put the sync off, and the task is not to wait for that."""

    __slots__ = ()


class Paused(Ended):
    """The connection was paused."""

    __slots__ = ()


class Gone(Ended):
    """The connection no longer exists."""

    __slots__ = ()


class NeverStarted(Ended):
    """The trigger was accepted, but no sync showed itself in time."""

    __slots__ = ()


class TimedOut(Ended):
    """The deadline of the wait passed."""

    __slots__ = ()


Final: TypeAlias = Succeeded | Failed | Cancelled | Rescheduled | Paused | Gone | NeverStarted | TimedOut
Verdict: TypeAlias = Waiting | AskHistory | TriggerAgain | Final
