"""How long to wait between two looks at a connection, as a function of how long the wait has lasted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["pause_after_failed_reads", "pause_between_looks"]

QUICKEST = timedelta(seconds=2)
USUAL = timedelta(seconds=15)
SLOWEST_AFTER_FAILURE = timedelta(minutes=5)


def pause_between_looks(age: timedelta, chosen: timedelta | None) -> timedelta:
    """The pause until the next look.

    Many syncs are short, so the first looks come quickly; after about three minutes they come every 15 s.

    :param age: how long the wait has lasted.
    :param chosen: the user's ``poll_frequency``, which is obeyed as it stands.
    """
    if chosen is not None:
        return chosen
    return min(USUAL, max(QUICKEST, QUICKEST + age / 15))


def pause_after_failed_reads(failures: int, usual: timedelta, retry_after: float | None = None) -> timedelta:
    """The pause after so many failed reads in a row: doubling, up to five minutes, at least what Fivetran asks.

    :param failures: how many reads failed in a row, from 1.
    :param usual: the pause that would come after a good read.
    :param retry_after: seconds that Fivetran asked for.
    """
    doubled: timedelta = max(usual, QUICKEST) * (1 << min(failures - 1, 10))
    return max(min(doubled, SLOWEST_AFTER_FAILURE), timedelta(seconds=retry_after or 0))


def clip(moment: datetime, *, latest: datetime) -> datetime:
    """The moment, but not later than ``latest``."""
    return min(moment, latest)
