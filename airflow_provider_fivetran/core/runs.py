"""How the wait for a run of a transformation ends: the record, the error that it means, and the trigger's event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_fivetran.core import errors
from airflow_provider_fivetran.core.events import BrokenOff, read_event
from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK
from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["RunEnded", "RunRecord", "RunStatus", "error_of_run", "read_run_event", "write_run_event"]


class RunStatus(StrEnum):
    """What became of a run."""

    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"
    """Fivetran keeps the transformation from running."""
    GONE = "gone"
    """The transformation no longer exists."""
    NEVER_STARTED = "never_started"
    TIMED_OUT = "timed_out"
    STARTED = "started"
    """Nobody waited for its end."""
    SKIPPED = "skipped"
    """A policy said to start none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What became of a run, as it is shown to users (the XCom ``fivetran_transformation``)."""

    transformation_id: str
    status: RunStatus
    name: str | None = None
    """Of the transformation or, of a Quickstart one, of its package; where known."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    link: str = TRANSFORMATIONS_LINK

    @property
    def ended_at_text(self) -> str | None:
        """The end in ISO 8601."""
        return _write(self.ended_at)

    def to_json(self) -> dict[str, Any]:
        """Write the record as plain JSON, with the duration in seconds where both ends are known."""
        duration = self.ended_at - self.started_at if self.ended_at and self.started_at else None
        return {
            **asdict(self),
            "status": str(self.status),
            "started_at": _write(self.started_at),
            "ended_at": self.ended_at_text,
            "duration": duration.total_seconds() if duration is not None else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRecord:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: a field is missing or wrong.
        """
        try:
            given: dict[str, Any] = {name: data[name] for name in ("transformation_id", "link")}
            given |= {name: data[name] for name in ("name", "reason") if data.get(name) is not None}
            if not all(isinstance(text, str) for text in given.values()):
                raise TypeError("it has something else where a text belongs")  # noqa: TRY301
            times = {name: data[name] for name in ("started_at", "ended_at") if data.get(name) is not None}
            given |= {name: read_moment(moment) for name, moment in times.items()}
            return cls(status=RunStatus(data["status"]), **given)
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"this is not the record of a transformation's run: {error}") from None


def _write(moment: datetime | None) -> str | None:
    return None if moment is None else write_moment(moment)


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The wait is over. ``message`` is for people: what happened, when, why, and where to look."""

    record: RunRecord
    message: str
    is_good: bool = False
    """A success, also one in part where that is enough."""


def error_of_run(ended: RunEnded) -> errors.FivetranError | None:
    """The error that an end of a wait means for a task; ``None`` for a success."""
    if ended.is_good:
        return None
    kind: type[errors.FivetranError]
    match ended.record.status:
        case RunStatus.SUCCEEDED | RunStatus.PARTIALLY_SUCCEEDED | RunStatus.FAILED:
            kind = errors.FivetranTransformationFailed
        case RunStatus.CANCELLED:
            kind = errors.FivetranTransformationCancelled
        case RunStatus.BLOCKED:
            kind = errors.FivetranTransformationBlocked
        case RunStatus.GONE:
            kind = errors.FivetranTransformationDeleted
        case RunStatus.NEVER_STARTED:
            kind = errors.FivetranTransformationNeverStarted
        case RunStatus.TIMED_OUT:
            kind = errors.FivetranTransformationTimeout
        case RunStatus.STARTED | RunStatus.SKIPPED:
            kind = errors.FivetranTransformationError
        case unknown:
            assert_never(unknown)
    return kind(ended.message, transformation_id=ended.record.transformation_id, link=ended.record.link)


def write_run_event(ended: RunEnded) -> dict[str, Any]:
    """Write the end of a wait as plain JSON."""
    return {
        "verdict": "RunEnded",
        "record": ended.record.to_json(),
        "message": ended.message,
        "is_good": ended.is_good,
    }


def read_run_event(event: object) -> RunEnded | BrokenOff:
    """Read what :func:`write_run_event` wrote, or how a wait broke off.

    :raises FivetranUnexpectedAnswer: the event is something else.
    """
    if not isinstance(event, Mapping) or event.get("verdict") != "RunEnded":
        outcome = read_event(event)
        if isinstance(outcome, BrokenOff):
            return outcome
        raise _not_understood(event)
    try:
        record = RunRecord.from_json(event["record"])
        message, is_good = event["message"], event["is_good"]
    except (KeyError, TypeError, ValueError) as error:
        raise _not_understood(event) from error
    may_be_good = record.status in {RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED}
    if not isinstance(message, str) or not isinstance(is_good, bool) or (is_good and not may_be_good):
        raise _not_understood(event)
    return RunEnded(record, message, is_good)


def _not_understood(event: object) -> errors.FivetranUnexpectedAnswer:
    return errors.FivetranUnexpectedAnswer(
        f"the trigger sent an event that this version does not understand: {str(event)[:300]}"
    )
