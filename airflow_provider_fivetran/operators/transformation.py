"""The operator that runs transformations and waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.arguments import check_choice, check_flag, check_transformation
from airflow_provider_fivetran.core.policies import (
    WhenBlocked,
    WhenKilled,
    WhenPartiallySucceeded,
    WhenRunning,
)
from airflow_provider_fivetran.links import FivetranTransformationLink
from airflow_provider_fivetran.operators.waiting_task import HOUR, WaitingTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.run_starting import RunOrder
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.run_visit import RunVisit

__all__ = ["FivetranTransformationOperator"]


class FivetranTransformationOperator(WaitingTask):
    """Runs a Fivetran transformation (dbt Core or Quickstart), and succeeds only when that run has ended well.

    The transformation is given by ``transformation_id``, or by ``transformation_name``, which is looked up when the
    task runs. Fivetran gives runs no id and keeps no history of them: the run is told from others by its beginning
    (``last_started_at``), which is newer than what was found before the trigger.

    Of each policy (``when_...``) the value named first is the default.

    The return value is the time at which the run ended, in ISO 8601. The XCom ``fivetran_transformation`` holds the
    whole record, of a failed run too: ``transformation_id``, ``name``, ``status``, ``started_at``, ``ended_at``,
    ``duration`` (seconds), ``reason`` and ``link``.

    On Airflow 3.3 and newer a retry goes on with the run that an earlier try has started, whatever became of the
    worker; a task that is cleared does so while that run is under way, and otherwise runs the transformation again.

    :param transformation_id: id of the transformation.
    :param transformation_name: name of a dbt Core transformation, or of the package of a Quickstart one, exactly.
    :param destination_name: name of its destination in the dashboard (its group's name), if the name alone leaves a
        doubt.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param full_refresh: rebuild incremental models from nothing; False. A run that is under way is then never taken
        as ours: with ``when_running="attach"`` it is waited for, and ours comes after it.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :param wait_for_completion: if set to False, return as soon as the run is triggered, with the time that a
        :class:`~airflow_provider_fivetran.sensors.FivetranTransformationSensor` needs as ``completed_after_time``.
    :param when_running: a run is under way already. ``"attach"``: take it as ours; ``"queue"``: wait for its end,
        then start ours; ``"restart"``: cancel it and start ours; ``"fail"``; ``"skip"``. One that is being cancelled
        is never taken as ours.
    :param when_partially_succeeded: Fivetran calls the run ``PARTIALLY_SUCCEEDED``. ``"fail"``; ``"succeed"``.
    :param when_blocked: Fivetran calls the transformation ``BLOCKED``. ``"fail"``; ``"wait"``: until it goes on.
    :param when_killed: the task is marked failed, its DAG run or its own deadline passes, or its worker is ended and
        no retry follows. ``"stop"``: its run is cancelled, but not one that somebody else started; ``"leave"``: it
        goes on. A deferred task is told of its end by Airflow 3.3 and newer only.
    :param timeout: limit of the whole wait, from the first trigger, a timedelta or seconds; unset: 24 hours.
        ``execution_timeout`` limits the wait too, if it is shorter.
    :param start_timeout: an accepted trigger must show itself as a run within this time; 1 hour.
    :param poll_frequency: pause between two looks, a timedelta or seconds; unset, it is chosen: 2 s at first, 15 s
        after a few minutes.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed).
    :raises FivetranTransformationError: (one of its kinds) the run did not end well, or did not end.
    :raises FivetranTransformationRunning: a run is under way and ``when_running`` is ``"fail"``.
    :raises FivetranUnreachable: Fivetran could not be reached for two minutes before the run was started.
    :raises AirflowFailException: trying again would change nothing: wrong key, transformation deleted, it cannot be
        told whether a trigger took, ... The error itself is its ``__cause__``.
    :raises AirflowSkipException: a policy says ``"skip"``.
    """

    template_fields: Sequence[str] = (
        "transformation_id",
        "transformation_name",
        "destination_name",
        "fivetran_conn_id",
    )
    operator_extra_links = (FivetranTransformationLink(),)

    def __init__(
        self,
        transformation_id: str | None = None,
        transformation_name: str | None = None,
        destination_name: str | None = None,
        fivetran_conn_id: str = "fivetran_default",
        *,
        full_refresh: bool = False,
        deferrable: bool | None = None,
        wait_for_completion: bool = True,
        when_running: WhenRunning = "attach",
        when_partially_succeeded: WhenPartiallySucceeded = "fail",
        when_blocked: WhenBlocked = "fail",
        when_killed: WhenKilled = "stop",
        timeout: float | timedelta | None = None,
        start_timeout: float | timedelta = HOUR,
        poll_frequency: float | timedelta | None = None,
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            fivetran_conn_id=fivetran_conn_id,
            fivetran_retry_limit=fivetran_retry_limit,
            fivetran_retry_delay=fivetran_retry_delay,
            poll_frequency=poll_frequency,
            deferrable=deferrable,
            wait_for_completion=wait_for_completion,
            timeout=timeout,
            start_timeout=start_timeout,
            **kwargs,
        )
        self.transformation_id = transformation_id
        self.transformation_name = transformation_name
        self.destination_name = destination_name
        self.full_refresh = full_refresh
        self.when_running = when_running
        self.when_partially_succeeded = when_partially_succeeded
        self.when_blocked = when_blocked
        self.when_killed = when_killed
        self._check_arguments()

    def _check_arguments(self) -> None:
        check_transformation(self.transformation_id, self.transformation_name, self.destination_name)
        super()._check_arguments()
        check_flag("full_refresh", self.full_refresh)
        check_choice("when_running", self.when_running, WhenRunning)
        check_choice("when_partially_succeeded", self.when_partially_succeeded, WhenPartiallySucceeded)
        check_choice("when_blocked", self.when_blocked, WhenBlocked)
        check_choice("when_killed", self.when_killed, WhenKilled)

    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def execute(self, context: Context) -> str | None:
        """Run it, or go on with the run of an earlier try, and wait for it, here or in the triggerer."""
        from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK

        with self._way_to_fivetran() as hook, self._visit(context, hook) as visit:
            transformation_id = hook().find_transformation_id(
                self.transformation_id, self.transformation_name, self.destination_name
            )
            FivetranTransformationLink.persist(context, TRANSFORMATIONS_LINK)
            return visit.begin(transformation_id)

    def _visit_with(self, context: Context, hook: Callable[[], FivetranHook]) -> RunVisit:
        from airflow_provider_fivetran.operators.run_visit import RunVisit

        return RunVisit(self, context, hook, self.order_of)

    def order_of(self, transformation_id: str) -> RunOrder:
        """What is wanted, once the id is known."""
        from airflow_provider_fivetran.core.run_starting import RunOrder

        return RunOrder(
            transformation_id=transformation_id,
            full_refresh=self.full_refresh,
            when_running=self.when_running,
            when_partially_succeeded=self.when_partially_succeeded,
            when_blocked=self.when_blocked,
            **self._durations(),
        )
