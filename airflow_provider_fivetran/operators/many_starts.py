"""Taking steps with many connections side by side, a few at a time, and knowing when to stop starting more."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError, FivetranSyncTimeout
from airflow_provider_fivetran.core.many import Result
from airflow_provider_fivetran.core.setbacks import Setbacks
from airflow_provider_fivetran.killing import state_in_worker
from airflow_provider_fivetran.operators.desks import Desks
from airflow_provider_fivetran.operators.one_of_many import Lines, OneVisit, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.one_of_many import Each

    Job: TypeAlias = tuple[str, Callable[[OneVisit], Step]]

__all__ = ["Starts"]

log = logging.getLogger(__name__)

# So many connections at a time: a start is two requests and a note or two, about a second each.
AT_ONCE = 8
ENDED = "Airflow ended the task; syncs that it has started are not waited for any more"
# Airflow 3 gives a killed task five seconds between SIGTERM and SIGKILL.
LONGEST_KILL = 4.5


class Starts:
    """What a visit of the task does with its connections.

    What is under way in Fivetran is, at every moment, in ``waits``, in ``left`` or at work: there the signal that
    ends this process finds it.

    :param most: so many syncs may run at once.
    :param on_end: is told of each connection that is decided.
    """

    def __init__(
        self,
        context: Context,
        hook: FivetranHook,
        each: Each,
        *,
        most: int,
        on_end: Callable[[Result], None],
    ) -> None:
        self._ti = context["ti"]
        self._each = each
        self._lines = Lines(hook)
        self._most = most
        self._on_end = on_end
        self.desks = Desks(context)
        self.setbacks = Setbacks()
        self.queue: deque[str] = deque()
        """Whose turn has not come."""
        self.waits: dict[str, Mapping[str, Any]] = {}
        """The waits that go on in the triggerer."""
        self.left: dict[str, Mapping[str, Any]] = {}
        """What earlier visits have left that may run, or has to be concluded, until that has been done."""
        self._at_work: dict[str, OneVisit] = {}
        self.changed: dict[str, OneVisit] = {}
        """Of those whose turn has not come, the visits that found what an earlier try has changed."""
        self.why_not: FivetranError | None = None
        """Why nothing more is started: the time of the task is over, or nobody waits for its syncs any more."""
        self.is_killed = False
        self._seen_to: set[str] = set()

    def close(self) -> None:
        """Close what was opened."""
        self._lines.close()

    def visit(self, name: str) -> OneVisit:
        """A visit for this connection, in this thread."""
        context = self.desks.context_of(name)
        return OneVisit(self._each, context, self._lines, name, why_not=lambda: self.why_not)

    def carry_out(self, jobs: Iterable[Job]) -> None:
        """Do these, and then start as many syncs as there is room for.

        :raises FivetranError: nothing can be noted any more, or Airflow ends this process.
        """
        if self.is_killed:  # before it was known what is to be seen to
            self.was_killed()
        pending, served = deque(jobs), 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            doing: set[Future[Step]] = set()
            while True:
                while len(doing) < AT_ONCE and not self._is_over:
                    # What has ended may have to be started once more, and so keeps its place until it is done.
                    job = pending.popleft() if pending else self._next_start(len(doing))
                    if job is None:
                        break
                    doing.add(pool.submit(self._do, *job))
                if not doing:
                    break
                for future in self._done(doing):
                    doing.remove(future)
                    served += self._take(future.result())
        for name in self.setbacks.end_of_visit(utcnow(), came_to_nothing=not served and not self.waits):
            # Whether a trigger took is found out first: its sync may run.
            self.queue.insert(0 if name in self.left else len(self.queue), name)
        if self.is_killed:
            self.was_killed()  # of what came to be known only after it
            raise FivetranError(ENDED)
        if self.setbacks.fatal is not None:
            raise self.setbacks.fatal

    def give_up_the_rest(self, error: FivetranError) -> None:
        """What was not started is not to be."""
        while self.queue:
            name = self.queue.popleft()
            status = "not_started" if self.left.pop(name, None) is None else "unknown"
            self._on_end(Result.of(name, status, error=error))

    def was_killed(self) -> None:
        """See to all syncs of the task at once, for there is no time to do so one after the other."""
        self.is_killed = True
        limit = time.monotonic() + LONGEST_KILL
        at_work, known = dict(self._at_work), self.left | self.waits
        visits = self.changed | {name: visit for name, visit in at_work.items() if name not in self._seen_to}
        self.changed = {}
        for name in known.keys() - at_work.keys() - self._seen_to:
            visits[name] = self.visit(name)
            visits[name].remember(known[name])
        if not visits:
            return
        # Of one at work that has not begun anything it may turn out later that an earlier try has.
        self._seen_to |= {name for name, visit in visits.items() if visit.under_way is not None}
        state = state_in_worker(self._ti)
        threads = [
            threading.Thread(target=visit.see_to, args=(state,), daemon=True) for visit in visits.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, limit - time.monotonic()))
        late = sum(thread.is_alive() for thread in threads)
        if late:
            log.warning("%d of %d connections could not be seen to in time; look there", late, len(threads))

    # --- its parts ----------------------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return self.is_killed or self.setbacks.fatal is not None

    def _next_start(self, doing: int) -> Job | None:
        if not self.queue or self.why_not is not None or self.setbacks.rests(utcnow()):
            return None
        # What may run already needs no room: it has it.
        if self.queue[0] not in self.left and len(self.waits) + doing >= self._most:
            return None
        return self.queue.popleft(), OneVisit.start

    def _do(self, name: str, act: Callable[[OneVisit], Step]) -> Step:
        visit = self._at_work[name] = self.visit(name)
        if self.is_killed:  # it is too late for whoever sees to those at work to know of this one
            return Step(connection_id=name, trouble=FivetranError(ENDED), wait=self.left.get(name))
        return act(visit)

    def _done(self, doing: set[Future[Step]]) -> set[Future[Step]]:
        try:
            return wait(doing, return_when=FIRST_COMPLETED).done
        except AirflowTaskTimeout:  # it comes once; what is being done is brought to its end
            self.why_not = FivetranSyncTimeout("the time of the task is over")
            return set()

    def _take(self, step: Step) -> bool:
        """Take note of a step; whether the connection could be served.

        The signal that ends this process may come in between: what is under way is let go of last.
        """
        name = step.connection_id
        if step.wait is not None:
            (self.waits if step.trouble is None else self.left)[name] = step.wait
        if step.wait is None or step.trouble is None:
            self.left.pop(name, None)
        self.changed.pop(name, None)
        self._at_work.pop(name, None)
        if step.trouble is not None:
            if self.is_killed:  # and what its visit does after that has been done
                self._seen_to.add(name)
            self._endure(name, step.trouble, may_run=step.wait is not None)
            return False
        if step.result is None and step.wait is None:
            self.queue.append(name)
            return False
        self.setbacks.started_one()
        if step.result is not None:
            self._on_end(step.result)
        return True

    def _endure(self, name: str, error: FivetranError, *, may_run: bool) -> None:
        given_up = self.setbacks.endure(name, error, utcnow(), may_run=may_run)
        if given_up is not None:
            self.left.pop(name, None)
            self._on_end(given_up)
        else:
            log.warning("%s cannot be started now, trying again later: %s", name, error)
