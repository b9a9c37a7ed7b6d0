"""The sensor for transformations in each of its modes: whatever it does, it only reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from jinja2 import Environment

from airflow_provider_fivetran.exceptions import (
    FivetranLookupError,
    FivetranTransformationCancelled,
    FivetranTransformationDeleted,
    FivetranTransformationFailed,
    FivetranUnauthorized,
)
from airflow_provider_fivetran.operators import FivetranTransformationOperator
from airflow_provider_fivetran.sensors import FivetranTransformationSensor
from stories import ID, TaskInstance, execute

LOOK = rf"/v1/transformations/{ID}$"
MODES = [
    pytest.param({"deferrable": False, "mode": "poke"}, id="poke"),
    pytest.param({"deferrable": False, "mode": "reschedule"}, id="reschedule"),
    pytest.param({"deferrable": True}, id="deferrable"),
]


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


@pytest.fixture(params=MODES)
def sense(request, blocking, airflow_db):
    def run(**arguments):
        before = len(blocking.heard)
        story = blocking.run(FivetranTransformationSensor, **request.param | arguments)
        assert {r.method for r in list(blocking.heard)[before:]} <= {"GET"}
        return story

    return run


def add(way, duration=0.5, **fields):
    return way.sim.add_transformation(ID, duration=duration, **fields)


def good(story, way):
    if story.error is not None:
        raise AssertionError("it failed") from story.error
    truth = way.sim.account.transformation(ID).runs[-1]
    assert datetime.fromisoformat(story.value) == truth.ended_at
    assert story.xcom("fivetran_transformation")["status"] == truth.status.lower()
    assert "dashboard/transformations" in story.xcom("fivetran_link")


class TestNextEnd:
    def test_a_run_that_starts_later(self, blocking, sense):
        transformation = add(blocking, status="SUCCEEDED")
        transformation.last_started_at, transformation.last_ended_at = ago(hours=1), ago(minutes=50)
        blocking.heard.at("GET", LOOK, lambda: blocking.sim.run_transformation(ID), nth=2)
        good(sense(), blocking)

    def test_a_run_that_is_under_way(self, blocking, sense):
        add(blocking)
        blocking.sim.run_transformation(ID)
        good(sense(), blocking)

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [
            ("FAILED", FivetranTransformationFailed),
            ("PARTIALLY_SUCCEEDED", FivetranTransformationFailed),
            ("CANCELED", FivetranTransformationCancelled),
        ],
    )
    def test_a_run_that_ends_badly(self, blocking, sense, outcome, kind):
        add(blocking, outcome=outcome)
        blocking.sim.run_transformation(ID)
        assert isinstance(sense().cause, kind)

    def test_a_partial_success_that_is_enough(self, blocking, sense):
        add(blocking, outcome="PARTIALLY_SUCCEEDED")
        blocking.sim.run_transformation(ID)
        good(sense(when_partially_succeeded="succeed"), blocking)

    def test_nothing_happens_in_time(self, blocking, sense):
        add(blocking)
        story = sense(timeout=1)
        assert isinstance(story.error, AirflowSensorTimeout)

    def test_a_transformation_that_is_deleted(self, blocking, sense):
        add(blocking)
        blocking.heard.at("GET", LOOK, lambda: blocking.sim.delete_transformation(ID), nth=2)
        assert isinstance(sense().cause, FivetranTransformationDeleted)

    def test_soft_fail_skips(self, blocking, sense):
        add(blocking, outcome="FAILED")
        blocking.sim.run_transformation(ID)
        story = sense(soft_fail=True)
        assert isinstance(story.error, AirflowSkipException)
        assert "soft_fail" in str(story.error)

    def test_a_wrong_key_fails_at_once(self, blocking, sense):
        add(blocking)
        blocking.sim.revoke("sim-key")
        assert isinstance(sense().cause, FivetranUnauthorized)


class TestCompletedAfterTime:
    def test_a_success_since_then_is_enough(self, blocking, sense):
        transformation = add(blocking, status="SUCCEEDED")
        ended = ago(minutes=50)
        transformation.last_started_at, transformation.last_ended_at = ago(hours=1), ended
        story = sense(completed_after_time=ago(hours=2))
        assert datetime.fromisoformat(story.value) == ended

    def test_a_success_before_is_not(self, blocking, sense):
        transformation = add(blocking, status="SUCCEEDED")
        transformation.last_started_at, transformation.last_ended_at = ago(hours=1), ago(minutes=50)
        story = sense(completed_after_time=ago(minutes=30).isoformat(), timeout=1)
        assert isinstance(story.error, AirflowSensorTimeout)

    def test_what_fire_and_forget_has_started(self, blocking, sense):
        add(blocking)
        started = blocking.run(FivetranTransformationOperator, wait_for_completion=False)
        good(sense(completed_after_time=started.value), blocking)


class TestArguments:
    def test_it_is_found_by_its_name(self, blocking, sense):
        add(blocking, name="shop")
        blocking.sim.run_transformation(ID)
        good(sense(transformation_name="shop"), blocking)
        assert isinstance(sense(transformation_name="ship").cause, FivetranLookupError)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("when_partially_succeeded", "perhaps"),
            ("when_blocked", "skip"),
            ("poke_interval", 0),
            ("deferrable", "yes"),
            ("completed_after_time", "soon"),
            ("fivetran_conn_id", ""),
            ("transformation_id", ""),
            ("fivetran_retry_limit", 0),
        ],
    )
    def test_a_wrong_value_is_named_with_its_argument(self, name, value):
        with pytest.raises(ValueError, match=f"{name} is {value!r}; allowed"):
            FivetranTransformationSensor(**{"task_id": "t", "transformation_id": ID, name: value})

    def test_every_text_is_a_template(self):
        names = ("transformation_name", "destination_name", "fivetran_conn_id", "completed_after_time")
        task = FivetranTransformationSensor(task_id="t", **dict.fromkeys(names, "{{ x }}"))
        task.render_template_fields({"x": "rendered"}, Environment())
        assert [getattr(task, name) for name in names] == ["rendered"] * 4

    def test_it_is_told_when_to_give_up(self, deferrable):
        add(deferrable)
        ti = TaskInstance()
        task = deferrable.make(FivetranTransformationSensor, timeout=600)
        with pytest.raises(TaskDeferred) as caught:
            execute(task, {"ti": ti, "task_instance": ti})
        assert timedelta(seconds=600) < caught.value.timeout < timedelta(hours=2)
        assert caught.value.trigger.when_killed == "leave"
