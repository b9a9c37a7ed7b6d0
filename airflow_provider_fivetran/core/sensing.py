"""What a sensor waits for: ends of syncs, or of runs of transformations, that it did not start."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from airflow_provider_fivetran.core.awaited import Aim, Awaited

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["sensed_from"]

T = TypeVar("T", bound=Awaited)


def sensed_from(ticket: T, began: datetime, after: datetime | None) -> T:
    """The ticket of a sensor that began at a certain time.

    Its baseline is a time and not a state, so that a later process can find it again.

    :param ticket: with all that does not depend on the two times.
    :param began: when the sensor began, by our clock.
    :param after: ``completed_after_time``.
    """
    baseline = began if after is None else after
    return ticket.but(
        aim=Aim.NEXT_END if after is None else Aim.SUCCESS_AFTER,
        taken_at=baseline,
        by_our_clock=after is None,
        asked_at=baseline,
        begun_at=began,
    )
