"""The sensor that waits for runs of transformations it did not start. It only reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, XComArg, conf

from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    check_attempts,
    check_choice,
    check_delay,
    check_flag,
    check_text,
    check_transformation,
    span_of,
)
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.moments import read_after
from airflow_provider_fivetran.core.policies import WhenBlocked, WhenPartiallySucceeded
from airflow_provider_fivetran.links import TRANSFORMATION_XCOM, FivetranTransformationLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.events import BrokenOff
    from airflow_provider_fivetran.core.run_ticket import RunTicket
    from airflow_provider_fivetran.core.runs import RunEnded
    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["FivetranTransformationSensor"]

BACKSTOP = timedelta(hours=1)
NO_TIME_YET = datetime.fromtimestamp(0, UTC)


class FivetranTransformationSensor(BaseSensorOperator):
    """Waits for a run of a Fivetran transformation to end well, whoever started it.

    Without ``completed_after_time`` it waits for the next run to end after the sensor began; with it, for any
    success at or after that time. A run that fails or is cancelled fails the task (or skips it, with ``soft_fail``),
    and so does a transformation that is deleted. Fivetran shows the last run only: where one ends and the next
    begins between two looks, the next is waited for.

    The return value is the time at which the run ended, in ISO 8601; the XCom ``fivetran_transformation`` holds the
    whole record, as for :class:`~airflow_provider_fivetran.operators.FivetranTransformationOperator`.

    :param transformation_id: id of the transformation.
    :param transformation_name: name of a dbt Core transformation, or of the package of a Quickstart one, exactly.
    :param destination_name: name of its destination in the dashboard (its group's name), if the name alone leaves a
        doubt.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param poke_interval: pause between two looks, a timedelta or seconds. Unset: 60 s; in deferrable mode chosen by
        the age of the wait: 2 s at first, 15 s after a few minutes.
    :param completed_after_time: a datetime, or a text in ISO 8601 (UTC, unless it says otherwise).
    :param when_partially_succeeded: Fivetran calls the run ``PARTIALLY_SUCCEEDED``. ``"fail"``; ``"succeed"``.
    :param when_blocked: a run ended as ``BLOCKED``. ``"fail"``; ``"wait"``: for the next.
    :param fivetran_retry_limit: how often a request is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :raises ValueError: an argument is not allowed (when the DAG is parsed).
    :raises FivetranTransformationError: (one of its kinds) the run ended badly.
    :raises AirflowSensorTimeout: ``timeout`` passed first.
    :raises AirflowFailException: trying again would change nothing: wrong key, transformation deleted, ...
    """

    template_fields: Sequence[str] = (
        "transformation_id",
        "transformation_name",
        "destination_name",
        "fivetran_conn_id",
        "completed_after_time",
    )
    operator_extra_links = (FivetranTransformationLink(),)
    ui_color = "#e6f0ff"

    def __init__(
        self,
        transformation_id: str | None = None,
        transformation_name: str | None = None,
        destination_name: str | None = None,
        fivetran_conn_id: str = "fivetran_default",
        *,
        poke_interval: float | timedelta | None = None,
        completed_after_time: str | datetime | None = None,
        when_partially_succeeded: WhenPartiallySucceeded = "fail",
        when_blocked: WhenBlocked = "fail",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        chosen = span_of("poke_interval", poke_interval, least=SHORTEST_POLL)
        if chosen is not None:
            kwargs["poke_interval"] = chosen.total_seconds()
        super().__init__(**kwargs)
        self.transformation_id = transformation_id
        self.transformation_name = transformation_name
        self.destination_name = destination_name
        self.fivetran_conn_id = fivetran_conn_id
        self.completed_after_time = completed_after_time
        self.when_partially_succeeded = when_partially_succeeded
        self.when_blocked = when_blocked
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False)
            if deferrable is None
            else deferrable
        )
        check_transformation(transformation_id, transformation_name, destination_name)
        check_text("fivetran_conn_id", fivetran_conn_id)
        check_choice("when_partially_succeeded", when_partially_succeeded, WhenPartiallySucceeded)
        check_choice("when_blocked", when_blocked, WhenBlocked)
        check_flag("deferrable", deferrable, optional=True)
        check_attempts(fivetran_retry_limit)
        check_delay(fivetran_retry_delay)
        if not isinstance(completed_after_time, XComArg) and "{" not in str(completed_after_time):
            read_after(completed_after_time)
        self._frequency = chosen
        self._ticket: RunTicket | None = None

    def execute(self, context: Context) -> Any:
        """Look, and look again: in this worker, in a later one, or in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        done = self.poke(context)
        if not isinstance(done, PokeReturnValue):
            from airflow_provider_fivetran.triggers import FivetranTransformationTrigger

            ticket = self._ticket
            assert ticket is not None  # noqa: S101  # poke took it
            self.defer(
                trigger=FivetranTransformationTrigger(
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
        from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK
        from airflow_provider_fivetran.core.run_watch import watch_run
        from airflow_provider_fivetran.raising import as_airflow_promises

        now = utcnow()
        with as_airflow_promises(self), self._hook() as hook:
            if self._ticket is None:
                transformation_id = hook.find_transformation_id(
                    self.transformation_id, self.transformation_name, self.destination_name
                )
                FivetranTransformationLink.persist(context, TRANSFORMATIONS_LINK)
                self._ticket = self._take_ticket(context, transformation_id, now)
            # A key that is refused at the very first look was put there wrong; later, somebody is replacing it.
            is_first = self._ticket.begun_at == now
            ended = hook.carry_out_to_pause(watch_run(self._ticket, utcnow, key_has_worked=not is_first))
            return False if ended is None else PokeReturnValue(True, self._conclude(context, ended))

    def execute_complete(self, context: Context, event: object) -> Any:
        """Go on when the trigger has sent its event."""
        from airflow_provider_fivetran.core.runs import read_run_event
        from airflow_provider_fivetran.raising import as_airflow_promises

        with as_airflow_promises(self):
            return self._conclude(context, read_run_event(event))

    # --- its parts ----------------------------------------------------------------------------------------
    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def _hook(self) -> FivetranHook:
        from airflow_provider_fivetran.hooks import FivetranHook

        return FivetranHook(
            self.fivetran_conn_id,
            fivetran_retry_limit=self.fivetran_retry_limit,
            fivetran_retry_delay=self.fivetran_retry_delay,
        )

    def _take_ticket(self, context: Context, transformation_id: str, now: datetime) -> RunTicket:
        from airflow_provider_fivetran.core.awaited import Aim
        from airflow_provider_fivetran.core.run_ticket import RunTicket
        from airflow_provider_fivetran.core.sensing import sensed_from
        from airflow_provider_fivetran.rescheduling import began_at

        undated = RunTicket(
            transformation_id=transformation_id,
            aim=Aim.NEXT_END,
            taken_at=NO_TIME_YET,
            asked_at=NO_TIME_YET,
            begun_at=NO_TIME_YET,
            timeout=timedelta(seconds=self.timeout),
            poll_frequency=self._frequency,
            partial_is_enough=self.when_partially_succeeded == "succeed",
            wait_while_blocked=self.when_blocked == "wait",
        )
        # In reschedule mode it began in another process.
        began = began_at(context, now) if self.reschedule else now
        return sensed_from(undated, began, read_after(self.completed_after_time))

    def _conclude(self, context: Context, outcome: RunEnded | BrokenOff) -> str | None:
        from airflow_provider_fivetran.core.events import BrokenOff
        from airflow_provider_fivetran.core.runs import error_of_run

        if isinstance(outcome, BrokenOff):
            raise outcome.error
        context["ti"].xcom_push(key=TRANSFORMATION_XCOM, value=outcome.record.to_json())
        error = error_of_run(outcome)
        if error is not None:
            raise error
        self.log.info("%s", outcome.message)
        return outcome.record.ended_at_text
