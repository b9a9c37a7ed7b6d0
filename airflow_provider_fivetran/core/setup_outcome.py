"""What became of a connection that was to be as described, as it is shown to users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_fivetran.core.errors import FivetranNotAsDescribed, FivetranSetupTestFailed

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.differences import Difference
    from airflow_provider_fivetran.core.errors import FivetranError
    from airflow_provider_fivetran.core.models import SetupTest
    from airflow_provider_fivetran.core.setups import Setup

__all__ = ["Action", "SetupOutcome"]

Action = Literal[
    "created",
    "changed",
    "renewed",
    "unchanged",
    "would_create",
    "would_change",
    "would_delete",
    "deleted",
    "absent",
    "refused",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOutcome:
    """What was found, and what was done about it."""

    action: Action
    """``renewed``: nothing differed, and what cannot be compared was sent anew; ``refused``: what differs cannot be
    changed."""
    name: str
    group_id: str
    service: str = ""
    setup: Setup | None = None
    """What Fivetran showed last."""
    differences: tuple[Difference, ...] = ()
    """What was found otherwise than described."""
    unknown: tuple[str, ...] = ()
    """The described fields that cannot be compared."""
    secrets_sent: bool = False
    left: tuple[Difference, ...] = ()
    """What Fivetran shows otherwise after the change too."""
    is_tested: bool = False
    tests: tuple[SetupTest, ...] = ()
    must_not_differ: bool = False

    @property
    def connection_id(self) -> str | None:
        """The id of the connection; ``None`` where there is none, or none any more."""
        return None if self.setup is None or self.action == "deleted" else self.setup.connection.id

    @property
    def link(self) -> str | None:
        """Where it is in the Fivetran dashboard; ``None`` where there is none."""
        return None if self.setup is None else self.setup.connection.link

    @property
    def is_complete(self) -> bool:
        """Whether Fivetran gets into the source."""
        return self.setup is not None and self.setup.connection.status.is_set_up

    @property
    def failure(self) -> FivetranError | None:
        """The error that this is, if it is one."""
        if self.action == "refused":
            fixed = "; ".join(str(d) for d in self.differences if d.is_fixed)
            return self._not_as_described(f"cannot be changed once it is created, so nothing was: {fixed}")
        if self.must_not_differ and self.action != "unchanged":
            return self._not_as_described(self._what_differs())
        if self.left:
            fields = "; ".join(map(str, self.left))
            return self._not_as_described(f"was changed, but Fivetran still shows {fields}")
        if self.is_tested and (not self.is_complete or any(test.has_failed for test in self.tests)):
            failed = "; ".join(str(test) for test in self.tests if test.has_failed)
            state = self.setup.connection.status.setup_state if self.setup is not None else ""
            return FivetranSetupTestFailed(
                f"{self.name} is set up as described, but Fivetran does not get into its source (its setup is "
                f"{state}): {failed or 'no setup test says why'}. {self.link}",
                connection_id=self.connection_id,
                link=self.link,
            )
        return None

    def _what_differs(self) -> str:
        if self.action == "would_create":
            return "does not exist"
        if self.action == "would_delete":
            return "exists, and is to be absent"
        return f"is not as described: {'; '.join(map(str, self.differences))}"

    def _not_as_described(self, what: str) -> FivetranNotAsDescribed:
        link = f" {self.link}" if self.link else ""
        return FivetranNotAsDescribed(
            f"{self.name} in the group {self.group_id} {what}.{link}",
            connection_id=self.connection_id,
            link=self.link,
        )

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON, without any secret."""
        connection = None if self.setup is None else self.setup.connection
        return {
            "connection_id": self.connection_id,
            "connector_name": self.name,
            "group_id": self.group_id,
            "service": self.service or (connection.service if connection else None),
            "action": self.action,
            "differences": [difference.to_json() for difference in self.differences],
            "not_comparable": list(self.unknown),
            "secrets_sent": self.secrets_sent,
            "paused": connection.paused if connection else None,
            "setup_state": connection.status.setup_state if connection else None,
            "setup_tests": [
                {"title": test.title, "status": test.status, "message": test.message} for test in self.tests
            ],
            "link": self.link,
        }

    def __str__(self) -> str:
        id_ = f" ({self.connection_id})" if self.connection_id else ""
        number = len(self.differences)
        count = f", {number} difference{'s' if number > 1 else ''}" if number else ""
        return f"{self.name}{id_}: {self.action.replace('_', ' ')}{count}"
