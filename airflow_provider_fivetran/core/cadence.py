"""When to look next: small pure functions from what is known to a pause. A plot of them is in docs/waiting.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.models import SyncHistoryEntry

__all__ = [
    "QUICKEST",
    "Usual",
    "chance_of",
    "pause_after_failed_reads",
    "pause_between_looks",
    "pause_for_the_budget",
    "usual_of",
]

QUICKEST = timedelta(seconds=2)
USUAL = timedelta(seconds=15)
# The end of an outage is noticed so late at most.
SLOWEST_AFTER_FAILURE = timedelta(minutes=1)
# Fivetran counts requests by the hour: a wish for more than a day, in seconds, makes no sense.
LONGEST_ASKED = 24 * 3600.0

# --- around the usual end: the shares of it, and the pauses, that a simulated fleet did best with ---------------
LATEST_SYNCS = 5
BEFORE_THE_SHORTEST = 0.85
BEYOND_THE_LONGEST = 1.15
LOOKS_AROUND_THE_END = 24
QUICKEST_AROUND_THE_END = timedelta(seconds=1.5)
SLOWEST_AROUND_THE_END = timedelta(seconds=7)
OVERRUN_PER_PAUSE = 10

# --- the account's hour -----------------------------------------------------------------------------------------
# Of what is left of the account's requests, looking may use this share within an hour.
SHARE_OF_WHAT_IS_LEFT = 0.5
# However little is left, there is a look within this time.
SLOWEST_FOR_THE_BUDGET = timedelta(minutes=5)

JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Usual:
    """How long the latest good syncs of a connection took, at least and at most."""

    shortest: timedelta
    longest: timedelta
    runs: Mapping[datetime, timedelta] = field(default_factory=dict)
    """What each took, by its beginning."""


def usual_of(entries: Iterable[SyncHistoryEntry], before: Usual | None = None) -> Usual | None:
    """What the sync history tells of the usual duration; ``None`` if no good sync is known.

    :param before: what was known before: one look into the history reaches less far back than another.
    """
    runs = dict(before.runs) if before is not None else {}
    for e in entries:
        if e.is_success and e.started_at and e.ended_at and e.ended_at >= e.started_at:
            runs[e.started_at] = e.ended_at - e.started_at
    latest = dict(sorted(runs.items())[-LATEST_SYNCS:])
    return Usual(min(latest.values()), max(latest.values()), latest) if latest else None


def pause_between_looks(
    age: timedelta,
    chosen: timedelta | None,
    *,
    usual: Usual | None = None,
    requests_left: int | None = None,
    chance: float = 0.0,
) -> timedelta:
    """The pause until the next look: never longer than 15 s, unless the user or the account's budget wants it.

    Where it is not known how long syncs of the connection take, the first looks come quickly, for many are short,
    and after about three minutes they come every 15 s. Where it is known, they come every 15 s until the time when
    the sync usually ends draws near, closely around it, and less and less often when the sync overruns.

    :param age: how long the sync, or the wait for it, has lasted.
    :param chosen: the user's ``poll_frequency``, below which the pause never is.
    :param usual: how long syncs of this connection usually take.
    :param requests_left: what is left of the account's requests in this hour.
    :param chance: from 0 to 1: makes a pause that the user did not choose up to a tenth shorter, so that many waits
        do not look in the same moment.
    """
    pause = chosen
    if pause is None:
        wish = _by_age(age) if usual is None else _by_usual(age, usual)
        pause = wish * (1 - JITTER * chance)
    return max(pause, pause_for_the_budget(1, requests_left))


def _by_age(age: timedelta) -> timedelta:
    return min(USUAL, max(QUICKEST, QUICKEST + age / 15))


def _by_usual(age: timedelta, usual: Usual) -> timedelta:
    first, last = usual.shortest * BEFORE_THE_SHORTEST, usual.longest * BEYOND_THE_LONGEST
    close = min(max((last - first) / LOOKS_AROUND_THE_END, QUICKEST_AROUND_THE_END), SLOWEST_AROUND_THE_END)
    if age < first:
        return min(USUAL, max(first - age, close))
    return min(USUAL, close + max(age - last, timedelta(0)) / OVERRUN_PER_PAUSE)


def pause_for_the_budget(requests: int, requests_left: int | None, *, reserved: int = 0) -> timedelta:
    """How long to do nothing for a look of so many requests, so that the account's hour suffices.

    :param requests_left: ``X-Rate-Limit-Remaining`` of the last answer, if it had one.
    :param reserved: how many of those are needed for other purposes than looking; never taken for more than half.
    """
    if requests_left is None:
        return timedelta(0)
    free = max(requests_left - reserved, requests_left / 2) * SHARE_OF_WHAT_IS_LEFT
    seconds = 3600 * requests / max(free, 1.0)
    return min(timedelta(seconds=seconds), SLOWEST_FOR_THE_BUDGET)


def chance_of(connection_id: str, now: datetime) -> float:
    """A number from 0 to 1 that differs between connections and between looks, and yet is the same for the same."""
    return crc32(f"{connection_id} {now.isoformat()}".encode()) / 0xFFFF_FFFF


def pause_after_failed_reads(
    failures: int,
    usual: timedelta,
    retry_after: float | None = None,
    *,
    slowest: timedelta = SLOWEST_AFTER_FAILURE,
) -> timedelta:
    """The pause after so many failed reads in a row: as long as Fivetran asks for, or else doubling, up to a minute.

    It is never shorter than the usual one, which may be the user's choice.

    :param failures: how many reads failed in a row, from 1.
    :param usual: the pause that would come after a good read.
    :param retry_after: seconds that Fivetran asked for.
    :param slowest: the longest that doubling may make it.
    """
    if retry_after:
        return max(timedelta(seconds=min(retry_after, LONGEST_ASKED)), QUICKEST, usual)
    doubled: timedelta = max(usual, QUICKEST) * (1 << min(failures - 1, 10))
    return max(min(doubled, slowest), usual)
