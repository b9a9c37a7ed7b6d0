"""The operator that starts syncs and waits for them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, conf

from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    check_attempts,
    check_choice,
    check_delay,
    check_identified,
    span_of,
)
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import BrokenOff, error_of, read_event
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import write_moment
from airflow_provider_fivetran.core.policies import (
    ScheduleType,
    WhenBroken,
    WhenKilled,
    WhenPaused,
    WhenRescheduled,
    WhenRunning,
)
from airflow_provider_fivetran.core.starting import Order, Skipped, Started, Undo, start, undo
from airflow_provider_fivetran.core.stopping import PATIENCE_WHEN_KILLED, stop
from airflow_provider_fivetran.core.ticket import DEFAULT_START_TIMEOUT, HISTORICAL_TIMEOUT
from airflow_provider_fivetran.core.verdicts import Ended, SyncRecord, TriggerAgain
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.links import RECORD_XCOM, FivetranConnectionLink
from airflow_provider_fivetran.operators.errand import Errand
from airflow_provider_fivetran.raising import failing_at_once_when_pointless
from airflow_provider_fivetran.triggers import FivetranSyncTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.starting import NotNeeded
    from airflow_provider_fivetran.core.ticket import Ticket
    from airflow_provider_fivetran.core.watch import Outcome

__all__ = ["FivetranOperator"]

UNDO_XCOM = "fivetran_undo"
# The trigger ends each wait itself; Airflow's own limit is there in case the trigger cannot.
BACKSTOP = timedelta(hours=1)


class FivetranOperator(BaseOperator):
    """Starts a Fivetran sync and succeeds only when that sync has ended well.

    The connection is named by ``connector_id``, or by ``connector_name`` and ``destination_name``, which are
    looked up when the task runs.

    Of each policy (``when_...``) the value named first is the default.

    The return value is the time at which the sync ended, in ISO 8601. The XCom ``fivetran_sync`` holds the whole
    record, of a failed sync too: ``connection_id``, ``status``, ``sync_id``, ``started_at``, ``ended_at``,
    ``duration`` (seconds), ``volume_mb`` (by stage), ``reason`` and ``link``.

    :param connector_id: id of the Fivetran connection.
    :param connector_name: name of the connection in the dashboard (its schema name).
    :param destination_name: name of its destination in the dashboard (its group's name).
    :param run_name: shown in the log, for telling tasks apart; Fivetran does not get to see it.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :param poll_frequency: pause between two looks, a timedelta or seconds; unset, it is chosen by the age of the
        wait: 2 s at first, 15 s after a few minutes.
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
    :param when_killed: the task is killed, or its state is set by a person. ``"leave"``: the sync goes on;
        ``"stop"``: it is stopped, also one that was only attached to, by pausing the connection until it has
        stopped. A deferred task is told of its end by Airflow 3.3 and newer only.
    :param restore_schedule: put the schedule type back at the end.
    :param fresh_within: succeed at once, without a sync, when the last sync ended well that recently; a timedelta
        or seconds.
    :param timeout: limit of the whole wait, from the first trigger; unset: 24 hours, or 7 days while Fivetran
        calls the sync historical. ``execution_timeout`` limits the wait too, if it is shorter.
    :param start_timeout: an accepted trigger must show itself as a sync within this time; 1 hour.
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
    ui_color = "#e6f0ff"

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
        start_timeout: float | timedelta = timedelta(hours=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**_with_execution_timeout(kwargs))
        self.connector_id = connector_id
        self.connector_name = connector_name
        self.destination_name = destination_name
        self.run_name = run_name
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self.poll_frequency = poll_frequency
        self.schedule_type = schedule_type
        self.reschedule_wait_time = reschedule_wait_time
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False)
            if deferrable is None
            else deferrable
        )
        self.wait_for_completion = wait_for_completion
        self.when_running = when_running
        self.when_rescheduled = when_rescheduled
        self.when_paused = when_paused
        self.when_broken = when_broken
        self.when_killed = when_killed
        self.restore_schedule = restore_schedule
        self.fresh_within = fresh_within
        self.timeout = timeout
        self.start_timeout = start_timeout
        self._at_work: tuple[FivetranHook, Errand] | None = None
        self._check_arguments()

    def _check_arguments(self) -> None:
        check_identified(self.connector_id, self.connector_name, self.destination_name)
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
        check_attempts(self.fivetran_retry_limit)
        check_delay(self.fivetran_retry_delay)
        # Reads the durations. That of this class: a subclass has not set its own arguments yet.
        FivetranOperator._order(self, connection_id="")

    # --- the task -----------------------------------------------------------------------------------------

    def execute(self, context: Context) -> str | None:
        """Start the sync and wait for it, here or in the triggerer."""
        with failing_at_once_when_pointless(), self._hook() as hook:
            connection_id = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
            FivetranConnectionLink.persist(context, dashboard_link(connection_id))
            if self.run_name:
                self.log.info("Run name: %s", self.run_name)
            errand = Errand(connection_id=connection_id)
            return self._see_through(context, hook, errand, self._order(connection_id))

    def execute_complete(self, context: Context, event: object) -> str | None:
        """Go on when the trigger has sent its event."""
        with failing_at_once_when_pointless(), self._hook() as hook:
            try:
                errand, outcome = Errand.from_event(event), read_event(event)
            except FivetranError:
                self._put_back_what_was_noted(context, hook)
                raise
            order = self._next_order(errand, outcome)
            if order is not None:
                return self._see_through(context, hook, errand, order)
            return self._finish(context, hook, errand, outcome)

    def on_kill(self) -> None:
        """Stop the sync that this worker waits for, if that is wanted."""
        if self._at_work is None:
            return
        hook, errand = self._at_work
        if self.when_killed == "stop" and not errand.then_start_ours:
            procedure = stop(errand.connection_id, errand.undo, utcnow, patience=PATIENCE_WHEN_KILLED)
            hook.carry_out(procedure)
        else:
            self._put_back(hook, errand, leaving_the_sync=True)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Put back what was changed when the trigger died instead of sending its event."""
        if next_method == "__fail__":
            with self._hook() as hook:
                self._put_back_what_was_noted(context, hook)
        return super().resume_execution(next_method, next_kwargs, context)

    # --- its parts ----------------------------------------------------------------------------------------

    def _put_back_what_was_noted(self, context: Context, hook: FivetranHook) -> None:
        """What a task changed is noted in an XCom too, for when its trigger brings nothing back."""
        ti = context["ti"]
        noted = ti.xcom_pull(task_ids=self.task_id, key=UNDO_XCOM, map_indexes=ti.map_index)
        if noted:
            errand = Errand(connection_id=noted["connection_id"], undo=Undo.from_json(noted["undo"]))
            self._put_back(hook, errand, leaving_the_sync=True)

    def _put_back(self, hook: FivetranHook, errand: Errand, *, leaving_the_sync: bool = False) -> None:
        """Put back what the task changed. Whatever goes wrong with that, the verdict on the sync stands."""
        undone = replace(errand.undo, pause=False) if leaving_the_sync else errand.undo
        if undone != errand.undo:
            self.log.warning(
                "%s stays unpaused, because pausing it would stop a sync that may still run",
                errand.connection_id,
            )
        if not undone.changes():
            return
        try:
            hook.carry_out(undo(errand.connection_id, undone))
        except Exception:  # reading the Airflow connection may fail in as many ways as there are backends
            self.log.exception("could not put back %s in %s", undone.changes(), errand.connection_id)

    def _hook(self) -> FivetranHook:
        return FivetranHook(
            self.fivetran_conn_id,
            fivetran_retry_limit=self.fivetran_retry_limit,
            fivetran_retry_delay=self.fivetran_retry_delay,
        )

    def _order(self, connection_id: str) -> Order:
        return Order(
            connection_id=connection_id,
            when_running=self.when_running,
            when_rescheduled=self.when_rescheduled,
            when_paused=self.when_paused,
            when_broken=self.when_broken,
            schedule_type=self.schedule_type,
            restore_schedule=self.restore_schedule,
            poll_frequency=span_of("poll_frequency", self.poll_frequency, least=SHORTEST_POLL),
            reschedule_wait=span_of("reschedule_wait_time", self.reschedule_wait_time, zero=True) or None,
            fresh_within=span_of("fresh_within", self.fresh_within),
            timeout=_shorter(span_of("timeout", self.timeout), self.execution_timeout),
            start_timeout=span_of("start_timeout", self.start_timeout) or DEFAULT_START_TIMEOUT,
        )

    def _see_through(self, context: Context, hook: FivetranHook, errand: Errand, order: Order) -> str | None:
        """Start what is wanted and see it to its end, or to the deferral."""
        following: Order | None = order
        try:
            while following is not None:
                started = hook.carry_out(start(following, utcnow, begun_at=errand.begun_at))
                if not isinstance(started, Started):
                    self._put_back(hook, errand)
                    return self._without_a_sync(context, started)
                ticket = started.ticket
                errand = replace(
                    errand,
                    begun_at=ticket.begun_at,
                    undo=started.undo.and_earlier(errand.undo),
                    then_start_ours=started.then_start_ours,
                )
                if not self.wait_for_completion and not started.then_start_ours:
                    return self._leave(context, ticket)
                outcome = self._wait(context, hook, ticket, errand)
                following = self._next_order(errand, outcome)
        except FivetranError:
            self._put_back(hook, errand, leaving_the_sync=True)
            raise
        return self._finish(context, hook, errand, outcome)

    def _wait(self, context: Context, hook: FivetranHook, ticket: Ticket, errand: Errand) -> Outcome:
        if self.deferrable:
            self._defer(context, ticket, errand)
        self._at_work = (hook, errand)
        outcome = hook.carry_out(watch(ticket, utcnow))
        self._at_work = None
        return outcome

    def _defer(self, context: Context, ticket: Ticket, errand: Errand) -> None:
        if errand.undo.changes():
            kept = {"connection_id": errand.connection_id, "undo": errand.undo.to_json()}
            context["ti"].xcom_push(key=UNDO_XCOM, value=kept)
        limit = max(ticket.timeout or HISTORICAL_TIMEOUT, timedelta(0))
        self.defer(
            trigger=FivetranSyncTrigger(
                ticket=ticket.to_json(),
                fivetran_conn_id=self.fivetran_conn_id,
                retry_limit=self.fivetran_retry_limit,
                retry_delay=self.fivetran_retry_delay,
                when_killed="leave" if errand.then_start_ours else self.when_killed,
                errand=errand.to_json(),
            ),
            method_name="execute_complete",
            timeout=max(ticket.begun_at + limit - utcnow(), timedelta(0)) + BACKSTOP,
        )

    def _next_order(self, errand: Errand, outcome: Outcome | BrokenOff) -> Order | None:
        """What to start next, where the end of one wait is not the end of the task."""
        order = replace(self._order(errand.connection_id), **_NOT_AGAIN)
        if isinstance(outcome, TriggerAgain):
            self.log.info("%s", outcome.message)
            return replace(order, when_running="attach")
        if errand.then_start_ours and isinstance(outcome, Ended) and _leaves_room(outcome):
            self.log.info("The sync before ours is over: %s", outcome.message)
            return order
        return None

    def _finish(
        self, context: Context, hook: FivetranHook, errand: Errand, outcome: Outcome | BrokenOff
    ) -> str | None:
        """Leave the record, put back what was changed, and end the task as the sync ended."""
        if isinstance(outcome, BrokenOff):
            self._put_back(hook, errand, leaving_the_sync=True)
            raise outcome.error
        if isinstance(outcome, TriggerAgain):  # followed by another start, so not an end
            raise TypeError(outcome.message)
        self._push(context, outcome.record)
        self._put_back(hook, errand)
        error = error_of(outcome)
        if error is not None:
            raise error
        self.log.info("%s", outcome.message)
        return outcome.record.ended_at_text

    def _leave(self, context: Context, ticket: Ticket) -> str:
        record = SyncRecord(connection_id=ticket.connection_id, status="started", link=ticket.link)
        self._push(context, record)
        return write_moment(ticket.after_all_earlier)

    def _without_a_sync(self, context: Context, outcome: NotNeeded | Skipped) -> str | None:
        self._push(context, outcome.record)
        if isinstance(outcome, Skipped):
            raise AirflowSkipException(f"{outcome.record.connection_id}: {outcome.reason}")
        self.log.info("The last sync ended well at %s: fresh enough", outcome.record.ended_at)
        return outcome.record.ended_at_text

    @staticmethod
    def _push(context: Context, record: SyncRecord) -> None:
        context["ti"].xcom_push(key=RECORD_XCOM, value=record.to_json())


# What holds only for the first start of a task, when it starts a second time.
_NOT_AGAIN: dict[str, Any] = {"fresh_within": None, "schedule_type": None, "restore_schedule": False}


def _leaves_room(outcome: Ended) -> bool:
    """Whether a sync that ours was queued behind is over, so that ours can start."""
    return outcome.record.status in {"succeeded", "failed", "cancelled", "paused", "rescheduled"}


def _shorter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    known = [span for span in (one, other) if span is not None]
    return min(known, default=None)


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
