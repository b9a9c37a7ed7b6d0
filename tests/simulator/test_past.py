"""Syncs that a connection is said to have had before it was added."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.simulator import SyncPlan

DAY, HOUR = 86_400, 3_600


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def week(sim, api):
    now = sim.clock.now()
    start = now - timedelta(days=7) + timedelta(minutes=1)
    return api.history("c", start_time=stamp(start), end_time=stamp(now), limit=1000)


def test_the_history_goes_back_a_week_and_ends_before_the_connection_was_added(sim, api):
    sim.add_connection("c", past_every=HOUR, default_plan=SyncPlan(duration=60, volume_mb=(3.0, 2.0, 1.0)))
    entries = week(sim, api)
    assert 167 <= len(entries) <= 168
    assert {entry["status"] for entry in entries} == {"COMPLETED"}
    assert len({entry["sync_id"] for entry in entries}) == len(entries)
    assert entries[0]["stages"]["load"]["volume"] == 1.0
    assert max(entry["end"] for entry in entries) <= api.connection("c")["created_at"]


def test_it_is_the_same_whenever_it_is_asked_for_and_moves_out_of_reach(sim, api):
    sim.add_connection("c", past_every=HOUR)
    before = week(sim, api)
    assert week(sim, api) == before
    sim.clock.advance(DAY)
    after = week(sim, api)
    assert after == before[: len(after)]
    assert len(before) - len(after) == 24


def test_some_of_it_has_failed_and_the_timestamps_agree(sim, api):
    sim.add_connection("c", past_every=HOUR, past_failing=5)
    entries = week(sim, api)
    ends = {
        status: max(entry["end"] for entry in entries if entry["status"] == status)
        for status in ("COMPLETED", "FAILURE")
    }
    connection = api.connection("c")
    assert connection["succeeded_at"] == ends["COMPLETED"]
    assert connection["failed_at"] == ends["FAILURE"]
    assert 33 <= sum("reason" in entry for entry in entries) <= 34


def test_a_connection_that_only_ever_failed_has_never_succeeded(sim, api):
    sim.add_connection("c", past_every=HOUR, past_failing=1)
    assert api.connection("c")["succeeded_at"] is None
    assert {entry["status"] for entry in week(sim, api)} == {"FAILURE"}


def test_real_syncs_follow_it_and_the_record_of_real_syncs_is_without_it(sim, api):
    sim.add_connection("c", past_every=DAY, default_plan=SyncPlan(duration=1))
    sim.start_sync("c")
    sim.clock.advance(1)
    newest, *older = week(sim, api)
    [run] = sim.runs("c")
    assert newest["sync_id"] == run.sync_id
    assert len(older) in {6, 7}


def test_it_can_be_described_as_json(sim, api):
    answer = api.post("/_control/connections", {"id": "c", "past_every": DAY, "past_failing": 2})
    assert answer.status_code == 201
    assert {entry["status"] for entry in week(sim, api)} == {"COMPLETED", "FAILURE"}


@pytest.mark.parametrize("name", ["past_every", "past_failing"])
def test_a_wrong_number_is_refused(sim, name):
    with pytest.raises(ValueError, match=rf"{name} is 0; allowed: a number of at least 1"):
        sim.add_connection("c", **{name: 0})
