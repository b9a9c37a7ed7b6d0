"""Waiting for a run of a transformation: look, judge, pause, look again; and cancelling one."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.cadence import QUICKEST
from airflow_provider_fivetran.core.endpoints import cancel_transformation, get_transformation
from airflow_provider_fivetran.core.enduring import Endurance
from airflow_provider_fivetran.core.errors import FivetranConflict, FivetranError, FivetranNotFound
from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.run_decision import RunSeen, deleted, judge_run, timed_out_run
from airflow_provider_fivetran.core.runs import RunEnded
from airflow_provider_fivetran.core.steps import Look, Note, Pause, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_fivetran.core.run_ticket import RunTicket
    from airflow_provider_fivetran.core.steps import Clock, Procedure
    from airflow_provider_fivetran.core.transformations import Transformation

__all__ = ["PATIENCE_WHEN_KILLED", "cancel_run", "cancel_whatever_runs", "watch_run"]

# How long to wait until a run that was cancelled has stopped.
PATIENCE = timedelta(seconds=45)
# Airflow 3 gives a killed task five seconds between SIGTERM and SIGKILL.
PATIENCE_WHEN_KILLED = timedelta(seconds=3)
BETWEEN_LOOKS = timedelta(seconds=1)


def watch_run(ticket: RunTicket, clock: Clock, *, key_has_worked: bool = True) -> Procedure[RunEnded]:
    """Wait until the awaited run is decided.

    An API that cannot be read delays the verdict and nothing else, and so does, for ten minutes, a refused key.

    :param key_has_worked: in this wait or for the start of its run. If not, a refusal before the first answer ends
        the wait at once.
    :raises FivetranApiError: the key is wrong, or lacks the right to read the transformation.
    """
    endurance = Endurance(ticket, clock, key_has_worked=key_has_worked, what="run")
    seen: RunSeen | None = None
    said: str | None = None
    due = clock()

    def look_at(due: datetime, now: datetime) -> Look[Transformation]:
        return Look(
            get_transformation(ticket.transformation_id),
            due=due,
            pace=max(due - now, ticket.poll_frequency or QUICKEST),
            latest=ticket.deadline(),
            seen=None if seen is None else seen.transformation,
            is_floor=ticket.poll_frequency is not None,
        )

    while True:
        try:
            answer = yield from endurance.read(look_at, due)
        except FivetranNotFound:
            return deleted(ticket)
        now = clock()
        if isinstance(answer, FivetranError):
            return timed_out_run(ticket, f"Fivetran cannot be read: {answer}", now)
        ticket = ticket.corrected(answer.server_time, now)
        seen = RunSeen.of(ticket, answer.value, now, seen).knowing(answer.requests_left)
        verdict = judge_run(ticket, seen, now)
        if isinstance(verdict, RunEnded):
            return verdict
        if verdict.saying != said:
            said = verdict.saying
            yield Note(f"{ticket.name}: {said}")
        due = verdict.until


def cancel_run(ticket: RunTicket, clock: Clock, *, patience: timedelta = PATIENCE) -> Procedure[None]:
    """Cancel the run of a ticket, if it is under way and this task's own, and wait until it has stopped.

    Whatever goes wrong with that is said, and changes no verdict.

    :param patience: how long to try, and to wait.
    """
    if not ticket.is_ours:
        yield Note(
            f"{ticket.name}: the run that is under way was not started by this task, and is left alone"
        )
        return
    try:
        yield from _cancel(ticket.transformation_id, clock, patience, partial(_is_another, ticket))
    except FivetranError as error:
        yield Note(
            f"{ticket.name}: its run could not be cancelled; look there: {error}. {ticket.link}",
            is_warning=True,
        )


def cancel_whatever_runs(transformation_id: str, clock: Clock) -> Procedure[bool]:
    """Cancel the run that is under way, and wait until it has stopped.

    :return: whether it has.
    :raises FivetranApiError: Fivetran refused.
    """
    return _cancel(transformation_id, clock, PATIENCE, lambda _transformation: False)


def _is_another(ticket: RunTicket, transformation: Transformation) -> bool:
    """Whether the awaited run is over, and it is another that is under way: an end was noted since the ticket."""
    return transformation.ended_at is not None and ticket.is_newer_end(transformation.ended_at)


def _cancel(
    transformation_id: str,
    clock: Clock,
    patience: timedelta,
    is_another: Callable[[Transformation], bool],
) -> Procedure[bool]:
    name = f"transformation {transformation_id}"
    limit = clock() + patience
    is_told = False
    while True:
        try:
            found = (yield from ask(get_transformation(transformation_id))).value
            if not found.is_active:
                yield Note(f"{name}: {'its run was cancelled' if is_told else 'no run is under way'}")
                return True
            if not is_told and is_another(found):
                yield Note(f"{name}: another run than that of this task is under way, and is left alone")
                return False
            if not is_told and not found.is_being_cancelled:
                yield from ask(cancel_transformation(transformation_id))
                is_told = True
        except FivetranConflict as error:  # it has just ended, or is being cancelled already
            yield Note(f"{name}: {error}")
        except FivetranError as error:
            if error.permanent:
                raise
            yield Note(f"{name}: cannot be cancelled at the moment, trying again: {error}", is_warning=True)
        if clock() >= limit:
            yield Note(
                f"{name}: its run was to be cancelled, but did not stop within {in_words(patience)}; look there. "
                f"{TRANSFORMATIONS_LINK}",
                is_warning=True,
            )
            return False
        yield Pause(clock() + BETWEEN_LOOKS)
