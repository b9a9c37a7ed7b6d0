"""The trigger that waits for a sync in the triggerer."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import BrokenOff, write_event
from airflow_provider_fivetran.core.ticket import Ticket
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.transport.clock import utcnow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_fivetran.core.protocol import Settings
    from airflow_provider_fivetran.core.steps import Note
    from airflow_provider_fivetran.core.watch import Outcome

__all__ = ["FivetranSyncTrigger"]


class FivetranSyncTrigger(BaseTrigger):
    """Waits until it is decided what became of a sync, and then sends exactly one event.

    All that it is given is plain JSON without secrets. The deadline is in the ticket and absolute, so a
    triggerer that restarts, or hands the wait to another, goes on where the wait was.

    :param ticket: what is awaited, as written by :meth:`airflow_provider_fivetran.core.ticket.Ticket.to_json`.
    :param fivetran_conn_id: id of the Airflow connection.
    :param retry_limit: how often a request is sent at most before it counts as failed.
    :param retry_delay: seconds before the first repetition.
    """

    def __init__(
        self,
        ticket: dict[str, Any],
        fivetran_conn_id: str,
        retry_limit: int = 3,
        retry_delay: float = 1,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ticket = ticket
        self.fivetran_conn_id = fivetran_conn_id
        self.retry_limit = retry_limit
        self.retry_delay = retry_delay

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The import path and the arguments from which Airflow makes this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "ticket": self.ticket,
                "fivetran_conn_id": self.fivetran_conn_id,
                "retry_limit": self.retry_limit,
                "retry_delay": self.retry_delay,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. A failure of the wait itself is sent as an event too, with its kind and its text."""
        try:
            event = write_event(await self._outcome())
        except FivetranError as error:
            event = write_event(BrokenOff(error))
        except ValueError as error:  # an unusable ticket or Airflow connection
            event = write_event(BrokenOff(FivetranError(str(error))))
        yield TriggerEvent(event)

    async def _outcome(self) -> Outcome:
        ticket = Ticket.from_json(self.ticket)
        # Importing aiohttp takes a few tenths of a second, which must not be taken from the triggerer's loop.
        aio = await asyncio.to_thread(import_module, "airflow_provider_fivetran.transport.aio")
        async with aio.AsyncTransport(
            await self._settings(),
            attempts=self.retry_limit,
            pause=self.retry_delay,
            note=self._log_note,
        ) as transport:
            outcome: Outcome = await transport.drive(watch(ticket, utcnow))
            return outcome

    async def _settings(self) -> Settings:
        from airflow.providers.common.compat.connection import (  # noqa: PLC0415
            get_async_connection,
            get_async_extra_dejson,
        )

        conn = await get_async_connection(self.fivetran_conn_id)
        return FivetranHook.settings_of(conn, await get_async_extra_dejson(conn))

    def _log_note(self, note: Note) -> None:
        (self.log.warning if note.is_warning else self.log.info)("%s", note.text)
