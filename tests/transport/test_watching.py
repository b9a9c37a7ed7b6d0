"""A watcher tells of each sync that ends, once: the promise, on an account where syncs come and go by themselves."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.claims import Receiver
from airflow_provider_fivetran.core.protocol import read_answer
from airflow_provider_fivetran.transport import listing as listing_module
from airflow_provider_fivetran.transport.aio import AsyncTransport
from airflow_provider_fivetran.transport.listing import Listing
from airflow_provider_fivetran.watching import Scope, Watch
from facts import T0
from virtual_time import VirtualLoop, run

WORDS = {"well": "COMPLETED", "badly": "FAILURE", "cancelled": "CANCELED", "put off": "RESCHEDULED"}


@dataclass
class Busy:
    """Fivetran, whose connections sync by themselves.

    :param syncs: by connection, the beginning, the end and how it ended, in seconds.
    :param lag: seconds after which the history shows an end.
    :param group_of: the group of each connection, if not ``g``.
    """

    loop: VirtualLoop
    syncs: dict[str, list[tuple[float, float, str]]]
    lag: float = 0.0
    history: int = 200
    list_answers: int = 200
    group_of: dict[str, str] = field(default_factory=dict)
    rows_on_a_page: int = 1000
    broken: tuple[float, float] = (0.0, 0.0)
    left: int | None = None
    forbidden: set[str] = field(default_factory=set)
    requests: Counter[str] = field(default_factory=Counter)

    async def send(self, call: Any) -> Any:
        now = self.loop.time()
        status, data = 200, {}
        if call.path.endswith("/sync-history"):
            kind, status = "history", self.history
            name = call.connection_id
            data = {
                "items": [self._entry(name, *sync) for sync in self.syncs[name] if sync[1] + self.lag <= now]
            }
        elif call.path == "/v1/connections":
            kind, status = "list", self.list_answers
            group = call.params.get("group_id")
            names = [
                name
                for name in self.syncs
                if name not in self.forbidden and group in {None, self.group_of.get(name, "g")}
            ]
            first = int(call.params.get("cursor", 0))
            after = first + self.rows_on_a_page
            data = {"items": [self._row(name) for name in names[first:after]]}
            data |= {"next_cursor": str(after)} if after < len(names) else {}
        else:
            kind = "look"
            status, data = (
                (200, self._row(call.connection_id)) if call.connection_id in self.syncs else (404, {})
            )
        self.requests[kind] += 1
        if self.broken[0] <= now < self.broken[1]:
            status = 503
        await asyncio.sleep(0.05)
        headers = {"Date": self.loop.utcnow().strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if self.left is not None:
            headers["X-Rate-Limit-Remaining"] = str(self.left)
        return read_answer(call, status, headers, json.dumps({"code": "x", "data": data}).encode())

    def _row(self, name: str) -> dict[str, Any]:
        now = self.loop.time()
        over = [sync for sync in self.syncs[name] if sync[1] <= now]
        runs = any(begin <= now < end for begin, end, _ in self.syncs[name])
        latest = {how: max((end for _, end, its in over if its == how), default=None) for how in WORDS}
        put_off = bool(over) and over[-1][2] == "put off" and not runs
        return {
            "id": name,
            "group_id": self.group_of.get(name, "g"),
            "service": "stripe",
            "schema": name,
            "paused": False,
            "schedule_type": "auto",
            "succeeded_at": _text(latest["well"]),
            "failed_at": _text(latest["badly"]),
            "status": {
                "sync_state": "syncing" if runs else "rescheduled" if put_off else "scheduled",
                "setup_state": "connected",
                "is_historical_sync": False,
                "rescheduled_for": _text(over[-1][1] + 3600) if put_off else None,
            },
        }

    def _entry(self, name: str, begin: float, end: float, how: str) -> dict[str, Any]:
        return {
            "sync_id": f"{name}-{begin:g}",
            "status": WORDS[how],
            "start": _text(begin),
            "end": _text(end),
            "stages": {"load": {"volume": 2.5}},
        }


class Asking(AsyncTransport):
    """Asks a busy account, and repeats nothing."""

    def __init__(self, fivetran: Any) -> None:
        super().__init__(fivetran)
        self._fivetran = fivetran

    async def send(self, call: Any) -> Any:
        return await self._fivetran.send(call)


BAD_ENDS = [(20, 40, "badly"), (60, 70, "well"), (90, 130, "cancelled"), (200, 220, "put off")]


class Kept:
    """An asset state store that outlives the watcher."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.writes = 0

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        self.writes += 1
        self.values[key] = json.loads(json.dumps(value))


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else (T0 + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def watching(fivetran, lasting, *ids, group=None, failures=False, store=None, listing=None, interval=15.0):
    """Watch for so many seconds, and return what was told, with the times."""

    async def watch():
        shared = listing or Listing(fivetran.send)
        watched = Watch(
            Scope(frozenset(ids), group), failures, interval, shared, Asking(fivetran).drive, store
        )

        async def listen():
            async for record in watched.ends():
                told.append((fivetran.loop.time(), record))  # noqa: PERF401 - as it comes

        task = asyncio.create_task(listen())
        await asyncio.sleep(lasting)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await shared.close()

    told = []
    return told, watch


def told_by(fivetran, lasting, *ids, **how):
    told, watch = watching(fivetran, lasting, *ids, **how)
    run(fivetran.loop, watch())
    return told


def names(told):
    return [record.sync_id for _, record in told]


# --- each once ------------------------------------------------------------------------------------------------


def test_each_sync_that_ends_well_is_told_once_with_its_record(loop):
    fivetran = Busy(loop, {"a": [(100, 200, "well"), (500, 620, "well")]})
    told = told_by(fivetran, 3600, "a")
    assert names(told) == ["a-100", "a-500"]
    when, record = told[0]
    assert when - 200 <= 15.3
    assert (record.connection_id, record.status, record.volume_mb) == ("a", "succeeded", {"load": 2.5})
    assert (record.ended_at - record.started_at).total_seconds() == 100


def test_what_ended_before_the_watcher_began_is_no_news(loop):
    assert told_by(Busy(loop, {"a": [(-500, -400, "well")]}), 600, "a") == []


def test_all_that_ended_between_two_looks_is_told_in_its_order(loop):
    syncs = [(20 + n, 20.8 + n, "well") for n in range(9)]
    assert names(told_by(Busy(loop, {"a": syncs}), 300, "a")) == [f"a-{20 + n}" for n in range(9)]


def test_syncs_that_do_not_end_well_are_not_told_to_those_who_wait_for_data(loop):
    fivetran = Busy(loop, {"a": BAD_ENDS})
    assert names(told_by(fivetran, 900, "a")) == ["a-60"]


def test_syncs_that_do_not_end_well_are_told_to_those_who_ask_for_failures(loop):
    fivetran = Busy(loop, {"a": BAD_ENDS})
    told = told_by(fivetran, 900, "a", failures=True)
    assert [(record.sync_id, record.status) for _, record in told] == [
        ("a-20", "failed"),
        ("a-90", "cancelled"),
        ("a-200", "rescheduled"),
    ]


def test_a_history_that_lags_is_waited_for(loop):
    told = told_by(Busy(loop, {"a": [(20, 40, "well")]}, lag=50), 600, "a")
    assert names(told) == ["a-20"]
    assert 90 <= told[0][0] <= 106


def test_a_history_that_lags_too_far_behind_is_done_without_and_nothing_is_told_twice(loop):
    told = told_by(Busy(loop, {"a": [(20, 40, "well")]}, lag=400), 1800, "a")
    assert [(record.sync_id, record.status) for _, record in told] == [(None, "succeeded")]


@pytest.mark.parametrize("status", [403, 404])
def test_where_there_is_no_history_the_timestamps_tell(loop, status):
    fivetran = Busy(loop, {"a": [(20, 40, "well"), (100, 140, "well")]}, history=status)
    told = told_by(fivetran, 600, "a")
    assert [(record.sync_id, record.ended_at) for _, record in told] == [
        (None, T0 + timedelta(seconds=40)),
        (None, T0 + timedelta(seconds=140)),
    ]
    assert fivetran.requests["history"] == 1


def test_while_fivetran_cannot_be_read_nothing_is_lost(loop, caplog):
    fivetran = Busy(loop, {"a": [(20, 40, "well"), (50, 60, "well")]}, broken=(30, 1800))
    assert names(told_by(fivetran, 3600, "a")) == ["a-20", "a-50"]
    assert caplog.text.count("cannot read what is watched") == 1


# --- what is watched, and what it costs -----------------------------------------------------------------------


def test_a_group_tells_of_its_connections_those_to_come_included(loop):
    fivetran = Busy(loop, {"a": [(20, 40, "well")], "other": [(20, 40, "well")]}, group_of={"other": "h"})

    async def add_one():
        await asyncio.sleep(100)
        fivetran.syncs["new"] = [(150, 190, "well")]

    told, watch = watching(fivetran, 900, group="g")

    async def both():
        await asyncio.gather(watch(), add_one())

    run(loop, both())
    assert names(told) == ["a-20", "new-150"]


def test_an_account_of_several_pages_is_watched_whole(loop):
    fivetran = Busy(loop, {f"c{n}": [(20, 40 + n, "well")] for n in range(25)}, rows_on_a_page=10)
    assert len(set(names(told_by(fivetran, 300)))) == 25


@pytest.mark.parametrize("count", [1, 50, 500])
def test_many_watchers_share_one_request_a_look(loop, count, monkeypatch):
    monkeypatch.setattr(listing_module, "ROWS_AT_ONCE", count)  # threads know no virtual time
    fivetran = Busy(loop, {f"c{n}": [] for n in range(count)})
    shared = Listing(fivetran.send)
    watches = [watching(fivetran, 900, f"c{n}", listing=shared)[1] for n in range(count)]

    async def all_of_them():
        await asyncio.gather(*(watch() for watch in watches))

    run(loop, all_of_them())
    assert fivetran.requests.total() <= 900 / 15 + 5  # the first three began before there were many


def test_a_key_that_may_not_list_reads_each_connection(loop):
    fivetran = Busy(loop, {f"c{n}": [(20, 40, "well")] for n in range(5)}, list_answers=403)
    assert len(names(told_by(fivetran, 300, *fivetran.syncs))) == 5


def test_a_connection_that_is_not_there_is_said_once_and_watched_for(loop, caplog):
    fivetran = Busy(loop, {"a": [(20, 40, "well")]})
    assert names(told_by(fivetran, 300, "a", "b")) == ["a-20"]
    assert caplog.text.count("knows no connection b") == 1


@pytest.mark.parametrize("list_answers", [200, 403])
def test_of_many_that_are_watched_each_watcher_tells_of_its_own_alone(loop, list_answers):
    fivetran = Busy(loop, {f"c{n}": [(20 + n, 40 + n, "well")] for n in range(6)}, list_answers=list_answers)
    shared = Listing(fivetran.send)
    watched = [watching(fivetran, 300, f"c{n}", listing=shared) for n in range(5)]
    watched.append(watching(fivetran, 300, "c0", "c5", listing=shared))

    async def all_of_them():
        await asyncio.gather(*(watch() for _, watch in watched))

    run(loop, all_of_them())
    assert [names(told) for told, _ in watched] == [
        *([f"c{n}-{20 + n}"] for n in range(5)),
        ["c0-20", "c5-25"],
    ]


def test_a_connection_that_the_key_may_not_see_blinds_nobody_to_the_others(loop):
    fivetran = Busy(loop, {"a": [(20, 40, "well")], "b": [(20, 40, "well"), (700, 720, "well")]})
    fivetran.forbidden = {"b"}
    told, watch = watching(fivetran, 1200, "a", "b")

    async def permit():
        await asyncio.sleep(600)
        fivetran.forbidden = set()

    async def both():
        await asyncio.gather(watch(), permit())

    run(loop, both())
    assert names(told) == ["a-20", "b-20", "b-700"]


def test_what_a_key_could_not_see_for_a_while_is_told_when_it_can(loop):
    fivetran = Busy(loop, {"a": [(20, 40, "well"), (200, 240, "well")], "b": [(200, 240, "well")]})
    told, watch = watching(fivetran, 2400, group="g")

    async def hide():
        await asyncio.sleep(100)
        fivetran.group_of["a"] = "hidden"
        await asyncio.sleep(1200)
        del fivetran.group_of["a"]

    async def both():
        await asyncio.gather(watch(), hide())

    run(loop, both())
    assert names(told) == ["a-20", "b-200", "a-200"]


# --- restarts -------------------------------------------------------------------------------------------------


def test_after_a_restart_what_ended_meanwhile_is_told_and_nothing_twice(loop):
    syncs = {"a": [(20, 40, "well"), (100, 140, "well"), (500, 550, "well")], "b": [(100, 120, "well")]}
    fivetran, store = Busy(loop, syncs), Kept()
    first, watch_first = watching(fivetran, 60, "a", "b", store=store)
    second, watch_again = watching(fivetran, 600, "a", "b", store=store)

    async def restarted():
        await watch_first()
        await asyncio.sleep(300)
        await watch_again()

    run(loop, restarted())
    assert names(first) == ["a-20"]
    assert names(second) == ["b-100", "a-100", "a-500"]


def test_one_that_stood_still_does_not_repeat_what_its_successor_has_told(loop):
    fivetran, store = Busy(loop, {"a": [(20, 40, "well"), (700, 720, "well")]}), Kept()
    stalled, watch_stalled = watching(fivetran, 900, "a", store=store, interval=600.0)
    successor, watch_on = watching(fivetran, 500, "a", store=store)

    async def both():
        await asyncio.gather(watch_stalled(), watch_on())

    run(loop, both())
    assert names(successor) == ["a-20"]
    assert names(stalled) == []


def test_what_the_webhook_receiver_has_told_is_not_told_again(loop):
    fivetran, store = Busy(loop, {"a": [(20, 40, "well"), (100, 140, "well")]}), Kept()
    now = utcnow()
    store.values["fivetran_receiver"] = Receiver(since=now, heard=now).to_json()
    store.values["fivetran_told:a:a-20:ended"] = {"by": "receiver"}
    assert names(told_by(fivetran, 300, "a", store=store)) == ["a-100"]


def test_what_is_told_slowly_is_remembered_on_the_way(loop):
    class Slow(Kept):
        async def aget(self, key, default=None):
            await asyncio.sleep(0.5)
            return await super().aget(key, default)

    fivetran, store = Busy(loop, {f"c{n}": [(20, 40, "well")] for n in range(60)}), Slow()
    first, watch_first = watching(fivetran, 65, store=store)
    second, watch_again = watching(fivetran, 200, store=store)

    async def restarted():
        await watch_first()
        await watch_again()

    run(loop, restarted())
    assert 10 < len(first) < 50
    assert len({*names(first), *names(second)}) == 60
    assert len(first) + len(second) - 60 <= 2 * 2 / 0.5, "what was told in the last seconds"


def test_a_triggerer_that_ends_is_not_kept_by_a_store_that_no_longer_answers(loop):
    class Gone(Kept):
        async def aset(self, key, value):
            if loop.time() > 45:
                await answers.wait()
            await super().aset(key, value)

    fivetran, answers = Busy(loop, {"a": [(20, 44.5, "well")]}), asyncio.Event()
    told, watch = watching(fivetran, 46, "a", store=Gone())

    async def ended():
        await watch()
        took = loop.time()
        answers.set()
        await asyncio.sleep(0)
        return took

    assert run(loop, ended()) < 55
    assert names(told) == ["a-20"]


def test_syncs_told_without_their_ids_are_not_told_again_when_there_is_a_history(loop):
    syncs = [(20 + 20 * n, 30 + 20 * n, "well") for n in range(8)]
    fivetran, store = Busy(loop, {"a": syncs}, history=403), Kept()
    first, watch_first = watching(fivetran, 100, "a", store=store)
    second, watch_again = watching(fivetran, 300, "a", store=store)

    async def restarted():
        await watch_first()
        fivetran.history = 200
        await watch_again()

    run(loop, restarted())
    ends = [record.ended_at for _, record in [*first, *second]]
    assert len(set(ends)) == len(ends)
    assert len(ends) >= 7  # of two that end between two looks, only the last has a timestamp


def test_a_quiet_watcher_hardly_writes(loop):
    store = Kept()
    told_by(Busy(loop, {"a": []}), 7200, "a", store=store)
    assert store.writes <= 14


def test_a_failure_is_told_though_the_next_sync_has_begun_and_lasts_long(loop):
    fivetran = Busy(loop, {"a": [(20, 40, "badly"), (41, 4000, "well")]})
    assert names(told_by(fivetran, 3600, "a", failures=True)) == ["a-20"]


def test_a_refused_key_is_no_reason_to_do_without_the_history(loop):
    fivetran = Busy(loop, {"a": [(20, 40, "well")]}, history=401)

    async def renew_the_key():
        await asyncio.sleep(300)
        fivetran.history = 200

    told, watch = watching(fivetran, 600, "a")

    async def both():
        await asyncio.gather(watch(), renew_the_key())

    run(loop, both())
    assert names(told) == ["a-20"]


def test_a_memory_that_cannot_be_read_is_waited_for(loop, caplog):
    class Slow(Kept):
        async def aget(self, key, default=None):
            if loop.time() < 400:
                raise RuntimeError("the database is down")
            return await super().aget(key, default)

    fivetran, store = Busy(loop, {"a": [(20, 40, "well"), (100, 140, "well")]}), Kept()
    slow = Slow()
    _, watch_first = watching(fivetran, 60, "a", store=store)
    told, watch_again = watching(fivetran, 600, "a", store=slow)

    async def restarted():
        await watch_first()
        slow.values = store.values
        await watch_again()

    run(loop, restarted())
    assert names(told) == ["a-100"]
    assert caplog.text.count("cannot be read, trying again") == 1


def test_a_watcher_that_two_assets_share_tells_and_says_that_it_remembers_nothing(loop, caplog):
    class Shared(Kept):
        async def aget(self, key, default=None):
            raise ValueError("Task has 2 concrete inlets and outlets")

    fivetran = Busy(loop, {"a": [(20, 40, "well")]})
    assert names(told_by(fivetran, 300, "a", store=Shared())) == ["a-20"]
    assert caplog.text.count("several assets share this watcher") == 1


def test_on_a_small_budget_it_looks_less_often(loop):
    fivetran = Busy(loop, {"a": []}, left=60)
    told_by(fivetran, 3600, "a")
    assert fivetran.requests.total() <= 40


def test_a_store_that_fails_stops_nothing(loop, caplog):
    class Failing(Kept):
        async def aset(self, key, value):
            raise RuntimeError("the database is down")

    fivetran = Busy(loop, {"a": [(20, 40, "well"), (100, 140, "well")]})
    assert names(told_by(fivetran, 300, "a", store=Failing())) == ["a-20", "a-100"]
    assert "cannot be remembered" in caplog.text


@settings(max_examples=25, deadline=None)
@given(
    ends=st.lists(st.integers(30, 2900), max_size=12, unique=True),
    restarts=st.lists(st.integers(20, 2800), max_size=4, unique=True),
    lag=st.sampled_from([0, 5, 40, 100]),
)
def test_however_often_it_is_restarted_each_end_is_told_exactly_once(ends, restarts, lag):
    """As long as a restart does not come within the two seconds that Airflow takes to keep an event."""
    loop, store = VirtualLoop(), Kept()
    fivetran = Busy(loop, {"a": [(end - 10, end, "well") for end in sorted(ends)]}, lag=lag)
    told = []

    async def restarted():
        await asyncio.sleep(1)
        for until in [*sorted(restarts), 3600]:
            lasting = until - loop.time()
            if lasting > 0:
                some, watch = watching(fivetran, lasting, "a", store=store)
                await watch()
                told.extend(some)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing_module, "utcnow", loop.utcnow)
        run(loop, restarted())
    loop.close()
    assert sorted(names(told)) == sorted(f"a-{end - 10}" for end in ends)
