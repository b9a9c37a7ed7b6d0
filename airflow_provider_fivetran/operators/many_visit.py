"""One visit to a worker of a task that starts many syncs: it starts as many as may run at once, and defers.

Syncs are started here and not in the triggerer, which only waits, for two reasons. Before a sync is triggered that
has to be noted where the next try finds it, and a trigger cannot reach Airflow's task state store (3.3). And when a
triggerer stalls, another takes its triggers over while the first may still run: both would start the same syncs. Of
a worker that was given up Airflow takes no notes any more, and so it starts nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_fivetran.announcing import MOST_EVENTS, announce_each
from airflow_provider_fivetran.clock import beyond, utcnow
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranLookupError,
    FivetranSyncTimeout,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.events import BrokenOff, read_event
from airflow_provider_fivetran.core.lines import connections
from airflow_provider_fivetran.core.many import RUNNING, WAITING, Result, as_xcom, line_of, summary_of
from airflow_provider_fivetran.core.moments import in_words, write_moment
from airflow_provider_fivetran.core.packing import pack, unpack
from airflow_provider_fivetran.links import FivetranConnectionLink
from airflow_provider_fivetran.operators.many_errand import ManyErrand
from airflow_provider_fivetran.operators.many_plan import Plan
from airflow_provider_fivetran.operators.many_starts import Starts
from airflow_provider_fivetran.operators.memory import Notes
from airflow_provider_fivetran.operators.one_of_many import OneVisit
from airflow_provider_fivetran.trigger_many import VERDICT, FivetranSyncManyTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.many_starts import Job
    from airflow_provider_fivetran.operators.memory import Recalled
    from airflow_provider_fivetran.operators.one_of_many import Left
    from airflow_provider_fivetran.operators.sync_many import FivetranSyncManyOperator

__all__ = ["MOST", "SYNCS_XCOM", "ManyVisit"]

log = logging.getLogger(__name__)

# The XCom with a result for each connection. While the task is deferred it says how far each has come.
SYNCS_XCOM = "fivetran_syncs"
# What is noted of one task, and its results, have to stay small enough for Airflow's database.
MOST = 1000
IN_DOUBT = "its trigger may have taken; whether it did is looked for"


class ManyVisit:
    """One visit of a task to a worker."""

    def __init__(self, task: FivetranSyncManyOperator, context: Context, hook: FivetranHook) -> None:
        self._task = task
        self._context = context
        self._hook = hook
        self._notes: Notes[Plan] = Notes(context, task.retries, Plan.from_json)
        self._plan = Plan(ids=())
        self._results: dict[str, Result] = {}
        self._starts = Starts(context, hook, task.each(), most=task.max_parallel, on_end=self._end)

    def open(self) -> None:
        """Read the Airflow connection, which may take long."""
        self._hook.get_conn()

    def close(self) -> None:
        """Close what was opened."""
        self._starts.close()

    # --- the ways into it ---------------------------------------------------------------------------------

    def begin(self) -> list[str]:
        """Choose the connections, or go on with those of an earlier try, and start."""
        recalled = self._notes.recall()
        self._plan = self._planned(recalled)
        if not self._plan.ids:
            if self._task.when_empty == "fail":
                raise FivetranLookupError(
                    f"there is no Fivetran connection to sync among those that were asked for ({self._asked_for}); "
                    "if that is no mistake, set when_empty to 'pass'"
                )
            log.info("There is no connection to sync")
            return self._conclude()
        self._notes.keep_before_a_change(self._plan)
        self._results = {name: Result(connection_id=name, status=WAITING) for name in self._plan.ids}
        log.info("%s to sync, at most %d at once", connections(len(self._plan.ids)), self._task.max_parallel)
        if recalled is not None:
            return self._go_on(self._divide())
        self._starts.queue.extend(self._plan.ids)
        return self._go_on([])

    def resume(self, event: object) -> list[str]:
        """Go on when the trigger has sent its event."""
        try:
            ended, waits, errand = _read(event)
        except FivetranError as error:
            return self.was_cut_off(error)
        starts = self._starts
        self._find_state(begun_at=errand.begun_at)
        starts.setbacks = errand.setbacks
        starts.queue.extendleft(errand.in_doubt)
        starts.waits = {name: wait for name, wait in waits.items() if name not in ended}
        starts.left = {**errand.in_doubt, **{name: waits[name] for name in ended}}
        return self._go_on((name, partial(OneVisit.end, event=event)) for name, event in ended.items())

    def was_cut_off(self, error: Exception, *, out_of_time: bool = False) -> list[str]:
        """Write down what is over, although the wait has ended without an event; for the rest that is an error.

        :raises Exception: the error. A retry goes on with the syncs that are not over.
        """
        self._find_state()
        running = [name for name, result in self._results.items() if result.status == RUNNING]
        for name in running:
            self._find_what_is_left(name)
        if out_of_time:
            return self._end_at_the_deadline(running)
        self._cut_off(running, FivetranError(str(error)), out_of_time=False)
        self._push()
        raise error

    def was_killed(self) -> None:
        """Airflow ends this process, within five seconds: see to the syncs if nobody comes back to them."""
        self._starts.was_killed()

    # --- its course ---------------------------------------------------------------------------------------

    def _planned(self, recalled: Recalled[Plan] | None) -> Plan:
        now, request = utcnow(), self._task.request()
        if recalled is not None:
            plan = recalled.memo
            again = recalled.cleared or plan.request != request or (plan.is_done and recalled.by_this_try)
            if not again:
                log.info("Going on with the choice of an earlier try: %s", connections(len(plan.ids)))
                return Plan(ids=plan.ids, request=request, begun_at=plan.begun_at or now)
        elif self._notes.may_hide_a_sync and self._notes.lasts:
            log.warning("It is not known when an earlier try has begun, and so total_timeout begins anew")
        ids = self._task.choose(self._hook)
        most = MOST_EVENTS if self._task.outlets else MOST
        if len(ids) > most:
            raise FivetranLookupError(
                f"{len(ids)} connections are chosen; allowed are {most} at most in one task"
                f"{' with outlets' if self._task.outlets else ''}: divide them, by group or by name_pattern"
            )
        if recalled is not None:  # a sync may run, or something may have to be put back
            ids += tuple(name for name in recalled.memo.ids if name not in ids and self._may_run(name))
        return Plan(ids=ids, request=request, begun_at=now)

    def _may_run(self, name: str) -> bool:
        """Whether an earlier try has left a sync of a connection that is not asked for any more."""
        visit = self._starts.visit(name)
        kind = visit.left_by_earlier_try()
        if kind == "changes":
            visit.put_back()
        return kind == "sync"

    def _divide(self) -> list[Job]:
        """Let wait for their turn those that no earlier try has started, behind those that one has.

        What one has only changed is put back first: whether its turn comes is not known.
        """
        left = {name: self._find_what_is_left(name) for name in self._plan.ids}
        for wanted in ("sync", "nothing"):
            self._starts.queue.extend(name for name, kind in left.items() if kind == wanted)
        at_once = {"good_end": OneVisit.start, "changes": OneVisit.put_back}
        return [(name, at_once[kind]) for name, kind in left.items() if kind in at_once]

    def _find_what_is_left(self, name: str) -> Left:
        visit = self._starts.visit(name)
        kind = visit.left_by_earlier_try()
        if visit.under_way is not None:
            self._starts.left[name] = visit.under_way
        elif kind == "changes":
            self._starts.changed[name] = visit
        return kind

    def _find_state(self, *, begun_at: datetime | None = None) -> None:
        """Take up what this try has left when it was deferred."""
        recalled = self._notes.recall()
        ti = self._context["ti"]
        left = ti.xcom_pull(task_ids=ti.task_id, key=SYNCS_XCOM, map_indexes=ti.map_index)
        try:
            results = [Result.from_json(each) for each in left["connections"]]
        except (KeyError, TypeError) as error:
            raise FivetranUnexpectedAnswer(
                f"the XCom {SYNCS_XCOM} of this task holds no results: {str(left)[:300]}"
            ) from error
        self._results = {result.connection_id: result for result in results}
        self._plan = (
            recalled.memo
            if recalled is not None
            else Plan(ids=tuple(self._results), request=self._task.request(), begun_at=begun_at)
        )
        self._starts.queue.extend(name for name, each in self._results.items() if each.status == WAITING)
        self._starts.desks.find_notes()

    def _go_on(self, jobs: Iterable[Job]) -> list[str]:
        starts = self._starts
        if utcnow() >= self._deadline:
            starts.why_not = self._out_of_time()
        self._carry_out(jobs)
        if starts.why_not is not None or utcnow() >= self._deadline:
            return self._end_at_the_deadline(list(starts.waits))
        if starts.setbacks.hopeless is not None:
            starts.give_up_the_rest(starts.setbacks.hopeless)
        if starts.waits or starts.queue:
            self._defer()
        return self._conclude()

    def _end_at_the_deadline(self, running: list[str]) -> list[str]:
        starts = self._starts
        error = self._out_of_time()
        starts.left, starts.waits = starts.left | starts.waits, {}
        in_doubt = [name for name in starts.queue if name in starts.left]
        starts.queue = deque(name for name in starts.queue if name not in starts.left)
        self._cut_off([*running, *in_doubt], error, out_of_time=True)
        starts.give_up_the_rest(error)
        return self._conclude()

    def _out_of_time(self) -> FivetranSyncTimeout:
        return FivetranSyncTimeout(
            f"the time for all syncs of this task, {in_words(self._task.limit)}, is over"
        )

    def _cut_off(self, names: Iterable[str], error: FivetranError, *, out_of_time: bool) -> None:
        self._starts.why_not = error
        self._carry_out(
            (name, partial(OneVisit.cut_off, error=error, out_of_time=out_of_time)) for name in names
        )

    def _carry_out(self, jobs: Iterable[Job]) -> None:
        try:
            self._starts.carry_out(jobs)
        except Exception:
            self._note_how_far()
            try:
                self._push()
            except Exception:  # whatever that is, the error of the task is the other one
                log.warning("how far the syncs have come cannot be pushed", exc_info=True)
            raise

    def _note_how_far(self) -> None:
        """Write into the results what is not decided yet."""
        starts = self._starts
        for name in starts.waits:
            self._results[name] = Result(connection_id=name, status=RUNNING)
        for name in starts.queue:
            may_run = name in starts.left
            self._results[name] = Result(
                connection_id=name,
                status=RUNNING if may_run else WAITING,
                reason=IN_DOUBT if may_run else None,
            )

    def _defer(self) -> NoReturn:
        starts, now = self._starts, utcnow()
        waiting = len(starts.queue)
        self._note_how_far()
        self._push()
        starts.desks.carry_notes([*starts.waits, *starts.left])
        self._notes.keep_through_deferral(self._plan)
        log.info("%s", summary_of(list(self._results.values())))
        wake_at = starts.setbacks.wake_at(now, anything_runs=bool(starts.waits)) if waiting else None
        ticket = {
            "waits": pack(starts.waits),
            "enough": min(waiting, max(1, self._task.max_parallel // 2)) if waiting else None,
            "wake_at": wake_at and write_moment(wake_at),
            "deadline": write_moment(self._deadline),
        }
        errand = ManyErrand(begun_at=self._plan.begun_at, setbacks=starts.setbacks, in_doubt=starts.left)
        raise TaskDeferred(
            trigger=FivetranSyncManyTrigger(
                ticket=ticket,
                fivetran_conn_id=self._task.fivetran_conn_id,
                retry_limit=self._task.fivetran_retry_limit,
                retry_delay=self._task.fivetran_retry_delay,
                when_killed=self._task.when_killed,
                errand=errand.to_json(),
            ),
            method_name="execute_complete",
            timeout=beyond(self._deadline),
        )

    # --- its end ------------------------------------------------------------------------------------------

    def _end(self, result: Result) -> None:
        self._results[result.connection_id] = result
        if result.is_failure:
            log.warning("%s", line_of(result))
        else:
            log.info("%s %s", result.connection_id, result.status)

    def _conclude(self) -> list[str]:
        """Leave the results, and end the task as the syncs have ended."""
        results = list(self._results.values())
        self._push()
        log.info("%s", summary_of(results))
        error = self._task.tolerance.error_of(results)
        if error is not None:
            if error.link is not None:
                FivetranConnectionLink.persist(self._context, error.link)
            if self._plan.ids:
                self._notes.keep(Plan(ids=self._plan.ids, request=self._plan.request))
            raise error
        self._notes.keep(
            Plan(ids=self._plan.ids, request=self._plan.request, begun_at=self._plan.begun_at, is_done=True)
        )
        announce_each(self._task, self._context, (result.record for result in results if result.is_good))
        if results and all(result.status == "skipped" for result in results):
            raise AirflowSkipException(f"all connections were skipped: {results[0].reason}")
        return [result.connection_id for result in results if result.is_good]

    def _push(self) -> None:
        self._context["ti"].xcom_push(key=SYNCS_XCOM, value=as_xcom(list(self._results.values())))

    @property
    def _asked_for(self) -> str:
        asked = {name: value for name, value in self._plan.request.items() if value}
        return ", ".join(f"{name}={value!r}" for name, value in asked.items()) or "connector_ids=[]"

    @property
    def _deadline(self) -> datetime:
        return (self._plan.begun_at or utcnow()) + self._task.limit


def _read(event: object) -> tuple[dict[str, Any], Mapping[str, Any], ManyErrand]:
    """What the trigger sent: what has ended, all waits that it was given, and the errand.

    :raises FivetranError: it sent something else, or that it was broken off.
    """
    try:
        if event["verdict"] == VERDICT:  # type: ignore[index]
            sent: Any = event
            return dict(sent["ended"]), unpack(sent["waits"]), ManyErrand.from_json(sent["errand"])
    except (KeyError, TypeError, ValueError) as error:
        raise FivetranUnexpectedAnswer(
            f"the trigger sent an event that this version does not understand: {str(event)[:300]}"
        ) from error
    outcome = read_event(event)
    if isinstance(outcome, BrokenOff):
        raise outcome.error
    raise FivetranUnexpectedAnswer(f"the trigger sent the end of one sync: {str(event)[:300]}")
