"""The check that tells when a schema configuration has drifted, from run to run and from a description."""

from __future__ import annotations

import itertools
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_fivetran.assets import IS_AIRFLOW_2
from airflow_provider_fivetran.exceptions import (
    FivetranArgumentMissing,
    FivetranNotFound,
    FivetranSchemaDrift,
    FivetranServerError,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranSchemaDriftOperator
from airflow_provider_fivetran.simulator import Fault
from stories import ID, Story, TaskInstance, execute

START = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = {"shop": {"orders": ["id", "note"], "customers": ["id", "email"], "logs": ["id"]}}
AS_IT_IS = {"shop": ["orders", "customers", "logs"]}


@pytest.fixture
def shop(blocking):
    blocking.add(source_tables=SOURCE)
    return blocking


@pytest.fixture
def check(shop):
    """Run the check, each time as the next run of its DAG; it changes nothing."""
    left = {}

    def run(connector_id=ID, **arguments) -> Story:
        story = Story(shop)
        story.ti.before = dict(left)
        shop.tell(
            story,
            lambda: FivetranSchemaDriftOperator(
                task_id="task",
                connector_id=connector_id,
                fivetran_conn_id=shop.conn_id,
                fivetran_retry_delay=0.01,
                **arguments,
            ),
        )
        left.update(story.ti.pushed)
        return story

    yield run
    assert {request.method for request in shop.heard if not request.path.endswith("/reload")} <= {"GET"}


@pytest.fixture
def said(caplog, capsys):
    """What was logged, wherever this Airflow's logs go."""
    caplog.set_level(logging.INFO)
    return lambda: caplog.text + "".join(capsys.readouterr())


def green(story):
    if story.error is not None:
        raise AssertionError("it is red") from story.error
    return story


def texts(story, which):
    return [one["text"] for one in story.xcom("fivetran_schema_drift")[which]]


def source(way):
    return way.sim.account.connection(ID).source


def table(way, name):
    return source(way).schemas["shop"].tables[name]


class TestFromRunToRun:
    def test_the_first_run_only_leaves_what_it_saw(self, check):
        story = green(check())
        assert story.value == 0
        assert story.xcom("fivetran_schema_drift")["compared_with"] == "nothing"
        assert set(story.xcom("fivetran_schema")["schemas"]["shop"]["tables"]) == {
            "orders",
            "customers",
            "logs",
        }

    def test_where_nothing_happened_nothing_is_told(self, check):
        check()
        story = green(check())
        assert (story.value, story.xcom("fivetran_schema_drift")["compared_with"]) == (0, "earlier")

    def test_each_difference_is_told_once(self, shop, check):
        check()
        table(shop, "logs").enabled = False
        story = check()
        assert isinstance(story.error, AirflowFailException)
        assert isinstance(story.cause, FivetranSchemaDrift)
        assert "- the table 'logs' in 'shop' is not enabled, and was before" in str(story.error)
        assert story.xcom("fivetran_link") in str(story.error)
        assert texts(story, "failures") == ["the table 'logs' in 'shop' is not enabled, and was before"]
        green(check())

    def test_another_connection_is_not_compared_with(self, shop, check, said):
        shop.sim.add_connection("another", schema="web", source_tables={"web": {"hits": ["id"]}})
        check()
        story = green(check(connector_id="another"))
        assert (story.value, story.xcom("fivetran_schema_drift")["compared_with"]) == (0, "nothing")
        assert "The run before has looked at" in said()
        green(check(connector_id="another"))

    def test_what_is_new_is_reported_and_what_is_gone_fails_as_fivetran_learns_of_it(self, shop, check, said):
        source(shop).handling = "BLOCK_ALL"
        check()
        shop.sim.set_source(ID, {"shop": {"orders": ["id"], "customers": ["id", "email"], "fresh": ["id"]}})
        green(check())  # Fivetran has not looked at its source since
        story = check(reload=True)
        assert texts(story, "failures") == [
            "there is no table 'logs' in 'shop' any more: it was deleted in the source"
        ]
        assert texts(story, "reported") == ["the table 'fresh' in 'shop' is new, and not enabled"]
        assert "the table 'fresh' in 'shop' is new, and not enabled" in said()

    def test_a_column_that_is_not_hashed_any_more(self, shop, check):
        email = table(shop, "customers").columns["email"]
        email.hashed = email.touched = True
        check()
        email.hashed = False
        assert "the column 'email' of 'customers' in 'shop' is not hashed, and was before" in str(
            check().error
        )

    def test_new_columns_of_tables_whose_columns_are_read(self, shop, check):
        of = {"columns_of": {"shop": ["customers"]}}
        check(**of)
        shop.sim.set_source(ID, {"shop": {**SOURCE["shop"], "customers": ["id", "phone"]}})
        story = check(**of, when_missing="report")
        assert texts(story, "reported") == [
            "there is no column 'email' of 'customers' in 'shop' any more",
            "the column 'phone' of 'customers' in 'shop' is new, and enabled",
        ]
        assert len(story.requests) == 2

    def test_policies(self, shop, check):
        check()
        table(shop, "logs").enabled = False
        story = green(check(when_changed="report"))
        assert (story.value, len(texts(story, "reported"))) == (1, 1)
        table(shop, "logs").enabled = True
        assert green(check(when_changed="ignore")).value == 0

    def test_a_failed_look_leaves_nothing_and_the_next_one_compares_with_the_last_good_one(self, shop, check):
        check()
        table(shop, "logs").enabled = False
        shop.sim.faults.add(Fault("status", status=404, path=r"/schemas$"))
        assert check().xcom("fivetran_schema") is None
        assert isinstance(check().cause, FivetranSchemaDrift)


class Runs(list):
    """The XComs of a task's runs, and how Airflow finds those of prior runs: by logical date, then by time.

    PostgreSQL puts runs without a logical date first, SQLite and MySQL put them last.
    """

    def __init__(self, *, undated_first: bool) -> None:
        super().__init__()
        self.undated_first = undated_first

    def prior(self, key, until):
        order = {True: 1, False: -1}[self.undated_first]
        found = [run for run in self if key in run.pushed and (run.logical_date or run.run_after) <= until]
        found.sort(
            key=lambda run: (order * (run.logical_date is None), run.logical_date or START, run.number)
        )
        return found[-1] if found else None


class Run(TaskInstance):
    """A task instance of one of them."""

    def __init__(self, runs: Runs, *, is_dated: bool) -> None:
        super().__init__()
        self.runs, self.number = runs, len(runs)
        self.run_after = START + timedelta(hours=self.number)
        self.logical_date = self.run_after if is_dated else None
        runs.append(self)

    def xcom_pull(self, *, key, include_prior_dates=False, run_id=None, **_):
        if include_prior_dates:
            run = self.runs.prior(key, self.run_after)
        else:
            run = next(run for run in self.runs if run.run_id == (run_id or self.run_id))
        return json.loads(run.pushed[key]) if run is not None and key in run.pushed else None


class TestRunsWithAndWithoutALogicalDate:
    """Those that a schedule makes have one; those of an asset, and most of those made by hand, have none."""

    @pytest.fixture(params=[True, False], ids=["PostgreSQL", "SQLite"])
    def look(self, request, shop):
        runs = Runs(undated_first=request.param)

        def look(*, is_dated):
            task = FivetranSchemaDriftOperator(
                task_id="task", connector_id=ID, fivetran_conn_id=shop.conn_id, when_changed="report"
            )
            run = Run(runs, is_dated=is_dated)
            dates = {"logical_date": run.logical_date} if is_dated else {}
            execute(task, {"ti": run, **dates})
            return json.loads(run.pushed["fivetran_schema_drift"])["count"]

        return look

    @pytest.mark.parametrize("kinds", list(itertools.product([True, False], repeat=4)))
    def test_each_compares_with_the_one_before_whatever_that_is(self, shop, look, kinds):
        if IS_AIRFLOW_2 and not all(kinds):
            pytest.skip("there each run has a logical date")
        first, second, third, fourth = kinds
        look(is_dated=first)
        table(shop, "logs").enabled = False
        assert look(is_dated=second) == 1
        assert look(is_dated=third) == 0
        table(shop, "logs").enabled = True
        assert look(is_dated=fourth) == 1


class TestFromADescription:
    def test_it_is_told_until_it_is_mended(self, shop, check):
        assert green(check(schemas=AS_IT_IS)).value == 0
        table(shop, "logs").enabled = False
        for _ in range(2):
            assert texts(check(schemas=AS_IT_IS), "failures") == [
                "the table 'logs' in 'shop' is not enabled, and should be"
            ]
        table(shop, "logs").enabled = True
        green(check(schemas=AS_IT_IS))

    def test_the_handling_of_changes_alone(self, shop, check):
        story = check(schema_change_handling="BLOCK_ALL")
        assert "the schema_change_handling is ALLOW_ALL, and should be BLOCK_ALL" in str(story.error)

    def test_what_is_not_described_is_reported_or_fails(self, check):
        some = {"shop": ["orders", "customers"]}
        assert texts(green(check(schemas=some)), "reported") == [
            "the table 'logs' in 'shop' is not described, and enabled"
        ]
        assert check(schemas=some, when_new="fail").error is not None

    def test_what_the_check_leaves_is_a_description(self, check):
        left = green(check(schemas=AS_IT_IS)).xcom("fivetran_schema")
        assert green(check(**left)).value == 0

    @pytest.mark.parametrize("name", ["schemas", "columns_of", "schema_change_handling"])
    @pytest.mark.parametrize("beside", [{}, {"schemas": AS_IT_IS, "schema_change_handling": "ALLOW_ALL"}])
    def test_a_template_that_finds_nothing_is_not_taken_for_nothing_given(self, shop, name, beside):
        def render():
            with DAG("d", schedule=None, start_date=START, render_template_as_native_obj=True) as dag:
                task = FivetranSchemaDriftOperator(
                    task_id="task",
                    connector_id=ID,
                    fivetran_conn_id=shop.conn_id,
                    **beside | {name: "{{ wanted }}"},
                )
            task.render_template_fields({"wanted": None}, dag.get_template_env())
            return task

        story = shop.tell(Story(shop), render)
        assert isinstance(story.cause, FivetranArgumentMissing)
        assert f"{name} is None" in str(story.error)
        assert story.requests == []


def test_that_there_is_no_schema_yet_is_said(blocking):
    blocking.add(schema_captured=False)
    story = blocking.tell(
        Story(blocking),
        lambda: FivetranSchemaDriftOperator(
            task_id="task", connector_id=ID, fivetran_conn_id=blocking.conn_id
        ),
    )
    assert isinstance(story.cause, FivetranNotFound)
    assert "has not read the schema of the source" in str(story.error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"connector_id": None}, "give either connector_id"),
        ({"schemas": {}}, "nothing is described"),
        ({"when_new": "wait"}, "when_new is 'wait'; allowed are 'fail', 'report', 'ignore'"),
        ({"columns_of": {"shop": []}}, "columns_of is .*allowed are tables by schema"),
        ({"columns_of": "orders"}, "columns_of is 'orders'"),
        ({"reload": 1}, "reload is 1"),
    ],
)
def test_arguments_are_checked_when_the_dag_is_parsed(arguments, said):
    with pytest.raises(ValueError, match=said):
        FivetranSchemaDriftOperator(task_id="t", **{"connector_id": ID} | arguments)


class TestTheHook:
    def test_reports_without_an_error(self, shop):
        with FivetranHook(shop.conn_id) as hook:
            before = hook.check_schema_drift(ID).config.to_json()
            table(shop, "logs").enabled = False
            report = hook.check_schema_drift(ID, earlier=before)
            assert [one.table for one in report.failures] == ["logs"]
            assert hook.check_schema_drift(ID, AS_IT_IS).failures
            with pytest.raises(ValueError, match="give only one of them"):
                hook.check_schema_drift(ID, AS_IT_IS, earlier=before)
            with pytest.raises(ValueError, match="when_new is 'x'"):
                hook.check_schema_drift(ID, when_new="x")

    def test_what_cannot_be_read_is_an_error(self, shop, monkeypatch):

        monkeypatch.setattr("airflow_provider_fivetran.core.schema_reading.PATIENCE", timedelta(0))
        shop.sim.faults.add(Fault("status", status=503, path=r"/schemas$", times=None))
        with FivetranHook(shop.conn_id, fivetran_retry_limit=1) as hook, pytest.raises(FivetranServerError):
            hook.check_schema_drift(ID)
