"""Setting connections up over the API: types and their fields, credentials, Connect Cards, names and schedules."""

from __future__ import annotations

import pytest

NEW = {"group_id": "sim_group", "service": "postgres", "run_setup_tests": False}


def make(api, **fields):
    answer = api.post("/v1/connections", {**NEW, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


def refused(answer, *words):
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidInput")
    assert all(word in answer.json()["message"] for word in words)


def test_each_type_is_listed_and_shows_its_fields(sim, api):
    rows = api.get("/v1/metadata/connector-types").json()["data"]["items"]
    assert {"postgres", "google_ads", "github", "stripe"} <= {row["id"] for row in rows}
    for row in rows:
        assert "config" not in row
        shown = api.get(f"/v1/metadata/connector-types/{row['id']}").json()["data"]
        assert set(shown["config"]["required"]) <= set(shown["config"]["properties"])
        assert shown.items() >= row.items()
    assert api.get("/v1/metadata/connector-types/nonsense").status_code == 404


def test_an_unknown_type_and_a_value_that_is_not_listed_are_refused(sim, api):
    refused(api.post("/v1/connections", {**NEW, "service": "nonsense"}), "Unsupported service 'nonsense'")
    config = {"schema_prefix": "shop", "update_method": "XMIN"}
    refused(api.post("/v1/connections", {**NEW, "config": config}), "config.update_method", "QUERY_BASED")
    assert sim.account.connections == {}


@pytest.mark.parametrize(
    ("service", "config", "name"),
    [
        ("postgres", {"schema_prefix": "shop"}, "shop"),
        ("stripe", {"schema": "pay"}, "pay"),
        ("google_sheets", {"schema": "sheets", "table": "budget"}, "sheets.budget"),
    ],
)
def test_a_name_follows_from_the_configuration_and_is_taken_once_in_a_group(sim, api, service, config, name):
    assert make(api, service=service, config=config)["schema"] == name
    refused(
        api.post("/v1/connections", {**NEW, "service": service, "config": config}), name, "already exists"
    )
    sim.add_group("other")
    assert make(api, service=service, config=config, group_id="other")["schema"] == name
    sim.switches.names_are_unique = False
    assert make(api, service=service, config=config)["schema"] == name


@pytest.mark.parametrize(
    ("service", "section", "fields"),
    [
        ("postgres", "config", {"user": "u", "password": "needle"}),
        ("github", "config", {"pat": "needle"}),
        ("stripe", "config", {"secret_key": "needle"}),
        ("google_ads", "auth", {"refresh_token": "needle"}),
    ],
)
def test_credentials_let_in_and_are_never_shown(sim, api, service, section, fields):
    made = make(api, service=service)
    path = f"/v1/connections/{made['id']}"
    assert api.post(f"{path}/test").json()["data"]["status"]["setup_state"] == "incomplete"
    answers = [api.change(made["id"], **{section: fields}), api.post(f"{path}/test"), api.get(path)]
    assert answers[-1].json()["data"]["status"]["setup_state"] == "connected"
    assert "needle" not in "".join(answer.text for answer in [*answers, api.get("/v1/connections")])
    assert getattr(sim.account.connections[made["id"]], section).items() >= fields.items()


def test_a_card_is_made_for_one_connection_and_whoever_fills_it_in_authorises_that(sim, api):
    made = make(api)
    path = f"/v1/connections/{made['id']}/connect-card"
    refused(api.post(path), "connect_card_config")
    refused(api.post(path, {"connect_card_config": {}}), "redirect_uri")
    card = api.post(path, {"connect_card_config": {"redirect_uri": "https://x.example"}}).json()["data"]
    assert card["connector_id"] == made["id"]
    assert card["connect_card"]["token"] in card["connect_card"]["uri"]
    assert api.connection(made["id"])["status"]["setup_state"] == "incomplete"
    assert api.post(f"/_control/connections/{made['id']}/authorize").status_code == 200
    assert api.connection(made["id"])["status"]["setup_state"] == "connected"


def test_setup_tests_may_need_trust(sim, api):
    sim.switches.setup_tests_need_trust = True
    sim.add_connection("c")
    path = "/v1/connections/c/test"
    assert api.post(path).json()["data"]["status"]["setup_state"] == "broken"
    trusting = api.post(path, {"trust_certificates": True}).json()["data"]
    assert trusting["status"]["setup_state"] == "connected"


def test_a_change_of_how_the_source_is_reached_stops_a_running_sync(sim, api):
    from airflow_provider_fivetran.simulator import SyncPlan

    sim.add_connection("c", default_plan=SyncPlan(duration=60))
    run = sim.start_sync("c")
    api.change("c", data_delay_threshold=5)
    assert run.running
    sim.switches.stop_fails = True
    assert api.change("c", config={"host": "new"}).status_code == 409
    assert api.connection("c")["config"] == {}
    sim.switches.stop_fails = False
    assert api.change("c", config={"host": "new"}).json()["data"]["config"] == {"host": "new"}
    assert run.status == "CANCELED"


SCHEDULES = [
    {"schedule_type": "MANUAL"},
    {"schedule_type": "INTERVAL", "interval": 30},
    {"schedule_type": "CRON", "cron": "0 6 * * 1-5"},
    {"schedule_type": "TIME_OF_DAY", "time_of_day": "06:30", "days_of_week": ["MONDAY"]},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule["schedule_type"])
def test_a_schedule_is_taken_and_stands_above_the_frequency(sim, api, schedule):
    sim.add_connection("c")
    shown = api.change("c", schedule=schedule).json()["data"]
    assert shown["schedule"] == schedule
    assert shown["schedule_type"] == ("manual" if schedule["schedule_type"] == "MANUAL" else "auto")
    api.change("c", sync_frequency=60)
    flexible = schedule["schedule_type"] in {"CRON", "TIME_OF_DAY", "MANUAL"}
    now = schedule if flexible else {"schedule_type": "INTERVAL", "interval": 60}
    assert api.connection("c")["schedule"] == now


def test_an_account_without_flexible_schedules_passes_them_over(sim, api):
    sim.switches.flexible_schedules = "ignored"
    sim.add_connection("c")
    before = api.connection("c")
    assert api.change("c", schedule=SCHEDULES[2]).json()["data"] == before


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"schedule_type": "HOURLY"},
        {"schedule_type": "MANUAL", "interval": 5},
        {"schedule_type": "INTERVAL", "interval": 7},
        {"schedule_type": "CRON", "cron": "daily"},
        {"schedule_type": "TIME_OF_DAY", "time_of_day": "25:00"},
        {"schedule_type": "TIME_OF_DAY", "time_of_day": "06:00", "days_of_week": []},
    ],
)
def test_a_wrong_schedule_is_refused(sim, api, schedule):
    sim.add_connection("c")
    refused(api.change("c", schedule=schedule), "schedule")
