"""The syncs of a working day: connections of very different durations, each much like itself, with surprises."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from math import ceil
from statistics import mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIATION = 0.2
"""How far a sync may be off the usual duration of its connection."""
FAILS_EARLY, TAKES_LONG = 0.02, 0.02
"""Shares of the syncs that surprise."""
ROUNDS_BEFORE = 5
DURATIONS = 20
"""Of each kind so many are told apart; each is as likely as the others."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Connections of similar duration."""

    name: str
    share: float
    """Of all syncs that begin."""
    least: float
    most: float
    """Seconds that their syncs usually take."""

    def usual(self) -> list[float]:
        """Some durations that stand for all."""
        step = (self.most - self.least) / DURATIONS
        return [self.least + (number + 0.5) * step for number in range(DURATIONS)]


KINDS = (
    Kind("under a minute", 0.4, 8, 50),
    Kind("2 to 20 minutes", 0.4, 120, 1200),
    Kind("up to 6 hours", 0.2, 1200, 21600),
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
        total = sum(kind.share * mean(kind.usual()) for kind in KINDS)
        self._idle: dict[Kind, dict[float, deque[Recurring]]] = {kind: {} for kind in KINDS}
        for kind in KINDS:
            for usual in kind.usual():
                at_once = slots * kind.share * usual / DURATIONS / total
                # Some more than ever run at once, so that each rests for a while before it comes again.
                names = [
                    f"{kind.name} {usual:.0f}s {number}".replace(" ", "_")
                    for number in range(ceil(1.3 * at_once) + 3)
                ]
                self._idle[kind][usual] = deque(Recurring(name, kind, usual) for name in names)

    def connections(self) -> list[Recurring]:
        """All that are not taken."""
        return [one for of_kind in self._idle.values() for idle in of_kind.values() for one in idle]

    def earlier(self) -> list[dict[str, float]]:
        """Rounds of syncs that have been, with the seconds by connection."""
        return [{one.name: self._like(one.usual) for one in self.connections()} for _ in range(ROUNDS_BEFORE)]

    def first(self) -> Iterator[tuple[float, Sync]]:
        """With which syncs to begin, and after how many seconds.

        They are chosen as one would find them at some moment, and begin as long before it as they would have.
        """
        choices = [(kind, usual) for kind in KINDS for usual in kind.usual()]
        weights = [kind.share * usual for kind, usual in choices]
        for kind, usual in self._chance.choices(choices, weights, k=self._slots):
            one = self._take(kind, usual)
            duration = self._like(one.usual)
            yield LONGEST - self._chance.uniform(0, duration), Sync(one, duration)

    def next(self) -> Sync:
        """The sync with which to follow one that ended."""
        kind = self._chance.choices(KINDS, [kind.share for kind in KINDS])[0]
        one = self._take(kind, self._chance.choice(kind.usual()))
        duration, fate = self._like(one.usual), self._chance.random()
        if fate < FAILS_EARLY:
            return Sync(one, duration * self._chance.uniform(0.1, 0.5), surprise=True, fails=True)
        if fate < FAILS_EARLY + TAKES_LONG:
            return Sync(one, duration * self._chance.uniform(2, 3), surprise=True)
        return Sync(one, duration)

    def over(self, sync: Sync) -> None:
        """The connection of this sync may be taken again."""
        self._idle[sync.of.kind][sync.of.usual].append(sync.of)

    def _take(self, kind: Kind, usual: float) -> Recurring:
        """The connection of about this duration that has rested longest."""
        idle = {duration: those for duration, those in self._idle[kind].items() if those}
        return idle[min(idle, key=lambda duration: abs(duration - usual))].popleft()

    def _like(self, usual: float) -> float:
        return usual * self._chance.uniform(1 - VARIATION, 1 + VARIATION)
