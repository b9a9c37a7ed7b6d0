"""One visit of a task that runs a transformation to a worker: from its beginning or its event to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.run_decision import timed_out_run
from airflow_provider_fivetran.core.run_starting import RunStarted, start_run, take_up_run
from airflow_provider_fivetran.core.run_watch import PATIENCE_WHEN_KILLED, cancel_run, watch_run
from airflow_provider_fivetran.core.runs import RunRecord, RunStatus, error_of_run, read_run_event
from airflow_provider_fivetran.links import TRANSFORMATION_XCOM
from airflow_provider_fivetran.operators.memory import Notes
from airflow_provider_fivetran.operators.run_memo import RunMemo
from airflow_provider_fivetran.operators.visiting import Visiting

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airflow_provider_fivetran.core.events import BrokenOff
    from airflow_provider_fivetran.core.run_starting import RunOrder, RunProgress, RunSkipped
    from airflow_provider_fivetran.core.run_ticket import RunTicket
    from airflow_provider_fivetran.core.runs import RunEnded
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.triggers import FivetranTransformationTrigger

__all__ = ["RunVisit"]

# After these ends of another's run ours can start.
LEAVES_ROOM = frozenset(RunStatus) - {RunStatus.GONE, RunStatus.TIMED_OUT}


class RunVisit(Visiting["RunOrder", RunMemo, "RunEnded"]):
    """One visit of a task to a worker, at which it starts a run, waits for it, or concludes."""

    what = "run"
    told_to_stop = "The run was told to stop."
    left_alone = "The run was not stopped."
    xcom = TRANSFORMATION_XCOM
    started = RunStarted
    patience_when_killed = PATIENCE_WHEN_KILLED

    # --- its course ---------------------------------------------------------------------------------------

    def _notes(self) -> Notes[RunMemo]:
        return Notes(self._context, self._task.retries, RunMemo.from_json)

    def _blank(self, about: str) -> RunMemo:
        return RunMemo(transformation_id=about)

    def _wanted_by(self, order: RunOrder) -> dict[str, Any]:
        # The policies of a task may be changed between two tries of it; these may not.
        return {"transformation_id": order.transformation_id, "full_refresh": order.full_refresh}

    def _read(self, event: object) -> tuple[RunMemo, RunEnded | BrokenOff]:
        return RunMemo.from_event(event), read_run_event(event)

    def _start(self, order: RunOrder, *, maybe_started: bool = False) -> Procedure[RunStarted | RunSkipped]:
        begun_at = self._memo.begun_at
        self._memo = RunMemo(
            transformation_id=order.transformation_id, begun_at=begun_at, wanted=self._wanted_by(order)
        )
        self._taken_up = False
        order = replace(order, maybe_started=maybe_started)
        return start_run(order, utcnow, begun_at=begun_at, keep=self._keep)

    def _take_up(
        self, order: RunOrder, memo: RunMemo, ticket: RunTicket
    ) -> Procedure[RunStarted | RunSkipped]:
        begun = RunStarted(ticket=ticket, then_start_ours=memo.then_start_ours)
        return take_up_run(order, begun, utcnow, unanswered=memo.unanswered, keep=self._keep)

    def _anew(self, memo: RunMemo) -> RunMemo:
        return replace(memo, begun_at=None)

    def _still_runs(self, ticket: RunTicket) -> bool:
        """Whether the run of a task that was cleared is still under way, and not being cancelled."""
        if self._look_once(ticket) is not None:
            return False
        try:
            transformation = self._hook().get_transformation(ticket.transformation_id)
        except FivetranError:  # to wait for it is safe, and patient
            return True
        if transformation.is_active:
            return not transformation.is_being_cancelled
        return utcnow() < ticket.shows_by

    def _watch(self, ticket: RunTicket, *, by_another: bool = False) -> Procedure[RunEnded]:
        return watch_run(ticket, utcnow, key_has_worked=not by_another)

    def _trigger(self, **arguments: Any) -> FivetranTransformationTrigger:
        from airflow_provider_fivetran.triggers import FivetranTransformationTrigger  # noqa: PLC0415

        return FivetranTransformationTrigger(errand=self._memo.to_json(), **arguments)

    def _ends_by(self, ticket: RunTicket) -> datetime:
        return ticket.deadline()

    def _timed_out(self, ticket: RunTicket, why: str) -> RunEnded:
        return timed_out_run(ticket, why, utcnow())

    def _what_follows(self, outcome: RunEnded) -> Procedure[RunStarted | RunSkipped] | None:
        if not self._memo.then_start_ours or outcome.record.status not in LEAVES_ROOM:
            return None
        self._task.log.info("The run before ours is over: %s", outcome.message)
        return self._start(self._order_of(self._memo.transformation_id))

    # --- its end ------------------------------------------------------------------------------------------

    def _error_of(self, outcome: RunEnded) -> FivetranError | None:
        return error_of_run(outcome)

    def _conclude_without_one(self, begun: RunSkipped) -> NoReturn:
        self._push(begun.record)
        self._memory.forget()
        raise AirflowSkipException(f"{begun.record.transformation_id}: {begun.reason}")

    def _record_of_start(self, ticket: RunTicket) -> RunRecord:
        return RunRecord(transformation_id=ticket.transformation_id, status=RunStatus.STARTED)

    def _done(self, record: RunRecord, value: str | None) -> RunMemo:
        about, wanted = record.transformation_id, self._memo.wanted
        return RunMemo(transformation_id=about, wanted=wanted, ended=record, value=value)

    def _break_off(self, *, may_run: bool = False) -> None:  # noqa: ARG002 - a ticket is always known
        if self._memo.ticket is None:
            self._memory.forget()
        else:
            self._memory.keep(self._memo)

    # --- its parts ----------------------------------------------------------------------------------------

    @property
    def _is_to_be_stopped(self) -> bool:
        ticket = self._memo.ticket
        return ticket is not None and ticket.is_ours and self._task.when_killed == "stop"

    def _keep(self, progress: RunProgress) -> None:
        """Note how far a start has come."""
        ticket = progress.ticket
        memo = replace(
            self._memo,
            begun_at=ticket.begun_at if ticket else self._memo.begun_at,
            ticket=ticket,
            unanswered=progress.unanswered,
            then_start_ours=progress.then_start_ours,
        )
        if progress.comes_before_a_change:
            if self._last_act is None:
                self._memory.keep_before_a_change(memo)
        elif ticket is None:
            self._memory.forget()
        else:
            self._memory.keep(memo)
        if self._last_act is None or not progress.comes_before_a_change:
            self._memo = memo
        if self._last_act is not None:
            raise FivetranError(
                f"Airflow ended the task while it started a run of {self._memo.transformation_id}",
                transformation_id=self._memo.transformation_id,
            )

    def _stop(self, **patience: timedelta) -> None:
        if self._memo.ticket is not None:
            self._hook().carry_out(cancel_run(self._memo.ticket, utcnow, **patience))
