"""Faults of the network and of Fivetran itself: rules and seeded chance decide which request suffers."""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field
from typing import Literal, get_args

from .checking import check_choices, check_numbers, check_types

Kind = Literal["status", "reset", "lost", "html", "garbage", "slow", "huge", "wrong_shape"]

# Whether a request that suffers the fault is carried out all the same.
_TAKES_EFFECT: dict[str, bool] = {
    "status": False,
    "reset": False,
    "lost": True,
    "html": False,
    "garbage": True,
    "slow": True,
    "huge": True,
    "wrong_shape": True,
}
_HIGHEST_STATUS = 599
_LOWEST_STATUS = 100


@dataclass(frozen=True)
class Fault:
    """One rule: requests that match ``method`` and ``path`` (a regular expression) suffer ``kind``.

    It applies ``times`` times (None: for ever), each time with ``probability``.
    """

    kind: Kind
    method: str | None = None
    path: str | None = None
    times: int | None = 1
    probability: float = 1.0
    # "status" and "html": the HTTP status; 503 and 502 unless given.
    status: int | None = None
    # The Retry-After header of a "status" or "html" answer: seconds, or a text as it stands, such as a date.
    retry_after: float | str | None = None
    # Real seconds before the answer, for any kind; "slow" waits one second unless given.
    delay: float | None = None
    # Overrides whether the request is carried out before the fault strikes.
    takes_effect: bool | None = None
    # "huge": megabytes of the answer.
    size_mb: float = 5.0

    def __post_init__(self) -> None:
        check_choices("kind", self.kind, get_args(Kind))
        for name in ("retry_after", "delay", "times"):
            value = getattr(self, name)
            if value is not None and not (name == "retry_after" and isinstance(value, str)):
                check_numbers(name, value)
        check_numbers("size_mb", self.size_mb)
        check_numbers("probability", self.probability)
        if self.probability > 1:
            raise ValueError(f"probability is {self.probability!r}; allowed: a number between 0 and 1")
        if self.status is not None and not _LOWEST_STATUS <= self.status <= _HIGHEST_STATUS:
            raise ValueError(f"status is {self.status!r}; allowed: an HTTP status")
        if self.path is not None:
            _check_pattern(self.path)

    @property
    def effective(self) -> bool:
        return _TAKES_EFFECT[self.kind] if self.takes_effect is None else self.takes_effect

    @property
    def seconds(self) -> float:
        """How long the answer is held back."""
        if self.delay is not None:
            return self.delay
        return 1.0 if self.kind == "slow" else 0.0

    def matches(self, method: str, path: str) -> bool:
        if self.method is not None and self.method.upper() != method.upper():
            return False
        return self.path is None or re.search(self.path, path) is not None


@dataclass
class _Rule:
    fault: Fault
    left: int | None = field(default=None)


class Faults:
    """The rules in force. The first that matches and whose chance comes up strikes."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._rules: list[_Rule] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._rules.append(_Rule(fault, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def waiting(self) -> list[Fault]:
        """The faults that can still strike."""
        with self._lock:
            return [rule.fault for rule in self._rules]

    def strike(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.fault.matches(method, path) and self._random.random() < rule.fault.probability:
                    self._use(rule)
                    return rule.fault
        return None

    def _use(self, rule: _Rule) -> None:
        if rule.left is None:
            return
        rule.left -= 1
        if rule.left <= 0:
            self._rules.remove(rule)


def _check_pattern(pattern: str) -> None:
    check_types("path", pattern, str)
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"path is {pattern!r}; allowed: a regular expression ({error})") from error
