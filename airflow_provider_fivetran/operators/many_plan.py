"""What a task that starts many syncs notes of itself for its next try. Of each sync the visit for it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which connections are to be synced. A choice like "those that failed" must not change while they sync."""

    ids: tuple[str, ...]
    request: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for. If the DAG asks for something else at a later try, that is planned anew."""
    begun_at: datetime | None = None
    """When the time of the whole task began, by our clock; ``None``: with the next try."""
    is_done: bool = False
    """The task has done all it had to do."""

    @property
    def ended(self) -> object | None:
        return self.is_done or None

    @property
    def about(self) -> Mapping[str, str]:
        return {"connection_id": self.ids[0]} if self.ids else {}

    def to_json(self) -> dict[str, Any]:
        return {
            "ids": list(self.ids),
            "request": dict(self.request),
            "begun_at": self.begun_at and write_moment(self.begun_at),
            "is_done": self.is_done,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: it is something else.
        """
        try:
            return cls(
                ids=tuple(data["ids"]),
                request=data["request"],
                begun_at=read_moment(data["begun_at"]) if data["begun_at"] else None,
                is_done=data["is_done"] is True,
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is not what a task noted: {error}") from None
