"""Who was right: each verdict of a task against the simulator's own record of what happened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_fivetran.simulator import Request, Run, Simulator
    from tries import Task, Try

# Where a try may end red without a sync having failed: it never came to start one.
NOT_BEGUN = {
    "FivetranConflict",
    "FivetranRateLimited",
    "FivetranServerError",
    "FivetranUnauthorized",
    "FivetranUnexpectedAnswer",
    "FivetranUnreachable",
}
WORDS = {
    "succeeded": {"COMPLETED"},
    "failed": {"FAILURE"},
    "cancelled": {"CANCELED", "INCOMPLETE", "PAUSED"},
    # How a sync ended that was stopped right before the connection was paused, only a history can tell.
    "paused": {"CANCELED", "INCOMPLETE", "PAUSED", "RESCHEDULED"},
}
# A busy machine, or the death of the worker, may swallow one answer or two that the simulator has given.
LOOKS_THAT_TELL = 3
Gap = tuple[datetime, datetime]


@dataclass
class Errand:
    """The tries of a task that are about one sync, and what happened to its connection meanwhile.

    It ends with a verdict. Workers that die and people who clear the task before that change nothing about it.
    """

    tries: list[Try]
    runs: list[Run]

    @property
    def began(self) -> datetime:
        return self.tries[0].began

    @property
    def ended(self) -> datetime:
        return self.tries[-1].ended

    def ours(self, until: datetime | None = None) -> list[Run]:
        """The syncs that the task started."""
        return [
            run
            for run in self.known(until)
            if run.cause in {"api", "force"} and run.accepted_at >= self.began
        ]

    def known(self, until: datetime | None = None) -> list[Run]:
        """All that ended or began since the errand did."""
        return [
            run
            for run in self.runs
            if run.accepted_at <= (until or self.ended)
            and (run.ended_at is None or run.ended_at > self.began)
        ]


class Judge:
    """Knows the truth, and when no key that Airflow had was one that Fivetran took."""

    def __init__(self, sim: Simulator, gaps: list[Gap]) -> None:
        self._sim = sim
        self._gaps = gaps

    def faults_of(self, task: Task) -> list[tuple[str, str]]:
        """What is wrong with a task, with its kind: ``stuck``, ``twice`` or ``wrong``."""
        if task.crash:
            return [("wrong", task.crash)]
        if not task.is_over:
            return [("stuck", f"{len(task.tries)} tries ended")]
        found = []
        for errand in self._errands(task):
            found.append(("twice", self._started_twice(task, errand)))
            found += [
                ("wrong", self._wrong(task, errand, attempt)) for attempt in errand.tries if attempt.verdict
            ]
        return [(kind, fault) for kind, fault in found if fault is not None]

    def _errands(self, task: Task) -> Iterator[Errand]:
        runs = self._sim.runs(task.connection_id)
        tries: list[Try] = []
        for attempt in task.tries:
            tries.append(attempt)
            if attempt.is_last_of_its_sync or attempt is task.tries[-1]:
                yield Errand(tries, runs)
                tries = []

    # --- started twice --------------------------------------------------------------------------------------

    def _started_twice(self, task: Task, errand: Errand) -> str | None:
        ours = errand.ours()
        if self._sim.switches.history is not True:
            # Without a history nothing tells of a sync whose answer was lost and that was stopped before it was seen.
            told = [run for run in ours[:-1] if run.status in {"COMPLETED", "FAILURE", "RESCHEDULED"}]
            ours = told + ours[-1:]
        put_off = sum(run.status == "RESCHEDULED" for run in errand.known())
        allowed = 1 + put_off + self._forgotten(task, errand)
        if len(ours) > allowed:
            return f"{allowed} of its own were in order, but it started {_words(ours)} of {_words(errand.known())}"
        return None

    def _forgotten(self, task: Task, errand: Errand) -> int:
        """How often a try could not know that its sync had been started, or was told to start another.

        Where nothing is noted, all that a retry can see is whether a sync runs. A person who clears a task that is not
        in a worker wants another sync unless one runs.
        """
        return sum(
            not self._saw_a_sync(task, errand, later)
            for earlier, later in zip(errand.tries, errand.tries[1:], strict=False)
            if earlier.was_cleared or not task.fate.has_store
        )

    def _saw_a_sync(self, task: Task, errand: Errand, later: Try) -> bool:
        """Whether a sync was running whenever this try, or those after it, may have looked for the first time.

        That must be a sync of the task's own where it has noted which one that is.
        """
        seen = errand.ours() if task.fate.has_store else errand.known()
        answered = 0
        for look in self._looks(task, errand):
            if look.at < later.began:
                continue
            if not any(_was_running(run, look.at) for run in seen):
                return False
            answered += look.fault is None and look.status == HTTPStatus.OK
            if answered == LOOKS_THAT_TELL:
                return True
        return False

    def _looks(self, task: Task, errand: Errand) -> Iterator[Request]:
        return (
            request
            for request in self._asked(task, errand)
            if request.method == "GET" and request.path.endswith(f"/connections/{task.connection_id}")
        )

    def _asked(self, task: Task, errand: Errand) -> list[Request]:
        about_it = re.compile(rf"/connections/{task.connection_id}(/|$)")
        return [
            request
            for request in list(self._sim.requests)
            if errand.began <= request.at <= errand.ended and about_it.search(request.path)
        ]

    # --- a wrong verdict ------------------------------------------------------------------------------------

    def _wrong(self, task: Task, errand: Errand, attempt: Try) -> str | None:
        verdict, ours = attempt.verdict, errand.ours(attempt.ended)
        if verdict in WORDS:
            return self._wrong_end(task, errand, attempt)
        if verdict == "never_started":
            told = any(run.ended_at is None or run.status in {"COMPLETED", "FAILURE"} for run in ours[-1:])
            return f"never_started, but it started {_words(ours)}" if told else None
        if verdict in {"gone", "FivetranNotFound"}:
            return (
                f"{verdict}, but it is there" if task.connection_id in self._sim.account.connections else None
            )
        if verdict == "FivetranTriggerUncertain":
            return None
        if verdict == "FivetranUnauthorized" and not self._met_a_gap(attempt):
            return "FivetranUnauthorized, but at each moment it had a key that Fivetran took"
        if verdict in NOT_BEGUN:
            since = _known_since(task, errand, attempt)
            awaited = [run for run in ours if run.status != "RESCHEDULED" and run.accepted_at >= since]
            return f"{verdict}, but it had started {_words(awaited)}" if awaited else None
        return f"ended with {verdict!r}"

    def _wrong_end(self, task: Task, errand: Errand, attempt: Try) -> str | None:
        record, verdict = attempt.record or {}, attempt.verdict
        truth = possible = self._awaited(task, errand, attempt)
        if record["sync_id"] is not None:
            possible = [run for run in possible if run.sync_id == record["sync_id"]]
        elif record["ended_at"] is not None:
            ended_at = datetime.fromisoformat(record["ended_at"])
            possible = [run for run in possible if run.ended_at == ended_at]
        if any(run.status in WORDS[verdict] for run in possible):
            return None
        if verdict == "paused" and (not possible or self._triggered_in_vain(task, errand, attempt)):
            return None
        return f"{verdict} ({record['sync_id']}, {record['ended_at']}), but the truth is {_words(truth)}"

    def _triggered_in_vain(self, task: Task, errand: Errand, attempt: Try) -> bool:
        """Whether Fivetran took its trigger and started nothing, as it does where the connection is paused.

        So may be the trigger of a try that wants another sync after one that has ended: since a person has cleared the
        task, or since nothing was noted of the first.
        """
        ours = errand.ours(attempt.ended)
        forgot = any(t.was_cleared or not task.fate.has_store for t in errand.tries if t is not attempt)
        if ours and not (forgot and all(run.ended_at is not None for run in ours)):
            return False
        over = max((run.ended_at for run in ours if run.ended_at is not None), default=errand.began)
        return any(
            request.method == "POST" and over <= request.at <= attempt.ended
            for request in self._asked(task, errand)
        )

    def _awaited(self, task: Task, errand: Errand, attempt: Try) -> list[Run]:
        """The syncs that the verdict of a try may be about."""
        known, ours = errand.known(attempt.ended), errand.ours(attempt.ended)
        if not ours:
            return known  # it has joined one
        last = [run for run in known if run.accepted_at >= ours[-1].accepted_at]
        noted = task.fate.has_store and not any(earlier.was_cleared for earlier in errand.tries)
        # Timestamps alone do not tell two syncs apart that end between two looks, and nothing one that a person cancels
        # within the second of its trigger from one that was over before it.
        by_history = attempt.record is not None and attempt.record["sync_id"] is not None
        if not noted or not by_history or _was_over_at_once(ours[-1]):
            return last
        # The last that it started, and what Fivetran made of it by putting it off.
        goes_on = next((place for place, run in enumerate(last) if run.status != "RESCHEDULED"), len(last))
        return last[: goes_on + 1]

    def _met_a_gap(self, attempt: Try) -> bool:
        return any(began <= attempt.ended and attempt.began <= ended for began, ended in self._gaps)


def _known_since(task: Task, errand: Errand, attempt: Try) -> datetime:
    """From when on a try knows what was started: an earlier one's sync, only where that was noted and not given up."""
    if not task.fate.has_store:
        return attempt.began
    before = [earlier for earlier in errand.tries if earlier.ended <= attempt.began and earlier.was_cleared]
    return before[-1].ended if before else errand.began


def _was_running(run: Run, at: datetime) -> bool:
    return run.started_at is not None and run.started_at <= at and (run.ended_at is None or run.ended_at > at)


def _was_over_at_once(run: Run) -> bool:
    return run.ended_at is not None and run.ended_at - run.accepted_at < timedelta(seconds=1)


def _words(runs: list[Run]) -> str:
    return ", ".join(
        f"{run.cause} {run.status} {run.accepted_at:%H:%M:%S}-{run.ended_at or run.accepted_at:%H:%M:%S} {run.sync_id}"
        for run in runs
    )
