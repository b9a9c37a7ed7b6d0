"""One look for all who wait on one Airflow connection in one event loop.

The poller delivers answers and decides nothing. Where many wait, it reads the list (of connections, or of
transformations), of which one page shows up to a thousand; where few wait, or where the list does not serve, it lets
each wait ask for itself, in turn.
All its times are those of the event loop: no clock that is set back may hold it up.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import Context
from copy import copy
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.cadence import pause_for_the_budget
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.protocol import Answer, next_page
from airflow_provider_fivetran.transport.asks import CONNECTIONS, Ask, group_of, with_breaths
from airflow_provider_fivetran.transport.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.protocol import Call, Page
    from airflow_provider_fivetran.core.steps import Look
    from airflow_provider_fivetran.transport.asks import Listed

__all__ = ["Poller"]

log = logging.getLogger(__name__)

T = TypeVar("T")
Row: TypeAlias = "Mapping[str, Any]"

# All spans are in seconds.
# So many waits ask for themselves, while the budget bears it, and so many as the list has pages.
FEW = 3
# All looks together take one request in so much time, or less where a round of them would else take longer than the
# usual pause of 15 s; and the first so many may come faster.
GAP = 3.0
LEAST_GAP = 1.0
LONGEST_ROUND = 15.0
BURST = 40
# The same where the list does not serve: at most 36 % of the 20,000 requests of an hour.
GAP_WITHOUT_LIST = 0.5
# Each wait needs requests besides its looks: the end is read in the sync history, and maybe once more.
RESERVED_FOR_EACH = 2
# For how long a list that does not serve is done without, and what it has shown of itself is believed.
REST = 600.0
# Waits that begin together are gathered for so long.
GATHER = 0.1
# A page that takes longer counts as a failure: everybody waits for it.
LONGEST_FOR_A_PAGE = 20.0
# The list is tried so often before those who wait are told; each time that it has failed so often in a row, a single
# look is tried: if that works, the list is done without.
TRIES = 3
BETWEEN_TRIES = 2.0
# After a 429 that does not say how long.
REST_WHEN_LIMITED = 15.0
# A wait whose time is over gives an answer on its way so much longer.
GRACE = 10.0
# Who has news may go on undisturbed for so long: the sync history is read for it.
HEAD_START = 0.1
MOST_PAGES = 100
LONGEST_SLEEP = 3600.0


class _BrokenError(Exception):
    """The poller has met an error of its own."""


class _NotSentError(Exception):
    """The call could not even be sent."""


class Poller:
    """Answers the looks of many waits with as few requests as it can. Closed once, it is of no more use.

    :param send: sends a call once.
    :param requests_left: tells what the last answer of all said of the account's requests in this hour.
    :param kind: what is looked at.
    """

    def __init__(
        self,
        send: Callable[[Call[Any]], Awaitable[Answer[Any]]],
        requests_left: Callable[[], int | None],
        kind: Listed = CONNECTIONS,
    ) -> None:
        self._send = send
        self._kind = kind
        self._requests_left = requests_left
        self._asks: set[Ask] = set()
        self._budget = Budget(burst=BURST * GAP)
        self._polling: asyncio.Task[None] | None = None
        self._earlier = asyncio.Event()
        self._next_round = inf
        self._closed = False
        self._broken_until = -inf
        self._next_alone = -inf
        # What the list has shown of itself.
        self._listed_at = -inf
        self._list_rests_until = -inf
        self._list_failures = 0
        self._pages: dict[str, tuple[int, float]] = {}
        self._hidden_until: dict[str, float] = {}
        # When the page was asked for that showed each connection last.
        self._shown_at: dict[str, float] = {}

    async def answer(self, look: Look[Any]) -> Answer[Any] | None:
        """What the look finds, when its time has come. ``None``: it is this wait's turn to ask for itself.

        :raises FivetranError: (one of its kinds) the list cannot be read at the moment.
        """
        ask = self._ask(look)
        if _now() < self._broken_until:
            await self._alone(ask)
            return None
        self._asks.add(ask)
        if self._polling is None:
            # In a context of its own: the first wait may be over, and its log closed, long before the last.
            self._polling = asyncio.create_task(self._poll(), context=Context())
            self._polling.add_done_callback(self._ended)
        if min(ask.due, ask.latest) < self._next_round:
            self._earlier.set()
        try:
            # Not ``wait_for``: that of Python 3.11 can swallow a cancellation.
            async with asyncio.timeout_at(ask.latest + GRACE):
                return await ask.answer
        except TimeoutError:
            return None
        except _BrokenError:
            await self._alone(ask)
            return None
        finally:
            self._asks.discard(ask)

    def hold(self, retry_after: float | None) -> None:
        """Let no look begin for so long, but those of waits whose time is over: Fivetran has had too many requests.

        :param retry_after: seconds, as far as Fivetran said.
        """
        self._budget.close(_now() + min(retry_after or REST_WHEN_LIMITED, LONGEST_SLEEP))

    async def close(self) -> None:
        """Stop polling. Whoever still waits is cancelled."""
        self._closed = True
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        for ask in self._asks:
            ask.answer.cancel()

    # --- when ---------------------------------------------------------------------------------------------

    def _ask(self, look: Look[Any]) -> Ask:
        now, by_our_clock = _now(), utcnow()
        latest = now + _seconds(by_our_clock, look.latest)
        if look.due <= by_our_clock:
            return Ask(look, now + GATHER, latest)
        due = now + _seconds(by_our_clock, look.due)
        shown_at = self._shown_at.get(look.call.subject)
        if shown_at is not None:
            # Counted from the request, not from when its answer was judged: waits that were answered together stay
            # together.
            due = min(due, shown_at + look.pace.total_seconds())
        return Ask(look, due, latest)

    def _time_of_next_round(self) -> float:
        """When the first is due; where the list serves, no sooner than the quickest of them wants it again."""
        if not self._asks:
            return inf
        first = min(ask.due for ask in self._asks)
        if self._list_serves(self._asks, _now()):
            first = max(first, self._listed_at + min(ask.pace for ask in self._asks))
        return min(max(first, self._budget.free_at()), *(ask.latest for ask in self._asks))

    async def _poll(self) -> None:
        while True:
            self._earlier.clear()
            self._next_round = self._time_of_next_round()
            now = _now()
            if self._next_round > now:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(self._next_round, now + LONGEST_SLEEP)):
                        await self._earlier.wait()
            else:
                await self._round(now)
            await asyncio.sleep(0)

    def _ended(self, polling: asyncio.Task[None]) -> None:
        """No wait may be lost to an error of this program."""
        self._polling = None
        if self._closed:
            return
        error = None if polling.cancelled() else polling.exception()
        log.error("the shared look failed; for a while each wait looks alone", exc_info=error)
        self._broken_until = polling.get_loop().time() + REST
        for ask in self._asks:
            if not ask.answer.done():
                ask.answer.set_exception(_BrokenError())
        self._asks.clear()

    async def _alone(self, ask: Ask) -> None:
        """Let time pass until this wait may look, without a poller."""
        now = _now()
        self._next_alone = max(self._next_alone, now) + GAP_WITHOUT_LIST
        await asyncio.sleep(max(0.0, min(max(ask.due, self._next_alone), ask.latest) - now))

    # --- what ---------------------------------------------------------------------------------------------

    def _list_serves(self, asks: Sequence[Ask] | set[Ask], now: float) -> bool:
        """Whether the list is the cheaper way to answer those."""
        pages, learnt_at = self._pages.get(group_of(asks), (1, now))
        if now > learnt_at + REST:
            pages = 1
        one_each = len(asks) <= FEW and self._budget.bears(len(asks), self._gap(len(asks), now), now)
        return len(asks) > pages and not one_each and now >= self._list_rests_until

    async def _round(self, now: float) -> None:
        hidden, shown = [], []
        for ask in self._asks:
            if ask.answer.done():
                continue
            if self._hidden_until.get(ask.subject, -inf) > now:
                hidden.append(ask)
            elif ask.accepts(now):
                shown.append(ask)
        if self._list_serves(shown, now):
            self._take_turns(hidden, now)
            await self._read_list(shown, now)
        else:
            self._take_turns(hidden + shown, now)

    def _take_turns(self, asks: Sequence[Ask], now: float) -> None:
        """Let those who are due ask for themselves: one, those whose time is over, and more as the budget allows."""
        gap = self._gap(len(asks), now)
        due = sorted((ask for ask in asks if ask.is_due(now)), key=lambda ask: (ask.latest > now, ask.due))
        for number, ask in enumerate(due):
            if number and ask.latest > now and self._budget.free_at() > now:
                return
            self._spend(now, gap)
            self._shown_at.pop(ask.subject, None)
            self._give(ask, None)

    async def _read_list(self, asks: Sequence[Ask], now: float) -> None:
        try:
            missing = await self._read_pages(asks, now)
        except FivetranError as error:
            await self._fail(asks, error)
        except _NotSentError:  # each meets the same, and knows what to make of it
            for ask in asks:
                self._give(ask, None)
        else:
            self._list_failures = 0
            self._hide(missing, asks)

    async def _read_pages(self, asks: Sequence[Ask], now: float) -> set[str]:
        """Deliver what the list shows. What it does not show is returned."""
        group = group_of(asks)
        gap = self._gap(self._pages.get(group, (1, 0.0))[0], now)
        missing = {ask.subject for ask in asks}
        call: Call[Page[Row]] | None = self._kind.rows(group or None)
        pages = 0
        while call is not None and missing and pages < MOST_PAGES:
            # Each wait counts from here to its next look: so does the next round, and all are due again together.
            self._listed_at = _now()
            self._spend(self._listed_at, gap)
            page, pages = await self._answered(call), pages + 1
            rows = {
                name: row
                for row in page.value.items
                if isinstance(name := row.get("id"), str) and name in missing
            }
            missing.difference_update(rows)
            await self._deliver([ask for ask in asks if ask.subject in rows], rows, page)
            call = next_page(call, page.value)
        self._pages[group] = (pages, _now())
        return missing

    async def _answered(self, call: Call[Any]) -> Answer[Any]:
        try:
            async with asyncio.timeout(LONGEST_FOR_A_PAGE):
                return await self._send(call)
        except FivetranError:
            raise
        except TimeoutError:
            raise FivetranUnreachable(
                f"no answer to {call.method} {call.path} within {LONGEST_FOR_A_PAGE:g} s", maybe_received=True
            ) from None
        except Exception as error:
            raise _NotSentError from error

    async def _deliver(self, asks: Sequence[Ask], rows: Mapping[str, Row], page: Answer[Page[Row]]) -> None:
        arrived = _now()
        nothing_new = []
        async for ask in with_breaths(asks):
            try:
                found = self._kind.read(rows[ask.subject])
            except FivetranUnexpectedAnswer:  # a look of its own will show whether that is the list's fault
                self._give(ask, None)
                continue
            if found == ask.look.seen:
                nothing_new.append((ask, found))
            else:
                self._show(ask, found, page)
        # Last: a sync that has ended must not wait until hundreds have heard that theirs go on.
        if len(nothing_new) < len(asks):
            await asyncio.sleep(HEAD_START)
        async for ask, found in with_breaths(nothing_new):
            if ask.is_due_soon(arrived):
                self._show(ask, found, page)

    def _show(self, ask: Ask, found: Any, page: Answer[Page[Row]]) -> None:
        self._shown_at[ask.subject] = self._listed_at
        self._give(ask, Answer(found, page.server_time, page.requests_left, shared=True))

    def _hide(self, missing: set[str], asks: Sequence[Ask]) -> None:
        """Remember what the list does not show: it may be gone, or hidden from this key. Single looks tell."""
        awaited = len({ask.subject for ask in asks})
        if 2 * len(missing) > awaited:
            self._do_without_list(
                f"it shows {awaited - len(missing)} of the {awaited} {self._kind.name} waited for"
            )
            return
        now = _now()
        self._hidden_until = {name: until for name, until in self._hidden_until.items() if until > now}
        self._hidden_until |= dict.fromkeys(missing, now + REST)

    async def _fail(self, asks: Sequence[Ask], error: FivetranError) -> None:
        self._list_failures += 1
        refused = isinstance(error, FivetranUnauthorized)  # as each single look would be
        is_limited = isinstance(error, FivetranRateLimited)  # then it is known how long to hold
        useless = error.permanent and not refused
        if not useless and not is_limited and self._list_failures % TRIES == 0:
            useless = await self._is_list_alone_to_blame(asks[0].look.call)
        if useless:
            self._do_without_list(str(error))
            return
        if not is_limited:
            self.hold(BETWEEN_TRIES)
        if refused or is_limited or self._list_failures >= TRIES:
            await self._tell(asks, error)

    async def _is_list_alone_to_blame(self, call: Call[Any]) -> bool:
        """Whether Fivetran answers another call."""
        self._spend(_now(), GAP)
        try:
            await self._answered(call)
        except FivetranNotFound:
            return True
        except (FivetranError, _NotSentError):
            return False
        return True

    def _do_without_list(self, why: str) -> None:
        self._list_rests_until = _now() + REST
        self._budget = Budget(burst=BURST * GAP_WITHOUT_LIST)
        log.warning(
            "the list of %s does not serve, so each of %d waits asks for itself, with at most %d requests "
            "an hour in all: %s",
            self._kind.name,
            len(self._asks),
            3600 / GAP_WITHOUT_LIST,
            why,
        )

    # --- the answers, and what they cost ------------------------------------------------------------------

    def _give(self, ask: Ask, answer: Answer[Any] | None) -> None:
        self._asks.discard(ask)
        if not ask.answer.done():
            ask.answer.set_result(answer)

    async def _tell(self, asks: Sequence[Ask], error: FivetranError) -> None:
        async for ask in with_breaths(asks):
            self._asks.discard(ask)
            if not ask.answer.done():
                ask.answer.set_exception(copy(error))  # each notes in its own which connection it is about

    def _spend(self, now: float, gap: float) -> None:
        reserved = RESERVED_FOR_EACH * len(self._asks)
        stretched = pause_for_the_budget(1, self._requests_left(), reserved=reserved)
        self._budget.spend(now, gap, stretched.total_seconds())

    def _gap(self, requests: int, now: float) -> float:
        """The time between two requests where a round takes so many."""
        if now < self._list_rests_until:
            return GAP_WITHOUT_LIST
        gap = max(LEAST_GAP, min(GAP, LONGEST_ROUND / max(requests, 1)))
        # Whoever sets a shorter pause wants it.
        return min([gap, *(ask.pace for ask in self._asks if ask.look.is_floor)])


def _now() -> float:
    return asyncio.get_running_loop().time()


def _seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()
