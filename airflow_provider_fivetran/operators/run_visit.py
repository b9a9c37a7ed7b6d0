"""One visit of a task that runs a transformation to a worker: from its beginning or its event to its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self

from airflow.providers.common.compat.sdk import AirflowSkipException, AirflowTaskTimeout, TaskDeferred

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import BrokenOff
from airflow_provider_fivetran.core.moments import write_moment
from airflow_provider_fivetran.core.run_decision import timed_out_run
from airflow_provider_fivetran.core.run_starting import RunSkipped, RunStarted, start_run, take_up_run
from airflow_provider_fivetran.core.run_watch import PATIENCE_WHEN_KILLED, cancel_run, watch_run
from airflow_provider_fivetran.core.runs import RunRecord, RunStatus, error_of_run, read_run_event
from airflow_provider_fivetran.killing import may_be_stopped, state_in_worker, will_be_retried
from airflow_provider_fivetran.links import TRANSFORMATION_XCOM
from airflow_provider_fivetran.operators.memory import Notes
from airflow_provider_fivetran.operators.run_memo import RunMemo

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.run_starting import RunOrder, RunProgress
    from airflow_provider_fivetran.core.run_ticket import RunTicket
    from airflow_provider_fivetran.core.runs import RunEnded
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.transformation import FivetranTransformationOperator

__all__ = ["RunVisit"]

# The trigger ends each wait itself; Airflow's own limit is there in case the trigger cannot.
BACKSTOP = timedelta(hours=1)
# After these ends of another's run ours can start.
LEAVES_ROOM = frozenset(RunStatus) - {RunStatus.GONE, RunStatus.TIMED_OUT}


class RunVisit:
    """One visit of a task to a worker, at which it starts a run, waits for it, or concludes."""

    def __init__(self, task: FivetranTransformationOperator, context: Context) -> None:
        self._task = task
        self._context = context
        self._memory = Notes(context, task.retries, RunMemo.from_json)
        self._memo = RunMemo(transformation_id="")
        self._made_hook: FivetranHook | None = None
        self._taken_up = False
        self._last_act: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._made_hook is not None:
            self._made_hook.close()

    @property
    def hook(self) -> FivetranHook:
        """Made on first use: a task whose trigger tells of a good end needs none."""
        if self._made_hook is None:
            self._made_hook = self._task.make_hook()
        return self._made_hook

    # --- the ways into it ---------------------------------------------------------------------------------

    def begin(self, transformation_id: str) -> str | None:
        """Start what is wanted, or go on with what an earlier try has begun, and see it to its end."""
        order = self._task.order_of(transformation_id)
        self._memo = RunMemo(transformation_id=transformation_id)
        recalled = self._memory.recall()
        if recalled is None:
            # Where no note can last, "fail" may well have been obeyed by the try before this one.
            hides = self._memory.may_hide_a_sync and (self._memory.lasts or order.when_running != "fail")
            return self._see_through(self._start(replace(order, maybe_started=hides)))
        memo = recalled.memo
        if memo.wanted != _wanted_by(order):
            self._task.log.info(
                "What an earlier try of this task noted is about another run: %s", memo.wanted
            )
            return self._see_through(self._start(order))
        if memo.ended is not None:
            only_triggered = memo.ended.status is RunStatus.STARTED and self._task.wait_for_completion
            if recalled.by_this_try or recalled.cleared or only_triggered:
                return self._see_through(self._start(order))
            self._task.log.info("An earlier try of this task ended well, and its worker died right after it")
            self._push(memo.ended)
            return memo.value
        if recalled.cleared or memo.expired:
            memo = memo.from_now(utcnow())
        self._memo = memo
        if memo.ticket is None:
            return self._see_through(self._start(order))
        return self._see_through(self._go_on(order, memo, memo.ticket, cleared=recalled.cleared))

    def resume(self, event: object) -> str | None:
        """Go on when the trigger has sent its event."""
        try:
            memo, outcome = RunMemo.from_event(event), read_run_event(event)
        except FivetranError as error:
            return self.was_cut_off(error)
        self._memo = memo
        if isinstance(outcome, BrokenOff):
            self._break_off()
            raise outcome.error
        return self._go_on_from(outcome)

    def was_cut_off(self, error: Exception, *, out_of_time: bool = False) -> str | None:
        """Go on, if its run is over, although the wait has ended without an event; otherwise that is an error.

        :raises Exception: the error.
        """
        recalled = self._memory.recall()
        if recalled is not None:
            self._memo = recalled.memo
        ended = self._look_once(self._memo.ticket) if self._memo.ticket is not None else None
        if ended is not None:
            return self._go_on_from(ended)
        if out_of_time:
            self._end_at_the_deadline()
        else:
            self._break_off()
        raise error

    def was_killed(self) -> None:
        """Airflow ends this process, within five seconds: see to the run if nobody comes back to it.

        What the signal has interrupted goes on after this. It starts nothing any more then.
        """
        ti = self._context["ti"]
        state = state_in_worker(ti)
        self._last_act = _do_nothing
        if will_be_retried(ti, state) and self._memory.lasts:
            self._task.log.info("The next try of this task goes on with its run, which is left alone")
        elif self._task.when_killed == "cancel" and may_be_stopped(state):
            self._last_act = partial(self._cancel, patience=PATIENCE_WHEN_KILLED)
        self._last_act()

    # --- its course ---------------------------------------------------------------------------------------

    def _see_through(self, beginning: Procedure[RunStarted | RunSkipped]) -> str | None:
        """Go from one start to the next, until the end of the task or its deferral."""
        following: Procedure[RunStarted | RunSkipped] | None = beginning
        try:
            while following is not None:
                begun = self.hook.carry_out(following)
                if isinstance(begun, RunSkipped):
                    return self._skip(begun)
                if not self._task.wait_for_completion and not begun.then_start_ours:
                    return self._leave(begun.ticket)
                ended = self._wait(begun.ticket)
                following = self._what_follows(ended)
        except FivetranError:
            if self._last_act is not None:
                self._last_act()
            else:
                self._break_off()
            raise
        except AirflowTaskTimeout:
            if self._memo.ticket is None:
                self._break_off()
                raise
            ended = timed_out_run(self._memo.ticket, "the task's execution_timeout passed", utcnow())
        return self._conclude(ended)

    def _break_off(self) -> None:
        """Keep what a later try must know."""
        if self._memo.ticket is None:
            self._memory.forget()
        else:
            self._memory.keep(self._memo)

    def _go_on_from(self, ended: RunEnded) -> str | None:
        following = self._what_follows(ended)
        return self._conclude(ended) if following is None else self._see_through(following)

    def _start(self, order: RunOrder) -> Procedure[RunStarted | RunSkipped]:
        begun_at = self._memo.begun_at
        self._memo = RunMemo(
            transformation_id=order.transformation_id, begun_at=begun_at, wanted=_wanted_by(order)
        )
        self._taken_up = False
        return start_run(order, utcnow, begun_at=begun_at, keep=self._keep)

    def _go_on(
        self, order: RunOrder, memo: RunMemo, ticket: RunTicket, *, cleared: bool
    ) -> Procedure[RunStarted | RunSkipped]:
        """Go on where an earlier try has taken a ticket."""
        if cleared and (memo.unanswered or not self._still_runs(ticket)):
            # A person wants it to run again, and no run of it is known to be under way.
            self._memo = replace(memo, begun_at=None)
            return self._start(replace(order, maybe_started=memo.unanswered))
        self._task.log.info("An earlier try of this task has begun already; going on with its run")
        self._taken_up = True
        self._memory.keep(memo)  # as this try's: it is this one now that may die
        begun = RunStarted(ticket=ticket, then_start_ours=memo.then_start_ours)
        return take_up_run(order, begun, utcnow, unanswered=memo.unanswered, keep=self._keep)

    def _still_runs(self, ticket: RunTicket) -> bool:
        """Whether the run of a task that was cleared is still under way, and not being cancelled."""
        if self._look_once(ticket) is not None:
            return False
        try:
            transformation = self.hook.get_transformation(ticket.transformation_id)
        except FivetranError:  # to wait for it is safe, and patient
            return True
        if transformation.is_active:
            return not transformation.is_being_cancelled
        return utcnow() < ticket.shows_by

    def _wait(self, ticket: RunTicket) -> RunEnded:
        if not self._task.deferrable:
            return self.hook.carry_out(watch_run(ticket, utcnow))
        if self._taken_up:
            # A run may have ended long since; Airflow 3.3.2 now and then fails a task that resumes at once.
            ended = self._look_once(ticket)
            if ended is not None:
                return ended
        return self._defer(ticket)

    def _look_once(self, ticket: RunTicket) -> RunEnded | None:
        """What became of a run of an earlier visit, if one look tells."""
        try:
            return self.hook.carry_out_to_pause(watch_run(ticket, utcnow, key_has_worked=False))
        except FivetranError:
            return None

    def _defer(self, ticket: RunTicket) -> NoReturn:
        from airflow_provider_fivetran.triggers import FivetranTransformationTrigger  # noqa: PLC0415

        self._memory.keep_through_deferral(self._memo)
        raise TaskDeferred(
            trigger=FivetranTransformationTrigger(
                ticket=ticket.to_json(),
                fivetran_conn_id=self._task.fivetran_conn_id,
                retry_limit=self._task.fivetran_retry_limit,
                retry_delay=self._task.fivetran_retry_delay,
                when_killed="cancel" if self._is_to_be_cancelled else "leave",
                errand=self._memo.to_json(),
            ),
            method_name="execute_complete",
            timeout=max(ticket.deadline() - utcnow(), timedelta(0)) + BACKSTOP,
        )

    def _what_follows(self, ended: RunEnded) -> Procedure[RunStarted | RunSkipped] | None:
        """What to start next, where the end of one wait is not the end of the task."""
        if not self._memo.then_start_ours or ended.record.status not in LEAVES_ROOM:
            return None
        self._task.log.info("The run before ours is over: %s", ended.message)
        return self._start(self._task.order_of(self._memo.transformation_id))

    # --- its end ------------------------------------------------------------------------------------------

    def _conclude(self, ended: RunEnded) -> str | None:
        """Leave the record, and end the task as the run ended."""
        if ended.record.status is RunStatus.TIMED_OUT:
            if self._is_to_be_cancelled:
                ended = replace(ended, message=f"{ended.message} The run was told to stop.")
            self._end_at_the_deadline()
        self._push(ended.record)
        error = error_of_run(ended)
        if error is not None:
            if ended.record.status is not RunStatus.TIMED_OUT:
                self._memory.forget()
            raise error
        self._task.log.info("%s", ended.message)
        return self._end_well(ended.record, ended.record.ended_at_text)

    def _skip(self, skipped: RunSkipped) -> NoReturn:
        self._push(skipped.record)
        self._memory.forget()
        raise AirflowSkipException(f"{skipped.record.transformation_id}: {skipped.reason}")

    def _leave(self, ticket: RunTicket) -> str:
        record = RunRecord(transformation_id=ticket.transformation_id, status=RunStatus.STARTED)
        self._push(record)
        value = write_moment(ticket.after_all_earlier)
        self._end_well(record, value)
        return value

    def _end_well(self, record: RunRecord, value: str | None) -> str | None:
        """Drop the ticket. What is kept instead is for a worker that dies before Airflow has learned of the end."""
        self._memory.keep(
            RunMemo(
                transformation_id=record.transformation_id,
                wanted=self._memo.wanted,
                ended=record,
                value=value,
            )
        )
        return value

    def _end_at_the_deadline(self) -> None:
        if self._is_to_be_cancelled:
            self._cancel()
            self._memory.forget()
        else:
            self._memo = replace(self._memo, expired=True)
            self._break_off()

    # --- its parts ----------------------------------------------------------------------------------------

    @property
    def _is_to_be_cancelled(self) -> bool:
        """Whether a run of this task is under way that must not outlive it."""
        ticket = self._memo.ticket
        return ticket is not None and ticket.is_ours and self._task.when_killed == "cancel"

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

    def _cancel(self, **patience: timedelta) -> None:
        if self._is_to_be_cancelled and self._memo.ticket is not None:
            self.hook.carry_out(cancel_run(self._memo.ticket, utcnow, **patience))

    def _push(self, record: RunRecord) -> None:
        self._context["ti"].xcom_push(key=TRANSFORMATION_XCOM, value=record.to_json())


def _wanted_by(order: RunOrder) -> dict[str, Any]:
    """Which run an order is for. The policies of a task may be changed between two tries of it; this may not."""
    return {"transformation_id": order.transformation_id, "full_refresh": order.full_refresh}


def _do_nothing() -> None:
    """What is left to do where the run is to be left alone."""
