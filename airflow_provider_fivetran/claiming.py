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
    RECEIVER,
    TOLD,
    Receiver,
    date_of,
    identity_of,
    stream_of,
)
from airflow_provider_fivetran.core.landings import SAME_END

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.landings import Watermark
    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = ["Claims", "Store"]

log = logging.getLogger(__name__)

# Seconds for which a receiver that was there is taken to be there still.
IS_THERE_FOR = 3600.0


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
    _is_there_until: float = field(default=0.0, init=False)
    _said: bool = field(default=False, init=False)

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
        if not await self._has_receiver():
            return True
        identity = identity_of(record)
        await self.store.aset(CLAIM + identity, BY_WATCHER)
        return await self.store.aget(TOLD + identity) is None

    async def _has_receiver(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._is_there_until and await self._receiver() is not None:
            self._is_there_until = now + IS_THERE_FOR
        return now < self._is_there_until

    async def _receiver(self) -> Receiver | None:
        return Receiver.from_json(await self.store.aget(RECEIVER), utcnow())

    async def _take_without_id(self, record: SyncRecord, mark: Watermark) -> bool:
        """The latest end of its kind: if a receiver has told one as late as that, it was this one."""
        receiver, now = await self._receiver(), utcnow()
        if receiver is None:
            return True
        if not receiver.leaves(record.connection_id, now):
            await self.store.aset(RECEIVER, receiver.leaving(record.connection_id, now).to_json())
        told_at = date_of(await self.store.aget(LATEST + stream_of(record)))
        # Of a sync that is put off, nobody knows since when.
        ended_at = mark.until if record.status == "rescheduled" else record.ended_at
        return told_at is None or ended_at is None or told_at < ended_at - SAME_END
