"""One sync, told by a task that waits in its worker and by one that waits in the triggerer: the same story.

Each story runs in both ways at once, each on an account of its own. The verdict of each task is compared with
what the simulator knows really happened, and the two tasks with each other.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_fivetran.core import decision
from airflow_provider_fivetran.exceptions import (
    FivetranConflict,
    FivetranConnectionBroken,
    FivetranConnectionDeleted,
    FivetranConnectionPaused,
    FivetranForbidden,
    FivetranSyncCancelled,
    FivetranSyncFailed,
    FivetranSyncNeverStarted,
    FivetranSyncRescheduled,
    FivetranSyncRunning,
    FivetranSyncTimeout,
    FivetranTriggerUncertain,
    FivetranUnauthorized,
)
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import CONNECTION, HISTORY, ID, SYNC, Story, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.at_once

GOOD = SyncPlan(duration=0.3)
# Long enough that, without a sync history, its end cannot fall into the second of the trigger.
UNMISTAKABLE = SyncPlan(duration=1.2)
ENDLESS = SyncPlan(duration=3600)
BAD = SyncPlan(
    duration=0.3,
    outcome="failure",
    tasks=[{"code": "reconnect", "message": "Reconnect your account", "details": "the token has expired"}],
)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def compare(tell: Callable[[Way], Story], ways: list[Way]) -> None:
    """Tell the story in every way, and compare."""
    with ThreadPoolExecutor(len(ways)) as pool:
        first, *others = pool.map(tell, ways)
    for other in others:
        assert other.gist() == first.gist()


@pytest.fixture(autouse=True, scope="module")
def short_holds() -> Iterator[None]:
    """Make the times short for which a doubtful end is held where no history explains it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decision, "HOLD_AFTER_RESTART", timedelta(seconds=2))
        patch.setattr(decision, "TRACE_LAG", timedelta(seconds=0.1))
        yield


def end_now(way: Way, outcome: str = "success") -> None:
    """Let the running sync end by itself at this moment."""
    with way.sim.account.lock:
        run = way.sim.account.connections[ID].run
        passed = (way.sim.clock.now() - run.started_at).total_seconds()
        run.plan = replace(run.plan, duration=passed, outcome=outcome)
        way.sim.tick()


class TestEnds:
    def test_a_sync_shorter_than_one_poll(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.05), succeeded_at=ago(hours=1))
            story = way.sync(poll_frequency=0.7).ended_well()
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_a_connection_that_never_synced(self, ways):
        def tell(way):
            way.add(GOOD, historical=True)
            return way.sync().ended_well()

        compare(tell, ways)

    def test_a_queue_delay_of_many_polls(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.2, queue_delay=3), succeeded_at=ago(hours=1))
            story = way.sync().ended_well()
            assert len(story.sent("GET", CONNECTION)) > 5
            return story

        compare(tell, ways)

    def test_a_success_after_an_old_failure(self, ways):
        def tell(way):
            way.add(GOOD, succeeded_at=ago(hours=2), failed_at=ago(hours=1))
            return way.sync().ended_well()

        compare(tell, ways)

    def test_a_failure_after_an_old_failure(self, ways):
        def tell(way):
            way.add(BAD, failed_at=ago(hours=1))
            return way.sync().failed(FivetranSyncFailed, status="failed")

        compare(tell, ways)

    @pytest.mark.parametrize("history", ["ok", "not_found", "forbidden"])
    def test_a_failure_says_why(self, ways, history):
        def tell(way):
            way.sim.switches.update(history=history)
            way.add(replace(BAD, duration=1.2), succeeded_at=ago(hours=1))
            story = way.sync().failed(
                FivetranSyncFailed, "Reconnect your account", "the token has expired", ID, status="failed"
            )
            assert "Reconnect your account" in story.record["reason"]
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("history", ["not_found", "forbidden"])
    def test_an_account_without_a_sync_history(self, ways, history):
        def tell(way):
            way.sim.switches.update(history=history)
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1), failed_at=ago(hours=2))
            return way.sync().ended_well()

        compare(tell, ways)

    def test_a_key_that_may_not_list(self, ways):
        def tell(way):
            way.sim.switches.update(list_allowed=False)
            way.add(GOOD)
            story = way.sync().ended_well()
            assert story.sent("GET", r"/connections$") == []
            return story

        compare(tell, ways)

    def test_the_record_says_what_the_history_knows(self, ways):
        def tell(way):
            way.add(GOOD)
            story = way.sync().ended_well()
            [run] = way.sim.runs(ID)
            assert story.record["sync_id"] == run.sync_id
            assert story.record["duration"] == pytest.approx(0.3)
            assert story.record["volume_mb"] == {"extract": 12.5, "process": 11.0, "load": 10.25}
            return story

        compare(tell, ways)

    # At its end it already shows the sync as running, or nothing of it yet.
    @pytest.mark.parametrize("lag", [0.5, 5])
    def test_a_history_that_lags_behind(self, ways, lag):
        def tell(way):
            way.sim.switches.update(history_lag=lag)
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            return way.sync().ended_well()

        compare(tell, ways)

    def test_a_history_that_hides_running_syncs(self, ways):
        def tell(way):
            way.sim.switches.update(history_running=None, history_order="oldest_first")
            way.add(GOOD, succeeded_at=ago(hours=1))
            return way.sync().ended_well()

        compare(tell, ways)

    def test_a_usual_sync_costs_a_look_a_trigger_and_a_confirmation(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.05), succeeded_at=ago(hours=1))
            story = way.sync(poll_frequency=0.5).ended_well()
            assert [request.method for request in story.requests] in (
                ["GET", "POST", "GET", "GET"],
                ["GET", "POST", "GET", "GET", "GET"],
            )
            return story

        compare(tell, ways)


class TestPutOff:
    def test_under_manual_scheduling_it_is_triggered_once_more_at_the_announced_time(self, ways):
        def tell(way):
            way.add(
                SyncPlan(duration=0.2, outcome="rescheduled", reschedule_after=1.5),
                GOOD,
                schedule_type="manual",
            )
            story = way.sync().ended_well()
            first, second = way.sim.runs(ID)
            assert [first.status, second.status] == ["RESCHEDULED", "COMPLETED"]
            assert len(story.triggers) == 2
            late = (story.triggers[1].at - first.rescheduled_for).total_seconds()
            assert 0 <= late < 1.5  # Fivetran tells its own time in whole seconds
            assert len(story.deferrals) == (2 if way.deferrable else 0)
            return story

        compare(tell, ways)

    def test_a_wait_of_ones_own_may_replace_the_announced_time(self, ways):
        def tell(way):
            way.add(
                SyncPlan(duration=0.2, outcome="rescheduled", reschedule_after=3600),
                GOOD,
                schedule_type="manual",
            )
            story = way.sync(reschedule_wait_time=0.5).ended_well()
            assert len(story.triggers) == 2
            return story

        compare(tell, ways)

    def test_under_the_automatic_schedule_nothing_more_is_triggered(self, ways):
        def tell(way):
            way.add(
                SyncPlan(duration=0.2, outcome="rescheduled", reschedule_after=1), GOOD, schedule_type="auto"
            )
            story = way.sync().ended_well()
            assert [run.status for run in way.sim.runs(ID)] == ["RESCHEDULED", "COMPLETED"]
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_it_can_be_a_failure(self, ways):
        def tell(way):
            way.add(
                SyncPlan(
                    duration=0.2, outcome="rescheduled", reschedule_after=3600, reason="Quota is used up"
                ),
                schedule_type="manual",
            )
            story = way.sync(when_rescheduled="fail")
            story.failed(FivetranSyncRescheduled, "off until", status="rescheduled")
            announced = datetime.fromisoformat(story.record["rescheduled_for"])
            assert story.error.rescheduled_for == announced == way.sim.account.connection(ID).rescheduled_for
            assert (story.error.connection_id, story.error.link) == (ID, story.record["link"])
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_the_deadline_holds_while_it_is_put_off(self, ways):
        def tell(way):
            way.add(
                SyncPlan(duration=0.2, outcome="rescheduled", reschedule_after=3600), schedule_type="manual"
            )
            return way.sync(timeout=1).failed(FivetranSyncTimeout, "put the sync off", status="timed_out")

        compare(tell, ways)

    def test_one_that_is_put_off_already_is_triggered_and_that_sync_is_ours(self, ways):
        def tell(way):
            way.add(
                GOOD,
                schedule_type="manual",
                rescheduled=True,
                rescheduled_for=datetime.now(UTC) + timedelta(hours=1),
            )
            story = way.sync().ended_well()
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)


class TestMidway:
    """Whatever happens to the connection ends the task within two polls and one read of the history."""

    @pytest.mark.parametrize("history", ["ok", "not_found"])
    @pytest.mark.parametrize(
        ("happens", "kind", "word"),
        [
            ("pause", FivetranConnectionPaused, "paused"),
            ("delete", FivetranConnectionDeleted, "no longer exists"),
            ("cancel", FivetranSyncCancelled, "cancelled"),
        ],
    )
    def test_something_happens_to_the_connection(self, ways, happens, kind, word, history):
        def tell(way):
            way.sim.switches.update(stop_lag=0, history=history)
            way.add(ENDLESS, succeeded_at=ago(hours=1))
            happened = []

            def happen():
                happened.append(len(way.heard))
                getattr(way.sim, happens)(ID)

            way.heard.at("POST", SYNC, lambda: way.heard.at("GET", CONNECTION, happen, nth=2))
            story = way.sync().failed(kind, word, ID)
            assert story.record["status"] == {"delete": "gone"}.get(happens, word)
            after = story.requests[happened[0] :]
            assert len([r for r in after if r.path.endswith("/sync-history")]) <= 1
            assert len([r for r in after if not r.path.endswith("/sync-history")]) <= 2
            return story

        compare(tell, ways)

    def test_a_paused_connection_whose_sync_takes_time_to_stop(self, ways):
        def tell(way):
            way.sim.switches.update(stop_lag=0.5)
            way.add(ENDLESS)
            way.heard.at(
                "POST", SYNC, lambda: way.heard.at("GET", CONNECTION, lambda: way.sim.pause(ID), nth=2)
            )
            return way.sync().failed(FivetranConnectionPaused, "paused", status="paused")

        compare(tell, ways)

    def test_a_sync_that_ends_well_although_the_connection_was_paused_in_its_last_moment(self, ways):
        def tell(way):
            way.sim.switches.update(stop_lag=5)
            way.add(UNMISTAKABLE)
            way.heard.at(
                "POST", SYNC, lambda: way.heard.at("GET", CONNECTION, lambda: way.sim.pause(ID), nth=2)
            )
            return way.sync().ended_well()

        compare(tell, ways)

    def test_a_sync_that_ends_as_incomplete_is_not_a_success(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.3, outcome="incomplete"), succeeded_at=ago(hours=1))
            story = way.sync()
            assert story.error is not None
            return story

        compare(tell, ways)


class TestAlreadyRunning:
    @pytest.mark.parametrize("history", ["ok", "not_found"])
    def test_attach_takes_it_as_ours_and_sends_nothing(self, ways, history):
        def tell(way):
            way.sim.switches.update(history=history)
            way.add(SyncPlan(duration=2), succeeded_at=ago(hours=1))
            way.sim.start_sync(ID)
            story = way.sync().ended_well()
            assert story.sent("POST") == []
            assert len(way.sim.runs(ID)) == 1
            return story

        compare(tell, ways)

    def test_attach_fails_when_that_sync_fails(self, ways):
        def tell(way):
            way.add(replace(BAD, duration=2), succeeded_at=ago(hours=1))
            way.sim.start_sync(ID)
            story = way.sync().failed(FivetranSyncFailed, "Reconnect", status="failed")
            assert story.sent("POST") == []
            return story

        compare(tell, ways)

    @pytest.mark.parametrize(
        "first", [SyncPlan(duration=0.6), replace(BAD, duration=0.6)], ids=["good", "bad"]
    )
    def test_queue_starts_ours_once_after_its_end(self, ways, first):
        def tell(way):
            way.add(first, GOOD)
            way.sim.start_sync(ID)
            story = way.sync(when_running="queue").ended_well()
            other, ours = way.sim.runs(ID)
            assert ours.cause == "api"
            [trigger] = story.triggers
            assert trigger.at >= other.ended_at
            assert trigger.body == {"force": False}
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("history", ["ok", "not_found"])
    def test_restart_stops_it_and_starts_ours(self, ways, history):
        def tell(way):
            way.sim.switches.update(history=history)
            way.add(ENDLESS, UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.start_sync(ID)
            story = way.sync(when_running="restart").ended_well()
            assert [run.status for run in way.sim.runs(ID)] == ["CANCELED", "COMPLETED"]
            assert [trigger.body for trigger in story.triggers] == [{"force": True}]
            return story

        compare(tell, ways)

    def test_restart_that_cannot_stop_it_is_an_error(self, ways):
        def tell(way):
            way.sim.switches.update(stop_fails=True)
            way.add(ENDLESS)
            way.sim.start_sync(ID)
            return way.sync(when_running="restart").failed(FivetranConflict, "60 seconds")

        compare(tell, ways)

    def test_fail(self, ways):
        def tell(way):
            way.add(ENDLESS)
            way.sim.start_sync(ID)
            story = way.sync(when_running="fail").failed(FivetranSyncRunning, "running", ID)
            assert [request.method for request in story.requests] == ["GET"]
            return story

        compare(tell, ways)

    def test_skip(self, ways):
        def tell(way):
            way.add(ENDLESS)
            way.sim.start_sync(ID)
            story = way.sync(when_running="skip")
            assert isinstance(story.error, AirflowSkipException)
            assert story.record["status"] == "skipped"
            assert story.sent("POST") == []
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("answer", ["ok", "conflict"])
    def test_a_scheduled_sync_that_starts_between_our_look_and_our_trigger_is_ours(self, ways, answer):
        def tell(way):
            way.sim.switches.update(sync_while_running=answer)
            way.add(SyncPlan(duration=0.6))
            way.heard.at("GET", CONNECTION, lambda: way.sim.start_sync(ID))
            story = way.sync().ended_well()
            [run] = way.sim.runs(ID)
            assert run.cause == "schedule"
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("lag", [0, 0.6])
    @pytest.mark.parametrize("history", ["ok", "not_found"])
    def test_one_that_ends_in_the_instant_ours_is_forced_does_not_pass_for_ours(self, ways, history, lag):
        def tell(way):
            way.sim.switches.update(history=history, start_lag=lag)
            way.add(ENDLESS, UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.start_sync(ID)
            way.heard.at("GET", HISTORY, lambda: end_now(way))
            story = way.sync(when_running="restart").ended_well()
            other, ours = way.sim.runs(ID)
            assert other.status == "COMPLETED"
            assert datetime.fromisoformat(story.value) == ours.ended_at > other.ended_at
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("history", ["ok", "not_found"])
    def test_one_that_ends_well_in_the_instant_ours_is_forced_does_not_hide_that_ours_fails(
        self, ways, history
    ):
        def tell(way):
            way.sim.switches.update(history=history, start_lag=0.5)
            way.add(ENDLESS, replace(BAD, duration=1.2), succeeded_at=ago(hours=1))
            way.sim.start_sync(ID)
            way.heard.at("GET", HISTORY, lambda: end_now(way))
            return way.sync(when_running="restart").failed(FivetranSyncFailed, "Reconnect", status="failed")

        compare(tell, ways)

    def test_a_short_scheduled_sync_between_our_look_and_our_trigger_does_not_pass_for_ours(self, ways):
        def tell(way):
            way.sim.switches.update(start_lag=0.5)
            way.add(ENDLESS, UNMISTAKABLE, succeeded_at=ago(hours=1), schedule_type="auto")
            way.sim.faults.add(Fault("slow", "PATCH", delay=1.5))

            def begin_and_end():
                way.sim.start_sync(ID)
                end_now(way)

            way.heard.at("GET", CONNECTION, begin_and_end)
            story = way.sync(schedule_type="manual").ended_well()
            assert [run.cause for run in way.sim.runs(ID)] == ["schedule", "api"]
            return story

        compare(tell, ways)


class TestLimits:
    @pytest.mark.parametrize("history", ["ok", "not_found"])
    def test_accepted_but_never_started(self, ways, history):
        def tell(way):
            way.sim.switches.update(history=history)
            way.add(SyncPlan(outcome="never_starts"), succeeded_at=ago(hours=1))
            story = way.sync(start_timeout=1).failed(
                FivetranSyncNeverStarted, "no sync has shown itself", ID, status="never_started"
            )
            assert way.sim.runs(ID) == []
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_the_deadline_passes(self, ways):
        def tell(way):
            way.add(ENDLESS, succeeded_at=ago(hours=1))
            story = way.sync(timeout=1).failed(
                FivetranSyncTimeout,
                "limit",
                "the sync is running",
                ID,
                "It was not stopped.",
                status="timed_out",
            )
            [run] = way.sim.runs(ID)
            assert run.status == "RUNNING"
            return story

        compare(tell, ways)

    def test_the_deadline_holds_while_fivetran_cannot_be_read(self, ways):
        def tell(way):
            way.add(GOOD)
            way.heard.at(
                "POST", SYNC, lambda: way.sim.faults.add(Fault("status", "GET", status=503, times=None))
            )
            return way.sync(timeout=1).failed(
                FivetranSyncTimeout, "cannot be read", "503", status="timed_out"
            )

        compare(tell, ways)

    def test_the_deadline_counts_from_the_first_trigger_over_a_queue(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.8), ENDLESS)
            way.sim.start_sync(ID)
            before = datetime.now(UTC)
            story = way.sync(when_running="queue", timeout=1.5).failed(
                FivetranSyncTimeout, status="timed_out"
            )
            assert datetime.now(UTC) - before < timedelta(seconds=2.5)
            return story

        compare(tell, ways)


class TestNetwork:
    """Nothing that the network does to a request fails a task or starts a second sync."""

    @pytest.mark.parametrize("kind", ["lost", "garbage", "slow"])
    def test_the_answer_to_the_trigger_is_lost_and_there_is_one_sync(self, ways, kind):
        def tell(way):
            if kind == "slow":
                way.impatient(0.4)
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.faults.add(Fault(kind, "POST", SYNC, delay=0.8 if kind == "slow" else None))
            story = way.sync().ended_well()
            assert len(way.sim.runs(ID)) == len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_the_answer_to_a_restart_is_lost_and_there_is_one_sync(self, ways):
        def tell(way):
            way.add(ENDLESS, UNMISTAKABLE)
            way.sim.start_sync(ID)
            way.sim.faults.add(Fault("lost", "POST", SYNC))
            story = way.sync(when_running="restart").ended_well()
            assert [run.cause for run in way.sim.runs(ID)] == ["schedule", "force"]
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_the_answer_to_a_restart_is_lost_and_no_history_can_tell(self, ways):
        def tell(way):
            way.sim.switches.update(history="not_found")
            way.add(ENDLESS, GOOD)
            way.sim.start_sync(ID)
            way.sim.faults.add(Fault("lost", "POST", SYNC))
            story = way.sync(when_running="restart").failed(FivetranTriggerUncertain, ID)
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_a_trigger_that_never_arrived_is_sent_again(self, ways):
        def tell(way):
            way.add(GOOD, succeeded_at=ago(hours=1))
            way.sim.faults.add(Fault("status", "POST", SYNC, status=429, retry_after=0.5))
            story = way.sync().ended_well()
            first, second = story.triggers
            assert (second.at - first.at).total_seconds() >= 0.5
            assert len(way.sim.runs(ID)) == 1
            return story

        compare(tell, ways)

    def test_a_rate_limit_is_obeyed(self, ways):
        def tell(way):
            way.add(GOOD)
            limit = Fault("status", "GET", CONNECTION, status=429, retry_after=1)
            way.heard.at("POST", SYNC, lambda: way.sim.faults.add(limit))
            story = way.sync().ended_well()
            looks = story.sent("GET", CONNECTION)
            [refused] = [i for i, look in enumerate(looks) if look.status == 429]
            assert (looks[refused + 1].at - looks[refused].at).total_seconds() >= 1
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("times", [2, 4], ids=["a-moment", "longer-than-the-retries"])
    @pytest.mark.parametrize(
        "fault",
        [
            Fault("status", status=500),
            Fault("status", status=503),
            Fault("reset"),
            Fault("lost"),
            Fault("html"),
            Fault("html", status=200),
            Fault("html", status=404),
            Fault("garbage"),
            Fault("wrong_shape"),
            Fault("slow", delay=0.6),
        ],
        ids=lambda fault: f"{fault.kind}-{fault.status or ''}",
    )
    def test_reads_that_fail_delay_the_verdict_and_nothing_else(self, ways, fault, times):
        def tell(way):
            if fault.kind == "slow":
                way.impatient(0.3)
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            strikes = replace(fault, method="GET", path=CONNECTION, times=times)
            way.heard.at("POST", SYNC, lambda: way.sim.faults.add(strikes))
            story = way.sync().ended_well()
            assert way.sim.faults.waiting() == []
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("kind", ["status", "html", "reset", "garbage", "wrong_shape"])
    def test_a_history_that_cannot_be_read_for_a_moment(self, ways, kind):
        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.faults.add(Fault(kind, "GET", HISTORY, times=2))
            return way.sync().ended_well()

        compare(tell, ways)

    def test_a_flaky_network_all_the_way(self, ways):
        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            for kind in ("status", "reset", "lost", "html", "garbage"):
                way.sim.faults.add(Fault(kind, "GET", CONNECTION, times=6, probability=0.15))
            story = way.sync().ended_well()
            assert len(way.sim.runs(ID)) == 1
            return story

        compare(tell, ways)


class TestPaused:
    def test_fail(self, ways):
        def tell(way):
            way.add(GOOD, paused=True)
            story = way.sync().failed(FivetranConnectionPaused, "when_paused", ID)
            assert [request.method for request in story.requests] == ["GET"]
            return story

        compare(tell, ways)

    def test_skip(self, ways):
        def tell(way):
            way.add(GOOD, paused=True)
            story = way.sync(when_paused="skip")
            assert isinstance(story.error, AirflowSkipException)
            assert [request.method for request in story.requests] == ["GET"]
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("sync_on_unpause", [False, True])
    def test_unpause(self, ways, sync_on_unpause):
        def tell(way):
            way.sim.switches.update(sync_on_unpause=sync_on_unpause)
            way.add(GOOD, paused=True)
            story = way.sync(when_paused="unpause").ended_well()
            [change] = story.sent("PATCH")
            assert change.body == {"paused": False, "run_setup_tests": False}
            assert not way.sim.account.connection(ID).paused
            assert len(way.sim.runs(ID)) == 1
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("plan", [GOOD, BAD], ids=["success", "failure"])
    def test_unpause_and_restore(self, ways, plan):
        def tell(way):
            way.add(plan, paused=True)
            story = way.sync(when_paused="unpause_and_restore")
            if plan is GOOD:
                story.ended_well()
            else:
                story.failed(FivetranSyncFailed)
            first, last = story.sent("PATCH")
            assert (first.body["paused"], last.body["paused"]) == (False, True)
            assert way.sim.account.connection(ID).paused
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("when_killed", ["leave", "stop"])
    def test_at_the_deadline_it_is_paused_again_only_if_the_sync_is_not_to_be_left(self, ways, when_killed):
        def tell(way):
            way.sim.switches.update(stop_lag=0)
            way.add(ENDLESS, paused=True)
            story = way.sync(when_paused="unpause_and_restore", when_killed=when_killed, timeout=1)
            story.failed(FivetranSyncTimeout, status="timed_out")
            assert (way.sim.runs(ID)[-1].ended_at is not None) == (when_killed == "stop")
            assert way.sim.account.connection(ID).paused == (when_killed == "stop")
            return story

        compare(tell, ways)

    def test_what_was_unpaused_is_paused_again_when_the_trigger_is_refused(self, ways):
        def tell(way):
            way.add(GOOD, paused=True)
            way.sim.faults.add(Fault("status", "POST", SYNC, status=403))
            way.sync(when_paused="unpause_and_restore").failed(FivetranForbidden)
            story = way.sync(when_paused="fail")
            return story.failed(FivetranConnectionPaused)

        compare(tell, ways)


class TestBroken:
    def test_try_syncs_anyway_which_can_heal_it(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.break_setup(ID)
            story = way.sync().ended_well()
            assert story.sent(path="/test$") == []
            return story

        compare(tell, ways)

    def test_test_goes_on_when_the_tests_pass(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.break_setup(ID, test_heals=True)
            story = way.sync(when_broken="test").ended_well()
            [test] = story.sent("POST", "/test$")
            assert test.body == {}
            return story

        compare(tell, ways)

    def test_test_fails_with_what_the_tests_found(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.break_setup(ID)
            story = way.sync(when_broken="test").failed(
                FivetranConnectionBroken, "Validating access", "Could not log in to the source"
            )
            assert story.triggers == []
            return story

        compare(tell, ways)

    def test_fail(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.break_setup(ID)
            story = way.sync(when_broken="fail").failed(FivetranConnectionBroken, "broken", ID)
            assert [request.method for request in story.requests] == ["GET"]
            return story

        compare(tell, ways)

    def test_tests_of_a_sound_setup_are_not_run(self, ways):
        def tell(way):
            way.add(GOOD)
            story = way.sync(when_broken="test").ended_well()
            assert story.sent(path="/test$") == []
            return story

        compare(tell, ways)

    def test_a_sync_that_breaks_the_setup_says_so(self, ways):
        def tell(way):
            way.add(replace(BAD, breaks_setup=True))
            return way.sync().failed(FivetranSyncFailed, "Reconnect", "the setup is broken", status="failed")

        compare(tell, ways)


class TestFreshness:
    def test_fresh_data_needs_no_sync(self, ways):
        moment = ago(minutes=5)

        def tell(way):
            way.add(GOOD, succeeded_at=moment, failed_at=ago(hours=1))
            story = way.sync(fresh_within=timedelta(minutes=10))
            assert datetime.fromisoformat(story.value) == moment
            assert story.record["status"] == "fresh"
            assert [request.method for request in story.requests] == ["GET"]
            return story

        compare(tell, ways)

    @pytest.mark.parametrize(
        "found",
        [{"succeeded_at": ago(hours=1)}, {"succeeded_at": ago(minutes=5), "failed_at": ago(minutes=1)}, {}],
        ids=["old", "failed-since", "never"],
    )
    def test_other_data_is_synced(self, ways, found):
        def tell(way):
            way.add(GOOD, **found)
            return way.sync(fresh_within=600).ended_well()

        compare(tell, ways)

    def test_fresh_data_of_a_paused_connection_needs_no_sync(self, ways):
        def tell(way):
            way.add(GOOD, succeeded_at=ago(minutes=5), paused=True)
            story = way.sync(fresh_within=600)
            assert story.error is None
            return story

        compare(tell, ways)


class TestSchedule:
    def test_it_is_left_alone_unless_asked(self, ways):
        def tell(way):
            way.add(GOOD, schedule_type="auto")
            story = way.sync().ended_well()
            assert story.sent("PATCH") == []
            return story

        compare(tell, ways)

    def test_it_is_set_and_stays(self, ways):
        def tell(way):
            way.add(GOOD, schedule_type="auto")
            story = way.sync(schedule_type="manual").ended_well()
            [change] = story.sent("PATCH")
            assert change.body == {"schedule_type": "manual", "run_setup_tests": False}
            assert way.sim.account.connection(ID).schedule_type == "manual"
            return story

        compare(tell, ways)

    def test_what_is_so_already_is_not_set(self, ways):
        def tell(way):
            way.add(GOOD, schedule_type="manual")
            story = way.sync(schedule_type="manual", restore_schedule=True).ended_well()
            assert story.sent("PATCH") == []
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("plan", [GOOD, BAD, ENDLESS], ids=["success", "failure", "timeout"])
    def test_it_is_put_back(self, ways, plan):
        def tell(way):
            way.add(plan, schedule_type="auto")
            story = way.sync(schedule_type="manual", restore_schedule=True, timeout=1)
            if plan is GOOD:
                story.ended_well()
            else:
                story.failed(FivetranSyncFailed if plan is BAD else FivetranSyncTimeout)
            assert [change.body["schedule_type"] for change in story.sent("PATCH")] == ["manual", "auto"]
            assert way.sim.account.connection(ID).schedule_type == "auto"
            return story

        compare(tell, ways)

    def test_it_is_put_back_once_after_a_put_off_and_a_second_trigger(self, ways):
        def tell(way):
            way.add(
                SyncPlan(duration=0.2, outcome="rescheduled", reschedule_after=0.5),
                GOOD,
                schedule_type="auto",
            )
            story = way.sync(schedule_type="manual", restore_schedule=True).ended_well()
            assert [change.body["schedule_type"] for change in story.sent("PATCH")] == ["manual", "auto"]
            assert len(story.triggers) == 2
            return story

        compare(tell, ways)

    def test_it_is_put_back_after_a_queue(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.4), GOOD, schedule_type="auto")
            way.sim.start_sync(ID)
            story = way.sync(schedule_type="manual", restore_schedule=True, when_running="queue").ended_well()
            assert [change.body["schedule_type"] for change in story.sent("PATCH")] == ["manual", "auto"]
            return story

        compare(tell, ways)

    def test_it_is_put_back_when_the_connection_is_paused_midway(self, ways):
        def tell(way):
            way.sim.switches.update(stop_lag=0)
            way.add(ENDLESS, schedule_type="auto")
            way.heard.at("POST", SYNC, lambda: way.heard.at("GET", CONNECTION, lambda: way.sim.pause(ID)))
            story = way.sync(schedule_type="manual", restore_schedule=True).failed(FivetranConnectionPaused)
            assert way.sim.account.connection(ID).schedule_type == "auto"
            assert way.sim.account.connection(ID).paused
            return story

        compare(tell, ways)

    def test_a_schedule_that_cannot_be_put_back_changes_no_verdict(self, ways):
        def tell(way):
            way.add(GOOD, schedule_type="auto")
            way.heard.at("POST", SYNC, lambda: way.sim.faults.add(Fault("status", "PATCH", status=403)))
            return way.sync(schedule_type="manual", restore_schedule=True).ended_well()

        compare(tell, ways)


class TestNobodyWaits:
    def test_the_return_value_is_what_the_sensor_needs(self, ways):
        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            story = way.sync(wait_for_completion=False)
            assert story.error is None
            assert story.record["status"] == "started"
            assert way.sim.runs(ID)[0].status == "RUNNING"
            return way.sense(completed_after_time=story.value).ended_well()

        compare(tell, ways)

    def test_a_success_just_before_is_not_taken_for_ours(self, ways):
        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=datetime.now(UTC))
            story = way.sync(wait_for_completion=False)
            return way.sense(completed_after_time=story.value).ended_well()

        compare(tell, ways)

    def test_a_failure_reaches_the_sensor(self, ways):
        def tell(way):
            way.add(replace(BAD, duration=0.8), succeeded_at=ago(hours=1))
            story = way.sync(wait_for_completion=False)
            return way.sense(completed_after_time=story.value).failed(FivetranSyncFailed, "Reconnect")

        compare(tell, ways)

    def test_a_queue_is_waited_for_all_the_same(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.5), ENDLESS)
            way.sim.start_sync(ID)
            story = way.sync(wait_for_completion=False, when_running="queue")
            other, ours = way.sim.runs(ID)
            assert (other.status, ours.status) == ("COMPLETED", "RUNNING")
            assert datetime.fromisoformat(story.value) >= other.ended_at
            return story

        compare(tell, ways)


class TestResync:
    def test_everything(self, ways):
        def tell(way):
            way.add(GOOD, succeeded_at=ago(hours=1))
            story = way.resync().ended_well()
            [trigger] = story.triggers
            assert (trigger.path.rpartition("/")[2], trigger.body) == ("resync", {})
            assert way.sim.runs(ID)[0].historical
            return story

        compare(tell, ways)

    @pytest.mark.parametrize(
        "scope", [{"shop": ["orders"]}, json.dumps({"shop": ["orders"]})], ids=["dict", "text"]
    )
    def test_some_tables(self, ways, scope):
        def tell(way):
            way.add(GOOD, succeeded_at=ago(hours=1))
            story = way.resync(scope=scope).ended_well()
            assert story.triggers[0].body == {"scope": {"shop": ["orders"]}}
            assert way.sim.runs(ID)[0].tables == {"shop": ["orders"]}
            return story

        compare(tell, ways)

    @pytest.mark.parametrize("when_running", ["attach", "queue"])
    def test_a_running_sync_is_not_the_resync(self, ways, when_running):
        def tell(way):
            way.add(SyncPlan(duration=0.5), GOOD)
            way.sim.start_sync(ID)
            story = way.resync(when_running=when_running).ended_well()
            assert [run.cause for run in way.sim.runs(ID)] == ["schedule", "resync"]
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_a_lost_answer_starts_it_once(self, ways):
        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.faults.add(Fault("lost", "POST", "/resync$"))
            story = way.resync().ended_well()
            assert len(way.sim.runs(ID)) == len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_a_lost_answer_that_nothing_can_make_good_is_said_at_once(self, ways):
        """A sync that runs may be any: nothing that can be read tells a re-sync of some tables from it."""

        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.faults.add(Fault("lost", "POST", "/resync$"))
            before = datetime.now(UTC)
            story = way.resync(scope={"shop": ["orders"]}).failed(FivetranTriggerUncertain, ID)
            assert datetime.now(UTC) - before < timedelta(seconds=2)
            assert len(way.sim.runs(ID)) == len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_a_failure(self, ways):
        def tell(way):
            way.add(BAD)
            return way.resync().failed(FivetranSyncFailed, "Reconnect", status="failed")

        compare(tell, ways)


class TestKeys:
    def test_a_wrong_key_fails_at_once(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.add_key("sim-key", "another-secret")
            story = way.sync().failed(FivetranUnauthorized, "401")
            assert {request.status for request in story.requests} == {401}
            return story

        compare(tell, ways)

    def test_a_key_that_is_revoked_midway_and_not_replaced(self, ways):
        def tell(way):
            way.add(ENDLESS)
            way.heard.at(
                "POST", SYNC, lambda: way.heard.at("GET", CONNECTION, lambda: way.sim.revoke("sim-key"))
            )
            return way.sync().failed(FivetranUnauthorized, "401")

        compare(tell, ways)

    def test_a_key_that_may_not_write(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.add_key("sim-key", "sim-secret", may_write=False)
            story = way.sync().failed(FivetranForbidden, "403")
            assert len(story.triggers) == 1
            return story

        compare(tell, ways)

    def test_a_key_of_another_group(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.add_key("sim-key", "sim-secret", groups=["elsewhere"])
            return way.sync().failed(FivetranForbidden, "403")

        compare(tell, ways)

    def test_a_key_that_may_not_read_the_history(self, ways):
        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.add_key("sim-key", "sim-secret", may_read_history=False)
            return way.sync().ended_well()

        compare(tell, ways)

    def test_secrets_are_nowhere_in_what_travels(self, ways):
        def tell(way):
            way.add(BAD)
            story = way.sync()
            travels = json.dumps([story.ti.pushed, story.events]) + str(story.error) + repr(story.error)
            for deferral in story.deferrals:
                travels += repr(deferral.trigger.serialize()) + repr(deferral.kwargs)
            assert "sim-secret" not in travels
            assert "c2ltLWtleTpzaW0tc2VjcmV0" not in travels
            return story

        compare(tell, ways)


class TestSensorTellsIt:
    """The same stories as a sensor sees them, which did not start the sync."""

    def test_the_next_sync_that_fivetran_starts(self, ways):
        def tell(way):
            way.add(SyncPlan(duration=0.5), succeeded_at=ago(hours=1), failed_at=ago(hours=2))
            way.heard.at("GET", CONNECTION, lambda: way.sim.start_sync(ID))
            return way.sense().ended_well()

        compare(tell, ways)

    def test_a_failure(self, ways):
        def tell(way):
            way.add(BAD, succeeded_at=ago(hours=1))
            way.heard.at("GET", CONNECTION, lambda: way.sim.start_sync(ID))
            return way.sense().failed(FivetranSyncFailed, "Reconnect", status="failed")

        compare(tell, ways)

    @pytest.mark.parametrize(
        ("happens", "kind"), [("pause", FivetranConnectionPaused), ("delete", FivetranConnectionDeleted)]
    )
    def test_something_happens_to_the_connection(self, ways, happens, kind):
        def tell(way):
            way.sim.switches.update(stop_lag=0)
            way.add(ENDLESS)
            way.sim.start_sync(ID)
            way.heard.at("GET", CONNECTION, lambda: getattr(way.sim, happens)(ID), nth=2)
            return way.sense().failed(kind, ID)

        compare(tell, ways)

    def test_a_put_off_sync_is_not_triggered_by_a_sensor(self, ways):
        def tell(way):
            way.add(
                SyncPlan(duration=0.2, outcome="rescheduled", reschedule_after=0.3), schedule_type="manual"
            )
            way.sim.start_sync(ID)
            story = way.sense(timeout=1.5)
            assert type(story.error).__name__ == "AirflowSensorTimeout"
            assert story.triggers == []
            assert len(way.sim.runs(ID)) == 1

        # Not compared: whether Airflow's clock or ours is first to see the timeout is a matter of milliseconds.
        with ThreadPoolExecutor(len(ways)) as pool:
            list(pool.map(tell, ways))

    def test_a_network_full_of_faults(self, ways):
        def tell(way):
            way.add(UNMISTAKABLE, succeeded_at=ago(hours=1))
            way.sim.start_sync(ID)
            for kind in ("status", "reset", "lost", "html", "garbage"):
                way.sim.faults.add(Fault(kind, "GET", CONNECTION, times=2, probability=0.3))
            return way.sense().ended_well()

        compare(tell, ways)

    def test_a_wrong_key(self, ways):
        def tell(way):
            way.add(GOOD)
            way.sim.revoke("sim-key")
            return way.sense().failed(FivetranUnauthorized, "401")

        compare(tell, ways)
