"""What a task that starts syncs must remember while it is deferred."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.orders import Undo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Errand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Where a task stands: it travels through the deferral as plain JSON."""

    connection_id: str
    begun_at: datetime | None = None
    undo: Undo = field(default_factory=Undo)
    then_start_ours: bool = False

    @property
    def is_done_with_its_sync(self) -> bool:
        """Whether there is nothing left to do once the sync has ended well."""
        return not self.then_start_ours and not self.undo.changes()

    def to_json(self) -> dict[str, Any]:
        return {
            "connection_id": self.connection_id,
            "begun_at": self.begun_at and write_moment(self.begun_at),
            "undo": self.undo.to_json(),
            "then_start_ours": self.then_start_ours,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Errand:
        """Read what :meth:`to_json` wrote; what is something else raises one of Python's own errors."""
        return cls(
            connection_id=str(data["connection_id"]),
            begun_at=read_moment(data["begun_at"]) if data["begun_at"] else None,
            undo=Undo.from_json(data["undo"]),
            then_start_ours=data["then_start_ours"] is True,
        )

    @classmethod
    def from_event(cls, event: object) -> Errand:
        """Read what the trigger brought back.

        :raises FivetranUnexpectedAnswer: there is none in the event.
        """
        try:
            return cls.from_json(event["errand"])  # type: ignore[index]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FivetranUnexpectedAnswer(
                f"the trigger sent an event that this version does not understand: {str(event)[:300]}"
            ) from error
