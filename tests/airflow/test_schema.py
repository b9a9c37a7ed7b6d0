"""The operator that keeps a schema configuration as described, and the hook's requests, against a simulated source."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_fivetran.exceptions import (
    FivetranConflict,
    FivetranForbidden,
    FivetranLookupError,
    FivetranNotAsDescribed,
    FivetranNotFound,
    FivetranWrongDescription,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranOperator, FivetranSchemaOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import ID, Story

START = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = {"shop": {"orders": ["id", "note"], "customers": ["id", "email", "fax"], "logs": ["id"]}}
CHANGE, CONFIG = "PATCH", r"/schemas$"
WANTED = {
    "shop": {
        "enabled": True,
        "tables": {
            "orders": {"sync_mode": "HISTORY"},
            "customers": {"columns": {"email": {"hashed": True}, "fax": False}},
            "logs": False,
        },
    }
}


@pytest.fixture
def shop(blocking):
    blocking.add(source_tables=SOURCE)
    return blocking


def make(**arguments):
    return FivetranSchemaOperator(task_id="t", **{"connector_id": ID, "schemas": WANTED} | arguments)


def run(way, **arguments):
    given = {"schemas": WANTED} | arguments
    if "connector_name" not in given:
        given.setdefault("connector_id", ID)
    return way.tell(
        Story(way),
        lambda: FivetranSchemaOperator(
            task_id="task", fivetran_conn_id=way.conn_id, fivetran_retry_delay=0.01, **given
        ),
    )


@pytest.fixture
def said(caplog, capsys):
    """What was logged, wherever this Airflow's logs go."""
    caplog.set_level(logging.INFO)
    return lambda: caplog.text + "".join(capsys.readouterr())


def green(story):
    if story.error is not None:
        raise AssertionError("it is red") from story.error
    return story


def source(way):
    return way.sim.account.connection(ID).source


class TestTheTask:
    def test_what_differs_is_changed_and_told(self, shop, said):
        story = green(run(shop))
        tables = source(shop).schemas["shop"].tables
        assert tables["orders"].sync_mode == "HISTORY"
        assert tables["customers"].columns["email"].hashed
        assert not tables["customers"].columns["fax"].enabled
        assert not tables["logs"].enabled
        assert story.value == 4
        told = story.xcom("fivetran_schema_changes")
        assert (told["is_changed"], told["count"], told["connection_id"]) == (True, 4, ID)
        assert told["differences"][-1]["text"] == "the table 'logs' in 'shop' is enabled, and should not be"
        assert story.xcom("fivetran_link") == told["link"]
        logged = said()
        for difference in told["differences"]:
            assert difference["text"] in logged
        assert [request.path for request in story.sent(CHANGE)] == [f"/v1/connections/{ID}/schemas"]

    def test_the_second_run_changes_nothing_and_asks_once(self, shop):
        green(run(shop))
        story = green(run(shop))
        assert (story.value, story.xcom("fivetran_schema_changes")["is_changed"]) == (0, False)
        assert [(request.method, request.path) for request in story.requests] == [
            ("GET", f"/v1/connections/{ID}/schemas")
        ]

    def test_the_next_sync_leaves_it_so(self, shop):
        green(run(shop, others="disable", schema_change_handling="BLOCK_ALL"))
        shop.sim.set_source(ID, {"shop": {**SOURCE["shop"], "fresh": ["id"]}})
        shop.sync().ended_well()
        story = green(run(shop, others="disable", schema_change_handling="BLOCK_ALL"))
        assert story.value == 0
        assert not source(shop).schemas["shop"].tables["fresh"].enabled

    def test_only_some_tables(self, shop):
        green(run(shop, schemas={"shop": ["orders"]}, others="disable"))
        enabled = {name for name, table in source(shop).schemas["shop"].tables.items() if table.enabled}
        assert enabled == {"orders"}

    def test_a_dry_run_shows_all_and_sends_no_change(self, shop):
        story = green(run(shop, when_different="show"))
        assert (story.value, story.xcom("fivetran_schema_changes")["is_changed"]) == (4, False)
        assert {request.method for request in story.requests} == {"GET"}

    def test_a_difference_as_an_error_lists_all(self, shop):
        story = run(shop, when_different="fail")
        assert isinstance(story.error, AirflowFailException)
        assert isinstance(story.cause, FivetranNotAsDescribed)
        assert "in 4 places" in str(story.error)
        changes = story.xcom("fivetran_schema_changes")
        assert (changes["count"], len(changes["differences"]), changes["is_changed"]) == (4, 4, False)
        assert {request.method for request in story.requests} == {"GET"}

    def test_what_does_not_exist_is_told_before_the_request(self, shop):
        wrong = {"shop": {"tables": {"Orders": True, "customers": {"columns": {"mail": {"hashed": True}}}}}}
        story = run(shop, schemas=wrong)
        assert isinstance(story.cause, FivetranWrongDescription)
        assert "did you mean 'orders'?" in str(story.error)
        assert "did you mean 'email'?" in str(story.error)
        assert not story.sent(CHANGE)

    def test_a_locked_table_is_told_before_the_request(self, shop):
        source(shop).schemas["shop"].tables["logs"].lock = "SYSTEM_TABLE"
        story = run(shop)
        assert isinstance(story.cause, FivetranWrongDescription)
        assert "Fivetran does not let it be changed: it is a system table" in str(story.error)
        assert not story.sent(CHANGE)

    def test_the_primary_key_cannot_be_disabled(self, shop):
        story = run(shop, schemas={"shop": {"tables": {"orders": {"columns": {"id": False}}}}})
        assert "a part of the primary key" in str(story.error)
        assert not story.sent(CHANGE)

    def test_a_table_that_was_deleted_in_the_source(self, shop):
        shop.sim.set_source(ID, {"shop": {"orders": ["id"], "customers": ["id", "email", "fax"]}})
        story = run(shop, reload=True)
        assert "there is no table 'logs' in 'shop': it was deleted in the source" in str(story.error)
        green(run(shop, when_missing="ignore"))

    def test_by_name(self, shop):
        green(run(shop, connector_name="shop", destination_name="Warehouse"))
        assert isinstance(
            run(shop, connector_name="no", destination_name="Warehouse").cause, FivetranLookupError
        )

    def test_a_change_that_fivetran_only_says_it_made_is_red(self, shop, monkeypatch):
        shop.sim.switches.schema_changes_take_effect = False
        monkeypatch.setattr("airflow_provider_fivetran.core.schema_ensuring.BETWEEN_LOOKS", timedelta(0))
        story = run(shop)
        assert isinstance(story.cause, FivetranNotAsDescribed)
        assert "Fivetran took the changes" in str(story.error)
        assert story.xcom("fivetran_schema_changes")["is_changed"] is False

    def test_a_sync_that_cannot_be_stopped_leaves_it_to_a_retry(self, shop, monkeypatch):
        monkeypatch.setattr("airflow_provider_fivetran.core.schema_ensuring.PATIENCE", timedelta(0))
        shop.sim.set_plan(ID, SyncPlan(duration=60))
        shop.sim.start_sync(ID)
        shop.sim.switches.stop_fails = True
        story = run(shop)
        assert type(story.error) is FivetranConflict
        assert "in-progress sync" in str(story.error)

    def test_a_lost_answer_is_asked_for_again(self, shop):
        shop.sim.faults.add(Fault("lost", method=CHANGE))
        assert green(run(shop)).value == 4
        assert not source(shop).schemas["shop"].tables["logs"].enabled

    def test_a_key_that_may_only_read_is_an_error_at_once(self, shop):
        shop.sim.add_key("sim-key", "sim-secret", may_write=False)
        story = run(shop)
        assert isinstance(story.cause, FivetranForbidden)
        assert not isinstance(run(shop, when_different="show").error, Exception)


class TestWhereThereIsNoSchemaYet:
    @pytest.fixture
    def new(self, blocking):
        blocking.add(source_tables=SOURCE, schema_captured=False)
        return blocking

    def test_the_source_is_read(self, new):
        assert green(run(new)).value == 4

    def test_a_reload_that_is_cut_off_is_asked_for_again(self, new, monkeypatch):
        monkeypatch.setattr("airflow_provider_fivetran.core.schema_reading.BETWEEN_LOOKS", timedelta(0))
        new.sim.faults.add(Fault("status", status=504, path=r"/reload$", times=2))
        new.sim.faults.add(Fault("lost", path=r"/reload$"))
        story = green(run(new))
        assert len(story.sent("POST", r"/reload$")) == 4

    def test_a_reload_may_answer_at_once(self, new):
        new.sim.switches.reload_shows_schemas = False
        assert green(run(new)).value == 4

    def test_the_description_can_be_left_with_fivetran(self, new):
        story = green(run(new, when_no_schema="prepare"))
        assert story.xcom("fivetran_schema_changes")["is_prepared"] is True
        new.sync().ended_well()
        assert green(run(new)).value == 0

    def test_that_can_be_an_error(self, new):
        story = run(new, when_no_schema="fail")
        assert isinstance(story.cause, FivetranNotFound)
        assert "the first sync does that, or a reload" in str(story.error)

    def test_a_setup_that_is_not_complete_cannot_be_reloaded(self, new):
        new.sim.break_setup(ID)
        assert "not connected to its source" in str(run(new).error)


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"connector_id": None}, "give either connector_id"),
            ({"schemas": None}, "nothing is described"),
            ({"schemas": {"s": {"tabels": {}}}}, "has 'tabels'; allowed are"),
            ({"schema_change_handling": "ALLOW"}, "schema_change_handling is 'ALLOW'; allowed"),
            ({"others": "drop"}, "others is 'drop'; allowed are 'leave', 'disable'"),
            ({"when_different": "ask"}, "when_different is 'ask'; allowed are 'change', 'show', 'fail'"),
            ({"when_missing": "report"}, "when_missing is 'report'"),
            ({"when_no_schema": "wait"}, "when_no_schema is 'wait'"),
            ({"reload": "False"}, "reload is 'False'; allowed are True and False"),
            ({"reload_timeout": 0}, "reload_timeout is 0"),
            ({"fivetran_retry_limit": 0}, "fivetran_retry_limit is 0"),
        ],
    )
    def test_are_checked_when_the_dag_is_parsed(self, arguments, said):
        with pytest.raises(ValueError, match=said):
            make(**arguments)

    def test_a_template_is_left_to_the_task(self):
        make(schemas="{{ params.schemas | tojson }}")
        make(schemas={"shop": {"tables": {"orders": {"sync_mode": "{{ params.mode }}"}}}})
        make(schema_change_handling="{{ params.handling }}")
        with DAG("d", schedule=None, start_date=START):
            first = FivetranOperator(task_id="first", connector_id=ID)
            second = make(schemas=first.output)
        assert second.upstream_task_ids == {"first"}

    @pytest.mark.parametrize(
        ("native", "schemas", "values"),
        [
            (False, "{{ wanted | tojson }}", {"wanted": WANTED}),
            (True, "{{ wanted }}", {"wanted": WANTED}),
            (False, {"shop": {"tables": {"orders": {"sync_mode": "{{ mode }}"}}}}, {"mode": "HISTORY"}),
        ],
    )
    def test_templates_are_rendered(self, shop, native, schemas, values):
        def render():
            with DAG("d", schedule=None, start_date=START, render_template_as_native_obj=native) as dag:
                task = make(schemas=schemas, fivetran_conn_id=shop.conn_id)
            task.render_template_fields(values, dag.get_template_env())
            return task

        green(shop.tell(Story(shop), render))
        assert source(shop).schemas["shop"].tables["orders"].sync_mode == "HISTORY"

    @pytest.mark.parametrize("found", [None, {}, "x"])
    @pytest.mark.parametrize("others", [{}, {"schema_change_handling": "BLOCK_ALL", "others": "disable"}])
    def test_a_template_that_finds_nothing_changes_nothing(self, shop, found, others):
        def render():
            with DAG("d", schedule=None, start_date=START, render_template_as_native_obj=True) as dag:
                task = make(schemas="{{ wanted }}", fivetran_conn_id=shop.conn_id, **others)
            task.render_template_fields({"wanted": found}, dag.get_template_env())
            return task

        story = shop.tell(Story(shop), render)
        assert isinstance(story.error, ValueError | AirflowFailException)
        assert story.requests == []


class TestTheHook:
    @pytest.fixture
    def hook(self, shop):
        with FivetranHook(shop.conn_id, fivetran_retry_delay=0.01) as hook:
            yield hook

    def test_reads(self, hook):
        config = hook.get_schema_config(ID)
        assert config.change_handling == "ALLOW_ALL"
        assert [table.source_name for table in config.schemas[0].tables] == ["orders", "customers", "logs"]
        assert [one.source_name for one in hook.get_table_columns(ID, "shop", "customers")] == [
            "id",
            "email",
            "fax",
        ]

    def test_changes_one_by_one_and_several(self, hook):
        assert not hook.change_source_schema(ID, "shop", enabled=False).schemas[0].enabled
        table = hook.change_source_table(ID, "shop", "logs", enabled=True, sync_mode="HISTORY").table(
            "shop", "logs"
        )
        assert table.sync_mode == "HISTORY"
        config = hook.change_source_column(ID, "shop", "customers", "email", enabled=True, hashed=True)
        assert config.table("shop", "customers").column("email").hashed
        config = hook.change_schema_config(
            ID, schemas={"shop": {"enabled": True}}, schema_change_handling="ALLOW_COLUMNS"
        )
        assert (config.schemas[0].enabled, config.change_handling) == (True, "ALLOW_COLUMNS")

    def test_reloads(self, hook, shop):
        shop.sim.set_source(ID, {"shop": {"fresh": ["id"]}})
        assert hook.reload_schema_config(ID, exclude_mode="EXCLUDE").table("shop", "fresh").enabled is False
        with pytest.raises(ValueError, match="exclude_mode is 'ALL'"):
            hook.reload_schema_config(ID, exclude_mode="ALL")

    def test_drops_columns_that_are_disabled(self, hook):
        fax = {"shop": {"customers": ["fax"]}}
        with pytest.raises(FivetranConflict):
            hook.drop_columns(ID, fax)
        hook.change_source_column(ID, "shop", "customers", "fax", enabled=False)
        hook.drop_columns(ID, fax)

    @pytest.mark.parametrize(
        "columns",
        [
            {"shop": {"customers": "fax"}},
            {"shop": {"customers": []}},
            {"shop": {"customers": [""]}},
            {"shop": {"customers": {"fax": False}}},
            {"shop": {}},
            {"shop": ["customers"]},
            {},
            "shop",
            None,
        ],
    )
    def test_drops_nothing_where_it_is_not_told_columns_by_schema_and_table(self, hook, shop, columns):
        with pytest.raises(
            ValueError, match=r"columns is .*allowed are names of columns by schema and table"
        ):
            hook.drop_columns(ID, columns)
        assert not shop.heard

    def test_prepares(self, hook, shop):
        shop.sim.add_connection("new", schema="shop", source_tables=SOURCE, schema_captured=False)
        hook.prepare_schema_config("new", {"shop": {"tables": {"logs": False}}})
        assert hook.reload_schema_config("new").table("shop", "logs").enabled is False

    @pytest.mark.parametrize("changes", [{}, {"enabled": True}])
    def test_refuses_to_change_what_is_not_there_to_change(self, hook, changes):
        with pytest.raises(ValueError, match="allowed are is_type_locked, schema_change_handling, schemas"):
            hook.change_schema_config(ID, **changes)

    def test_ensures(self, hook):
        assert len(hook.ensure_schema_config(ID, json.dumps(WANTED)).differences) == 4
        assert not hook.ensure_schema_config(ID, WANTED).differences
        with pytest.raises(ValueError, match="others is 'x'"):
            hook.ensure_schema_config(ID, WANTED, others="x")
