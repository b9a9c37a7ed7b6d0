"""The sensor that waits for syncs it did not start. It only reads: it never triggers or changes anything."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    XComArg,
    conf,
)

from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    check_attempts,
    check_delay,
    check_flag,
    check_identified,
    check_text,
    span_of,
)
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError, FivetranSyncTimeout
from airflow_provider_fivetran.core.events import BrokenOff, error_of, read_event
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import read_moment
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.core.verdicts import TriggerAgain
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.links import RECORD_XCOM, FivetranConnectionLink
from airflow_provider_fivetran.raising import failing_at_once_when_pointless
from airflow_provider_fivetran.rescheduling import began_at
from airflow_provider_fivetran.triggers import FivetranSyncTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.verdicts import Final

__all__ = ["FivetranSensor"]

BACKSTOP = timedelta(hours=1)


class FivetranSensor(BaseSensorOperator):
    """Waits for a Fivetran sync to end well, whoever started it.

    Without ``completed_after_time`` it waits for the next sync to end after the sensor began; with it, for any
    success after that time. A sync that fails instead fails the task (or skips it, with ``soft_fail``), and so
    does a connection that is paused or deleted, for then nothing would ever come.

    The return value is the time at which the sync ended, in ISO 8601; the XCom ``fivetran_sync`` holds the whole
    record, as for :class:`~airflow_provider_fivetran.operators.FivetranOperator`.

    :param connector_id: id of the Fivetran connection.
    :param connector_name: name of the connection in the dashboard (its schema name).
    :param destination_name: name of its destination in the dashboard (its group's name).
    :param fivetran_conn_id: id of the Airflow connection.
    :param poke_interval: pause between two looks, a timedelta or seconds. Unset: 60 s; in deferrable mode chosen
        by the age of the wait: 2 s at first, 15 s after a few minutes.
    :param fivetran_retry_limit: how often a request is sent at most.
    :param fivetran_retry_delay: seconds before the first repetition; later pauses grow.
    :param completed_after_time: a datetime, or a text in ISO 8601 (UTC, unless it says otherwise).
    :param reschedule_wait_time: accepted for DAGs that set it; a sensor starts nothing, so there is nothing that
        it could start later.
    :param always_wait_when_syncing: do not succeed while a sync is running.
    :param propagate_failures_forward: with ``completed_after_time``: fail if the last sync failed, even if that
        was before the time.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :raises FivetranSyncError: (one of its kinds) the sync ended badly.
    :raises AirflowSensorTimeout: ``timeout`` passed first.
    :raises AirflowFailException: trying again would change nothing: wrong key, connection paused or deleted, ...
    """

    template_fields: Sequence[str] = (
        "connector_id",
        "connector_name",
        "destination_name",
        "fivetran_conn_id",
        "completed_after_time",
    )
    operator_extra_links = (FivetranConnectionLink(),)
    ui_color = "#e6f0ff"

    def __init__(
        self,
        connector_id: str | None = None,
        connector_name: str | None = None,
        destination_name: str | None = None,
        fivetran_conn_id: str = "fivetran_default",
        poke_interval: float | timedelta | None = None,
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        completed_after_time: str | datetime | None = None,
        reschedule_wait_time: float | timedelta | None = None,
        always_wait_when_syncing: bool = False,
        propagate_failures_forward: bool = False,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        completed_after_time = _renamed(kwargs, "xcom", "completed_after_time", completed_after_time)
        reschedule_wait_time = _renamed(
            kwargs, "reschedule_time", "reschedule_wait_time", reschedule_wait_time
        )
        chosen = span_of("poke_interval", poke_interval, least=SHORTEST_POLL)
        if chosen is not None:
            kwargs["poke_interval"] = chosen.total_seconds()
        super().__init__(**kwargs)
        self.connector_id = connector_id
        self.connector_name = connector_name
        self.destination_name = destination_name
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self.completed_after_time = completed_after_time
        self.reschedule_wait_time = reschedule_wait_time
        self.always_wait_when_syncing = always_wait_when_syncing
        self.propagate_failures_forward = propagate_failures_forward
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False)
            if deferrable is None
            else deferrable
        )
        check_identified(connector_id, connector_name, destination_name)
        check_text("fivetran_conn_id", fivetran_conn_id)
        check_flag("deferrable", deferrable, optional=True)
        check_flag("always_wait_when_syncing", always_wait_when_syncing)
        check_flag("propagate_failures_forward", propagate_failures_forward)
        check_attempts(fivetran_retry_limit)
        check_delay(fivetran_retry_delay)
        if not isinstance(completed_after_time, XComArg) and "{" not in str(completed_after_time):
            _read_after(completed_after_time)
        self._frequency = chosen
        self._ticket: Ticket | None = None

    def execute(self, context: Context) -> Any:
        """Look, and look again: in this worker, in a later one, or in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        done = self.poke(context)
        if not isinstance(done, PokeReturnValue):
            ticket = self._ticket
            assert ticket is not None  # noqa: S101  # poke took it
            self.defer(
                trigger=FivetranSyncTrigger(
                    ticket=ticket.to_json(),
                    fivetran_conn_id=self.fivetran_conn_id,
                    retry_limit=self.fivetran_retry_limit,
                    retry_delay=self.fivetran_retry_delay,
                ),
                method_name="execute_complete",
                timeout=max(ticket.deadline() - utcnow(), timedelta(0)) + BACKSTOP,
            )
        return done.xcom_value

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        now = utcnow()
        with self._airflows_errors(), self._hook() as hook:
            if self._ticket is None:
                connection_id = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
                FivetranConnectionLink.persist(context, dashboard_link(connection_id))
                self._ticket = self._take_ticket(context, connection_id, now)
            # A key that is refused at the very first look was put there wrong; later, somebody is replacing it.
            is_first = self._ticket.begun_at == now
            outcome = hook.carry_out_to_pause(watch(self._ticket, utcnow, key_has_worked=not is_first))
            return False if outcome is None else PokeReturnValue(True, self._conclude(context, outcome))

    def execute_complete(self, context: Context, event: object) -> Any:
        """Go on when the trigger has sent its event."""
        with self._airflows_errors():
            return self._conclude(context, read_event(event))

    # --- its parts ----------------------------------------------------------------------------------------

    def _hook(self) -> FivetranHook:
        return FivetranHook(
            self.fivetran_conn_id,
            fivetran_retry_limit=self.fivetran_retry_limit,
            fivetran_retry_delay=self.fivetran_retry_delay,
        )

    def _take_ticket(self, context: Context, connection_id: str, now: datetime) -> Ticket:
        """The baseline is a time and not a state, so that a later process can find it again."""
        # In reschedule mode it began in another process.
        began = began_at(context, now) if self.reschedule else now
        after = _read_after(self.completed_after_time)
        return Ticket(
            connection_id=connection_id,
            aim=Aim.NEXT_END if after is None else Aim.SUCCESS_AFTER,
            taken_at=began if after is None else after,
            by_our_clock=after is None,
            asked_at=began if after is None else after,
            begun_at=began,
            timeout=timedelta(seconds=self.timeout),
            poll_frequency=self._frequency,
            wait_while_syncing=self.always_wait_when_syncing,
            older_failures_count=self.propagate_failures_forward,
        )

    def _conclude(self, context: Context, outcome: Final | TriggerAgain | BrokenOff) -> str | None:
        if isinstance(outcome, BrokenOff):
            raise outcome.error
        if isinstance(outcome, TriggerAgain):  # only a task that starts syncs is told to start one
            raise FivetranError(outcome.message)
        context["ti"].xcom_push(key=RECORD_XCOM, value=outcome.record.to_json())
        error = error_of(outcome)
        if error is not None:
            raise error
        self.log.info("%s", outcome.message)
        return outcome.record.ended_at_text

    @property
    def _leniency(self) -> str:
        return "soft_fail" if self.soft_fail else "never_fail"

    @contextmanager
    def _airflows_errors(self) -> Iterator[None]:
        """What Airflow promises: ``timeout`` has an error of its own, ``soft_fail`` and ``never_fail`` skip."""
        try:
            with failing_at_once_when_pointless():
                yield
        except FivetranSyncTimeout as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipping because {self._leniency} is set: {error}") from error
            raise AirflowSensorTimeout(str(error)) from error
        except (FivetranError, AirflowFailException) as error:
            if not self.soft_fail and not self.never_fail:
                raise
            raise AirflowSkipException(f"Skipping because {self._leniency} is set: {error}") from error


def _read_after(value: str | datetime | None) -> datetime | None:
    """Read ``completed_after_time``.

    :raises ValueError: it is neither a time nor unset.
    """
    if value is None or value == "":
        return None
    try:
        return read_moment(value.isoformat() if isinstance(value, datetime) else value)
    except (ValueError, TypeError):
        raise ValueError(
            f"completed_after_time is {value!r}; allowed is a datetime or a text such as '2026-11-22T08:00:00Z'"
        ) from None


def _renamed(kwargs: dict[str, Any], old: str, new: str, value: Any) -> Any:
    if old not in kwargs:
        return value
    warnings.warn(f"{old} is deprecated; use {new}", DeprecationWarning, stacklevel=4)
    given = kwargs.pop(old)
    return given if value is None else value
