"""How long to wait between two looks at a connection, as a function of how long the wait has lasted."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["pause_after_failed_reads", "pause_between_looks"]

QUICKEST = timedelta(seconds=2)
USUAL = timedelta(seconds=15)
# The end of an outage is noticed so late at most.
SLOWEST_AFTER_FAILURE = timedelta(minutes=1)
# Fivetran counts requests by the hour: a wish for more than a day, in seconds, makes no sense.
LONGEST_ASKED = 24 * 3600.0


def pause_between_looks(age: timedelta, chosen: timedelta | None) -> timedelta:
    """The pause until the next look.

    Many syncs are short, so the first looks come quickly; after about three minutes they come every 15 s.

    :param age: how long the wait has lasted.
    :param chosen: the user's ``poll_frequency``, which is obeyed as it stands.
    """
    if chosen is not None:
        return chosen
    return min(USUAL, max(QUICKEST, QUICKEST + age / 15))


def pause_after_failed_reads(
    failures: int,
    usual: timedelta,
    retry_after: float | None = None,
    *,
    slowest: timedelta = SLOWEST_AFTER_FAILURE,
) -> timedelta:
    """The pause after so many failed reads in a row: doubling, up to a minute unless said otherwise.

    It is never shorter than the usual one, which may be the user's choice, nor than what Fivetran asks for.

    :param failures: how many reads failed in a row, from 1.
    :param usual: the pause that would come after a good read.
    :param retry_after: seconds that Fivetran asked for.
    :param slowest: the longest that doubling may make it.
    """
    doubled: timedelta = max(usual, QUICKEST) * (1 << min(failures - 1, 10))
    asked = timedelta(seconds=min(retry_after or 0, LONGEST_ASKED))
    return max(min(doubled, slowest), usual, asked)
