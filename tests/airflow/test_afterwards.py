"""What is left of a task that ended oddly: its sync, its connection, and what its next try makes of them."""

from __future__ import annotations

import os
import re
import signal
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowTaskTimeout, TaskDeferred

from airflow_provider_fivetran.core import starting, triggering
from airflow_provider_fivetran.exceptions import (
    FivetranConnectionBroken,
    FivetranError,
    FivetranServerError,
    FivetranSyncFailed,
    FivetranSyncTimeout,
    FivetranTriggerUncertain,
)
from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator, visit
from airflow_provider_fivetran.sensors import FivetranSensor
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from several_tries import CHANGE, Died, Task
from stories import CONNECTION, ID, SYNC, TaskInstance, eventually

try:  # Airflow 3
    from airflow.sdk.execution_time.timeout import timeout as airflows_limit
except ImportError:
    from airflow.utils.timeout import timeout as airflows_limit

SHORT = SyncPlan(duration=0.3)
LONGER = SyncPlan(duration=0.8)
A_WHILE = SyncPlan(duration=1.5)
LONG = SyncPlan(duration=2.5)
ENDLESS = SyncPlan(duration=3600)
BAD = SyncPlan(duration=0.3, outcome="failure", reason="the source is locked")
PUT_OFF = SyncPlan(duration=0.1, outcome="rescheduled", reschedule_after=0.5)
PAUSES_AGAIN = {"when_paused": "unpause_and_restore"}
RESTORES = {"schedule_type": "manual", "restore_schedule": True}
DOWN = Fault("status", status=503, times=None)
UNREADABLE = Fault("status", "GET", status=503, times=None)


@pytest.fixture(autouse=True, scope="module")
def shorter_patience(short_patience):
    """Give up on an API that cannot be reached within a second instead of minutes."""
    for module in (starting, triggering, visit):
        short_patience.setattr(module, "PATIENCE", timedelta(seconds=0.5))
    for looks in ("LOOKS_AFTER_LOST_ANSWER", "LOOKS_AFTER_LOST_RESTART", "LOOKS_AFTER_SERVER_ERROR"):
        short_patience.setattr(triggering, looks, (0.2, 0.3))


def runs(way):
    return [run.status for run in way.sim.accepted(ID)]


def found(way):
    """What the tasks here change in a connection."""
    connection = way.sim.account.connection(ID)
    return connection.paused, connection.schedule_type


def everything_ended(way):
    eventually(lambda: all(run.ended_at for run in way.sim.accepted(ID)))


def about_to_trigger(memo):
    return memo["unanswered"]


def not_yet_answered(memo):
    return memo["ticket"] is not None and not memo["unanswered"]


# --- a pause that was promised back ---------------------------------------------------------------------------


@pytest.mark.at_once
class TestAPauseIsPutBack:
    def test_when_the_second_start_of_a_sync_that_was_put_off_is_refused(self, way):
        way.add(PUT_OFF, SHORT, paused=True, schedule_type="manual")
        way.heard.at("POST", SYNC, lambda: way.sim.break_setup(ID))
        task = Task(way, when_broken="fail", **PAUSES_AGAIN)
        task.lives().failed(FivetranConnectionBroken)
        assert found(way) == (True, "manual")
        assert task.store.memo is None

    def test_when_that_start_cannot_read_fivetran(self, deferrable):
        deferrable.add(PUT_OFF, SHORT, paused=True, schedule_type="manual")
        task = Task(deferrable, **PAUSES_AGAIN)
        event = task.deferred()
        deferrable.sim.faults.add(UNREADABLE)
        with pytest.raises(FivetranServerError):
            task.resumed(event)
        assert found(deferrable) == (True, "manual")
        assert task.store.memo is None

    def test_by_the_retry_when_it_can_not_be_reached_at_all(self, deferrable):
        deferrable.add(PUT_OFF, SHORT, paused=True, schedule_type="manual")
        task = Task(deferrable, **PAUSES_AGAIN)
        event = task.deferred()
        deferrable.sim.faults.add(DOWN)
        with pytest.raises(FivetranServerError):
            task.resumed(event)
        assert found(deferrable) == (False, "manual")
        deferrable.sim.faults.clear()
        task.retried().lives().ended_well()
        assert found(deferrable) == (True, "manual")

    def test_when_a_worker_died_after_unpausing_and_the_next_try_is_refused(self, way):
        way.add(SHORT, paused=True, schedule_type="manual")
        task = Task(way, when_broken="fail", **PAUSES_AGAIN)
        task.dies(before=about_to_trigger)
        assert (found(way), runs(way)) == ((False, "manual"), [])
        way.sim.break_setup(ID)
        task.retried().lives().failed(FivetranConnectionBroken)
        assert found(way) == (True, "manual")
        assert task.store.memo is None

    def test_but_not_while_the_sync_may_run(self, way):
        way.add(ENDLESS, paused=True, schedule_type="auto")
        way.sim.faults.add(Fault("lost", "POST"))
        task = Task(way, FivetranResyncOperator, scope={"shop": ["orders"]}, **PAUSES_AGAIN, **RESTORES)
        task.lives().failed(FivetranTriggerUncertain)
        assert (found(way), runs(way)) == ((False, "auto"), ["RUNNING"])


def test_a_pause_is_put_back_when_the_execution_timeout_comes_during_unpausing(blocking):
    blocking.add(SHORT, paused=True, schedule_type="manual")
    blocking.sim.faults.add(Fault("slow", *CHANGE, delay=1.5))
    task = Task(blocking, **PAUSES_AGAIN)
    with pytest.raises(AirflowTaskTimeout), airflows_limit(1):
        task.lives()
    assert (found(blocking), runs(blocking)) == ((True, "manual"), [])
    assert task.store.memo is None


# --- a trigger that died or was late --------------------------------------------------------------------------


@pytest.mark.at_once
@pytest.mark.parametrize("error", ["Trigger failure", "Trigger timeout", "Trigger/execution timeout"])
class TestATriggerThatSentNothing:
    def test_while_the_sync_ended_well_is_no_failure(self, deferrable, error):
        deferrable.add(SHORT, schedule_type="auto")
        task = Task(deferrable, **RESTORES)
        task.dies()
        everything_ended(deferrable)
        value = task.resumed_without_an_event(error)
        assert datetime.fromisoformat(value) == deferrable.sim.runs(ID)[0].ended_at
        assert (found(deferrable), runs(deferrable)) == ((False, "auto"), ["COMPLETED"])

    def test_while_the_sync_ended_badly_says_how(self, deferrable, error):
        deferrable.add(BAD)
        task = Task(deferrable)
        task.dies()
        everything_ended(deferrable)
        with pytest.raises(FivetranSyncFailed, match="the source is locked"):
            task.resumed_without_an_event(error)
        assert runs(deferrable) == ["FAILURE"]


# --- the next try takes its own sync --------------------------------------------------------------------------


@pytest.mark.at_once
@pytest.mark.parametrize("when_running", ["attach", "restart", "queue", "skip", "fail"])
class TestItsOwnSyncIsTaken:
    def test_when_the_note_of_it_cannot_be_read(self, way, when_running):
        way.add(LONGER)
        task = Task(way, when_running=when_running)
        task.dies()
        task.store.broken = {"get"}
        assert task.retried().lives().ended_well().triggers == []
        assert runs(way) == ["COMPLETED"]

    def test_when_another_version_wrote_the_note(self, way, when_running):
        way.add(LONGER)
        task = Task(way, when_running=when_running)
        task.dies()
        task.store.amend(lambda memo: memo.pop("errand"))
        assert task.retried().lives().ended_well().triggers == []
        assert runs(way) == ["COMPLETED"]

    def test_when_it_was_cleared_before_the_answer_to_the_trigger_was_known(self, way, when_running):
        way.add(LONGER)
        task = Task(way, when_running=when_running)
        task.dies(before=not_yet_answered)
        assert task.store.memo["unanswered"]
        assert task.cleared().lives().ended_well().triggers == []
        assert runs(way) == ["COMPLETED"]


@pytest.mark.at_once
class TestTheNextTry:
    def test_syncs_again_when_cleared_although_the_retries_were_lowered(self, way):
        way.add(SHORT)
        task = Task(way, retries=1)
        task.lives().ended_well()
        assert len(task.cleared(retries=0).lives().ended_well().triggers) == 1
        assert runs(way) == ["COMPLETED", "COMPLETED"]

    @pytest.mark.parametrize("again", [Task.retried, Task.cleared])
    def test_goes_on_after_a_deadline_that_left_the_sync_running_and_has_one_of_its_own(self, way, again):
        way.add(LONG)
        task = Task(way, timeout=1.5, when_running="restart")
        task.lives().failed(FivetranSyncTimeout)
        assert again(task).lives().ended_well().triggers == []
        assert runs(way) == ["COMPLETED"]

    def test_fails_for_now_when_fivetran_cannot_be_reached_and_the_one_after_it_goes_on(self, way):
        way.add(SHORT)
        task = Task(way)
        task.dies(before=not_yet_answered)
        way.sim.faults.add(UNREADABLE)
        task.retried().lives().failed(FivetranServerError)
        assert task.store.memo["unanswered"]
        way.sim.faults.clear()
        assert task.retried().lives().ended_well().triggers == []
        assert runs(way) == ["COMPLETED"]

    @pytest.mark.parametrize("again", [Task.retried, Task.cleared])
    def test_does_not_undo_what_a_person_has_set_since_it_was_put_back(self, deferrable, again):
        deferrable.add(LONGER, schedule_type="auto")
        task = Task(deferrable, **RESTORES)
        task.dies()
        with pytest.raises(Exception, match="Trigger failure"):
            task.resumed_without_an_event("Trigger failure")
        assert found(deferrable) == (False, "auto")
        deferrable.sim.account.set_schedule_type(ID, "manual")
        again(task).lives().ended_well()
        assert found(deferrable) == (False, "manual")

    def test_of_a_cleared_task_is_not_held_to_the_deadline_of_the_one_before(self, deferrable):
        deferrable.add(PUT_OFF, SHORT, schedule_type="manual")
        task = Task(deferrable, when_paused="unpause")
        event = task.deferred()
        deferrable.sim.pause(ID)
        task.store.dies_before = about_to_trigger
        with pytest.raises(Died):
            task.resumed(event)
        task.store.dies_before = lambda memo: False
        task.store.amend(lambda memo: memo["errand"].update(begun_at=ago(days=2)))
        assert task.store.memo["ticket"] is None
        task.cleared().lives().ended_well()


def ago(**span):
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


def test_a_resync_whose_trigger_outlasted_the_execution_timeout_is_not_triggered_again(blocking):
    blocking.add(LONG)
    blocking.sim.faults.add(Fault("slow", "POST", delay=1.5))
    task = Task(blocking, FivetranResyncOperator)
    with airflows_limit(1):
        task.lives().failed(FivetranSyncTimeout)
    assert task.retried().lives().ended_well().triggers == []
    assert runs(blocking) == ["COMPLETED"]


# --- a second start -------------------------------------------------------------------------------------------


@pytest.mark.at_once
class TestASecondStartAfterThirtyHours:
    def test_is_in_time_for_a_historical_sync(self, deferrable):
        task, event = self._put_off(deferrable)
        deferrable.sim.account.connection(ID).historical = True
        with pytest.raises(TaskDeferred):
            task.resumed(event)
        assert len(runs(deferrable)) == 2

    def test_is_too_late_for_any_other(self, deferrable):
        task, event = self._put_off(deferrable)
        with pytest.raises(FivetranSyncTimeout, match="nothing was started"):
            task.resumed(event)
        assert len(runs(deferrable)) == 1

    @staticmethod
    def _put_off(way):
        way.add(PUT_OFF, SHORT, schedule_type="manual")
        task = Task(way)
        event = task.deferred()
        event["errand"]["begun_at"] = ago(hours=30)
        return task, event


# --- its end --------------------------------------------------------------------------------------------------


def test_an_execution_timeout_while_all_is_put_back_does_not_change_a_success(blocking):
    blocking.add(SHORT, paused=True, schedule_type="auto")
    blocking.heard.at("POST", SYNC, lambda: blocking.sim.faults.add(Fault("slow", *CHANGE, delay=3)))
    task = Task(blocking, **PAUSES_AGAIN, **RESTORES)
    with airflows_limit(2):
        task.lives().ended_well()
    assert found(blocking) == (True, "auto")


@pytest.mark.at_once
def test_all_is_put_back_even_if_the_record_cannot_be_pushed(way):
    class TaskInstanceWithoutRecords(TaskInstance):
        def xcom_push(self, key, value):
            if key == "fivetran_sync":
                raise RuntimeError("no XComs today")
            super().xcom_push(key, value)

    way.add(SHORT, paused=True, schedule_type="auto")
    task = Task(way, **PAUSES_AGAIN, **RESTORES)
    task.ti = TaskInstanceWithoutRecords()
    task.lives().failed(RuntimeError, "no XComs today")
    assert found(way) == (True, "auto")


# --- what cannot be noted is not done -------------------------------------------------------------------------


@pytest.mark.at_once
class TestATaskWhoseNotesAreRefused:
    """Mostly it was cleared twice, and another process stands in its place."""

    @pytest.mark.parametrize("fields", [{}, {"paused": True, "schedule_type": "auto"}])
    def test_sends_nothing_and_says_why(self, way, fields):
        way.add(SHORT, **fields)
        before = found(way)
        task = Task(way, **PAUSES_AGAIN, **RESTORES)
        task.store.broken = {"set"}
        story = task.lives()
        story.failed(FivetranError, "nothing was changed or triggered", "task state store", "no set today")
        assert {request.method for request in story.requests} == {"GET"}
        assert (found(way), runs(way)) == (before, [])

    def test_puts_back_what_it_had_changed_and_triggers_nothing(self, way):
        way.add(SHORT, paused=True, schedule_type="auto")
        task = Task(way, **PAUSES_AGAIN, **RESTORES)
        way.heard.at(*CHANGE, lambda: task.store.broken.add("set"))
        story = task.lives().failed(FivetranError, "task state store")
        assert story.triggers == []
        assert (found(way), runs(way)) == ((True, "auto"), [])


# --- killed while it starts -----------------------------------------------------------------------------------


class KilledInstance(TaskInstance):
    """The task instance of a worker that is being ended, on Airflow 3; ``state`` is what the database says."""

    state = "failed"

    def get_task_states(self, *, dag_id, run_ids, task_ids, map_index):
        return {self.run_id: {self.task_id: self.state}}


@pytest.fixture
def killed_at(blocking):
    """Run a task that gets Airflow's signal while Fivetran takes its time to answer a request."""
    usual = signal.getsignal(signal.SIGTERM)

    def run(method, path, *, state, nth=1, **arguments):
        blocking.sim.switches.update(stop_lag=0)
        blocking.add(A_WHILE, paused=True, schedule_type="auto")
        blocking.sim.faults.add(Fault("slow", method, path, delay=0.6))
        blocking.heard.at(method, path, lambda: os.kill(os.getpid(), signal.SIGTERM), nth=nth)
        task = Task(blocking, **PAUSES_AGAIN, **RESTORES, **arguments)
        if state is None:  # before Airflow 3
            task.store = None
        else:
            task.ti = KilledInstance()
            task.ti.state, task.ti.max_tries = state, 2
        at_work = task.make()

        def end_it(*_):
            at_work.on_kill()
            if (method, path) == CHANGE:  # which Fivetran may just as well carry out after all that
                blocking.sim.unpause(ID)
                blocking.sim.account.set_schedule_type(ID, "manual")

        signal.signal(signal.SIGTERM, end_it)
        task.make = lambda: at_work
        story = task.lives().failed(FivetranError, "Airflow ended the task")
        del task.make
        return task, story

    yield run
    signal.signal(signal.SIGTERM, usual)


@pytest.mark.parametrize("when_killed", ["leave", "stop"])
def test_a_task_marked_failed_while_it_unpauses_triggers_nothing_any_more(blocking, killed_at, when_killed):
    _, story = killed_at(*CHANGE, state="failed", when_killed=when_killed)
    assert story.triggers == []
    assert (found(blocking), runs(blocking)) == ((True, "auto"), [])


@pytest.mark.parametrize("when_killed", ["leave", "stop"])
def test_nor_does_one_of_which_airflow_tells_and_keeps_nothing(blocking, killed_at, when_killed):
    _, story = killed_at(*CHANGE, state=None, when_killed=when_killed)
    assert story.triggers == []
    assert (found(blocking), runs(blocking)) == ((True, "auto"), [])


@pytest.mark.parametrize(
    ("when_killed", "expected"),
    [("stop", ((True, "auto"), ["PAUSED"])), ("leave", ((False, "auto"), ["RUNNING"]))],
)
def test_a_task_marked_failed_while_it_triggers_has_its_sync_stopped_or_left(
    blocking, killed_at, when_killed, expected
):
    _, story = killed_at("POST", SYNC, state="failed", when_killed=when_killed)
    assert len(story.triggers) == 1
    assert (found(blocking), runs(blocking)) == expected


@pytest.mark.parametrize("when_killed", ["leave", "stop"])
def test_a_task_marked_failed_while_it_looks_whether_its_trigger_took_sends_no_other(
    blocking, killed_at, when_killed
):
    blocking.sim.faults.add(Fault("reset", "POST", SYNC))
    _, story = killed_at("GET", CONNECTION, nth=2, state="failed", when_killed=when_killed)
    assert len(story.triggers) == 1
    assert runs(blocking) == []


@pytest.mark.parametrize(("method", "path"), [CHANGE, ("POST", SYNC)])
def test_a_task_cleared_while_it_starts_leaves_all_to_its_next_try(blocking, killed_at, method, path):
    task, story = killed_at(method, path, state="restarting", when_running="restart", when_killed="stop")
    assert len(story.triggers) == (path == SYNC)
    assert found(blocking) == (False, "manual")
    task.retried().lives().ended_well()
    assert (found(blocking), runs(blocking)) == ((True, "auto"), ["COMPLETED"])


# --- tasks that would end oddly are refused before ------------------------------------------------------------

A_TEXT, A_FLAG = "a text that is not empty", "True and False"
NO_TEXTS = ["", "  ", 5, True, b"c", ["c"], {"id": "c"}]
WRONG = [
    *[("connector_id", value, A_TEXT) for value in NO_TEXTS],
    *[("connector_name", value, A_TEXT) for value in NO_TEXTS],
    *[("destination_name", value, A_TEXT) for value in NO_TEXTS],
    *[("fivetran_conn_id", value, A_TEXT) for value in [*NO_TEXTS, None]],
    *[("deferrable", value, A_FLAG) for value in ("False", "no", 0, 1)],
    *[("fivetran_retry_limit", value, "a whole number of 1 or more") for value in (0, True, "3", 1.5)],
    *[("fivetran_retry_delay", value, "a number of seconds of at least 0") for value in (-1, "1", True)],
]
WRONG_FOR_OPERATORS = [
    *[("wait_for_completion", value, A_FLAG) for value in ("no", "False", None, 0)],
    *[("restore_schedule", value, A_FLAG) for value in ("yes", 1, None)],
]
WRONG_FOR_SENSORS = [
    *[("always_wait_when_syncing", value, A_FLAG) for value in ("no", None, 1)],
    *[("propagate_failures_forward", value, A_FLAG) for value in ("no", None, 1)],
    ("poke_interval", "60", "a timedelta or a number of seconds of at least 0.05"),
    ("completed_after_time", "yesterday", "a datetime or a text such as"),
    ("completed_after_time", 5, "a datetime or a text such as"),
]
OPERATORS = [FivetranOperator, FivetranResyncOperator]
SOME_TABLES = partial(FivetranResyncOperator, scope={"shop": ["orders"]})


class TestArguments:
    @pytest.mark.parametrize(
        ("kind", "name", "value", "allowed"),
        [
            *[(kind, *wrong) for wrong in WRONG for kind in [*OPERATORS, FivetranSensor]],
            *[(kind, *wrong) for wrong in WRONG_FOR_OPERATORS for kind in OPERATORS],
            *[(FivetranSensor, *wrong) for wrong in WRONG_FOR_SENSORS],
        ],
    )
    def test_that_are_wrong_are_refused_with_what_is_allowed(self, kind, name, value, allowed):
        names = {"connector_name": "shop", "destination_name": "warehouse"}
        named = names if name in names else {"connector_id": ID}
        with pytest.raises(ValueError, match=f"^{re.escape(f'{name} is {value!r}; allowed ')}") as caught:
            kind(**{"task_id": "t"} | named | {name: value})
        assert allowed in str(caught.value)

    @pytest.mark.parametrize("kind", [FivetranOperator, SOME_TABLES, FivetranSensor])
    @pytest.mark.parametrize("names", [("connector_id",), ("connector_name", "destination_name")])
    def test_may_be_templates_or_what_other_tasks_return(self, kind, names):
        with DAG("d", schedule=None):
            before = FivetranOperator(task_id="before", connector_id=ID)
            one = kind(task_id="one", fivetran_conn_id="{{ x }}", **dict.fromkeys(names, "{{ x }}"))
            two = kind(task_id="two", fivetran_conn_id=before.output, **dict.fromkeys(names, before.output))
        assert one.upstream_task_ids == set()
        assert two.upstream_task_ids == {"before"}

    @pytest.mark.parametrize("kind", [FivetranOperator, SOME_TABLES, FivetranSensor])
    @pytest.mark.parametrize("value", [None, True, False])
    def test_for_waiting_in_the_triggerer_may_be_unset(self, kind, value):
        assert kind(task_id="t", connector_id=ID, deferrable=value).deferrable is bool(value)
