"""One visit of a task to a worker: from its beginning, or from the event of its trigger, to its end or deferral."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, AirflowTaskTimeout

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core import reports
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import error_of, read_event
from airflow_provider_fivetran.core.starting import Skipped, Started, Undo, start, take_up, undo
from airflow_provider_fivetran.core.steps import PATIENCE
from airflow_provider_fivetran.core.stopping import PATIENCE_WHEN_KILLED, let_it_be_stopped, stop
from airflow_provider_fivetran.core.verdicts import SyncRecord, TriggerAgain
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.links import RECORD_XCOM
from airflow_provider_fivetran.operators.errand import Errand
from airflow_provider_fivetran.operators.memory import Memo, Memory, wanted_by
from airflow_provider_fivetran.operators.visiting import Visiting
from airflow_provider_fivetran.triggers import FivetranSyncTrigger

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.events import BrokenOff
    from airflow_provider_fivetran.core.starting import Keep, NotNeeded, Order, Progress, Start
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.core.ticket import Ticket
    from airflow_provider_fivetran.core.verdicts import Ended, Final
    from airflow_provider_fivetran.core.watch import Outcome

__all__ = ["Visit"]

# What holds only for the first start of a task, when it starts a second time.
NOT_AGAIN: dict[str, Any] = {
    "fresh_within": None,
    "schedule_type": None,
    "restore_schedule": False,
    "scope_is_checked": True,
}


class Visit(Visiting["Order", Memo, "Outcome"]):
    """One visit of a task to a worker, at which it starts a sync, waits for it, or concludes."""

    what = "sync"
    told_to_stop = "It was told to stop."
    left_alone = "It was not stopped."
    xcom = RECORD_XCOM
    started = Started
    patience_when_killed = PATIENCE_WHEN_KILLED

    # --- its course ---------------------------------------------------------------------------------------

    def _notes(self) -> Memory:
        return Memory(self._context, self._task.retries)

    def _blank(self, about: str) -> Memo:
        return Memo(errand=Errand(connection_id=about))

    def _wanted_by(self, order: Order) -> dict[str, Any]:
        return wanted_by(order)

    def _read(self, event: object) -> tuple[Memo, Outcome | BrokenOff]:
        errand, outcome = Errand.from_event(event), read_event(event)
        recalled = self._memory.recall()
        return (replace(recalled.memo, errand=errand) if recalled else Memo(errand=errand)), outcome

    def _start(self, order: Order, *, maybe_started: bool = False) -> Procedure[Start]:
        self._memo = Memo(errand=self._memo.errand, wanted=wanted_by(order))
        self._taken_up = False
        order = replace(order, maybe_started=maybe_started, resumable=self._memory.lasts)
        return start(order, utcnow, begun_at=self._memo.errand.begun_at, keep=self._keeper(order))

    def _take_up(self, order: Order, memo: Memo, ticket: Ticket) -> Procedure[Start]:
        errand, order = memo.errand, replace(order, resumable=self._memory.lasts)
        begun = Started(ticket=ticket, undo=errand.undo, then_start_ours=errand.then_start_ours)
        return take_up(order, begun, utcnow, unanswered=memo.unanswered, keep=self._keeper(order))

    def _anew(self, memo: Memo) -> Memo:
        return Memo(errand=replace(memo.errand, then_start_ours=False))

    def _still_runs(self, ticket: Ticket) -> bool:
        """Whether the sync of a task that was cleared is still under way."""
        if self._task.when_killed == "stop":  # maybe going on, if the task was marked failed just before
            self._hook().carry_out(let_it_be_stopped(ticket.connection_id, utcnow))
        if self._look_once(ticket) is not None:
            return False
        if utcnow() < ticket.shows_by:
            return True
        try:
            connection = self._hook().get_fivetran_connection(ticket.connection_id)
        except FivetranError:  # to wait for it is safe, and patient
            return True
        return connection.is_syncing or connection.is_rescheduled

    def _watch(self, ticket: Ticket, *, by_another: bool = False) -> Procedure[Outcome]:
        taken_up = self._taken_up or by_another
        return watch(ticket, utcnow, taken_up=taken_up, key_has_worked=not by_another)

    def _trigger(self, **arguments: Any) -> FivetranSyncTrigger:
        errand = {**self._memo.errand.to_json(), "wanted": dict(self._memo.wanted)}
        return FivetranSyncTrigger(errand=errand, **arguments)

    def _ends_by(self, ticket: Ticket) -> datetime:
        return ticket.deadline(historical=True)

    def _timed_out(self, ticket: Ticket, why: str) -> Outcome:
        return reports.timed_out(ticket, why, utcnow())

    def _what_follows(self, outcome: Outcome) -> Procedure[Start] | None:
        errand = self._memo.errand
        if isinstance(outcome, TriggerAgain):
            self._task.log.info("%s", outcome.message)
            changed: dict[str, Any] = {"when_running": "attach"}
        elif errand.then_start_ours and _leaves_room(outcome):
            self._task.log.info("The sync before ours is over: %s", outcome.message)
            changed = {}
        else:
            return None
        return self._start(replace(self._order_of(errand.connection_id), **NOT_AGAIN, **changed))

    # --- its end ------------------------------------------------------------------------------------------

    def _error_of(self, outcome: Final) -> FivetranError | None:
        return error_of(outcome)

    def _conclude_without_one(self, begun: NotNeeded | Skipped) -> str | None:
        self._put_back(self._memo)
        self._push(begun.record)
        self._memory.forget()
        if isinstance(begun, Skipped):
            raise AirflowSkipException(f"{begun.record.connection_id}: {begun.reason}")
        name, at = begun.record.connection_id, begun.record.ended_at_text
        self._task.log.info("%s: fresh enough, for its last sync ended well at %s; none is started", name, at)
        return begun.record.ended_at_text

    def _record_of_start(self, ticket: Ticket) -> SyncRecord:
        return SyncRecord(connection_id=ticket.connection_id, status="started", link=ticket.link)

    def _done(self, record: SyncRecord, value: str | None) -> Memo:
        errand = replace(self._memo.errand, undo=Undo())
        return Memo(errand=errand, wanted=self._memo.wanted, ended=record, value=value)

    def _break_off(self, *, may_run: bool = False) -> None:
        """Put back what can be, and keep what a later try must know."""
        leaving = may_run or self._memo.ticket is not None
        errand = self._memo.errand
        if self._put_back(self._memo, leaving_it=leaving):
            errand = replace(errand, undo=Undo(pause=leaving and errand.undo.pause))
        self._memo = replace(self._memo, errand=errand)
        if self._memo.ticket is None and not errand.undo.changes():
            self._memory.forget()
        elif self._memo.wanted:
            self._memory.keep(self._memo)

    # --- its parts ----------------------------------------------------------------------------------------

    @property
    def _is_to_be_stopped(self) -> bool:
        ours = self._memo.ticket is not None and not self._memo.errand.then_start_ours
        return ours and self._task.when_killed == "stop"

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

    def _stop(self, **patience: timedelta) -> None:
        errand = self._memo.errand
        self._hook().carry_out(stop(errand.connection_id, errand.undo, utcnow, **patience))

    def _put_back(self, memo: Memo, *, leaving_it: bool = False) -> bool:
        errand = memo.errand
        undone = replace(errand.undo, pause=False) if leaving_it else errand.undo
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
                return self._hook().carry_out(putting_back())
            except AirflowTaskTimeout:  # it comes once, and must not change what has been decided by now
                return self._hook().carry_out(putting_back())
        except Exception:  # reading the Airflow connection may fail in as many ways as there are backends
            self._task.log.exception("could not put back %s in %s", undone.changes(), errand.connection_id)
            return False


def _leaves_room(outcome: Ended) -> bool:
    """Whether a sync that ours was queued behind is over, so that ours can start."""
    return outcome.record.status in {"succeeded", "failed", "cancelled", "paused", "rescheduled"}
