"""The parts of the benchmark that could be wrong without anybody seeing it. What it measures is not judged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush

import pytest

from benchmarks.counts import Counts, what_it_is
from benchmarks.mixture import KINDS, VARIATION, Mixture
from benchmarks.passing import Loop, Passing
from benchmarks.projection import fitting
from benchmarks.rows import Import, Notes, Row, Spread
from benchmarks.waits import taken_together

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def passing(tmp_path):
    return Passing.begin(tmp_path / "clock")


@pytest.fixture
def runner(passing):
    with asyncio.Runner(loop_factory=lambda: Loop(passing, skips=True)) as runner:
        yield runner


def test_idle_hours_are_skipped_and_their_order_is_kept(passing, runner):
    async def sleep(hours):
        await asyncio.sleep(hours * 3600)
        return passing.now()

    async def sleep_thrice():
        return await asyncio.gather(sleep(3), sleep(1), sleep(2))

    began, really = passing.now(), time.monotonic()
    slept = [round((at - began) / timedelta(hours=1), 3) for at in runner.run(sleep_thrice())]
    assert slept == [3, 1, 2]
    assert time.monotonic() - really < 60


def test_the_clock_is_not_moved_while_a_thread_works(passing, runner):
    async def work_while_somebody_sleeps():
        asleep = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.to_thread(time.sleep, 0.05)
        at = passing.now()
        asleep.cancel()
        return at

    began = passing.now()
    assert runner.run(work_while_somebody_sleeps()) - began < timedelta(minutes=1)


def test_a_sleeping_worker_is_woken_when_its_time_has_come(passing):
    with ThreadPoolExecutor(1) as pool:
        began = passing.now()
        worker = pool.submit(lambda: (passing.sleep(3600), passing.now())[1])
        while passing.wakes() == float("inf"):
            time.sleep(0.001)
        passing.skip(passing.wakes() - passing.seconds())
        slept = worker.result(60) - began
        assert timedelta(minutes=59) < slept < timedelta(minutes=61)


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "/v1/connections", "list"),
        ("GET", "/v1/connections/list", "look"),
        ("GET", "/v1/connectors/c", "look"),
        ("GET", "/v1/connections/c/sync-history", "history"),
        ("POST", "/v1/connections/c/sync", "trigger"),
        ("POST", "/v1/connectors/c/force", "trigger"),
        ("PATCH", "/v1/connections/c", "other"),
        ("GET", "/v1/account/info", "other"),
    ],
)
def test_requests_are_told_apart(method, path, what):
    assert what_it_is(method, path) == what


def test_requests_are_counted_by_what_and_when():
    rows = [[NOON.timestamp() + at, "a", what, 200, n] for at, what, n in ((0, "list", 2), (3599, "look", 3))]
    counts = Counts([*rows, [NOON.timestamp() + 3600, "b", "look", 429, 4]])
    assert (counts.total(), counts.total(key="a"), counts.total(status=429)) == (9, 5, 4)
    assert counts.between(NOON, NOON + timedelta(hours=1)).by("what") == {"list": 2, "look": 3}
    assert counts.most_in_an_hour() == 7


def test_what_fits_into_the_budget_lies_on_the_measured_line():
    assert fitting({10: 1000, 100: 10_000}, 5000) == 50
    assert fitting({10: 1000, 100: 10_000}, 500) == 5
    assert fitting({10: 1000, 100: 10_000}, 20_000) == 200


def test_the_mixture_is_as_described():
    mixture = Mixture(200)
    usual = {one.name: one.usual for one in mixture.connections()}
    running = [
        (begins + sync.duration, number, sync) for number, (begins, sync) in enumerate(mixture.first())
    ]
    heapify(running)
    begun = Counter()
    for number in range(200, 5200):
        at, _, over = heappop(running)
        mixture.over(over)
        sync = mixture.next()
        heappush(running, (at + sync.duration, number, sync))
        begun[sync.of.kind.name] += 1
        begun["surprises"] += sync.surprise
        assert len({sync.of.name for _, _, sync in running}) == 200
        assert sync.surprise or abs(sync.duration / usual[sync.of.name] - 1) <= VARIATION
    assert [round(begun[kind.name] / 5000, 1) for kind in KINDS] == [0.4, 0.4, 0.2]
    assert 0.03 < begun["surprises"] / 5000 < 0.05


def test_what_was_measured_is_kept_and_measured_anew(tmp_path):
    row = {
        "load": "quick",
        "title": "Quick",
        "who": "ours",
        "count": 10,
        "to_begin": 20,
        "asked": {"list": 5},
        "cpu_seconds": 1.0,
        "cpu_share": 0.1,
        "peak_mib": 1.0,
        "added_mib": 0.5,
        "longest_hold": 0.01,
        "wrong": 0,
        "early": 0,
        "missing": 0,
        "simulator_share": 0.1,
    }
    first = Row(late=Spread.of([3.0, 1.0, 2.0]), **row)
    imported = Import(who="ours", milliseconds=Spread([1.0]), modules=3)
    for measured in (first, imported, Row(late=Spread([4.0]), **row)):
        Notes(tmp_path / "notes").add(measured)
    kept = Notes(tmp_path / "notes")
    assert (first.late.values, first.late.at(0.5), first.requests) == ([1.0, 2.0, 3.0], 2.0, 25)
    assert [row.late.values for row in kept.waits()["quick"]] == [[4.0]]
    assert kept.imports() == [imported]


def test_of_several_rounds_all_that_was_late_and_every_fault_is_kept():
    common = {
        "load": "even",
        "title": "Even",
        "who": "ours",
        "count": 10,
        "cpu_share": 0.1,
        "peak_mib": 1.0,
        "added_mib": 0.5,
        "early": 0,
        "simulator_share": 0.1,
    }
    first = Row(
        **common,
        to_begin=20,
        asked={"list": 5},
        late=Spread([1.0, 3.0]),
        cpu_seconds=1.0,
        longest_hold=0.3,
        wrong=1,
        missing=0,
    )
    second = replace(
        first, asked={"list": 7}, late=Spread([2.0]), cpu_seconds=3.0, longest_hold=0.1, missing=2
    )
    both = taken_together([first, second])
    assert both.late.values == [1.0, 2.0, 3.0]
    assert (both.requests, both.cpu_seconds, both.longest_hold) == (26, 2.0, 0.3)
    assert (both.wrong, both.missing) == (2, 2)
