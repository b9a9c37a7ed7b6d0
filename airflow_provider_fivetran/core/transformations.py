"""A transformation (dbt Core or Quickstart), as Fivetran shows it.

Source: Fivetran's REST API definition, schemas ``TransformationResponse`` and the two
``..._transformation_config_response_V1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.fields import flag, maybe_moment, maybe_text, section, text, texts
from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Transformation"]

_BEING_CANCELLED = "terminating"
_ACTIVE = frozenset({"scheduling", "running", _BEING_CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """A transformation, and what is known of its last run: Fivetran gives runs no id, and keeps no history."""

    id: str
    status: str
    """Fivetran's word in lower case: ``new``, ``scheduling``, ``running``, ``terminating``, ``succeeded``,
    ``partially_succeeded``, ``failed``, ``canceled``, ``blocked``; or a newer one."""
    type: str = ""
    """``DBT_CORE`` or ``QUICKSTART``."""
    name: str = ""
    """Of a dbt Core transformation its name, of a Quickstart transformation that of its package."""
    paused: bool = False
    started_at: datetime | None = None
    """When the last run began (``last_started_at``)."""
    ended_at: datetime | None = None
    """When the last run to end did so (``last_ended_at``)."""
    output_models: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Transformation:
        config = section(data, "transformation_config")
        return cls(
            id=text(data, "id"),
            status=text(data, "status").lower(),
            type=maybe_text(data, "type") or "",
            name=maybe_text(config, "name") or maybe_text(config, "package_name") or "",
            paused=flag(data, "paused"),
            started_at=maybe_moment(data, "last_started_at"),
            ended_at=maybe_moment(data, "last_ended_at"),
            output_models=texts(data, "output_model_names"),
        )

    @property
    def link(self) -> str:
        """Where to look in the Fivetran dashboard."""
        return TRANSFORMATIONS_LINK

    @property
    def is_active(self) -> bool:
        """Whether a run is under way, from its acceptance to its end."""
        return self.status in _ACTIVE

    @property
    def is_being_cancelled(self) -> bool:
        """Whether the run under way was told to stop."""
        return self.status == _BEING_CANCELLED
