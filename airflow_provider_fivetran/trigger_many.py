"""The trigger that waits for the syncs of many connections at once. It starts none: see ``docs/many-at-once.md``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.moments import read_moment
from airflow_provider_fivetran.core.packing import unpack
from airflow_provider_fivetran.trigger_waiting import WaitingTrigger
from airflow_provider_fivetran.triggers import FivetranSyncTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.errors import Facts
    from airflow_provider_fivetran.core.steps import Note

__all__ = ["VERDICT", "FivetranSyncManyTrigger"]

VERDICT = "Many"
# Airflow 3.3.2 now and then fails a task that resumes in the moment in which it was deferred.
SETTLE = timedelta(seconds=3)
# What the worker has to do for a sync that has ended, or with a place that has become free, waits for more of the
# same, but no longer than this.
GATHER = timedelta(minutes=1)
# For so long those are waited for whose end was seen in the same look as that of others.
LINGER = timedelta(seconds=1)
BETWEEN_PROGRESS = timedelta(minutes=10)
# Of the waits' own warnings so many are shown: in an outage all of them say the same.
MOST_WARNINGS = 5


class FivetranSyncManyTrigger(WaitingTrigger):
    """Waits for many syncs, and sends exactly one event when a worker is needed.

    That is when all have ended; when so many have that the worker starts a batch of others; a minute after the
    first end for which it has something to do; when it wants to come back; or when the time of the whole task is
    over. What has become of each sync is decided by a
    :class:`~airflow_provider_fivetran.triggers.FivetranSyncTrigger` of its own, which lives in here; they share
    their looks.

    Its arguments are those of :class:`~airflow_provider_fivetran.trigger_waiting.WaitingTrigger`. ``ticket`` holds
    ``waits`` (packed: by connection id the ``ticket``, ``errand`` and ``when_killed`` of a single wait), ``enough``
    (so many ends make a batch; ``None``: there is nothing left to start), ``wake_at`` (ISO 8601, or ``None``) and
    ``deadline`` (ISO 8601).
    """

    _warned = 0

    async def _event(self) -> dict[str, Any]:
        waits: Mapping[str, Any] = unpack(self.ticket["waits"])
        round_ = _Round(
            enough=self.ticket["enough"],
            until=_earliest(read_moment(self.ticket["deadline"]), self.ticket["wake_at"]),
        )
        ones = {name: _One(self, wait) for name, wait in waits.items()}
        waiting = {asyncio.create_task(one.outcome()): name for name, one in ones.items()}

        def take(done: Iterable[asyncio.Task[dict[str, Any]]]) -> None:
            for task in done:
                name = waiting.pop(task)
                round_.take(name, task.result(), ones[name], utcnow())

        began = said = utcnow()
        try:
            while waiting and not round_.is_over(utcnow()):
                pause = min(round_.ends_at - utcnow(), BETWEEN_PROGRESS).total_seconds()
                done, _ = await asyncio.wait(
                    waiting, timeout=max(0.0, pause), return_when=asyncio.FIRST_COMPLETED
                )
                take(done)
                if utcnow() >= said + BETWEEN_PROGRESS:
                    said = utcnow()
                    self.log.info("%d of %d awaited syncs have ended", len(round_.ended), len(waits))
            if not waits:  # it is only to come back
                await asyncio.sleep(max(0.0, (round_.ends_at - utcnow()).total_seconds()))
            await asyncio.sleep(max(0.0, (began + SETTLE - utcnow()).total_seconds()))
            if waiting:  # what one look has shown is read about for all at once
                done, _ = await asyncio.wait(waiting, timeout=LINGER.total_seconds())
                take(done)
        finally:
            for task in waiting:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*waiting, return_exceptions=True)
        self.log.info("%d of %d awaited syncs have ended; a worker goes on", len(round_.ended), len(waits))
        return {"verdict": VERDICT, "ended": round_.ended, "waits": self.ticket["waits"]}

    def may_warn(self) -> bool:
        """Whether one more of the waits may say what is wrong."""
        self._warned += 1
        if self._warned == MOST_WARNINGS + 1:
            self.log.warning("further warnings of the waits for single syncs are not shown")
        return self._warned <= MOST_WARNINGS

    def _about(self) -> Facts:
        return {}

    def _has_something_to_do(self) -> bool:
        return bool(self._ones())

    async def _see_to(self, state: str | None) -> None:
        """Stop the syncs, or leave them and put back the rest: all at once."""
        outcomes = await asyncio.gather(*(one.see_to(state) for one in self._ones()), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                self.log.error("one of the syncs could not be dealt with; look there", exc_info=outcome)

    def _ones(self) -> list[_One]:
        waits: list[Mapping[str, Any]] = list(unpack(self.ticket["waits"]).values())
        in_doubt = unpack(self.errand["in_doubt"]).values() if self.errand else ()
        ones = [_One(self, wait) for wait in (*waits, *in_doubt)]
        return [one for one in ones if one.has_something_to_do]


class _One(FivetranSyncTrigger):
    """The wait for one of the syncs."""

    def __init__(self, of: FivetranSyncManyTrigger, wait: Mapping[str, Any]) -> None:
        super().__init__(
            ticket=wait["ticket"],
            fivetran_conn_id=of.fivetran_conn_id,
            retry_limit=of.retry_limit,
            retry_delay=of.retry_delay,
            when_killed=wait["when_killed"],
            errand=wait["errand"],
        )
        self._of = of

    async def outcome(self) -> dict[str, Any]:
        """The one event."""
        [payload] = [event.payload async for event in self.run()]
        return dict(payload)

    async def see_to(self, state: str | None) -> None:
        """Do what has to follow when the task is over."""
        await self._see_to(state)

    @property
    def has_something_to_do(self) -> bool:
        """Whether the end of the task has to be followed by anything."""
        return self._has_something_to_do()

    def is_done(self, event: Mapping[str, Any]) -> bool:
        """Whether the worker has nothing to do but to write down how it ended."""
        then_start_ours = (self.errand or {}).get("then_start_ours") is True
        return event.get("verdict") != "TriggerAgain" and not then_start_ours and not self._undone.changes()

    def _log_note(self, note: Note) -> None:
        # Where so many wait, only what is wrong is worth a line.
        if note.is_warning and self._of.may_warn():
            super()._log_note(note)


class _Round:
    """What has ended so far, and until when to gather more."""

    def __init__(self, *, enough: int | None, until: datetime) -> None:
        self.ended: dict[str, dict[str, Any]] = {}
        self._enough = enough
        self.ends_at = until

    def is_over(self, now: datetime) -> bool:
        return now >= self.ends_at or (self._enough is not None and len(self.ended) >= self._enough)

    def take(self, name: str, event: dict[str, Any], one: _One, now: datetime) -> None:
        self.ended[name] = event
        if self._enough is not None or not one.is_done(event):
            self.ends_at = min(self.ends_at, now + GATHER)


def _earliest(deadline: datetime, wake_at: str | None) -> datetime:
    return min(deadline, read_moment(wake_at)) if wake_at else deadline
