"""The sensor in each of its modes: poking, rescheduled from worker to worker, and deferred."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from jinja2 import Environment

from airflow_provider_fivetran.exceptions import (
    FivetranConnectionDeleted,
    FivetranConnectionPaused,
    FivetranSyncFailed,
)
from airflow_provider_fivetran.sensors import FivetranSensor
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import CONNECTION, ID, Story, TaskInstance, execute

GOOD = SyncPlan(duration=0.5)
BAD = SyncPlan(duration=0.5, outcome="failure")
ENDLESS = SyncPlan(duration=3600)
MODES = [
    pytest.param({"deferrable": False, "mode": "poke"}, id="poke"),
    pytest.param({"deferrable": False, "mode": "reschedule"}, id="reschedule"),
    pytest.param({"deferrable": True}, id="deferrable"),
    # Where Airflow cannot, it begins in a worker after all.
    pytest.param({"deferrable": True, "start_from_trigger": None}, id="without a worker"),
]


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


@pytest.fixture(params=MODES)
def sense(request, blocking, airflow_db):
    """Run the sensor in one of its modes; whatever it does, it only reads."""

    def run(**arguments) -> Story:
        return blocking.sense(**request.param | arguments)

    yield run
    assert {r.method for r in blocking.heard} <= {"GET"}


class TestNextEnd:
    def test_a_sync_that_starts_later(self, blocking, sense):
        blocking.add(GOOD, succeeded_at=ago(hours=1))
        blocking.heard.at("GET", CONNECTION, lambda: blocking.sim.start_sync(ID))
        sense().ended_well()

    def test_a_sync_that_runs_already(self, blocking, sense):
        blocking.add(GOOD)
        blocking.sim.start_sync(ID)
        sense().ended_well()

    def test_a_sync_that_ends_right_after_the_first_look_is_not_missed(self, blocking, sense):
        """Between a look and the next process, and before a trigger is in its triggerer."""
        blocking.add(SyncPlan(duration=0.01), succeeded_at=ago(hours=1))
        blocking.heard.at("GET", CONNECTION, lambda: blocking.sim.start_sync(ID))
        sense().ended_well()

    def test_an_old_success_is_not_enough(self, blocking, sense):
        blocking.add(GOOD, succeeded_at=ago(hours=1))
        story = sense(timeout=1)
        assert isinstance(story.error, AirflowSensorTimeout)

    def test_a_failure(self, blocking, sense):
        blocking.add(BAD, succeeded_at=ago(hours=1))
        blocking.heard.at("GET", CONNECTION, lambda: blocking.sim.start_sync(ID))
        sense().failed(FivetranSyncFailed, ID, status="failed")

    @pytest.mark.parametrize(
        ("happens", "kind"), [("pause", FivetranConnectionPaused), ("delete", FivetranConnectionDeleted)]
    )
    def test_nothing_can_come_any_more(self, blocking, sense, happens, kind):
        blocking.sim.switches.update(stop_lag=0)
        blocking.add(ENDLESS)
        blocking.heard.at("GET", CONNECTION, lambda: getattr(blocking.sim, happens)(ID), nth=2)
        sense().failed(kind, ID)

    def test_a_put_off_sync_under_manual_scheduling_is_left_to_others(self, blocking, sense):
        blocking.add(
            GOOD,
            schedule_type="manual",
            rescheduled=True,
            rescheduled_for=ago(minutes=1),
            succeeded_at=ago(hours=1),
        )
        story = sense(timeout=1)
        assert isinstance(story.error, AirflowSensorTimeout)

    def test_always_wait_when_syncing(self, blocking, sense):
        blocking.add(SyncPlan(duration=0.3), SyncPlan(duration=0.8), every=0.4)
        blocking.sim.start_sync(ID)
        story = sense(always_wait_when_syncing=True)
        assert story.error is None
        assert not any(
            run.started_at <= looked_at < run.ended_at
            for looked_at in [story.requests[-1].at]
            for run in blocking.sim.runs(ID)
            if run.ended_at
        )


class TestAfterATime:
    @pytest.mark.parametrize(
        "write", [str, lambda moment: moment, datetime.isoformat], ids=["str", "datetime", "iso"]
    )
    def test_a_success_after_it_is_there_already(self, blocking, sense, write):
        success = ago(minutes=10)
        blocking.add(GOOD, succeeded_at=success)
        story = sense(completed_after_time=write(ago(minutes=20)))
        assert datetime.fromisoformat(story.value) == success
        assert len(story.requests) == 1

    def test_a_success_before_it_is_not_enough(self, blocking, sense):
        blocking.add(GOOD, succeeded_at=ago(minutes=30))
        blocking.sim.start_sync(ID)
        sense(completed_after_time=ago(minutes=20)).ended_well()

    def test_a_failure_after_it(self, blocking, sense):
        blocking.add(GOOD, succeeded_at=ago(minutes=30), failed_at=ago(minutes=10))
        sense(completed_after_time=ago(minutes=20)).failed(FivetranSyncFailed)

    def test_a_failure_before_it_is_waited_out(self, blocking, sense):
        blocking.add(GOOD, succeeded_at=ago(minutes=40), failed_at=ago(minutes=30))
        blocking.sim.start_sync(ID)
        sense(completed_after_time=ago(minutes=20)).ended_well()

    def test_a_failure_before_it_counts_if_it_is_propagated_forward(self, blocking, sense):
        blocking.add(GOOD, succeeded_at=ago(minutes=40), failed_at=ago(minutes=30))
        sense(completed_after_time=ago(minutes=20), propagate_failures_forward=True).failed(
            FivetranSyncFailed
        )

    def test_always_wait_when_syncing(self, blocking, sense):
        blocking.add(GOOD, succeeded_at=ago(minutes=10))
        blocking.sim.start_sync(ID)
        sense(completed_after_time=ago(minutes=20), always_wait_when_syncing=True).ended_well()

    @pytest.mark.parametrize("text", ["None", "yesterday", "2026-13-01"])
    def test_a_text_that_is_no_time_is_refused_when_the_dag_is_parsed(self, text):
        with pytest.raises(ValueError, match=r"completed_after_time is '.*allowed is a datetime or a text"):
            FivetranSensor(task_id="t", connector_id=ID, completed_after_time=text)

    def test_a_template_that_renders_to_none_says_so(self, blocking, sense, monkeypatch):
        blocking.add(GOOD)

        def render(task):
            task.render_template_fields({"nothing": None}, Environment())
            return task

        made = blocking.make
        monkeypatch.setattr(blocking, "make", lambda *a, **kw: render(made(*a, **kw)))
        story = sense(completed_after_time="{{ nothing }}")
        assert isinstance(story.error, ValueError)
        assert "completed_after_time is 'None'" in str(story.error)
        assert "is the task_id of its xcom_pull right" in str(story.error)

    def test_a_template_that_renders_to_a_time(self):
        task = FivetranSensor(task_id="t", connector_id=ID, completed_after_time="{{ then }}")
        task.render_template_fields({"then": "2026-11-22T08:00:00Z"}, Environment())
        assert task.completed_after_time == "2026-11-22T08:00:00Z"


class TestEndsAsAirflowPromises:
    def test_the_timeout(self, blocking, sense):
        blocking.add(ENDLESS)
        blocking.sim.start_sync(ID)
        story = sense(timeout=1)
        assert isinstance(story.error, AirflowSensorTimeout)

    @pytest.mark.parametrize("never", ["soft_fail", "never_fail"])
    def test_the_timeout_can_be_a_skip(self, blocking, sense, never):
        blocking.add(ENDLESS)
        story = sense(timeout=0.6, **{never: True})
        assert isinstance(story.error, AirflowSkipException)

    def test_a_timeout_within_the_first_look_can_be_a_skip(self, blocking, sense):
        blocking.add(ENDLESS)
        story = sense(timeout=0.001, soft_fail=True)
        assert isinstance(story.error, AirflowSkipException)

    @pytest.mark.parametrize("never", ["soft_fail", "never_fail"])
    def test_a_failed_sync_can_be_a_skip(self, blocking, sense, never):
        blocking.add(BAD)
        blocking.sim.start_sync(ID)
        story = sense(**{never: True})
        assert isinstance(story.error, AirflowSkipException), story.error

    @pytest.mark.parametrize("never", ["soft_fail", "never_fail"])
    def test_a_paused_connection_can_be_a_skip(self, blocking, sense, never):
        blocking.add(GOOD, paused=True)
        story = sense(**{never: True})
        assert isinstance(story.error, AirflowSkipException), story.error

    def test_a_wrong_key_fails_at_once(self, blocking, sense):
        blocking.sim.revoke("sim-key")
        story = sense()
        assert isinstance(story.error, AirflowFailException)
        assert len(story.requests) == 1

    def test_faults_of_the_network_are_waited_out(self, blocking, sense):
        blocking.add(GOOD)
        blocking.sim.start_sync(ID)
        blocking.sim.faults.add(Fault("status", "GET", CONNECTION, times=4, status=503))
        sense().ended_well()


class TestArguments:
    def test_a_mapped_poke_interval(self, blocking, sense):
        blocking.add(GOOD)
        blocking.sim.start_sync(ID)
        sense(poke_interval=timedelta(seconds=0.1)).ended_well()

    def test_by_name(self, blocking, sense):
        blocking.add(GOOD, schema="shop")
        blocking.sim.start_sync(ID)
        sense(connector_name="shop", destination_name="Warehouse").ended_well()

    def test_old_names_are_understood(self):
        with pytest.warns(DeprecationWarning, match="xcom is deprecated; use completed_after_time"):
            task = FivetranSensor(task_id="t", connector_id=ID, xcom="2026-11-22T08:00:00Z")
        assert task.completed_after_time == "2026-11-22T08:00:00Z"
        with pytest.warns(DeprecationWarning, match="reschedule_time"):
            assert FivetranSensor(task_id="t", connector_id=ID, reschedule_time=5).reschedule_wait_time == 5

    @pytest.mark.parametrize("value", [0, -1, "5", float("nan")])
    def test_a_wrong_interval_is_refused(self, value):
        with pytest.raises(ValueError, match="poke_interval is"):
            FivetranSensor(task_id="t", connector_id=ID, poke_interval=value)

    @pytest.mark.parametrize("value", [-1, "1800", float("nan")])
    def test_a_wrong_wait_after_a_put_off_is_refused_though_nothing_is_done_with_it(self, value):
        with pytest.raises(ValueError, match="reschedule_wait_time is"):
            FivetranSensor(task_id="t", connector_id="c", reschedule_wait_time=value)

    def test_deferrable_follows_the_configuration(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
        assert FivetranSensor(task_id="t", connector_id=ID).deferrable
        assert not FivetranSensor(task_id="t", connector_id=ID, deferrable=False).deferrable

    def test_the_deferral_ends_after_the_timeout_of_the_sensor(self, deferrable):
        deferrable.add(ENDLESS)
        ti = TaskInstance()
        task = deferrable.make(FivetranSensor, timeout=600)
        with pytest.raises(TaskDeferred) as caught:
            execute(task, {"ti": ti, "task_instance": ti})
        assert timedelta(minutes=10) < caught.value.timeout < timedelta(hours=2)
        assert "fivetran_link" in ti.pushed
