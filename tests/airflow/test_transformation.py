"""Transformations: run and waited for, in the worker and in the triggerer, through crashes, kills and deadlines."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException
from jinja2 import Environment

from airflow_provider_fivetran.core.run_ticket import RunTicket
from airflow_provider_fivetran.exceptions import (
    FivetranArgumentMissing,
    FivetranForbidden,
    FivetranLookupError,
    FivetranNotFound,
    FivetranTransformationBlocked,
    FivetranTransformationCancelled,
    FivetranTransformationDeleted,
    FivetranTransformationFailed,
    FivetranTransformationRunning,
    FivetranTransformationTimeout,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranTransformationOperator
from airflow_provider_fivetran.simulator import Fault
from airflow_provider_fivetran.triggers import FivetranTransformationTrigger
from several_tries import Task
from stories import ID, Story, all_events, eventually, rebuilt

LOOK = rf"/v1/transformations/{ID}$"
RUN = rf"/v1/transformations/{ID}/run$"
CANCEL = rf"/v1/transformations/{ID}/cancel$"
ENDLESS = 3600.0


def add(way, duration=0.3, **fields):
    return way.sim.add_transformation(ID, duration=duration, **fields)


def run(way, **arguments):
    return way.run(FivetranTransformationOperator, **arguments)


def runs(way):
    """What really ran, and ended."""
    return way.sim.account.transformation(ID).runs


def record(story):
    return story.xcom("fivetran_transformation")


def good(story, way):
    """It is green, and by the simulator's own record that is right: the last run ended well."""
    if story.error is not None:
        raise AssertionError("it failed") from story.error
    truth = runs(way)[-1]
    assert truth.status in {"SUCCEEDED", "PARTIALLY_SUCCEEDED"}
    assert datetime.fromisoformat(story.value) == truth.ended_at
    assert record(story)["ended_at"] == story.value
    assert datetime.fromisoformat(record(story)["started_at"]) == truth.started_at
    assert record(story)["status"] == truth.status.lower()
    return story


def bad(story, kind, status):
    assert isinstance(story.cause, kind), story.error
    assert story.cause.transformation_id == ID
    assert story.cause.link
    assert record(story)["status"] == status
    assert record(story)["link"] in str(story.error)
    return story


class TestItsEnds:
    def test_a_run_that_ends_well(self, way):
        add(way, queue_delay=0.2)
        story = good(run(way), way)
        assert len(story.sent("POST", RUN)) == 1
        assert [request.body for request in story.sent("POST")] == [{"full_refresh": False}]
        assert record(story)["duration"] == pytest.approx(0.3, abs=0.01)
        assert "dashboard/transformations" in story.xcom("fivetran_link")

    def test_an_earlier_success_is_not_taken_for_ours(self, way):
        transformation = add(way, duration=0.1)
        good(run(way), way)
        transformation.outcome = "FAILED"
        bad(run(way), FivetranTransformationFailed, "failed")
        assert [each.status for each in runs(way)] == ["SUCCEEDED", "FAILED"]

    @pytest.mark.parametrize(
        ("outcome", "kind", "status"),
        [
            ("FAILED", FivetranTransformationFailed, "failed"),
            ("PARTIALLY_SUCCEEDED", FivetranTransformationFailed, "partially_succeeded"),
            ("BLOCKED", FivetranTransformationBlocked, "blocked"),
            ("CANCELED", FivetranTransformationCancelled, "cancelled"),
        ],
    )
    def test_a_run_that_does_not_end_well(self, way, outcome, kind, status):
        add(way, outcome=outcome)
        bad(run(way), kind, status)

    def test_a_partial_success_that_is_enough(self, way):
        add(way, outcome="PARTIALLY_SUCCEEDED")
        good(run(way, when_partially_succeeded="succeed"), way)

    def test_a_blocked_run_that_goes_on_later(self, way):
        transformation = add(way, outcome="BLOCKED", duration=0.1)

        def goes_on():
            transformation.outcome = "SUCCEEDED"
            way.sim.run_transformation(ID)

        way.heard.at("GET", LOOK, goes_on, nth=8)
        good(run(way, when_blocked="wait"), way)
        assert [each.status for each in runs(way)] == ["BLOCKED", "SUCCEEDED"]

    def test_one_that_is_cancelled_by_a_person(self, way):
        add(way, ENDLESS)
        way.heard.at("GET", LOOK, lambda: way.sim.cancel_transformation(ID), nth=3)
        bad(run(way), FivetranTransformationCancelled, "cancelled")

    def test_one_that_is_deleted(self, way):
        add(way, ENDLESS)
        way.heard.at("GET", LOOK, lambda: way.sim.delete_transformation(ID), nth=3)
        bad(run(way), FivetranTransformationDeleted, "gone")

    def test_a_full_refresh(self, way):
        add(way)
        story = good(run(way, full_refresh=True), way)
        assert [request.body for request in story.sent("POST")] == [{"full_refresh": True}]
        assert runs(way)[-1].full_refresh

    def test_fire_and_forget_gives_the_time_that_a_sensor_needs(self, way):
        add(way, 0.5)
        story = run(way, wait_for_completion=False)
        assert record(story)["status"] == "started"
        assert runs(way) == []
        after = datetime.fromisoformat(story.value)
        assert after <= datetime.now(UTC)


class TestByName:
    @pytest.mark.parametrize("kind", ["DBT_CORE", "QUICKSTART"])
    def test_it_is_looked_up_when_the_task_runs(self, way, kind):
        add(way, name="shop", type=kind)
        way.sim.add_transformation("other", name="other")
        story = good(run(way, transformation_name="shop"), way)
        assert record(story)["name"] == "shop"

    def test_two_of_that_name_need_the_destination(self, way):
        way.sim.add_group("g2", name="Lake")
        add(way, name="github", group_id="g2")
        way.sim.add_transformation("other", name="github")
        story = run(way, transformation_name="github")
        assert isinstance(story.cause, FivetranLookupError)
        assert "more than one" in str(story.error)
        assert "name the destination" in str(story.error)
        good(run(way, transformation_name="github", destination_name="Lake"), way)

    def test_a_name_that_does_not_exist(self, way):
        add(way, name="shop")
        story = run(way, transformation_name="shp")
        assert "did you mean 'shop'" in str(story.error)
        story = run(way, transformation_name="shop", destination_name="nowhere")
        assert "no destination named 'nowhere'" in str(story.error)


class TestOneRunsAlready:
    def test_it_is_taken_as_ours(self, way):
        add(way, 0.5)
        way.sim.run_transformation(ID)
        story = good(run(way), way)
        assert story.sent("POST") == []
        assert len(runs(way)) == 1

    @pytest.mark.parametrize("arguments", [{"when_running": "queue"}, {"full_refresh": True}])
    def test_ours_comes_after_it(self, way, arguments):
        add(way, 0.5)
        way.sim.run_transformation(ID)
        story = good(run(way, **arguments), way)
        assert len(story.sent("POST", RUN)) == 1
        assert len(runs(way)) == 2
        assert runs(way)[1].full_refresh == ("full_refresh" in arguments)

    def test_ours_comes_after_one_that_fails(self, way):
        transformation = add(way, 0.5, outcome="FAILED")
        way.sim.run_transformation(ID)
        way.heard.at("POST", RUN, lambda: setattr(transformation, "outcome", "SUCCEEDED"))
        good(run(way, when_running="queue"), way)

    def test_it_is_cancelled(self, way):
        transformation = add(way, ENDLESS, stop_delay=0.2)
        way.sim.run_transformation(ID)
        way.heard.at("POST", RUN, lambda: setattr(transformation, "duration", 0.2))
        good(run(way, when_running="restart"), way)
        assert [each.status for each in runs(way)] == ["CANCELED", "SUCCEEDED"]

    def test_it_is_an_error(self, way):
        add(way, ENDLESS)
        way.sim.run_transformation(ID)
        story = run(way, when_running="fail")
        assert isinstance(story.error, FivetranTransformationRunning)
        assert story.sent("POST") == []

    def test_it_is_a_reason_to_skip(self, way):
        add(way, ENDLESS)
        way.sim.run_transformation(ID)
        story = run(way, when_running="skip")
        assert isinstance(story.error, AirflowSkipException)
        assert record(story)["status"] == "skipped"

    @pytest.mark.parametrize("answer", ["ok", "conflict"])
    def test_one_that_begins_between_look_and_trigger(self, way, answer):
        add(way, 0.5)
        way.sim.switches.update(transformation_run_while_running=answer)
        way.heard.at("POST", RUN, lambda: way.sim.run_transformation(ID))
        good(run(way), way)
        assert len(runs(way)) == 1


class TestTheAnswerIsLost:
    def test_a_run_is_started_exactly_once(self, way):
        add(way, 0.5)
        way.sim.faults.add(Fault("lost", "POST", RUN))
        good(run(way), way)
        assert len(runs(way)) == 1


class TestDeadlines:
    @pytest.mark.parametrize(("when_killed", "status"), [("stop", "CANCELED"), ("leave", "RUNNING")])
    def test_the_run_is_cancelled_unless_it_is_to_be_left(self, way, when_killed, status):
        transformation = add(way, ENDLESS)
        story = run(way, timeout=0.6, when_killed=when_killed)
        bad(story, FivetranTransformationTimeout, "timed_out")
        assert transformation.status == status
        what = {"stop": "The run was told to stop.", "leave": "The run was not stopped."}[when_killed]
        assert str(story.error).endswith(what)

    def test_a_run_that_was_only_joined_is_left(self, way):
        transformation = add(way, ENDLESS)
        way.sim.run_transformation(ID)
        bad(run(way, timeout=0.6), FivetranTransformationTimeout, "timed_out")
        assert transformation.status == "RUNNING"

    def test_execution_timeout_limits_the_wait_if_it_is_shorter(self, way):
        add(way, ENDLESS)
        story = run(way, timeout=3600, execution_timeout=timedelta(seconds=0.6))
        bad(story, FivetranTransformationTimeout, "timed_out")


class TestTries:
    """On Airflow 3.3 and newer, where notes outlive a try."""

    @pytest.fixture
    def task(self, way):
        return Task(way, FivetranTransformationOperator)

    def test_a_retry_goes_on_with_the_run_of_a_worker_that_died(self, way, task):
        add(way, 1.0)
        task.dies()
        good(task.retried().lives(), way)
        assert len(runs(way)) == 1

    @pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED"])
    def test_a_run_that_ended_meanwhile_is_judged_as_if_it_had_been_there(self, way, task, outcome):
        add(way, 0.1, outcome=outcome)
        task.dies()
        eventually(lambda: way.sim.account.transformation(ID).status == outcome)
        story = task.retried().lives()
        if outcome == "SUCCEEDED":
            good(story, way)
        else:
            bad(story, FivetranTransformationFailed, "failed")
        assert len(runs(way)) == 1

    @pytest.mark.parametrize("when_running", ["attach", "queue", "restart", "fail", "skip"])
    def test_a_worker_that_dies_with_the_answer_runs_nothing_twice(self, way, when_running):
        add(way, 1.0)
        task = Task(way, FivetranTransformationOperator, when_running=when_running)
        task.dies(before=lambda memo: memo["ticket"] and not memo["unanswered"])
        story = good(task.retried().lives(), way)
        assert story.sent("POST") == []
        assert len(runs(way)) == 1

    def test_a_worker_that_dies_before_the_trigger_leaves_it_to_the_next(self, way, task):
        add(way, 0.2)
        task.dies(before=lambda memo: memo["unanswered"])
        assert not [r for r in way.heard if r.method == "POST"]
        good(task.retried().lives(), way)

    def test_nothing_is_triggered_that_cannot_be_noted(self, way, task):
        add(way)
        task.store.broken = {"set"}
        story = task.lives()
        assert "nothing was changed or triggered" in str(story.error)
        assert story.cause.transformation_id == ID
        assert story.sent("POST") == []

    def test_a_task_whose_worker_died_right_after_its_end_is_not_run_again(self, way, task):
        add(way, 0.2)
        value = task.lives().value
        story = task.retried().lives()
        assert (story.value, story.sent("POST")) == (value, [])
        assert record(story)["status"] == "succeeded"

    def test_a_task_that_failed_is_run_again_by_its_retry(self, way, task):
        transformation = add(way, 0.2, outcome="FAILED")
        bad(task.lives(), FivetranTransformationFailed, "failed")
        transformation.outcome = "SUCCEEDED"
        good(task.retried().lives(), way)
        assert len(runs(way)) == 2

    def test_a_cleared_task_goes_on_while_its_run_is_under_way(self, way, task):
        add(way, 1.0)
        task.dies()
        good(task.cleared().lives(), way)
        assert len(runs(way)) == 1

    def test_a_cleared_task_whose_run_is_over_runs_it_again(self, way, task):
        add(way, 0.2)
        good(task.lives(), way)
        good(task.cleared().lives(), way)
        assert len(runs(way)) == 2

    def test_a_cleared_task_whose_run_is_being_cancelled_runs_it_after_that(self, way, task):
        transformation = add(way, ENDLESS, stop_delay=0.5)
        task.dies()
        way.sim.cancel_transformation(ID)
        transformation.duration = 0.2
        good(task.cleared().lives(), way)
        assert [each.status for each in runs(way)] == ["CANCELED", "SUCCEEDED"]

    def test_a_retry_after_the_deadline_goes_on_with_a_run_that_was_left(self, way):
        transformation = add(way, ENDLESS)
        task = Task(way, FivetranTransformationOperator, timeout=0.5, when_killed="leave")
        bad(task.lives(), FivetranTransformationTimeout, "timed_out")
        transformation.duration = 1.0
        task.arguments["timeout"] = 20
        good(task.retried().lives(), way)
        assert len(runs(way)) == 1

    def test_other_arguments_are_another_run(self, way, task):
        add(way, 0.5)
        task.dies()
        task.arguments["full_refresh"] = True
        good(task.retried().lives(), way)
        assert [each.full_refresh for each in runs(way)] == [False, True]

    def test_the_queue_is_remembered_too(self, way):
        add(way, 0.6)
        way.sim.run_transformation(ID)
        task = Task(way, FivetranTransformationOperator, when_running="queue")
        task.dies()
        good(task.retried().lives(), way)
        assert len(runs(way)) == 2

    def test_where_no_note_lasts_a_retry_takes_what_runs_as_its_own(self, way):
        add(way, 1.0)
        task = Task(way, FivetranTransformationOperator, when_running="restart")
        task.dies()
        task.retried().store = None
        good(way.tell(Story(way, task.ti), task.make), way)
        assert len(runs(way)) == 1

    def test_a_trigger_that_died_after_the_end_changes_nothing(self, deferrable):
        add(deferrable, 0.2)
        task = Task(deferrable, FivetranTransformationOperator)
        task.dies()
        eventually(lambda: deferrable.sim.account.transformation(ID).status == "SUCCEEDED")
        assert task.resumed_without_an_event("Trigger failure")
        assert len(runs(deferrable)) == 1

    def test_a_trigger_that_died_before_is_an_error_and_leaves_the_run_to_the_retry(self, deferrable):
        transformation = add(deferrable, 1.5)
        task = Task(deferrable, FivetranTransformationOperator)
        task.dies()
        with pytest.raises(Exception, match="failure"):
            task.resumed_without_an_event("Trigger failure")
        assert transformation.status == "RUNNING"
        good(task.retried().lives(), deferrable)
        assert len(runs(deferrable)) == 1

    def test_a_trigger_that_never_sent_anything_until_airflows_own_limit(self, deferrable):
        transformation = add(deferrable, ENDLESS)
        task = Task(deferrable, FivetranTransformationOperator)
        task.dies()
        with pytest.raises(Exception, match="timeout"):
            task.resumed_without_an_event("Trigger timeout")
        assert transformation.status == "CANCELED"


class TestTheTrigger:
    def deferred(self, way, **arguments):
        deferral = Task(way, FivetranTransformationOperator, **arguments).dies()
        return deferral.trigger, deferral

    def test_it_survives_the_way_to_another_process_without_secrets(self, deferrable):
        add(deferrable, ENDLESS)
        trigger, deferral = self.deferred(deferrable)
        path, arguments = trigger.serialize()
        assert path == "airflow_provider_fivetran.trigger_transformation.FivetranTransformationTrigger"
        assert rebuilt(trigger).serialize() == trigger.serialize()
        assert "sim-secret" not in json.dumps(arguments)
        assert arguments["when_killed"] == "stop"
        assert deferral.timeout > timedelta(hours=24)

    def test_it_leaves_a_run_that_was_only_joined(self, deferrable):
        add(deferrable, ENDLESS)
        deferrable.sim.run_transformation(ID)
        assert self.deferred(deferrable)[0].when_killed == "leave"

    def test_the_end_of_another_queue_is_no_end_of_the_task(self, deferrable):
        add(deferrable, 0.4)
        deferrable.sim.run_transformation(ID)
        story = good(run(deferrable, when_running="queue"), deferrable)
        assert len(story.deferrals) == 2

    def test_a_good_end_asks_fivetran_nothing_more(self, deferrable):
        add(deferrable, 0.2)
        task = Task(deferrable, FivetranTransformationOperator)
        event = task.deferred()
        before = len(deferrable.heard)
        assert task.resumed(event)
        assert len(deferrable.heard) == before

    @pytest.mark.parametrize("ticket", [{}, {"transformation_id": ID}, {"transformation_id": 7}])
    def test_a_garbled_ticket_is_an_event_and_no_crash(self, deferrable, ticket):
        trigger = FivetranTransformationTrigger(ticket, deferrable.conn_id)
        [event] = asyncio.run(all_events(trigger))
        assert event["verdict"] == "BrokenOff"

    def test_an_event_that_is_not_understood_is_an_error_unless_the_run_is_over(self, deferrable):
        add(deferrable, 0.5)
        task = Task(deferrable, FivetranTransformationOperator)
        task.dies()
        with pytest.raises(Exception, match="does not understand"):
            task.resumed({"verdict": "Splendid"})
        eventually(lambda: deferrable.sim.account.transformation(ID).status == "SUCCEEDED")
        assert task.resumed({"verdict": "Splendid"})

    def test_a_key_that_is_refused_from_the_start_of_the_wait_on(self, deferrable):
        add(deferrable, ENDLESS)
        task = Task(deferrable, FivetranTransformationOperator)
        deferral = task.dies()
        deferrable.sim.revoke("sim-key")
        [event] = asyncio.run(all_events(rebuilt(deferral.trigger)))
        assert event["error"] == "FivetranUnauthorized"
        assert event["transformation_id"] == ID

    async def test_many_waits_share_one_look(self, deferrable):
        names = [f"t{number}" for number in range(30)]
        now = datetime.now(UTC)
        triggers = []
        for name in names:
            deferrable.sim.add_transformation(name, duration=1.5)
            ticket = RunTicket(
                transformation_id=name,
                aim="triggered",
                taken_at=now - timedelta(seconds=2),
                begun_at=now,
                asked_at=now,
            )
            triggers.append(FivetranTransformationTrigger(ticket.to_json(), deferrable.conn_id))
            deferrable.sim.run_transformation(name)
        ends = await asyncio.gather(*map(all_events, triggers))
        assert [end[0]["record"]["status"] for end in ends] == ["succeeded"] * 30
        assert len(deferrable.heard) < 20
        assert {request.path for request in deferrable.heard} == {"/v1/transformations"}


class TestArguments:
    @pytest.mark.parametrize(
        ("name", "allowed"),
        [
            ("when_running", "'attach', 'queue', 'restart', 'fail', 'skip'"),
            ("when_partially_succeeded", "'fail', 'succeed'"),
            ("when_blocked", "'fail', 'wait'"),
            ("when_killed", "'leave', 'stop'"),
        ],
    )
    def test_a_wrong_policy_is_refused_with_what_is_allowed(self, name, allowed):
        with pytest.raises(ValueError, match=f"{name} is 'perhaps'; allowed are {allowed}"):
            FivetranTransformationOperator(task_id="t", transformation_id=ID, **{name: "perhaps"})

    @pytest.mark.parametrize(
        "names",
        [
            {},
            {"destination_name": "Warehouse"},
            {"transformation_id": "t", "transformation_name": "n"},
            {"transformation_id": "t", "destination_name": "n"},
        ],
    )
    def test_it_is_given_in_one_way(self, names):
        with pytest.raises(ValueError, match="either transformation_id, or transformation_name"):
            FivetranTransformationOperator(task_id="t", **names)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("full_refresh", "yes"),
            ("deferrable", 1),
            ("wait_for_completion", None),
            ("timeout", 0),
            ("start_timeout", "soon"),
            ("poll_frequency", 0.001),
            ("fivetran_conn_id", ""),
            ("transformation_id", " "),
            ("fivetran_retry_limit", 0),
            ("fivetran_retry_delay", -1),
        ],
    )
    def test_a_wrong_value_is_named_with_its_argument(self, name, value):
        with pytest.raises(ValueError, match=f"{name} is {value!r}; allowed"):
            FivetranTransformationOperator(**{"task_id": "t", "transformation_id": ID, name: value})

    def test_every_text_is_a_template(self):
        task = FivetranTransformationOperator(
            task_id="t", transformation_name="{{ x }}", destination_name="{{ x }}", fivetran_conn_id="{{ x }}"
        )
        task.render_template_fields({"x": "rendered"}, Environment())
        assert (task.transformation_name, task.destination_name, task.fivetran_conn_id) == ("rendered",) * 3

    def test_deferrable_follows_airflow(self, monkeypatch):
        def is_deferrable():
            return FivetranTransformationOperator(task_id="t", transformation_id=ID).deferrable

        assert is_deferrable() is False
        monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
        assert is_deferrable() is True

    def test_a_template_without_a_value_is_an_error_in_words(self, blocking):
        story = run(blocking, transformation_id="None")
        assert isinstance(story.cause, FivetranArgumentMissing)


class TestTheHook:
    def test_it_runs_and_waits_and_cancels(self, blocking):
        transformation = add(blocking, 0.3, name="shop")
        with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.05) as hook:
            ticket = hook.run_transformation(ID, poll_frequency=0.1)
            assert hook.wait_for_transformation(ticket).ended_at == runs(blocking)[-1].ended_at
            assert hook.find_transformation("shop").id == ID
            assert [each.id for each in hook.list_transformations()] == [ID]
            transformation.duration = ENDLESS
            ticket = hook.run_transformation(ID, full_refresh=True, poll_frequency=0.1)
            with pytest.raises(FivetranTransformationRunning):
                hook.run_transformation(ID, full_refresh=True)
            assert hook.cancel_transformation(ID)
            with pytest.raises(FivetranTransformationCancelled):
                hook.wait_for_transformation(ticket)
            assert hook.get_transformation(ID).status == "canceled"
            with pytest.raises(ValueError, match="when_running is 'queue'; allowed are 'attach', 'fail'"):
                hook.run_transformation(ID, when_running="queue")

    def test_what_a_key_may_not_do_or_see(self, blocking):
        add(blocking)
        with FivetranHook(blocking.conn_id) as hook:
            with pytest.raises(FivetranNotFound) as caught:
                hook.get_transformation("nowhere")
            assert caught.value.transformation_id == "nowhere"
            blocking.sim.add_key("sim-key", "sim-secret", groups=["elsewhere"])
            with pytest.raises(FivetranForbidden):
                hook.get_transformation(ID)
