"""The operator that starts syncs and waits for them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.arguments import check_choice, check_flag, check_identified, span_of
from airflow_provider_fivetran.core.policies import (
    ScheduleType,
    WhenBroken,
    WhenKilled,
    WhenPaused,
    WhenRescheduled,
    WhenRunning,
)
from airflow_provider_fivetran.links import FivetranConnectionLink
from airflow_provider_fivetran.operators.waiting_task import HOUR, WaitingTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import AssetAlias, Context

    from airflow_provider_fivetran.core.orders import Order
    from airflow_provider_fivetran.core.verdicts import SyncRecord
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.visit import Visit

__all__ = ["FivetranOperator"]


class FivetranOperator(WaitingTask):
    """Starts a Fivetran sync and succeeds only when that sync has ended well.

    The connection is named by ``connector_id``, or by ``connector_name`` and ``destination_name``, which are
    looked up when the task runs.

    Of each policy (``when_...``) the value named first is the default.

    The return value is the time at which the sync ended, in ISO 8601. The XCom ``fivetran_sync`` holds the whole
    record, of a failed sync too: ``connection_id``, ``status``, ``sync_id``, ``started_at``, ``ended_at``,
    ``duration`` (seconds), ``volume_mb`` (by stage), ``reason``, ``rescheduled_for`` and ``link``.

    With ``outlets=[connection_asset("...")]`` (:mod:`airflow_provider_fivetran.assets`) the task emits, when it
    succeeds, an event of that asset whose ``extra`` is the record. It emits none by default: an asset has to be
    known when the DAG is parsed, and where a watcher or a webhook reports the connection's syncs, each would be told
    twice. An ``AssetAlias`` among the outlets gets the asset of whatever was synced: for mapped tasks, templates and
    names.

    On Airflow 3.3 and newer a retry goes on with the sync that an earlier try has started, whatever became of the
    worker; a task that is cleared does so while that sync runs, and otherwise syncs again.

    :param connector_id: id of the Fivetran connection.
    :param connector_name: name of the connection in the dashboard (its schema name).
    :param destination_name: name of its destination in the dashboard (its group's name).
    :param run_name: shown in the log, for telling tasks apart; Fivetran does not get to see it.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :param poll_frequency: pause between two looks, a timedelta or seconds; unset, it is chosen:
        at most 15 s, quick at first and around the usual end.
    :param schedule_type: ``"manual"`` or ``"auto"`` is set before the sync; unset leaves the schedule alone.
    :param reschedule_wait_time: seconds to wait after Fivetran put a sync off under manual scheduling; 0 means
        until the time that Fivetran announces.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :param wait_for_completion: if set to False, return as soon as the sync is triggered, with the time that a
        :class:`~airflow_provider_fivetran.sensors.FivetranSensor` needs as ``completed_after_time``.
    :param when_running: a sync is running already. ``"attach"``: take it as ours; ``"queue"``: wait for its end,
        then start ours; ``"restart"``: stop it and start ours; ``"fail"``; ``"skip"``.
    :param when_rescheduled: Fivetran put the sync off. ``"wait"``: wait, and with manual scheduling trigger once
        more at the announced time; ``"fail"``.
    :param when_paused: the connection is paused. ``"fail"``; ``"unpause"``; ``"unpause_and_restore"``: pause it
        again at the end; ``"skip"``.
    :param when_broken: its setup is broken. ``"try"``: sync anyway, which can heal it; ``"test"``: run the setup
        tests first and go on if they pass; ``"fail"``.
    :param when_killed: the task is marked failed, its DAG run or its own deadline passes, or its worker is ended and
        no retry follows. ``"leave"``: the sync goes on; ``"stop"``: it is stopped, also one that was only attached
        to, by pausing the connection until it has stopped. A deferred task is told of its end by Airflow 3.3 and
        newer only, and with ``wait_for_completion=False`` there is no task any more that could be killed.
    :param restore_schedule: put the schedule type back at the end.
    :param fresh_within: succeed at once, without a sync, when the last sync ended well that recently; a timedelta
        or seconds.
    :param timeout: limit of the whole wait, from the first trigger; unset: 24 hours, or 7 days while Fivetran
        calls the sync historical. ``execution_timeout`` limits the wait too, if it is shorter.
    :param start_timeout: an accepted trigger must show itself as a sync within this time; 1 hour.
    :param table_assets: an ``AssetAlias`` that gets the asset of each destination table that the connection fills,
        with the URI that dbt's sources have in OpenLineage and Cosmos; costs three requests after the sync. What
        cannot be read, or is of an unknown type of destination, is a warning in the log.
    :raises ValueError: an argument is not allowed (when the DAG is parsed).
    :raises FivetranSyncError: (one of its kinds) the sync did not end well, or did not end.
    :raises FivetranSyncRunning: a sync runs and ``when_running`` is ``"fail"``.
    :raises FivetranUnreachable: Fivetran could not be reached for two minutes before the sync was started.
    :raises AirflowFailException: trying again would change nothing: wrong key, connection deleted or paused, it
        cannot be told whether a trigger took, ... The error itself is its ``__cause__``.
    :raises AirflowSkipException: a policy says ``"skip"``.
    """

    template_fields: Sequence[str] = (
        "connector_id",
        "connector_name",
        "destination_name",
        "run_name",
        "fivetran_conn_id",
    )
    operator_extra_links = (FivetranConnectionLink(),)

    def __init__(
        self,
        connector_id: str | None = None,
        connector_name: str | None = None,
        destination_name: str | None = None,
        run_name: str | None = None,
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        poll_frequency: float | timedelta | None = None,
        schedule_type: ScheduleType | None = None,
        reschedule_wait_time: float | timedelta = 0,
        deferrable: bool | None = None,
        wait_for_completion: bool = True,
        *,
        when_running: WhenRunning = "attach",
        when_rescheduled: WhenRescheduled = "wait",
        when_paused: WhenPaused = "fail",
        when_broken: WhenBroken = "try",
        when_killed: WhenKilled = "leave",
        restore_schedule: bool = False,
        fresh_within: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        start_timeout: float | timedelta = HOUR,
        table_assets: AssetAlias | None = None,
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
            **_with_execution_timeout(kwargs),
        )
        self.connector_id = connector_id
        self.connector_name = connector_name
        self.destination_name = destination_name
        self.run_name = run_name
        self.schedule_type = schedule_type
        self.reschedule_wait_time = reschedule_wait_time
        self.when_running = when_running
        self.when_rescheduled = when_rescheduled
        self.when_paused = when_paused
        self.when_broken = when_broken
        self.when_killed = when_killed
        self.restore_schedule = restore_schedule
        self.fresh_within = fresh_within
        self.table_assets = table_assets
        self._check_arguments()

    def _check_arguments(self) -> None:
        check_identified(self.connector_id, self.connector_name, self.destination_name)
        super()._check_arguments()
        check_flag("restore_schedule", self.restore_schedule)
        check_choice("when_running", self.when_running, WhenRunning)
        check_choice("when_rescheduled", self.when_rescheduled, WhenRescheduled)
        check_choice("when_paused", self.when_paused, WhenPaused)
        check_choice("when_broken", self.when_broken, WhenBroken)
        check_choice("when_killed", self.when_killed, WhenKilled)
        check_choice("schedule_type", self.schedule_type, ScheduleType, optional=True)
        if self.restore_schedule and self.schedule_type is None:
            raise ValueError(
                "restore_schedule is True, but schedule_type is not set: there is nothing to put back"
            )
        puts_back = self.restore_schedule or self.when_paused == "unpause_and_restore"
        if puts_back and not self.wait_for_completion:
            raise ValueError(
                "wait_for_completion is False, so nobody would be there at the end of the sync to put back what "
                "restore_schedule or when_paused='unpause_and_restore' ask for"
            )
        if self.outlets or self.table_assets is not None:
            from airflow_provider_fivetran.assets import checked_outlets

            self.outlets = checked_outlets(
                self.outlets,
                self.table_assets,
                waits=self.wait_for_completion,
                is_mapped=getattr(self, "_BaseOperator__from_mapped", False),
            )

    # --- the task -----------------------------------------------------------------------------------------
    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def execute(self, context: Context) -> str | None:
        """Start the sync, or go on with that of an earlier try, and wait for it, here or in the triggerer."""
        from airflow_provider_fivetran.core.models import dashboard_link

        with self._way_to_fivetran() as hook, self._visit(context, hook) as visit:
            self._check_rendered()
            connection_id = hook().find_id(self.connector_id, self.connector_name, self.destination_name)
            FivetranConnectionLink.persist(context, dashboard_link(connection_id))
            if self.run_name:
                self.log.info("Run name: %s", self.run_name)
            return visit.begin(connection_id)

    def execute_complete(self, context: Context, event: object) -> str | None:
        """Go on when the trigger has sent its event."""
        from airflow_provider_fivetran.operators.ending import GoodEnd

        end = GoodEnd.of(event)
        if end is None:
            return super().execute_complete(context, event)
        value = end.conclude(self, context)
        self._announce(context, end.outcome.record)
        return value

    def _check_rendered(self) -> None:
        """Refuse, before any request, what must not be carried out once templates are rendered."""

    # --- its parts ----------------------------------------------------------------------------------------

    def _visit_with(self, context: Context, hook: Callable[[], FivetranHook]) -> Visit:
        from airflow_provider_fivetran.operators.visit import Visit

        return Visit(self, context, hook, self._order)

    def _announce(self, context: Context, pushed: SyncRecord | None) -> None:
        if self.outlets and pushed is not None and pushed.status != "started":
            from airflow_provider_fivetran.announcing import announce

            announce(self, context, pushed, scope=self._order(pushed.connection_id).scope)

    def _order(self, connection_id: str) -> Order:
        from airflow_provider_fivetran.core.orders import Order

        return Order(
            connection_id=connection_id,
            when_running=self.when_running,
            when_rescheduled=self.when_rescheduled,
            when_paused=self.when_paused,
            when_broken=self.when_broken,
            schedule_type=self.schedule_type,
            restore_schedule=self.restore_schedule,
            **self._durations(),
        )

    def _durations(self) -> dict[str, Any]:
        return {
            **super()._durations(),
            "reschedule_wait": span_of("reschedule_wait_time", self.reschedule_wait_time, zero=True) or None,
            "fresh_within": span_of("fresh_within", self.fresh_within),
        }


def _with_execution_timeout(kwargs: dict[str, Any]) -> dict[str, Any]:
    if "timeout_seconds" not in kwargs:
        return kwargs
    warnings.warn(
        "timeout_seconds is deprecated; use timeout (the wait) or execution_timeout",
        DeprecationWarning,
        stacklevel=4,
    )
    seconds = kwargs.pop("timeout_seconds")
    return {"execution_timeout": span_of("timeout_seconds", seconds), **kwargs}
