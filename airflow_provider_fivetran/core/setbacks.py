"""What to do when syncs of many cannot be started: try again, rest for a while, or give up. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import FivetranError, FivetranRateLimited, FivetranUnauthorized
from airflow_provider_fivetran.core.many import Result
from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["COME_BACK", "Setbacks"]

# So many starts in a row that fail although nothing speaks against the connection say that Fivetran is out of reach.
MOST_IN_A_ROW = 8
# A connection that cannot be started is tried so often, each time that the task comes to a worker.
MOST_TRIES = 3
# So many visits in a row at which nothing could be started, while nothing runs, end the task: ten minutes, as long
# as a refused key is borne with elsewhere.
MOST_IN_VAIN = 10
COME_BACK = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)


class Setbacks:
    """What has gone wrong with the starts of a task, at this visit to a worker and at those before.

    :param key_has_worked: Fivetran has accepted the key before: that it refuses it may pass.
    """

    def __init__(self, *, key_has_worked: bool = False) -> None:
        self._key_has_worked = key_has_worked
        self._tries: Counter[str] = Counter()
        self._visits_in_vain = 0
        self._in_a_row = 0
        self._newest: FivetranError | None = None
        self.rests_until: datetime | None = None
        """Before this it is pointless to start anything."""
        self.fatal: FivetranError | None = None
        """What ends the task at once."""
        self._later: list[str] = []
        self._tries_again = False

    def rests(self, now: datetime) -> bool:
        """Whether nothing is to be started now."""
        return self.rests_until is not None and now < self.rests_until

    @property
    def hopeless(self) -> FivetranError | None:
        """Why nothing more can be started, if that has lasted."""
        return self._newest if self._visits_in_vain >= MOST_IN_VAIN else None

    def started_one(self) -> None:
        """One connection could be served."""
        self._in_a_row = 0
        self._key_has_worked = True

    def endure(self, name: str, error: FivetranError, now: datetime, *, may_run: bool) -> Result | None:
        """Take note that one connection could not be served.

        :param may_run: its trigger may have been sent all the same.
        :return: its result, if it is not tried again.
        """
        self._newest = error
        is_refused = isinstance(error, FivetranUnauthorized)
        if type(error) is FivetranError or (is_refused and not self._key_has_worked):
            self.fatal = error
            return _given_up(name, error, may_run=may_run)
        if is_refused or isinstance(error, FivetranRateLimited):  # which says nothing of this connection
            self._later.insert(0, name)
            wanted = timedelta(seconds=getattr(error, "retry_after", None) or 0)
            self.rests_until = now + min(max(wanted, COME_BACK), LONGEST_REST)
            return None
        self._tries[name] += 1
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            self.rests_until = now + COME_BACK
        if self._tries[name] >= MOST_TRIES:
            return _given_up(name, error, may_run=may_run)
        self._later.append(name)
        return None

    def end_of_visit(self, now: datetime, *, came_to_nothing: bool) -> list[str]:
        """Take note of the whole visit.

        :param came_to_nothing: nothing was served, and no sync is waited for.
        :return: what is to be tried again at the next one.
        """
        later, self._later = self._later, []
        self._tries_again = bool(later)
        if self._newest is None and self.rests(now):  # there was nothing to start yet
            return later
        is_limited = isinstance(self._newest, FivetranRateLimited)
        in_vain = came_to_nothing and (later or self.rests(now)) and not is_limited
        self._visits_in_vain = self._visits_in_vain + 1 if in_vain else 0
        return later

    def wake_at(self, now: datetime, *, anything_runs: bool) -> datetime | None:
        """When to come back to start more, if no end of a sync is the reason before."""
        if self.rests(now):
            return self.rests_until
        return now + COME_BACK if self._tries_again or not anything_runs else None

    def to_json(self) -> dict[str, Any]:
        """Write what the next visit has to know as plain JSON."""
        return {
            "tries": dict(self._tries),
            "in_vain": self._visits_in_vain,
            "rests_until": self.rests_until and write_moment(self.rests_until),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Setbacks:
        """Read what :meth:`to_json` wrote; what is something else raises one of Python's own errors."""
        found = cls(key_has_worked=True)
        found._tries.update(data["tries"])
        found._visits_in_vain = int(data["in_vain"])
        found.rests_until = read_moment(data["rests_until"]) if data["rests_until"] else None
        return found


def _given_up(name: str, error: FivetranError, *, may_run: bool) -> Result:
    return Result.of(name, "unknown" if may_run else "not_started", error=error)
