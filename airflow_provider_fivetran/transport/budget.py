"""When the next request may be sent, so that many of them take no more than their share."""

from __future__ import annotations

from math import inf

__all__ = ["Budget"]


class Budget:
    """Lets one request pass at a time. All times and spans are in seconds, by one clock.

    :param burst: how far requests may run ahead of what has been paid for.
    """

    def __init__(self, *, burst: float) -> None:
        self._burst = burst
        self._paid_until = -inf
        self._closed_until = -inf

    def free_at(self) -> float:
        """When the next request may be sent."""
        return max(self._paid_until - self._burst, self._closed_until)

    def bears(self, requests: int, gap: float, now: float) -> bool:
        """Whether so many may be sent at once, each paid for with the gap."""
        return self.free_at() + (requests - 1) * gap <= now

    def spend(self, now: float, gap: float, stretched: float = 0.0) -> None:
        """Pay for one request.

        :param gap: until the next, unless there is a burst left.
        :param stretched: until the next in any case, if it is longer.
        """
        self._paid_until = max(self._paid_until, now) + max(gap, stretched)
        if stretched > gap:
            self._closed_until = max(self._closed_until, now) + stretched

    def close(self, until: float) -> None:
        """Let nothing pass before this time."""
        self._closed_until = max(self._closed_until, until)
