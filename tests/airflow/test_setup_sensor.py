"""The sensor that waits until somebody has authorised a connection, in each of its modes: it only reads."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_fivetran.exceptions import (
    FivetranConnectionDeleted,
    FivetranForbidden,
    FivetranLookupError,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.sensors import FivetranSetupSensor
from airflow_provider_fivetran.simulator import Fault
from stories import ID, TaskInstance

LOOK = rf"/v1/connections/{ID}$"
MODES = [
    pytest.param({"deferrable": False, "mode": "poke"}, id="poke"),
    pytest.param({"deferrable": False, "mode": "reschedule"}, id="reschedule"),
    pytest.param({"deferrable": True}, id="deferrable"),
]


@pytest.fixture(params=MODES)
def sense(request, blocking, airflow_db):
    def run(**arguments):
        before = len(blocking.heard)
        story = blocking.run(FivetranSetupSensor, **request.param | arguments)
        assert {r.method for r in list(blocking.heard)[before:]} <= {"GET"}
        return story

    return run


def add(way, state="incomplete"):
    way.sim.add_connection(ID, schema="shop", setup_state=state, setup_test_status="PASSED")


def good(story):
    if story.error is not None:
        raise AssertionError("it failed") from story.error
    assert story.value == ID
    assert story.xcom("fivetran_link").endswith(f"/{ID}")


@pytest.mark.parametrize("state", ["incomplete", "broken"])
def test_it_waits_until_somebody_has_authorised_it(blocking, sense, state):
    add(blocking, state)
    blocking.heard.at("GET", LOOK, lambda: blocking.sim.authorize(ID), nth=3)
    story = sense()
    good(story)
    assert len(story.sent("GET", LOOK)) >= 3


def test_one_that_is_authorised_already_takes_one_look(blocking, sense):
    add(blocking, "connected")
    story = sense()
    good(story)
    assert (len(story.requests), story.deferrals) == (1, [])


def test_it_is_found_by_its_names(blocking, sense):
    add(blocking, "connected")
    good(sense(connector_name="shop", destination_name="Warehouse"))
    lost = sense(connector_name="shpo", destination_name="Warehouse")
    assert isinstance(lost.cause, FivetranLookupError)
    assert "did you mean 'shop'?" in str(lost.error)


def test_it_gives_up_in_time(blocking, sense):
    add(blocking)
    story = sense(timeout=0.5)
    assert isinstance(story.error, AirflowSensorTimeout)
    skipped = sense(timeout=0.5, soft_fail=True)
    assert isinstance(skipped.error, AirflowSkipException)


def test_a_connection_that_is_not_there_is_an_error_at_once(blocking, sense):
    story = sense()
    assert isinstance(story.cause, FivetranConnectionDeleted)
    assert f"the connection {ID} does not exist" in str(story.error)


def test_one_that_is_deleted_meanwhile_ends_the_wait(blocking, sense):
    add(blocking)
    blocking.heard.at("GET", LOOK, lambda: blocking.sim.delete(ID), nth=2)
    assert isinstance(sense().cause, FivetranConnectionDeleted)


def test_an_api_that_cannot_be_read_is_waited_out(blocking, sense):
    add(blocking)
    trouble = Fault(kind="status", status=503, times=4)
    blocking.heard.at("GET", LOOK, lambda: blocking.sim.faults.add(trouble), nth=1)
    blocking.heard.at("GET", LOOK, lambda: blocking.sim.authorize(ID), nth=6)
    good(sense())


def test_a_wrong_key_ends_it_at_the_first_look(blocking, sense):
    add(blocking)
    blocking.declare(password="wrong")
    assert isinstance(sense().cause, FivetranUnauthorized)


def test_a_key_that_may_not_read_it_says_so(blocking, sense):
    add(blocking)
    blocking.sim.add_key("narrow", "s", groups=["elsewhere"])
    blocking.declare(login="narrow", password="s")
    assert isinstance(sense().cause, FivetranForbidden)


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"verdict": "SetupWaited"},
        {"verdict": "SetupWaited", "connection_id": "c", "end": "x", "message": "m"},
    ],
    ids=str,
)
def test_an_event_that_is_not_understood_is_no_success(event):
    sensor = FivetranSetupSensor(task_id="t", connector_id=ID)
    with pytest.raises(FivetranUnexpectedAnswer, match="does not understand"):
        sensor.execute_complete({"ti": TaskInstance()}, event)


def test_a_wait_whose_ticket_is_none_is_told_as_an_error():
    import asyncio

    from airflow_provider_fivetran.trigger_setup import FivetranSetupTrigger

    async def events():
        return [event.payload async for event in FivetranSetupTrigger({}, "fivetran_default").run()]

    [event] = asyncio.run(events())
    assert event["verdict"] == "BrokenOff"
    assert "this is not a ticket" in event["message"]
