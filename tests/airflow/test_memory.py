"""What a task leaves to its next try, and what that try makes of it: one sync, and the end of that one."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_fivetran.core import triggering
from airflow_provider_fivetran.exceptions import (
    FivetranSyncCancelled,
    FivetranSyncFailed,
    FivetranSyncRunning,
    FivetranSyncTimeout,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
from airflow_provider_fivetran.simulator import SyncPlan
from stories import ID, SYNC, Story, TaskInstance, TaskStateStore, eventually, execute

SHORT = SyncPlan(duration=0.3)
LONGER = SyncPlan(duration=0.8)
ENDLESS = SyncPlan(duration=3600)
BAD = SyncPlan(duration=0.3, outcome="failure", reason="the source is locked")
OTHER = "another"
RESTORED = {"schedule_type": "manual", "restore_schedule": True}


class Died(BaseException):
    """The process is gone, and nothing of it is carried out any more."""


class Store(TaskStateStore):
    """A store that can be out of order, and at which a process can die. It is JSON all the same."""

    def __init__(self):
        self.text = "{}"
        self.broken = set()
        self.asked = []
        self.dies_at = lambda note: False

    def get(self, key, default=None):
        self._check("get")
        return super().get(key, default)

    def set(self, key, value, *, retention=None):
        self._check("set")
        super().set(key, value, retention=retention)
        if self.dies_at(value):
            raise Died

    def delete(self, key):
        self._check("delete")
        super().delete(key)

    def _check(self, what):
        self.asked.append(what)
        if what in self.broken:
            raise RuntimeError(f"no {what} today")

    def _read(self):
        return json.loads(self.text)

    def _write(self, kept):
        self.text = json.dumps(kept)

    @property
    def note(self):
        """What is noted of the only task."""
        noted = list(self._read().values())
        assert len(noted) <= 1
        return noted[0] if noted else None

    @property
    def memo(self):
        return self.note and self.note["memo"]

    def amend(self, change):
        kept = self._read()
        change(*kept.values())
        self._write(kept)


class Task:
    """A task of a DAG run, try after try, with a store of its own unless it runs on an older Airflow."""

    def __init__(self, way, kind=FivetranOperator, *, has_store=True, **arguments):
        self._way = way
        self.store = Store()
        self._context = {"task_state_store": self.store} if has_store else {}
        self._kind = kind
        self.arguments = arguments
        self._try_number, self._max_tries = 1, 2
        self._left = TaskInstance()

    def lives(self, kind=None, **changed):
        """A try that comes to its end, whatever that is."""
        given = self.arguments | changed
        make = lambda: self._way.make(kind or self._kind, **given)  # noqa: E731
        return self._way.tell(Story(self._way, self._instance()), make, **self._context)

    def dies(self, **changed):
        """A try that is not heard of again once it waits."""
        task = self._way.make(self._kind, **{"deferrable": True} | self.arguments | changed)
        ti = self._left = self._instance()
        with pytest.raises((TaskDeferred, Died)):
            execute(task, {"ti": ti, "task_instance": ti, **self._context})
        return self

    def resumed(self, name, **arguments):
        """The continuation of a try that was deferred."""
        task, ti = self._way.make(self._kind, **self.arguments), self._left
        context = {"ti": ti, "task_instance": ti, **self._context}
        return task.resume_execution(name, arguments, context)

    def retried(self):
        self._try_number += 1
        return self

    def cleared(self):
        """Airflow lets a task that was cleared have as many tries again as it had at first."""
        self._max_tries = self._try_number + 2
        self._try_number += 1
        return self

    def _instance(self):
        ti = TaskInstance()
        ti.try_number, ti.max_tries = self._try_number, self._max_tries
        return ti


def everything_ended(way, connection_id=ID):
    eventually(lambda: all(run.ended_at for run in way.sim.accepted(connection_id)))


def runs(way, connection_id=ID):
    return [run.status for run in way.sim.accepted(connection_id)]


@pytest.mark.at_once
class TestWhatIsNoted:
    def test_while_a_sync_runs_its_ticket_and_what_to_put_back(self, way):
        way.add(ENDLESS, schedule_type="auto")
        task = Task(way, **RESTORED).dies()
        assert task.store.note["try_number"] == 1
        assert task.store.memo["ticket"]["connection_id"] == ID
        assert task.store.memo["errand"]["undo"] == {"pause": False, "schedule_type": "auto"}
        assert (task.store.memo["unanswered"], task.store.memo["ended"]) == (False, None)

    def test_before_the_trigger_is_sent_that_it_may_have_been(self, blocking):
        blocking.add(SHORT)
        noted, task = [], Task(blocking)
        blocking.heard.at("POST", SYNC, lambda: noted.append(task.store.memo))
        task.lives().ended_well()
        assert noted[0]["unanswered"]
        assert noted[0]["ticket"]["connection_id"] == ID

    def test_airflow_is_asked_no_more_often_than_that_takes(self, deferrable):
        """What an earlier try noted, before and after the trigger, and, after the deferral, the end."""
        deferrable.add(SHORT)
        task = Task(deferrable)
        task.lives().ended_well()
        assert task.store.asked == ["get", "set", "set", "set"]

    def test_after_a_success_its_end_and_no_ticket(self, way):
        way.add(SHORT, schedule_type="auto")
        task = Task(way, **RESTORED)
        story = task.lives().ended_well()
        assert task.store.memo["ticket"] is None
        assert task.store.memo["value"] == story.value
        assert task.store.memo["ended"] == story.record
        assert task.store.memo["errand"]["undo"] == {"pause": False, "schedule_type": None}

    def test_after_a_start_that_nobody_waits_for_its_value(self, way):
        way.add(SHORT)
        task = Task(way, wait_for_completion=False)
        story = task.lives()
        assert (task.store.memo["ticket"], task.store.memo["value"]) == (None, story.value)

    def test_after_a_failure_nothing(self, way):
        way.add(BAD, schedule_type="auto")
        task = Task(way, **RESTORED)
        task.lives().failed(FivetranSyncFailed)
        assert task.store.note is None

    def test_after_a_skip_nothing(self, way):
        way.add(SHORT, paused=True)
        task = Task(way, when_paused="skip")
        assert isinstance(task.lives().error, AirflowSkipException)
        assert task.store.note is None

    def test_after_a_wait_that_a_refused_key_broke_off_the_ticket(self, way):
        way.add(LONGER)
        task = Task(way)
        way.heard.at("POST", SYNC, lambda: way.sim.revoke("sim-key"))
        task.lives().failed(FivetranUnauthorized)
        assert task.store.memo["ticket"]["connection_id"] == ID
        way.sim.add_key("new-key", "new-secret")
        way.declare(login="new-key", password="new-secret")
        task.retried().lives().ended_well()
        assert runs(way) == ["COMPLETED"]

    def test_after_an_event_that_is_not_understood_the_ticket(self, deferrable):
        deferrable.add(SHORT)
        task = Task(deferrable).dies()
        with pytest.raises(FivetranUnexpectedAnswer):
            task.resumed("execute_complete", event={"status": "success"})
        assert task.store.memo["ticket"]["connection_id"] == ID
        task.retried().lives().ended_well()
        assert runs(deferrable) == ["COMPLETED"]

    @pytest.mark.parametrize("plan", [SHORT, ENDLESS], ids=["ended", "running"])
    def test_no_secret_and_not_much(self, blocking, plan):
        scope = {"shop": [f"table_{number}" for number in range(100)]}
        blocking.add(plan, tables=scope["shop"])
        task = Task(blocking, FivetranResyncOperator, scope=scope)
        _ = task.lives() if plan is SHORT else task.dies()
        assert ID in task.store.text
        assert not any(secret in task.store.text for secret in ("sim-key", "sim-secret", "password", "login"))
        assert len(task.store.text) < 8_192


@pytest.mark.at_once
class TestRetried:
    def test_while_the_sync_runs_it_is_waited_for(self, way):
        way.add(LONGER)
        task = Task(way).dies()
        story = task.retried().lives().ended_well()
        assert story.triggers == []
        assert runs(way) == ["COMPLETED"]

    def test_when_the_sync_has_ended_well_it_is_green_at_once(self, way):
        way.add(SHORT)
        task = Task(way).dies()
        everything_ended(way)
        story = task.retried().lives().ended_well()
        assert (story.triggers, story.deferrals) == ([], [])

    def test_when_the_task_had_ended_well_it_ends_so_again(self, way):
        way.add(SHORT)
        task = Task(way)
        first = task.lives().ended_well()
        again = task.retried().lives().ended_well()
        assert (again.triggers, again.deferrals) == ([], [])
        assert (again.value, again.record) == (first.value, first.record)

    def test_when_nobody_waits_it_returns_the_same_time(self, way):
        way.add(SHORT)
        task = Task(way, wait_for_completion=False)
        first, again = task.lives(), task.retried().lives()
        assert (again.value, again.record, again.triggers) == (first.value, first.record, [])

    def test_when_the_sync_has_failed_it_fails_and_the_try_after_that_syncs(self, way):
        way.add(BAD, SHORT)
        task = Task(way).dies()
        everything_ended(way)
        story = task.retried().lives().failed(FivetranSyncFailed, "the source is locked", status="failed")
        assert story.triggers == []
        assert len(task.retried().lives().ended_well().triggers) == 1
        assert runs(way) == ["FAILURE", "COMPLETED"]

    def test_when_the_sync_was_cancelled_it_says_so(self, way):
        way.add(ENDLESS)
        task = Task(way).dies()
        way.sim.cancel(ID)
        story = task.retried().lives().failed(FivetranSyncCancelled, status="cancelled")
        assert story.triggers == []
        assert task.store.note is None

    def test_the_deadline_counts_from_the_first_try(self, way):
        way.add(ENDLESS)
        task = Task(way, timeout=timedelta(hours=1)).dies()

        def an_hour_ago(note):
            ticket = note["memo"]["ticket"]
            began = datetime.fromisoformat(ticket["begun_at"])
            ticket["begun_at"] = note["memo"]["errand"]["begun_at"] = (began - timedelta(hours=1)).isoformat()

        task.store.amend(an_hour_ago)
        story = task.retried().lives().failed(FivetranSyncTimeout, status="timed_out")
        assert story.triggers == []

    def test_what_the_first_try_changed_is_put_back_by_the_second(self, way):
        way.add(LONGER, paused=True, schedule_type="auto")
        task = Task(way, when_paused="unpause_and_restore", **RESTORED).dies()
        task.retried().lives().ended_well()
        connection = way.sim.account.connection(ID)
        assert (connection.paused, connection.schedule_type) == (True, "auto")


def test_a_retry_of_a_task_that_died_before_its_trigger_triggers_once(blocking, monkeypatch):
    monkeypatch.setattr(triggering, "LOOKS_AFTER_LOST_ANSWER", (0.2, 0.3))
    blocking.add(SHORT, schedule_type="auto")
    task = Task(blocking, **RESTORED)
    task.store.dies_at = lambda note: note["memo"]["unanswered"]
    task.dies()
    assert runs(blocking) == []
    task.store.dies_at = lambda note: False
    assert len(task.retried().lives().ended_well().triggers) == 1
    assert blocking.sim.account.connection(ID).schedule_type == "auto"


@pytest.mark.at_once
class TestCleared:
    def test_while_the_sync_runs_it_is_waited_for(self, way):
        way.add(LONGER)
        story = Task(way).dies().cleared().lives().ended_well()
        assert story.triggers == []
        assert runs(way) == ["COMPLETED"]

    @pytest.mark.parametrize("plan", [SHORT, BAD], ids=["success", "failure"])
    def test_after_its_end_it_syncs_again(self, way, plan):
        way.add(plan, SHORT)
        task = Task(way)
        task.lives()
        assert len(task.cleared().lives().ended_well().triggers) == 1
        assert len(runs(way)) == 2

    @pytest.mark.parametrize("plan", [SHORT, BAD], ids=["success", "failure"])
    def test_when_its_sync_is_over_that_nobody_waited_for_it_syncs_again(self, way, plan):
        way.add(plan, SHORT)
        task = Task(way).dies()
        everything_ended(way)
        assert len(task.cleared().lives().ended_well().triggers) == 1
        assert len(runs(way)) == 2

    @pytest.mark.parametrize("plan", [LONGER, SyncPlan(duration=0.8, outcome="failure")])
    def test_a_retry_after_that_goes_on_with_the_sync_that_was_waited_for(self, way, plan):
        way.add(plan)
        task = Task(way).dies().cleared().dies()
        everything_ended(way)
        story = task.retried().lives()
        assert isinstance(story.error, FivetranSyncFailed) == (plan is not LONGER)
        assert story.triggers == []

    def test_a_task_that_syncs_twice_in_one_try_does(self, blocking):
        class Twice(FivetranOperator):
            def execute(self, context):
                super().execute(context)
                return super().execute(context)

        blocking.add(SHORT)
        story = Task(blocking).lives(kind=Twice).ended_well()
        assert len(story.triggers) == 2


@pytest.mark.at_once
class TestChanged:
    def test_another_connection_is_synced_and_the_first_is_put_back(self, way):
        way.add(ENDLESS, schedule_type="auto")
        way.sim.add_connection(OTHER, default_plan=SHORT)
        task = Task(way, **RESTORED).dies()
        assert way.sim.account.connection(ID).schedule_type == "manual"
        story = task.retried().lives(connector_id=OTHER)
        assert story.error is None
        assert story.record["connection_id"] == OTHER
        assert [request.path for request in story.triggers] == [f"/v1/connections/{OTHER}/sync"]
        assert runs(way) == ["RUNNING"]
        assert way.sim.account.connection(ID).schedule_type == "auto"

    def test_what_a_try_changed_that_never_triggered_is_put_back_whole(self, blocking):
        blocking.add(SHORT, paused=True, schedule_type="auto")
        blocking.sim.add_connection(OTHER, default_plan=SHORT)
        task = Task(blocking, when_paused="unpause_and_restore", **RESTORED)
        task.store.dies_at = lambda note: note["memo"]["ticket"] is None
        task.dies()
        task.store.dies_at = lambda note: False
        blocking.sim.account.set_schedule_type(ID, "manual")  # as the request did that it died after
        blocking.sim.unpause(ID)
        assert task.retried().lives(connector_id=OTHER).error is None
        connection = blocking.sim.account.connection(ID)
        assert (connection.paused, connection.schedule_type) == (True, "auto")

    def test_other_tables_are_synced_again(self, way):
        way.add(LONGER, SHORT)
        task = Task(way, FivetranResyncOperator, scope={"shop": ["orders"]}).dies()
        story = task.retried().lives(scope={"shop": ["payments"]}).ended_well()
        assert len(story.triggers) == 1
        assert [run.tables for run in way.sim.accepted(ID)] == [{"shop": ["orders"]}, {"shop": ["payments"]}]

    def test_the_same_tables_are_not(self, way):
        way.add(LONGER)
        task = Task(way, FivetranResyncOperator, scope={"shop": ("orders",)}).dies()
        task.retried().lives().ended_well()
        assert len(runs(way)) == 1

    def test_the_end_of_another_sync_is_not_this_ones(self, way):
        way.add(SHORT)
        way.sim.add_connection(OTHER, default_plan=SHORT)
        task = Task(way)
        task.lives().ended_well()
        assert task.retried().lives(connector_id=OTHER).record["connection_id"] == OTHER
        assert runs(way, OTHER) == ["COMPLETED"]


class TestAStoreThatFails:
    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            ("get", "what an earlier try of this task may have noted cannot be read"),
            ("set", "how far this task has come cannot be noted"),
            ("delete", "what this task has noted cannot be deleted"),
        ],
    )
    @pytest.mark.parametrize("plan", [SHORT, BAD], ids=["success", "failure"])
    def test_is_said_once_and_stops_nothing(self, blocking, caplog, broken, said, plan):
        blocking.add(plan)
        task = Task(blocking)
        if broken == "set":  # after what must be noted before anything is sent
            blocking.heard.at("POST", SYNC, lambda: task.store.broken.add("set"))
        else:
            task.store.broken = {broken}
        story = task.lives()
        _ = story.ended_well() if plan is SHORT else story.failed(FivetranSyncFailed)
        warnings = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
        expected = 0 if (broken, plan) == ("delete", SHORT) else 1
        assert sum(text.startswith(said) for text in warnings) == expected

    def test_over_a_deferral_too(self, deferrable):
        deferrable.add(SHORT, schedule_type="auto")
        task = Task(deferrable, **RESTORED)
        task.store.broken = {"get", "delete"}
        deferrable.heard.at("POST", SYNC, lambda: task.store.broken.add("set"))
        task.lives().ended_well()
        assert deferrable.sim.account.connection(ID).schedule_type == "auto"

    def test_when_it_cannot_be_read_a_sync_that_may_be_ours_is_not_stopped(self, way):
        way.add(LONGER)
        task = Task(way, when_running="restart").dies()
        task.store.broken = {"get"}
        task.retried().lives().ended_well()
        assert runs(way) == ["COMPLETED"]

    def test_what_nobody_wrote_is_taken_for_nothing(self, way):
        way.add(SHORT)
        task = Task(way).dies()
        task.store.amend(lambda note: note.pop("memo"))
        task.retried().lives().ended_well()


@pytest.mark.at_once
class TestADeferralThatFails:
    """The trigger sends no event: Airflow resumes the task only to let it fail."""

    POLICIES = RESTORED | {"when_paused": "unpause_and_restore"}

    @pytest.mark.parametrize("has_store", [True, False], ids=["store", "xcom"])
    @pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"])
    def test_out_of_time_a_sync_that_must_not_outlive_the_task_is_stopped(self, deferrable, has_store, error):
        task = self._failed(deferrable, error, has_store=has_store, when_killed="stop")
        assert self._is_as_found(deferrable, paused=True)
        assert runs(deferrable) == ["PAUSED"]
        assert task.store.note is None

    @pytest.mark.parametrize("has_store", [True, False], ids=["store", "xcom"])
    @pytest.mark.parametrize(
        ("error", "when_killed"),
        [("Trigger timeout", "leave"), ("Trigger failure", "leave"), ("Trigger failure", "stop")],
    )
    def test_otherwise_the_sync_goes_on_and_the_rest_is_put_back(
        self, deferrable, has_store, error, when_killed
    ):
        self._failed(deferrable, error, has_store=has_store, when_killed=when_killed)
        assert self._is_as_found(deferrable, paused=False)
        assert runs(deferrable) == ["RUNNING"]

    def test_a_retry_after_a_trigger_that_died_goes_on_with_its_sync(self, deferrable):
        task = self._failed(deferrable, "Trigger failure", plan=SyncPlan(duration=1.5))
        story = task.retried().lives().ended_well()
        assert story.triggers == []
        assert self._is_as_found(deferrable, paused=True)

    def _failed(self, way, error, *, plan=ENDLESS, **arguments):
        way.add(plan, paused=True, schedule_type="auto")
        task = Task(way, **self.POLICIES, **arguments).dies()
        with pytest.raises(Exception, match=error) as caught:
            task.resumed("__fail__", error=error)
        assert type(caught.value).__name__ in {"TaskDeferralTimeout", "TaskDeferralError"}
        return task

    @staticmethod
    def _is_as_found(way, *, paused):
        connection = way.sim.account.connection(ID)
        return (connection.paused, connection.schedule_type) == (paused, "auto")


def older(way, *kind, **arguments):
    return Task(way, *kind, has_store=False, **arguments)


@pytest.mark.at_once
class TestWithoutAStore:
    @pytest.mark.parametrize("when_running", ["attach", "restart", "queue"])
    def test_a_retry_takes_a_running_sync_as_its_own(self, way, when_running):
        way.add(LONGER)
        story = older(way, when_running=when_running).dies().retried().lives().ended_well()
        assert story.triggers == []
        assert runs(way) == ["COMPLETED"]

    def test_a_retry_that_is_to_fail_when_a_sync_runs_fails(self, way):
        way.add(ENDLESS)
        older(way, when_running="fail").dies().retried().lives().failed(FivetranSyncRunning)

    @pytest.mark.parametrize("when_running", ["attach", "restart", "queue", "fail"])
    def test_a_retry_triggers_when_none_runs(self, blocking, when_running):
        blocking.add(SHORT)
        task = older(blocking, when_running=when_running).dies()
        everything_ended(blocking)
        assert len(task.retried().lives().ended_well().triggers) == 1

    def test_a_first_try_restarts_all_the_same(self, way):
        way.add(ENDLESS, SHORT)
        way.sim.start_sync(ID)
        story = older(way, when_running="restart").lives().ended_well()
        assert [request.body["force"] for request in story.triggers] == [True]

    def test_a_retry_takes_a_running_resync_as_its_own(self, way):
        way.add(LONGER)
        story = older(way, FivetranResyncOperator).dies().retried().lives().ended_well()
        assert story.triggers == []

    @pytest.mark.parametrize("scope", [None, {"shop": ["orders"]}], ids=["everything", "tables"])
    def test_a_sync_that_runs_is_not_the_resync_of_the_retry(self, way, scope):
        way.add(SHORT, SHORT)
        way.sim.start_sync(ID)
        task = older(way, FivetranResyncOperator, scope=scope).retried()
        assert len(task.lives().ended_well().triggers) == 1

    def test_a_resync_of_tables_is_never_known_again(self, way):
        way.add(LONGER, SHORT)
        task = older(way, FivetranResyncOperator, scope={"shop": ["orders"]}).dies()
        assert len(task.retried().lives().ended_well().triggers) == 1
        assert runs(way) == ["COMPLETED", "COMPLETED"]
