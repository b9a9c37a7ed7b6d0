"""What the log says of refused deliveries: enough to find a wrong secret, too little to be flooded by."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Refusals"]

SECONDS_BETWEEN = 60.0

_log = logging.getLogger(__name__)


class Refusals:
    """Says each reason once a minute, with how many there were since.

    :param clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def note(self, reason: str) -> None:
        """Say it, or remember it.

        :param reason: one of few texts. It must have nothing in it that a sender chose freely: it is logged as it
            is, and each is kept.
        """
        now = self._clock()
        count = self._unsaid.get(reason, 0) + 1
        if now - self._said_at.get(reason, -SECONDS_BETWEEN) < SECONDS_BETWEEN:
            self._unsaid[reason] = count
            return
        self._said_at[reason] = now
        self._unsaid.pop(reason, None)
        more = f" ({count} of them since this was said last)" if count > 1 else ""
        _log.warning("Fivetran webhook refused: %s%s", reason, more)
