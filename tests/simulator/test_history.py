"""The sync history: its windows, its pages, what it shows of a run that has not ended, and who may read it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.simulator import SyncPlan


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def run_syncs(sim, count, duration=10):
    sim.add_connection("c", default_plan=SyncPlan(duration=duration, volume_mb=(3.5, None, 2.0)))
    for _ in range(count):
        sim.start_sync("c")
        sim.clock.advance(duration)


def refused(api, **query):
    return api.get("/v1/connections/c/sync-history", **query).status_code == 400


def test_an_entry_tells_the_whole_run(sim, api):
    run_syncs(sim, 1)
    [entry] = api.history("c")
    [run] = sim.runs("c")
    assert entry["sync_id"] == run.sync_id
    assert entry["status"] == "COMPLETED"
    assert entry["start"].endswith("Z")
    assert entry["end"] > entry["start"]
    assert "reason" not in entry
    assert [entry["stages"][stage]["volume"] for stage in ("extract", "process", "load")] == [3.5, None, 2.0]


def test_a_failure_gives_its_reason(sim, api):
    sim.add_connection("c", default_plan=SyncPlan(duration=1, outcome="failure", reason="no such host"))
    sim.start_sync("c")
    sim.clock.advance(1)
    [entry] = api.history("c")
    assert (entry["status"], entry["reason"]) == ("FAILURE", "no such host")


def test_newest_first_or_oldest_first(sim, api):
    run_syncs(sim, 3)
    newest = [entry["sync_id"] for entry in api.history("c")]
    sim.switches.history_order = "oldest_first"
    assert [entry["sync_id"] for entry in api.history("c")] == newest[::-1]


def test_a_running_sync_has_no_end(sim, api):
    run_syncs(sim, 0)
    sim.start_sync("c")
    [entry] = api.history("c")
    assert (entry["end"], entry["status"]) == (None, "RUNNING")
    sim.switches.history_running = "SYNCING"
    assert api.history("c")[0]["status"] == "SYNCING"
    sim.switches.history_running = None
    assert api.history("c") == []


def test_the_history_may_lag_behind_a_start_and_an_end(sim, api):
    sim.switches.history_lag = 3
    run_syncs(sim, 0)
    sim.start_sync("c")
    assert api.history("c") == []
    sim.clock.advance(3)
    assert api.history("c")[0]["end"] is None
    sim.clock.advance(8)
    assert api.state("c") == "scheduled"
    assert api.history("c")[0]["end"] is None
    sim.clock.advance(3)
    assert api.history("c")[0]["status"] == "COMPLETED"


def test_without_a_window_it_shows_the_last_hour(sim, api):
    run_syncs(sim, 1)
    sim.clock.advance(3601)
    assert api.history("c") == []
    assert api.history("c", start_time=stamp(sim.clock.now() - timedelta(hours=3))) == []
    two_hours_ago = sim.clock.now() - timedelta(hours=2)
    assert len(api.history("c", start_time=stamp(two_hours_ago), end_time=stamp(sim.clock.now()))) == 1


def test_a_lone_end_reaches_one_hour_back(sim, api):
    run_syncs(sim, 1)
    sim.clock.advance(3000)
    assert len(api.history("c", end_time=stamp(sim.clock.now()))) == 1
    assert api.history("c", end_time=stamp(sim.clock.now() - timedelta(hours=2))) == []


def test_pages_are_followed_by_a_cursor(sim, api):
    run_syncs(sim, 5)
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        data = api.get("/v1/connections/c/sync-history", **query).json()["data"]
        seen += [entry["sync_id"] for entry in data["items"]]
        cursor = data.get("next_cursor")
        if cursor is None:
            break
    assert seen == [run.sync_id for run in reversed(sim.runs("c"))]


def test_windows_that_make_no_sense_are_refused(sim, api):
    run_syncs(sim, 0)
    now = sim.clock.now()
    assert refused(api, start_time=stamp(now), end_time=stamp(now - timedelta(hours=1)))
    assert refused(api, start_time=stamp(now - timedelta(days=8)))
    assert refused(api, start_time=stamp(now - timedelta(days=6)), end_time=stamp(now + timedelta(days=2)))
    assert refused(api, start_time="yesterday")


@pytest.mark.parametrize(("choice", "status"), [("not_found", 404), ("forbidden", 403)])
def test_not_every_account_has_it(sim, api, choice, status):
    run_syncs(sim, 1)
    sim.switches.history = choice
    assert api.get("/v1/connections/c/sync-history").status_code == status


def test_not_every_key_may_read_it(sim, api):
    run_syncs(sim, 1)
    sim.add_key("narrow", "secret", may_read_history=False)
    api.session.auth = ("narrow", "secret")
    assert api.get("/v1/connections/c").status_code == 200
    assert api.get("/v1/connections/c/sync-history").status_code == 403
