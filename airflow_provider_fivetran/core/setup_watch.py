"""Waiting until the setup of a connection is complete, which is up to a person: look, pause, look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_fivetran.core.awaited import Awaited
from airflow_provider_fivetran.core.cadence import pause_between_looks
from airflow_provider_fivetran.core.endpoints import get_connection
from airflow_provider_fivetran.core.enduring import Endurance
from airflow_provider_fivetran.core.errors import (
    FivetranConnectionDeleted,
    FivetranError,
    FivetranNotFound,
    FivetranSyncTimeout,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.events import BrokenOff, read_event
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.steps import Look, Note

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["SetupTicket", "SetupWaited", "read_setup_event", "watch_setup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupTicket(Awaited):
    """Whose setup is awaited, and until when."""

    connection_id: str

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"the setup of {self.connection_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupWaited:
    """How the wait has ended."""

    connection_id: str
    end: Literal["complete", "gone", "timed_out"]
    message: str

    @property
    def error(self) -> FivetranError | None:
        """The error that this is; ``None`` where the setup is complete."""
        if self.end == "complete":
            return None
        kind = FivetranConnectionDeleted if self.end == "gone" else FivetranSyncTimeout
        return kind(self.message, connection_id=self.connection_id, link=dashboard_link(self.connection_id))

    def to_event(self) -> dict[str, Any]:
        """Write it as the event of a trigger."""
        return {"verdict": "SetupWaited", **asdict(self)}


def read_setup_event(event: object) -> SetupWaited:
    """Read what :meth:`SetupWaited.to_event` wrote.

    :raises FivetranUnexpectedAnswer: the event is something else.
    :raises FivetranError: the wait itself failed.
    """
    if isinstance(event, Mapping) and event.get("verdict") == "SetupWaited":
        parts = {name: event.get(name) for name in ("connection_id", "end", "message")}
        if all(isinstance(part, str) for part in parts.values()) and parts["end"] in _ENDS:
            return SetupWaited(**parts)  # type: ignore[arg-type]  # as was just looked at
    else:
        outcome = read_event(event)
        if isinstance(outcome, BrokenOff):
            raise outcome.error
    raise FivetranUnexpectedAnswer(
        f"the trigger sent an event that this version does not understand: {str(event)[:300]}"
    )


_ENDS = frozenset({"complete", "gone", "timed_out"})


def watch_setup(ticket: SetupTicket, clock: Clock, *, key_has_worked: bool = True) -> Procedure[SetupWaited]:
    """Wait until Fivetran calls the setup ``connected``. It only reads.

    An API that cannot be read delays the end and nothing else, and so does, for ten minutes, a refused key.

    :param key_has_worked: in this wait. If not, a refusal before the first answer ends the wait at once.
    :raises FivetranApiError: the key is wrong, or lacks the right to read the connection.
    """
    endurance = Endurance(ticket, clock, key_has_worked=key_has_worked, what="wait")
    seen: Connection | None = None
    due = clock()

    def look_at(due: datetime, now: datetime) -> Look[Connection]:
        return Look(
            get_connection(ticket.connection_id),
            due=due,
            pace=max(due - now, pause_between_looks(now - ticket.begun_at, ticket.poll_frequency)),
            latest=ticket.deadline(),
            seen=seen,
            group_id="" if seen is None else seen.group_id,
            is_floor=ticket.poll_frequency is not None,
        )

    while True:
        try:
            answer = yield from endurance.read(look_at, due)
        except FivetranNotFound:
            return _ended(ticket, "gone", f"the connection {ticket.connection_id} does not exist")
        now = clock()
        if isinstance(answer, FivetranError):
            return _ended(ticket, "timed_out", f"Fivetran cannot be read: {answer}")
        status = answer.value.status
        if status.is_set_up:
            return _ended(ticket, "complete", f"{ticket.name} is complete")
        state = status.setup_state
        if seen is None or state != seen.status.setup_state:
            yield Note(f"{ticket.name} is {state or 'not told'}; waiting for somebody to authorise it")
        seen = answer.value
        if now >= ticket.deadline():
            lasted = in_words(now - ticket.begun_at)
            return _ended(ticket, "timed_out", f"{ticket.name} is {state} still, after {lasted}. {seen.link}")
        pause = pause_between_looks(
            now - ticket.begun_at, ticket.poll_frequency, requests_left=answer.requests_left
        )
        due = min(now + pause, ticket.deadline())


def _ended(ticket: SetupTicket, end: Literal["complete", "gone", "timed_out"], message: str) -> SetupWaited:
    return SetupWaited(connection_id=ticket.connection_id, end=end, message=message)
