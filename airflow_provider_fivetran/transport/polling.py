"""One look for all who wait on one Airflow connection in one event loop.

The poller delivers answers and decides nothing. Where many wait, it reads the list of connections, of which one page
shows up to a thousand; where few wait, or where the key may not list, it lets each wait ask for itself, in turn.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import Context
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.cadence import pause_for_the_budget
from airflow_provider_fivetran.core.endpoints import list_connection_rows
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.models import Connection
from airflow_provider_fivetran.core.protocol import Answer, next_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from airflow_provider_fivetran.core.protocol import Call, Page
    from airflow_provider_fivetran.core.steps import Look

__all__ = ["Poller"]

log = logging.getLogger(__name__)

Row: TypeAlias = "Mapping[str, Any]"

# So many waits per page of the list ask for themselves.
FEW = 3
# Together the looks of all waits take one request in so much time; at first so many may come faster.
GAP = timedelta(seconds=3)
BURST = 40
# The same where each wait must ask for itself: that takes up to 36 % of the 20,000 requests of an hour.
GAP_WITHOUT_LIST = timedelta(seconds=0.5)
# Each wait needs requests besides its looks: the end is read in the sync history, and maybe once more.
RESERVED_FOR_EACH = 2
# How long a list that cannot be had is not asked for again.
REST_WITHOUT_LIST = timedelta(minutes=10)
# Waits that begin together are gathered for so long.
GATHER = timedelta(seconds=0.1)
# The loop gets a breath after so many answers.
AT_A_TIME = 50
MOST_PAGES = 100
# After so many failures of the list in a row a single look is tried: if that works, the list is done without.
FAILURES_TO_PROBE = 3
# Seconds for a page with all repetitions: everybody waits for it.
LONGEST_FOR_A_PAGE = 60.0
# A wait whose time is over waits so much longer for an answer that is on its way.
GRACE = timedelta(seconds=10)
LONGEST_SLEEP = 3600.0
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(eq=False, slots=True)
class _Ask:
    """A wait that wants to look."""

    look: Look
    due: datetime
    answer: asyncio.Future[Answer[Connection] | None] = field(default_factory=asyncio.Future)

    @property
    def connection_id(self) -> str:
        return self.look.call.connection_id or ""

    def is_due(self, now: datetime) -> bool:
        return self.due <= now or self.look.latest <= now

    def accepts(self, now: datetime) -> bool:
        """Whether a free answer may come now."""
        return not self.look.is_floor or self.is_due(now)

    def wants(self, now: datetime, found: Connection) -> bool:
        """Whether a free answer is worth waking up for. If it is soon due anyway, it joins the others for good."""
        return found != self.look.seen or self.due <= now + self.look.pace / 2


class _BrokenError(Exception):
    """The poller has met an error of its own."""


class Poller:
    """Answers the looks of many waits with as few requests as it can.

    :param send: sends a call, with the repetitions that are usual.
    :param requests_left: tells what the last answer of all said of the account's requests in this hour.
    """

    def __init__(
        self,
        send: Callable[[Call[Any]], Awaitable[Answer[Any]]],
        requests_left: Callable[[], int | None],
    ) -> None:
        self._send = send
        self._requests_left = requests_left
        self._asks: set[_Ask] = set()
        self._served: dict[str, datetime] = {}
        self._pages: dict[str, int] = {}
        self._last_list = _LONG_AGO
        self._list_rests_until = _LONG_AGO
        self._paid_until = _LONG_AGO
        self._next_round = _NEVER
        self._broken_until = _LONG_AGO
        self._failures = 0
        self._earlier = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    async def answer(self, look: Look) -> Answer[Connection] | None:
        """What the look finds, when its time has come. ``None``: it is this wait's turn to ask for itself.

        :raises FivetranError: (one of its kinds) the list cannot be read at the moment.
        """
        ask = _Ask(look, self._due(look))
        if utcnow() >= self._broken_until:
            self._asks.add(ask)
            if self._polling is None:
                # In a context of its own: the first wait may be over, and its log closed, long before the last.
                self._polling = asyncio.create_task(self._poll(), context=Context())
            if min(ask.due, look.latest) < self._next_round:
                self._earlier.set()
            try:
                return await asyncio.wait_for(ask.answer, _seconds_until(look.latest + GRACE))
            except TimeoutError:  # its time is over, and the list is slow
                return None
            except _BrokenError:
                pass
            finally:
                self._asks.discard(ask)
        await asyncio.sleep(_seconds_until(min(ask.due, look.latest)))
        return None

    async def close(self) -> None:
        """Stop polling. Whoever still waits is cancelled."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
            self._polling = None
        for ask in self._asks:
            ask.answer.cancel()

    # --- when ---------------------------------------------------------------------------------------------

    def _due(self, look: Look) -> datetime:
        now = utcnow()
        served = self._served.get(look.call.connection_id or "")
        if look.due <= now:
            return now + GATHER
        # Counted from the request that brought the last answer: waits that were served together stay together.
        return look.due if served is None else min(look.due, served + look.pace)

    def _time_of_next_round(self) -> datetime:
        """When the first is due; where the list will be read, no sooner than the quickest of them wants it again."""
        if not self._asks:
            return _NEVER
        earliest = min(ask.due for ask in self._asks)
        if self._is_list_cheaper(len(self._asks), utcnow()):
            earliest = max(earliest, self._last_list + min(ask.look.pace for ask in self._asks))
        return min(max(earliest, self._free_at()), *(ask.look.latest for ask in self._asks))

    async def _poll(self) -> None:
        while True:
            try:
                self._earlier.clear()
                self._next_round = self._time_of_next_round()
                if self._next_round > utcnow():
                    with suppress(TimeoutError):
                        seconds = min(_seconds_until(self._next_round), LONGEST_SLEEP)
                        await asyncio.wait_for(self._earlier.wait(), seconds)
                else:
                    await self._round(utcnow())
            except Exception:  # no wait may be lost to an error of this program
                log.exception("the shared look at connections failed; for a while each wait looks alone")
                self._broken_until = utcnow() + REST_WITHOUT_LIST
                for ask in self._asks:
                    if not ask.answer.done():
                        ask.answer.set_exception(_BrokenError())
                self._asks.clear()
            await asyncio.sleep(0)

    # --- what ---------------------------------------------------------------------------------------------

    def _is_list_cheaper(self, takers: int, now: datetime) -> bool:
        return takers > FEW * self._pages.get(self._group(), 1) and now >= self._list_rests_until

    def _group(self) -> str:
        """The group that all share who wait, if they do."""
        groups = {ask.look.group_id for ask in self._asks}
        return groups.pop() if len(groups) == 1 else ""

    async def _round(self, now: datetime) -> None:
        waiting = list(self._asks)
        if not self._is_list_cheaper(sum(ask.accepts(now) for ask in waiting), now):
            self._take_turns(waiting, now)
            return
        self._last_list = now
        try:
            await self._list(waiting, now)
        except FivetranError as error:
            await self._fail(waiting, error, now)
        else:
            self._failures = 0

    async def _fail(self, waiting: Sequence[_Ask], error: FivetranError, now: datetime) -> None:
        self._failures += 1
        # A key that is refused would be refused to each single look as well.
        useless = error.permanent and not isinstance(error, FivetranUnauthorized)
        if not useless and self._failures % FAILURES_TO_PROBE == 0:
            useless = await self._answers(waiting[0].look.call)
        if useless:
            self._do_without_list(now, str(error))
            return
        if isinstance(error, FivetranRateLimited):
            self._paid_until = (
                now + BURST * GAP + timedelta(seconds=min(error.retry_after or 0, LONGEST_SLEEP))
            )
        await self._tell(waiting, error)

    async def _answers(self, call: Call[Any]) -> bool:
        """Whether Fivetran answers another call, so that it is the list alone that fails."""
        try:
            await asyncio.wait_for(self._send(call), LONGEST_FOR_A_PAGE)
        except FivetranNotFound:
            return True
        except (FivetranError, TimeoutError):
            return False
        return True

    def _take_turns(self, waiting: Sequence[_Ask], now: datetime) -> None:
        """Let those who are due ask for themselves, the longest waiting first, as far as the budget goes."""
        for ask in sorted((ask for ask in waiting if ask.is_due(now)), key=lambda ask: ask.due):
            if self._free_at() > now and ask.look.latest > now:
                return
            self._spend(1, now)
            self._give(ask, None, now)

    async def _list(self, waiting: Sequence[_Ask], now: datetime) -> None:
        group = self._group()
        call: Call[Page[Row]] | None = list_connection_rows(group_id=group or None)
        missing = {ask.connection_id for ask in waiting}
        pages = 0
        while call is not None and pages < MOST_PAGES and missing:
            self._spend(1, now)
            answer = await self._page(call)
            pages += 1
            rows = {row["id"]: row for row in answer.value.items if _id_of(row) in missing}
            missing.difference_update(rows)
            await self._deliver([ask for ask in waiting if ask.connection_id in rows], rows, answer, now)
            call = next_page(call, answer.value)
        self._pages[group] = pages
        self._miss([ask for ask in waiting if ask.connection_id in missing], len(waiting), now)

    async def _page(self, call: Call[Page[Row]]) -> Answer[Page[Row]]:
        try:
            return await asyncio.wait_for(self._send(call), LONGEST_FOR_A_PAGE)
        except TimeoutError:
            raise FivetranUnreachable(
                f"the list of connections did not come within {LONGEST_FOR_A_PAGE:g} s", maybe_received=True
            ) from None

    async def _deliver(
        self, asks: Sequence[_Ask], rows: Mapping[str, Row], page: Answer[Page[Row]], now: datetime
    ) -> None:
        for number, ask in enumerate(asks):
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
            if ask.answer.done() or not ask.accepts(now):
                continue
            try:
                found = Connection.from_json(rows[ask.connection_id])
            except FivetranUnexpectedAnswer as error:
                ask.answer.set_exception(error)
                continue
            if ask.wants(now, found):
                self._give(ask, Answer(found, page.server_time, page.requests_left, shared=True), now)

    def _miss(self, asks: Sequence[_Ask], of: int, now: datetime) -> None:
        """What the list does not show may be gone, or hidden from this key: single looks tell."""
        if 2 * len(asks) > of:
            self._do_without_list(
                now, f"it shows {of - len(asks)} of the {of} connections that are waited for"
            )
        self._take_turns(asks, now)

    # --- the answers --------------------------------------------------------------------------------------

    def _give(self, ask: _Ask, answer: Answer[Connection] | None, now: datetime) -> None:
        self._served[ask.connection_id] = now
        self._asks.discard(ask)
        if not ask.answer.done():
            ask.answer.set_result(answer)

    async def _tell(self, waiting: Iterable[_Ask], error: FivetranError) -> None:
        for number, ask in enumerate(waiting):
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
            self._asks.discard(ask)
            if not ask.answer.done():
                ask.answer.set_exception(copy(error))  # each notes in its own which connection it is about

    def _do_without_list(self, now: datetime, why: str) -> None:
        self._list_rests_until = now + REST_WITHOUT_LIST
        log.warning(
            "the list of connections cannot be used, so each of %d waits asks for itself, with at most %d requests "
            "an hour in all: %s",
            len(self._asks),
            timedelta(hours=1) / GAP_WITHOUT_LIST,
            why,
        )

    # --- the budget ---------------------------------------------------------------------------------------

    def _free_at(self) -> datetime:
        return self._paid_until - BURST * GAP if self._paid_until > _LONG_AGO else _LONG_AGO

    def _spend(self, requests: int, now: datetime) -> None:
        reserved = RESERVED_FOR_EACH * len(self._asks)
        for_the_hour = pause_for_the_budget(requests, self._requests_left(), reserved=reserved)
        gap = self._gap(now)
        begin = max(self._paid_until, now)
        if for_the_hour > requests * gap:  # a budget that runs low leaves nothing to be faster with
            begin = max(begin, now + BURST * GAP)
        self._paid_until = begin + max(requests * gap, for_the_hour)

    def _gap(self, now: datetime) -> timedelta:
        if now < self._list_rests_until:
            return GAP_WITHOUT_LIST
        # Whoever sets a shorter pause wants it.
        return min([GAP, *(ask.look.pace for ask in self._asks if ask.look.is_floor)])


def _id_of(row: Row) -> str:
    found = row.get("id")
    return found if isinstance(found, str) else ""


def _seconds_until(moment: datetime) -> float:
    return max(0.0, (moment - utcnow()).total_seconds())
