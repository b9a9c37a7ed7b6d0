"""Telling Airflow, by the outlets of a task, what its sync has landed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Asset, AssetAlias, BaseHook, conf

from airflow_provider_fivetran.airflow_connection import settings_of
from airflow_provider_fivetran.assets import IS_AIRFLOW_2
from airflow_provider_fivetran.core.asset_uris import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.naming import DatasetName
    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = ["MOST_EVENTS", "announce", "announce_each"]

log = logging.getLogger(__name__)

# Of a thousand tables, so many are shown in the log, for people to compare with what their DAGs are scheduled on.
SHOWN = 3
# Airflow takes all events of a task in the one request that ends it, for which a worker waits five seconds
# (``[workers] execution_api_timeout``); each takes some 4 ms with SQLite, and more where the database is busy.
MOST_EVENTS = 500


class Waits(Protocol):
    """A task that stands for a sync."""

    outlets: list[Any]
    table_assets: AssetAlias | None
    fivetran_conn_id: str
    fivetran_retry_limit: int
    fivetran_retry_delay: float


def announce(
    task: Waits, context: Context, record: SyncRecord, *, scope: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Attach the record of a sync that ended well to the events that Airflow emits when the task succeeds.

    Whatever goes wrong here, the sync ended well, and so does the task.

    :param scope: the tables that were synced, by schema; ``None``: all that are enabled.
    """
    try:
        events = context["outlet_events"]
        for outlet in task.outlets:
            if outlet != task.table_assets:
                _tell(outlet, events, record, task)
        if task.table_assets is not None:
            _tell_tables(task.table_assets, events, record, _tables_of(task, record, scope))
    # An Airflow connection may fail to be read in many ways; and if the time of the task is up now, it is no longer
    # needed.
    except (Exception, AirflowTaskTimeout) as error:  # noqa: BLE001
        # Without a traceback, whose variables may hold that connection.
        why = f"{type(error).__name__}: {error}"
        log.warning("%s: not all assets of the task are told of the sync: %s", record.connection_id, why)


def announce_each(task: Waits, context: Context, records: Iterable[SyncRecord]) -> None:
    """Add an event for each of many syncs that ended well to those that Airflow emits when the task succeeds.

    An ``AssetAlias`` among the outlets gets the asset of each connection. Whatever goes wrong here, the syncs ended
    well, and so does the task.
    """
    aliases = [outlet for outlet in task.outlets if isinstance(outlet, AssetAlias)]
    if not aliases:
        return
    try:
        events: Any = context["outlet_events"]
        host = _host_of(task)
        for record in records:
            asset = Asset(uri=Subject(connection_id=record.connection_id, host=host).uri)
            for alias in aliases:
                events[alias].add(asset, extra=_for_alias(record))
    except (Exception, AirflowTaskTimeout) as error:  # noqa: BLE001 - as above
        why = f"{type(error).__name__}: {error}"
        log.warning("not all assets of the task are told of the syncs: %s", why)


def _tell(outlet: Any, events: Any, record: SyncRecord, task: Waits) -> None:
    if isinstance(outlet, AssetAlias):
        asset = Asset(uri=Subject(connection_id=record.connection_id, host=_host_of(task)).uri)
        events[outlet].add(asset, extra=_for_alias(record))
        return
    subject = Subject.of(getattr(outlet, "uri", ""))
    if subject is None:
        return
    if subject.connection_id in {None, record.connection_id}:
        events[outlet].extra.update(record.to_json())
    else:
        log.warning(
            "%s is an outlet of this task, so Airflow emits an event of it; but the task was about %s, and "
            "so that event tells of no sync. An AssetAlias as outlet gets the asset of whatever was synced",
            outlet.uri,
            record.connection_id,
        )


def _tell_tables(alias: AssetAlias, events: Any, record: SyncRecord, tables: Sequence[DatasetName]) -> None:
    dotted = IS_AIRFLOW_2 and not conf.getboolean(
        "cosmos", "use_dataset_airflow3_uri_standard", fallback=False
    )
    if len(tables) > MOST_EVENTS:
        raise ValueError(f"it fills {len(tables)} tables, and Airflow is told of {MOST_EVENTS} at most")
    extra = _for_alias(record)
    uris = [table.uri(dotted=dotted) for table in tables]
    for uri in uris:
        events[alias].add(Asset(uri=uri), extra=extra)
    if uris:
        shown = ", ".join(uris[:SHOWN]) + (", ..." if len(uris) > SHOWN else "")
        log.info("%s: %d tables are told of the sync: %s", record.connection_id, len(uris), shown)
    else:
        log.warning(
            "%s: no table is told of the sync, for Fivetran shows none that is enabled", record.connection_id
        )


def _tables_of(
    task: Waits, record: SyncRecord, scope: Mapping[str, Sequence[str]] | None
) -> tuple[DatasetName, ...]:
    from airflow_provider_fivetran.core.tables import filled_tables  # noqa: PLC0415
    from airflow_provider_fivetran.hooks import FivetranHook  # noqa: PLC0415

    with FivetranHook(
        task.fivetran_conn_id,
        fivetran_retry_limit=task.fivetran_retry_limit,
        fivetran_retry_delay=task.fivetran_retry_delay,
    ) as hook:
        return hook.carry_out(filled_tables(record.connection_id, scope))


def _for_alias(record: SyncRecord) -> Mapping[str, Any]:
    extra = record.to_json()
    if IS_AIRFLOW_2:  # which takes nothing nested there: the task would fail at its very end
        del extra["volume_mb"]
    return extra


def _host_of(task: Waits) -> str:
    conn = BaseHook.get_connection(task.fivetran_conn_id)
    return settings_of(conn, conn.extra_dejson).base_url
