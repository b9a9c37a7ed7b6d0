"""The trigger that waits for a run of a transformation in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK
from airflow_provider_fivetran.core.run_ticket import RunTicket
from airflow_provider_fivetran.core.run_watch import cancel_run, watch_run
from airflow_provider_fivetran.core.runs import write_run_event
from airflow_provider_fivetran.killing import may_be_stopped
from airflow_provider_fivetran.trigger_waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.errors import Facts

__all__ = ["FivetranTransformationTrigger"]


class FivetranTransformationTrigger(WaitingTrigger):
    """Waits until it is decided what became of a run of a transformation, and then sends exactly one event.

    Its arguments are those of :class:`~airflow_provider_fivetran.trigger_waiting.WaitingTrigger`; ``ticket`` is
    written by :meth:`airflow_provider_fivetran.core.run_ticket.RunTicket.to_json`, and ``when_killed`` is
    ``"stop"``: cancel the run when a person ends the deferred task; or ``"leave"``.
    """

    async def _event(self) -> dict[str, Any]:
        ticket = RunTicket.from_json(self.ticket)
        return write_run_event(await self._drive(watch_run(ticket, utcnow)))

    def _about(self) -> Facts:
        named = self.ticket.get("transformation_id")
        return {
            "transformation_id": named if isinstance(named, str) else None,
            "link": TRANSFORMATIONS_LINK,
        }

    def _has_something_to_do(self) -> bool:
        return self.when_killed == "stop"

    async def _see_to(self, state: str | None) -> None:
        if may_be_stopped(state):
            await self._drive(cancel_run(RunTicket.from_json(self.ticket), utcnow))
