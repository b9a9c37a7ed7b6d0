"""Operators that start Fivetran syncs and wait for them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, conf

from airflow_provider_fivetran.arguments import (
    check_attempts,
    check_choice,
    check_identified,
    span_of,
)
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import BrokenOff, error_of, read_event
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.policies import (
    ScheduleType,
    WhenBroken,
    WhenKilled,
    WhenPaused,
    WhenRescheduled,
    WhenRunning,
)
from airflow_provider_fivetran.core.starting import Order, Skipped, Started, Undo
from airflow_provider_fivetran.core.ticket import DEFAULT_START_TIMEOUT, HISTORICAL_TIMEOUT
from airflow_provider_fivetran.core.verdicts import Ended, SyncRecord, TriggerAgain
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.links import RECORD_XCOM, FivetranConnectionLink
from airflow_provider_fivetran.raising import failing_at_once_when_pointless
from airflow_provider_fivetran.triggers import FivetranSyncTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.starting import NotNeeded
    from airflow_provider_fivetran.core.ticket import Ticket

__all__ = ["FivetranOperator", "FivetranResyncOperator"]

UNDO_XCOM = "fivetran_undo"
# The trigger ends each wait itself; Airflow's own limit is there in case the trigger cannot.
BACKSTOP = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand:
    """What a task must remember while it is deferred."""

    connection_id: str
    begun_at: datetime | None = None
    undo: Undo = field(default_factory=Undo)
    then_start_ours: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "connection_id": self.connection_id,
            "begun_at": self.begun_at and write_moment(self.begun_at),
            "undo": self.undo.to_json(),
            "then_start_ours": self.then_start_ours,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _Errand:
        return cls(
            connection_id=data["connection_id"],
            begun_at=read_moment(data["begun_at"]) if data.get("begun_at") else None,
            undo=Undo.from_json(data.get("undo")),
            then_start_ours=bool(data.get("then_start_ours")),
        )


class FivetranOperator(BaseOperator):
    """Starts a Fivetran sync and succeeds only when that sync has ended well.

    The connection is named by ``connector_id``, or by ``connector_name`` and ``destination_name``, which are
    looked up when the task runs.

    The return value is the time at which the sync ended, in ISO 8601. The XCom ``fivetran_sync`` holds the whole
    record, of a failed sync too: ``connection_id``, ``status``, ``sync_id``, ``started_at``, ``ended_at``,
    ``duration`` (seconds), ``volume_mb`` (by stage), ``reason`` and ``link``.

    :param connector_id: id of the Fivetran connection.
    :param connector_name: name of the connection in the dashboard (its schema name).
    :param destination_name: name of its destination in the dashboard (its group's name).
    :param run_name: shown in the log, for telling tasks apart; Fivetran does not get to see it.
    :param fivetran_conn_id: id of the Airflow connection.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most.
    :param fivetran_retry_delay: seconds before the first repetition; later pauses grow.
    :param poll_frequency: pause between two looks, a timedelta or seconds; unset, it is chosen by the age of the
        wait: 2 s at first, 15 s after a few minutes.
    :param schedule_type: ``"manual"`` or ``"auto"`` is set before the sync; unset leaves the schedule alone.
    :param reschedule_wait_time: seconds to wait after Fivetran put a sync off under manual scheduling; 0 means
        until the time that Fivetran announces.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :param wait_for_completion: off: return as soon as the sync is triggered, with the time that a
        :class:`~airflow_provider_fivetran.sensors.FivetranSensor` needs as ``completed_after_time``.
    :param when_running: a sync is running already. ``"attach"``: take it as ours; ``"queue"``: wait for its end,
        then start ours; ``"restart"``: stop it and start ours; ``"fail"``; ``"skip"``.
    :param when_rescheduled: Fivetran put the sync off. ``"wait"``: wait, and with manual scheduling trigger once
        more at the announced time; ``"fail"``.
    :param when_paused: the connection is paused. ``"fail"``; ``"unpause"``; ``"unpause_and_restore"``: pause it
        again at the end; ``"skip"``.
    :param when_broken: its setup is broken. ``"try"``: sync anyway, which can heal it; ``"test"``: run the setup
        tests first and go on if they pass; ``"fail"``.
    :param when_killed: the task is killed or marked failed by a person. ``"leave"``: the sync goes on; ``"stop"``:
        it is stopped, by pausing the connection until it has stopped. A deferred task is told of its end by
        Airflow 3.3 and newer only.
    :param restore_schedule: put the schedule type back at the end.
    :param fresh_within: succeed at once, without a sync, when the last sync ended well that recently; a timedelta
        or seconds.
    :param timeout: limit of the whole wait, from the first trigger; unset: 24 hours, or 7 days while Fivetran
        calls the sync historical. ``execution_timeout`` limits the wait too, if it is shorter.
    :param start_timeout: an accepted trigger must show itself as a sync within this time; 1 hour.
    :raises FivetranSyncError: (one of its kinds) the sync did not end well, or did not end.
    :raises AirflowFailException: trying again would change nothing: wrong key, connection deleted or paused, ...
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
        self._at_work: tuple[FivetranHook, _Errand] | None = None
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
        self._order(connection_id="")  # reads the durations

    # --- the task -----------------------------------------------------------------------------------------

    def execute(self, context: Context) -> str | None:
        """Start the sync and wait for it, here or in the triggerer."""
        with failing_at_once_when_pointless(), self._hook() as hook:
            connection_id = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
            FivetranConnectionLink.persist(context, dashboard_link(connection_id))
            if self.run_name:
                self.log.info("Run name: %s", self.run_name)
            return self._pursue(
                context, hook, _Errand(connection_id=connection_id), self._order(connection_id)
            )

    def execute_complete(self, context: Context, event: object, errand: Mapping[str, Any]) -> str | None:
        """Go on when the trigger has sent its event."""
        with failing_at_once_when_pointless(), self._hook() as hook:
            return self._conclude(context, hook, _Errand.from_json(errand), read_event(event))

    def on_kill(self) -> None:
        """Stop the sync that this worker waits for, if that is wanted."""
        if self.when_killed == "stop" and self._at_work is not None:
            hook, errand = self._at_work
            if not errand.then_start_ours:
                hook.stop_sync(errand.connection_id, errand.undo)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Put back what was changed when the trigger died instead of sending its event."""
        if next_method == "__fail__":
            left = context["ti"].xcom_pull(
                task_ids=self.task_id, key=UNDO_XCOM, map_indexes=context["ti"].map_index
            )
            if left:
                with self._hook() as hook:
                    hook.undo(left["connection_id"], Undo.from_json(left["undo"]))
        return super().resume_execution(next_method, next_kwargs, context)

    # --- its parts ----------------------------------------------------------------------------------------

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
            poll_frequency=span_of("poll_frequency", self.poll_frequency),
            reschedule_wait=span_of("reschedule_wait_time", self.reschedule_wait_time, zero=True) or None,
            fresh_within=span_of("fresh_within", self.fresh_within),
            timeout=_shorter(span_of("timeout", self.timeout), self.execution_timeout),
            start_timeout=span_of("start_timeout", self.start_timeout) or DEFAULT_START_TIMEOUT,
        )

    def _pursue(self, context: Context, hook: FivetranHook, errand: _Errand, order: Order) -> str | None:
        """Start what is wanted and see it to its end, or to the deferral."""
        try:
            started = hook.start(order, begun_at=errand.begun_at)
        except FivetranError:
            hook.undo(errand.connection_id, errand.undo)
            raise
        if not isinstance(started, Started):
            hook.undo(errand.connection_id, errand.undo)
            return self._without_a_sync(context, started)
        ticket = started.ticket
        errand = replace(
            errand,
            begun_at=ticket.begun_at,
            undo=started.undo.and_earlier(errand.undo),
            then_start_ours=started.then_start_ours,
        )
        if not self.wait_for_completion and not started.then_start_ours:
            self._push(
                context, SyncRecord(connection_id=ticket.connection_id, status="started", link=ticket.link)
            )
            return write_moment(ticket.after_all_earlier)
        if self.deferrable:
            self._defer(context, ticket, errand)
        self._at_work = (hook, errand)
        outcome = hook.wait_for_sync(ticket)
        self._at_work = None
        return self._conclude(context, hook, errand, outcome)

    def _defer(self, context: Context, ticket: Ticket, errand: _Errand) -> None:
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
                undo=errand.undo.to_json(),
            ),
            method_name="execute_complete",
            kwargs={"errand": errand.to_json()},
            timeout=max(ticket.begun_at + limit - utcnow(), timedelta(0)) + BACKSTOP,
        )

    def _conclude(
        self, context: Context, hook: FivetranHook, errand: _Errand, outcome: Ended | TriggerAgain | BrokenOff
    ) -> str | None:
        """Act on what became of the awaited sync."""
        if isinstance(outcome, TriggerAgain):
            self.log.info("%s", outcome.message)
            again = replace(self._order(errand.connection_id), when_running="attach", **_AGAIN)
            return self._pursue(context, hook, errand, again)
        if errand.then_start_ours and isinstance(outcome, Ended) and _leaves_room(outcome):
            self.log.info("The sync before ours is over: %s", outcome.message)
            return self._pursue(context, hook, errand, replace(self._order(errand.connection_id), **_AGAIN))
        hook.undo(errand.connection_id, errand.undo)
        if isinstance(outcome, BrokenOff):
            raise outcome.error
        self._push(context, outcome.record)
        error = error_of(outcome)
        if error is not None:
            raise error
        self.log.info("%s", outcome.message)
        return outcome.record.ended_at_text

    def _without_a_sync(self, context: Context, outcome: NotNeeded | Skipped) -> str | None:
        self._push(context, outcome.record)
        if isinstance(outcome, Skipped):
            raise AirflowSkipException(f"{outcome.record.connection_id}: {outcome.reason}")
        self.log.info("The last sync ended well at %s: fresh enough", outcome.record.ended_at)
        return outcome.record.ended_at_text

    @staticmethod
    def _push(context: Context, record: SyncRecord) -> None:
        context["ti"].xcom_push(key=RECORD_XCOM, value=record.to_json())


class FivetranResyncOperator(FivetranOperator):
    """Starts a historical re-sync, of everything or of some tables, and waits for it like for a sync.

    A sync that is running already is not the re-sync: unless ``when_running`` says otherwise its end is waited
    for first.

    :param scope: the tables to re-sync, by schema: ``{"shop": ["orders"]}``; unset means everything, which can
        take days. Names as in the source.
    :param kwargs: as for :class:`FivetranOperator`.
    """

    template_fields: Sequence[str] = (*FivetranOperator.template_fields, "scope")

    def __init__(self, *, scope: Mapping[str, Sequence[str]] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scope = scope

    def _order(self, connection_id: str) -> Order:
        return replace(super()._order(connection_id), resync=True, scope=_scope_of(self.scope))


# What holds only for the first start of a task, when it starts a second time.
_AGAIN: dict[str, Any] = {"fresh_within": None, "schedule_type": None, "restore_schedule": False}


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


def _scope_of(scope: Mapping[str, Sequence[str]] | str | None) -> Mapping[str, Sequence[str]] | None:
    """Read a scope, which a template may have turned into text.

    :raises ValueError: it is not tables by schema.
    """
    read: object = scope
    if isinstance(scope, str):
        try:
            read = json.loads(scope)
        except ValueError:
            read = scope
    if read is None:
        return None
    if isinstance(read, Mapping) and read and all(_are_names(tables) for tables in read.values()):
        return read
    raise ValueError(
        f"scope is {scope!r}; allowed is a list of tables by schema, such as {{'shop': ['orders']}}, none empty"
    )


def _are_names(tables: object) -> bool:
    return isinstance(tables, list | tuple) and len(tables) > 0 and all(isinstance(t, str) for t in tables)
