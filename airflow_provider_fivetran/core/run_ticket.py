"""The ticket of a run: which run of a transformation is awaited, taken before it is started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_fivetran.core.awaited import Aim, Awaited
from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK
from airflow_provider_fivetran.core.moments import read_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.transformations import Transformation

__all__ = ["CLOCKS_APART", "RunTicket"]

# What dates a run may have another clock than what dates the answers, and a run begins a second after its trigger.
CLOCKS_APART = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTicket(Awaited):
    """The awaited run, by the facts found just before. Runs have no id: their beginnings tell them apart."""

    readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        **Awaited.readers,
        "started_at": read_moment,
        "ended_at": read_moment,
    }

    transformation_id: str
    status: str = ""
    """What was found, as are the next two."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_ours: bool = False
    """The run was, or may have been, started by this task, which may therefore cancel it."""
    partial_is_enough: bool = False
    """A run that succeeded in part is a success."""
    wait_while_blocked: bool = False
    """A transformation that is blocked may be let go on: wait for that."""

    @classmethod
    def of(
        cls,
        transformation: Transformation,
        *,
        aim: Aim,
        taken_at: datetime,
        now: datetime,
        begun_at: datetime | None = None,
        **policies: Any,
    ) -> RunTicket:
        """Take a ticket from what was found.

        :param taken_at: Fivetran's clock when it was found.
        :param now: our clock when it was found.
        :param begun_at: when the whole wait began, if not now.
        :param policies: the remaining fields.
        """
        return cls(
            transformation_id=transformation.id,
            aim=aim,
            taken_at=taken_at,
            begun_at=begun_at or now,
            asked_at=now,
            status=transformation.status,
            started_at=transformation.started_at,
            ended_at=transformation.ended_at,
            **policies,
        )

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"transformation {self.transformation_id}"

    @property
    def link(self) -> str:
        """Where to look in the Fivetran dashboard."""
        return TRANSFORMATIONS_LINK

    @property
    def after_all_earlier(self) -> datetime:
        """A time after every end that had been when the ticket was taken, and before the end that it stands for."""
        if self.ended_at is None:
            return self.taken_at
        return max(self.taken_at, self.ended_at + timedelta(microseconds=1))

    def has_begun(self, transformation: Transformation) -> bool:
        """Whether the last run began after this ticket was taken: later than the last known, and than the ticket."""
        began = transformation.started_at
        if began is None or began < self.taken_at - CLOCKS_APART:
            return False
        return self.started_at is None or began > self.started_at

    def has_ended(self, transformation: Transformation) -> bool:
        """Whether the last run is the awaited one, and Fivetran has noted its end.

        A run ends after its beginning; what ended before the ticket was taken is never the awaited one.
        """
        began, ended = transformation.started_at, transformation.ended_at
        if ended is None or (began is not None and ended < began):
            return False
        if self.aim is Aim.SUCCESS_AFTER:
            return ended >= self.taken_at
        if self.aim is Aim.NEXT_END:
            return ended > self.taken_at
        if not self.is_newer_end(ended):
            return False
        if self.aim is Aim.TRIGGERED:
            return self.has_begun(transformation)
        return began is not None and (self.started_at is None or began >= self.started_at)

    def is_newer_end(self, ended: datetime) -> bool:
        """Whether a run ended then after this ticket was taken: later than the last known, and than the ticket."""
        return ended >= self.taken_at - CLOCKS_APART and (self.ended_at is None or ended > self.ended_at)
