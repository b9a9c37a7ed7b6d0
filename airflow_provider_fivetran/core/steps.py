"""The steps that the multi-step procedures of this package are made of.

A procedure is a generator that yields steps: a call to send, a pause to take, a line to log. A transport drives
it, blocking or not, and so each procedure is written once. A failed call is raised inside the procedure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from airflow_provider_fivetran.core.cadence import QUICKEST, pause_after_failed_reads
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranForbidden,
    FivetranRateLimited,
    FivetranUnauthorized,
)
from airflow_provider_fivetran.core.protocol import Answer, Call, next_page

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.protocol import Page

__all__ = [
    "PATIENCE",
    "REFUSALS",
    "REFUSAL_PATIENCE",
    "Clock",
    "Look",
    "Note",
    "Pause",
    "Procedure",
    "Step",
    "ask",
    "ask_pages",
    "ask_patiently",
    "patiently",
    "take",
]

T = TypeVar("T")

# How long a worker goes on asking an API that cannot be reached, before it has a sync to wait for.
PATIENCE = timedelta(minutes=2)
# A user's key dies the moment its successor is made. So long somebody may take to put the new one into Airflow.
REFUSAL_PATIENCE = timedelta(minutes=10)
# The key is refused, or lacks the right.
REFUSALS = (FivetranUnauthorized, FivetranForbidden)


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing until this time by our clock."""

    until: datetime
    held: bool = False
    """To be taken right here, even by a sensor that otherwise comes back later: nothing else would remember why."""
    before_look: bool = False
    """Nothing but a look comes after it: whoever arranges looks for many waits takes it as part of that."""


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """Read a connection or a transformation, now; or, where one answer may serve many waits, when that suits all."""

    call: Call[T]
    due: datetime
    """By our clock: when this wait would look if it were alone."""
    pace: timedelta
    """How often it would look at present."""
    latest: datetime
    """By our clock: then it has to know, for its time is over."""
    seen: T | None = None
    """What its last look showed."""
    group_id: str = ""
    """The group of the connection, where known."""
    is_floor: bool = False
    """The pace is the user's choice: not even a free answer may come sooner."""


@dataclass(frozen=True, slots=True)
class Note:
    """Say this to whoever reads the log."""

    text: str
    is_warning: bool = False


Clock: TypeAlias = Callable[[], datetime]
Step: TypeAlias = Call[Any] | Look[Any] | Pause | Note
Procedure: TypeAlias = Generator[Step, Answer[Any] | None, T]


def ask(call: Call[T]) -> Procedure[Answer[T]]:
    """Send one call."""
    return _given((yield call))


def take(look: Look[T], now: datetime) -> Procedure[Answer[T]]:
    """Look when that is due."""
    if look.due > now:
        yield Pause(look.due, before_look=True)
    return _given((yield look))


def _given(answer: Answer[T] | None) -> Answer[T]:
    if answer is None:
        raise RuntimeError("a call was driven without an answer")
    return answer


def ask_patiently(call: Call[T], clock: Clock, *, patience: timedelta) -> Procedure[Answer[T]]:
    """Send a call that is safe to repeat, again and again while Fivetran cannot be reached, for a while.

    :raises FivetranError: it helped nothing, or cannot help.
    """
    return patiently(lambda: ask(call), clock, patience=patience)


def patiently(
    attempt: Callable[[], Procedure[T]],
    clock: Clock,
    *,
    patience: timedelta,
    with_refusals: timedelta = timedelta(0),
) -> Procedure[T]:
    """Attempt something that is safe to repeat, again and again while Fivetran cannot be reached, for a while.

    :param with_refusals: for how long to go on when the key is refused: where it has worked just before, it is
        being replaced.
    :raises FivetranError: it helped nothing, or cannot help.
    """
    began_at = clock()
    failures = 0
    while True:
        try:
            return (yield from attempt())
        except FivetranError as error:
            failures += 1
            now = clock()
            retry_after = error.retry_after if isinstance(error, FivetranRateLimited) else None
            limit = began_at + (with_refusals if isinstance(error, REFUSALS) else patience)
            helpless = error.permanent and not isinstance(error, REFUSALS)
            if helpless or now + timedelta(seconds=retry_after or 0) >= limit:
                raise
            if failures == 1:
                yield Note(f"cannot ask Fivetran at the moment, asking again: {error}", is_warning=True)
            yield Pause(min(now + pause_after_failed_reads(failures, QUICKEST, retry_after), limit))


def ask_pages(call: Call[Page[T]], *, most: int) -> Procedure[tuple[T, ...]]:
    """Read a list page by page, at most so many pages; a cursor that repeats itself ends it."""
    items: list[T] = []
    following: Call[Page[T]] | None = call
    for _ in range(most):
        if following is None:
            break
        page = (yield from ask(following)).value
        items += page.items
        following = next_page(following, page)
    return tuple(items)
