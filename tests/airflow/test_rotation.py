"""Keys that are replaced while tasks wait: the old one is dead before the new one is in the Airflow connection."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_fivetran.core import steps
from airflow_provider_fivetran.exceptions import FivetranForbidden, FivetranUnauthorized
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.simulator import SyncPlan
from stories import CONNECTION, ID, SYNC

ENDLESS = SyncPlan(duration=3600)


@pytest.fixture
def patient(short_patience):
    """Endure refusals for longer than any machine needs for these stories."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "REFUSAL_PATIENCE", timedelta(minutes=2))
        yield


def put_new_key_into_airflow(way):
    way.declare(login="new-key", password="new-secret")


def refuse(way, status):
    """Let the key in use be refused, as a dead one or as one that lost its rights."""
    if status == 401:
        way.sim.revoke("sim-key")
    else:
        way.sim.add_key("sim-key", "sim-secret", groups=["elsewhere"])
    way.sim.add_key("new-key", "new-secret")


def gap(way, status):
    """From now on the key is refused; two refusals later the new one is in the Airflow connection."""
    refuse(way, status)
    left = [3]

    def heard(request):
        left[0] -= request.status == status
        if left[0] == 0:
            put_new_key_into_airflow(way)

    way.heard._rules.append(heard)


@pytest.fixture
def said(caplog, capsys):
    caplog.set_level(logging.INFO)
    return lambda: caplog.text + "".join(capsys.readouterr())


def times_in(text, words):
    """How many lines say it; Airflow may show a line in two places."""
    return len({line[line.index(words) :] for line in text.splitlines() if words in line})


@pytest.mark.parametrize("status", [401, 403])
def test_a_task_outlives_the_gap(patient, way, status, said):
    way.add(SyncPlan(duration=1))
    way.heard.at("POST", SYNC, lambda: way.heard.at("GET", CONNECTION, lambda: gap(way, status), nth=2))
    story = way.sync().ended_well()
    assert len(story.triggers) == 1
    assert 3 <= len([request for request in story.requests if request.status == status]) <= 4
    text = said()
    assert times_in(text, "its task waits 2 min for a key that works") == 1
    assert times_in(text, "Fivetran accepts a key again after") == 1
    assert "new-secret" not in text


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_replaced_ends_the_wait_with_what_to_do(way, status, said):
    way.add(ENDLESS)
    way.heard.at("POST", SYNC, lambda: way.heard.at("GET", CONNECTION, lambda: refuse(way, status), nth=2))
    story = way.sync()
    story.failed(FivetranUnauthorized if status == 401 else FivetranForbidden, f"HTTP {status}", way.conn_id)
    assert "fallback_conn_id" in str(story.error)
    assert (story.cause.connection_id, story.cause.status) == (ID, status)
    assert len([request for request in story.requests if request.status == status]) >= 3
    assert times_in(said(), "its task waits") == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_fallback_takes_over_without_a_word_of_waiting(way, status, said, monkeypatch):
    way.add(SyncPlan(duration=1))
    spare = {"conn_type": "fivetran", "login": "new-key", "password": "new-secret", "host": way.sim.url}
    monkeypatch.setenv("AIRFLOW_CONN_SPARE", json.dumps(spare))
    way.declare(extra={"fallback_conn_id": "spare"})
    way.heard.at("POST", SYNC, lambda: way.heard.at("GET", CONNECTION, lambda: refuse(way, status), nth=2))
    story = way.sync().ended_well()
    assert len([request for request in story.requests if request.status == status]) <= 2
    text = said()
    assert "now using the key of 'spare'" in text
    assert "its task waits" not in text


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_wrong_at_the_start_fails_at_once(way, status):
    way.add(ENDLESS)
    refuse(way, status)
    story = way.sync()
    assert isinstance(story.error, AirflowFailException)
    assert [request.status for request in story.requests] == [status]


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_sensor_outlives_the_gap(patient, airflow_db, blocking, mode):
    blocking.add(SyncPlan(duration=1))
    blocking.sim.start_sync(ID)
    blocking.heard.at("GET", CONNECTION, lambda: gap(blocking, 401), nth=2)
    blocking.sense(mode=mode).ended_well()


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_sensor_whose_key_is_not_replaced_fails(airflow_db, blocking, mode):
    blocking.add(ENDLESS)
    blocking.heard.at("GET", CONNECTION, lambda: refuse(blocking, 401), nth=2)
    blocking.sense(mode=mode).failed(FivetranUnauthorized, "put a valid key there")


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_sensor_with_a_wrong_key_fails_at_its_first_look(airflow_db, blocking, mode):
    blocking.add(ENDLESS)
    refuse(blocking, 401)
    story = blocking.sense(mode=mode).failed(FivetranUnauthorized)
    assert len(story.requests) == 1


def test_the_hook_outlives_the_gap(patient, blocking):
    blocking.add(SyncPlan(duration=1))
    with FivetranHook(blocking.conn_id) as hook:
        ticket = hook.start_sync(ID, poll_frequency=timedelta(seconds=0.1))
        gap(blocking, 401)
        assert hook.wait_for_sync(ticket).status == "succeeded"
