"""What may happen to a webhook delivery on its way: rules and seeded chance decide which one suffers."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Literal, get_args

from .checking import check_choices, check_numbers, check_types

MishapKind = Literal[
    "duplicate",  # it arrives twice at once
    "delay",  # it is held back
    "reorder",  # it is held back until a later one of its webhook has been answered
    "lost",  # it never leaves, and is sent again as if it had failed
    "wrong_signature",  # it is signed with another secret
    "unsigned",  # it has no signature
    "truncated",  # its body is cut off; the signature is that of the whole
]


@dataclass(frozen=True)
class Mishap:
    """One rule: deliveries of ``event`` (None: of any) suffer ``kind``.

    It strikes ``times`` times (None: for ever), each time with ``probability``.
    """

    kind: MishapKind
    event: str | None = None
    times: int | None = 1
    probability: float = 1.0
    # "delay" and "reorder": simulated seconds after which it goes out in any case.
    delay: float = 5.0

    def __post_init__(self) -> None:
        check_choices("kind", self.kind, get_args(MishapKind))
        check_types("event", self.event, str, type(None))
        if self.times is not None:
            check_numbers("times", self.times, least=1)
        check_numbers("delay", self.delay)
        check_numbers("probability", self.probability)
        if self.probability > 1:
            raise ValueError(f"probability is {self.probability!r}; allowed: a number between 0 and 1")


class Mishaps:
    """The rules in force. The first that matches and whose chance comes up strikes."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._left: dict[int, tuple[Mishap, int | None]] = {}
        self._number = 0

    def add(self, mishap: Mishap) -> None:
        with self._lock:
            self._number += 1
            self._left[self._number] = (mishap, mishap.times)

    def clear(self) -> None:
        with self._lock:
            self._left.clear()

    def strike(self, event: str) -> Mishap | None:
        with self._lock:
            for number, (mishap, left) in self._left.items():
                if mishap.event in (None, event) and self._random.random() < mishap.probability:
                    if left == 1:
                        del self._left[number]
                    elif left is not None:
                        self._left[number] = (mishap, left - 1)
                    return mishap
        return None
