"""What a watcher knows: which ends are news, and which have been told."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core.landings import Watermark, by_timestamps, in_history, trace_of
from airflow_provider_fivetran.core.verdicts import SyncRecord
from facts import at, connection, entry

ENTRIES = (
    entry("completed", 10, 20, "good"),
    entry("failure", 30, 40, "bad"),
    entry("canceled", 50, 60, "cut"),
    entry("rescheduled", 70, 80, "later"),
    entry("completed", 90, 100, "better"),
    entry("syncing", 110, None, "running"),
)
MARK = Watermark(at(0))


def record(end: float, sync_id: str | None = "s", connection_id: str = "c") -> SyncRecord:
    return SyncRecord(
        connection_id=connection_id, status="succeeded", link="https://x", sync_id=sync_id, ended_at=at(end)
    )


# --- what is news -----------------------------------------------------------------------------------------------


def test_the_history_tells_good_ends_in_their_order_with_what_is_known_of_them():
    news = in_history(connection(), reversed(ENTRIES), MARK, failures=False)
    assert [(found.sync_id, found.status, found.ended_at) for found in news] == [
        ("good", "succeeded", at(20)),
        ("better", "succeeded", at(100)),
    ]


def test_or_the_other_ends_each_by_its_name():
    news = in_history(connection(), ENTRIES, MARK, failures=True)
    assert [(found.sync_id, found.status) for found in news] == [
        ("bad", "failed"),
        ("cut", "cancelled"),
        ("later", "rescheduled"),
    ]


def test_what_ended_before_the_mark_is_no_news():
    assert [
        found.sync_id for found in in_history(connection(), ENTRIES, Watermark(at(20)), failures=False)
    ] == ["better"]


def test_without_a_history_the_latest_end_of_the_kind_is_told():
    found = connection(succeeded_at=at(20), failed_at=at(40))
    assert [(end.status, end.ended_at) for end in by_timestamps(found, MARK, at(50), failures=False)] == [
        ("succeeded", at(20))
    ]
    assert [(end.status, end.ended_at) for end in by_timestamps(found, MARK, at(50), failures=True)] == [
        ("failed", at(40))
    ]


def test_without_a_history_a_put_off_is_told_with_its_time():
    found = connection("rescheduled", rescheduled_for=at(900))
    [put_off] = by_timestamps(found, MARK, at(50), failures=True)
    assert (put_off.status, put_off.ended_at, put_off.rescheduled_for) == ("rescheduled", at(50), at(900))
    assert by_timestamps(found, MARK, at(50), failures=False) == ()


@pytest.mark.parametrize(
    ("changed", "tells_success", "tells_failure"),
    [
        ({"succeeded_at": at(5)}, True, False),
        ({"failed_at": at(5)}, False, True),
        ({"state": "syncing"}, False, True),
        ({"state": "rescheduled", "rescheduled_for": at(900)}, False, True),
        ({"paused": True}, False, False),
    ],
)
def test_the_trace_changes_with_what_may_be_news(changed, tells_success, tells_failure):
    before, after = connection(), connection(**changed)
    assert (trace_of(before, failures=False) != trace_of(after, failures=False)) == tells_success
    assert (trace_of(before, failures=True) != trace_of(after, failures=True)) == tells_failure


# --- what has been told -----------------------------------------------------------------------------------------


def test_what_was_told_is_known_by_its_connection_and_its_id():
    mark = MARK.with_told(record(10, "s"))
    assert mark.has(record(10, "s"))
    assert not mark.has(record(10, "t"))
    assert not mark.has(record(10, "s", "other"))


@pytest.mark.parametrize(("told", "later"), [(None, "s"), ("s", None), (None, None)])
def test_where_one_of_the_two_has_no_id_ends_in_the_same_second_are_the_same(told, later):
    mark = MARK.with_told(record(10, told))
    assert mark.has(record(10.9, later))
    assert not mark.has(record(11, later))
    assert not mark.has(record(10, later, "other"))


def test_an_end_without_a_time_is_never_told():
    unknown = SyncRecord(connection_id="c", status="succeeded", link="https://x")
    assert MARK.has(unknown)
    assert MARK.with_told(unknown) == MARK


def test_another_process_may_have_told_more():
    mine, theirs = MARK.with_told(record(10, "a")), Watermark(at(5)).with_told(record(20, "b"))
    both = mine.with_all_of(theirs)
    assert both.until == at(5)
    assert both.has(record(10, "a"))
    assert both.has(record(20, "b"))


def test_of_very_many_the_latest_are_kept_within_what_airflow_keeps():
    mark = MARK
    for number in range(2000):
        mark = mark.with_told(record(number + 1, f"8f1c{number:032d}", "a_connection_with_a_long_name"))
    written = json.dumps(mark.to_json())
    assert len(written) < 65_535
    kept = Watermark.from_json(json.loads(written))
    assert all(kept.has(record(n + 1, f"8f1c{n:032d}", "a_connection_with_a_long_name")) for n in range(2000))
    assert not kept.has(record(2001, "new"))


@given(st.lists(st.integers(0, 5000), max_size=20), st.lists(st.integers(0, 5000), max_size=5))
def test_however_the_mark_moves_what_was_told_is_never_news_again(ends, moves):
    mark = MARK
    for end in ends:
        mark = mark.with_told(record(end, f"s{end}"))
    for move in moves:
        moved = mark.moved_to(at(move))
        assert moved.until >= mark.until
        assert moved.until <= max(mark.until, at(move) - timedelta(minutes=3))
        mark = moved
    again = Watermark.from_json(json.loads(json.dumps(mark.to_json())))
    assert again == mark
    assert all(again.has(record(end, f"s{end}")) for end in ends)


@pytest.mark.parametrize(
    "data",
    [None, {}, [], "text", {"until": "2026-11-02"}, {"until": 5, "told": {}}, {"until": "x", "told": []}],
)
def test_what_is_no_mark_is_none(data):
    assert Watermark.from_json(data) is None
