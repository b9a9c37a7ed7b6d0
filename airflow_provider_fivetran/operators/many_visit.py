"""One visit to a worker of a task that starts many syncs: it starts as many as may run at once, and defers.

Syncs are started here and not in the triggerer, which only waits, for two reasons. Before a sync is triggered that
has to be noted where the next try finds it, and a trigger cannot reach Airflow's task state store (3.3). And when a
triggerer stalls, another takes its triggers over while the first may still run: both would start the same syncs. Of
a worker that was given up Airflow takes no notes any more, and so it starts nothing.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_fivetran.announcing import MOST_EVENTS, announce_each
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranLookupError,
    FivetranSyncTimeout,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.events import BrokenOff, read_event
from airflow_provider_fivetran.core.many import RUNNING, WAITING, Result, as_xcom, summary_of
from airflow_provider_fivetran.core.moments import in_words, read_moment, write_moment
from airflow_provider_fivetran.core.packing import pack, unpack
from airflow_provider_fivetran.links import FivetranConnectionLink
from airflow_provider_fivetran.operators.desks import Desks
from airflow_provider_fivetran.operators.many_plan import Plan
from airflow_provider_fivetran.operators.many_starts import COME_BACK, Starts
from airflow_provider_fivetran.operators.memory import Notes
from airflow_provider_fivetran.operators.one_of_many import OneVisit
from airflow_provider_fivetran.operators.visiting import BACKSTOP
from airflow_provider_fivetran.trigger_many import VERDICT, FivetranSyncManyTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.one_of_many import Step
    from airflow_provider_fivetran.operators.sync_many import FivetranSyncManyOperator

__all__ = ["MOST", "SYNCS_XCOM", "ManyVisit"]

log = logging.getLogger(__name__)

# The XCom with a result for each connection. While the task is deferred it says how far each has come.
SYNCS_XCOM = "fivetran_syncs"
# What is noted of one task, and its results, have to stay small enough for Airflow's database.
MOST = 1000


class ManyVisit:
    """One visit of a task to a worker."""

    def __init__(self, task: FivetranSyncManyOperator, context: Context, hook: FivetranHook) -> None:
        self._task = task
        self._context = context
        self._hook = hook
        self._desks = Desks(context)
        self._notes: Notes[Plan] = Notes(context, task.retries, Plan.from_json)
        self._plan = Plan(ids=())
        self._is_first = True
        self._results: dict[str, Result] = {}
        self._starts = Starts(hook, task.each(), self._desks, most=task.max_parallel, on_end=self._end)

    def close(self) -> None:
        """Close what was opened."""
        self._starts.close()

    # --- the ways into it ---------------------------------------------------------------------------------

    def begin(self) -> list[str]:
        """Choose the connections, or go on with those of an earlier try, and start."""
        self._plan = self._planned()
        if not self._plan.ids:
            if self._task.when_empty == "fail":
                raise FivetranLookupError(
                    "there is no Fivetran connection to sync among those that were asked for; if that is no "
                    "mistake, set when_empty to 'pass'"
                )
            log.info("There is no connection to sync")
            return self._conclude()
        self._notes.keep_before_a_change(self._plan)
        self._results = {name: Result(connection_id=name, status=WAITING) for name in self._plan.ids}
        log.info("%d connections to sync, at most %d at once", len(self._plan.ids), self._task.max_parallel)
        return self._go_on(self._divide())

    def resume(self, event: object) -> list[str]:
        """Go on when the trigger has sent its event."""
        try:
            ended, waits, errand = _read(event)
        except FivetranError as error:
            return self.was_cut_off(error)
        self._find_state()
        known = {name: wait for name, wait in waits.items() if name in self._results}
        self._starts.waits = {name: wait for name, wait in known.items() if name not in ended}
        self._starts.ending = {name: wait for name, wait in known.items() if name in ended}
        if self._starts.is_killed:  # before it was known what is to be seen to
            self._starts.was_killed()
        self._starts.tries.update(errand["tries"])
        self._starts.in_vain = int(errand["in_vain"])
        self._starts.key_has_worked = True
        if errand.get("rests_until") is not None:
            self._starts.rest_until(read_moment(errand["rests_until"]))
        return self._go_on((name, partial(OneVisit.end, event=ended[name])) for name in self._starts.ending)

    def was_cut_off(self, error: Exception, *, out_of_time: bool = False) -> list[str]:
        """Write down what is over, although the wait has ended without an event; for the rest that is an error.

        :raises Exception: the error. A retry goes on with the syncs that are not over.
        """
        self._find_state()
        running = [name for name, result in self._results.items() if result.status == RUNNING]
        if out_of_time:
            return self._end_at_the_deadline(running)
        self._cut_off(running, FivetranError(str(error)), out_of_time=False)
        self._push()
        raise error

    def was_killed(self) -> None:
        """Airflow ends this process, within five seconds: see to the syncs if nobody comes back to them."""
        self._starts.was_killed()

    # --- its course ---------------------------------------------------------------------------------------

    def _planned(self) -> Plan:
        now, request = utcnow(), self._task.request()
        recalled = self._notes.recall()
        self._is_first = recalled is None
        if recalled is not None:
            plan = recalled.memo
            again = recalled.cleared or plan.request != request or (plan.is_done and recalled.by_this_try)
            if not again:
                log.info("Going on with the %d connections of an earlier try of this task", len(plan.ids))
                return Plan(ids=plan.ids, request=request, begun_at=plan.begun_at or now)
        ids = self._task.choose(self._hook)
        most = MOST_EVENTS if self._task.outlets else MOST
        if len(ids) > most:
            raise FivetranLookupError(
                f"{len(ids)} connections are chosen; allowed are {most} at most in one task"
                f"{' with outlets' if self._task.outlets else ''}: divide them, by group or by name_pattern"
            )
        if recalled is not None:  # a sync may run, or something may have to be put back
            ids += tuple(name for name in recalled.memo.ids if name not in ids and self._is_unfinished(name))
        return Plan(ids=ids, request=request, begun_at=now)

    def _is_unfinished(self, name: str) -> bool:
        return self._starts.visit(name).is_unfinished()

    def _divide(self) -> list[tuple[str, Callable[[OneVisit], Step]]]:
        """Let wait for their turn those that no earlier try has started. The others need no room: they have it."""
        if self._is_first:
            self._starts.queue.extend(self._plan.ids)
            return []
        is_late = utcnow() >= self._deadline
        jobs: list[tuple[str, Callable[[OneVisit], Step]]] = []
        for name in self._plan.ids:
            left = self._starts.visit(name).left_by_earlier_try()
            if left == "nothing" or (left == "changes" and not is_late):
                self._starts.queue.append(name)
            else:
                begin = left == "good_end" or not is_late
                jobs.append((name, OneVisit.start if begin else self._out_of_time))
        return jobs

    def _find_state(self) -> None:
        """Take up what this try has left when it was deferred."""
        recalled = self._notes.recall()
        self._plan = recalled.memo if recalled is not None else Plan(ids=(), begun_at=utcnow())
        ti = self._context["ti"]
        left = ti.xcom_pull(task_ids=ti.task_id, key=SYNCS_XCOM, map_indexes=ti.map_index)
        try:
            results = [Result.from_json(each) for each in left["connections"]]
        except (KeyError, TypeError) as error:
            raise FivetranUnexpectedAnswer(
                f"the XCom {SYNCS_XCOM} of this task holds no results: {str(left)[:300]}"
            ) from error
        self._results = {result.connection_id: result for result in results}
        self._starts.queue.extend(name for name, each in self._results.items() if each.status == WAITING)
        self._desks.find_notes()

    def _go_on(self, jobs: Iterable[tuple[str, Callable[[OneVisit], Step]]]) -> list[str]:
        starts = self._starts
        starts.is_late = utcnow() >= self._deadline
        starts.carry_out(jobs)
        if starts.is_late or utcnow() >= self._deadline:
            return self._end_at_the_deadline(list(starts.waits))
        if starts.hopeless is not None:
            starts.give_up_the_rest(starts.hopeless)
        if starts.waits or starts.queue:
            self._defer()
        return self._conclude()

    def _end_at_the_deadline(self, running: list[str]) -> list[str]:
        error = self._time_is_over
        self._starts.ending, self._starts.waits = self._starts.waits, {}
        self._cut_off(running, error, out_of_time=True)
        self._starts.give_up_the_rest(error)
        return self._conclude()

    @property
    def _time_is_over(self) -> FivetranSyncTimeout:
        return FivetranSyncTimeout(
            f"the time for all syncs of this task, {in_words(self._task.limit)}, is over"
        )

    def _out_of_time(self, visit: OneVisit) -> Step:
        return visit.cut_off(self._time_is_over, out_of_time=True)

    def _cut_off(self, names: Iterable[str], error: FivetranError, *, out_of_time: bool) -> None:
        self._starts.is_late = True
        self._starts.carry_out(
            (name, partial(OneVisit.cut_off, error=error, out_of_time=out_of_time)) for name in names
        )

    def _defer(self) -> NoReturn:
        starts = self._starts
        waiting, now = len(starts.queue), utcnow()
        for name in starts.waits:
            self._results[name] = Result(connection_id=name, status=RUNNING)
        for name in starts.queue:
            self._results[name] = Result(connection_id=name, status=WAITING)
        self._push()
        self._desks.carry_notes(list(starts.waits))
        self._notes.keep_through_deferral(self._plan)
        log.info("%s", summary_of(list(self._results.values())))
        rest = starts.rest or (None if starts.waits else COME_BACK)
        ticket = {
            "waits": pack(starts.waits),
            "enough": min(waiting, max(1, self._task.max_parallel // 2)) if waiting else None,
            "wake_at": write_moment(now + rest) if waiting and rest else None,
            "deadline": write_moment(self._deadline),
        }
        raise TaskDeferred(
            trigger=FivetranSyncManyTrigger(
                ticket=ticket,
                fivetran_conn_id=self._task.fivetran_conn_id,
                retry_limit=self._task.fivetran_retry_limit,
                retry_delay=self._task.fivetran_retry_delay,
                when_killed=self._task.when_killed,
                errand={
                    "tries": dict(starts.tries),
                    "in_vain": starts.in_vain,
                    "rests_until": starts.rests_until and write_moment(starts.rests_until),
                },
            ),
            method_name="execute_complete",
            timeout=max(self._deadline - now, timedelta(0)) + BACKSTOP,
        )

    # --- its end ------------------------------------------------------------------------------------------

    def _end(self, result: Result) -> None:
        self._results[result.connection_id] = result
        if result.is_failure:
            reason = f": {result.reason}" if result.reason else ""
            log.warning(
                "%s %s%s %s", result.connection_id, result.status.replace("_", " "), reason, result.link
            )
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
    def _deadline(self) -> datetime:
        return (self._plan.begun_at or utcnow()) + self._task.limit


def _read(event: object) -> tuple[dict[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """What the trigger sent: what has ended, all waits that it was given, and the errand.

    :raises FivetranError: it sent something else, or that it was broken off.
    """
    try:
        if event["verdict"] == VERDICT:  # type: ignore[index]
            sent: Any = event
            return dict(sent["ended"]), unpack(sent["waits"]), sent["errand"]
    except (KeyError, TypeError, ValueError) as error:
        raise FivetranUnexpectedAnswer(
            f"the trigger sent an event that this version does not understand: {str(event)[:300]}"
        ) from error
    outcome = read_event(event)
    if isinstance(outcome, BrokenOff):
        raise outcome.error
    raise FivetranUnexpectedAnswer(f"the trigger sent the end of one sync: {str(event)[:300]}")
