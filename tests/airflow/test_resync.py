"""A re-sync is of what was meant: confirmed where it is of everything, checked where it is of tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_fivetran.exceptions import (
    FivetranConnectionPaused,
    FivetranResyncRefused,
    FivetranSyncFailed,
    FivetranSyncRescheduled,
    FivetranSyncRunning,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import ID, Story, TaskInstance, execute

GOOD = SyncPlan(duration=0.3)
START = datetime(2026, 1, 1, tzinfo=UTC)
SHOP = {"shop": ["orders"]}
CONFIG = r"/schemas$"
NAMES = {"connector_name": "shop", "destination_name": "Warehouse"}


def make(**arguments: Any) -> FivetranResyncOperator:
    return FivetranResyncOperator(task_id="t", **{"connector_id": ID} | arguments)


def story_of(way, values, *, native=False, **arguments):
    """Run a re-sync whose arguments are templates."""

    def render():
        with DAG("d", schedule=None, start_date=START, render_template_as_native_obj=native) as dag:
            task = way.make(FivetranResyncOperator, **arguments)
        task.render_template_fields(values, dag.get_template_env())
        return task

    return way.tell(Story(way), render)


def nothing_happened(story):
    """It is red without a retry, and no request was sent at all."""
    assert isinstance(story.error, AirflowFailException)
    assert story.requests == []
    assert story.sim.accepted(ID) == []
    return story.failed(FivetranResyncRefused)


class TestTheGuardWhenTheDagIsParsed:
    @pytest.mark.parametrize("confirm", [None, "", "other", "C", True, False, 5, [ID]])
    def test_everything_has_to_be_confirmed_by_its_id(self, confirm):
        with pytest.raises(ValueError, match=rf"confirm is .*connector_id once more, '{ID}'.*scope such as"):
            make(confirm=confirm)

    @pytest.mark.parametrize("confirm", [None, "Warehouse", ID])
    def test_where_it_has_a_name_by_its_name(self, confirm):
        with pytest.raises(ValueError, match=r"confirm is .*connector_name once more, 'shop'"):
            make(connector_id=None, **NAMES, confirm=confirm)

    def test_what_is_confirmed_is_taken(self):
        assert make(confirm=ID).confirm == ID
        assert make(connector_id=None, **NAMES, confirm="shop").confirm == "shop"

    def test_what_only_a_template_knows_is_left_to_the_task(self):
        make(confirm="{{ params.confirm }}")
        make(connector_id="{{ params.connection }}", confirm="abc")
        with DAG("d", schedule=None, start_date=START):
            first = FivetranOperator(task_id="first", connector_id=ID)
            second = make(confirm=first.output)
            third = FivetranResyncOperator(task_id="third", connector_id=first.output, confirm="abc")
        assert second.upstream_task_ids == third.upstream_task_ids == {"first"}

    @pytest.mark.parametrize("connector_id", ["{{ params.connection }}", ID])
    @pytest.mark.parametrize("confirm", [None, True])
    def test_what_can_never_confirm_is_refused_beside_a_template_too(self, connector_id, confirm):
        with pytest.raises(ValueError, match="confirm is"):
            make(connector_id=connector_id, confirm=confirm)

    @pytest.mark.parametrize("scope", [SHOP, "{{ params.tables | tojson }}", {}])
    @pytest.mark.parametrize("confirm", [ID, "{{ params.confirm }}"])
    def test_tables_and_everything_are_not_both_asked_for(self, scope, confirm):
        with pytest.raises(ValueError, match=r"confirm is .* and scope is .*: give only one of them"):
            make(scope=scope, confirm=confirm)

    def test_tables_need_no_confirmation(self):
        assert make(scope=SHOP).confirm is None

    def test_mapped_tasks_confirm_each_connection(self):
        with DAG("d", schedule=None, start_date=START):
            mapped = FivetranResyncOperator.partial(task_id="t").expand_kwargs(
                [{"connector_id": "a", "confirm": "a"}, {"connector_id": "b"}]
            )
        assert mapped.unmap({"connector_id": "a", "confirm": "a"}).confirm == "a"
        with pytest.raises(ValueError, match="connector_id once more, 'b'"):
            mapped.unmap({"connector_id": "b"})

    def test_a_mapped_scope_that_is_nothing_is_not_everything(self):
        with DAG("d", schedule=None, start_date=START):
            mapped = FivetranResyncOperator.partial(task_id="t", connector_id=ID).expand(scope=[SHOP, None])
        with pytest.raises(ValueError, match="confirm is None"):
            mapped.unmap({"scope": None})


class TestTheGuardWhenTheTaskRuns:
    @pytest.mark.parametrize("confirm", ["", "None", "c ", "another"])
    def test_another_word_than_the_id_starts_nothing(self, way, confirm):
        way.add(GOOD)
        story = story_of(way, {"confirm": confirm}, confirm="{{ confirm }}")
        nothing_happened(story).failed(
            FivetranResyncRefused, f"confirm is {confirm!r}", "Nothing was started"
        )

    def test_the_id_of_another_connection_starts_nothing(self, way):
        way.add(GOOD)
        story = story_of(way, {"connection": ID}, connector_id="{{ connection }}", confirm="another")
        nothing_happened(story)

    def test_a_name_is_compared_before_it_is_looked_up(self, way):
        way.add(GOOD)
        nothing_happened(story_of(way, {"confirm": ID}, **NAMES, confirm="{{ confirm }}"))

    def test_what_is_confirmed_is_re_synced(self, ways):
        for way in ways:
            way.add(GOOD)
            story = story_of(way, {"x": ID}, connector_id="{{ x }}", confirm=ID).ended_well()
            assert [request.body for request in story.triggers] == [{}]
            assert story.sent("GET", CONFIG) == []

    def test_a_name_confirms_what_has_it(self, way):
        way.add(GOOD)
        story = story_of(way, {"x": "shop"}, **NAMES, confirm="{{ x }}").ended_well()
        assert way.sim.runs(ID)[0].historical
        assert len(story.triggers) == 1

    @pytest.mark.parametrize(
        "tables", [None, {}, {"shop": []}, {"shop": None}, {"shop": [""]}, [], "", "orders", {"": ["orders"]}]
    )
    @pytest.mark.parametrize("template", ["{{ tables | tojson }}", "{{ tables }}"])
    @pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
    def test_a_template_that_finds_no_tables_is_never_everything(self, blocking, tables, template, native):
        blocking.add(GOOD)
        story = story_of(blocking, {"tables": tables}, native=native, scope=template)
        nothing_happened(story).failed(FivetranResyncRefused, "scope is ", "allowed are tables by schema")

    def test_nor_is_what_another_task_did_not_return(self, way):
        way.add(GOOD)
        with DAG("d", schedule=None, start_date=START):
            first = FivetranOperator(task_id="first", connector_id=ID)
            task = way.make(FivetranResyncOperator, scope=first.output)
        task.scope = None  # what Airflow makes of it
        nothing_happened(way.tell(Story(way), lambda: task))

    @pytest.mark.parametrize(
        ("template", "native"),
        [("{{ tables | tojson }}", False), ("{{ tables }}", True)],
        ids=["text", "native"],
    )
    def test_a_template_that_finds_tables_re_syncs_these(self, way, template, native):
        way.add(GOOD)
        values = {"tables": {"shop": ["orders", "payments", "orders"]}}
        story = story_of(way, values, native=native, scope=template).ended_well()
        assert story.triggers[0].body == {"scope": {"shop": ["orders", "payments"]}}


class TestTheCheckOfTheTables:
    def test_costs_one_request(self, ways):
        for way in ways:
            way.add(GOOD, succeeded_at=START)
            everything, tables = (way.resync(**given).ended_well() for given in ({}, {"scope": SHOP}))
            assert len(tables.sent("GET", CONFIG)) == 1
            assert everything.sent("GET", CONFIG) == []

    def test_a_table_that_does_not_exist_is_told_with_what_is_near(self, ways):
        for way in ways:
            way.add(GOOD, paused=True, disabled_tables=["logs"])
            scope = {"shop": ["Orders", "logs", "payments"], "shops": ["orders"]}
            story = way.resync(scope=scope, when_paused="unpause_and_restore")
            story.failed(
                FivetranResyncRefused,
                "no table 'Orders' (did you mean 'orders'?)",
                "the table 'logs' in 'shop' is disabled",
                "no schema 'shops' (did you mean 'shop'?)",
                "nothing was started",
                f"/connections/{ID}",
            )
            assert {request.method for request in story.requests} == {"GET"}
            assert "payments" not in str(story.error)
            assert way.sim.account.connection(ID).paused

    @pytest.mark.parametrize("kind", ["not yet", "forbidden"])
    def test_a_configuration_that_is_not_there_is_a_warning(self, way, caplog, capsys, kind):
        way.add(GOOD, schema_captured=kind != "not yet")
        if kind == "forbidden":
            way.sim.faults.add(Fault("status", "GET", CONFIG, status=403))
        story = way.resync(scope={"shop": ["whatever"]}).ended_well()
        assert len(story.sent("GET", CONFIG)) == 1
        said = caplog.text + "".join(capsys.readouterr())
        assert "whether the tables of the re-sync exist is not checked" in said

    def test_behind_another_sync_it_is_done_once_and_first(self, ways):
        for way in ways:
            way.add(SyncPlan(duration=0.5), GOOD)
            way.sim.start_sync(ID)
            story = way.resync(scope=SHOP).ended_well()
            assert [run.cause for run in way.sim.runs(ID)] == ["schedule", "resync"]
            assert len(story.sent("GET", CONFIG)) == 1
            assert story.sent("GET", CONFIG)[0] is story.requests[0]

    def test_a_type_that_cannot_re_sync_tables_is_told_so_and_what_to_do(self, ways):
        for way in ways:
            way.add(GOOD, service="google_sheets", paused=True)
            story = way.resync(scope=SHOP, when_paused="unpause_and_restore")
            story.failed(
                FivetranResyncRefused,
                f"does not re-sync single tables of {ID}",
                "without scope and with confirm",
                "400 InvalidInput: Service 'google_sheets' does not support table-level re-sync",
            )
            assert len(story.triggers) == 1
            assert way.sim.accepted(ID) == []
            assert way.sim.account.connection(ID).paused
            assert way.resync(when_paused="unpause").ended_well().triggers[0].body == {}


class TestTheHook:
    @pytest.fixture
    def hook(self, blocking):
        with FivetranHook(blocking.conn_id) as hook:
            yield hook

    def test_it_shows_the_schema_configuration(self, blocking, hook):
        blocking.add(GOOD, disabled_tables=["logs"])
        [schema] = hook.get_schema_config(ID).schemas
        shown = {table.source_name: table.enabled for table in schema.tables}
        assert (schema.source_name, shown["orders"], shown["logs"]) == ("shop", True, False)

    def test_tables(self, blocking, hook):
        blocking.add(GOOD)
        record = hook.wait_for_sync(hook.start_resync(ID, scope={"shop": ["orders", "orders"]}))
        [run] = blocking.sim.runs(ID)
        assert (run.tables, record.ended_at) == (SHOP, run.ended_at)

    def test_everything(self, blocking, hook):
        blocking.add(GOOD)
        record = hook.wait_for_sync(hook.start_resync(ID, confirm=ID, poll_frequency=0.1))
        [run] = blocking.sim.runs(ID)
        assert (run.historical, record.ended_at) == (True, run.ended_at)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({}, "confirm is None"),
            ({"confirm": "another"}, "connection_id once more, 'c'"),
            ({"scope": {}}, "scope is {}"),
            ({"scope": {"shop": []}}, "scope is"),
            ({"scope": SHOP, "confirm": ID}, "give only one"),
            ({"scope": SHOP, "timeout": -1}, "timeout is -1"),
            ({"scope": SHOP, "when_broken": "perhaps"}, "when_broken is 'perhaps'"),
        ],
    )
    def test_what_is_not_meant_so_is_refused_before_any_request(self, blocking, hook, given, said):
        blocking.add(GOOD)
        with pytest.raises(ValueError, match=said):
            hook.start_resync(ID, **given)
        assert list(blocking.heard) == []

    def test_a_table_that_does_not_exist(self, blocking, hook):
        blocking.add(GOOD)
        with pytest.raises(FivetranResyncRefused, match="did you mean 'orders'"):
            hook.start_resync(ID, scope={"shop": ["order"]})
        assert blocking.sim.accepted(ID) == []

    def test_what_needs_somebody_afterwards_is_an_error(self, blocking, hook):
        blocking.add(SyncPlan(duration=3600))
        blocking.sim.start_sync(ID)
        with pytest.raises(FivetranSyncRunning):
            hook.start_resync(ID, confirm=ID)
        blocking.sim.pause(ID)
        with pytest.raises((FivetranSyncRunning, FivetranConnectionPaused)):
            hook.start_resync(ID, confirm=ID)
        assert len(blocking.sim.accepted(ID)) == 1

    def test_one_that_is_put_off_is_not_followed_by_a_plain_sync(self, blocking, hook):
        blocking.add(SyncPlan(duration=0.1, outcome="rescheduled"), schedule_type="manual")
        with pytest.raises(FivetranSyncRescheduled):
            hook.wait_for_sync(hook.start_resync(ID, scope=SHOP, poll_frequency=0.1))
        assert [run.cause for run in blocking.sim.accepted(ID)] == ["resync"]

    def test_one_that_fails(self, blocking, hook):
        blocking.add(SyncPlan(duration=0.1, outcome="failure", reason="no room"))
        with pytest.raises(FivetranSyncFailed, match="no room"):
            hook.wait_for_sync(hook.start_resync(ID, confirm=ID, poll_frequency=0.1))


def test_a_guard_that_fails_is_not_retried(blocking):
    blocking.add(GOOD)
    task = blocking.make(FivetranResyncOperator, confirm="{{ nothing }}", retries=3)
    task.confirm = "None"
    ti = TaskInstance()
    with pytest.raises(AirflowFailException, match="FivetranResyncRefused: confirm is 'None'"):
        execute(task, {"ti": ti, "task_instance": ti})
