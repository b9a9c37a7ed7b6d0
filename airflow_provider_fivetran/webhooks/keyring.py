"""Whose secret counts: what the receiver knows of Airflow connections, and how often it may ask.

Anybody may send anything to any address of ours, so asking is rationed: a connection that Airflow's database or
environment has is read at most once in a few seconds, however much is sent in its name; an id that only a secrets
backend could know is looked for a few times a second in all; any other id costs nothing.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Declared", "Directory", "Keyring", "Sender"]

# Seconds for which what was read counts. A new secret is known everywhere after this time.
FRESH_FOR = 5.0
# The same for what could not be read.
FAILURE_FRESH_FOR = 1.0
# Look-ups of ids that only a secrets backend could know: so many at once, and then so many a second.
STRANGERS_AT_ONCE = 20.0
STRANGERS_A_SECOND = 2.0
MOST_REMEMBERED = 256

# What Airflow allows as the id of a connection.
_CONN_ID = re.compile(r"[\w#!()\-.:/\\]{1,250}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sender:
    """An Airflow connection that webhooks may come for."""

    conn_id: str
    host: str
    """That of its account, as in the URIs of assets."""
    secrets: tuple[str, ...] = field(repr=False)
    """The webhook's secret and, during a rotation, the one before."""


@dataclass(frozen=True, slots=True)
class Declared:
    """Which Airflow connections there are, as far as that can be listed."""

    ids: frozenset[str]
    elsewhere: bool
    """Whether there is a secrets backend that may know more."""


class Directory(Protocol):
    """Where Airflow connections are read. Both may block, and may raise anything where they cannot."""

    def declared(self) -> Declared:
        """List what can be listed."""

    def sender(self, conn_id: str) -> Sender | None:
        """Read one; ``None`` where there is none or it has no secret."""


class Keyring:
    """Remembers for a moment what the directory said, and asks it once where many ask at the same time.

    :param directory: where to ask.
    :param run: carries out blocking work somewhere else.
    :param clock: seconds that only grow.
    """

    def __init__(
        self,
        directory: Directory,
        run: Callable[[Callable[[], Any]], Awaitable[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._run = run
        self._clock = clock
        self._answers: dict[str | None, tuple[float, asyncio.Future[Any]]] = {}
        self._had_a_secret: set[str] = set()
        self._ration = STRANGERS_AT_ONCE
        self._rationed_at = clock()

    async def sender(self, conn_id: str) -> Sender | None:
        """The Airflow connection of this id if it has a secret for webhooks.

        :raises Exception: what the directory or ``run`` raised: it cannot be known at present.
        """
        if not _CONN_ID.fullmatch(conn_id):
            return None
        declared: Declared = await self._remembered(None, self._directory.declared)
        is_free = conn_id in declared.ids or conn_id in self._had_a_secret or self._is_fresh(conn_id)
        if not is_free and not (declared.elsewhere and self._spend_ration()):
            return None
        sender: Sender | None = await self._remembered(conn_id, partial(self._directory.sender, conn_id))
        if sender is None:
            self._had_a_secret.discard(conn_id)
        else:
            self._had_a_secret.add(conn_id)
        return sender

    async def _remembered(self, key: str | None, read: Callable[[], Any]) -> Any:
        if not self._is_fresh(key):
            if len(self._answers) >= MOST_REMEMBERED:
                self._answers = {k: v for k, v in self._answers.items() if self._is_fresh(k)}
            answer = asyncio.ensure_future(self._run(read))
            # Whoever waited may have gone: then nobody else looks at what went wrong.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._answers[key] = (self._clock(), answer)
        return await asyncio.shield(self._answers[key][1])

    def _is_fresh(self, key: str | None) -> bool:
        if key not in self._answers:
            return False
        asked_at, answer = self._answers[key]
        failed = answer.done() and (answer.cancelled() or answer.exception() is not None)
        return not answer.done() or self._clock() - asked_at < (FAILURE_FRESH_FOR if failed else FRESH_FOR)

    def _spend_ration(self) -> bool:
        now = self._clock()
        self._ration = min(STRANGERS_AT_ONCE, self._ration + (now - self._rationed_at) * STRANGERS_A_SECOND)
        self._rationed_at = now
        if self._ration < 1:
            return False
        self._ration -= 1
        return True
