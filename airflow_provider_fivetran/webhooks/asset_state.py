"""The receiver's side of the agreement with watchers; ``core/claims.py`` says how that works.

Everything here blocks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.claims import (
    CLAIM,
    GRACE,
    HEARD_EVERY,
    LATEST,
    RECEIVER,
    SEEN,
    TOLD,
    Receiver,
    date_of,
    dated,
    stream_of,
)
from airflow_provider_fivetran.core.landings import Watermark

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from airflow_provider_fivetran.webhooks.deliveries import SyncEnded

__all__ = ["AssetState", "Found", "Outcome"]

Outcome: TypeAlias = Literal["emitted", "repeated", "watched"]

BY_RECEIVER = {"by": "receiver"}


@dataclass(frozen=True, slots=True)
class Found:
    """An asset of somebody's DAG."""

    id: int
    name: str
    uri: str
    watched_since: datetime | None
    """Since when Airflow has a watcher of ours to run for it, if it has one."""
    shares_watcher: bool
    """Its watcher is that of another asset too, and can remember nothing."""


@dataclass
class AssetState:
    """What is kept for an asset, in the transaction in which the end of a sync is told to it."""

    session: Session
    asset: Found
    _watcher_must_know: bool = False
    _is_receiver_known: bool = False

    def claim(self, ended: SyncEnded) -> bool:
        """Whether nobody else has claimed this end. If somebody has, there is no transaction any more."""
        from sqlalchemy.exc import IntegrityError  # noqa: PLC0415

        try:
            self._insert(CLAIM + ended.identity, BY_RECEIVER)
        except IntegrityError:
            self.session.rollback()
            return False
        return True

    def whose(self, ended: SyncEnded) -> Literal["mine"] | Outcome:
        """Who is to tell of this end that has been claimed: ``"mine"``, or why it is not for the receiver."""
        now, asset, record = utcnow(), self.asset, ended.record
        seen = self._seen()
        mark = Watermark.from_json(_parsed(seen))
        receiver = Receiver.from_json(_parsed(self._value(RECEIVER)), now)
        if mark is not None and mark.covers(record, receiver.since if receiver is not None else None):
            return "repeated"
        self._watcher_must_know = seen is not None or asset.watched_since is not None
        self._is_receiver_known = receiver is not None and receiver.heard > now - HEARD_EVERY
        # While all DAGs of an asset are paused, Airflow runs no watcher of it.
        if asset.watched_since is None:
            return "mine"
        if asset.shares_watcher or record.sync_id is None or not _is_kept_in_database():
            return "watched"
        if seen is None:
            # It is about to look for the first time, or there is no triggerer, or it may not look.
            return "watched" if asset.watched_since > now - GRACE else "mine"
        is_shared = receiver is not None and receiver.tells(record.connection_id, now)
        return "mine" if is_shared and mark is not None else "watched"

    def note(self, ended: SyncEnded) -> None:
        """Write down what a watcher must know of this end, once the event is there."""
        if not self._watcher_must_know:  # there has been none, and when one comes, this is of the past
            return
        if not self._is_receiver_known:
            self._put_receiver()
        self._insert(TOLD + ended.identity, BY_RECEIVER)
        key = LATEST + stream_of(ended.record)
        before = date_of(_parsed(self._value(key, to_change=True)))
        if before is None or before < ended.told_at:
            self._put(key, dated(ended.told_at))

    def let_watcher_know(self) -> None:
        """Say, in a transaction of its own, that a receiver hears of this asset too."""
        if self._watcher_must_know and not self._is_receiver_known:
            self._put_receiver()
            self.session.commit()

    # --- keys and values ----------------------------------------------------------------------------------------

    def _seen(self) -> str | None:
        """By way of the backend, which is where Airflow puts what a watcher remembers."""
        from airflow.state import AssetScope, get_state_backend  # noqa: PLC0415

        return get_state_backend().get(AssetScope(asset_id=self.asset.id), SEEN, session=self.session)

    def _put_receiver(self) -> None:
        now = utcnow()
        before = Receiver.from_json(_parsed(self._value(RECEIVER, to_change=True)), now)
        begun = Receiver(since=now, heard=now)
        self._put(RECEIVER, (begun if before is None else replace(before, heard=now)).to_json())

    def _value(self, key: str, *, to_change: bool = False) -> str | None:
        """The value of a key. If it has one, nobody changes that before this transaction ends."""
        from airflow.models.asset_state_store import AssetStateStoreModel as Row  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        return self.session.scalar(
            select(Row.value)
            .where(Row.asset_id == self.asset.id, Row.key == key)
            .with_for_update(read=not to_change)
        )

    def _insert(self, key: str, value: Any) -> None:
        from airflow.models.asset_state_store import AssetStateStoreModel as Row  # noqa: PLC0415

        self.session.add(Row(asset_id=self.asset.id, key=key, value=json.dumps(value), updated_at=utcnow()))
        self.session.flush()

    def _put(self, key: str, value: Any) -> None:
        from airflow.models.asset_state_store import AssetStateStoreModel as Row  # noqa: PLC0415

        row = self.session.get(Row, (self.asset.id, key), with_for_update=True)
        if row is None:
            self._insert(key, value)
        else:
            row.value, row.updated_at = json.dumps(value), utcnow()


def _is_kept_in_database() -> bool:
    """Whether what a watcher remembers is where its claims and ours can meet."""
    from airflow.state import get_state_backend  # noqa: PLC0415
    from airflow.state.metastore import MetastoreBackend  # noqa: PLC0415

    return isinstance(get_state_backend(), MetastoreBackend)


def _parsed(text: str | None) -> object:
    try:
        return json.loads(text) if text is not None else None
    except ValueError:
        return None
