"""All that the receiver reads and writes in Airflow's database: connections, assets, their events and their state.

None of this is a public interface of Airflow 3.3, though each piece is what Airflow's own parts use for the same
purpose. It stands here alone, so that there is one place to look at when a newer Airflow moves something. Everything
here blocks.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_fivetran.airflow_connection import WEBHOOK_SECRETS
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.asset_uris import host_of
from airflow_provider_fivetran.core.claims import CLAIMS_KEPT, FORGOTTEN_IN_TIME
from airflow_provider_fivetran.core.protocol import base_url_of
from airflow_provider_fivetran.webhooks.asset_state import AssetState, Found
from airflow_provider_fivetran.webhooks.keyring import Declared, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.orm import Session

    from airflow_provider_fivetran.core.asset_uris import Subject
    from airflow_provider_fivetran.webhooks.asset_state import Outcome
    from airflow_provider_fivetran.webhooks.deliveries import SyncEnded

__all__ = ["AirflowTables", "is_airflow_new_enough"]

T = TypeVar("T")

# A watcher of ours on an asset emits the asset's events.
WATCHER = "airflow_provider_fivetran.triggers.FivetranSyncEndedTrigger"
BETWEEN_PRUNINGS = timedelta(hours=1)

# SQLite answers "locked", PostgreSQL ends deadlocks, and of two who write the same key one fails: all pass.
TRIES = 4
PAUSE = 0.1
MOST_SECONDS = 3.0

_log = logging.getLogger(__name__)


def is_airflow_new_enough() -> bool:
    """Whether this Airflow can remember what was emitted for an asset, which 3.3 brought."""
    return find_spec("airflow.models.asset_state_store") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a delivery brought about: how many assets had an event, had had it before, or were left to a watcher."""

    emitted: int = 0
    repeated: int = 0
    watched: int = 0


class AirflowTables:
    """Airflow's database as the receiver uses it."""

    def __init__(self) -> None:
        self._pruned_at = utcnow() - BETWEEN_PRUNINGS

    # --- connections ----------------------------------------------------------------------------------------

    def declared(self) -> Declared:
        """The ids of the Fivetran connections in the database and of all connections in the environment."""
        from airflow.configuration import ensure_secrets_loaded  # noqa: PLC0415
        from airflow.models.connection import Connection  # noqa: PLC0415
        from airflow.secrets.environment_variables import (  # noqa: PLC0415
            CONN_ENV_PREFIX,
            EnvironmentVariablesBackend,
        )
        from airflow.secrets.metastore import MetastoreBackend  # noqa: PLC0415
        from airflow.utils.session import create_session  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        with create_session(scoped=False) as session:
            stored = session.scalars(select(Connection.conn_id).where(Connection.conn_type == "fivetran"))
            ids = set(stored)
        ids |= {n.removeprefix(CONN_ENV_PREFIX).lower() for n in os.environ if n.startswith(CONN_ENV_PREFIX)}
        known = (EnvironmentVariablesBackend, MetastoreBackend)
        elsewhere = any(not isinstance(backend, known) for backend in ensure_secrets_loaded())
        return Declared(frozenset(ids), elsewhere)

    def sender(self, conn_id: str) -> Sender | None:
        """Read an Airflow connection; ``None`` where there is none of type ``fivetran`` with a secret."""
        from airflow.models.connection import Connection  # noqa: PLC0415
        from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

        try:
            conn = Connection.get_connection_from_secrets(conn_id)
            extra = conn.extra_dejson
            host = host_of(base_url_of(conn.host, port=conn.port))
        except AirflowNotFoundException:
            # Also what Airflow says where its database cannot be asked.
            self._check_that_there_is_none(conn_id)
            return None
        except (PermissionError, ValueError):
            _log.warning("Webhooks for Airflow connection %s are refused: it cannot be used", conn_id)
            return None
        values = [extra.get(name) for name in WEBHOOK_SECRETS] if isinstance(extra, dict) else []
        secrets = tuple(value for value in values if isinstance(value, str) and value)
        if conn.conn_type not in {"fivetran", "", None} or not secrets:
            return None
        return Sender(conn_id, host, secrets)

    @staticmethod
    def _check_that_there_is_none(conn_id: str) -> None:
        from airflow.models.connection import Connection  # noqa: PLC0415
        from airflow.utils.session import create_session  # noqa: PLC0415
        from sqlalchemy import select  # noqa: PLC0415

        with create_session(scoped=False) as session:
            if session.scalar(select(Connection.id).where(Connection.conn_id == conn_id)) is not None:
                raise RuntimeError("Airflow has a connection that it could not read")

    # --- assets -----------------------------------------------------------------------------------------------

    def tell(self, ended: SyncEnded, sender: Sender) -> Told:
        """Let Airflow know of the end of a sync.

        Every asset that stands for it, and that some DAG knows, gets one event, at most once whatever is delivered
        how often and to how many api-servers, and whatever a watcher of ours tells: ``core/claims.py`` says how.

        :raises Exception: the database did not take all of it. What it took stays, and is not repeated when the
            same is told again.
        """
        found = _persistently(lambda session: self._find(session, ended.subjects(sender.host)))
        counts = {"emitted": 0, "repeated": 0, "watched": 0}
        # One transaction each, so that one that fails keeps nothing from the others.
        failed: Exception | None = None
        for asset in found:
            try:
                counts[self._tell_one(asset, ended)] += 1
            except Exception as error:  # noqa: BLE001  # an asset's listeners and mappers may raise anything
                _log.exception("No event for asset %s", asset.uri)
                failed = error
        if failed is not None:
            raise failed
        self._prune()
        return Told(**counts)

    @staticmethod
    def _find(session: Session, subjects: Iterable[Subject]) -> list[Found]:
        from airflow.models.asset import AssetActive, AssetModel, AssetWatcherModel  # noqa: PLC0415
        from airflow.models.trigger import Trigger  # noqa: PLC0415
        from sqlalchemy import and_, exists, func, select  # noqa: PLC0415
        from sqlalchemy.orm import aliased  # noqa: PLC0415

        ours = (
            AssetWatcherModel.asset_id == AssetModel.id,
            AssetWatcherModel.trigger_id == Trigger.id,
            Trigger.classpath == WATCHER,
        )
        theirs = aliased(AssetWatcherModel)
        watched_since = select(func.min(Trigger.created_date)).where(*ours).scalar_subquery()
        shared = exists().where(
            *ours, theirs.trigger_id == Trigger.id, theirs.asset_id != AssetWatcherModel.asset_id
        )
        active = and_(AssetActive.name == AssetModel.name, AssetActive.uri == AssetModel.uri)
        rows = session.execute(
            select(AssetModel.id, AssetModel.name, AssetModel.uri, watched_since, shared)
            .join(AssetActive, active)
            .where(AssetActive.uri.in_([subject.uri for subject in subjects]))
            .order_by(AssetModel.id)
        )
        return [Found(*row) for row in rows]

    def _tell_one(self, asset: Found, ended: SyncEnded) -> Outcome:
        afterwards: list[Callable[[], None]] = []
        outcome = _persistently(lambda session: self._emit(session, asset, ended, afterwards))
        for listener in afterwards if outcome == "emitted" else ():
            listener()
        return outcome

    @staticmethod
    def _emit(
        session: Session, asset: Found, ended: SyncEnded, afterwards: list[Callable[[], None]]
    ) -> Outcome:
        """What became of it; the claim and the event are one transaction."""
        from airflow.assets.manager import asset_manager  # noqa: PLC0415
        from airflow.serialization.definitions.assets import SerializedAssetUniqueKey  # noqa: PLC0415

        afterwards.clear()
        state = AssetState(session, asset)
        # Another api-server, or the watcher, that tells the same waits here until we have committed; the claim comes
        # before all that is read, for only then is that what whoever was here before has left.
        if not state.claim(ended):
            return "repeated"
        whose = state.whose(ended)
        if whose != "mine":
            session.rollback()
            state.let_watcher_know()
            return whose
        event = asset_manager.register_asset_change(
            asset=SerializedAssetUniqueKey(name=asset.name, uri=asset.uri),
            extra=ended.record.to_json(),
            session=session,
            callback_sink=afterwards,
        )
        if event is None:
            # Somebody deleted the asset meanwhile; its state goes with it.
            session.rollback()
            return "repeated"
        state.note(ended)
        return "emitted"

    def _prune(self) -> None:
        """Forget, once in a while, what was emitted so long ago that nobody tells it again."""
        from airflow.models.asset_state_store import AssetStateStoreModel  # noqa: PLC0415
        from sqlalchemy import delete, or_  # noqa: PLC0415

        now = utcnow()
        if now - self._pruned_at < BETWEEN_PRUNINGS:
            return
        self._pruned_at = now
        key = AssetStateStoreModel.key
        old = delete(AssetStateStoreModel).where(
            or_(*(key.startswith(each, autoescape=True) for each in FORGOTTEN_IN_TIME)),
            AssetStateStoreModel.updated_at < now - CLAIMS_KEPT,
        )
        try:
            _persistently(lambda session: session.execute(old))
        except Exception:  # noqa: BLE001
            _log.warning("What was emitted long ago is not forgotten yet; the next hour tries again")


def _persistently(work: Callable[[Session], T]) -> T:
    """Do the work in a transaction of its own, again if the database asks for that and there is time."""
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy.exc import IntegrityError, OperationalError  # noqa: PLC0415

    until = time.monotonic() + MOST_SECONDS
    for attempt in range(1, TRIES + 1):
        try:
            with create_session(scoped=False) as session:
                _limit_waiting(session)
                return work(session)
        except (IntegrityError, OperationalError):
            if attempt == TRIES or time.monotonic() > until:
                raise
        time.sleep(PAUSE * attempt)
    raise AssertionError("the last try returns or raises")


def _limit_waiting(session: Session) -> None:
    """Ask PostgreSQL to give up where somebody holds a lock, rather than to keep one of our few threads.

    Nor may we hold one for longer, for if this process stands still, the triggerer waits for our locks.
    """
    from airflow.utils.sqlalchemy import get_dialect_name  # noqa: PLC0415
    from sqlalchemy import text  # noqa: PLC0415

    if get_dialect_name(session) == "postgresql":
        milliseconds = int(MOST_SECONDS * 1000)
        session.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
        session.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
        session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"))
