"""Transformations: running, waiting for the end, cancelling, and the answers that are nowhere documented."""

from __future__ import annotations

import pytest

PATH = "/v1/transformations/t"


def shape(api):
    return api.get(PATH).json()["data"]


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "BLOCKED"])
def test_a_run_ends_as_planned(sim, api, outcome):
    sim.add_transformation("t", duration=10, queue_delay=2, outcome=outcome)
    assert (shape(api)["status"], shape(api)["last_started_at"]) == ("NEW", None)
    assert api.post(f"{PATH}/run", {"full_refresh": True}).status_code == 200
    assert shape(api)["status"] == "SCHEDULING"
    sim.clock.advance(2)
    assert shape(api)["status"] == "RUNNING"
    sim.clock.advance(10)
    ended = shape(api)
    assert ended["status"] == outcome
    assert ended["last_ended_at"] > ended["last_started_at"]
    [run] = sim.account.transformation("t").runs
    assert (run.status, run.full_refresh) == (outcome, True)


def test_a_running_one_can_be_cancelled_and_run_again(sim, api):
    sim.add_transformation("t", duration=10)
    api.post(f"{PATH}/run")
    sim.clock.advance(1)
    assert api.session.post(f"{sim.url}{PATH}/cancel", timeout=10).status_code == 200
    assert shape(api)["status"] == "CANCELED"
    api.post(f"{PATH}/run")
    assert shape(api)["status"] == "RUNNING"


def test_a_cancelled_run_takes_its_time_to_stop(sim, api):
    sim.add_transformation("t", duration=10, queue_delay=5, stop_delay=3)
    api.post(f"{PATH}/run")
    sim.cancel_transformation("t")
    assert shape(api)["status"] == "TERMINATING"
    sim.clock.advance(3)
    assert (shape(api)["status"], shape(api)["last_started_at"]) == ("CANCELED", None)  # it was still queued
    sim.run_transformation("t")
    sim.clock.advance(6)
    api.post(f"{PATH}/cancel")
    assert shape(api)["status"] == "TERMINATING"
    sim.clock.advance(3)
    [run] = sim.account.transformation("t").runs
    assert (run.status, shape(api)["last_ended_at"] > shape(api)["last_started_at"]) == ("CANCELED", True)


def test_each_type_has_its_name_where_fivetran_puts_it(sim, api):
    sim.add_transformation("t", name="shop")
    assert shape(api)["transformation_config"]["name"] == "shop"
    sim.add_transformation("q", name="github", type="QUICKSTART")
    config = api.get("/v1/transformations/q").json()["data"]["transformation_config"]
    assert config["package_name"] == "github"


def test_fivetrans_own_schedule_runs_it_unless_it_runs(sim, api):
    sim.add_transformation("t", duration=10)
    sim.run_transformation("t", full_refresh=True)
    sim.run_transformation("t")
    sim.clock.advance(10)
    assert shape(api)["status"] == "SUCCEEDED"
    assert [run.full_refresh for run in sim.account.transformation("t").runs] == [True]
    sim.delete_transformation("t")
    assert api.get(PATH).status_code == 404


def test_running_twice_and_cancelling_idly_are_switches(sim, api):
    sim.add_transformation("t", duration=10)
    assert api.post(f"{PATH}/cancel").status_code == 409
    api.post(f"{PATH}/run")
    assert api.post(f"{PATH}/run").status_code == 409
    sim.switches.update(transformation_run_while_running="ok", transformation_cancel_while_idle="ok")
    assert api.post(f"{PATH}/run").status_code == 200
    sim.clock.advance(10)
    assert shape(api)["status"] == "SUCCEEDED"
    assert api.post(f"{PATH}/cancel").status_code == 200


def test_running_a_paused_one_is_a_switch(sim, api):
    sim.add_transformation("t", paused=True)
    sim.switches.transformation_run_while_paused = "conflict"
    assert api.post(f"{PATH}/run").status_code == 409
    sim.switches.transformation_run_while_paused = "ok"
    assert api.post(f"{PATH}/run").status_code == 200


def test_lists_are_filtered(sim, api):
    sim.add_group("other")
    sim.add_transformation("t", type="QUICKSTART")
    sim.add_transformation("u", group_id="other", project_id="p")

    def ids(**query):
        return [row["id"] for row in api.get("/v1/transformations", **query).json()["data"]["items"]]

    assert ids() == ["t", "u"]
    assert ids(group_id="other") == ["u"]
    assert ids(project_id="p") == ["u"]
    assert ids(type="QUICKSTART") == ["t"]
    assert api.get("/v1/transformations", type="OTHER").status_code == 400


def test_a_wrong_body_is_refused(sim, api):
    sim.add_transformation("t")
    assert api.post(f"{PATH}/run", {"full_refresh": "yes"}).status_code == 400
    assert shape(api)["status"] == "NEW"
