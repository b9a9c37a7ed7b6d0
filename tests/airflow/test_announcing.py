"""What the outlets of a task are told when it succeeds: the record of its sync, and only then."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Asset, AssetAlias

from airflow_provider_fivetran.assets import (
    account_asset,
    connection_asset,
    failure_asset,
    group_asset,
    sync_record_of,
)
from airflow_provider_fivetran.core.verdicts import SyncRecord
from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
from airflow_provider_fivetran.sensors import FivetranSensor
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from several_tries import Task
from stories import ID, IS_AIRFLOW_2, Story

try:
    from airflow.sdk.execution_time.context import OutletEventAccessors
except ImportError:  # Airflow 2
    from airflow.utils.context import OutletEventAccessors

GOOD = SyncPlan(duration=0.2)
ASSET = connection_asset(ID)
ALIAS = AssetAlias("synced")
RESYNC = {"scope": {"shop": ["orders"]}}


def tell(way, kind=FivetranOperator, **arguments):
    """Run a task; return what became of it, and what its outlets were told."""
    events = OutletEventAccessors()
    story = way.tell(Story(way), lambda: way.make(kind, **arguments), outlet_events=events)
    return story, events


def of_alias(events, alias=ALIAS):
    """What an alias was told, as (URI, extra)."""
    accessor = events[alias]
    if IS_AIRFLOW_2:
        return [(event["dest_dataset_uri"], event["extra"]) for event in accessor.dataset_alias_events]
    return [(event.dest_asset_key.uri, event.extra) for event in accessor.asset_alias_events]


def uri_at(way):
    return f"fivetran://{way.sim.url.removeprefix('http://')}/{ID}"


class TestAConnectionsAsset:
    @pytest.mark.parametrize(
        ("kind", "arguments"),
        [(FivetranOperator, {}), (FivetranResyncOperator, RESYNC), (FivetranOperator, {"retries": 2})],
    )
    def test_is_told_of_a_sync_that_ended_well(self, way, kind, arguments):
        way.add(GOOD)
        story, events = tell(way, kind, outlets=[ASSET], **arguments)
        assert events[ASSET].extra == story.ended_well().record
        assert sync_record_of(events[ASSET].extra).ended_at == way.sim.runs(ID)[-1].ended_at

    def test_is_told_by_a_sensor_too(self, way):
        way.add(GOOD, every=0.3)
        story, events = tell(way, FivetranSensor, outlets=[ASSET])
        assert events[ASSET].extra == story.record
        assert story.record["status"] == "succeeded"

    @pytest.mark.newest
    def test_is_told_by_a_sensor_that_began_in_the_triggerer(self, deferrable):
        deferrable.add(GOOD, every=0.3)
        story, events = tell(deferrable, FivetranSensor, outlets=[ASSET], start_from_trigger=True)
        assert (story.deferrals, len(story.events)) == ([], 1)
        assert events[ASSET].extra == story.record

    @pytest.mark.parametrize(
        "asset", [group_asset("g"), account_asset(), connection_asset(ID, host="elsewhere.example.com")]
    )
    def test_stands_for_it_alone_with_its_group_or_with_the_account(self, way, asset):
        way.add(GOOD)
        story, events = tell(way, outlets=[asset])
        assert events[asset].extra == story.record

    def test_is_told_of_the_sync_that_made_another_one_unnecessary(self, way):
        way.add(GOOD, succeeded_at=datetime.now(UTC) - timedelta(minutes=5))
        story, events = tell(way, outlets=[ASSET], fresh_within=3600)
        assert events[ASSET].extra == story.record
        assert story.record["status"] == "fresh"

    def test_keeps_what_somebody_else_has_said(self, blocking):
        blocking.add(GOOD)
        events = OutletEventAccessors()
        events[ASSET].extra["team"] = "shop"  # as a hook of the task before its execution does
        story = blocking.tell(
            Story(blocking), lambda: blocking.make(FivetranOperator, outlets=[ASSET]), outlet_events=events
        )
        assert events[ASSET].extra == {"team": "shop", **story.record}

    def test_is_told_nothing_of_a_sync_that_failed(self, way):
        way.add(SyncPlan(duration=0.2, outcome="failure"))
        story, events = tell(way, outlets=[ASSET, ALIAS])
        assert story.error is not None
        assert (len(events), of_alias(events)) == (0, [])

    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor])
    def test_is_told_nothing_by_a_task_that_is_skipped(self, way, kind):
        way.add(GOOD, paused=True)
        lenient = {"when_paused": "skip"} if kind is FivetranOperator else {"soft_fail": True}
        story, events = tell(way, kind, outlets=[ASSET, ALIAS], **lenient)
        assert type(story.error).__name__ == "AirflowSkipException"
        assert (len(events), of_alias(events)) == (0, [])

    def test_of_another_connection_is_told_nothing_and_the_log_says_why(self, way, caplog):
        way.add(GOOD)
        other = connection_asset("other")
        story, events = tell(way, outlets=[other, Asset(uri="s3://bucket/key")])
        story.ended_well()
        assert len(events) == 0
        [said] = [r.getMessage() for r in caplog.records if r.name == "airflow_provider_fivetran.announcing"]
        assert said.startswith("fivetran://api.fivetran.com/other is an outlet of this task")
        assert f"the task was about {ID}" in said


class TestAnAlias:
    def test_gets_the_asset_of_what_was_synced_on_the_host_of_the_airflow_connection(self, way):
        way.add(GOOD)
        story, events = tell(way, outlets=[ALIAS, ASSET])
        [(uri, extra)] = of_alias(events)
        assert uri == uri_at(way)
        assert sync_record_of(extra).ended_at == datetime.fromisoformat(story.value)
        assert events[ASSET].extra == story.record

    def test_gets_it_for_a_connection_that_is_known_by_its_name(self, way):
        way.add(GOOD, schema="shop")
        _, events = tell(way, outlets=[ALIAS], connector_name="shop", destination_name="Warehouse")
        assert [uri for uri, _ in of_alias(events)] == [uri_at(way)]

    def test_gets_nothing_before_the_data_has_landed(self, way):
        way.add(GOOD)
        story, events = tell(way, outlets=[ALIAS], wait_for_completion=False)
        assert story.record["status"] == "started"
        assert of_alias(events) == []

    @pytest.mark.skipif(
        not IS_AIRFLOW_2, reason="Airflow 3 takes nested extras; only Airflow 2 fails over them"
    )
    def test_gets_nothing_nested_in_airflow_2_which_would_fail_over_it(self, way):
        way.add(GOOD)
        _, events = tell(way, outlets=[ALIAS])
        [(_, extra)] = of_alias(events)
        assert {type(value) for value in extra.values()} <= {str, float, type(None)}

    def test_fails_no_task_whose_airflow_connection_is_gone_by_now(self, deferrable, caplog):
        deferrable.add(GOOD)
        task = Task(deferrable, outlets=[ALIAS])
        event = task.deferred()
        os.environ.pop(deferrable.variable)
        events = OutletEventAccessors()
        done = task.make().resume_execution(
            "execute_complete", {"event": event}, {**task.context, "outlet_events": events}
        )
        assert datetime.fromisoformat(done) == deferrable.sim.runs(ID)[-1].ended_at
        assert of_alias(events) == []
        assert "not all assets of the task are told of the sync: AirflowNotFoundException" in caplog.text


TABLES = AssetAlias("shop_tables")
POSTGRES = {"host": "db.example.com", "port": 5432, "database": "analytics", "password": "s3cret"}
URIS = [
    f"postgres://db.example.com:5432/analytics/shop/{name}" for name in ("customers", "orders", "payments")
]
if IS_AIRFLOW_2:  # where Cosmos leaves the dots in
    URIS = [uri.replace("/analytics/shop/", "/analytics.shop.") for uri in URIS]


class TestTables:
    def add(self, way, *plans, service="postgres_warehouse", config=POSTGRES, **fields):
        way.sim.add_group("g", service=service, config=config)
        way.add(*plans or [GOOD], group_id="g", schema="shop", **fields)

    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor])
    def test_each_has_an_asset_that_is_told_of_the_sync(self, way, kind):
        self.add(way, every=0.3 if kind is FivetranSensor else None)
        story, events = tell(way, kind, table_assets=TABLES)
        told = of_alias(events, TABLES)
        assert [uri for uri, _ in told] == URIS
        assert {sync_record_of(extra).ended_at.isoformat() for _, extra in told} == {story.value}
        assert of_alias(events, ALIAS) == []

    def test_costs_three_requests_after_the_sync_and_none_if_nobody_asks(self, way):
        self.add(way)
        with_tables, _ = tell(way, table_assets=TABLES)
        without, _ = tell(way, outlets=[ASSET])
        assert [request.path for request in with_tables.requests[-3:]] == [
            f"/v1/connections/{ID}",
            "/v1/destinations/g",
            f"/v1/connections/{ID}/schemas",
        ]
        assert not without.sent("GET", r"/(destinations|schemas)")

    def test_are_told_beside_the_connection(self, way):
        self.add(way)
        story, events = tell(way, outlets=[ASSET, ALIAS, TABLES], table_assets=TABLES)
        assert events[ASSET].extra == story.record
        assert [uri for uri, _ in of_alias(events)] == [uri_at(way)]
        assert [uri for uri, _ in of_alias(events, TABLES)] == URIS

    def test_of_a_resync_of_some_tables_only_these_are_told(self, way):
        self.add(way)
        _, events = tell(way, FivetranResyncOperator, table_assets=TABLES, **RESYNC)
        assert [uri for uri, _ in of_alias(events, TABLES)] == URIS[1:2]

    def test_are_told_nothing_of_a_sync_that_failed(self, way):
        self.add(way, SyncPlan(duration=0.2, outcome="failure"))
        story, events = tell(way, table_assets=TABLES)
        assert story.error is not None
        assert of_alias(events, TABLES) == []
        assert not story.sent("GET", r"/(destinations|schemas)")

    @pytest.mark.parametrize(
        ("service", "config", "said"),
        [
            (
                "new_s3_datalake",
                {"bucket": "b"},
                "tables in a destination of type 'new_s3_datalake' have no URI",
            ),
            ("snowflake", {"host": "a-b.snowflakecomputing.com"}, "(snowflake) has no 'database'"),
        ],
    )
    def test_without_a_name_fail_nothing_and_the_log_says_why(self, way, caplog, service, config, said):
        self.add(way, service=service, config=config)
        story, events = tell(way, outlets=[ASSET], table_assets=TABLES)
        story.ended_well()
        assert events[ASSET].extra == story.record
        assert of_alias(events, TABLES) == []
        assert f"{ID}: not all assets of the task are told of the sync" in caplog.text
        assert said in caplog.text
        assert "s3cret" not in caplog.text

    def test_of_a_connection_with_very_many_tables_none_is_told(self, blocking, caplog):
        self.add(blocking, tables=[f"t{number}" for number in range(501)])
        story, events = tell(blocking, outlets=[ASSET], table_assets=TABLES)
        assert events[ASSET].extra == story.ended_well().record
        assert of_alias(events, TABLES) == []
        assert "it fills 501 tables, and Airflow is told of 500 at most" in caplog.text

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ({"kind": "status", "status": 404, "path": r"/schemas$"}, "FivetranNotFound"),
            ({"kind": "status", "status": 403, "path": r"/destinations/"}, "FivetranForbidden"),
            ({"kind": "status", "status": 503, "path": r"/schemas$"}, "FivetranServerError"),
            ({"kind": "reset", "path": r"/destinations/"}, "FivetranUnreachable"),
            ({"kind": "garbage", "path": r"/schemas$"}, "FivetranUnexpectedAnswer"),
            ({"kind": "wrong_shape", "path": r"/schemas$"}, "no table is told of the sync"),
        ],
        ids=str,
    )
    def test_that_cannot_be_read_fail_nothing(self, way, caplog, fault, said):
        self.add(way)
        way.sim.faults.add(Fault(method="GET", times=None, **fault))
        story, events = tell(way, outlets=[ASSET], table_assets=TABLES)
        assert events[ASSET].extra == story.ended_well().record
        assert of_alias(events, TABLES) == []
        assert [r.levelname for r in caplog.records if said in r.getMessage()] == ["WARNING"]

    def test_fail_nothing_when_the_time_of_the_task_is_up_meanwhile(self, blocking, caplog):
        self.add(blocking)
        blocking.heard.at("GET", r"/schemas$", lambda: signal.raise_signal(signal.SIGALRM))
        before = signal.signal(signal.SIGALRM, time_is_up)
        try:
            story, events = tell(blocking, outlets=[ASSET], table_assets=TABLES)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert events[ASSET].extra == story.ended_well().record
        assert "AirflowTaskTimeout" in caplog.text


def time_is_up(*_):
    raise AirflowTaskTimeout("Timeout")


@pytest.mark.newest
class TestATaskOfSeveralTries:
    """Airflow 3.3 keeps the notes of a task."""

    def test_tells_of_the_sync_that_an_earlier_try_began(self, way):
        way.add(SyncPlan(duration=0.4))
        task = Task(way, outlets=[ASSET])
        task.dies()
        events = OutletEventAccessors()
        story = way.tell(
            Story(way, task.retried().ti), task.make, task_state_store=task.store, outlet_events=events
        )
        assert len(way.sim.runs(ID)) == 1
        assert events[ASSET].extra == story.ended_well().record

    def test_tells_of_it_again_when_a_worker_died_before_airflow_learned_of_the_end(self, way):
        way.add(GOOD)
        task = Task(way, outlets=[ASSET])
        told = OutletEventAccessors()
        way.tell(Story(way, task.ti), task.make, task_state_store=task.store, outlet_events=told)
        events = OutletEventAccessors()
        way.tell(Story(way, task.retried().ti), task.make, task_state_store=task.store, outlet_events=events)
        assert len(way.sim.runs(ID)) == 1
        assert events[ASSET].extra == told[ASSET].extra
        assert events[ASSET].extra["status"] == "succeeded"

    def test_tells_of_the_new_sync_when_it_was_cleared(self, way):
        way.add(GOOD)
        task = Task(way, outlets=[ASSET])
        way.tell(
            Story(way, task.ti), task.make, task_state_store=task.store, outlet_events=OutletEventAccessors()
        )
        events = OutletEventAccessors()
        way.tell(Story(way, task.cleared().ti), task.make, task_state_store=task.store, outlet_events=events)
        assert sync_record_of(events[ASSET].extra).ended_at == way.sim.runs(ID)[1].ended_at

    def test_tells_of_it_where_the_trigger_died_and_sent_no_event(self, deferrable):
        deferrable.add(GOOD)
        task = Task(deferrable, outlets=[ASSET])
        task.deferred()
        events = OutletEventAccessors()
        task.make().resume_execution(
            "__fail__", {"error": "Trigger failure"}, {**task.context, "outlet_events": events}
        )
        assert events[ASSET].extra["status"] == "succeeded"


class TestChecks:
    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor])
    def test_the_asset_of_failures_is_no_outlet(self, kind):
        with pytest.raises(
            ValueError, match=r"outlets has fivetran://api\.fivetran\.com/failures/c, .* successes"
        ):
            kind(task_id="t", connector_id=ID, outlets=[failure_asset(ID)])

    def test_a_task_that_does_not_wait_tells_of_nothing(self):
        with pytest.raises(ValueError, match="wait_for_completion is False; give it to the FivetranSensor"):
            FivetranOperator(task_id="t", connector_id=ID, outlets=[ASSET], wait_for_completion=False)

    @pytest.mark.skipif(IS_AIRFLOW_2, reason="Airflow 2 has no watchers")
    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor])
    def test_an_asset_with_a_watcher_is_not_told_twice(self, kind):
        from airflow.providers.standard.triggers.file import FileDeleteTrigger
        from airflow.sdk import AssetWatcher

        watcher = AssetWatcher(name="w", trigger=FileDeleteTrigger(filepath="/nowhere"))
        with pytest.raises(ValueError, match="has a watcher, which tells of every sync already"):
            kind(task_id="t", connector_id=ID, outlets=[connection_asset(ID, watchers=[watcher])])

    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor])
    def test_tables_have_an_alias(self, kind):
        with pytest.raises(ValueError, match="table_assets is 'shop'; allowed is an AssetAlias"):
            kind(task_id="t", connector_id=ID, table_assets="shop")
        task = kind(task_id="t", connector_id=ID, outlets=[ASSET], table_assets=TABLES)
        assert task.outlets == [ASSET, TABLES]

    def test_tables_of_a_task_that_does_not_wait_have_none(self):
        with pytest.raises(ValueError, match="table_assets would be told of data that has not landed"):
            FivetranOperator(task_id="t", connector_id=ID, table_assets=TABLES, wait_for_completion=False)

    def test_outlets_of_others_are_left_alone(self):
        outlets = [Asset(uri="s3://bucket/key"), Asset(uri="fivetran://mine/own/uri"), ALIAS]
        assert FivetranOperator(task_id="t", connector_id=ID, outlets=outlets).outlets == outlets


def test_what_an_event_says_is_plain_json():
    record = SyncRecord(
        connection_id=ID, status="succeeded", link="l", ended_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert sync_record_of(json.loads(json.dumps(record.to_json()))) == record
