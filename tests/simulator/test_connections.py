"""Connections over the API: lists and pages, creating and changing them, setup tests, secrets, and wrong requests."""

from __future__ import annotations

import json

import pytest

from airflow_provider_fivetran.simulator import SyncPlan
from airflow_provider_fivetran.simulator.shapes import shape_connection, without_unset


def ids(answer):
    return [row["id"] for row in answer.json()["data"]["items"]]


def test_lists_are_filtered_by_group_and_exact_schema(sim, api):
    sim.add_group("other", name="Other")
    sim.add_connection("a", schema="shop")
    sim.add_connection("b", schema="shop_2")
    sim.add_connection("c", schema="shop", group_id="other")
    assert ids(api.get("/v1/connections")) == ["a", "b", "c"]
    assert ids(api.get("/v1/connections", schema="shop")) == ["a", "c"]
    assert ids(api.get("/v1/connections", group_id="other")) == ["c"]
    assert ids(api.get("/v1/groups/other/connections")) == ["c"]
    assert ids(api.get("/v1/groups/sim_group/connectors", schema="shop_2")) == ["b"]


def test_both_spellings_show_the_same(sim, api):
    sim.add_connection("a")
    assert api.get("/v1/connectors/a").json() == api.get("/v1/connections/a").json()


def test_pages_end_without_a_cursor(sim, api):
    for number in range(101):
        sim.add_connection(f"c{number}")
    first = api.get("/v1/connections").json()["data"]
    assert len(first["items"]) == 100
    last = api.get("/v1/connections", cursor=first["next_cursor"]).json()["data"]
    assert (len(last["items"]), "next_cursor" in last) == (1, False)
    assert len(ids(api.get("/v1/connections", limit=1000))) == 101


def _change_each_field(connection, later):
    """One after the other, every field that an answer may show, also those that change in place."""
    yield "nothing", lambda: None
    yield "a start", lambda: setattr(connection.run, "status", "RUNNING")
    for name, value in vars(connection).items():
        unset = "09:00" if name == "daily_sync_time" else later
        new = {"str": "another", "int": 1440, "bool": value is False, "NoneType": unset, "datetime": later}
        if (kind := type(value).__name__) in new and name not in ("id", "pending_resync"):
            yield name, lambda name=name, value=new[kind]: setattr(connection, name, value)
    yield "config", lambda: connection.config.update(password="new", user="new")
    yield "settings", lambda: connection.settings.update(proxy_agent_id="new")
    yield "tasks", lambda: connection.tasks.append({"code": "reconnect"})
    yield "warnings", lambda: connection.warnings.append({"code": "late"})


@pytest.mark.parametrize("unset_fields", ["null", "omit"])
def test_a_list_shows_every_change_at_once(sim, unset_fields):
    sim.switches.unset_fields = unset_fields
    sim.add_connection("c")
    connection = sim.account.connections["c"]
    sim.set_plan("c", SyncPlan(duration=10, queue_delay=1))
    sim.start_sync("c")
    omit = unset_fields == "omit"
    for what, change in _change_each_field(connection, sim.clock.now()):
        change()
        shape = shape_connection(connection)
        row = json.loads(sim.written.row(connection, omit=omit))
        assert row == (without_unset(shape) if omit else shape), what


def test_a_list_knows_what_happened_since_somebody_looked(sim, api):
    for number in range(3):
        sim.add_connection(f"c{number}", every=60, default_plan=SyncPlan(duration=10 * (number + 1)))
    for seconds, states in ((1, "scheduled"), (61, "syncing"), (12, "scheduled syncing"), (50, "syncing")):
        sim.clock.advance(seconds)
        rows = api.get("/v1/connections").json()["data"]["items"]
        assert {row["status"]["sync_state"] for row in rows} == set(states.split())
        assert rows == [api.connection(row["id"]) for row in rows]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": "many"}, {"cursor": "nonsense"}])
def test_paging_beyond_the_limits_is_refused(sim, api, query):
    answer = api.get("/v1/connections", **query)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidInput")


def test_a_connection_is_created_tested_and_found_again(sim, api):
    body = {"group_id": "sim_group", "service": "stripe", "config": {"schema": "pay", "secret_key": "hidden"}}
    answer = api.post("/v1/connections", body)
    created = answer.json()["data"]
    assert answer.status_code == 201
    assert [test["status"] for test in created["setup_tests"]] == ["PASSED", "PASSED"]
    assert created["status"]["setup_state"] == "connected"
    assert created["config"] == {"schema": "pay", "secret_key": "******"}
    assert api.connection(created["id"])["schema"] == "pay"
    assert "hidden" not in api.get("/v1/connections").text
    assert api.get(f"/v1/connections/{created['id']}/schemas").json()["code"] == "NotFound_SchemaConfig"


def test_created_without_tests_it_stays_incomplete_and_a_card_can_finish_it(sim, api):
    body = {
        "group_id": "sim_group",
        "service": "stripe",
        "run_setup_tests": False,
        "connect_card_config": {"redirect_uri": "https://example.com"},
    }
    created = api.post("/v1/connections", body).json()["data"]
    assert created["status"]["setup_state"] == "incomplete"
    assert created["connect_card"]["uri"].startswith("https://")
    tested = api.post(f"/v1/connections/{created['id']}/test").json()["data"]
    assert [test["status"] for test in tested["setup_tests"]] == ["PASSED", "FAILED"]
    assert tested["status"]["setup_state"] == "incomplete"
    sim.authorize(created["id"])
    assert api.connection(created["id"])["status"]["setup_state"] == "connected"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"service": "stripe"}, 400),
        ({"group_id": "sim_group"}, 400),
        ({"group_id": "nowhere", "service": "stripe"}, 404),
        ({"group_id": "sim_group", "service": "stripe", "sync_frequency": 7}, 400),
        ({"group_id": "sim_group", "service": "stripe", "paused": "yes"}, 400),
    ],
)
def test_a_wrong_creation_is_refused(sim, api, body, status):
    assert api.post("/v1/connections", body).status_code == status
    assert api.get("/v1/connections").json()["data"]["items"] == []


def test_changes_are_kept_and_shown(sim, api):
    sim.add_connection("c")
    answer = api.change("c", schedule_type="manual", sync_frequency=1440, daily_sync_time="06:00")
    shape = answer.json()["data"]
    assert (shape["schedule_type"], shape["sync_frequency"]) == ("manual", 1440)
    assert shape["daily_sync_time"] == "06:00"
    assert shape["schedule"] == {"schedule_type": "MANUAL"}
    assert "setup_tests" not in shape


def test_a_change_runs_setup_tests_unless_told_not_to(sim, api):
    sim.add_connection("c")
    assert len(api.change("c", paused=True, run_setup_tests=True).json()["data"]["setup_tests"]) == 2
    sim.switches.setup_test_budget = 1
    answer = api.change("c", paused=False, run_setup_tests=True)
    assert (answer.status_code, answer.json()["code"]) == (429, "TooManyRequests")
    assert api.connection("c")["paused"] is True
    assert api.change("c", paused=False).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"paused": 1},
        {"schedule_type": "MANUAL"},
        {"sync_frequency": 2},
        {"is_historical_sync": "true"},
        {"data_delay_threshold": True},
        {"config": []},
    ],
)
def test_a_wrong_change_is_refused(sim, api, body):
    sim.add_connection("c")
    before = api.connection("c")
    assert api.change("c", **body).status_code == 400
    assert api.connection("c") == before


@pytest.mark.parametrize(("heals", "state"), [(True, "connected"), (False, "broken")])
def test_setup_tests_heal_what_they_can(sim, api, heals, state):
    sim.add_connection("c")
    sim.break_setup("c", test_heals=heals)
    assert api.connection("c")["status"]["setup_state"] == "broken"
    tested = api.post("/v1/connections/c/test").json()["data"]
    assert tested["status"]["setup_state"] == state
    assert tested["setup_tests"][1]["status"] == ("PASSED" if heals else "FAILED")


def test_setup_tests_demand_a_body(sim, api):
    sim.add_connection("c")
    headers = {"Content-Type": "application/json"}
    answer = api.session.post(f"{sim.url}/v1/connections/c/test", headers=headers, timeout=10)
    assert answer.status_code == 400


def test_warnings_and_errors_are_listed_and_dismissed(sim, api):
    rows = [{"code": code, "message": code, "details": ""} for code in ("one", "two", "three")]
    task = {"code": "reconnect", "message": "Reconnect", "details": ""}
    plans = [SyncPlan(duration=1, warnings=rows), SyncPlan(duration=1, outcome="failure", tasks=[task])]
    sim.add_connection("c", plans=plans)
    for _ in plans:
        sim.start_sync("c")
        sim.clock.advance(1)
    base = "/v1/connections/c"
    assert [row["code"] for row in api.get(f"{base}/warnings").json()["data"]["items"][0]["warnings"]] == [
        "one",
        "two",
        "three",
    ]
    assert [row["type"] for row in api.get(f"{base}/errors").json()["data"]["items"]] == ["reconnect"]
    assert api.delete(f"{base}/warnings/one").status_code == 200
    assert api.delete(f"{base}/warnings/one").status_code == 404
    assert api.post(f"{base}/dismiss-warnings", {"warning_types": ["two", "nine"]}).status_code == 400
    assert len(api.connection("c")["status"]["warnings"]) == 2
    assert api.post(f"{base}/dismiss-warnings").status_code == 200
    assert api.connection("c")["status"]["warnings"] == []


def test_endpoints_that_are_rolled_out_in_stages_can_be_missing(sim, api):
    sim.add_connection("c")
    sim.switches.update(warnings="not_found", errors="forbidden")
    assert api.get("/v1/connections/c/warnings").json()["code"] == "NotFound"
    assert api.get("/v1/connections/c/errors").status_code == 403


def test_unset_fields_are_null_or_left_out(sim, api):
    sim.add_connection("c")
    assert api.connection("c")["succeeded_at"] is None
    sim.switches.unset_fields = "omit"
    assert "succeeded_at" not in api.connection("c")


def test_a_schema_config_names_the_tables_in_the_destination(sim, api):
    sim.add_connection("c", schema="shop")
    tables = api.get("/v1/connections/c/schemas").json()["data"]["schemas"]["shop"]["tables"]
    assert set(tables) == {"customers", "orders", "payments"}


def test_a_schema_config_shows_which_tables_are_disabled(sim, api):
    sim.add_connection(
        "c", schema="shop", tables=["orders", "payments"], disabled_tables=["payments", "logs"]
    )
    tables = api.get("/v1/connections/c/schemas").json()["data"]["schemas"]["shop"]["tables"]
    assert {name: table["enabled"] for name, table in tables.items()} == {
        "orders": True,
        "payments": False,
        "logs": False,
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/connections/none", "NotFound_Connection"),
        ("/v1/connections/none/sync-history", "NotFound_Connection"),
        ("/v1/groups/none", "NotFound_Group"),
        ("/v1/destinations/none", "NotFound_Destination"),
        ("/v1/users/none", "NotFound_User"),
        ("/v1/transformations/none", "NotFound_Transformation"),
        ("/v1/nothing/here", "NotFound"),
        ("/elsewhere", "NotFound"),
    ],
)
def test_what_is_not_there_answers_404(sim, api, path, code):
    answer = api.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_a_wrong_method_a_missing_type_and_an_odd_accept(sim, api):
    sim.add_connection("c")
    url = f"{sim.url}/v1/connections/c/sync"
    assert api.session.put(url, json={}, timeout=10).json()["code"] == "MethodNotAllowed"
    untyped = api.session.post(url, timeout=10)
    assert (untyped.status_code, untyped.json()["code"]) == (415, "UnsupportedMediaType")
    assert (
        api.session.get(sim.url + "/v1/groups", headers={"Accept": "text/html"}, timeout=10).status_code
        == 406
    )
    versioned = {"Accept": "application/json;version=2"}
    assert api.session.get(sim.url + "/v1/groups", headers=versioned, timeout=10).status_code == 200
    assert sim.accepted("c") == []


@pytest.mark.parametrize("raw", ["[]", "{", '"force"', '{"force": "yes"}'])
def test_a_body_that_is_no_such_object_is_refused(sim, api, raw):
    sim.add_connection("c")
    headers = {"Content-Type": "application/json"}
    answer = api.session.post(f"{sim.url}/v1/connections/c/sync", data=raw, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert sim.accepted("c") == []


def test_a_connection_described_wrongly_is_refused_with_the_allowed_values(sim):
    with pytest.raises(ValueError, match=r"schedule_type is 'never'; allowed: auto, manual"):
        sim.add_connection("c", schedule_type="never")
    with pytest.raises(ValueError, match="outcome is 'lucky'"):
        SyncPlan(outcome="lucky")
    with pytest.raises(ValueError, match="duration is -1"):
        SyncPlan(duration=-1)
