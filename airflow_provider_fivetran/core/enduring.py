"""Reading what is awaited, however long Fivetran cannot be read: an outage delays a verdict and is none."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_fivetran.core import steps
from airflow_provider_fivetran.core.cadence import pause_after_failed_reads, pause_between_looks
from airflow_provider_fivetran.core.errors import FivetranError, FivetranRateLimited
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.steps import REFUSALS, Note, Pause, take

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_fivetran.core.awaited import Awaited
    from airflow_provider_fivetran.core.protocol import Answer
    from airflow_provider_fivetran.core.steps import Clock, Look, Procedure

__all__ = ["Endurance"]

T = TypeVar("T")

# While the key is refused, keys are read and tried at least this often.
SLOWEST_AFTER_REFUSAL = timedelta(minutes=1)


class Endurance:
    """The patience of one wait with an API that cannot be read, or refuses the key.

    :param key_has_worked: in this wait or for the start of what it awaits. If not, a refusal before the first answer
        ends the wait at once.
    :param what: what is awaited, in a word for the log.
    """

    def __init__(self, ticket: Awaited, clock: Clock, *, key_has_worked: bool, what: str = "sync") -> None:
        self._ticket = ticket
        self._what = what
        self._clock = clock
        self._failures = 0
        self._unreadable_since: datetime | None = None
        self._refused_since: datetime | None = None
        self._key_has_worked = key_has_worked

    def read(
        self, look_at: Callable[[datetime, datetime], Look[T]], due: datetime
    ) -> Procedure[Answer[T] | FivetranError]:
        """Look until there is an answer. An error is returned, and not raised, when the time of the wait is over.

        :param look_at: the look that is due at the first time, when our clock shows the second.
        :param due: when to look, by our clock.
        :raises FivetranApiError: asking again is of no use, or the key was refused for too long.
        """
        while True:
            now = self._clock()
            look = look_at(max(due, now), now)
            try:
                answer = yield from take(look, now)
            except FivetranError as error:
                if error.permanent and not self._may_be_replaced(error):
                    raise
                if self._clock() >= look.latest:
                    return error
                yield from self._endure(error, look.latest)
            else:
                yield from self._say_readable_again()
                return answer

    def _may_be_replaced(self, error: FivetranError) -> bool:
        """Whether this is the refusal of a key, and there is time yet to replace it."""
        if not isinstance(error, REFUSALS) or not self._key_has_worked:
            return False
        return self._refused_since is None or self._clock() < self._replaced_by(self._refused_since)

    def _replaced_by(self, refused_since: datetime) -> datetime:
        # However rarely the user wants looks, there is another one.
        return refused_since + max(steps.REFUSAL_PATIENCE, self._ticket.poll_frequency or timedelta(0))

    def _endure(self, error: FivetranError, deadline: datetime) -> Procedure[None]:
        now = self._clock()
        if isinstance(error, REFUSALS):
            yield from self._endure_refusal(error, now, deadline)
            return
        self._failures += 1
        if self._unreadable_since is None:
            self._unreadable_since = now
            yield self._warning(f"cannot read Fivetran at the moment, asking again: {error}")
        retry_after = error.retry_after if isinstance(error, FivetranRateLimited) else None
        pause = pause_after_failed_reads(self._failures, self._usual_pause(now), retry_after)
        yield Pause(min(now + pause, deadline))

    def _endure_refusal(self, error: FivetranError, now: datetime, deadline: datetime) -> Procedure[None]:
        if self._refused_since is None:
            self._failures, self._refused_since = 0, now
            lasts = in_words(self._replaced_by(now) - now)
            yield self._warning(
                f"{error}. The {self._what} goes on; its task waits {lasts} for a key that works"
            )
        self._failures += 1
        pause = pause_after_failed_reads(
            self._failures, self._usual_pause(now), slowest=SLOWEST_AFTER_REFUSAL
        )
        yield Pause(min(now + pause, self._replaced_by(self._refused_since), deadline), held=True)

    def _warning(self, text: str) -> Note:
        return Note(f"{self._ticket.name}: {text}", is_warning=True)

    def _say_readable_again(self) -> Procedure[None]:
        now, name = self._clock(), self._ticket.name
        if self._refused_since is not None:
            yield Note(f"{name}: Fivetran accepts a key again after {in_words(now - self._refused_since)}")
        elif self._unreadable_since is not None:
            yield Note(f"{name}: Fivetran can be read again after {in_words(now - self._unreadable_since)}")
        self._failures, self._unreadable_since, self._refused_since = 0, None, None
        self._key_has_worked = True

    def _usual_pause(self, now: datetime) -> timedelta:
        return pause_between_looks(now - self._ticket.begun_at, self._ticket.poll_frequency)
