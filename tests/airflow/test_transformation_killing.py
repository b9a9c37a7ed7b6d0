"""A person or Airflow ends a task that runs a transformation: what becomes of the run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from airflow_provider_fivetran.operators import FivetranTransformationOperator
from airflow_provider_fivetran.simulator import Fault
from kills import THE_TASK, KilledInstance, Store, killed
from several_tries import Task
from stories import ID, TaskInstance, execute, rebuilt

LOOK = rf"/v1/transformations/{ID}$"
RUN = rf"/v1/transformations/{ID}/run$"
CANCEL = rf"/v1/transformations/{ID}/cancel$"
ENDLESS = 3600.0


def waiting(way, **arguments):
    """The trigger of a task whose run is under way, as another process makes it, and the transformation."""
    transformation = way.sim.add_transformation(ID, duration=ENDLESS)
    deferral = Task(way, FivetranTransformationOperator, **arguments).dies()
    trigger = rebuilt(deferral.trigger)
    trigger.task_instance = THE_TASK
    return trigger, transformation


def cancels(way):
    return [request for request in way.heard if request.path.endswith("/cancel")]


class TestADeferredTask:
    @pytest.mark.parametrize("state", ["failed", "skipped", "removed", "upstream_failed"])
    async def test_that_is_over_takes_its_run_along(self, deferrable, asked, state):
        asked.state = state
        trigger, transformation = waiting(deferrable)
        await killed(trigger)
        assert asked == [THE_TASK]
        assert len(cancels(deferrable)) == 1
        assert transformation.status == "CANCELED"

    @pytest.mark.parametrize("state", [None, "scheduled", "queued", "running", "deferred", "restarting"])
    async def test_that_goes_on_elsewhere_keeps_its_run(self, deferrable, asked, state):
        """A triggerer was restarted, stalled or handed over, or the task was cleared."""
        asked.state = state
        trigger, transformation = waiting(deferrable)
        await killed(trigger)
        assert asked == [THE_TASK]
        assert cancels(deferrable) == []
        assert transformation.status == "RUNNING"

    async def test_that_was_set_to_success_keeps_its_run(self, deferrable, asked):
        asked.state = "success"
        trigger, transformation = waiting(deferrable)
        await killed(trigger)
        assert transformation.status == "RUNNING"

    async def test_that_is_to_leave_its_run_costs_no_question(self, deferrable, asked):
        trigger, transformation = waiting(deferrable, when_killed="leave")
        await killed(trigger)
        assert asked == []
        assert transformation.status == "RUNNING"

    async def test_that_only_joined_a_run_leaves_it(self, deferrable, asked):
        transformation = deferrable.sim.add_transformation(ID, duration=ENDLESS)
        deferrable.sim.run_transformation(ID)
        deferral = Task(deferrable, FivetranTransformationOperator).dies()
        trigger = rebuilt(deferral.trigger)
        trigger.task_instance = THE_TASK
        await killed(trigger)
        assert transformation.status == "RUNNING"

    async def test_a_question_that_fails_is_said_and_cancels_nothing(self, deferrable, asked, caplog, capsys):
        asked.state = RuntimeError("no supervisor")
        trigger, transformation = waiting(deferrable)
        await killed(trigger)
        assert "no supervisor" in caplog.text + "".join(capsys.readouterr())
        assert transformation.status == "RUNNING"

    async def test_a_trigger_that_is_merely_cancelled_asks_nobody(self, deferrable, asked):
        """As when a triggerer shuts down, or hands over."""
        import asyncio

        trigger, transformation = waiting(deferrable)
        task = asyncio.create_task(anext(trigger.run()))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        assert asked == []
        assert transformation.status == "RUNNING"


@contextmanager
def at_work(way, ti, *, store=None, **arguments):
    """A task in its worker, which has come so far that it waits for its run."""
    transformation = way.sim.add_transformation(ID, duration=ENDLESS)
    waits = threading.Event()
    way.heard.at("POST", RUN, lambda: way.heard.at("GET", LOOK, waits.set, nth=2))
    context = {"ti": ti, "task_instance": ti} | ({"task_state_store": store} if store else {})
    task = way.make(FivetranTransformationOperator, deferrable=False, **arguments)
    with ThreadPoolExecutor(1) as worker:
        running = worker.submit(execute, task, context)
        assert waits.wait(20)
        try:
            yield task, transformation
        finally:
            way.sim.faults.clear()
            way.sim.delete_transformation(ID)  # in Airflow the process would end here
            assert running.exception(timeout=30) is not None


CANCELLED, LEFT = "CANCELED", "RUNNING"


class TestAWorkerIsEnded:
    @pytest.mark.parametrize(
        ("state", "when_killed", "retries", "expected"),
        [
            ("failed", "stop", 2, CANCELLED),
            ("skipped", "stop", 2, CANCELLED),
            ("failed", "leave", 2, LEFT),
            ("success", "stop", 2, LEFT),
            ("restarting", "stop", 0, LEFT),  # cleared
            ("running", "stop", 2, LEFT),  # a retry follows
            ("running", "stop", 0, CANCELLED),
            ("running", "leave", 0, LEFT),
            (None, "stop", 2, LEFT),
            (None, "stop", 0, CANCELLED),
            (RuntimeError("no supervisor"), "stop", 2, LEFT),
            (RuntimeError("no supervisor"), "stop", 0, CANCELLED),
        ],
    )
    def test_with_notes_for_its_next_try(self, blocking, state, when_killed, retries, expected):
        ti = KilledInstance(state, retries=retries)
        with at_work(blocking, ti, store=Store(), when_killed=when_killed) as (task, transformation):
            task.on_kill()
            assert transformation.status == expected

    @pytest.mark.parametrize(
        ("state", "expected"), [("running", CANCELLED), ("restarting", LEFT), ("success", LEFT)]
    )
    def test_without_any_the_policy_holds_even_if_there_is_a_next_try(self, blocking, state, expected):
        with at_work(blocking, KilledInstance(state, retries=2)) as (task, transformation):
            task.on_kill()
            assert transformation.status == expected

    def test_where_airflow_cannot_be_asked_the_run_is_cancelled(self, blocking):
        with at_work(blocking, TaskInstance()) as (task, transformation):
            task.on_kill()
            assert transformation.status == CANCELLED

    def test_an_api_that_does_not_answer_holds_nobody_up(self, blocking):
        with at_work(blocking, KilledInstance("failed")) as (task, transformation):
            blocking.sim.faults.add(Fault("status", path=CANCEL, status=503, times=None))
            task.on_kill()
            assert transformation.status == LEFT

    def test_a_run_that_was_triggered_while_the_signal_came_is_cancelled(self, blocking):
        """The signal comes before Fivetran answers, and so before the task knows that its trigger took."""
        transformation = blocking.sim.add_transformation(ID, duration=ENDLESS)
        ti = KilledInstance("failed")
        task = blocking.make(FivetranTransformationOperator, deferrable=False)
        arrived = threading.Event()
        blocking.heard.at("POST", RUN, arrived.set)
        blocking.sim.faults.add(Fault("slow", "POST", RUN, delay=1.0))
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(execute, task, {"ti": ti, "task_instance": ti})
            assert arrived.wait(20)
            task.on_kill()
            assert "Airflow ended the task" in str(running.exception(timeout=30))
        assert transformation.status == CANCELLED
        assert len([r for r in blocking.heard if r.path.endswith("/run")]) == 1

    def test_a_task_that_is_ended_before_its_trigger_sends_none(self, blocking):
        blocking.sim.add_transformation(ID, duration=ENDLESS)
        ti = KilledInstance("failed")
        task = blocking.make(FivetranTransformationOperator, deferrable=False)
        arrived = threading.Event()
        blocking.heard.at("GET", LOOK, arrived.set)
        blocking.sim.faults.add(Fault("slow", "GET", LOOK, delay=1.0))
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(execute, task, {"ti": ti, "task_instance": ti})
            assert arrived.wait(20)
            task.on_kill()
            assert "Airflow ended the task" in str(running.exception(timeout=30))
        assert not [r for r in blocking.heard if r.method == "POST"]
