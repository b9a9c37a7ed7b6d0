"""What a task that starts many syncs must remember while it is deferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.packing import pack, unpack
from airflow_provider_fivetran.core.setbacks import Setbacks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["ManyErrand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyErrand:
    """It travels through the deferral as plain JSON, also where Airflow's task state store cannot be read."""

    begun_at: datetime | None
    """When the time of the whole task began, by our clock."""
    setbacks: Setbacks
    in_doubt: Mapping[str, Mapping[str, Any]]
    """The syncs of which nobody knows whether their trigger took, as a trigger for each would be given it."""

    def to_json(self) -> dict[str, Any]:
        return {
            **self.setbacks.to_json(),
            "begun_at": self.begun_at and write_moment(self.begun_at),
            "in_doubt": pack(self.in_doubt),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ManyErrand:
        """Read what :meth:`to_json` wrote; what is something else raises one of Python's own errors."""
        return cls(
            begun_at=read_moment(data["begun_at"]) if data["begun_at"] else None,
            setbacks=Setbacks.from_json(data),
            in_doubt=unpack(data["in_doubt"]),
        )
