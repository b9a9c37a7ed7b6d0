"""Many connections in one task: what becomes of each, and of the task."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    AssetAlias,
    TaskDeferred,
)

from airflow_provider_fivetran.assets import connection_asset
from airflow_provider_fivetran.core import triggering
from airflow_provider_fivetran.core.packing import unpack
from airflow_provider_fivetran.exceptions import (
    FivetranLookupError,
    FivetranSyncsFailed,
    FivetranSyncsNeedAttention,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranSyncManyOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from many import BADLY, ENDLESS, WELL, ManyTask, add, hurried, runs, statuses
from stories import IS_AIRFLOW_2, Story, all_events, eventually, execute, rebuilt

try:
    from airflow.sdk.execution_time.context import OutletEventAccessors
except ImportError:  # Airflow 2
    from airflow.utils.context import OutletEventAccessors

LIST = r"/v1/connections$"


@pytest.fixture(autouse=True)
def in_a_hurry():
    with hurried():
        yield


def is_green(story):
    if story.error is not None:
        raise AssertionError("it is red") from story.error
    return True


def row(story, name):
    return next(each for each in story.xcom("fivetran_syncs")["connections"] if each["connection_id"] == name)


class TestResults:
    def test_each_is_synced_once_and_all_are_told(self, deferrable):
        add(deferrable, "a", "b", "c")
        story = ManyTask(deferrable, connector_ids=["a", "b", "c"]).lives()
        assert is_green(story)
        assert statuses(story) == dict.fromkeys("abc", "succeeded")
        assert story.value == ["a", "b", "c"]
        assert [runs(deferrable, name) for name in "abc"] == [["COMPLETED"]] * 3
        ended_at = deferrable.sim.runs("a")[-1].ended_at
        assert datetime.fromisoformat(row(story, "a")["ended_at"]) == ended_at
        assert row(story, "a")["link"] == "https://fivetran.com/dashboard/connections/a"

    def test_what_failed_is_told_with_reason_and_link_and_the_rest_is_done(self, deferrable, caplog):
        caplog.set_level(logging.INFO)
        add(deferrable, "a", "c")
        add(deferrable, "b", plan=BADLY)
        story = ManyTask(deferrable, connector_ids="a,b,c").lives()
        assert type(story.error) is FivetranSyncsFailed
        assert statuses(story) == {"a": "succeeded", "b": "failed", "c": "succeeded"}
        failed = row(story, "b")
        assert (failed["error"], failed["permanent"]) == ("FivetranSyncFailed", False)
        assert "the source is locked" in failed["reason"]
        assert "1 of 3 Fivetran connections did not sync well" in str(story.error)
        assert "b failed: The Fivetran sync of " in str(story.error)
        assert str(story.error).count("https://") == 1
        assert "the source is locked" in str(story.error)
        assert story.error.link.endswith("/b")
        assert story.xcom("fivetran_link").endswith("/b")
        told = [line for line in caplog.messages if line.startswith(("a ", "b ", "c "))]
        assert sorted(line.split()[1].strip(":") for line in told) == ["failed", "succeeded", "succeeded"]
        assert "3 Fivetran connections: 2 succeeded, 1 failed" in caplog.messages

    def test_what_no_retry_mends_fails_the_task_at_once(self, deferrable):
        add(deferrable, "a")
        add(deferrable, "resting", paused=True)
        story = ManyTask(deferrable, connector_ids=["a", "resting", "gone"]).lives()
        assert isinstance(story.error, AirflowFailException)
        assert isinstance(story.cause, FivetranSyncsNeedAttention)
        assert statuses(story) == {"a": "succeeded", "resting": "not_started", "gone": "not_started"}
        assert row(story, "resting")["error"] == "FivetranConnectionPaused"
        assert row(story, "gone")["error"] == "FivetranNotFound"

    def test_what_may_be_mended_by_a_retry_leaves_the_others_their_retry(self, deferrable):
        add(deferrable, "bad", plan=BADLY)
        add(deferrable, "resting", paused=True)
        assert (
            type(ManyTask(deferrable, connector_ids=["bad", "resting"]).lives().error) is FivetranSyncsFailed
        )

    def test_the_policies_of_a_sync_hold_for_each(self, deferrable):
        old = datetime.now(UTC) - timedelta(minutes=1)
        add(deferrable, "young", succeeded_at=old)
        add(deferrable, "resting", paused=True, succeeded_at=None)
        add(deferrable, "due", succeeded_at=old - timedelta(days=1), schedule_type="auto")
        story = ManyTask(
            deferrable,
            connector_ids=["young", "resting", "due"],
            when_paused="skip",
            fresh_within=timedelta(hours=1),
            schedule_type="manual",
            restore_schedule=True,
        ).lives()
        assert is_green(story)
        assert statuses(story) == {"young": "fresh", "resting": "skipped", "due": "succeeded"}
        assert story.value == ["young", "due"]
        assert runs(deferrable, "young") == runs(deferrable, "resting") == []
        assert deferrable.sim.account.connection("due").schedule_type == "auto"
        assert deferrable.sim.count("PATCH") == 2

    def test_where_all_are_skipped_so_is_the_task(self, deferrable):
        add(deferrable, "a", "b", paused=True)
        story = ManyTask(deferrable, connector_ids=["a", "b"], when_paused="skip").lives()
        assert isinstance(story.error, AirflowSkipException)

    def test_a_running_sync_is_queued_behind(self, deferrable):
        add(deferrable, "a", plan=SyncPlan(duration=0.8))
        deferrable.sim.start_sync("a")
        story = ManyTask(deferrable, connector_ids=["a"], when_running="queue").lives()
        assert is_green(story)
        assert runs(deferrable, "a") == ["COMPLETED", "COMPLETED"]

    def test_a_sync_that_is_put_off_is_triggered_again(self, deferrable):
        put_off = SyncPlan(duration=0.2, outcome="rescheduled", reschedule_after=1)
        deferrable.sim.add_connection(
            "a", plans=[put_off], default_plan=WELL, schedule_type="manual", succeeded_at=None
        )
        add(deferrable, "b")
        story = ManyTask(deferrable, connector_ids=["a", "b"], reschedule_wait_time=0.5).lives()
        assert is_green(story)
        assert runs(deferrable, "a")[-1] == "COMPLETED"

    def test_an_unknown_key_fails_at_once_and_once(self, deferrable):
        add(deferrable, "a", "b")
        deferrable.sim.revoke("sim-key")
        story = ManyTask(deferrable, connector_ids=["a", "b"]).lives()
        assert isinstance(story.cause, FivetranUnauthorized)
        assert deferrable.sim.count() <= 4


class TestPartialFailure:
    @pytest.fixture
    def outcome(self, deferrable):
        def run(good, bad, **policy):
            names = [f"good{number}" for number in range(good)] + [f"bad{number}" for number in range(bad)]
            add(deferrable, *names[:good])
            add(deferrable, *names[good:], plan=BADLY)
            return ManyTask(deferrable, connector_ids=names, **policy).lives()

        return run

    def test_succeed(self, outcome):
        story = outcome(1, 2, when_some_fail="succeed")
        assert is_green(story)
        assert story.value == ["good0"]
        assert story.xcom("fivetran_syncs")["counts"] == {"failed": 2, "succeeded": 1}

    def test_but_not_where_none_ended_well(self, outcome):
        assert isinstance(outcome(0, 2, when_some_fail="succeed").error, FivetranSyncsFailed)

    def test_fail_above_a_share(self, outcome):
        assert is_green(outcome(3, 1, when_some_fail="fail_above", fail_above=0.25))

    def test_fail_above_a_share_that_is_passed(self, outcome):
        story = outcome(2, 1, when_some_fail="fail_above", fail_above=0.25)
        assert isinstance(story.error, FivetranSyncsFailed)


class TestChoice:
    @pytest.fixture
    def chosen(self, deferrable):
        def run(**choice):
            story = ManyTask(deferrable, **choice).lives()
            assert is_green(story)
            return sorted(statuses(story))

        return run

    @pytest.fixture(autouse=True)
    def account(self, deferrable):
        deferrable.sim.add_group("other", "Other")
        add(deferrable, "pg", service="postgres", schema="shop_orders")
        add(deferrable, "crm", service="salesforce", schema="crm", group_id="other")
        ago = datetime.now(UTC) - timedelta(hours=1)
        add(
            deferrable,
            "bad",
            service="postgres",
            schema="shop_returns",
            succeeded_at=ago,
            failed_at=ago + timedelta(minutes=5),
        )

    def test_a_group(self, chosen):
        assert chosen(group_id="other") == ["crm"]

    def test_a_destination(self, chosen):
        assert chosen(destination_name="Other") == ["crm"]

    def test_a_type(self, chosen):
        assert chosen(services="postgres") == ["bad", "pg"]

    def test_a_pattern_of_names(self, chosen):
        assert chosen(name_pattern="shop_*") == ["bad", "pg"]

    def test_all(self, chosen):
        assert chosen(name_pattern="*", exclude="crm") == ["bad", "pg"]

    def test_those_that_failed(self, chosen):
        assert chosen(only_failed=True) == ["bad"]

    def test_of_some_ids_those_that_failed(self, chosen):
        assert chosen(connector_ids=["pg", "crm", "bad"], only_failed=True) == ["bad"]

    def test_an_id_that_is_not_there_is_told_and_not_passed_over(self, deferrable):
        story = ManyTask(deferrable, connector_ids=["pg", "gone"], services="postgres").lives()
        assert statuses(story) == {"pg": "succeeded", "gone": "not_started"}

    def test_ids_alone_take_no_request_of_their_own(self, deferrable, chosen):
        assert chosen(connector_ids=["pg"]) == ["pg"]
        assert deferrable.sim.count("GET", LIST) == 0

    def test_none_is_an_error(self, deferrable):
        story = ManyTask(deferrable, group_id="other", services="postgres").lives()
        assert isinstance(story.cause, FivetranLookupError)
        assert "among those that were asked for (group_id='other', services=['postgres'])" in str(story.error)
        assert "when_empty" in str(story.error)

    def test_none_may_pass(self, deferrable):
        story = ManyTask(deferrable, group_id="other", services="postgres", when_empty="pass").lives()
        assert is_green(story)
        assert story.value == []

    def test_no_more_than_one_task_can_bear(self, deferrable):
        ids = [f"c{number}" for number in range(1001)]
        story = ManyTask(deferrable, connector_ids=ids).lives()
        assert isinstance(story.cause, FivetranLookupError)
        assert "1001 connections are chosen; allowed are 1000 at most" in str(story.error)
        assert deferrable.sim.count() == 0


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (
                {},
                "which connections is not said; give one of connector_ids, group_id, destination_name, or services",
            ),
            (
                {"connector_ids": []},
                r"connector_ids is \[\]; allowed are ids, as a list or as a text with commas, at least one",
            ),
            ({"connector_ids": ["a", ""]}, "one id in connector_ids is ''"),
            (
                {"connector_ids": ["a"], "group_id": "g"},
                r"connector_ids \(\['a'\]\) and group_id \('g'\) are given",
            ),
            (
                {"services": []},
                r"services is \[\]; allowed are types, as a list or as a text with commas, at least one",
            ),
            ({"name_pattern": ""}, "name_pattern is ''"),
            ({"group_id": "g", "only_failed": "yes"}, "only_failed is 'yes'; allowed are True and False"),
            (
                {"group_id": "g", "max_parallel": 0},
                "max_parallel is 0; allowed is a whole number from 1 to 200",
            ),
            ({"group_id": "g", "max_parallel": 201}, "max_parallel is 201"),
            ({"group_id": "g", "max_parallel": 2.5}, "max_parallel is 2.5"),
            (
                {"group_id": "g", "when_some_fail": "ignore"},
                "when_some_fail is 'ignore'; allowed are 'fail', 'succeed'",
            ),
            (
                {"group_id": "g", "when_some_fail": "fail_above"},
                "fail_above is None; allowed is a share above 0 and below 1",
            ),
            ({"group_id": "g", "when_some_fail": "fail_above", "fail_above": 10}, "fail_above is 10"),
            (
                {"group_id": "g", "fail_above": 0.1},
                "allowed is a share only with when_some_fail='fail_above'",
            ),
            ({"group_id": "g", "when_running": "whenever"}, "when_running is 'whenever'"),
            ({"group_id": "g", "restore_schedule": True}, "schedule_type is not set"),
            ({"group_id": "g", "total_timeout": 0}, "total_timeout is 0"),
            ({"group_id": "g", "exclude": None}, "exclude is None; allowed are ids, as a list or as a text"),
            ({"group_id": "g", "exclude": ""}, "exclude is ''; allowed are ids, as a list or as a text"),
            ({"group_id": "g", "poll_frequency": 0}, "poll_frequency is 0"),
            (
                {"group_id": "g", "outlets": [connection_asset("c")]},
                "whatever became of its sync; give an AssetAlias",
            ),
        ],
    )
    def test_what_is_wrong_is_said_when_the_dag_is_parsed(self, arguments, text):
        with pytest.raises(ValueError, match=text):
            FivetranSyncManyOperator(task_id="task", **arguments)

    def test_a_template_that_finds_nothing_never_means_all(self, deferrable):
        add(deferrable, "a")
        for given in (
            {"group_id": "None"},
            {"connector_ids": "None"},
            {"name_pattern": "None"},
            {"services": "None"},
        ):
            story = ManyTask(deferrable, **given).lives()
            assert (
                "did its template" in str(story.error)
                or "is no id" in str(story.error)
                or "is no type" in str(story.error)
            )
        assert deferrable.sim.count() == 0

    @pytest.mark.parametrize("found", [None, ""])
    def test_a_template_that_finds_nothing_never_means_that_nothing_is_left_out(self, deferrable, found):
        add(deferrable, "a")
        task = ManyTask(deferrable, name_pattern="*", exclude="{{ params.exclude }}")
        operator = task.make()
        operator.exclude = found
        with pytest.raises(AirflowFailException, match=r"exclude is .* did its template"):
            execute(operator, task.context)
        assert deferrable.sim.count() == 0

    @pytest.mark.parametrize("exclude", [None, ""])
    def test_nor_does_it_for_the_hook(self, deferrable, exclude):
        add(deferrable, "a")
        with FivetranHook(deferrable.conn_id) as hook:
            with pytest.raises(ValueError, match=r"exclude is .*; allowed are ids"):
                hook.choose_connections(name_pattern="*", exclude=exclude)
            assert deferrable.sim.count() == 0
            assert hook.choose_connections(name_pattern="*", exclude=[]) == ("a",)

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"group_id": None},
            {"connector_ids": None, "services": None, "name_pattern": None},
            {"only_failed": False},
            {"exclude": ["x"]},
        ],
    )
    def test_what_names_none_chooses_none_in_the_hook_either(self, deferrable, given):
        add(deferrable, "a")
        told = "which connections is not said; give one of connector_ids"
        with FivetranHook(deferrable.conn_id) as hook, pytest.raises(ValueError, match=told):
            hook.choose_connections(**given)
        assert deferrable.sim.count() == 0

    def test_no_types_are_not_all_types_in_the_hook(self, deferrable):
        add(deferrable, "a")
        with FivetranHook(deferrable.conn_id) as hook:
            with pytest.raises(ValueError, match=r"services is \[\]; allowed are types"):
                hook.choose_connections(["a"], services=[])
            assert hook.choose_connections(connector_ids=[]) == ()
            assert hook.choose_connections(connector_ids=["a"]) == ("a",)


class TestOutlets:
    def test_an_alias_gets_the_asset_of_each_that_was_synced(self, deferrable):
        add(deferrable, "a")
        add(deferrable, "b", plan=BADLY)
        alias, events = AssetAlias("synced"), OutletEventAccessors()
        task = ManyTask(deferrable, connector_ids=["a", "b"], when_some_fail="succeed", outlets=[alias])
        assert is_green(deferrable.tell(Story(deferrable, task.ti), task.make, outlet_events=events))
        told = events[alias]
        if IS_AIRFLOW_2:
            uris = [event["dest_dataset_uri"] for event in told.dataset_alias_events]
        else:
            uris = [event.dest_asset_key.uri for event in told.asset_alias_events]
        assert uris == [f"fivetran://{deferrable.sim.url.removeprefix('http://')}/a"]


class TestTrouble:
    """Something is wrong that says nothing of the connection, or that must not hold up the others."""

    def test_a_connection_that_hangs_holds_up_none(self, deferrable):
        add(deferrable, "stuck", plan=ENDLESS)
        add(deferrable, *"abcdef")
        story = ManyTask(
            deferrable,
            connector_ids=["stuck", *"abcdef"],
            max_parallel=3,
            timeout=5,
            when_some_fail="succeed",
        ).lives()
        assert is_green(story)
        assert statuses(story) == {"stuck": "timed_out"} | dict.fromkeys("abcdef", "succeeded")
        ended = [deferrable.sim.runs(name)[-1].ended_at for name in "abcdef"]
        assert max(ended) - deferrable.sim.runs("stuck")[-1].started_at < timedelta(seconds=5)

    def test_one_that_cannot_be_read_is_tried_again_and_then_given_up(self, deferrable):
        add(deferrable, "odd", *"abc")
        deferrable.sim.faults.add(Fault("status", "GET", "/v1/connections/odd$", status=503, times=None))
        story = ManyTask(deferrable, connector_ids=["odd", *"abc"], when_some_fail="succeed").lives()
        assert is_green(story)
        assert statuses(story) == {"odd": "not_started"} | dict.fromkeys("abc", "succeeded")
        assert row(story, "odd")["error"] == "FivetranServerError"
        assert deferrable.sim.count("GET", "/odd$") == 9  # three tries of three attempts
        assert runs(deferrable, "odd") == []

    def test_one_that_can_be_read_later_is_synced_later(self, deferrable):
        add(deferrable, "odd", "a")
        deferrable.sim.faults.add(Fault("status", "GET", "/v1/connections/odd$", status=503, times=4))
        story = ManyTask(deferrable, connector_ids=["odd", "a"]).lives()
        assert is_green(story)
        assert runs(deferrable, "odd") == runs(deferrable, "a") == ["COMPLETED"]

    def test_one_that_cannot_be_read_when_it_is_to_be_started_once_more_is_started_later(self, deferrable):
        add(deferrable, "a", plan=SyncPlan(duration=0.8))
        deferrable.sim.start_sync("a")
        unreadable = Fault("status", "GET", "/v1/connections/a$", status=503, times=4)
        # The end of another's sync is read in the history; the next look is that before ours.
        deferrable.heard.at("GET", "/sync-history$", lambda: deferrable.sim.faults.add(unreadable))
        story = ManyTask(deferrable, connector_ids=["a"], when_running="queue").lives()
        assert is_green(story)
        assert runs(deferrable, "a") == ["COMPLETED", "COMPLETED"]

    def test_one_whose_trigger_may_have_taken_is_not_said_to_be_not_started(self, deferrable, monkeypatch):
        monkeypatch.setattr(triggering, "LOOKS_AFTER_LOST_ANSWER", (0.1,))
        monkeypatch.setattr(triggering, "PATIENCE", timedelta(0))
        add(deferrable, "a")
        add(deferrable, "b", plan=ENDLESS)
        unreadable = Fault("status", "GET", "/v1/connections/b$", status=503, times=None)
        deferrable.sim.faults.add(Fault("lost", "POST", "/b/sync$", times=1))
        deferrable.heard.at("POST", "/b/sync$", lambda: deferrable.sim.faults.add(unreadable))
        story = ManyTask(deferrable, connector_ids=["a", "b"], when_some_fail="succeed").lives()
        assert runs(deferrable, "b") == ["RUNNING"]
        assert statuses(story) == {"a": "succeeded", "b": "unknown"}

    def test_where_nothing_can_be_reached_the_task_ends(self, deferrable):
        names = [f"c{number}" for number in range(40)]
        add(deferrable, *names)
        deferrable.sim.faults.add(Fault("reset", "GET", ".*", times=None))
        story = ManyTask(deferrable, connector_ids=names, max_parallel=40).lives()
        assert isinstance(story.error, FivetranSyncsFailed)
        assert set(statuses(story).values()) == {"not_started"}
        assert row(story, "c0")["error"] == FivetranUnreachable.__name__
        assert len(story.deferrals) <= 10
        assert deferrable.sim.count("POST") == 0

    def test_a_spent_account_is_waited_for_and_costs_nothing_its_turn(self, deferrable):
        add(deferrable, *"abc")
        limited = Fault("status", "GET", "/v1/connections/[abc]$", status=429, times=6, retry_after=0)
        deferrable.sim.faults.add(limited)
        story = ManyTask(deferrable, connector_ids=list("abc"), fivetran_retry_limit=1).lives()
        assert is_green(story)
        assert [runs(deferrable, name) for name in "abc"] == [["COMPLETED"]] * 3

    def test_a_spent_account_is_left_alone_for_as_long_as_fivetran_says(self, deferrable):
        """The end of a sync brings a worker back before that."""
        add(deferrable, *"abc")
        limited = Fault("status", "GET", "/v1/connections/[bc]$", status=429, times=None, retry_after=600)
        deferrable.sim.faults.add(limited)
        task = ManyTask(deferrable, connector_ids=list("abc"))
        with pytest.raises(TaskDeferred) as first_visit:
            execute(task.make(), task.context)
        before = deferrable.sim.count("GET", "/[bc]$")
        [event] = asyncio.run(all_events(rebuilt(first_visit.value.trigger)))
        with pytest.raises(TaskDeferred) as second_visit:
            task.make().resume_execution("execute_complete", {"event": event}, task.context)
        assert deferrable.sim.count("GET", "/[bc]$") == before
        wake_at = datetime.fromisoformat(second_visit.value.trigger.ticket["wake_at"])
        assert timedelta(minutes=8) < wake_at - datetime.now(UTC) < timedelta(minutes=10)


class TestBounds:
    def test_so_many_at_once_and_no_more(self, deferrable):
        names = [f"c{number}" for number in range(12)]
        add(deferrable, *names, plan=SyncPlan(duration=0.5))
        story = ManyTask(deferrable, connector_ids=names, max_parallel=4).lives()
        assert is_green(story)
        syncs = [deferrable.sim.runs(name)[-1] for name in names]
        at_once = [
            sum(other.started_at <= each.started_at < other.ended_at for other in syncs) for each in syncs
        ]
        assert max(at_once) <= 4
        assert len(story.deferrals) <= 7  # each starts two at least, until the last

    def test_those_that_are_started_once_more_keep_their_places(self, deferrable):
        names = [f"c{number}" for number in range(6)]
        for name, seconds in zip(names, (0.5, 0.5, 9, 9), strict=False):
            first = SyncPlan(duration=seconds)
            deferrable.sim.add_connection(name, plans=[first], default_plan=SyncPlan(duration=9))
            deferrable.sim.start_sync(name)
        add(deferrable, *names[4:])
        deferrable.sim.faults.add(Fault("slow", "POST", "/sync$", times=2, delay=0.5))
        task = ManyTask(deferrable, connector_ids=names, max_parallel=4, when_running="queue")
        with pytest.raises(TaskDeferred) as first_visit:
            execute(task.make(), task.context)
        eventually(lambda: runs(deferrable, "c0") == runs(deferrable, "c1") == ["COMPLETED"])
        [event] = asyncio.run(all_events(rebuilt(first_visit.value.trigger)))
        with pytest.raises(TaskDeferred) as second_visit:
            task.make().resume_execution("execute_complete", {"event": event}, task.context)
        assert sorted(unpack(second_visit.value.trigger.ticket["waits"])) == names[:4]

    def test_at_the_end_of_its_time_nothing_is_started_once_more(self, deferrable):
        deferrable.sim.add_connection(
            "a", plans=[SyncPlan(duration=0.5)], default_plan=ENDLESS, schedule_type="auto"
        )
        deferrable.sim.start_sync("a")
        task = ManyTask(
            deferrable,
            connector_ids=["a"],
            when_running="queue",
            total_timeout=1.5,
            schedule_type="manual",
            restore_schedule=True,
        )
        with pytest.raises(TaskDeferred) as visit:
            execute(task.make(), task.context)
        [event] = asyncio.run(all_events(rebuilt(visit.value.trigger)))
        before = datetime.now(UTC)
        eventually(lambda: datetime.now(UTC) > before + timedelta(seconds=1.5))
        with pytest.raises(FivetranSyncsFailed, match="a timed out"):
            task.make().resume_execution("execute_complete", {"event": event}, task.context)
        assert runs(deferrable, "a") == ["COMPLETED"]
        assert deferrable.sim.account.connection("a").schedule_type == "auto"

    def test_at_the_end_of_its_time_what_runs_and_what_waits_are_told_apart(self, deferrable):
        add(deferrable, "a", "b", plan=ENDLESS)
        story = ManyTask(deferrable, connector_ids=["a", "b"], max_parallel=1, total_timeout=1.5).lives()
        assert isinstance(story.error, FivetranSyncsFailed)
        assert statuses(story) == {"a": "timed_out", "b": "not_started"}
        assert runs(deferrable, "a") == ["RUNNING"]

    def test_and_what_is_to_be_stopped_is_stopped(self, deferrable):
        add(deferrable, "a", plan=ENDLESS)
        ManyTask(deferrable, connector_ids=["a"], total_timeout=1.5, when_killed="stop").lives()
        assert runs(deferrable, "a") == ["PAUSED"]
        assert not deferrable.sim.account.connection("a").paused

    def test_while_it_waits_the_xcom_says_how_far_each_has_come(self, deferrable):
        add(deferrable, *"abc", plan=SyncPlan(duration=0.5))
        seen = []
        task = ManyTask(deferrable, connector_ids=list("abc"), max_parallel=1)
        deferrable.heard.at(
            "GET", r"/v1/connections/b/sync-history", lambda: seen.append(task.ti.pushed["fivetran_syncs"])
        )
        assert is_green(task.lives())
        assert re.findall(r'"status": "(\w+)"', seen[0]) == ["succeeded", "running", "waiting"]
