"""A person or Airflow ends a task, in the triggerer or in a worker: what becomes of its sync and its connection."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_fivetran.core.starting import Undo
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.exceptions import FivetranError, FivetranSyncTimeout
from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from airflow_provider_fivetran.triggers import FivetranSyncTrigger
from kills import THE_TASK, KilledInstance, Store, killed
from stories import CONNECTION, ID, SYNC, Story, TaskInstance, execute

try:  # Airflow 3
    from airflow.sdk.execution_time.timeout import timeout as airflows_limit
except ImportError:
    from airflow.utils.timeout import timeout as airflows_limit

ENDLESS = SyncPlan(duration=3600)
POLICIES = {"when_paused": "unpause_and_restore", "schedule_type": "manual", "restore_schedule": True}


def waiting(way, when_killed, undone=None):
    """A trigger that waits for a sync that runs."""
    way.sim.switches.update(stop_lag=0)
    way.add(SyncPlan(duration=3600), schedule_type="manual")
    way.sim.start_sync(ID)
    now = datetime.now(UTC)
    ticket = Ticket(
        connection_id=ID,
        aim=Aim.RUNNING,
        taken_at=now,
        begun_at=now,
        asked_at=now,
        poll_frequency=timedelta(seconds=0.1),
    )
    errand = {"undo": undone.to_json()} if undone else None
    trigger = FivetranSyncTrigger(ticket.to_json(), way.conn_id, when_killed=when_killed, errand=errand)
    trigger.task_instance = THE_TASK
    return trigger


def found(way):
    """What the tasks here change in a connection."""
    connection = way.sim.account.connection(ID)
    return connection.paused, connection.schedule_type


def syncs(way):
    return way.sim.runs(ID)[0].ended_at is None


def changes(way):
    return [{**r.body, "run_setup_tests": None} for r in way.heard if r.method == "PATCH"]


async def test_a_sync_is_stopped_although_the_triggerer_cancels_again_and_again(deferrable, asked):
    await killed(waiting(deferrable, "stop"))
    assert asked == [THE_TASK]
    assert not syncs(deferrable)
    assert not deferrable.sim.account.connection(ID).paused


async def test_a_sync_that_is_stopped_leaves_the_connection_as_it_was(deferrable, asked):
    undone = Undo(pause=True, schedule_type="auto")
    await killed(waiting(deferrable, "stop", undone))
    connection = deferrable.sim.account.connection(ID)
    assert not syncs(deferrable)
    assert (connection.paused, connection.schedule_type) == (True, "auto")


async def test_a_sync_that_is_left_goes_on_and_the_schedule_is_put_back(deferrable, asked):
    undone = Undo(pause=True, schedule_type="auto")
    await killed(waiting(deferrable, "leave", undone))
    connection = deferrable.sim.account.connection(ID)
    assert syncs(deferrable)
    assert (connection.paused, connection.schedule_type) == (False, "auto")


@pytest.mark.parametrize("undone", [None, Undo(), Undo(pause=True)])
async def test_a_sync_that_is_left_with_nothing_to_put_back_costs_no_question(deferrable, asked, undone):
    await killed(waiting(deferrable, "leave", undone))
    assert asked == []
    assert changes(deferrable) == []
    assert syncs(deferrable)


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "running", "deferred", "restarting"])
@pytest.mark.parametrize("when_killed", ["stop", "leave"])
async def test_a_task_that_goes_on_elsewhere_keeps_its_sync_and_its_changes(
    deferrable, asked, when_killed, state
):
    asked.state = state
    await killed(waiting(deferrable, when_killed, Undo(schedule_type="auto")))
    assert asked == [THE_TASK]
    assert changes(deferrable) == []
    assert syncs(deferrable)


async def test_a_deferred_task_that_was_set_to_success_keeps_its_sync(deferrable, asked):
    asked.state = "success"
    await killed(waiting(deferrable, "stop", Undo(pause=True, schedule_type="auto")))
    assert syncs(deferrable)
    assert found(deferrable) == (False, "auto")


async def test_a_question_that_fails_is_said_and_stops_nothing(deferrable, asked, caplog, capsys):
    asked.state = RuntimeError("no supervisor")
    await killed(waiting(deferrable, "stop"))
    assert "no supervisor" in caplog.text + "".join(capsys.readouterr())
    assert syncs(deferrable)


# --- in a worker ----------------------------------------------------------------------------------------------


@contextmanager
def at_work(way, ti, waits, kind=FivetranOperator, *, store=None, **arguments):
    """A task in its worker, which has come so far that it waits; at the end its connection is deleted."""
    context = {"ti": ti, "task_instance": ti} | ({"task_state_store": store} if store else {})
    task = way.make(kind, deferrable=False, **POLICIES, **arguments)
    with ThreadPoolExecutor(1) as worker:
        running = worker.submit(execute, task, context)
        assert waits.wait(20)
        try:
            yield task
        finally:
            way.sim.faults.clear()
            way.sim.delete(ID)  # in Airflow the process would end here
            assert running.exception(timeout=30) is not None


def waiting_for_a_sync(way):
    """Is set when a task of this way has triggered and waits."""
    way.add(ENDLESS, paused=True, schedule_type="auto")
    waits = threading.Event()
    way.heard.at("POST", SYNC, lambda: way.heard.at("GET", CONNECTION, waits.set, nth=2))
    return waits


STOPPED = ("PAUSED", (True, "auto"))
LEFT = ("RUNNING", (False, "auto"))
UNTOUCHED = ("RUNNING", (False, "manual"))


@pytest.mark.at_once
class TestAWorkerIsEnded:
    @pytest.mark.parametrize(
        ("state", "when_killed", "retries", "expected"),
        [
            ("failed", "stop", 2, STOPPED),
            ("skipped", "stop", 2, STOPPED),
            ("failed", "leave", 2, LEFT),
            ("skipped", "leave", 2, LEFT),
            ("success", "stop", 2, LEFT),
            ("success", "leave", 2, LEFT),
            ("restarting", "stop", 0, UNTOUCHED),
            ("restarting", "leave", 0, UNTOUCHED),
            ("running", "stop", 2, UNTOUCHED),
            ("running", "leave", 2, UNTOUCHED),
            ("running", "stop", 0, STOPPED),
            ("running", "leave", 0, LEFT),
            (None, "stop", 2, LEFT),
            (None, "stop", 0, STOPPED),
            (RuntimeError("no supervisor"), "stop", 2, LEFT),
            (RuntimeError("no supervisor"), "stop", 0, STOPPED),
            (RuntimeError("no supervisor"), "leave", 0, LEFT),
        ],
    )
    def test_with_notes_for_its_next_try(self, blocking, state, when_killed, retries, expected):
        ti, store = KilledInstance(state, retries=retries), Store()
        with at_work(
            blocking, ti, waiting_for_a_sync(blocking), store=store, when_killed=when_killed
        ) as task:
            task.on_kill()
            assert (blocking.sim.runs(ID)[0].status, found(blocking)) == expected

    @pytest.mark.parametrize(
        ("state", "when_killed", "expected"),
        [
            ("running", "stop", STOPPED),
            ("running", "leave", LEFT),
            ("restarting", "stop", LEFT),
            ("success", "stop", LEFT),
            ("failed", "stop", STOPPED),
        ],
    )
    def test_without_any_the_policy_holds_even_if_there_is_a_next_try(
        self, blocking, state, when_killed, expected
    ):
        ti = KilledInstance(state, retries=2)
        with at_work(blocking, ti, waiting_for_a_sync(blocking), when_killed=when_killed) as task:
            task.on_kill()
            assert (blocking.sim.runs(ID)[0].status, found(blocking)) == expected

    @pytest.mark.parametrize(("when_killed", "expected"), [("stop", STOPPED), ("leave", LEFT)])
    def test_where_airflow_cannot_be_asked_the_policy_holds(self, blocking, when_killed, expected):
        ti = TaskInstance()
        with at_work(blocking, ti, waiting_for_a_sync(blocking), when_killed=when_killed) as task:
            task.on_kill()
            assert (blocking.sim.runs(ID)[0].status, found(blocking)) == expected

    @pytest.mark.parametrize(("retries", "expected"), [(2, LEFT), (0, STOPPED)])
    def test_an_airflow_that_does_not_answer_is_not_waited_for(self, blocking, retries, expected):
        ti, store = KilledInstance(10.0, retries=retries), Store()
        with at_work(blocking, ti, waiting_for_a_sync(blocking), store=store, when_killed="stop") as task:
            began = time.monotonic()
            task.on_kill()
            assert time.monotonic() - began < 5  # so long Airflow lets the process live
            assert (blocking.sim.runs(ID)[0].status, found(blocking)) == expected

    @pytest.mark.parametrize("when_killed", ["leave", "stop"])
    def test_before_it_has_triggered_all_is_put_back(self, blocking, when_killed):
        blocking.add(ENDLESS, paused=True, schedule_type="auto")
        waits = looks_in_vain_after_the_change(blocking)
        ti = KilledInstance("failed")
        with at_work(blocking, ti, waits, FivetranResyncOperator, when_killed=when_killed) as task:
            assert found(blocking) == (False, "manual")
            task.on_kill()
            assert found(blocking) == (True, "auto")
            assert blocking.sim.runs(ID) == []

    @pytest.mark.parametrize("when_killed", ["leave", "stop"])
    def test_while_its_connection_is_looked_up_by_name_it_starts_nothing_any_more(
        self, blocking, when_killed
    ):
        blocking.add(ENDLESS, schema="shop")
        task = blocking.make(
            FivetranOperator,
            connector_name="shop",
            destination_name="Warehouse",
            when_killed=when_killed,
        )
        blocking.heard.at("GET", r"/groups$", task.on_kill)
        ti = KilledInstance("failed")
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            execute(task, {"ti": ti, "task_instance": ti})
        assert blocking.sim.runs(ID) == []


def looks_in_vain_after_the_change(way):
    """Is set when a task that has changed the connection looks at it, which fails from then on."""
    waits = threading.Event()
    failing = Fault("status", "GET", CONNECTION, status=503, times=None)

    def changed():
        way.sim.faults.add(failing)
        way.heard.at("GET", CONNECTION, waits.set)

    way.heard.at("PATCH", CONNECTION, changed)
    return waits


# --- at a deadline --------------------------------------------------------------------------------------------


@pytest.mark.at_once
@pytest.mark.parametrize("when_killed", ["leave", "stop"])
@pytest.mark.parametrize("limit", ["timeout", "execution_timeout"])
def test_at_a_deadline_of_the_task(way, when_killed, limit):
    way.add(ENDLESS, paused=True, schedule_type="auto")
    story = way.sync(when_killed=when_killed, **POLICIES, **{limit: timedelta(seconds=1)})
    story.failed(FivetranSyncTimeout, status="timed_out")
    expected = STOPPED if when_killed == "stop" else LEFT
    assert (way.sim.runs(ID)[0].status, found(way)) == expected


@pytest.mark.parametrize("when_killed", ["leave", "stop"])
def test_when_airflow_breaks_a_wait_off_at_the_execution_timeout(blocking, when_killed):
    blocking.add(ENDLESS, paused=True, schedule_type="auto")
    make = lambda: blocking.make(FivetranOperator, when_killed=when_killed, **POLICIES)  # noqa: E731
    store = Store()
    with airflows_limit(1):
        story = blocking.tell(Story(blocking), make, task_state_store=store)
    story.failed(FivetranSyncTimeout, "execution_timeout", status="timed_out")
    expected = STOPPED if when_killed == "stop" else LEFT
    assert (blocking.sim.runs(ID)[0].status, found(blocking)) == expected
    if when_killed == "stop":
        assert store.get("fivetran_errand") is None


def test_when_airflow_breaks_a_start_off_at_the_execution_timeout(blocking):
    blocking.add(ENDLESS, paused=True, schedule_type="auto")
    looks_in_vain_after_the_change(blocking)
    with pytest.raises(BaseException, match="Timeout") as caught, airflows_limit(1):
        blocking.resync(**POLICIES)
    assert type(caught.value).__name__ == "AirflowTaskTimeout"
    assert found(blocking) == (True, "auto")
    assert blocking.sim.runs(ID) == []
