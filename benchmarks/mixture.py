"""The syncs of a working day: connections of very different durations, each much like itself, with surprises."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIATION = 0.2
"""How far a sync may be off the usual duration of its connection."""
FAILS_EARLY, TAKES_LONG = 0.02, 0.02
"""Shares of the syncs that surprise."""
ROUNDS_BEFORE = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """Connections of similar duration."""

    name: str
    share: float
    """Of all syncs that begin."""
    least: float
    most: float
    """Seconds that their syncs usually take; with the variation it may be a fifth more or less."""

    @property
    def weight(self) -> float:
        """The share of the syncs that run at any moment, apart from a common factor."""
        return self.share * (self.least + self.most) / 2


KINDS = (
    Kind("under a minute", 0.4, 10, 50),
    Kind("2 to 20 minutes", 0.4, 150, 1000),
    Kind("up to 6 hours", 0.2, 1500, 18000),
)
LONGEST = KINDS[-1].most * (1 + VARIATION)


@dataclass(frozen=True, slots=True)
class Recurring:
    """A connection that syncs again and again."""

    name: str
    kind: Kind
    usual: float


@dataclass(frozen=True, slots=True)
class Sync:
    """One sync of it, and how it will go."""

    of: Recurring
    duration: float
    surprise: bool = False
    fails: bool = False

    @property
    def plan(self) -> dict[str, object]:
        return {"duration": self.duration, "outcome": "failure" if self.fails else "success"}


class Mixture:
    """Gives one sync after the other, so that a certain number runs at any time.

    :param slots: how many run at once.
    """

    def __init__(self, slots: int, seed: int = 0) -> None:
        self._slots = slots
        self._chance = random.Random(seed)
        total = sum(kind.weight for kind in KINDS)
        self._idle: dict[Kind, deque[Recurring]] = {}
        for kind in KINDS:
            at_once = slots * kind.weight / total
            # Some more than ever run at once, so that each rests for a while before it comes again.
            number = ceil(1.3 * at_once + 0.1 * slots) + 5
            self._idle[kind] = deque(
                Recurring(
                    f"{kind.name.replace(' ', '_')}_{index}",
                    kind,
                    self._chance.uniform(kind.least, kind.most),
                )
                for index in range(number)
            )

    def connections(self) -> list[Recurring]:
        """All that are not taken."""
        return [one for idle in self._idle.values() for one in idle]

    def earlier(self) -> list[dict[str, float]]:
        """Rounds of syncs that have been, with the seconds by connection."""
        return [{one.name: self._like(one.usual) for one in self.connections()} for _ in range(ROUNDS_BEFORE)]

    def first(self) -> Iterator[tuple[float, Sync]]:
        """With which syncs to begin, and after how many seconds.

        They are chosen as one would find them at some moment, and begin as long before it as they would have.
        """
        weights = [kind.weight for kind in KINDS]
        for _ in range(self._slots):
            one = self._take(self._chance.choices(KINDS, weights)[0])
            duration = self._like(one.usual)
            yield LONGEST - self._chance.uniform(0, duration), Sync(one, duration)

    def next(self) -> Sync:
        """The sync with which to follow one that ended."""
        one = self._take(self._chance.choices(KINDS, [kind.share for kind in KINDS])[0])
        duration, fate = self._like(one.usual), self._chance.random()
        if fate < FAILS_EARLY:
            return Sync(one, duration * self._chance.uniform(0.1, 0.5), surprise=True, fails=True)
        if fate < FAILS_EARLY + TAKES_LONG:
            return Sync(one, duration * self._chance.uniform(2, 3), surprise=True)
        return Sync(one, duration)

    def over(self, sync: Sync) -> None:
        """The connection of this sync may be taken again."""
        self._idle[sync.of.kind].append(sync.of)

    def _take(self, kind: Kind) -> Recurring:
        """The connection of this kind that has rested longest; of another where all are taken."""
        idle = self._idle[kind] or max(self._idle.values(), key=len)
        return idle.popleft()

    def _like(self, usual: float) -> float:
        return usual * self._chance.uniform(1 - VARIATION, 1 + VARIATION)
