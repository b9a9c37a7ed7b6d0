"""The triggers: they wait for a sync, or watch for all that end, in the triggerer."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_fivetran.arguments import check_found
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.asset_uris import Subject
from airflow_provider_fivetran.core.events import write_event
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import read_after
from airflow_provider_fivetran.core.sensing import sensed_from
from airflow_provider_fivetran.core.starting import Undo, undo
from airflow_provider_fivetran.core.stopping import stop
from airflow_provider_fivetran.core.ticket import Ticket
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.killing import may_be_stopped
from airflow_provider_fivetran.links import FivetranConnectionLink
from airflow_provider_fivetran.trigger_freshness import FivetranFreshnessTrigger
from airflow_provider_fivetran.trigger_transformation import FivetranTransformationTrigger
from airflow_provider_fivetran.trigger_waiting import WaitingTrigger
from airflow_provider_fivetran.triggerer import kept, keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.cadence import Usual
    from airflow_provider_fivetran.core.errors import Facts
    from airflow_provider_fivetran.core.watch import Outcome

__all__ = [
    "FivetranFreshnessTrigger",
    "FivetranSensorTrigger",
    "FivetranSyncEndedTrigger",
    "FivetranSyncTrigger",
    "FivetranTransformationTrigger",
]

log = logging.getLogger(__name__)

# How long syncs take, by connection id, as the waits of this process have learnt it.
_usual: dict[str, Usual] = {}

# A wait that has begun so recently has not been in another triggerer, whose key has worked.
FRESH = timedelta(minutes=1)

# Seconds between two looks of a watcher.
SHORTEST_WATCH, LONGEST_WATCH = 1.0, 3600.0
AFTER_A_FAILURE = 60.0


class FivetranSyncTrigger(WaitingTrigger):
    """Waits until it is decided what became of a sync, and then sends exactly one event.

    All that it is given is plain JSON without secrets. The deadline is in the ticket and absolute, so a
    triggerer that restarts, or hands the wait to another, goes on where the wait was.

    :param ticket: what is awaited, as written by :meth:`airflow_provider_fivetran.core.ticket.Ticket.to_json`.
    :param fivetran_conn_id: id of the Airflow connection.
    :param retry_limit: how often a request is sent at most before it counts as failed.
    :param retry_delay: seconds before the first repetition.
    :param when_killed: ``"stop"``: stop the sync when a person ends the deferred task; ``"leave"``: leave it, and
        put back what the task changed in the connection, except a pause, which would stop the sync.
    :param errand: what the task must remember; it comes back with the event. (``dag.test()`` of Airflow 3.3.2 drops
        the arguments that a task gives to ``defer`` for its own continuation.)
    """

    def _has_something_to_do(self) -> bool:
        return self.when_killed == "stop" or bool(_but_the_pause(self._undone).changes())

    async def _see_to(self, state: str | None) -> None:
        """Stop the sync, or leave it and put back the rest."""
        connection_id = Ticket.from_json(self.ticket).connection_id
        if self.when_killed == "stop" and may_be_stopped(state):
            await self._drive(stop(connection_id, self._undone, utcnow))
        else:
            # Paused again, the connection would stop the very sync that is to be left.
            await self._drive(undo(connection_id, _but_the_pause(self._undone), utcnow))

    @property
    def _undone(self) -> Undo:
        return Undo.from_json((self.errand or {}).get("undo"))

    def _about(self) -> Facts:
        named = self.ticket.get("connection_id")
        if not isinstance(named, str) or not named:
            return {"connection_id": named if isinstance(named, str) else None}
        return {"connection_id": named, "link": dashboard_link(named)}

    async def _event(self) -> dict[str, Any]:
        return write_event(await self._outcome())

    async def _outcome(self) -> Outcome:
        ticket = Ticket.from_json(self.ticket)
        return await self._drive(watch(ticket, utcnow, usual=_usual))


class FivetranSensorTrigger(FivetranSyncTrigger):
    """Waits for a sensor that begins in the triggerer: no worker has taken its ticket before.

    What it is given was fixed when the DAG was parsed. When the sensor began follows from the time limit that the
    scheduler set at that moment, and that Airflow keeps: so another triggerer finds the same beginning again.

    :param connector_id: id of the Fivetran connection; Airflow renders it.
    :param completed_after_time: of the sensor; Airflow renders it.
    :param fivetran_conn_id: id of the Airflow connection; Airflow renders it.
    :param ticket: what is awaited, with any times.
    :param limit: seconds that Airflow gives the trigger.
    :param retry_limit: how often a request is sent at most before it counts as failed.
    :param retry_delay: seconds before the first repetition.
    """

    # Airflow sets it before it runs the trigger.
    timeout_after: datetime | None = None

    def __init__(
        self,
        connector_id: str,
        completed_after_time: str | None,
        fivetran_conn_id: str,
        ticket: dict[str, Any],
        limit: float,
        retry_limit: int = 3,
        retry_delay: float = 1,
    ) -> None:
        super().__init__(ticket, fivetran_conn_id, retry_limit, retry_delay)
        self.connector_id = connector_id
        self.completed_after_time = completed_after_time
        self.limit = limit

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The import path and the arguments from which Airflow makes this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "connector_id": self.connector_id,
                "completed_after_time": self.completed_after_time,
                "fivetran_conn_id": self.fivetran_conn_id,
                "ticket": self.ticket,
                "limit": self.limit,
                "retry_limit": self.retry_limit,
                "retry_delay": self.retry_delay,
            },
        )

    async def _outcome(self) -> Outcome:
        self.ticket = {**self.ticket, "connection_id": self.connector_id}
        ticket = self._begun()
        self.ticket = ticket.to_json()
        kept(self._show_link(ticket))
        is_fresh = utcnow() - ticket.begun_at < FRESH
        return await self._drive(watch(ticket, utcnow, usual=_usual, key_has_worked=not is_fresh))

    def _begun(self) -> Ticket:
        """The ticket, as a worker would have taken it."""
        connection_id = FivetranHook(self.fivetran_conn_id).find_id(self.connector_id, None, None)
        after = read_after(self.completed_after_time)
        if after is None and self.completed_after_time is not None:
            check_found("completed_after_time", self.completed_after_time)
        undated = Ticket.from_json(self.ticket).but(connection_id=connection_id)
        return sensed_from(undated, self._began(), after)

    def _began(self) -> datetime:
        now, limit = utcnow(), self.timeout_after
        if limit is None:
            raise ValueError("Airflow does not tell when this sensor began; set start_from_trigger to False")
        limit = limit.replace(tzinfo=UTC) if limit.tzinfo is None else limit
        # Two clocks may differ a little; nothing begins later than now.
        return min(limit - timedelta(seconds=self.limit), now)

    async def _show_link(self, ticket: Ticket) -> None:
        try:
            await FivetranConnectionLink.apersist(self.task_instance, ticket.link)
        except Exception:  # the link is a courtesy, and XComs may be kept anywhere
            self.log.warning("the link to Fivetran cannot be shown", exc_info=True)


class FivetranSyncEndedTrigger(BaseEventTrigger):
    """Fires once for each sync that ends, whoever started it: for an ``AssetWatcher`` (Airflow 3.0 and newer).

    ::

        orders = connection_asset(
            "orders_id", watchers=[AssetWatcher(name="orders", trigger=FivetranSyncEndedTrigger("orders_id"))]
        )

    The payload of its events is the record of the sync, as in the XCom ``fivetran_sync``;
    :func:`airflow_provider_fivetran.assets.sync_record_of` reads it. Nothing is told of what ended before the
    watcher ran for the first time. What has been told is kept in the asset's state store (Airflow 3.3 and newer):
    after a restart, what ended meanwhile is told, and nothing twice. On an older Airflow what ends while no
    triggerer runs is not told.

    :param connector_id: id of the Fivetran connection, or several;
    :param group_id: or all connections of this group, those to come included; with neither, all of the account.
    :param failures: tell of syncs that failed, were cancelled or put off, instead of those that ended well.
    :param fivetran_conn_id: id of the Airflow connection.
    :param poll_frequency: pause between two looks, a timedelta or seconds; 15.
    :raises ValueError: an argument is not allowed.
    """

    def __init__(
        self,
        connector_id: str | Sequence[str] | None = None,
        *,
        group_id: str | None = None,
        failures: bool = False,
        fivetran_conn_id: str = FivetranHook.default_conn_name,
        poll_frequency: float | timedelta = 15,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connector_id = _ids_of(connector_id, group_id)
        if not isinstance(failures, bool):
            raise ValueError(f"failures is {failures!r}; allowed are True and False")  # noqa: TRY004 - as elsewhere
        if not isinstance(fivetran_conn_id, str) or not fivetran_conn_id:
            raise ValueError(
                f"fivetran_conn_id is {fivetran_conn_id!r}; allowed is the id of an Airflow connection"
            )
        if isinstance(poll_frequency, timedelta):
            poll_frequency = poll_frequency.total_seconds()
        is_number = isinstance(poll_frequency, (int, float)) and not isinstance(poll_frequency, bool)
        if not is_number or not SHORTEST_WATCH <= poll_frequency <= LONGEST_WATCH:
            raise ValueError(
                f"poll_frequency is {poll_frequency!r}; allowed are {SHORTEST_WATCH:g} to {LONGEST_WATCH:g} seconds"
            )
        self.group_id = group_id
        self.failures = failures
        self.fivetran_conn_id = fivetran_conn_id
        self.poll_frequency = poll_frequency

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The import path and the arguments from which Airflow makes this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "connector_id": self.connector_id,
                "group_id": self.group_id,
                "failures": self.failures,
                "fivetran_conn_id": self.fivetran_conn_id,
                "poll_frequency": self.poll_frequency,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch for ever. Whatever goes wrong is logged, and tried again."""
        aio = await asyncio.to_thread(import_module, "airflow_provider_fivetran.transport.aio")
        watching = await asyncio.to_thread(import_module, "airflow_provider_fivetran.watching")
        what = ", ".join(self.connector_id or [self.group_id or "all connections"])
        said = None
        while True:
            try:
                async with aio.shared_line(
                    self.fivetran_conn_id, partial(keys_of, self.fivetran_conn_id)
                ) as line:
                    watch = watching.Watch(
                        watching.Scope(frozenset(self.connector_id or ()), self.group_id),
                        self.failures,
                        self.poll_frequency,
                        line.listing,
                        aio.AsyncTransport(line).drive,
                        getattr(self, "asset_state_store", None),
                    )
                    async with aclosing(watch.ends()) as ends:
                        async for record in ends:
                            said = None
                            yield TriggerEvent(record.to_json())
            except (ValueError, AirflowException) as error:  # an unusable Airflow connection
                if str(error) != said:
                    said = str(error)
                    log.error("%s cannot be watched, trying again every minute: %s", what, error)  # noqa: TRY400
            except Exception:
                log.exception("the watcher of %s failed, trying again in a minute", what)
            await asyncio.sleep(AFTER_A_FAILURE)


def _ids_of(connector_id: object, group_id: str | None) -> list[str] | None:
    """The ids that a watcher is given; ``None``: it is about a group, or the account."""
    if connector_id is None:
        Subject(group_id=group_id)
        return None
    ids = [connector_id] if isinstance(connector_id, str) else connector_id
    if (
        not isinstance(ids, (list, tuple, set, frozenset))
        or not ids
        or not all(isinstance(i, str) for i in ids)
    ):
        raise ValueError(f"connector_id is {connector_id!r}; allowed is an id, several, or None for all")
    for each in ids:
        Subject(connection_id=each, group_id=group_id)
    return sorted(set(ids))


def _but_the_pause(undone: Undo) -> Undo:
    return replace(undone, pause=False)
