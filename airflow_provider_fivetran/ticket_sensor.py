"""What the sensors of syncs and of transformations share: a ticket, and its wait in each of the three modes."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, XComArg

from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    deferrable_of,
    span_of,
)
from airflow_provider_fivetran.clock import beyond, utcnow
from airflow_provider_fivetran.core.moments import read_after
from airflow_provider_fivetran.fivetran_task import FivetranTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_fivetran.core.awaited import Awaited
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["TicketSensor"]

NO_TIME_YET = datetime.fromtimestamp(0, UTC)


class TicketSensor(FivetranTask, BaseSensorOperator):
    """A sensor that takes a ticket when it first looks. What the ticket is of, each kind says itself."""

    ui_color = "#e6f0ff"

    def __init__(
        self,
        *,
        fivetran_conn_id: str,
        poke_interval: float | timedelta | None,
        completed_after_time: str | datetime | None,
        fivetran_retry_limit: int,
        fivetran_retry_delay: float,
        deferrable: bool | None,
        **kwargs: Any,
    ) -> None:
        chosen = span_of("poke_interval", poke_interval, least=SHORTEST_POLL)
        if chosen is not None:
            kwargs["poke_interval"] = chosen.total_seconds()
        super().__init__(**kwargs)
        self.fivetran_conn_id = fivetran_conn_id
        self.completed_after_time = completed_after_time
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self.deferrable = deferrable_of(deferrable)
        self._check_way_to_fivetran()
        if not isinstance(completed_after_time, XComArg) and "{" not in str(completed_after_time):
            read_after(completed_after_time)
        self._frequency = chosen
        self._ticket: Awaited | None = None

    def execute(self, context: Context) -> Any:
        """Look, and look again: in this worker, in a later one, or in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        done = self.poke(context)
        if not isinstance(done, PokeReturnValue):
            ticket = self._ticket
            assert ticket is not None  # noqa: S101  # poke took it
            self.defer(
                trigger=self._trigger_class()(
                    ticket=ticket.to_json(),
                    fivetran_conn_id=self.fivetran_conn_id,
                    retry_limit=self.fivetran_retry_limit,
                    retry_delay=self.fivetran_retry_delay,
                ),
                method_name="execute_complete",
                timeout=beyond(ticket.deadline()),
            )
        return done.xcom_value

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from airflow_provider_fivetran.raising import as_airflow_promises

        now = utcnow()
        with as_airflow_promises(self), self._hook() as hook:
            if self._ticket is None:
                self._ticket = self._take_ticket(context, self._find(context, hook), now)
            # A key that is refused at the very first look was put there wrong; later, somebody is replacing it.
            is_first = self._ticket.begun_at == now
            outcome = hook.carry_out_to_pause(self._watch(self._ticket, key_has_worked=not is_first))
            return False if outcome is None else PokeReturnValue(True, self._conclude(context, outcome))

    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def _take_ticket(self, context: Context, found: str, now: datetime) -> Awaited:
        from airflow_provider_fivetran.core.sensing import sensed_from
        from airflow_provider_fivetran.rescheduling import began_at

        # In reschedule mode it began in another process.
        began = began_at(context, now) if self.reschedule else now
        return sensed_from(self._undated(found), began, read_after(self.completed_after_time))

    def _in_any_ticket(self) -> dict[str, Any]:
        from airflow_provider_fivetran.core.awaited import Aim

        return {
            "aim": Aim.NEXT_END,
            "taken_at": NO_TIME_YET,
            "asked_at": NO_TIME_YET,
            "begun_at": NO_TIME_YET,
            "timeout": timedelta(seconds=self.timeout),
            "poll_frequency": self._frequency,
        }

    # --- what each kind says itself -----------------------------------------------------------------------

    @abstractmethod
    def _find(self, context: Context, hook: FivetranHook) -> str:
        """The id of what is waited for; a link to it shows from now on."""

    @abstractmethod
    def _undated(self, found: str) -> Awaited:
        """All of a ticket for that id that does not depend on when the sensor began."""

    @abstractmethod
    def _watch(self, ticket: Any, *, key_has_worked: bool) -> Procedure[Any]:
        """How to wait for what the ticket stands for."""

    @abstractmethod
    def _trigger_class(self) -> Callable[..., BaseTrigger]:
        """What does that in the triggerer."""

    @abstractmethod
    def _conclude(self, context: Context, outcome: Any) -> str | None:
        """Push the record, and return when it ended, or raise why it did not end well."""
