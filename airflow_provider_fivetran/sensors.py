"""The sensors, of which none triggers or changes anything; here the one that waits for a sync it did not start."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.arguments import check_flag, check_identified, span_of
from airflow_provider_fivetran.clock import BACKSTOP, utcnow
from airflow_provider_fivetran.core.moments import read_after
from airflow_provider_fivetran.links import RECORD_XCOM, FivetranConnectionLink, forget_results
from airflow_provider_fivetran.sensor_freshness import FivetranFreshnessSensor
from airflow_provider_fivetran.sensor_setup import FivetranSetupSensor
from airflow_provider_fivetran.sensor_transformation import FivetranTransformationSensor
from airflow_provider_fivetran.ticket_sensor import TicketSensor
from airflow_provider_fivetran.without_worker import BeginsInTriggerer, is_possible, why_a_worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import AssetAlias, Context
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider_fivetran.core.events import BrokenOff
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.core.ticket import Ticket
    from airflow_provider_fivetran.core.verdicts import Final, TriggerAgain
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.triggers import FivetranSyncTrigger

__all__ = [
    "FivetranFreshnessSensor",
    "FivetranSensor",
    "FivetranSetupSensor",
    "FivetranTransformationSensor",
]


class FivetranSensor(BeginsInTriggerer, TicketSensor):
    """Waits for a Fivetran sync to end well, whoever started it.

    Without ``completed_after_time`` it waits for the next sync to end after the sensor began; with it, for any
    success after that time. A sync that fails instead fails the task (or skips it, with ``soft_fail``), and so
    does a connection that is paused or deleted, for then nothing would ever come.

    The return value is the time at which the sync ended, in ISO 8601; the XCom ``fivetran_sync`` holds the whole
    record, as for :class:`~airflow_provider_fivetran.operators.FivetranOperator`, and so do the events of
    ``outlets``.

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
        was before the time. Without it accepted and of no effect, as in the package that DAGs may come from.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :param start_from_trigger: also begin in the triggerer, without a worker before (Airflow 3.3 and newer). True: an
        error where that cannot be; None: wherever it can be.
    :param table_assets: an ``AssetAlias`` for the tables that the connection fills, as for the operator.
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
        start_from_trigger: bool | None = False,
        table_assets: AssetAlias | None = None,
        **kwargs: Any,
    ) -> None:
        completed_after_time = _renamed(kwargs, "xcom", "completed_after_time", completed_after_time)
        reschedule_wait_time = _renamed(
            kwargs, "reschedule_time", "reschedule_wait_time", reschedule_wait_time
        )
        super().__init__(
            fivetran_conn_id=fivetran_conn_id,
            poke_interval=poke_interval,
            completed_after_time=completed_after_time,
            fivetran_retry_limit=fivetran_retry_limit,
            fivetran_retry_delay=fivetran_retry_delay,
            deferrable=deferrable,
            **kwargs,
        )
        self.connector_id = connector_id
        self.connector_name = connector_name
        self.destination_name = destination_name
        self.reschedule_wait_time = reschedule_wait_time
        self.always_wait_when_syncing = always_wait_when_syncing
        self.propagate_failures_forward = propagate_failures_forward
        self.table_assets = table_assets
        check_identified(connector_id, connector_name, destination_name)
        check_flag("start_from_trigger", start_from_trigger, optional=True)
        check_flag("always_wait_when_syncing", always_wait_when_syncing)
        check_flag("propagate_failures_forward", propagate_failures_forward)
        span_of("reschedule_wait_time", reschedule_wait_time, zero=True)
        if self.outlets or table_assets is not None:
            from airflow_provider_fivetran.assets import checked_outlets

            is_mapped = getattr(self, "_BaseOperator__from_mapped", False)
            self.outlets = checked_outlets(self.outlets, table_assets, is_mapped=is_mapped)
        self.start_from_trigger = self._can_start_from_trigger(wanted=start_from_trigger)

    def execute_complete(self, context: Context, event: object) -> Any:
        """Go on when the trigger has sent its event."""
        from airflow_provider_fivetran.core.events import read_event
        from airflow_provider_fivetran.raising import as_airflow_promises

        with as_airflow_promises(self):
            if self.start_from_trigger:
                read_after(self.completed_after_time)  # the error of a worker that had begun it
            return self._conclude(context, read_event(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Forget the results of earlier tries first: Airflow does that only where a worker begins a task."""
        if self.start_from_trigger and context["ti"].try_number > 1:
            forget_results(context)
        return super().resume_execution(next_method, next_kwargs, context)

    # --- beginning in the triggerer -------------------------------------------------------------------------

    def start_in_triggerer(self) -> StartTriggerArgs | None:
        """What Airflow must know to begin this sensor in the triggerer; ``None``: a worker has to begin it."""
        if not self.start_from_trigger or self._why_a_worker() is not None:
            return None
        from airflow.triggers.base import StartTriggerArgs

        from airflow_provider_fivetran.triggers import FivetranSensorTrigger

        limit = timedelta(seconds=self.timeout) + BACKSTOP
        assert self.connector_id is not None  # noqa: S101  # or else there was a reason
        after = self.completed_after_time
        path, arguments = FivetranSensorTrigger(
            connector_id=self.connector_id,
            completed_after_time=after.isoformat() if isinstance(after, datetime) else after or None,
            fivetran_conn_id=self.fivetran_conn_id,
            ticket=self._undated(self.connector_id).to_json(),
            limit=limit.total_seconds(),
            retry_limit=self.fivetran_retry_limit,
            retry_delay=self.fivetran_retry_delay,
        ).serialize()
        return StartTriggerArgs(
            trigger_cls=path, next_method="execute_complete", trigger_kwargs=arguments, timeout=limit
        )

    def _can_start_from_trigger(self, *, wanted: bool | None) -> bool:
        # Of a mapped task Airflow begins each in a worker, which makes it with what was rendered by then.
        if wanted is False or not is_possible() or getattr(self, "_BaseOperator__from_mapped", False):
            return False
        why = self._why_a_worker()
        if wanted and why is not None:
            raise ValueError(f"start_from_trigger is True, but {why}")
        return why is None

    def _why_a_worker(self) -> str | None:
        if not self.deferrable:
            return "deferrable is False, and so a worker waits"
        if self.connector_id is None:
            return "a worker looks connector_name and destination_name up; give connector_id"
        limit = timedelta(seconds=self.timeout) + BACKSTOP
        if self.execution_timeout is not None and self.execution_timeout < limit:
            return (
                f"execution_timeout is {self.execution_timeout}, and Airflow counts it from the beginning of the "
                f"wait, as it does not where a worker began; allowed is at least {limit} (an hour more than timeout)"
            )
        return why_a_worker(
            {name: getattr(self, name) for name in self.template_fields if getattr(self, name) is not None},
            dag=self.get_dag(),
        )

    # --- its parts ----------------------------------------------------------------------------------------
    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def _find(self, context: Context, hook: FivetranHook) -> str:
        from airflow_provider_fivetran.core.models import dashboard_link

        found = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
        FivetranConnectionLink.persist(context, dashboard_link(found))
        return found

    def _undated(self, found: str) -> Ticket:
        from airflow_provider_fivetran.core.ticket import Ticket

        return Ticket(
            connection_id=found,
            wait_while_syncing=self.always_wait_when_syncing,
            older_failures_count=self.propagate_failures_forward,
            **self._in_any_ticket(),
        )

    def _watch(self, ticket: Ticket, *, key_has_worked: bool) -> Procedure[Final | TriggerAgain]:
        from airflow_provider_fivetran.core.watch import watch

        return watch(ticket, utcnow, key_has_worked=key_has_worked)

    def _trigger_class(self) -> type[FivetranSyncTrigger]:
        from airflow_provider_fivetran.triggers import FivetranSyncTrigger

        return FivetranSyncTrigger

    def _conclude(self, context: Context, outcome: Final | TriggerAgain | BrokenOff) -> str | None:
        from airflow_provider_fivetran.core.errors import FivetranError
        from airflow_provider_fivetran.core.events import BrokenOff, error_of
        from airflow_provider_fivetran.core.verdicts import TriggerAgain

        if isinstance(outcome, BrokenOff):
            raise outcome.error
        if isinstance(outcome, TriggerAgain):  # only a task that starts syncs is told to start one
            raise FivetranError(outcome.message)
        context["ti"].xcom_push(key=RECORD_XCOM, value=outcome.record.to_json())
        error = error_of(outcome)
        if error is not None:
            raise error
        self.log.info("%s", outcome.message)
        if self.outlets:
            from airflow_provider_fivetran.announcing import announce

            announce(self, context, outcome.record)
        return outcome.record.ended_at_text


def _renamed(kwargs: dict[str, Any], old: str, new: str, value: Any) -> Any:
    if old not in kwargs:
        return value
    warnings.warn(f"{old} is deprecated; use {new}", DeprecationWarning, stacklevel=4)
    given = kwargs.pop(old)
    return given if value is None else value
