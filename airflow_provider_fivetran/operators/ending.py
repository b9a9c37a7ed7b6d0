"""The second visit of most tasks: the sync has ended well, and there is nothing else to do.

So it loads and asks no more than it must: no hook, nothing of HTTP, and of Airflow's task state store only that it
keeps the end, for a worker that dies before Airflow has learned of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import read_event
from airflow_provider_fivetran.core.verdicts import Succeeded
from airflow_provider_fivetran.links import RECORD_XCOM
from airflow_provider_fivetran.operators.errand import Errand
from airflow_provider_fivetran.operators.memory import Memo, Memory

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.operators.sync import FivetranOperator

__all__ = ["GoodEnd"]


@dataclass(frozen=True, slots=True)
class GoodEnd:
    """The end of a task that has nothing left to do."""

    errand: Errand
    wanted: Mapping[str, Any]
    outcome: Succeeded

    @classmethod
    def of(cls, event: object) -> GoodEnd | None:
        """What the trigger sent, if it is such an end."""
        try:
            errand, outcome = Errand.from_event(event), read_event(event)
        except FivetranError:
            return None
        if not isinstance(outcome, Succeeded) or not errand.is_done_with_its_sync:
            return None
        wanted = event["errand"].get("wanted") if isinstance(event, Mapping) else None
        if not isinstance(wanted, Mapping) or not wanted:  # sent by a trigger of an earlier version
            return None
        return cls(errand, wanted, outcome)

    def conclude(self, task: FivetranOperator, context: Context) -> str | None:
        """Leave the record, and return what the task returns."""
        record, value = self.outcome.record, self.outcome.record.ended_at_text
        context["ti"].xcom_push(key=RECORD_XCOM, value=record.to_json())
        task.log.info("%s", self.outcome.message)
        Memory(context, task.retries).keep(
            Memo(errand=self.errand, wanted=self.wanted, ended=record, value=value)
        )
        return value
