"""Watching connections for ends of syncs, whoever starts those, and telling of each once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.claiming import Claims
from airflow_provider_fivetran.core.cadence import pause_for_the_budget
from airflow_provider_fivetran.core.claims import SEEN
from airflow_provider_fivetran.core.decision import HISTORY_LAG
from airflow_provider_fivetran.core.endpoints import get_sync_history
from airflow_provider_fivetran.core.errors import FivetranError, FivetranForbidden, FivetranNotFound
from airflow_provider_fivetran.core.history import REACH
from airflow_provider_fivetran.core.landings import SAME_END, Watermark, by_timestamps, in_history, trace_of
from airflow_provider_fivetran.core.steps import ask_pages
from airflow_provider_fivetran.transport.listing import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from datetime import datetime

    from airflow_provider_fivetran.claiming import Store
    from airflow_provider_fivetran.core.landings import Trace
    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.core.verdicts import SyncRecord
    from airflow_provider_fivetran.transport.listing import Listing, Shown

__all__ = ["Scope", "Watch"]

log = logging.getLogger(__name__)

# Airflow takes events from a trigger within a second and writes them into its database: only then is it remembered
# that they were told. A triggerer that is killed in between tells them again.
SETTLES_WITHIN = 2.0
LAST_WRITE_TAKES = 3.0
# What was told is remembered at once; that nothing was, so often.
REMEMBER_EVERY = timedelta(minutes=10)
# Most syncs began so shortly before their end; where the history shows none, it is read as far as it reaches.
USUAL_REACH = timedelta(hours=24)
MOST_HISTORY_PAGES = 12
# For so long a history that this key may not read is done without, and what it may not see at all holds the mark.
WITHOUT_HISTORY = timedelta(hours=1)
HELD_FOR = timedelta(hours=1)
# A history that cannot be read for so long is done without for that end.
UNREADABLE_FOR = timedelta(minutes=30)
# Syncs that ended together are looked up so many at a time.
AT_ONCE = 8


@dataclass
class Watch:
    """One watcher.

    :param scope: which connections.
    :param failures: whether it is about syncs that did not end well, instead of those that did.
    :param interval: seconds between two looks.
    :param drive: carries out a procedure, repeating requests where that helps.
    """

    scope: Scope
    failures: bool
    interval: float
    listing: Listing
    drive: Callable[[Procedure[Any]], Awaitable[Any]]
    store: Store | None
    _mark: Watermark | None = None
    _claims: Claims | None = None
    _remembered: datetime | None = None
    _traces: dict[str, Trace] = field(default_factory=dict)
    _doubts: dict[str, tuple[Trace, datetime]] = field(default_factory=dict)
    _without_history: dict[str, datetime] = field(default_factory=dict)
    # When each connection was shown last, and what is to be told of it now.
    _seen_at: dict[str, datetime] = field(default_factory=dict)
    _marks: dict[str, Watermark] = field(default_factory=dict)
    _missing: frozenset[str] = frozenset()

    async def ends(self) -> AsyncIterator[SyncRecord]:
        """Each sync that ends, once, for ever."""
        await self._recall()
        with self.listing.watching(self.scope):
            while True:
                news, clear_until = await self._news()
                if news:
                    await self._learn_what_others_told()
                unsaved_since = None
                for record in news:
                    if self._mark is not None and not self._mark.has_told(record):
                        if self._claims is None or await self._claims.take(record, self._mark):
                            yield record
                        self._mark = self._mark.with_told(record)
                        unsaved_since = unsaved_since or _now()
                        if _now() > unsaved_since + SETTLES_WITHIN:
                            await self._settled()
                            unsaved_since = None
                if unsaved_since is not None:
                    await self._settled()
                await self._move_on(clear_until)
                await self._pass_time()

    async def _pass_time(self) -> None:
        """Until the next look: at the same moment for all whose interval is the same."""
        now = _now()
        for_the_budget = pause_for_the_budget(1, self.listing.requests_left).total_seconds()
        interval = max(self.interval, for_the_budget)
        await asyncio.sleep(interval - now % interval)

    async def _move_on(self, clear_until: datetime | None) -> None:
        """Nothing that ended before this time is still to be told."""
        if clear_until is None or self._mark is None:
            return
        self._mark = self._mark.moved_to(clear_until)
        if self._remembered is None or self._mark.until >= self._remembered + REMEMBER_EVERY:
            await self._remember()

    async def _news(self) -> tuple[list[SyncRecord], datetime | None]:
        """What is to be told, and up to when that is all; ``None``: that is not clear yet."""
        try:
            shown = await self.listing.read(self.scope, self.interval / 2)
        except FivetranError:  # which has been said, once for all watchers
            return [], None
        self._say_missing(shown)
        if self._mark is None:  # what ended before anybody watched is no news
            self._mark = Watermark(shown.at, since=shown.at)
            self._traces = {name: self._trace(found) for name, found in shown.connections.items()}
            await self._remember()
            return [], None
        mark = self._mark
        self._marks = {
            name: mark.seen_since(self._seen_at.get(name, mark.until)) for name in shown.connections
        }
        self._seen_at |= dict.fromkeys(shown.connections, shown.at)
        changed = [found for name, found in shown.connections.items() if self._has_news(name, found)]
        news = []
        for first in range(0, len(changed), AT_ONCE):
            for ends in await asyncio.gather(
                *(self._ends_of(found, shown.at) for found in changed[first : first + AT_ONCE])
            ):
                news += ends
        unclear = any(self._traces.get(found.id) != self._trace(found) for found in changed)
        news.sort(key=lambda record: (record.ended_at, record.connection_id))
        # What the key may not see now may be told when it may; but not for ever.
        holds = not shown.is_complete and shown.at < mark.until + HELD_FOR
        return news, None if unclear or holds else shown.at

    def _trace(self, connection: Connection) -> Trace:
        return trace_of(connection, failures=self.failures)

    def _has_news(self, name: str, found: Connection) -> bool:
        trace, before = self._trace(found), self._traces.get(name)
        if before == trace:
            return False
        if before is None:
            may_be = self._may_have_ended_since(found)
        else:
            # That a sync begins is none; but one that failed may be followed by the next at once.
            may_be = not (self.failures and found.is_syncing) or before[0] != trace[0]
        if not may_be:
            self._traces[name] = trace
        return may_be

    def _may_have_ended_since(self, found: Connection) -> bool:
        """Whether a connection that is seen for the first time may have ended after what was told before."""
        if self._mark is None:
            return False
        latest = found.failed_at if self.failures else found.succeeded_at
        put_off = self.failures and found.is_rescheduled
        return put_off or (latest is not None and latest > self._mark.until)

    async def _ends_of(self, found: Connection, at: datetime) -> list[SyncRecord]:
        """What ended in this connection and was not told. Where that is unclear yet, it is asked for again."""
        mark = self._marks[found.id]
        latest = found.failed_at if self.failures else found.succeeded_at
        since = self._doubtful_since(found, at)
        if self._without_history.get(found.id, at) > at:
            return self._settled_by_timestamps(found, mark, at)
        try:
            entries = await self._history(found, at, latest, mark.until)
        except (FivetranForbidden, FivetranNotFound):  # this account or key has none
            self._go_without_history(found.id, at)
            return self._settled_by_timestamps(found, mark, at)
        except FivetranError:
            return [] if at < since + UNREADABLE_FOR else self._settled_by_timestamps(found, mark, at)
        news = list(in_history(found, entries, mark, failures=self.failures))
        explained = latest is None or latest <= mark.until or _shows(entries, latest)
        if explained and (not self.failures or any(e.ended_at and e.ended_at > mark.until for e in entries)):
            self._settle(found)
        elif at >= since + HISTORY_LAG:  # the history lags too far behind to be waited for
            for record in news:
                mark = mark.with_told(record)
            news += self._settled_by_timestamps(found, mark, at)
        return news

    def _doubtful_since(self, found: Connection, at: datetime) -> datetime:
        """Since when it is not clear what ended."""
        trace, since = self._doubts.get(found.id, (None, at))
        if trace != self._trace(found):
            since = at
        self._doubts[found.id] = (self._trace(found), since)
        return since

    def _settled_by_timestamps(self, found: Connection, mark: Watermark, at: datetime) -> list[SyncRecord]:
        self._settle(found)
        return list(by_timestamps(found, mark, at, failures=self.failures))

    def _settle(self, found: Connection) -> None:
        self._doubts.pop(found.id, None)
        self._traces[found.id] = self._trace(found)

    async def _history(
        self, found: Connection, at: datetime, latest: datetime | None, mark: datetime
    ) -> Sequence[SyncHistoryEntry]:
        entries = await self._history_since(found.id, min(mark, at - USUAL_REACH), at)
        if latest is not None and latest > mark and not _shows(entries, latest):
            entries = await self._history_since(found.id, at - REACH, at)
        return entries

    async def _history_since(
        self, connection_id: str, since: datetime, at: datetime
    ) -> Sequence[SyncHistoryEntry]:
        until = at + timedelta(minutes=1)
        call = get_sync_history(connection_id, since=max(since, until - REACH), until=until)
        entries: Sequence[SyncHistoryEntry]
        entries = await self.drive(ask_pages(call, most=MOST_HISTORY_PAGES))
        return entries

    def _go_without_history(self, connection_id: str, at: datetime) -> None:
        if not self._without_history:
            log.warning(
                "%s has no sync history that this key may read (nor, maybe, have others): of several syncs that end "
                "between two looks only the last is told",
                connection_id,
            )
        self._without_history[connection_id] = at + WITHOUT_HISTORY

    # --- what is remembered -------------------------------------------------------------------------------

    async def _recall(self) -> None:
        """Learn what was told before, however long that takes: to begin anew would be to lose what ended since."""
        said = False
        while self.store is not None:
            try:
                self._mark = Watermark.from_json(await self.store.aget(SEEN))
                self._claims = Claims(self.store, self.interval)
            except ValueError as error:
                log.error("nothing can be remembered, for several assets share this watcher: %s", error)  # noqa: TRY400
                self.store = self._claims = None
            except Exception as error:  # noqa: BLE001  # whatever Airflow's channel, or a state backend, raises
                if not said:
                    log.warning("what was told before cannot be read, trying again: %s", type(error).__name__)
                said = True
                await asyncio.sleep(self.interval)
            else:
                return

    async def _learn_what_others_told(self) -> None:
        """While this triggerer stood still, another one may have taken the watcher over."""
        if self.store is None or self._mark is None:
            return
        try:
            stored = Watermark.from_json(await self.store.aget(SEEN))
        except Exception as error:  # noqa: BLE001  # the same
            log.warning("what others told cannot be read: %s", type(error).__name__)
            return
        if stored is not None:
            self._mark = self._mark.with_all_of(stored)

    async def _settled(self) -> None:
        """Remember what was told, once Airflow has it, or at the last moment."""
        try:
            await asyncio.sleep(SETTLES_WITHIN)
        except asyncio.CancelledError:
            # A triggerer that ends has no longer a channel to its database, and then this would never be over.
            await asyncio.wait([asyncio.ensure_future(self._remember())], timeout=LAST_WRITE_TAKES)
            raise
        await self._remember()

    async def _remember(self) -> None:
        if self.store is None or self._mark is None:
            return
        try:
            await self.store.aset(SEEN, self._mark.to_json())
        except Exception:
            log.exception("what was told cannot be remembered: a triggerer that starts now tells it again")
        else:
            self._remembered = self._mark.until

    # --- what is said -------------------------------------------------------------------------------------

    def _say_missing(self, shown: Shown) -> None:
        missing = frozenset(self.scope.connection_ids - shown.connections.keys())
        for name in sorted(missing - self._missing):
            log.warning("Fivetran knows no connection %s, or hides it from this key; it is watched for", name)
        self._missing = missing


def _now() -> float:
    return asyncio.get_running_loop().time()


def _shows(entries: Sequence[SyncHistoryEntry], end: datetime) -> bool:
    return any(e.ended_at is not None and abs(e.ended_at - end) < SAME_END for e in entries)
