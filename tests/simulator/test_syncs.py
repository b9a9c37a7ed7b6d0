"""The life of a sync as the API shows it: every way one starts, ends, is put off or is stopped."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.simulator import SyncPlan


def add(sim, **fields):
    fields.setdefault("default_plan", SyncPlan(duration=10))
    sim.add_connection("c", **fields)


def trigger(api, **body):
    return api.post("/v1/connections/c/sync", body)


def stamps(api):
    shape = api.connection("c")
    return shape["succeeded_at"], shape["failed_at"]


def statuses(sim):
    return [run.status for run in sim.runs("c")]


class TestEnds:
    def test_a_success_moves_only_its_own_timestamp(self, sim, api):
        add(sim, historical=True)
        assert trigger(api).json() == {
            "code": "Success",
            "message": "Sync has been successfully triggered for connection with id 'c'",
        }
        assert api.state("c") == "syncing"
        sim.clock.advance(10)
        shape = api.connection("c")
        assert shape["status"]["sync_state"] == "scheduled"
        assert not shape["status"]["is_historical_sync"]
        assert shape["succeeded_at"] is not None
        assert shape["failed_at"] is None
        [run] = sim.runs("c")
        assert (run.status, run.cause, run.ended_at - run.started_at) == (
            "COMPLETED",
            "api",
            timedelta(seconds=10),
        )

    def test_an_end_is_dated_when_it_was_due_however_late_somebody_looks(self, sim, api):
        add(sim)
        trigger(api)
        sim.clock.advance(3600)
        assert api.state("c") == "scheduled"
        [run] = sim.runs("c")
        assert run.ended_at == run.started_at + timedelta(seconds=10)

    def test_a_failure_leaves_tasks_and_may_break_the_setup(self, sim, api):
        task = {"code": "reconnect", "message": "Reconnect", "details": "expired"}
        add(sim, default_plan=SyncPlan(duration=1, outcome="failure", tasks=[task], breaks_setup=True))
        trigger(api)
        sim.clock.advance(1)
        shape = api.connection("c")
        assert shape["status"]["sync_state"] == "scheduled"
        assert shape["status"]["setup_state"] == "broken"
        assert shape["status"]["tasks"] == [task]
        assert shape["failed_at"] is not None
        assert shape["succeeded_at"] is None
        assert sim.runs("c")[0].reason == "Reconnect"

    def test_a_success_heals_a_broken_setup_and_clears_the_tasks(self, sim, api):
        add(sim, plans=[SyncPlan(duration=1, outcome="failure", breaks_setup=True)])
        trigger(api)
        sim.clock.advance(1)
        trigger(api)
        sim.clock.advance(10)
        status = api.connection("c")["status"]
        assert (status["setup_state"], status["tasks"]) == ("connected", [])

    def test_warnings_of_a_success_are_shown(self, sim, api):
        warning = {"code": "resync_table_warning", "message": "again", "details": ""}
        add(sim, default_plan=SyncPlan(duration=1, warnings=[warning]))
        trigger(api)
        sim.clock.advance(1)
        assert api.connection("c")["status"]["warnings"] == [warning]

    @pytest.mark.parametrize(("outcome", "status"), [("canceled", "CANCELED"), ("incomplete", "INCOMPLETE")])
    def test_some_ends_move_no_timestamp(self, sim, api, outcome, status):
        add(sim, default_plan=SyncPlan(duration=1, outcome=outcome))
        trigger(api)
        sim.clock.advance(1)
        assert (api.state("c"), stamps(api), statuses(sim)) == ("scheduled", (None, None), [status])

    def test_fivetran_tries_again_after_a_failure_by_itself(self, sim, api):
        add(sim, plans=[SyncPlan(duration=1, outcome="failure", retry_after=5)])
        trigger(api)
        sim.clock.advance(16)
        api.state("c")
        assert [(run.status, run.cause) for run in sim.runs("c")] == [
            ("FAILURE", "api"),
            ("COMPLETED", "schedule"),
        ]


class TestStarts:
    def test_a_queued_sync_shows_no_sign_until_it_starts(self, sim, api):
        add(sim, default_plan=SyncPlan(duration=10, queue_delay=5))
        trigger(api)
        assert (api.state("c"), sim.runs("c")) == ("scheduled", [])
        assert [run.status for run in sim.accepted("c")] == ["QUEUED"]
        sim.clock.advance(5)
        assert api.state("c") == "syncing"

    def test_a_second_trigger_while_queued_changes_nothing(self, sim, api):
        add(sim, default_plan=SyncPlan(queue_delay=5))
        trigger(api)
        trigger(api)
        assert len(sim.accepted("c")) == 1

    def test_start_lag_delays_every_trigger(self, sim, api):
        sim.switches.start_lag = 3
        add(sim)
        trigger(api)
        assert api.state("c") == "scheduled"
        sim.clock.advance(3)
        assert api.state("c") == "syncing"

    def test_one_that_never_starts_is_accepted_and_forgotten(self, sim, api):
        add(sim, plans=[SyncPlan(outcome="never_starts")])
        assert trigger(api).status_code == 200
        sim.clock.advance(9999)
        assert (api.state("c"), sim.runs("c")) == ("scheduled", [])
        trigger(api)
        assert api.state("c") == "syncing"

    def test_plans_are_used_up_one_by_one(self, sim, api):
        add(sim, plans=[SyncPlan(duration=1, outcome="failure"), SyncPlan(duration=1, outcome="canceled")])
        for _ in range(3):
            trigger(api)
            sim.clock.advance(10)
        api.state("c")
        assert statuses(sim) == ["FAILURE", "CANCELED", "COMPLETED"]

    def test_a_new_plan_holds_for_the_next_sync(self, sim, api):
        add(sim)
        trigger(api)
        sim.set_plan("c", SyncPlan(duration=1, outcome="failure"))
        sim.clock.advance(10)
        trigger(api)
        sim.clock.advance(1)
        api.state("c")
        assert statuses(sim) == ["COMPLETED", "FAILURE"]

    def test_the_own_schedule_keeps_its_rhythm(self, sim, api):
        add(sim, every=60)
        begin = sim.clock.now()
        sim.clock.advance(185)
        api.state("c")
        starts = [(run.started_at - begin).total_seconds() for run in sim.runs("c")]
        assert starts == [60, 120, 180]
        assert {run.cause for run in sim.runs("c")} == {"schedule"}

    def test_the_own_schedule_skips_a_slot_while_a_sync_runs(self, sim, api):
        add(sim, every=60, default_plan=SyncPlan(duration=70))
        begin = sim.clock.now()
        sim.clock.advance(200)
        api.state("c")
        assert [(run.started_at - begin).total_seconds() for run in sim.runs("c")] == [60, 180]

    @pytest.mark.parametrize("fields", [{"schedule_type": "manual"}, {"paused": True}])
    def test_nothing_starts_by_itself_when_manual_or_paused(self, sim, api, fields):
        add(sim, every=60, **fields)
        sim.clock.advance(200)
        api.state("c")
        assert sim.runs("c") == []

    def test_turning_the_schedule_on_starts_an_overdue_sync_now_and_not_in_the_past(self, sim, api):
        add(sim, every=60, schedule_type="manual")
        sim.clock.advance(200)
        api.change("c", schedule_type="auto")
        assert api.state("c") == "syncing"
        assert sim.runs("c")[0].started_at == sim.clock.now()

    def test_a_sync_can_be_started_as_the_schedule_would(self, sim, api):
        add(sim)
        assert sim.start_sync("c").cause == "schedule"
        assert api.state("c") == "syncing"
        assert sim.start_sync("c") is None


class TestTriggersThatMeetAnObstacle:
    def test_while_running_it_does_nothing(self, sim, api):
        add(sim)
        trigger(api)
        assert trigger(api, force=False).status_code == 200
        assert len(sim.runs("c")) == 1

    def test_while_running_it_may_be_refused(self, sim, api):
        sim.switches.sync_while_running = "conflict"
        add(sim)
        trigger(api)
        answer = trigger(api)
        assert (answer.status_code, answer.json()["code"]) == (409, "Conflict")

    @pytest.mark.parametrize("address", ["connections/c/sync", "connections/c/force", "connectors/c/force"])
    def test_force_stops_the_running_sync_and_starts_another(self, sim, api, address):
        add(sim)
        trigger(api)
        sim.clock.advance(1)
        assert api.post(f"/v1/{address}", {"force": True}).status_code == 200
        assert statuses(sim) == ["CANCELED", "RUNNING"]
        assert sim.runs("c")[1].cause == "force"
        assert stamps(api) == (None, None)

    def test_force_may_fail_to_stop_it(self, sim, api):
        sim.switches.stop_fails = True
        add(sim)
        trigger(api)
        answer = trigger(api, force=True)
        assert answer.status_code == 409
        assert "60 seconds" in answer.json()["message"]
        assert statuses(sim) == ["RUNNING"]

    @pytest.mark.parametrize(
        ("fields", "switch"),
        [
            ({"paused": True}, "sync_while_paused"),
            ({"setup_state": "incomplete"}, "sync_while_incomplete"),
        ],
    )
    def test_paused_or_not_set_up_it_starts_nothing(self, sim, api, fields, switch):
        add(sim, **fields)
        assert trigger(api).status_code == 200
        sim.switches.update(**{switch: "conflict"})
        assert trigger(api).status_code == 409
        assert sim.accepted("c") == []

    def test_broken_it_can_be_triggered(self, sim, api):
        add(sim, setup_state="broken")
        trigger(api)
        assert api.state("c") == "syncing"


class TestReschedules:
    def plan(self, after=1800.0):
        return SyncPlan(duration=10, outcome="rescheduled", reschedule_after=after)

    def test_auto_restarts_by_itself_as_a_new_run(self, sim, api):
        add(sim, plans=[self.plan()])
        trigger(api)
        sim.clock.advance(10)
        status = api.connection("c")["status"]
        assert status["sync_state"] == "rescheduled"
        assert status["rescheduled_for"] is not None
        assert stamps(api) == (None, None)
        sim.clock.advance(1800)
        assert api.state("c") == "syncing"
        assert api.connection("c")["status"]["rescheduled_for"] is None
        sim.clock.advance(10)
        api.state("c")
        assert [(run.status, run.cause) for run in sim.runs("c")] == [
            ("RESCHEDULED", "api"),
            ("COMPLETED", "reschedule"),
        ]

    def test_manual_never_restarts(self, sim, api):
        add(sim, schedule_type="manual", plans=[self.plan()])
        trigger(api)
        sim.clock.advance(100_000)
        assert api.state("c") == "rescheduled"
        trigger(api)
        assert api.state("c") == "syncing"

    def test_no_time_may_be_announced(self, sim, api):
        add(sim, plans=[self.plan(after=None)])
        trigger(api)
        sim.clock.advance(10)
        status = api.connection("c")["status"]
        assert (status["sync_state"], status["rescheduled_for"]) == ("rescheduled", None)


class TestStops:
    def test_pausing_stops_a_running_sync_a_little_later(self, sim, api):
        sim.switches.stop_lag = 5
        add(sim)
        trigger(api)
        assert api.change("c", paused=True).json()["data"]["paused"] is True
        assert api.state("c") == "syncing"
        sim.clock.advance(5)
        assert (api.state("c"), statuses(sim), stamps(api)) == ("paused", ["PAUSED"], (None, None))

    def test_unpausing_goes_back_to_scheduled(self, sim, api):
        add(sim, paused=True)
        assert api.state("c") == "paused"
        api.change("c", paused=False)
        assert (api.state("c"), sim.runs("c")) == ("scheduled", [])

    def test_unpausing_may_start_a_sync(self, sim, api):
        sim.switches.sync_on_unpause = True
        add(sim, paused=True)
        api.change("c", paused=False)
        assert api.state("c") == "syncing"

    def test_pausing_drops_what_is_queued(self, sim, api):
        add(sim, default_plan=SyncPlan(queue_delay=5))
        trigger(api)
        sim.pause("c")
        sim.unpause("c")
        sim.clock.advance(100)
        assert (api.state("c"), [run.status for run in sim.accepted("c")]) == ("scheduled", ["DROPPED"])

    def test_pausing_may_fail_to_stop_it(self, sim, api):
        sim.switches.stop_fails = True
        add(sim)
        trigger(api)
        assert api.change("c", paused=True).status_code == 409
        assert api.connection("c")["paused"] is False

    def test_a_cancel_in_the_dashboard_moves_no_timestamp(self, sim, api):
        add(sim)
        trigger(api)
        sim.cancel("c")
        assert (api.state("c"), stamps(api), statuses(sim)) == ("scheduled", (None, None), ["CANCELED"])

    def test_a_deleted_connection_is_gone_and_its_truth_stays(self, sim, api):
        add(sim)
        trigger(api)
        assert api.delete("/v1/connections/c").json()["code"] == "Success"
        answer = api.get("/v1/connections/c")
        assert (answer.status_code, answer.json()["code"]) == (404, "NotFound_Connection")
        assert statuses(sim) == ["CANCELED"]


class TestResyncs:
    def test_a_resync_is_historical_until_it_ends_well(self, sim, api):
        add(sim)
        assert api.post("/v1/connections/c/resync").status_code == 200
        status = api.connection("c")["status"]
        assert (status["sync_state"], status["is_historical_sync"]) == ("syncing", True)
        sim.clock.advance(10)
        assert api.connection("c")["status"]["is_historical_sync"] is False
        assert sim.runs("c")[0].cause == "resync"

    def test_a_resync_follows_the_running_sync(self, sim, api):
        add(sim)
        trigger(api)
        api.post("/v1/connections/c/resync")
        sim.clock.advance(10)
        api.state("c")
        assert [(run.status, run.historical) for run in sim.runs("c")] == [
            ("COMPLETED", False),
            ("RUNNING", True),
        ]

    def test_a_resync_may_be_refused_while_a_sync_runs(self, sim, api):
        sim.switches.resync_while_running = "conflict"
        add(sim)
        trigger(api)
        assert api.post("/v1/connections/c/resync").status_code == 409

    def test_a_resync_of_a_paused_connection_waits_until_it_is_enabled(self, sim, api):
        add(sim, paused=True)
        assert api.post("/v1/connections/c/resync").status_code == 200
        assert sim.runs("c") == []
        api.change("c", paused=False)
        assert [run.cause for run in sim.runs("c")] == ["resync"]

    @pytest.mark.parametrize(
        ("address", "body"),
        [
            ("resync", {"scope": {"shop": ["orders"]}}),
            ("schemas/tables/resync", {"shop": ["orders"]}),
        ],
    )
    def test_tables_are_loaded_again_without_the_rest(self, sim, api, address, body):
        add(sim)
        assert api.post(f"/v1/connections/c/{address}", body).status_code == 200
        [run] = sim.runs("c")
        assert (run.tables, run.historical) == ({"shop": ["orders"]}, False)

    @pytest.mark.parametrize(
        ("address", "body"),
        [
            ("resync", {"scope": {}}),
            ("resync", {"scope": {"shop": []}}),
            ("resync", {"scope": {"shop": ["a", "a"]}}),
            ("resync", {"scope": ["shop"]}),
            ("schemas/tables/resync", {}),
            ("schemas/tables/resync", {"shop": "orders"}),
        ],
    )
    def test_a_scope_that_names_nothing_is_refused(self, sim, api, address, body):
        add(sim)
        assert api.post(f"/v1/connections/c/{address}", body).status_code == 400
        assert sim.accepted("c") == []

    def test_a_scope_that_is_null_is_none(self, sim, api):
        add(sim)
        assert api.post("/v1/connections/c/resync", {"scope": None}).status_code == 200
        [run] = sim.runs("c")
        assert (run.tables, run.historical) == (None, True)

    @pytest.mark.parametrize(
        "fields", [{"service": "google_sheets"}, {"resyncs_tables": False}], ids=["by type", "as told"]
    )
    @pytest.mark.parametrize(
        ("address", "body"),
        [
            ("resync", {"scope": {"shop": ["orders"]}}),
            ("schemas/tables/resync", {"shop": ["orders"]}),
        ],
    )
    def test_not_every_type_can_load_single_tables_anew(self, sim, api, fields, address, body):
        add(sim, **fields)
        answer = api.post(f"/v1/connections/c/{address}", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidInput")
        assert "table-level re-sync" in answer.json()["message"]
        assert sim.accepted("c") == []
        assert api.post("/v1/connections/c/resync").status_code == 200

    def test_asking_for_a_historical_sync_replaces_the_running_one(self, sim, api):
        add(sim)
        trigger(api)
        api.change("c", is_historical_sync=True)
        assert [(run.status, run.historical) for run in sim.runs("c")] == [
            ("CANCELED", False),
            ("RUNNING", True),
        ]


class TestOwnSchedule:
    """Where the switch says so, sync_frequency counts."""

    def runs_after(self, sim, minutes, **fields):
        sim.switches.follow_sync_frequency = True
        sim.add_connection("c", default_plan=SyncPlan(duration=1), **fields)
        sim.clock.advance(minutes * 60)
        return len(sim.runs("c"))

    @pytest.mark.parametrize(
        ("fields", "runs"),
        [
            ({"sync_frequency": 5}, 6),
            ({"sync_frequency": 15}, 2),
            ({"sync_frequency": 60}, 0),
            ({"sync_frequency": None}, 0),
            ({"sync_frequency": 5, "every": 600}, 3),
            ({"sync_frequency": 5, "paused": True}, 0),
            ({"sync_frequency": 5, "schedule_type": "manual"}, 0),
        ],
    )
    def test_connections_sync_as_often_as_they_say(self, sim, fields, runs):
        assert self.runs_after(sim, 30.5, **fields) == runs

    def test_a_changed_frequency_counts_from_the_change(self, sim, api):
        assert self.runs_after(sim, 4, sync_frequency=5) == 0
        assert api.change("c", sync_frequency=15).ok
        sim.clock.advance(14 * 60)
        assert len(sim.runs("c")) == 0
        sim.clock.advance(60)
        assert len(sim.runs("c")) == 1

    def test_usually_it_is_only_shown(self, sim):
        sim.add_connection("c", sync_frequency=5)
        sim.clock.advance(86400)
        assert sim.runs("c") == []
