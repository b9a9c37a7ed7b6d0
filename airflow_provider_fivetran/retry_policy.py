"""When Airflow tries a task again: a retry policy for Airflow 3.3 and newer, made from what each error means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:
    from airflow import __version__ as _airflow

    raise ImportError(
        f"FivetranRetryPolicy needs the retry policies of Airflow 3.3 or newer; this is Airflow {_airflow}. Before "
        "that, 'retries' and 'retry_delay' of the task decide, and errors that no retry can mend fail it at once."
    ) from None

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranRateLimited,
    FivetranServerError,
    FivetranSyncRescheduled,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["FivetranRetryPolicy"]

# A task that comes back in the very moment of the announced time may find the sync not yet due.
AFTER_A_PUT_OFF = timedelta(seconds=30)
# An outage that lasts is asked about this often.
LONGEST_IN_AN_OUTAGE = timedelta(minutes=15)
_OUTAGES = (FivetranUnreachable, FivetranServerError, FivetranUnexpectedAnswer)


@dataclass(frozen=True, kw_only=True)
class FivetranRetryPolicy(RetryPolicy):
    """Decides by the error of a Fivetran task whether and when Airflow tries the task again.

    ``FivetranOperator(..., retries=3, retry_policy=FivetranRetryPolicy())``; it serves tasks of your own that use
    the hook as well. It can shorten the number of ``retries``, never extend it. The error is looked for in the
    exception and then along its ``__cause__``.

    - What no retry can mend (a refused key, a connection that is paused, broken or deleted, a name that is not
      found, a trigger that may have taken) fails the task at once.
    - The account has spent its requests (429): again when Fivetran said, or as in an outage where it said nothing.
    - The sync was put off (``when_rescheduled="fail"``): again at the announced time.
    - Fivetran could not be reached, failed (5xx) or sent something else than its answers: again after
      ``first_delay``, then twice that, and so on up to a quarter of an hour.
    - All else, a sync that failed or was cancelled among it, is left to the ``retry_delay`` of the task.

    :param first_delay: the shortest delay that it asks for; a minute.
    :param longest_delay: the longest; a day.
    :raises ValueError: a delay is not a timedelta above 0, or the shortest is longer than the longest.
    """

    first_delay: timedelta = timedelta(minutes=1)
    longest_delay: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        for name in ("first_delay", "longest_delay"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) or value <= timedelta(0):
                raise ValueError(f"{name} is {value!r}; allowed is a timedelta above 0")
        if self.first_delay > self.longest_delay:
            raise ValueError(
                f"first_delay ({self.first_delay}) is longer than longest_delay ({self.longest_delay})"
            )

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Decide; Airflow calls this in the worker when a task has failed."""
        error = _ours(exception)
        if error is None:
            return RetryDecision.default()
        kind = type(error).__name__
        if error.permanent:
            return RetryDecision.fail(f"{kind}: trying again would change nothing")
        if isinstance(error, FivetranSyncRescheduled) and error.rescheduled_for is not None:
            until = error.rescheduled_for - utcnow() + AFTER_A_PUT_OFF
            return RetryDecision.retry(self._within(until), f"{kind}: Fivetran put the sync off until then")
        if isinstance(error, FivetranRateLimited) and error.retry_after is not None:
            asked = timedelta(seconds=min(error.retry_after, self.longest_delay.total_seconds()))
            return RetryDecision.retry(self._within(asked), f"{kind}: Fivetran asked for this delay")
        if isinstance(error, (FivetranRateLimited, *_OUTAGES)):
            longest = max(self.first_delay, LONGEST_IN_AN_OUTAGE)
            # The number of tries has no limit: a cleared task goes on counting.
            grown = self.first_delay * (1 << min(max(try_number - 1, 0), 10))
            return RetryDecision.retry(self._within(min(grown, longest)), f"{kind}: it may be over by then")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """The policy as plain JSON."""
        return {
            "__type": f"{type(self).__module__}.{type(self).__qualname__}",
            "first_delay": self.first_delay.total_seconds(),
            "longest_delay": self.longest_delay.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Make the policy again from what :meth:`serialize` gave."""
        return cls(
            first_delay=timedelta(seconds=data["first_delay"]),
            longest_delay=timedelta(seconds=data["longest_delay"]),
        )

    def _within(self, delay: timedelta) -> timedelta:
        return min(max(delay, self.first_delay), self.longest_delay)


def _ours(exception: BaseException) -> FivetranError | None:
    """The error of this package that an exception is, or was raised from."""
    seen: set[int] = set()
    here: BaseException | None = exception
    while here is not None and id(here) not in seen:
        if isinstance(here, FivetranError):
            return here
        seen.add(id(here))
        here = here.__cause__
    return None
