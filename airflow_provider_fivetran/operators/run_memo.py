"""What a task that runs transformations notes for its next try, and takes along through a deferral."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.run_ticket import RunTicket
from airflow_provider_fivetran.core.runs import RunRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["RunMemo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMemo:
    """Where a task stands with its run."""

    transformation_id: str
    wanted: Mapping[str, Any] = field(default_factory=dict)
    """What must be the same for a later try to go on with it."""
    begun_at: datetime | None = None
    """When the whole wait began, by our clock."""
    ticket: RunTicket | None = None
    """``None``: no run of the task is under way."""
    unanswered: bool = False
    """The trigger may have been sent; how Fivetran answered is not known."""
    then_start_ours: bool = False
    """The run of the ticket is another's, and ours comes after it."""
    expired: bool = False
    """The deadline has passed, and the run was left: a later try has a deadline of its own."""
    ended: RunRecord | None = None
    """The task has done all it had to do, and well."""
    value: str | None = None
    """What it returned then."""

    @property
    def about(self) -> Mapping[str, str]:
        return {"transformation_id": self.transformation_id}

    def from_now(self, now: datetime) -> RunMemo:
        """The same, with all the time for the wait still to come."""
        ticket = self.ticket and self.ticket.but(begun_at=now)
        return replace(self, begun_at=now if ticket else None, ticket=ticket, expired=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "transformation_id": self.transformation_id,
            "wanted": dict(self.wanted),
            "begun_at": self.begun_at and write_moment(self.begun_at),
            "ticket": self.ticket and self.ticket.to_json(),
            "unanswered": self.unanswered,
            "then_start_ours": self.then_start_ours,
            "expired": self.expired,
            "ended": self.ended and self.ended.to_json(),
            "value": self.value,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunMemo:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: it is something else.
        """
        try:
            return cls(
                transformation_id=str(data["transformation_id"]),
                wanted=dict(data["wanted"]),
                begun_at=read_moment(data["begun_at"]) if data["begun_at"] else None,
                ticket=RunTicket.from_json(data["ticket"]) if data["ticket"] else None,
                unanswered=data["unanswered"] is True,
                then_start_ours=data["then_start_ours"] is True,
                expired=data["expired"] is True,
                ended=RunRecord.from_json(data["ended"]) if data["ended"] else None,
                value=data["value"],
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is not what a task noted: {error}") from None

    @classmethod
    def from_event(cls, event: object) -> RunMemo:
        """Read what the trigger brought back.

        :raises FivetranUnexpectedAnswer: there is none in the event.
        """
        try:
            return cls.from_json(event["errand"])  # type: ignore[index]
        except (KeyError, TypeError, ValueError) as error:
            raise FivetranUnexpectedAnswer(
                f"the trigger sent an event that this version does not understand: {str(event)[:300]}"
            ) from error
