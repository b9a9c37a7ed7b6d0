"""Many connections in one task that loses something: an answer, its notes, the time to read its Airflow connection."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_fivetran.core import setbacks, triggering
from airflow_provider_fivetran.core.packing import unpack
from airflow_provider_fivetran.exceptions import FivetranError, FivetranSyncsFailed
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.simulator import Fault
from kills import THE_TASK, KilledInstance, killed
from many import ENDLESS, WELL, ManyTask, add, hurried, runs, statuses
from stories import all_events, eventually, execute, rebuilt


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(triggering, "LOOKS_AFTER_LOST_ANSWER", (0.1,))
    monkeypatch.setattr(triggering, "PATIENCE", timedelta(0))
    with hurried():
        yield


def deferral_of(step):
    with pytest.raises(TaskDeferred) as caught:
        step()
    return caught.value


def begun(task):
    return deferral_of(lambda: execute(task.make(), task.context))


def resumed(task, deferral):
    [event] = asyncio.run(all_events(rebuilt(deferral.trigger)))
    return task.make().resume_execution("execute_complete", {"event": event}, task.context)


def back_early(operator, task, deferral):
    """Let a worker come back although no sync has ended."""
    event = {"verdict": "Many", "ended": {}, "waits": deferral.trigger.ticket["waits"]}
    event["errand"] = deferral.trigger.errand
    return operator.resume_execution("execute_complete", {"event": event}, task.context)


def is_killed(task, state="failed", **retries):
    """Let the task be one whose worker Airflow ends."""
    kept = task.ti
    task.ti = KilledInstance(state, **retries)
    task.ti.run_id, task.ti.pushed, task.ti.try_number = kept.run_id, kept.pushed, kept.try_number
    return task


class TestAKillWhileTheAirflowConnectionIsRead:
    @pytest.fixture
    def killed_at_it(self, monkeypatch):
        """Lets a task be killed when it reads its Airflow connection for the first time."""

        def make(operator):
            read, to_come = FivetranHook.get_conn, [operator.on_kill]

            def read_and_die(hook):
                while to_come:
                    to_come.pop()()
                return read(hook)

            monkeypatch.setattr(FivetranHook, "get_conn", read_and_die)
            return operator

        return make

    @pytest.mark.parametrize("when_killed", ["leave", "stop"])
    def test_at_the_beginning_starts_nothing(self, deferrable, killed_at_it, when_killed):
        add(deferrable, *"ab", plan=ENDLESS)
        task = is_killed(ManyTask(deferrable, connector_ids=["a", "b"], when_killed=when_killed))
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            execute(killed_at_it(task.make()), task.context)
        assert runs(deferrable, "a") == runs(deferrable, "b") == []

    def test_at_a_later_visit_stops_what_runs(self, deferrable, killed_at_it):
        deferrable.sim.switches.update(stop_lag=0)
        add(deferrable, *"ab", plan=ENDLESS)
        add(deferrable, "x", "c")
        task = ManyTask(deferrable, connector_ids=["x", *"abc"], max_parallel=3, when_killed="stop")
        task = is_killed(task)
        [event] = asyncio.run(all_events(rebuilt(begun(task).trigger)))
        operator = killed_at_it(task.make())
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            operator.resume_execution("execute_complete", {"event": event}, task.context)
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["PAUSED"]
        assert runs(deferrable, "c") == []
        assert not any(deferrable.sim.account.connection(name).paused for name in "abc")

    def test_at_a_retry_stops_what_an_earlier_try_has_started(self, deferrable, killed_at_it):
        deferrable.sim.switches.update(stop_lag=0)
        add(deferrable, *"ab", plan=ENDLESS)
        task = ManyTask(deferrable, connector_ids=["a", "b"], when_killed="stop", retries=1)
        begun(task)
        eventually(lambda: runs(deferrable, "a") == runs(deferrable, "b") == ["RUNNING"])
        is_killed(task.retried())
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            execute(killed_at_it(task.make()), task.context)
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["PAUSED"]
        assert not any(deferrable.sim.account.connection(name).paused for name in "ab")

    @pytest.mark.parametrize(
        ("key", "reading"), [("fivetran_errand", 1), ("fivetran_errand.a", 1), ("fivetran_errand.b", 2)]
    )
    def test_or_while_it_finds_out_what_that_is(self, deferrable, key, reading):
        deferrable.sim.switches.update(stop_lag=0)
        add(deferrable, *"ab", plan=ENDLESS)
        task = ManyTask(deferrable, connector_ids=["a", "b"], when_killed="stop", retries=1)
        begun(task)
        eventually(lambda: runs(deferrable, "a") == runs(deferrable, "b") == ["RUNNING"])
        is_killed(task.retried())
        operator, read, readings = task.make(), task.store.get, Counter()

        def read_and_die(asked, default=None):
            readings[asked] += 1
            if asked == key and readings[key] == reading:
                operator.on_kill()
            return read(asked, default)

        task.store.get = read_and_die
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            execute(operator, task.context)
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["PAUSED"]
        assert not any(deferrable.sim.account.connection(name).paused for name in "ab")


class TestATriggerWithoutAnAnswer:
    @pytest.fixture
    def in_doubt(self, deferrable):
        """A task whose trigger for b took, unknown to it, and its first deferral. While a runs, c has to wait."""

        def make(plan=ENDLESS, **policy):
            deferrable.sim.switches.update(stop_lag=0)
            add(deferrable, "b", plan=plan)
            add(deferrable, "a", "c", plan=ENDLESS)
            unreadable = Fault("status", "GET", "/v1/connections/b$", status=503, times=None)
            deferrable.sim.faults.add(Fault("lost", "POST", "/b/sync$", times=1))
            deferrable.heard.at("POST", "/b/sync$", lambda: deferrable.sim.faults.add(unreadable))
            task = is_killed(ManyTask(deferrable, connector_ids=["b", "a", "c"], max_parallel=1, **policy))
            return task, begun(task)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setbacks, "COME_BACK", timedelta(seconds=60))
            yield make

    def told(self, task):
        rows = task.ti.xcom_pull(task_ids="task", key="fivetran_syncs")["connections"]
        return {each["connection_id"]: (each["status"], each["reason"]) for each in rows}

    def test_is_told_of_while_the_task_is_deferred(self, deferrable, in_doubt):
        task, deferral = in_doubt()
        assert runs(deferrable, "b") == ["RUNNING"]
        assert self.told(task) == {
            "a": ("running", None),
            "b": ("running", "its trigger may have taken; whether it did is looked for"),
            "c": ("waiting", None),
        }
        assert set(unpack(deferral.trigger.ticket["waits"])) == {"a"}

    def test_is_looked_for_at_the_next_visit_though_all_places_are_taken(self, deferrable, in_doubt):
        task, deferral = in_doubt()
        deferrable.sim.faults.clear()
        following = deferral_of(lambda: back_early(task.make(), task, deferral))
        assert set(unpack(following.trigger.ticket["waits"])) == {"a", "b"}
        assert runs(deferrable, "b") == ["RUNNING"]
        assert runs(deferrable, "c") == []

    def test_is_sent_again_if_it_never_took(self, deferrable):
        add(deferrable, "b")
        unreadable = Fault("status", "GET", "/v1/connections/b$", status=503, times=None)
        deferrable.sim.faults.add(Fault("lost", "POST", "/b/sync$", times=1, takes_effect=False))
        deferrable.heard.at("POST", "/b/sync$", lambda: deferrable.sim.faults.add(unreadable))
        task = ManyTask(deferrable, connector_ids=["b"])
        deferral = begun(task)
        assert runs(deferrable, "b") == []
        deferrable.sim.faults.clear()
        assert resumed(task, deferral_of(lambda: resumed(task, deferral))) == ["b"]
        assert runs(deferrable, "b") == ["COMPLETED"]

    @pytest.mark.parametrize(("when_killed", "status"), [("leave", "RUNNING"), ("stop", "PAUSED")])
    def test_is_unknown_when_the_time_of_the_task_is_over(self, deferrable, in_doubt, when_killed, status):
        task, deferral = in_doubt(total_timeout=2, when_killed=when_killed)
        deferrable.sim.faults.clear()
        with pytest.raises(FivetranSyncsFailed, match="b unknown: the time for all syncs"):
            resumed(task, deferral)
        assert {name: status for name, (status, _) in self.told(task).items()} == {
            "a": "timed_out",
            "b": "unknown",
            "c": "not_started",
        }
        assert runs(deferrable, "a") == runs(deferrable, "b") == [status]

    def test_that_is_over_when_the_time_of_the_task_is_has_its_end(self, deferrable, in_doubt):
        task, deferral = in_doubt(WELL, total_timeout=2)
        deferrable.sim.faults.clear()
        with pytest.raises(FivetranSyncsFailed, match="2 of 3"):
            resumed(task, deferral)
        assert self.told(task)["b"] == ("succeeded", None)

    async def test_is_stopped_when_the_deferred_task_is_marked_failed(self, deferrable, in_doubt, asked):
        _, deferral = await asyncio.to_thread(lambda: in_doubt(when_killed="stop"))
        deferrable.sim.faults.clear()
        trigger = rebuilt(deferral.trigger)
        trigger.task_instance = THE_TASK
        await killed(trigger)
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["PAUSED"]
        assert not deferrable.sim.account.connection("b").paused

    @pytest.mark.parametrize("at", ["the store", "the look"])
    def test_is_stopped_when_a_worker_that_comes_back_to_it_is_ended(self, deferrable, in_doubt, at):
        task, deferral = in_doubt(when_killed="stop")
        deferrable.sim.faults.clear()
        operator = task.make()
        if at == "the store":
            read, to_come = task.store.get, [operator.on_kill]

            def read_and_die(key, default=None):
                while to_come:
                    to_come.pop()()
                return read(key, default)

            task.store.get = read_and_die
        else:
            deferrable.heard.at("GET", "/v1/connections/b$", operator.on_kill)
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            back_early(operator, task, deferral)
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["PAUSED"]
        assert runs(deferrable, "c") == []


class TestNotesThatAreLost:
    def test_an_end_is_known_for_as_long_as_the_task_may_be_retried(self, deferrable):
        add(deferrable, "a")
        for total_timeout, retries, least in ((timedelta(days=7), 2, 21), (timedelta(days=30), 5, 180)):
            task = ManyTask(deferrable, connector_ids=["a"], total_timeout=total_timeout, retries=retries)
            task.lives()
            assert task.store.retentions["fivetran_errand.a"] > timedelta(days=least)

    def test_where_they_cannot_be_read_the_deadline_stays(self, deferrable):
        add(deferrable, "a")
        add(deferrable, "b", "c", plan=ENDLESS)
        task = ManyTask(deferrable, connector_ids=["a", "b", "c"], max_parallel=1, total_timeout=60)
        first = begun(task)
        task.store.get = unreadable
        second = deferral_of(lambda: resumed(task, first))
        assert second.trigger.ticket["deadline"] == first.trigger.ticket["deadline"]
        assert second.trigger.errand["begun_at"] == first.trigger.errand["begun_at"]
        del task.store.get
        noted = task.store.kept["fivetran_errand"]["memo"]
        assert noted["ids"] == ["a", "b", "c"]

    def test_where_a_retry_cannot_read_them_it_says_that_its_time_begins_anew(self, deferrable, caplog):
        add(deferrable, "a", plan=ENDLESS)
        task = ManyTask(deferrable, connector_ids=["a"], total_timeout=60)
        begun(task)
        task.retried().store.get = unreadable
        begun(task)
        assert "total_timeout begins anew" in caplog.text

    def test_where_nothing_can_be_noted_any_more_the_xcom_says_how_far_each_has_come(self, deferrable):
        add(deferrable, "a")
        add(deferrable, "b", plan=ENDLESS)
        add(deferrable, "c", "d")
        task = ManyTask(deferrable, connector_ids=list("abcd"), max_parallel=2)
        deferral = begun(task)
        task.store.broken = True
        with pytest.raises(FivetranError, match="nothing was changed or triggered"):
            resumed(task, deferral)
        assert of(task) == {"a": "succeeded", "b": "running", "c": "not_started", "d": "waiting"}

    def test_an_xcom_that_cannot_be_pushed_hides_no_error(self, deferrable):
        add(deferrable, "a", "b")
        task = ManyTask(deferrable, connector_ids=["a", "b"], max_parallel=1)
        deferral = begun(task)
        task.store.broken = True
        task.ti.xcom_push = unreadable
        with pytest.raises(FivetranError, match="nothing was changed or triggered"):
            resumed(task, deferral)

    def test_a_key_that_never_worked_is_told_for_each(self, deferrable):
        deferrable.sim.faults.add(Fault("status", "GET", ".*", status=401, times=None))
        add(deferrable, "a")
        story = ManyTask(deferrable, connector_ids=["a"]).lives()
        assert "FivetranUnauthorized" in repr(story.error.__cause__)
        assert statuses(story) == {"a": "not_started"}


def unreadable(*_args, **_kwargs):
    raise RuntimeError("the store is not there")


def of(task):
    rows = task.ti.xcom_pull(task_ids="task", key="fivetran_syncs")["connections"]
    return {each["connection_id"]: each["status"] for each in rows}
