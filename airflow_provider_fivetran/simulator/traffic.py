"""The log of the requests that arrived, and the count against the hourly budget."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived. ``status`` is None where the connection was dropped without an answer."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int | None
    at: datetime
    fault: str | None
    key: str | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def count(requests: list[Request], method: str | None = None, path: str | None = None) -> int:
    """How many requests used this method and have a path in which the regular expression is found."""
    return sum(
        1
        for request in requests
        if (method is None or request.method == method.upper())
        and (path is None or re.search(path, request.path) is not None)
    )


class Budget:
    """A number of requests allowed in every rolling hour."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: deque[datetime] = deque()

    def spend(self, now: datetime, limit: int) -> int | None:
        """Count one request; return how many remain, or None if the limit was reached already."""
        with self._lock:
            self._forget(now)
            if len(self._spent) >= limit:
                return None
            self._spent.append(now)
            return limit - len(self._spent)

    def seconds_until_free(self, now: datetime) -> float:
        with self._lock:
            self._forget(now)
            if not self._spent:
                return 1.0
            return max(1.0, math.ceil((self._spent[0] + _WINDOW - now).total_seconds()))

    def clear(self) -> None:
        with self._lock:
            self._spent.clear()

    def _forget(self, now: datetime) -> None:
        while self._spent and self._spent[0] <= now - _WINDOW:
            self._spent.popleft()
