"""How `make cluster` compares tasks with syncs: if it were wrong, all would look well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from benchmarks.cluster.findings import find

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def task(**changes):
    usual = {"connection": "a", "state": "success", "tries": 1, "sync_id": "one"}
    return SimpleNamespace(**usual | {"woken_at": after(12), "ended_at": after(15)} | changes)


def sync(**changes):
    usual = {"connection": "a", "status": "COMPLETED", "sync_id": "one", "ended_at": after(10)}
    return SimpleNamespace(**usual | changes)


def request(method="POST", path="/v1/connections/a/sync", at=NOON):
    return SimpleNamespace(method=method, path=path, at=at)


def played(tasks=(), syncs=(), requests=(), hand_over=None):
    return SimpleNamespace(
        tasks=tasks or [task()],
        syncs=syncs or [sync()],
        requests=requests or [request()],
        hand_over=hand_over,
    )


@pytest.mark.parametrize(
    ("its_task", "its_sync"),
    [
        (task(), sync()),
        (task(state="failed"), sync(status="FAILURE")),
    ],
)
def test_a_task_that_says_what_its_sync_was_is_right(its_task, its_sync):
    found = find(played([its_task], [its_sync]))
    assert (found.wrong, found.as_recorded) == ([], 1)


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        (played([task(state="failed")]), "the task is failed, its sync COMPLETED"),
        (played(syncs=[sync(status="FAILURE")]), "the task is success, its sync FAILURE"),
        (played([task(state=None)], [sync(status="RUNNING")]), "the task is None, its sync RUNNING"),
        (played([task(sync_id="another")]), "stands for the sync another"),
        (played([task(sync_id=None)]), "stands for the sync None"),
        (played([task(ended_at=after(9))]), "ended at"),
        (played(requests=[request(), request()]), "2 triggers, 1 syncs"),
        (played(syncs=[sync(), sync(sync_id="two")]), "1 triggers, 2 syncs"),
        (played(syncs=[sync(), sync(connection="b")]), "b: synced, but there is no such task"),
    ],
)
def test_anything_else_is_wrong(scene, said):
    (complaint,) = find(scene).wrong
    assert said in complaint


def test_requests_are_counted_by_kind_and_in_the_busiest_minute():
    times = [after(0), after(30), after(59), after(200)]
    looks = [request("GET", "/v1/connections", at) for at in times]
    found = find(played(requests=[*looks, request(at=after(500))]))
    assert found.kinds == {"list": 4, "trigger": 1}
    assert found.busiest_minute == 3


def test_delays_begin_at_the_end_of_the_sync():
    found = find(played())
    assert (found.noticed.values, found.over.values) == ([2], [5])


@pytest.mark.parametrize(("killed_at", "unwatched"), [(after(-20), 1), (after(11), 0), (after(-21), 0)])
def test_a_sync_that_ends_before_the_hand_over_is_counted(killed_at, unwatched):
    hand_over = SimpleNamespace(connections=frozenset("a"), killed_at=killed_at, seconds=30)
    found = find(played(hand_over=hand_over))
    assert found.ended_unwatched == unwatched
    assert found.noticed_after_kill.values == [2]
