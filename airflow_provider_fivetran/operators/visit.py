"""One visit of a task to a worker: from its beginning, or from the event of its trigger, to its end or deferral."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, AirflowTaskTimeout, TaskDeferred

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core import reports
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import BrokenOff, error_of, read_event
from airflow_provider_fivetran.core.moments import write_moment
from airflow_provider_fivetran.core.starting import Skipped, Started, Undo, start, take_up, undo
from airflow_provider_fivetran.core.steps import PATIENCE
from airflow_provider_fivetran.core.stopping import PATIENCE_WHEN_KILLED, let_it_be_stopped, stop
from airflow_provider_fivetran.core.ticket import HISTORICAL_TIMEOUT
from airflow_provider_fivetran.core.verdicts import SyncRecord, TimedOut, TriggerAgain
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.killing import may_be_stopped, state_in_worker, will_be_retried
from airflow_provider_fivetran.links import RECORD_XCOM
from airflow_provider_fivetran.operators.errand import Errand
from airflow_provider_fivetran.operators.memory import Memo, Memory, wanted_by
from airflow_provider_fivetran.triggers import FivetranSyncTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.starting import Keep, NotNeeded, Order, Progress, Start
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.core.ticket import Ticket
    from airflow_provider_fivetran.core.verdicts import Ended
    from airflow_provider_fivetran.core.watch import Outcome
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.sync import FivetranOperator

__all__ = ["Visit"]

# The trigger ends each wait itself; Airflow's own limit is there in case the trigger cannot.
BACKSTOP = timedelta(hours=1)
# What holds only for the first start of a task, when it starts a second time.
NOT_AGAIN: dict[str, Any] = {
    "fresh_within": None,
    "schedule_type": None,
    "restore_schedule": False,
    "scope_is_checked": True,
}


class Visit:
    """One visit of a task to a worker, at which it starts a sync, waits for it, or concludes.

    :param order_of: what the task wants, by the id of the Fivetran connection.
    """

    def __init__(
        self,
        task: FivetranOperator,
        context: Context,
        hook: FivetranHook,
        order_of: Callable[[str], Order],
    ) -> None:
        self._task = task
        self._context = context
        self._hook = hook
        self._order_of = order_of
        self._memory = Memory(context, task.retries)
        self._memo = Memo(errand=Errand(connection_id=""))
        self._taken_up = False
        self._last_act: Callable[[], None] | None = None
        self.landed: SyncRecord | None = None
        """What the task's assets are to be told, once it has ended well."""

    # --- the ways into it ---------------------------------------------------------------------------------

    def begin(self, connection_id: str) -> str | None:
        """Start what is wanted, or go on with what an earlier try has begun, and see it to its end."""
        order = self._order(connection_id)
        self._memo = Memo(errand=Errand(connection_id=connection_id))
        recalled = self._memory.recall()
        if recalled is None:
            # Where no note can last, "fail" may well have been obeyed by the try before this one.
            hides = self._memory.may_hide_a_sync and (self._memory.lasts or order.when_running != "fail")
            return self._see_through(self._start(replace(order, maybe_started=hides)))
        memo = recalled.memo
        if memo.wanted != wanted_by(order):
            self._put_back(memo.errand, leaving_the_sync=memo.ticket is not None)
            self._task.log.info(
                "What an earlier try of this task noted is about another sync: %s", memo.wanted
            )
            return self._see_through(self._start(order))
        if memo.ended is not None:
            only_triggered = memo.ended.status == "started" and self._task.wait_for_completion
            if recalled.by_this_try or recalled.cleared or only_triggered:
                return self._see_through(self._start(order))
            self._task.log.info("An earlier try of this task ended well, and its worker died right after it")
            self._push(memo.ended)
            self.landed = memo.ended if memo.ended.status != "started" else None
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
            errand, outcome = Errand.from_event(event), read_event(event)
        except FivetranError as error:
            return self.was_cut_off(error)
        recalled = self._memory.recall()
        self._memo = replace(recalled.memo, errand=errand) if recalled else Memo(errand=errand)
        if isinstance(outcome, BrokenOff):
            self._break_off(may_run=True)
            raise outcome.error
        return self._go_on_from(outcome)

    def was_cut_off(self, error: Exception, *, out_of_time: bool = False) -> str | None:
        """Go on, if its sync is over, although the wait has ended without an event; otherwise that is an error.

        :raises Exception: the error.
        """
        recalled = self._memory.recall()
        if recalled is not None:
            self._memo = recalled.memo
        outcome = self._look_once(self._memo.ticket) if self._memo.ticket is not None else None
        if outcome is not None:
            return self._go_on_from(outcome)
        if out_of_time:
            self._end_at_the_deadline()
        else:
            self._break_off(may_run=True)
        raise error

    def was_killed(self) -> None:
        """Airflow ends this process, within five seconds: see to the connection if nobody comes back to it.

        What the signal has interrupted goes on after this. It starts nothing any more then, and what it was about to
        change is put back once more.
        """
        ti = self._context["ti"]
        state = state_in_worker(ti)
        if will_be_retried(ti, state) and self._memory.lasts:
            self._task.log.info("The next try of this task goes on with its sync, which is left alone")
            # Where Airflow does not say so, it may not come back: what does no harm to the sync is put back.
            self._last_act = (lambda: None) if state is not None else self._put_back_around_the_sync
        elif self._task.when_killed == "stop" and may_be_stopped(state):
            self._last_act = partial(self._stop_or_put_back, patience=PATIENCE_WHEN_KILLED)
        else:
            self._last_act = self._put_back_around_the_sync
        self._last_act()

    # --- its course ---------------------------------------------------------------------------------------

    def _see_through(self, beginning: Procedure[Start]) -> str | None:
        """Go from one start to the next, until the end of the task or its deferral."""
        following: Procedure[Start] | None = beginning
        try:
            while following is not None:
                begun = self._hook.carry_out(following)
                if not isinstance(begun, Started):
                    return self._conclude_without_a_sync(begun)
                if not self._task.wait_for_completion and not begun.then_start_ours:
                    return self._leave(begun.ticket)
                outcome = self._wait(begun.ticket)
                following = self._what_follows(outcome)
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
            outcome = reports.timed_out(self._memo.ticket, "the task's execution_timeout passed", utcnow())
        return self._conclude(outcome)

    def _break_off(self, *, may_run: bool = False) -> None:
        """Put back what can be, and keep what a later try must know.

        :param may_run: a sync of ours may still run even if no ticket for it is known here.
        """
        leaving = may_run or self._memo.ticket is not None
        errand = self._memo.errand
        if self._put_back(errand, leaving_the_sync=leaving):
            errand = replace(errand, undo=Undo(pause=leaving and errand.undo.pause))
        self._memo = replace(self._memo, errand=errand)
        if self._memo.ticket is None and not errand.undo.changes():
            self._memory.forget()
        elif self._memo.wanted:
            self._memory.keep(self._memo)

    def _go_on_from(self, outcome: Outcome) -> str | None:
        following = self._what_follows(outcome)
        return self._conclude(outcome) if following is None else self._see_through(following)

    def _start(self, order: Order) -> Procedure[Start]:
        self._memo = Memo(errand=self._memo.errand, wanted=wanted_by(order))
        self._taken_up = False
        begun_at = self._memo.errand.begun_at
        return start(order, utcnow, begun_at=begun_at, keep=self._keeper(order))

    def _go_on(self, order: Order, memo: Memo, ticket: Ticket, *, cleared: bool) -> Procedure[Start]:
        """Go on where an earlier try has taken a ticket."""
        errand, unanswered = memo.errand, memo.unanswered
        if cleared and (unanswered or not self._still_runs(ticket)):
            # A person wants it to run again, and no sync of it is known to run.
            self._memo = Memo(errand=replace(errand, then_start_ours=False))
            return self._start(replace(order, maybe_started=unanswered))
        self._task.log.info("An earlier try of this task has begun already; going on with its sync")
        self._taken_up = True
        self._memory.keep(memo)  # as this try's: it is this one now that may die
        begun = Started(ticket=ticket, undo=errand.undo, then_start_ours=errand.then_start_ours)
        return take_up(order, begun, utcnow, unanswered=unanswered, keep=self._keeper(order))

    def _still_runs(self, ticket: Ticket) -> bool:
        """Whether the sync of a task that was cleared is still under way."""
        if (
            self._task.when_killed == "stop"
        ):  # which may be going on, if the task was marked failed just before
            self._hook.carry_out(let_it_be_stopped(ticket.connection_id, utcnow))
        if self._look_once(ticket) is not None:
            return False
        if utcnow() < ticket.shows_by:
            return True
        try:
            connection = self._hook.get_fivetran_connection(ticket.connection_id)
        except FivetranError:  # to wait for it is safe, and patient
            return True
        return connection.is_syncing or connection.is_rescheduled

    def _wait(self, ticket: Ticket) -> Outcome:
        if not self._task.deferrable:
            return self._hook.carry_out(watch(ticket, utcnow, taken_up=self._taken_up))
        if self._taken_up:
            # A sync may have ended long since; Airflow 3.3.2 now and then fails a task that resumes at once.
            outcome = self._look_once(ticket)
            if outcome is not None:
                return outcome
        return self._defer(ticket)

    def _look_once(self, ticket: Ticket) -> Outcome | None:
        """What became of a sync of an earlier visit, if one look tells."""
        try:
            return self._hook.carry_out_to_pause(watch(ticket, utcnow, taken_up=True, key_has_worked=False))
        except FivetranError:
            return None

    def _defer(self, ticket: Ticket) -> NoReturn:
        self._memory.keep_through_deferral(self._memo)
        limit = max(ticket.timeout or HISTORICAL_TIMEOUT, timedelta(0))
        raise TaskDeferred(
            trigger=FivetranSyncTrigger(
                ticket=ticket.to_json(),
                fivetran_conn_id=self._task.fivetran_conn_id,
                retry_limit=self._task.fivetran_retry_limit,
                retry_delay=self._task.fivetran_retry_delay,
                when_killed="stop" if self._is_to_be_stopped else "leave",
                errand={**self._memo.errand.to_json(), "wanted": dict(self._memo.wanted)},
            ),
            method_name="execute_complete",
            timeout=max(ticket.begun_at + limit - utcnow(), timedelta(0)) + BACKSTOP,
        )

    def _what_follows(self, outcome: Outcome) -> Procedure[Start] | None:
        """What to start next, where the end of one wait is not the end of the task."""
        errand = self._memo.errand
        if isinstance(outcome, TriggerAgain):
            self._task.log.info("%s", outcome.message)
            changed: dict[str, Any] = {"when_running": "attach"}
        elif errand.then_start_ours and _leaves_room(outcome):
            self._task.log.info("The sync before ours is over: %s", outcome.message)
            changed = {}
        else:
            return None
        return self._start(replace(self._order(errand.connection_id), **NOT_AGAIN, **changed))

    # --- its end ------------------------------------------------------------------------------------------

    def _conclude(self, outcome: Outcome) -> str | None:
        """Leave the record, put back what was changed, and end the task as the sync ended."""
        if isinstance(outcome, TriggerAgain):  # followed by another start, so not an end
            raise TypeError(outcome.message)
        if isinstance(outcome, TimedOut):
            if self._is_to_be_stopped:
                outcome = replace(outcome, message=f"{outcome.message} It was told to stop.")
            self._end_at_the_deadline()
        else:
            self._put_back(self._memo.errand)
        self._push(outcome.record)
        error = error_of(outcome)
        if error is not None:
            if not isinstance(outcome, TimedOut):
                self._memory.forget()
            raise error
        self._task.log.info("%s", outcome.message)
        self.landed = outcome.record
        return self._end_well(outcome.record, outcome.record.ended_at_text)

    def _conclude_without_a_sync(self, outcome: NotNeeded | Skipped) -> str | None:
        self._put_back(self._memo.errand)
        self._push(outcome.record)
        self._memory.forget()
        if isinstance(outcome, Skipped):
            raise AirflowSkipException(f"{outcome.record.connection_id}: {outcome.reason}")
        self._task.log.info("The last sync ended well at %s: fresh enough", outcome.record.ended_at)
        self.landed = outcome.record
        return outcome.record.ended_at_text

    def _leave(self, ticket: Ticket) -> str | None:
        record = SyncRecord(connection_id=ticket.connection_id, status="started", link=ticket.link)
        self._push(record)
        return self._end_well(record, write_moment(ticket.after_all_earlier))

    def _end_well(self, record: SyncRecord, value: str | None) -> str | None:
        """Drop the ticket. What is kept instead is for a worker that dies before Airflow has learned of the end."""
        errand = replace(self._memo.errand, undo=Undo())
        self._memory.keep(Memo(errand=errand, wanted=self._memo.wanted, ended=record, value=value))
        return value

    def _end_at_the_deadline(self) -> None:
        if self._is_to_be_stopped:
            self._stop()
            self._memory.forget()
        else:
            self._memo = replace(self._memo, expired=True)
            self._break_off(may_run=True)

    # --- its parts ----------------------------------------------------------------------------------------

    @property
    def _is_to_be_stopped(self) -> bool:
        """Whether a sync of ours is under way that must not outlive the task."""
        ours = self._memo.ticket is not None and not self._memo.errand.then_start_ours
        return ours and self._task.when_killed == "stop"

    def _order(self, connection_id: str) -> Order:
        return replace(self._order_of(connection_id), resumable=self._memory.lasts)

    def _keeper(self, order: Order) -> Keep:
        """Notes how far a start has come, beside what had been changed before it."""
        earlier, wanted = self._memo.errand, wanted_by(order)

        def keep(progress: Progress) -> None:
            ticket = progress.ticket
            errand = replace(
                earlier,
                begun_at=ticket.begun_at if ticket else earlier.begun_at,
                undo=progress.undo.and_earlier(earlier.undo),
                then_start_ours=progress.then_start_ours,
            )
            memo = Memo(errand=errand, wanted=wanted, ticket=ticket, unanswered=progress.unanswered)
            ended = FivetranError(f"{order.connection_id}: Airflow ended the task while it started a sync")
            if progress.comes_before_a_change:
                if self._last_act is not None:  # and so that change is none to be noted
                    raise ended
                self._memory.keep_before_a_change(memo)
            else:
                self._memory.keep(memo)
            self._memo = memo
            if self._last_act is not None:
                raise ended

        return keep

    def _stop_or_put_back(self, **patience: timedelta) -> None:
        if self._is_to_be_stopped:
            self._stop(**patience)
        else:
            self._put_back_around_the_sync()

    def _put_back_around_the_sync(self) -> None:
        self._put_back(self._memo.errand, leaving_the_sync=self._memo.ticket is not None)

    def _stop(self, **patience: timedelta) -> None:
        errand = self._memo.errand
        self._hook.carry_out(stop(errand.connection_id, errand.undo, utcnow, **patience))

    def _put_back(self, errand: Errand, *, leaving_the_sync: bool = False) -> bool:
        """Put back what the task changed. Whatever goes wrong with that, the verdict on the sync stands.

        :return: whether all that was to be put back is as it was.
        """
        undone = replace(errand.undo, pause=False) if leaving_the_sync else errand.undo
        if undone != errand.undo:
            self._task.log.warning(
                "%s stays unpaused, because pausing it would stop a sync that may still run",
                errand.connection_id,
            )
        if not undone.changes():
            return True
        patience = timedelta(0) if self._last_act is not None else PATIENCE
        putting_back = partial(undo, errand.connection_id, undone, utcnow, patience=patience)
        try:
            try:
                return self._hook.carry_out(putting_back())
            except AirflowTaskTimeout:  # it comes once, and must not change what has been decided by now
                return self._hook.carry_out(putting_back())
        except Exception:  # reading the Airflow connection may fail in as many ways as there are backends
            self._task.log.exception("could not put back %s in %s", undone.changes(), errand.connection_id)
            return False

    def _push(self, record: SyncRecord) -> None:
        self._context["ti"].xcom_push(key=RECORD_XCOM, value=record.to_json())


def _leaves_room(outcome: Ended) -> bool:
    """Whether a sync that ours was queued behind is over, so that ours can start."""
    return outcome.record.status in {"succeeded", "failed", "cancelled", "paused", "rescheduled"}
