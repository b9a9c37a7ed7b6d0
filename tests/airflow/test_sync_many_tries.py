"""Many connections in one task that is retried, cleared, killed or handed over: no sync is started twice, or lost."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_fivetran.core.packing import unpack
from airflow_provider_fivetran.exceptions import FivetranError, FivetranSyncsFailed
from airflow_provider_fivetran.operators import FivetranSyncManyOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from deaths import Life, nursery
from kills import THE_TASK, KilledInstance, killed
from many import BADLY, ENDLESS, WELL, DiedError, ManyTask, add, hurried, runs, statuses
from stories import QUICK, Way, all_events, eventually, execute, rebuilt

PAUSED_BEFORE = {"when_paused": "unpause_and_restore"}
SYNC = r"/sync$"


@pytest.fixture(autouse=True)
def in_a_hurry():
    with hurried():
        yield


def everything_ended(way, *names):
    eventually(lambda: all(run.ended_at for name in names for run in way.sim.accepted(name)))


def is_green(story):
    if story.error is not None:
        raise AssertionError("it is red") from story.error
    return True


def deferral_of(task):
    with pytest.raises(TaskDeferred) as caught:
        execute(task.make(), task.context)
    return caught.value


class TestARetry:
    def test_syncs_only_what_did_not_end_well(self, deferrable):
        add(deferrable, "a", "c")
        deferrable.sim.add_connection("b", plans=[BADLY], default_plan=WELL)
        task = ManyTask(deferrable, connector_ids=["a", "b", "c"])
        assert isinstance(task.lives().error, FivetranSyncsFailed)
        story = task.retried().lives()
        assert is_green(story)
        assert statuses(story) == dict.fromkeys("abc", "succeeded")
        assert story.value == ["a", "b", "c"]
        assert runs(deferrable, "a") == runs(deferrable, "c") == ["COMPLETED"]
        assert runs(deferrable, "b") == ["FAILURE", "COMPLETED"]
        assert {request.path.split("/")[3] for request in story.requests if request.method == "POST"} == {"b"}

    def test_leaves_alone_what_was_fresh_when_the_task_began(self, deferrable):
        begun = datetime.now(UTC)
        add(deferrable, "young", succeeded_at=begun)
        deferrable.sim.add_connection("bad", plans=[BADLY], default_plan=WELL, succeeded_at=None)
        task = ManyTask(deferrable, connector_ids=["young", "bad"], fresh_within=3)
        assert statuses(task.lives()) == {"young": "fresh", "bad": "failed"}
        eventually(lambda: datetime.now(UTC) > begun + timedelta(seconds=4))
        story = task.retried().lives()
        assert is_green(story)
        assert statuses(story) == {"young": "fresh", "bad": "succeeded"}
        assert runs(deferrable, "young") == []

    def test_does_not_choose_anew(self, deferrable):
        """What failed at first has synced well by then, and what did not belong to it may fail in between."""
        ago = datetime.now(UTC) - timedelta(hours=1)
        deferrable.sim.add_connection("a", plans=[BADLY], default_plan=WELL, failed_at=ago)
        deferrable.sim.add_connection("b", default_plan=WELL, failed_at=ago)
        task = ManyTask(deferrable, only_failed=True)
        task.lives()
        add(deferrable, "later", failed_at=ago)
        story = task.retried().lives()
        assert is_green(story)
        assert statuses(story) == {"a": "succeeded", "b": "succeeded"}

    def test_goes_on_with_what_still_runs(self, deferrable):
        add(deferrable, "a", "b", plan=SyncPlan(duration=1.5))
        task = ManyTask(deferrable, connector_ids=["a", "b"])
        deferral_of(task)
        story = task.retried().lives()
        assert is_green(story)
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["COMPLETED"]

    def test_of_a_task_whose_worker_died_at_its_very_end_starts_nothing(self, deferrable):
        add(deferrable, "a", "b")
        task = ManyTask(deferrable, connector_ids=["a", "b"])
        task.lives()
        story = task.retried().lives()
        assert is_green(story)
        assert story.value == ["a", "b"]
        assert story.requests == []

    @pytest.fixture
    def lost(self, deferrable):
        """A task that was lost when the first two of four syncs had failed, and the other two ran."""

        def make(**policy):
            deferrable.sim.switches.update(stop_lag=0)
            for name in "ab":
                deferrable.sim.add_connection(name, plans=[BADLY], default_plan=ENDLESS)
            add(deferrable, "c", "d", plan=ENDLESS)
            task = ManyTask(deferrable, connector_ids=list("abcd"), max_parallel=2, **policy)
            deferral = deferral_of(task)
            while not runs(deferrable, "c") == runs(deferrable, "d") == ["RUNNING"]:
                [event] = asyncio.run(all_events(rebuilt(deferral.trigger)))
                with pytest.raises(TaskDeferred) as caught:
                    task.make().resume_execution("execute_complete", {"event": event}, task.context)
                deferral = caught.value
                eventually(lambda: all(len(runs(deferrable, name)) <= 1 for name in "abcd"))
            return task.retried()

        return make

    def test_takes_up_what_runs_before_it_starts_more(self, deferrable, lost):
        deferral_of(lost())
        assert [runs(deferrable, name) for name in "ab"] == [["FAILURE"]] * 2
        assert [runs(deferrable, name) for name in "cd"] == [["RUNNING"]] * 2

    async def test_that_is_killed_stops_what_an_earlier_try_has_started(self, deferrable, lost, asked):
        deferral = await asyncio.to_thread(lambda: deferral_of(lost(when_killed="stop")))
        trigger = rebuilt(deferral.trigger)
        trigger.task_instance = THE_TASK
        await killed(trigger)
        assert [runs(deferrable, name) for name in "cd"] == [["PAUSED"]] * 2

    def test_that_comes_too_late_tells_how_the_syncs_of_an_earlier_try_stand(self, deferrable):
        deferrable.sim.switches.update(stop_lag=0)
        add(deferrable, "a")
        add(deferrable, "b", "c", plan=ENDLESS, schedule_type="auto")
        task = ManyTask(
            deferrable,
            connector_ids=["a", "b", "c"],
            max_parallel=1,
            total_timeout=3,
            when_killed="stop",
            schedule_type="manual",
            restore_schedule=True,
        )
        [event] = asyncio.run(all_events(rebuilt(deferral_of(task).trigger)))
        with pytest.raises(TaskDeferred):
            task.make().resume_execution("execute_complete", {"event": event}, task.context)
        threading.Event().wait(3)
        story = task.retried().lives()
        assert statuses(story) == {"a": "succeeded", "b": "timed_out", "c": "not_started"}
        assert runs(deferrable, "b") == ["PAUSED"]
        assert deferrable.sim.account.connection("b").schedule_type == "auto"

    def test_has_its_own_time_after_the_time_was_over(self, deferrable):
        add(deferrable, "a", plan=SyncPlan(duration=2))
        task = ManyTask(deferrable, connector_ids=["a"], total_timeout=1)
        assert statuses(task.lives()) == {"a": "timed_out"}
        task.arguments["total_timeout"] = 20
        assert is_green(task.retried().lives())
        assert runs(deferrable, "a") == ["COMPLETED"]

    def test_on_an_airflow_that_keeps_nothing_takes_what_runs_and_syncs_the_rest_again(self, deferrable):
        deferrable.sim.add_connection("a", default_plan=WELL)
        deferrable.sim.add_connection("b", default_plan=SyncPlan(duration=2))
        task = ManyTask(deferrable, has_store=False, connector_ids=["a", "b"])
        deferral_of(task)
        everything_ended(deferrable, "a")
        assert is_green(task.retried().lives())
        assert runs(deferrable, "a") == ["COMPLETED", "COMPLETED"]
        assert runs(deferrable, "b") == ["COMPLETED"]

    def test_on_such_an_airflow_a_task_comes_through_its_deferrals(self, deferrable):
        add(deferrable, *"abcd", schedule_type="auto")
        story = ManyTask(
            deferrable,
            has_store=False,
            connector_ids=list("abcd"),
            max_parallel=2,
            schedule_type="manual",
            restore_schedule=True,
        ).lives()
        assert is_green(story)
        assert [runs(deferrable, name) for name in "abcd"] == [["COMPLETED"]] * 4
        assert {deferrable.sim.account.connection(name).schedule_type for name in "abcd"} == {"auto"}


class TestWhatATryHasChangedBeforeItDied:
    """Its worker is gone after b was unpaused, and before its sync was triggered. While a runs, b has to wait."""

    @pytest.fixture
    def changed(self, deferrable):
        def make(**policy):
            add(deferrable, "a", "c", plan=ENDLESS)
            add(deferrable, "b", paused=True)
            task = ManyTask(
                deferrable, connector_ids=["a", "b", "c"], max_parallel=2, **PAUSED_BEFORE, **policy
            )
            task.store.dies_before = lambda key, value: (
                key == "fivetran_errand.b" and value["memo"]["ticket"] is not None
            )
            with pytest.raises(DiedError):
                execute(task.make(), task.context)
            assert not deferrable.sim.account.connection("b").paused
            task.store.dies_before = lambda _key, _value: False
            task.arguments["max_parallel"] = 1
            return task

        return make

    def test_is_put_back_before_its_turn_comes(self, deferrable, changed):
        trigger = deferral_of(changed().retried()).trigger
        assert set(unpack(trigger.ticket["waits"])) == {"a"}
        assert deferrable.sim.account.connection("b").paused
        assert runs(deferrable, "b") == []

    def test_is_changed_again_when_it_comes(self, deferrable, changed):
        task = changed()
        task.arguments["max_parallel"] = 3
        deferral_of(task.retried())
        eventually(lambda: runs(deferrable, "b") == ["COMPLETED"])

    def test_is_put_back_when_the_time_is_over(self, deferrable, changed):
        task = changed()
        task.arguments["total_timeout"] = 0.001
        assert statuses(task.retried().lives())["b"] == "not_started"
        assert deferrable.sim.account.connection("b").paused

    def test_is_put_back_when_the_next_try_is_killed_at_its_beginning(self, deferrable, changed):
        task = changed(when_killed="leave").retried()
        kept, task.ti = task.ti, KilledInstance("failed")
        task.ti.run_id, task.ti.pushed, task.ti.try_number = kept.run_id, kept.pushed, kept.try_number
        operator, read = task.make(), task.store.get

        def read_and_die(key, default=None):
            if key == "fivetran_errand.c":
                operator.on_kill()
            return read(key, default)

        task.store.get = read_and_die
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            execute(operator, task.context)
        assert deferrable.sim.account.connection("b").paused

    def test_is_put_back_and_not_synced_where_the_next_try_wants_others(self, deferrable, changed):
        task = changed()
        task.arguments["connector_ids"] = ["a", "c"]
        deferral_of(task.retried())
        told = json.loads(task.ti.pushed["fivetran_syncs"])["connections"]
        assert [each["connection_id"] for each in told] == ["a", "c"]
        assert deferrable.sim.account.connection("b").paused
        assert runs(deferrable, "b") == []


class TestAClearedTask:
    def test_syncs_all_once_more(self, deferrable):
        add(deferrable, "a", "b")
        task = ManyTask(deferrable, connector_ids=["a", "b"])
        task.lives()
        assert is_green(task.cleared().lives())
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["COMPLETED"] * 2

    def test_that_chooses_others_sees_to_those_of_before_too(self, deferrable):
        """They may run, or have to be put back."""
        ago = datetime.now(UTC) - timedelta(hours=1)
        long = SyncPlan(duration=1.5)
        add(deferrable, "old", plan=long, failed_at=ago, paused=True)
        task = ManyTask(deferrable, only_failed=True, **PAUSED_BEFORE)
        deferral_of(task)
        eventually(lambda: runs(deferrable, "old") == ["RUNNING"])
        deferrable.sim.account.connection("old").succeeded_at = datetime.now(UTC)
        add(deferrable, "new", failed_at=ago)
        story = task.cleared().lives()
        assert is_green(story)
        assert sorted(statuses(story)) == ["new", "old"]
        assert runs(deferrable, "old") == ["COMPLETED"]
        assert deferrable.sim.account.connection("old").paused


class TestATriggererThatHandsOver:
    def test_starts_nothing_twice_and_finds_the_ends_again(self, deferrable):
        add(deferrable, *"abc")
        task = ManyTask(deferrable, connector_ids=list("abc"))
        trigger = deferral_of(task).trigger
        before = deferrable.sim.count("POST")

        async def stalled_and_taken_over():
            first, second = rebuilt(trigger), rebuilt(trigger)
            gone = asyncio.create_task(all_events(first))
            await asyncio.sleep(0.2)
            both = await asyncio.gather(gone, all_events(second))
            cut = asyncio.create_task(all_events(rebuilt(trigger)))
            await asyncio.sleep(0)
            cut.cancel()
            with suppress(asyncio.CancelledError):
                await cut
            return both

        events = asyncio.run(stalled_and_taken_over())
        assert [sorted(event["ended"]) for [event] in events] == [list("abc")] * 2
        assert deferrable.sim.count("POST") == before
        value = task.make().resume_execution("execute_complete", {"event": events[1][0]}, task.context)
        assert value == list("abc")

    @pytest.mark.parametrize("error", ["Trigger failure", "Trigger timeout"])
    def test_or_dies_loses_nothing_that_has_ended(self, deferrable, error):
        add(deferrable, "a")
        add(deferrable, "b", plan=ENDLESS)
        task = ManyTask(deferrable, connector_ids=["a", "b", "c"], max_parallel=2)
        deferral_of(task)
        everything_ended(deferrable, "a")
        with pytest.raises(Exception, match=r"[Tt]rigger|did not sync well"):
            task.make().resume_execution("__fail__", {"error": error}, task.context)
        told = json.loads(task.ti.pushed["fivetran_syncs"])["connections"]
        found = {each["connection_id"]: each["status"] for each in told}
        if error == "Trigger timeout":
            assert found == {"a": "succeeded", "b": "timed_out", "c": "not_started"}
        else:
            assert found == {"a": "succeeded", "b": "unknown", "c": "waiting"}
        assert deferrable.sim.count("POST") == 2

    def test_or_dies_says_so_of_what_had_to_be_started_after_it(self, deferrable):
        add(deferrable, "a", plan=SyncPlan(duration=0.5))
        deferrable.sim.start_sync("a")
        task = ManyTask(deferrable, connector_ids=["a"], when_running="queue")
        deferral_of(task)
        eventually(lambda: deferrable.sim.runs("a")[-1].ended_at)
        with pytest.raises(Exception, match="Trigger failure"):
            task.make().resume_execution("__fail__", {"error": "Trigger failure"}, task.context)
        [told] = json.loads(task.ti.pushed["fivetran_syncs"])["connections"]
        assert told["status"] == "not_started"
        assert told["reason"].startswith("its sync was not started: Trigger failure")
        assert len(deferrable.sim.runs("a")) == 1

    @pytest.mark.parametrize("event", [None, {}, {"verdict": "Many"}, {"verdict": "Succeeded"}])
    def test_what_is_no_event_of_ours_is_no_success(self, deferrable, event):
        add(deferrable, "a", plan=ENDLESS)
        task = ManyTask(deferrable, connector_ids=["a"])
        deferral_of(task)
        with pytest.raises(FivetranError, match="the trigger sent"):
            task.make().resume_execution("execute_complete", {"event": event}, task.context)


class TestAPersonEndsIt:
    @pytest.fixture
    def waiting(self, deferrable, asked):
        """The trigger of a task with two syncs that run and one whose turn has not come."""

        def make(**policy):
            deferrable.sim.switches.update(stop_lag=0)
            add(deferrable, *"abc", plan=ENDLESS, schedule_type="auto")
            kept = {"schedule_type": "manual", "restore_schedule": True}
            task = ManyTask(deferrable, connector_ids=list("abc"), max_parallel=2, **kept, **policy)
            trigger = rebuilt(deferral_of(task).trigger)
            trigger.task_instance = THE_TASK
            eventually(lambda: runs(deferrable, "a") == runs(deferrable, "b") == ["RUNNING"])
            return trigger

        return make

    def found(self, way):
        return [(runs(way, name), way.sim.account.connection(name).schedule_type) for name in "abc"]

    async def test_while_it_waits_its_syncs_are_stopped(self, deferrable, waiting, asked):
        await killed(waiting(when_killed="stop"))
        assert asked == [THE_TASK]
        assert self.found(deferrable) == [(["PAUSED"], "auto"), (["PAUSED"], "auto"), ([], "auto")]
        assert not any(deferrable.sim.account.connection(name).paused for name in "abc")

    async def test_while_it_waits_its_syncs_are_left_and_the_rest_is_put_back(self, deferrable, waiting):
        await killed(waiting(when_killed="leave"))
        assert self.found(deferrable) == [(["RUNNING"], "auto"), (["RUNNING"], "auto"), ([], "auto")]

    async def test_but_not_where_the_task_goes_on_elsewhere(self, deferrable, waiting, asked):
        asked.state = "deferred"
        await killed(waiting(when_killed="stop"))
        assert self.found(deferrable)[:2] == [(["RUNNING"], "manual"), (["RUNNING"], "manual")]

    @pytest.mark.parametrize(
        ("state", "retries", "when_killed", "expected"),
        [
            ("failed", 0, "stop", ["PAUSED", "auto"]),
            ("failed", 0, "leave", ["RUNNING", "auto"]),
            ("running", 2, "stop", ["RUNNING", "manual"]),
        ],
    )
    def test_in_the_worker_all_that_it_has_started_are_seen_to(
        self, deferrable, state, retries, when_killed, expected
    ):
        """Two were started at an earlier visit, and one has been when the signal comes; another is being started."""
        deferrable.sim.switches.update(stop_lag=0)
        add(deferrable, *"abcd", "x", plan=ENDLESS, schedule_type="auto")
        deferrable.sim.set_plan("x", SyncPlan(duration=0.2))
        task = ManyTask(
            deferrable,
            connector_ids=["x", *"abcd"],
            max_parallel=3,
            when_killed=when_killed,
            schedule_type="manual",
            restore_schedule=True,
        )
        kept = task.ti
        task.ti = KilledInstance(state, retries=retries)
        task.ti.run_id, task.ti.pushed = kept.run_id, kept.pushed
        [event] = asyncio.run(all_events(rebuilt(deferral_of(task).trigger)))
        assert list(event["ended"]) == ["x"]
        signal = threading.Event()
        # While its answer is on the way, the other connections are served.
        deferrable.sim.faults.add(Fault("slow", "POST", "/v1/connections/c/sync$", delay=6.0))
        deferrable.heard.at("POST", "/v1/connections/c/sync$", signal.set)
        operator = task.make()
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(
                operator.resume_execution, "execute_complete", {"event": event}, task.context
            )
            assert signal.wait(10)
            began = datetime.now(UTC)
            operator.on_kill()
            assert datetime.now(UTC) - began < timedelta(seconds=5)
            with pytest.raises(FivetranError, match="Airflow ended the task"):
                running.result(timeout=20)
        for name in "ab":
            [status] = runs(deferrable, name)
            assert [status, deferrable.sim.account.connection(name).schedule_type] == expected
            assert not deferrable.sim.account.connection(name).paused
        assert runs(deferrable, "d") == []

    @pytest.mark.parametrize("at", ["fivetran_syncs", "fivetran_errands"])
    def test_in_a_worker_that_has_just_come_back_they_are_stopped_too(self, deferrable, at):
        deferrable.sim.switches.update(stop_lag=0)
        add(deferrable, *"ab", plan=ENDLESS)
        add(deferrable, "x", "c")
        task = ManyTask(
            deferrable,
            has_store=at == "fivetran_syncs",
            connector_ids=["x", *"abc"],
            max_parallel=3,
            when_killed="stop",
        )
        kept = task.ti
        task.ti = KilledInstance("failed")
        task.ti.run_id, task.ti.pushed = kept.run_id, kept.pushed
        [event] = asyncio.run(all_events(rebuilt(deferral_of(task).trigger)))
        operator, pull = task.make(), task.ti.xcom_pull

        def pull_and_die(**which):
            if which["key"] == at:
                operator.on_kill()
            return pull(**which)

        task.ti.xcom_pull = pull_and_die
        with pytest.raises(FivetranError, match="Airflow ended the task"):
            operator.resume_execution("execute_complete", {"event": event}, task.context)
        assert runs(deferrable, "a") == runs(deferrable, "b") == ["PAUSED"]
        assert runs(deferrable, "c") == []


class ManyWay(Way):
    """The same for tasks of many connections, which are always deferrable."""

    def arguments(self, kind: type, **arguments: Any) -> dict[str, Any]:
        return {"task_id": "task", "fivetran_conn_id": self.conn_id, **QUICK, **arguments}


@dataclass
class Killed:
    """A task of three connections, of which two may run at once, whose worker is killed at a point."""

    way: Way
    folder: Path

    def life(self, die_at: int | None) -> Life:
        self.way.sim.reset()
        self.way.declare()
        add(self.way, "a", "c", schedule_type="auto")
        add(self.way, "b", plan=BADLY, schedule_type="auto")
        given = {
            "connector_ids": ["a", "b", "c"],
            "max_parallel": 2,
            "schedule_type": "manual",
            "restore_schedule": True,
        }
        way = ManyWay(self.way.name, self.way.sim, self.way.conn_id, deferrable=True)
        looks = {"LOOKS_AFTER_LOST_ANSWER": (0.3, 0.5)}
        life = Life(way, FivetranSyncManyOperator, given, self.folder / str(die_at), looks=looks)
        life.live(die_at=die_at)
        where = f"killed at {die_at}: {[(name, runs(self.way, name)) for name in 'abc']}, {life.error}"
        assert life.error.startswith("FivetranSyncsFailed"), where
        assert "1 of 3 Fivetran connections" in life.error, where
        assert runs(self.way, "a") == runs(self.way, "c") == ["COMPLETED"], where
        # A failure that was seen is forgotten: the next try is a new one.
        assert set(runs(self.way, "b")) == {"FAILURE"}, where
        assert len(runs(self.way, "b")) <= 2, where
        kinds = {self.way.sim.account.connection(name).schedule_type for name in "abc"}
        assert kinds == {"auto"}, where
        return life


@pytest.mark.newest  # what a task finds after a death is in the task state store
@pytest.mark.timeout(900)
def test_a_worker_that_is_killed_at_any_point_starts_no_sync_twice(deferrable):
    """With ``KILL_AT_EVERY_POINT`` set really at each; otherwise at each seventh."""
    nursery()
    step = 1 if os.environ.get("KILL_AT_EVERY_POINT") else 7
    with TemporaryDirectory() as folder:
        task = Killed(deferrable, Path(folder))
        points = range(1, task.life(None).points + 1, step)
        deaths = sum(task.life(point).deaths for point in points)
    sys.stdout.write(f"many at once: killed at {deaths} of {points.stop - 1} points\n")
    assert deaths >= len(points) / 2


def test_a_worker_that_was_given_up_starts_nothing(deferrable):
    add(deferrable, *"abc")
    task = ManyTask(deferrable, connector_ids=list("abc"), max_parallel=1)
    [event] = asyncio.run(all_events(rebuilt(deferral_of(task).trigger)))
    task.store.broken = True
    with pytest.raises(FivetranError, match="nothing was changed or triggered"):
        task.make().resume_execution("execute_complete", {"event": event}, task.context)
    assert deferrable.sim.count("POST", SYNC) == 1
