"""What a task that sets a connection up notes for its next try: that setup tests are still to be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.ensuring import Untested
from airflow_provider_fivetran.operators.memory import Notes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

__all__ = ["NotedUntested", "SetupMemo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupMemo:
    """Of which connection the setup tests are still to be run."""

    connection_id: str
    ended: None = None

    @property
    def about(self) -> Mapping[str, str]:
        return {"connection_id": self.connection_id}

    def to_json(self) -> dict[str, Any]:
        return {"connection_id": self.connection_id}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SetupMemo:
        """Read what :meth:`to_json` wrote.

        :raises KeyError: it is something else.
        """
        return cls(connection_id=str(data["connection_id"]))


class NotedUntested(Untested):
    """Keeps it in the task state store, where Airflow has one; else nothing outlives a try."""

    def __init__(self, context: Context, retries: int | None) -> None:
        self._notes = Notes(context, retries, SetupMemo.from_json)

    def recall(self) -> str | None:
        recalled = self._notes.recall() if self._notes.lasts else None
        return None if recalled is None else recalled.memo.connection_id

    def keep(self, connection_id: str) -> None:
        self._notes.keep(SetupMemo(connection_id=connection_id))

    def forget(self) -> None:
        self._notes.forget()
