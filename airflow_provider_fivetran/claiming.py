"""A watcher's side of the agreement with the webhook receiver; ``core/claims.py`` says how that works."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.claims import (
    BY_WATCHER,
    CLAIM,
    LATEST,
    LEFT_TO_WATCHER,
    RECEIVER,
    TOLD,
    date_of,
    dated,
    identity_of,
    stream_of,
)
from airflow_provider_fivetran.core.landings import SAME_END

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.landings import Watermark
    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = ["Claims", "Store"]

log = logging.getLogger(__name__)


class Store(Protocol):
    """As much as is needed of Airflow's asset state store."""

    async def aget(self, key: str, default: Any = None) -> Any:
        """The value of a key."""

    async def aset(self, key: str, value: Any) -> None:
        """Change it."""


@dataclass
class Claims:
    """What one watcher may tell.

    :param store: that of the watched asset.
    :param interval: seconds until the store is tried again that failed.
    """

    store: Store
    interval: float
    _is_shared: bool = False
    _said: bool = field(default=False, init=False)

    async def begin(self) -> None:
        """Let a receiver tell again: that ids were unknown to an earlier watcher may have passed."""
        if await self.store.aget(RECEIVER) == LEFT_TO_WATCHER:
            await self.store.aset(RECEIVER, dated(utcnow()))

    async def take(self, record: SyncRecord, mark: Watermark) -> bool:
        """Whether the watcher is the one to tell of this end, however long that takes to find out.

        To tell without knowing might be to tell twice; and while Airflow's database is away, so are its events.
        """
        while True:
            try:
                if record.sync_id is None:
                    mine = await self._take_without_id(record, mark)
                else:
                    mine = await self._take(record)
            except Exception as error:  # noqa: BLE001  # whatever Airflow's channel, or a state backend, raises
                if not self._said:
                    log.warning(
                        "what the webhook receiver told cannot be read, trying again: %s",
                        type(error).__name__,
                    )
                self._said = True
                await asyncio.sleep(self.interval)
            else:
                self._said = False
                return mine

    async def _take(self, record: SyncRecord) -> bool:
        self._is_shared = self._is_shared or await self.store.aget(RECEIVER) is not None
        if not self._is_shared:
            return True
        identity = identity_of(record)
        await self.store.aset(CLAIM + identity, BY_WATCHER)
        return await self.store.aget(TOLD + identity) is None

    async def _take_without_id(self, record: SyncRecord, mark: Watermark) -> bool:
        """The latest end of its kind: if a receiver has told one as late as that, it was this one."""
        receiver = await self.store.aget(RECEIVER)
        if receiver is None:
            return True
        if receiver != LEFT_TO_WATCHER:
            await self.store.aset(RECEIVER, LEFT_TO_WATCHER)
        told_at = date_of(await self.store.aget(LATEST + stream_of(record)))
        # Of a sync that is put off, nobody knows since when.
        ended_at = mark.until if record.status == "rescheduled" else record.ended_at
        return told_at is None or ended_at is None or told_at < ended_at - SAME_END
