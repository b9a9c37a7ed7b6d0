"""The simulator's clock: it can run faster than the wall's, stand still, and be moved forward by hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from .checking import check_numbers


class Clock:
    """Time as the simulated Fivetran sees it.

    ``speed`` is how many simulated seconds pass in one real second; 0 stops the clock, which then moves only
    through :meth:`advance`.
    """

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        check_numbers("speed", speed)
        self._lock = threading.Lock()
        self._speed = speed
        self._start = start or datetime.now(UTC)
        self._started = time.monotonic()

    @property
    def speed(self) -> float:
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        check_numbers("speed", value)
        with self._lock:
            # What has passed so far passed at the old speed.
            self._start, self._started = self._read(), time.monotonic()
            self._speed = value

    def now(self) -> datetime:
        with self._lock:
            return self._read()

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward and return the new time."""
        check_numbers("seconds", seconds)
        with self._lock:
            self._start += timedelta(seconds=seconds)
            return self._read()

    def real_seconds(self, simulated: float) -> float:
        """How long a caller really has to wait for this many simulated seconds."""
        return simulated / self._speed if self._speed else simulated

    def _read(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._started) * self._speed)
