"""The trigger that waits in the triggerer until somebody has authorised a connection. It only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.setup_watch import SetupTicket, watch_setup
from airflow_provider_fivetran.trigger_waiting import WaitingTrigger

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.errors import Facts

__all__ = ["FivetranSetupTrigger"]


class FivetranSetupTrigger(WaitingTrigger):
    """Waits until the setup of a connection is complete, and then sends exactly one event.

    Its arguments are those of :class:`~airflow_provider_fivetran.trigger_waiting.WaitingTrigger`; ``ticket`` is
    written by :meth:`airflow_provider_fivetran.core.setup_watch.SetupTicket.to_json`.
    """

    async def _event(self) -> dict[str, Any]:
        return (await self._drive(watch_setup(SetupTicket.from_json(self.ticket), utcnow))).to_event()

    def _about(self) -> Facts:
        named = self.ticket.get("connection_id")
        return {"connection_id": named, "link": dashboard_link(named)} if isinstance(named, str) else {}

    def _has_something_to_do(self) -> bool:
        return False

    async def _see_to(self, state: str | None) -> None:
        """Nothing was started, so nothing is to be stopped."""
