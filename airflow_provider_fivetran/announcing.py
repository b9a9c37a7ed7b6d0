"""Telling Airflow, by the outlets of a task, what its sync has landed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import Asset, AssetAlias, BaseHook

from airflow_provider_fivetran.airflow_connection import settings_of
from airflow_provider_fivetran.core.asset_uris import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = ["announce"]

log = logging.getLogger(__name__)

IS_AIRFLOW_2 = not hasattr(Asset, "watchers")


class Waits(Protocol):
    """A task that stands for a sync."""

    outlets: list[Any]
    fivetran_conn_id: str


def announce(task: Waits, context: Context, record: SyncRecord) -> None:
    """Attach the record of a sync that ended well to the events that Airflow emits when the task succeeds.

    Whatever goes wrong here, the sync ended well, and so does the task.
    """
    try:
        _announce(task, context["outlet_events"], record)
    except Exception as error:  # noqa: BLE001  # an Airflow connection may fail to be read in many ways
        # Without a traceback, whose variables may hold that connection.
        why = f"{type(error).__name__}: {error}"
        log.warning("%s: the task's assets are not told of the sync: %s", record.connection_id, why)


def _announce(task: Waits, events: Any, record: SyncRecord) -> None:
    for outlet in task.outlets:
        if isinstance(outlet, AssetAlias):
            asset = Asset(uri=Subject(connection_id=record.connection_id, host=_host_of(task)).uri)
            events[outlet].add(asset, extra=_for_alias(record))
        elif (subject := Subject.of(getattr(outlet, "uri", ""))) is not None:
            if subject.connection_id in {None, record.connection_id}:
                events[outlet].extra.update(record.to_json())
            else:
                log.warning(
                    "%s is an outlet of this task, so Airflow emits an event of it; but the task was about %s, and "
                    "so that event tells of no sync. An AssetAlias as outlet gets the asset of whatever was synced",
                    outlet.uri,
                    record.connection_id,
                )


def _for_alias(record: SyncRecord) -> Mapping[str, Any]:
    extra = record.to_json()
    if IS_AIRFLOW_2:  # which takes nothing nested there: the task would fail at its very end
        del extra["volume_mb"]
    return extra


def _host_of(task: Waits) -> str:
    conn = BaseHook.get_connection(task.fivetran_conn_id)
    return settings_of(conn, conn.extra_dejson).base_url
