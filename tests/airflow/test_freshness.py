"""The check and the sensor of freshness against a Fivetran of many connections, in each way to run them."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from jinja2 import Environment

from airflow_provider_fivetran.core import steps
from airflow_provider_fivetran.core.errors import (
    FivetranLookupError,
    FivetranNeedsAttention,
    FivetranNotFresh,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranFreshnessOperator
from airflow_provider_fivetran.sensors import FivetranFreshnessSensor
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from airflow_provider_fivetran.triggers import FivetranFreshnessTrigger
from stories import Story, all_events, rebuilt

HOUR = timedelta(hours=1)
RECONNECT = {"code": "reconnect", "message": "Reconnect your account", "details": None}
LIST = r"/v1/connections$"
ALONE = r"/v1/connections/[^/]+$"
MODES = [
    pytest.param({"deferrable": False, "mode": "poke"}, id="poke"),
    pytest.param({"deferrable": False, "mode": "reschedule"}, id="reschedule"),
    pytest.param({"deferrable": True}, id="deferrable"),
]


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def add(way, name, *, minutes=10.0, **fields):
    """Add a connection whose last success was so long ago."""
    way.sim.add_connection(name, **{"succeeded_at": ago(minutes=minutes)} | fields)


def tell(way, kind, given):
    return way.tell(Story(way), lambda: kind(task_id="task", fivetran_conn_id=way.conn_id, **given))


@pytest.fixture
def check(blocking):
    """Run the check; whatever it does, it only reads."""

    def run(**arguments) -> Story:
        return tell(blocking, FivetranFreshnessOperator, {"fivetran_retry_delay": 0.01} | arguments)

    yield run
    assert {request.method for request in blocking.heard} <= {"GET"}


@pytest.fixture(params=MODES)
def sense(request, blocking, airflow_db):
    """Run the sensor in one of its modes; whatever it does, it only reads."""

    def run(**arguments) -> Story:
        usual = {"poke_interval": 0.1, "fivetran_retry_delay": 0.01, "timeout": 20}
        return tell(blocking, FivetranFreshnessSensor, usual | request.param | arguments)

    yield run
    assert {request.method for request in blocking.heard} <= {"GET"}


def states(story):
    report = story.xcom("fivetran_freshness")
    return {found["connection_id"]: found["state"] for found in report["connections"]}


def is_green(story):
    if story.error is not None:
        raise AssertionError("it is red") from story.error
    return True


class TestCheck:
    def test_all_are_fresh(self, blocking, check):
        add(blocking, "a", minutes=5)
        add(blocking, "b", minutes=30)
        story = check(connector_ids=["a", "b"], fresh_within=HOUR)
        assert is_green(story)
        assert states(story) == {"a": "fresh", "b": "fresh"}
        oldest = blocking.sim.account.connection("b").succeeded_at
        assert datetime.fromisoformat(story.value) == oldest
        report = story.xcom("fivetran_freshness")
        assert report["is_as_demanded"] is True
        assert report["counts"]["fresh"] == 2

    def test_one_text_names_all_that_are_not_why_and_where_to_look(self, blocking, check):
        add(blocking, "good")
        add(blocking, "old", minutes=150)
        add(blocking, "late", minutes=90, update_state="delayed")
        add(blocking, "broken", minutes=120.5, setup_state="broken", tasks=[RECONNECT])
        add(blocking, "resting", minutes=180, paused=True)
        add(blocking, "new", succeeded_at=None)
        add(blocking, "later", minutes=180, rescheduled=True, rescheduled_for=ago(minutes=-30))
        names = ["good", "old", "late", "broken", "resting", "new", "later", "gone"]
        story = check(connector_ids=names, fresh_since=ago(hours=1).isoformat())
        assert isinstance(story.error, AirflowFailException)
        assert isinstance(story.cause, FivetranNeedsAttention)
        assert states(story) == {
            "broken": "broken",
            "gone": "missing",
            "new": "never_succeeded",
            "resting": "paused",
            "old": "stale",
            "late": "delayed",
            "later": "rescheduled",
            "good": "fresh",
        }
        head, *lines = str(story.error).split("\n")
        assert "7 of 8 Fivetran connections are not as demanded" in head
        assert [line.split("https://fivetran.com/dashboard/connections/")[1] for line in lines] == list(
            states(story)
        )[:7]
        assert "broken; last success 2 h ago" in lines[0]
        assert "Reconnect your account" in lines[0]
        assert story.xcom("fivetran_link").endswith("/broken")

    def test_what_is_only_stale_may_be_tried_again(self, blocking, check):
        add(blocking, "a", minutes=90)
        story = check(connector_ids="a", fresh_within=3600)
        assert type(story.error) is FivetranNotFresh
        assert story.error.link.endswith("/a")

    def test_what_is_unhealthy_and_fresh_is_only_logged(self, blocking, check, caplog):
        add(blocking, "late", update_state="delayed")
        add(blocking, "resting", paused=True)
        assert is_green(check(fresh_within=HOUR))
        assert "As demanded, but not healthy: 2 Fivetran connections" in caplog.text

    @pytest.mark.parametrize("name", ["when_delayed", "when_paused", "when_broken", "when_rescheduled"])
    def test_or_a_failure_where_that_is_asked_for(self, blocking, check, name):
        add(blocking, "late", update_state="delayed")
        add(blocking, "resting", paused=True)
        add(blocking, "worn", setup_state="broken")
        add(blocking, "off", rescheduled=True, rescheduled_for=ago(minutes=-30))
        story = check(fresh_within=HOUR, **{name: "fail"})
        assert "1 of 4 Fivetran connections is not as demanded" in str(story.error)
        assert f"is {name.removeprefix('when_').replace('rescheduled', 'put off')}" in str(story.error)

    def test_what_is_to_be_ignored_is_reported_all_the_same(self, blocking, check):
        add(blocking, "good")
        add(blocking, "resting", minutes=900, paused=True)
        story = check(
            connector_ids=["good", "resting", "gone"],
            fresh_within=HOUR,
            when_paused="ignore",
            when_missing="ignore",
        )
        assert is_green(story)
        assert states(story) == {"good": "fresh", "resting": "paused", "gone": "missing"}


class TestSelection:
    @pytest.fixture(autouse=True)
    def account(self, blocking):
        blocking.sim.add_group("other", "Other Warehouse")
        for name in ("a", "b", "c"):
            add(blocking, name)
        add(blocking, "x", group_id="other")
        add(blocking, "y", minutes=300, group_id="other")

    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ({"connector_ids": ["a", "x"]}, "ax"),
            ({"connector_ids": "a, b,x"}, "abx"),
            ({"connector_ids": ("a", "a", "a", "a", "b")}, "ab"),
            ({"group_id": "sim_group"}, "abc"),
            ({"destination_name": "Other Warehouse", "exclude": ["y"]}, "x"),
            ({"exclude": "y"}, "abcx"),
            ({"connector_ids": ["a", "y"], "exclude": {"y"}}, "a"),
        ],
    )
    def test_ways_to_select(self, check, given, names):
        story = check(fresh_within=HOUR, **given)
        assert is_green(story)
        assert sorted(states(story)) == list(names)

    def test_an_empty_group_is_an_error(self, blocking, check):
        blocking.sim.add_group("empty")
        story = check(group_id="empty", fresh_within=HOUR)
        assert isinstance(story.cause, FivetranLookupError)
        assert "there is no Fivetran connection to look at among the connections of the group empty" in str(
            story.error
        )

    def test_unless_it_may_be(self, blocking, check):
        blocking.sim.add_group("empty")
        story = check(group_id="empty", fresh_within=HOUR, when_empty="pass")
        assert is_green(story)
        assert story.value is None
        assert story.xcom("fivetran_freshness")["connections"] == []

    def test_so_is_a_list_of_nothing(self, check):
        assert is_green(check(connector_ids=[], fresh_within=HOUR, when_empty="pass"))

    def test_a_destination_that_nobody_knows(self, check):
        story = check(destination_name="Othre Warehouse", fresh_within=HOUR)
        assert isinstance(story.cause, FivetranLookupError)
        assert "did you mean 'Other Warehouse'" in str(story.error)

    def test_a_key_that_sees_one_group_misses_the_rest(self, blocking, check):
        blocking.sim.add_key("narrow", "secret", groups=["sim_group"])
        blocking.declare(login="narrow", password="secret")
        story = check(connector_ids=["a", "x"], fresh_within=HOUR)
        assert states(story) == {"a": "fresh", "x": "missing"}
        assert "x is missing; this key may not read it (403)" in str(story.error)


class TestTemplates:
    def rendered(self, blocking, **given):
        def make():
            task = FivetranFreshnessOperator(task_id="task", fivetran_conn_id=blocking.conn_id, **given)
            task.render_template_fields(
                {"nothing": None, "then": ago(hours=1).isoformat(), "ids": "a,b"}, Environment()
            )
            return task

        return blocking.tell(Story(blocking), make)

    def test_all_that_selects_and_demands(self, blocking):
        for name in ("a", "b", "c"):
            add(blocking, name)
        story = self.rendered(blocking, connector_ids="{{ ids }}", fresh_since="{{ then }}")
        assert is_green(story)
        assert set(states(story)) == {"a", "b"}

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({"connector_ids": "{{ nothing }}"}, "connector_ids is 'None': did its template"),
            ({"connector_ids": ["a", "{{ nothing }}"]}, "connector_ids.1 is 'None': did its template"),
            ({"connector_ids": "{{ ['a', 'b'] }}"}, "render_template_as_native_obj"),
            ({"group_id": "{{ nothing }}"}, "group_id is 'None': did its template"),
            ({"destination_name": "{{ nothing }}"}, "destination_name is 'None': did its template"),
            ({"exclude": ["{{ nothing }}"]}, "exclude.0 is 'None': did its template"),
            ({"exclude": "{{ nothing }}"}, "exclude is 'None': did its template"),
            ({"exclude": "{{ '' }}"}, "exclude is '': did its template"),
            (
                {"fresh_since": "{{ nothing }}", "fresh_within": None},
                "fresh_since is 'None'; allowed is a datetime",
            ),
            (
                {"fresh_since": "{{ '' }}", "fresh_within": None},
                "fresh_since is '': did its template",
            ),
        ],
    )
    def test_a_template_that_finds_nothing_never_means_all(self, blocking, given, text):
        add(blocking, "a")
        story = self.rendered(blocking, **{"fresh_within": HOUR} | given)
        assert isinstance(story.error, ValueError | AirflowFailException), story.error
        assert text in str(story.error)

    def test_nor_does_another_task_that_returns_nothing(self, blocking):
        add(blocking, "a")
        task = FivetranFreshnessOperator(
            task_id="task", fivetran_conn_id=blocking.conn_id, connector_ids="{{ x }}", fresh_within=HOUR
        )
        task.connector_ids = None  # as Airflow leaves it there
        story = blocking.tell(Story(blocking), lambda: task)
        assert "connector_ids is None: did its template, or the task it comes from" in str(story.error)


@pytest.mark.parametrize("kind", [FivetranFreshnessOperator, FivetranFreshnessSensor])
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "give either fresh_since or fresh_within; fresh_since is None, fresh_within is None"),
        ({"fresh_since": "2026-01-01", "fresh_within": 5}, "give either fresh_since or fresh_within"),
        ({"fresh_since": "yesterday"}, "fresh_since is 'yesterday'; allowed is a datetime or a text"),
        ({"fresh_since": ""}, "fresh_since is '': did its template"),
        ({"fresh_within": 0}, "fresh_within is 0; allowed is a timedelta or a number of seconds above 0"),
        ({"fresh_within": "1 hour"}, "fresh_within is '1 hour'; allowed is"),
        ({"fresh_within": 5, "connector_ids": []}, "connector_ids is []; allowed are ids, as a list"),
        ({"fresh_within": 5, "connector_ids": [""]}, "one id in connector_ids is ''; allowed is a text"),
        ({"fresh_within": 5, "connector_ids": 7}, "connector_ids is 7; allowed are ids, as a list"),
        ({"fresh_within": 5, "exclude": [None]}, "one id in exclude is None; allowed is a text"),
        ({"fresh_within": 5, "exclude": None}, "exclude is None; allowed are ids, as a list"),
        ({"fresh_within": 5, "exclude": ""}, "exclude is ''; allowed are ids, as a list"),
        ({"fresh_within": 5, "group_id": " "}, "group_id is ' '; allowed is a text that is not empty"),
        (
            {"fresh_within": 5, "group_id": "g", "destination_name": "G"},
            "group_id ('g') and destination_name ('G') are",
        ),
        ({"fresh_within": 5, "when_paused": "skip"}, "when_paused is 'skip'; allowed are 'fail_if_stale',"),
        (
            {"fresh_within": 5, "when_missing": "fail_if_stale"},
            "when_missing is 'fail_if_stale'; allowed are 'fail',",
        ),
        ({"fresh_within": 5, "when_empty": "skip"}, "when_empty is 'skip'; allowed are 'fail', 'pass'"),
        ({"fresh_within": 5, "fivetran_retry_limit": 0}, "fivetran_retry_limit is 0; allowed is"),
    ],
)
def test_a_wrong_argument_is_an_error_when_the_dag_is_parsed(kind, given, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        kind(task_id="t", **given)


def test_a_check_does_not_wait():
    with pytest.raises(
        ValueError, match="when_delayed is 'wait'; allowed are 'fail_if_stale', 'fail', 'ignore'"
    ):
        FivetranFreshnessOperator(task_id="t", fresh_within=5, when_delayed="wait")


@pytest.mark.parametrize("interval", [0, -1, "often", None])
def test_a_pause_that_is_none(interval):
    with pytest.raises(ValueError, match=r"poke_interval is .*allowed is"):
        FivetranFreshnessSensor(task_id="t", fresh_within=5, poke_interval=interval)


class TestRequests:
    """What docs/freshness.md promises."""

    @pytest.fixture(autouse=True)
    def account(self, blocking):
        for number in range(500):
            add(blocking, f"c{number}")

    @pytest.mark.parametrize(
        ("given", "lists", "looks"),
        [
            ({"connector_ids": [f"c{n}" for n in range(500)]}, 1, 0),
            ({"connector_ids": ["c1", "c2", "c3"]}, 0, 3),
            ({"connector_ids": ["c1", "c2", "c3", "c4"]}, 1, 0),
            ({"group_id": "sim_group"}, 1, 0),
            ({}, 1, 0),
        ],
        ids=["500 ids", "3 ids", "4 ids", "group", "all"],
    )
    def test_five_hundred_connections_take_one_request(self, check, given, lists, looks):
        story = check(fresh_within=HOUR, **given)
        assert is_green(story)
        assert (len(story.sent("GET", LIST)), len(story.sent("GET", ALONE))) == (lists, looks)
        assert len(story.requests) == lists + looks

    def test_where_the_key_may_not_list_each_is_read(self, blocking, check):
        blocking.sim.add_key("narrow", "secret", may_list=False)
        blocking.declare(login="narrow", password="secret")
        story = check(connector_ids=[f"c{n}" for n in range(20)], fresh_within=HOUR)
        assert is_green(story)
        assert (len(story.sent("GET", LIST)), len(story.sent("GET", ALONE))) == (1, 20)

    def test_a_sensor_that_waits_takes_one_a_look(self, blocking, sense):
        late = blocking.sim.account.connection("c7")
        late.succeeded_at = ago(hours=9)
        blocking.sim.set_plan("c7", SyncPlan(duration=0.1))
        blocking.heard.at("GET", LIST, lambda: blocking.sim.start_sync("c7"), nth=2)
        story = sense(connector_ids=[f"c{n}" for n in range(500)], fresh_within=HOUR, poke_interval=0.3)
        assert is_green(story)
        assert len(story.sent("GET", LIST)) == len(story.requests) <= 6


class TestSensor:
    def test_all_are_fresh_already(self, blocking, sense):
        add(blocking, "a")
        story = sense(connector_ids="a", fresh_within=HOUR)
        assert is_green(story)
        assert len(story.requests) == 1
        assert not story.deferrals

    @pytest.mark.parametrize("given", [{"connector_ids": ["a", "b"]}, {"group_id": "sim_group"}, {}])
    def test_a_sync_that_ends_well_is_waited_for(self, blocking, sense, given):
        add(blocking, "a")
        add(blocking, "b", minutes=300, default_plan=SyncPlan(duration=0.3))
        blocking.heard.at("GET", "/v1/connections", lambda: blocking.sim.start_sync("b"), nth=3)
        story = sense(fresh_since=ago(hours=1), **given)
        assert is_green(story)
        assert states(story) == {"a": "fresh", "b": "fresh"}
        assert datetime.fromisoformat(story.value) == blocking.sim.account.connection("a").succeeded_at

    def test_a_sync_that_fails_is_no_reason_to_give_up(self, blocking, sense):
        bad, good = SyncPlan(duration=0.2, outcome="failure"), SyncPlan(duration=0.2)
        add(blocking, "a", minutes=300, plans=[bad, good], default_plan=good)
        blocking.sim.start_sync("a")
        blocking.heard.at("GET", ALONE, lambda: blocking.sim.start_sync("a"), nth=8)
        assert is_green(sense(connector_ids="a", fresh_within=HOUR))

    @pytest.mark.parametrize(
        ("trouble", "word"),
        [
            ({"paused": True}, "paused"),
            ({"setup_state": "broken"}, "broken"),
            ({"setup_state": "incomplete"}, "broken"),
        ],
    )
    def test_what_no_waiting_mends_ends_it_at_once(self, blocking, sense, trouble, word):
        add(blocking, "a", minutes=300)
        add(blocking, "b", minutes=300, **trouble)
        story = sense(fresh_within=HOUR)
        assert isinstance(story.cause, FivetranNeedsAttention)
        assert isinstance(story.error, AirflowFailException)
        assert f"b) is {word}" in str(story.error)
        assert "a) is stale" in str(story.error)
        assert len(story.requests) == 1
        assert states(story)["b"] == word

    def test_what_happens_while_it_waits_ends_it_too(self, blocking, sense):
        add(blocking, "a", minutes=300)
        blocking.heard.at("GET", ALONE, lambda: blocking.sim.pause("a"), nth=3)
        story = sense(connector_ids="a", fresh_within=HOUR)
        assert isinstance(story.cause, FivetranNeedsAttention)
        assert states(story) == {"a": "paused"}
        assert story.xcom("fivetran_link").endswith("/a")

    def test_what_is_deleted_while_it_waits(self, blocking, sense):
        add(blocking, "a", minutes=300)
        blocking.heard.at("GET", ALONE, lambda: blocking.sim.delete("a"), nth=3)
        story = sense(connector_ids="a", fresh_within=HOUR)
        assert isinstance(story.cause, FivetranNeedsAttention)
        assert "a is missing; Fivetran knows no such connection, or hides it from this key" in str(
            story.error
        )

    def test_a_paused_one_is_waited_for_where_that_is_asked_for(self, blocking, sense):
        add(blocking, "a", minutes=300, paused=True, default_plan=SyncPlan(duration=0.2))

        def resume():
            blocking.sim.unpause("a")
            blocking.sim.start_sync("a")

        blocking.heard.at("GET", ALONE, resume, nth=3)
        assert is_green(sense(connector_ids="a", fresh_within=HOUR, when_paused="wait"))

    def test_a_broken_one_whose_sync_runs_may_be_mended(self, blocking, sense):
        add(blocking, "a", minutes=300, setup_state="broken", default_plan=SyncPlan(duration=0.5))
        blocking.sim.start_sync("a")
        assert is_green(sense(connector_ids="a", fresh_within=HOUR))

    def test_the_deadline_lists_what_is_still_waited_for(self, blocking, sense):
        add(blocking, "a")
        add(blocking, "b", minutes=300)
        story = sense(fresh_within=HOUR, timeout=0.6)
        assert isinstance(story.error, AirflowSensorTimeout)
        assert "The wait reached its limit of 1 s. 1 of 2 Fivetran connections is not as demanded" in str(
            story.error
        )
        assert "b) is stale; last success 5 h ago" in str(story.error)
        assert states(story) == {"b": "stale", "a": "fresh"}

    @pytest.mark.parametrize("lenient", ["soft_fail", "never_fail"])
    @pytest.mark.parametrize("fields", [{}, {"paused": True}], ids=["deadline", "paused"])
    def test_both_ends_can_be_a_skip(self, blocking, sense, lenient, fields):
        add(blocking, "a", minutes=300, **fields)
        story = sense(fresh_within=HOUR, timeout=0.6, **{lenient: True})
        assert isinstance(story.error, AirflowSkipException), story.error
        assert set(states(story)) == {"a"}

    def test_a_wrong_key_fails_at_once(self, blocking, sense):
        add(blocking, "a")
        blocking.sim.revoke("sim-key")
        story = sense(fresh_within=HOUR)
        assert isinstance(story.error, AirflowFailException)
        assert len(story.requests) == 1

    def test_a_key_that_is_replaced_is_waited_for(self, blocking, sense, short_patience):
        add(blocking, "a", minutes=300, default_plan=SyncPlan(duration=0.2))
        assert timedelta(seconds=1) == steps.REFUSAL_PATIENCE
        blocking.heard.at("GET", ALONE, lambda: blocking.sim.revoke("sim-key"), nth=2)

        def replaced():
            blocking.sim.add_key("sim-key", "sim-secret")
            blocking.sim.start_sync("a")

        blocking.heard.at("GET", "/v1/", replaced, nth=3)
        assert is_green(sense(connector_ids="a", fresh_within=HOUR))

    def test_or_not_for_ever(self, blocking, sense):
        add(blocking, "a", minutes=300)
        blocking.heard.at("GET", ALONE, lambda: blocking.sim.revoke("sim-key"), nth=2)
        story = sense(connector_ids="a", fresh_within=HOUR)
        assert isinstance(story.error, AirflowFailException)
        assert "401" in str(story.error)

    def test_faults_of_the_network_are_waited_out(self, blocking, sense):
        add(blocking, "a", minutes=300, default_plan=SyncPlan(duration=0.2))
        blocking.sim.start_sync("a")
        blocking.sim.faults.add(Fault("status", "GET", ALONE, times=3, status=503))
        assert is_green(sense(connector_ids="a", fresh_within=HOUR, fivetran_retry_limit=1))

    def test_a_deadline_without_any_answer_says_so(self, blocking, sense):
        add(blocking, "a", minutes=300)
        blocking.sim.faults.add(Fault("status", "GET", ALONE, times=1000, status=503))
        story = sense(connector_ids="a", fresh_within=HOUR, fivetran_retry_limit=1, timeout=0.5)
        assert isinstance(story.error, AirflowSensorTimeout)

    def test_an_empty_selection_is_an_error(self, blocking, sense):
        story = sense(fresh_within=HOUR)
        assert isinstance(story.cause, FivetranLookupError)

    def test_unless_it_may_be(self, blocking, sense):
        assert is_green(sense(connector_ids=[], fresh_within=HOUR, when_empty="pass"))

    def test_a_destination_is_found_by_its_name(self, blocking, sense):
        add(blocking, "a", minutes=300, default_plan=SyncPlan(duration=0.2))
        blocking.sim.start_sync("a")
        assert is_green(sense(destination_name="Warehouse", fresh_within=HOUR))


class TestInTheTriggerer:
    def trigger(self, way, *ids, interval=0.2, lasting=10.0, **demand):
        hook = FivetranHook(way.conn_id)
        given = {"fresh_since": None, "fresh_within": 3600.0, "when_empty": "fail"} | demand
        policies = {"when_broken": "fail_if_stale", "when_paused": "fail_if_stale"}
        return rebuilt(
            FivetranFreshnessTrigger(
                selection=hook.select_connections(ids or None).to_json(),
                demand=given | policies,
                fivetran_conn_id=way.conn_id,
                poke_interval=interval,
                deadline=ago(seconds=-lasting).isoformat(),
            )
        )

    def together(self, *triggers):
        async def all_of_them():
            return await asyncio.gather(*(all_events(each) for each in triggers))

        return asyncio.run(all_of_them())

    def test_its_path_is_that_of_all_triggers(self, deferrable):
        path, _ = self.trigger(deferrable, "a").serialize()
        assert path == "airflow_provider_fivetran.triggers.FivetranFreshnessTrigger"

    def test_many_waits_share_their_looks(self, deferrable):
        for number in range(40):
            add(deferrable, f"c{number}", minutes=300)
        waits = [
            self.trigger(deferrable, *(f"c{n}" for n in range(number, 40)), interval=0.5, lasting=2.2)
            for number in range(20)
        ]
        events = self.together(*waits)
        assert {event["is_over"] for [event] in events} == {True}
        assert len(deferrable.heard) == deferrable.sim.count("GET", LIST) <= 8

    def test_what_is_excluded_of_a_list_is_no_ones_concern(self, deferrable):
        add(deferrable, "a")
        add(deferrable, "b", minutes=300)
        trigger = self.trigger(deferrable)
        trigger.selection["exclude"] = ["b"]
        [[event]] = self.together(trigger)
        assert [found["connection_id"] for found in event["report"]["connections"]] == ["a"]

    def test_a_row_that_cannot_be_read_among_all_is_not_left_out_in_silence(self, deferrable):
        add(deferrable, "a")
        add(deferrable, "b", update_state=7)
        [[event]] = self.together(self.trigger(deferrable, lasting=0.6))
        assert event["is_over"]
        assert event["report"] is None
        assert "1 of the connections in Fivetran's list cannot be read" in event["trouble"]

    def test_where_the_key_may_not_list_each_is_read_and_looks_are_rarer(self, deferrable):
        for number in range(6):
            add(deferrable, f"c{number}", minutes=300)
        deferrable.sim.add_key("narrow", "secret", may_list=False)
        deferrable.declare(login="narrow", password="secret")
        [[event]] = self.together(
            self.trigger(deferrable, *(f"c{n}" for n in range(6)), lasting=4, interval=0.1)
        )
        assert event["report"]["counts"]["stale"] == 6
        # Six take three seconds: a look at the beginning, at most two in four seconds, and one at the end.
        assert 12 <= deferrable.sim.count("GET", ALONE) <= 24

    @pytest.mark.parametrize(
        ("argument", "value"),
        [("demand", {}), ("selection", {}), ("deadline", "soon"), ("fivetran_conn_id", "none")],
    )
    def test_whatever_is_wrong_with_it_is_sent_as_an_event(self, deferrable, argument, value):
        trigger = self.trigger(deferrable, "a")
        setattr(trigger, argument, value)
        [[event]] = self.together(trigger)
        assert event["verdict"] == "BrokenOff"
        assert event["message"]

    @pytest.mark.parametrize(
        "event",
        [None, {}, {"verdict": "Waited"}, {"verdict": "TriggerAgain", "announced": None, "message": "x"}],
    )
    def test_an_event_that_is_not_understood_is_no_success(self, deferrable, event):
        task = FivetranFreshnessSensor(
            task_id="t", fivetran_conn_id=deferrable.conn_id, fresh_within=HOUR, deferrable=True
        )
        with pytest.raises(FivetranUnexpectedAnswer, match="the trigger sent"):
            task.execute_complete({"ti": Story(deferrable).ti}, event)


class TestHook:
    @pytest.fixture
    def hook(self, blocking):
        with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.01) as hook:
            yield hook

    def test_it_reports_and_raises_nothing(self, blocking, hook):
        add(blocking, "a")
        add(blocking, "b", minutes=300)
        report = hook.check_freshness(fresh_within=HOUR)
        assert [(f.connection_id, f.state) for f in report.failures] == [("b", "stale")]
        assert json.loads(json.dumps(report.to_json()))["counts"]["stale"] == 1

    def test_it_judges_by_fivetrans_clock(self, simulator, fivetran_conn):
        simulator.clock.advance(7200)
        simulator.add_connection("a", succeeded_at=simulator.clock.now() - timedelta(minutes=30))
        with FivetranHook(fivetran_conn) as hook:
            report = hook.check_freshness(["a"], fresh_within=timedelta(minutes=45))
            assert report.is_as_demanded
            assert abs(report.checked_at - simulator.clock.now()) < timedelta(seconds=5)
            assert not hook.check_freshness(["a"], fresh_within=timedelta(minutes=15)).is_as_demanded

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({}, "give either fresh_since or fresh_within"),
            ({"fresh_within": 5, "when_paused": "wait"}, "when_paused is 'wait'; allowed are"),
            (
                {"fresh_within": 5, "group_id": "g", "destination_name": "x"},
                r"group_id \('g'\) and destination_name \('x'\) are given; allowed is one of connector_ids,",
            ),
            ({"fresh_within": 5, "connector_ids": []}, "no Fivetran connection to look at"),
            ({"fresh_within": 5, "connector_ids": 7}, "connector_ids is 7; allowed are ids"),
        ],
    )
    def test_wrong_arguments(self, hook, given, text):
        with pytest.raises((ValueError, FivetranLookupError), match=text):
            hook.check_freshness(**given)

    def test_a_fault_is_waited_out(self, blocking, hook):
        add(blocking, "a")
        blocking.sim.faults.add(Fault("status", "GET", ALONE, times=4, status=503))
        assert hook.check_freshness(["a"], fresh_within=HOUR).is_as_demanded
