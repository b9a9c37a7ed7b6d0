"""The trigger that waits in the triggerer until connections are fresh. It only reads."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core import enduring, steps
from airflow_provider_fivetran.core.cadence import pause_after_failed_reads, pause_for_the_budget
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranRateLimited,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.events import BrokenOff, write_event
from airflow_provider_fivetran.core.freshness import Demand, Waited
from airflow_provider_fivetran.core.moments import read_moment
from airflow_provider_fivetran.core.survey import NOT_SEEN, Selection, Survey, report_on
from airflow_provider_fivetran.transport.listing import Scope
from airflow_provider_fivetran.triggerer import keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from airflow_provider_fivetran.core.freshness import FreshnessReport
    from airflow_provider_fivetran.transport.listing import Listing, Shown

__all__ = ["FivetranFreshnessTrigger"]

# Connections that the list does not show are read one by one, so many seconds apart on average: at most 36 % of the
# 20,000 requests of an hour.
GAP_ALONE = 0.5


class FivetranFreshnessTrigger(BaseTrigger):
    """Waits until connections are as fresh as demanded, or no waiting helps, and then sends exactly one event.

    All such waits on one Airflow connection share their looks with each other and with the watchers: those with the
    same pause look at the same moment, at one list. A deadline is absolute, so a triggerer that takes the wait over
    goes on where it was.

    :param selection: as written by :meth:`airflow_provider_fivetran.core.survey.Selection.to_json`.
    :param demand: as written by :meth:`airflow_provider_fivetran.core.freshness.Demand.to_json`.
    :param fivetran_conn_id: id of the Airflow connection.
    :param poke_interval: seconds between two looks.
    :param deadline: when the wait is over, ISO 8601, by our clock.
    """

    def __init__(
        self,
        selection: dict[str, Any],
        demand: dict[str, Any],
        fivetran_conn_id: str,
        poke_interval: float,
        deadline: str,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.selection = selection
        self.demand = demand
        self.fivetran_conn_id = fivetran_conn_id
        self.poke_interval = poke_interval
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The import path, where all triggers are, and the arguments from which Airflow makes this one again."""
        return (
            "airflow_provider_fivetran.triggers.FivetranFreshnessTrigger",
            {
                "selection": self.selection,
                "demand": self.demand,
                "fivetran_conn_id": self.fivetran_conn_id,
                "poke_interval": self.poke_interval,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. A failure of the wait itself is sent as an event too, with its kind and its text."""
        try:
            event = (await self._outcome()).to_json()
        except FivetranError as error:
            event = write_event(BrokenOff(error))
        except (KeyError, ValueError, AirflowException) as error:  # unusable arguments or Airflow connection
            event = write_event(BrokenOff(FivetranError(str(error))))
        except Exception as error:
            # Without an event Airflow would only say that the trigger failed.
            self.log.exception("the wait ended in an error of this program")
            event = write_event(BrokenOff(FivetranError(f"{type(error).__name__}: {error}")))
        yield TriggerEvent(event)

    async def _outcome(self) -> Waited:
        # Importing aiohttp takes a few tenths of a second, which must not be taken from the triggerer's loop.
        aio = await asyncio.to_thread(import_module, "airflow_provider_fivetran.transport.aio")
        selection = Selection.from_json(self.selection)
        scope = Scope(frozenset(selection.ids), selection.group_id)
        async with aio.shared_line(self.fivetran_conn_id, partial(keys_of, self.fivetran_conn_id)) as line:
            wait = _Wait(
                selection, scope, Demand.from_json(self.demand), line.listing, self.poke_interval, self.log
            )
            return await wait.until(read_moment(self.deadline))


class _Wait:
    """One wait: what it saw last, and since when it cannot see."""

    def __init__(
        self,
        selection: Selection,
        scope: Scope,
        demand: Demand,
        listing: Listing,
        interval: float,
        log: Any,
    ) -> None:
        self._selection = selection
        self._scope = scope
        self._demand = demand
        self._listing = listing
        self._interval = interval
        self._log = log
        self._report: FreshnessReport | None = None
        self._trouble: FivetranError | None = None
        self._failures = 0
        self._refused_since: datetime | None = None
        self._said: frozenset[str] | None = None
        self._alone = 0

    async def until(self, deadline: datetime) -> Waited:
        """Look until all is as demanded, no waiting helps, or the time is over."""
        with self._listing.watching(self._scope):
            while True:
                try:
                    report = await self._look()
                except FivetranError as error:
                    self._endure(error)
                else:
                    self._say_readable_again()
                    if report.is_as_demanded or report.ends_wait:
                        return Waited(report=report)
                    self._say(report)
                now = utcnow()
                if now >= deadline:
                    trouble = None if self._trouble is None else str(self._trouble)
                    return Waited(report=self._report, is_over=True, trouble=trouble)
                await asyncio.sleep(min(self._pause(), (deadline - now).total_seconds()))

    async def _look(self) -> FreshnessReport:
        if self._selection.connection_ids is not None and not self._scope.connection_ids:
            return report_on(Survey(), self._selection, self._demand, utcnow())
        shown = await self._listing.read(self._scope, self._interval / 2)
        self._alone = shown.alone
        self._report = report_on(self._seen(shown), self._selection, self._demand, shown.at)
        return self._report

    def _seen(self, shown: Shown) -> Survey:
        ids = self._selection.ids
        if self._selection.connection_ids is None and shown.unread:
            # What cannot be read may be stale.
            raise FivetranUnexpectedAnswer(
                f"{shown.unread} of the connections in Fivetran's list cannot be read"
            )
        exclude = self._selection.exclude
        return Survey(
            connections={name: c for name, c in shown.connections.items() if name not in exclude},
            missing={name: NOT_SEEN for name in ids if name not in shown.connections},
            at=shown.at,
        )

    def _endure(self, error: FivetranError) -> None:
        """Go on, unless that is pointless: a refused key may be replaced for ten minutes.

        :raises FivetranError: it is.
        """
        now = utcnow()
        if error.permanent and not (isinstance(error, steps.REFUSALS) and self._may_be_replaced(now)):
            raise error
        self._failures += 1
        if self._trouble is None:
            self._log.warning("cannot ask Fivetran at the moment, asking again: %s", error)
        self._trouble = error

    def _may_be_replaced(self, now: datetime) -> bool:
        self._refused_since = self._refused_since or now
        return now < self._refused_since + steps.REFUSAL_PATIENCE

    def _say_readable_again(self) -> None:
        if self._trouble is not None:
            self._log.info("Fivetran can be read again")
        self._trouble, self._failures, self._refused_since = None, 0, None

    def _say(self, report: FreshnessReport) -> None:
        """Name what is waited for, when that has changed."""
        awaited = frozenset(finding.connection_id for finding in report.failures)
        if awaited != self._said:
            self._said = awaited
            some = ", ".join(finding.connection_id for finding in report.failures[:20])
            self._log.info(
                "waiting for %d of %d connections: %s%s",
                len(awaited),
                len(report.findings),
                some,
                ", ..." if len(awaited) > 20 else "",  # noqa: PLR2004
            )

    def _pause(self) -> float:
        """Seconds until the next look: at the same moment for all whose pause is the same."""
        for_the_budget = pause_for_the_budget(1, self._listing.requests_left).total_seconds()
        interval = max(self._interval, for_the_budget, self._alone * GAP_ALONE)
        if isinstance(self._trouble, steps.REFUSALS):  # however rare the looks, a new key is noticed soon
            return min(interval, enduring.SLOWEST_AFTER_REFUSAL.total_seconds())
        if self._trouble is not None:
            after = self._trouble.retry_after if isinstance(self._trouble, FivetranRateLimited) else None
            usual = timedelta(seconds=interval)
            return pause_after_failed_reads(self._failures, usual, after).total_seconds()
        return interval - asyncio.get_running_loop().time() % interval
