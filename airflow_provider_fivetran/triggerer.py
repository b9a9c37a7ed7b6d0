"""What all triggers need of the triggerer: the keys of Airflow connections, and work that nothing breaks off."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_fivetran.airflow_connection import fallback_of, settings_of
from airflow_provider_fivetran.core.errors import FivetranUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from airflow_provider_fivetran.core.protocol import Settings

__all__ = ["kept", "keys_of"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds that Airflow may take to give a connection.
LONGEST_READ = 30.0

# The event loop itself keeps no task alive.
_unfinished: set[asyncio.Future[Any]] = set()


async def keys_of(conn_id: str) -> AsyncGenerator[Settings, None]:
    """The key of the Airflow connection as it is now, and then that of its fallback.

    :raises AirflowNotFoundException: Airflow knows no such connection.
    :raises ValueError: it cannot be used as it is.
    :raises FivetranUnreachable: it cannot be read at the moment.
    """
    reading: str | None = conn_id
    while reading is not None:
        try:
            conn, extra = await _finished(_read(reading), what=f"the Airflow connection {reading!r}")
        except AirflowNotFoundException:
            if reading == conn_id:
                raise
            log.warning("the fallback_conn_id %r of Airflow connection %r does not exist", reading, conn_id)
            return
        yield settings_of(conn, extra)
        reading = fallback_of(extra, conn_id) if reading == conn_id else None


async def _read(conn_id: str) -> tuple[Any, dict[str, Any]]:
    from airflow.providers.common.compat.connection import (  # noqa: PLC0415
        get_async_connection,
        get_async_extra_dejson,
    )

    conn = await get_async_connection(conn_id)
    return conn, await get_async_extra_dejson(conn)


async def _finished(reading: Coroutine[Any, Any, T], *, what: str) -> T:
    """The result of asking Airflow, whose channel bears no question that is broken off, but within a time limit."""
    try:
        return await asyncio.wait_for(asyncio.shield(kept(reading)), LONGEST_READ)
    except (AirflowNotFoundException, ValueError):
        raise
    except Exception as error:
        raise FivetranUnreachable(
            f"{what} cannot be read at the moment: {type(error).__name__}", maybe_received=False
        ) from error


def kept(work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Work that goes on to its end, whatever becomes of those who wait for it."""
    task = asyncio.ensure_future(work)
    _unfinished.add(task)
    task.add_done_callback(_forget)
    return task


def _forget(task: asyncio.Future[Any]) -> None:
    _unfinished.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waited for it may be gone; nobody needs to hear of it then
