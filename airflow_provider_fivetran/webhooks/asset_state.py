"""The receiver's side of the agreement with watchers; ``core/claims.py`` says how that works.

Everything here blocks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.claims import (
    CLAIM,
    LATEST,
    RECEIVER,
    SEEN,
    TOLD,
    dated,
    is_shared,
    stream_of,
)
from airflow_provider_fivetran.core.landings import Watermark

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_provider_fivetran.webhooks.deliveries import SyncEnded

__all__ = ["AssetState", "Found", "Outcome"]

Outcome: TypeAlias = Literal["emitted", "repeated", "watched"]


@dataclass(frozen=True, slots=True)
class Found:
    """An asset of somebody's DAG."""

    id: int
    name: str
    uri: str
    is_watched: bool
    shares_watcher: bool
    """Its watcher is that of another asset too, and can remember nothing."""


@dataclass
class AssetState:
    """What is kept for an asset, in the transaction in which the end of a sync is told to it."""

    session: Session
    asset: Found
    _has_seen: bool = False
    _lacks_receiver: bool = False

    def claim(self, ended: SyncEnded) -> bool:
        """Whether nobody else has claimed this end. If somebody has, there is no transaction any more."""
        from sqlalchemy.exc import IntegrityError  # noqa: PLC0415

        try:
            self._insert(CLAIM + ended.identity, {"by": "receiver"})
        except IntegrityError:
            self.session.rollback()
            return False
        return True

    def not_mine(self, ended: SyncEnded) -> Outcome | None:
        """Why the receiver is not to tell of this end that it has claimed; ``None``: it is."""
        seen = self._seen()
        self._has_seen = seen is not None
        mark = Watermark.from_json(_parsed(seen))
        if mark is not None and mark.covers(ended.record):
            return "repeated"
        is_known = mark is not None and ended.record.sync_id is not None and _is_kept_in_database()
        if self.asset.is_watched and (self.asset.shares_watcher or not is_known):
            return "watched"
        receiver = self._value(RECEIVER)
        self._lacks_receiver = self._has_seen and receiver is None
        # While all DAGs of the asset are paused, Airflow runs no watcher of it.
        if not self.asset.is_watched or is_shared(_parsed(receiver), utcnow()):
            return None
        return "watched"

    def note(self, ended: SyncEnded) -> None:
        """Write down what a watcher must know of this end, once the event is there."""
        if not self._has_seen:  # there has been none, and when one comes, this is of the past
            return
        if self._lacks_receiver:
            self._insert(RECEIVER, dated(utcnow()))
        self._insert(TOLD + ended.identity, {"by": "receiver"})
        self._put(LATEST + stream_of(ended.record), dated(ended.told_at))

    def let_watcher_know(self) -> None:
        """Say, in a transaction of its own, that from now on a receiver hears of this asset too."""
        from sqlalchemy.exc import IntegrityError  # noqa: PLC0415

        if not self._lacks_receiver:
            return
        try:
            self._insert(RECEIVER, dated(utcnow()))
            self.session.commit()
        except IntegrityError:
            self.session.rollback()

    # --- keys and values ----------------------------------------------------------------------------------------

    def _seen(self) -> str | None:
        """By way of the backend, which is where Airflow puts what a watcher remembers."""
        from airflow.state import AssetScope, get_state_backend  # noqa: PLC0415

        return get_state_backend().get(AssetScope(asset_id=self.asset.id), SEEN, session=self.session)

    def _value(self, key: str) -> str | None:
        """The value of a key, which nobody changes before this transaction ends."""
        from airflow.models.asset_state_store import AssetStateStoreModel as Row  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        return self.session.scalar(
            select(Row.value).where(Row.asset_id == self.asset.id, Row.key == key).with_for_update()
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
