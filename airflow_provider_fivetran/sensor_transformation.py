"""The sensor that waits for runs of transformations it did not start. It only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.arguments import check_choice, check_transformation
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.policies import WhenBlocked, WhenPartiallySucceeded
from airflow_provider_fivetran.links import TRANSFORMATION_XCOM, FivetranTransformationLink
from airflow_provider_fivetran.ticket_sensor import TicketSensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.events import BrokenOff
    from airflow_provider_fivetran.core.run_ticket import RunTicket
    from airflow_provider_fivetran.core.runs import RunEnded
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.triggers import FivetranTransformationTrigger

__all__ = ["FivetranTransformationSensor"]


class FivetranTransformationSensor(TicketSensor):
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
        super().__init__(
            fivetran_conn_id=fivetran_conn_id,
            poke_interval=poke_interval,
            completed_after_time=completed_after_time,
            fivetran_retry_limit=fivetran_retry_limit,
            fivetran_retry_delay=fivetran_retry_delay,
            deferrable=deferrable,
            **kwargs,
        )
        self.transformation_id = transformation_id
        self.transformation_name = transformation_name
        self.destination_name = destination_name
        self.when_partially_succeeded = when_partially_succeeded
        self.when_blocked = when_blocked
        check_transformation(transformation_id, transformation_name, destination_name)
        check_choice("when_partially_succeeded", when_partially_succeeded, WhenPartiallySucceeded)
        check_choice("when_blocked", when_blocked, WhenBlocked)

    def execute_complete(self, context: Context, event: object) -> Any:
        """Go on when the trigger has sent its event."""
        from airflow_provider_fivetran.core.runs import read_run_event
        from airflow_provider_fivetran.raising import as_airflow_promises

        with as_airflow_promises(self):
            return self._conclude(context, read_run_event(event))

    # --- its parts ----------------------------------------------------------------------------------------
    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def _find(self, context: Context, hook: FivetranHook) -> str:
        from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK

        found = hook.find_transformation_id(
            self.transformation_id, self.transformation_name, self.destination_name
        )
        FivetranTransformationLink.persist(context, TRANSFORMATIONS_LINK)
        return found

    def _undated(self, found: str) -> RunTicket:
        from airflow_provider_fivetran.core.run_ticket import RunTicket

        return RunTicket(
            transformation_id=found,
            partial_is_enough=self.when_partially_succeeded == "succeed",
            wait_while_blocked=self.when_blocked == "wait",
            **self._in_any_ticket(),
        )

    def _watch(self, ticket: RunTicket, *, key_has_worked: bool) -> Procedure[RunEnded]:
        from airflow_provider_fivetran.core.run_watch import watch_run

        return watch_run(ticket, utcnow, key_has_worked=key_has_worked)

    def _trigger_class(self) -> type[FivetranTransformationTrigger]:
        from airflow_provider_fivetran.triggers import FivetranTransformationTrigger

        return FivetranTransformationTrigger

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
