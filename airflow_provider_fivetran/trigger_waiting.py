"""What all triggers share that wait for something: one event, the way to Fivetran, and the end of the task."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import BrokenOff, write_event
from airflow_provider_fivetran.killing import has_ended, state_in_triggerer
from airflow_provider_fivetran.triggerer import kept, keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_fivetran.core.errors import Facts
    from airflow_provider_fivetran.core.steps import Note, Procedure

__all__ = ["WaitingTrigger"]

T = TypeVar("T")


class WaitingTrigger(BaseTrigger):
    """Waits until something is decided, and then sends exactly one event.

    All that it is given is plain JSON without secrets. The deadline is in the ticket and absolute, so a
    triggerer that restarts, or hands the wait to another, goes on where the wait was.

    :param ticket: what is awaited, as JSON.
    :param fivetran_conn_id: id of the Airflow connection.
    :param retry_limit: how often a request is sent at most before it counts as failed.
    :param retry_delay: seconds before the first repetition.
    :param when_killed: what to do when a person ends the deferred task.
    :param errand: what the task must remember; it comes back with the event. (``dag.test()`` of Airflow 3.3.2 drops
        the arguments that a task gives to ``defer`` for its own continuation.)
    """

    def __init__(
        self,
        ticket: dict[str, Any],
        fivetran_conn_id: str,
        retry_limit: int = 3,
        retry_delay: float = 1,
        when_killed: str = "leave",
        errand: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ticket = ticket
        self.fivetran_conn_id = fivetran_conn_id
        self.retry_limit = retry_limit
        self.retry_delay = retry_delay
        self.when_killed = when_killed
        self.errand = errand
        self._ending: asyncio.Future[None] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The import path and the arguments from which Airflow makes this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "ticket": self.ticket,
                "fivetran_conn_id": self.fivetran_conn_id,
                "retry_limit": self.retry_limit,
                "retry_delay": self.retry_delay,
                "when_killed": self.when_killed,
                "errand": self.errand,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. A failure of the wait itself is sent as an event too, with its kind and its text."""
        try:
            event = await self._event()
        except FivetranError as error:
            event = write_event(BrokenOff(error))
        except (ValueError, AirflowException) as error:  # an unusable ticket or Airflow connection
            event = write_event(self._broken_off(str(error)))
        except Exception as error:
            # Without an event Airflow would only say that the trigger failed.
            self.log.exception("the wait ended in an error of this program")
            event = write_event(self._broken_off(f"{type(error).__name__}: {error}"))
        yield TriggerEvent(event if self.errand is None else {**event, "errand": self.errand})

    async def on_kill(self) -> None:
        """Do what is wanted if the task is really over (Airflow 3.3 and newer)."""
        if not self._has_something_to_do():
            return
        # The triggerer cancels this method again on each of its rounds, and then forgets this trigger. That must cut
        # off neither the question whether the task is over, which may take seconds, nor what follows from it.
        if self._ending is None:
            self._ending = kept(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        try:
            state = await state_in_triggerer(self.task_instance)
            if has_ended(state):
                await self._see_to(state)
        except Exception:
            self.log.exception(
                "the task was ended, but what it waited for in Fivetran could not be dealt with; look there"
            )

    # --- what each kind of trigger says -------------------------------------------------------------------

    @abstractmethod
    async def _event(self) -> dict[str, Any]:
        """Wait, and write the event."""

    @abstractmethod
    def _about(self) -> Facts:
        """What an error of the wait itself is about."""

    @abstractmethod
    def _has_something_to_do(self) -> bool:
        """Whether the end of the task has to be followed by anything."""

    @abstractmethod
    async def _see_to(self, state: str | None) -> None:
        """Do what has to follow when the task is over, in this state."""

    # ------------------------------------------------------------------------------------------------------

    def _broken_off(self, why: str) -> BrokenOff:
        return BrokenOff(FivetranError(why, **self._about()))

    async def _drive(self, procedure: Procedure[T]) -> T:
        # Importing aiohttp takes a few tenths of a second, which must not be taken from the triggerer's loop.
        aio = await asyncio.to_thread(import_module, "airflow_provider_fivetran.transport.aio")
        async with aio.shared_line(self.fivetran_conn_id, partial(keys_of, self.fivetran_conn_id)) as line:
            transport = aio.AsyncTransport(
                line, attempts=self.retry_limit, pause=self.retry_delay, note=self._log_note
            )
            result: T = await transport.drive(procedure)
            return result

    def _log_note(self, note: Note) -> None:
        (self.log.warning if note.is_warning else self.log.info)("%s", note.text)
