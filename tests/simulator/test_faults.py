"""Faults: what a client sees of each, whether the request took effect, and how rules and chance choose."""

from __future__ import annotations

import time

import pytest
import requests

from airflow_provider_fivetran.simulator import Fault, Simulator, SyncPlan

SYNC = "/v1/connections/c/sync"


@pytest.fixture
def sim(sim):
    sim.add_connection("c", default_plan=SyncPlan(duration=10))
    return sim


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_a_status_answers_instead_of_the_request(sim, api, status):
    sim.faults.add(Fault("status", status=status, retry_after=7))
    answer = api.post(SYNC)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert answer.json()["code"]
    assert sim.runs("c") == []
    assert api.post(SYNC).status_code == 200


def test_a_retry_may_be_announced_as_a_date(sim, api):
    sim.faults.add(Fault("status", status=429, retry_after="Fri, 01 May 2026 12:00:00 GMT"))
    assert api.get("/v1/groups").headers["Retry-After"] == "Fri, 01 May 2026 12:00:00 GMT"


def test_a_reset_comes_before_the_request_takes_effect(sim, api):
    sim.faults.add(Fault("reset"))
    with pytest.raises(requests.ConnectionError, match="reset"):
        api.post(SYNC)
    assert sim.runs("c") == []
    assert (sim.requests[-1].status, sim.requests[-1].fault) == (None, "reset")


def test_a_lost_answer_comes_after_the_request_took_effect(sim, api):
    sim.faults.add(Fault("lost"))
    with pytest.raises(requests.ConnectionError):
        api.post(SYNC)
    assert len(sim.runs("c")) == 1
    assert api.state("c") == "syncing"


@pytest.mark.parametrize("status", [200, 502])
def test_html_in_place_of_json(sim, api, status):
    sim.faults.add(Fault("html", status=status))
    answer = api.get("/v1/connections/c")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html")
    assert answer.text.startswith("<html>")


def test_json_that_breaks_off(sim, api):
    sim.faults.add(Fault("garbage"))
    answer = api.get("/v1/connections/c")
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_slow_answer(sim, api):
    sim.faults.add(Fault("slow", delay=0.1))
    begin = time.monotonic()
    assert api.post(SYNC).status_code == 200
    assert time.monotonic() - begin >= 0.1
    assert len(sim.runs("c")) == 1


def test_a_huge_answer(sim, api):
    sim.faults.add(Fault("huge", size_mb=2))
    answer = api.get("/v1/connections/c")
    assert len(answer.content) > 2_000_000
    assert answer.json()["data"]["id"] == "c"


def test_a_valid_envelope_around_the_wrong_types(sim, api):
    right = api.connection("c")
    sim.faults.add(Fault("wrong_shape", times=None))
    seen = [api.get("/v1/connections/c").json() for _ in range(40)]
    assert {answer["code"] for answer in seen} == {"Success"}
    assert right not in [answer.get("data") for answer in seen]
    assert len({str(answer) for answer in seen}) > 3


def test_whether_it_takes_effect_can_be_chosen(sim, api):
    sim.faults.add(Fault("html", takes_effect=True))
    assert api.post(SYNC).status_code == 502
    assert len(sim.runs("c")) == 1


def test_a_fault_chooses_by_method_and_path_and_ends_after_its_times(sim, api):
    sim.faults.add(Fault("status", method="POST", path="/sync$", status=500, times=2))
    assert api.get("/v1/connections/c").status_code == 200
    assert [api.post(SYNC).status_code for _ in range(3)] == [500, 500, 200]
    assert sim.faults.waiting() == []


def test_chance_is_seeded():
    def struck(seed):
        simulator = Simulator(seed=seed)
        simulator.faults.add(Fault("status", probability=0.5, times=None))
        return [simulator.faults.strike("GET", "/") is not None for _ in range(64)]

    assert struck(1) == struck(1) != struck(2)
    assert 10 < sum(struck(1)) < 54


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "meteor"}, "kind is 'meteor'; allowed: status, reset"),
        ({"kind": "status", "probability": 2}, "probability is 2"),
        ({"kind": "status", "status": 42}, "status is 42"),
        ({"kind": "status", "path": "("}, r"path is '\('"),
    ],
)
def test_a_fault_described_wrongly_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Fault(**fields)
