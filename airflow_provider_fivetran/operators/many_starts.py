"""Taking steps with many connections side by side, a few at a time, and knowing when to stop starting more."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError, FivetranRateLimited, FivetranUnauthorized
from airflow_provider_fivetran.core.many import Result
from airflow_provider_fivetran.operators.one_of_many import Lines, OneVisit, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future
    from datetime import datetime

    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.desks import Desks
    from airflow_provider_fivetran.operators.one_of_many import Each

__all__ = ["COME_BACK", "Starts"]

log = logging.getLogger(__name__)

# So many connections at a time: a start is two requests and a note or two, about a second each.
AT_ONCE = 8
# So many starts in a row that fail although nothing speaks against the connection say that Fivetran is out of reach.
MOST_IN_A_ROW = AT_ONCE
# A connection that cannot be started is tried so often, each time that the task comes to a worker.
MOST_TRIES = 3
# So many visits in a row at which nothing could be started, while nothing runs, end the task: ten minutes, as long
# as a refused key is borne with elsewhere.
MOST_IN_VAIN = 10
COME_BACK = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
ENDED = "Airflow ended the task; syncs that it has started are not waited for any more"
# Airflow 3 gives a killed task five seconds between SIGTERM and SIGKILL.
LONGEST_KILL = 4.5


class Starts:
    """What a visit of the task does with its connections.

    :param most: so many syncs may run at once.
    :param on_end: is told of each connection that is decided.
    """

    def __init__(
        self,
        hook: FivetranHook,
        each: Each,
        desks: Desks,
        *,
        most: int,
        on_end: Callable[[Result], None],
    ) -> None:
        self._each = each
        self._desks = desks
        self._lines = Lines(hook)
        self._most = most
        self._on_end = on_end
        self.queue: deque[str] = deque()
        """Whose turn has not come."""
        self.waits: dict[str, Mapping[str, Any]] = {}
        """The waits that go on in the triggerer."""
        self.ending: dict[str, Mapping[str, Any]] = {}
        """The waits that have ended, until what follows from that has been done."""
        self.tries: Counter[str] = Counter()
        self.in_vain = 0
        """So many visits in a row nothing could be started."""
        self.rest: timedelta | None = None
        """For how long to start nothing, because something is wrong."""
        self.rests_until: datetime | None = None
        """Until when it is pointless, as Fivetran has said at this visit or an earlier one."""
        self.is_late = False
        """The time of the task is over."""
        self.is_killed = False
        self.key_has_worked = False
        self._at_work: dict[str, OneVisit] = {}
        self._later: list[str] = []
        self._in_a_row = 0
        self._started = 0
        self._fatal: FivetranError | None = None
        self._trouble: FivetranError | None = None

    def rest_until(self, moment: datetime) -> None:
        """Start nothing before this."""
        if moment > utcnow():
            self.rests_until, self.rest = moment, moment - utcnow()

    def close(self) -> None:
        """Close what was opened."""
        self._lines.close()

    def carry_out(self, jobs: Iterable[tuple[str, Callable[[OneVisit], Step]]]) -> None:
        """Do these, and then start as many syncs as there is room for.

        :raises FivetranError: nothing can be noted any more, or Airflow ends this process.
        """
        pending = deque(jobs)
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
                    self._take(future.result())
        self._look_back()
        if self._fatal is not None:
            raise self._fatal
        if self.is_killed:
            raise FivetranError(ENDED)

    def give_up_the_rest(self, error: FivetranError) -> None:
        """What was not started is not to be."""
        while self.queue:
            self._on_end(Result.of(self.queue.popleft(), "not_started", error=error))

    @property
    def hopeless(self) -> FivetranError | None:
        """Why nothing more can be started, if that has lasted."""
        return self._trouble if self.in_vain >= MOST_IN_VAIN else None

    def was_killed(self) -> None:
        """See to all syncs of the task at once, for there is no time to do so one after the other."""
        self.is_killed = True
        at_work = dict(self._at_work)
        known = {name: wait for name, wait in (self.waits | self.ending).items() if name not in at_work}

        def see_to(name: str) -> None:
            visit = at_work.get(name) or self.visit(name)
            if name in known:
                visit.remember(known[name])
            visit.was_killed()

        threads = [threading.Thread(target=see_to, args=(name,), daemon=True) for name in at_work | known]
        limit = time.monotonic() + LONGEST_KILL
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
        return self.is_killed or self._fatal is not None

    def _next_start(self, doing: int) -> tuple[str, Callable[[OneVisit], Step]] | None:
        has_room = len(self.waits) + doing < self._most
        if not has_room or not self.queue or self.is_late or self.rest is not None:
            return None
        return self.queue.popleft(), OneVisit.start

    def visit(self, name: str) -> OneVisit:
        """A visit for this connection, in this thread."""
        return OneVisit(self._each, self._desks.of(name), self._lines, name, is_late=lambda: self.is_late)

    def _do(self, name: str, act: Callable[[OneVisit], Step]) -> Step:
        visit = self._at_work[name] = self.visit(name)
        if self.is_killed:  # it is too late for whoever sees to those at work to know of this one
            return Step(connection_id=name, trouble=FivetranError(ENDED))
        return act(visit)

    def _done(self, doing: set[Future[Step]]) -> set[Future[Step]]:
        try:
            return wait(doing, return_when=FIRST_COMPLETED).done
        except AirflowTaskTimeout:  # it comes once; what is being done is brought to its end
            self.is_late = True
            return set()

    def _take(self, step: Step) -> None:
        name = step.connection_id
        if step.wait is not None:
            self.waits[name] = step.wait
        # Only now: the signal that ends this process may come in between, and must find it in one of the three.
        self._at_work.pop(name, None)
        self.ending.pop(name, None)
        if step.trouble is not None:
            self._endure(step, step.trouble)
            return
        self._in_a_row = 0
        self._started += 1
        self.key_has_worked = True
        if step.result is not None:
            self._on_end(step.result)

    def _endure(self, step: Step, error: FivetranError) -> None:
        """Try it again later, unless that is pointless."""
        name, self._trouble = step.connection_id, error
        refused = isinstance(error, FivetranUnauthorized)
        if type(error) is FivetranError or (refused and not self.key_has_worked):
            self._fatal = error
        elif refused or isinstance(error, FivetranRateLimited):  # which says nothing of this connection
            self._later.insert(0, name)
            wanted = timedelta(seconds=getattr(error, "retry_after", None) or 0)
            self.rest = min(max(wanted, COME_BACK), LONGEST_REST)
            self.rests_until = utcnow() + self.rest
        else:
            self.tries[name] += 1
            self._in_a_row += 1
            if self.tries[name] >= MOST_TRIES:
                self._on_end(Result.of(name, "unknown" if step.may_run else "not_started", error=error))
            else:
                log.warning("%s cannot be started now, trying again later: %s", name, error)
                self._later.append(name)
            if self._in_a_row >= MOST_IN_A_ROW:
                self.rest = COME_BACK

    def _look_back(self) -> None:
        """What this visit means for the next."""
        if self.rest is not None and self._trouble is None:  # it had nothing to start yet
            return
        if self._later:
            self.rest = self.rest or COME_BACK
            self.queue.extend(self._later)
            self._later = []
        is_limited = isinstance(self._trouble, FivetranRateLimited)
        vain = self.rest is not None and not self._started and not self.waits and not is_limited
        self.in_vain = self.in_vain + 1 if vain else 0
