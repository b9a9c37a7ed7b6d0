"""Every answer of every call is valid against Fivetran's own definition, and what it would refuse is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from airflow_provider_fivetran.simulator import SyncPlan
from airflow_provider_fivetran.simulator.people import Membership, Team
from airflow_provider_fivetran.simulator.source import Column
from airflow_provider_fivetran.simulator.webhooks import Webhook

spec = importlib.util.spec_from_file_location("definition", Path(__file__).with_name("definition.py"))
definition_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(definition_module)

CHANGE = "patch"
CONNECTION = "/v1/connections/{connectionId}"
TRANSFORMATION = "/v1/transformations/{transformationId}"
WEBHOOK = "/v1/webhooks/{webhookId}"
GROUP = "/v1/groups/{groupId}"
USER = "/v1/users/{userId}"
TEAM = "/v1/teams/{teamId}"
KEY = "/v1/system-keys/{keyId}"
NEW_USER = {"email": "new@example.com", "given_name": "N", "family_name": "U"}
NEW_TEAM = {"name": "Analysts", "role": "Account Analyst", "description": "d"}
MAY = [
    {"resource_type": "CONNECTOR", "access_level": "MANAGE", "resource_filter": {"group_ids": ["sim_group"]}},
    {"resource_type": "USER", "access_level": "READ"},
]
NEW_KEY = {"name": "prod_key", "expiration_period": "THREE_MONTHS", "permissions": MAY}
VIEWS = {"groups": "View Destination", "connections": "View Connection"}
NEW_MEMBERSHIP = {"groups": "empty", "connections": "fresh"}
NEW_WEBHOOK = {"url": "https://airflow.example/hook", "events": ["sync_end"], "active": False, "secret": "s"}
TABLE = f"{CONNECTION}/schemas/{{schemaName}}/tables/{{tableName}}"
COLUMN = {"enabled": False, "hashed": True}
SCHEMAS = {
    "schemas": {"c": {"enabled": True, "tables": {"logs": {"enabled": True, "columns": {"email": COLUMN}}}}}
}
DROPPED = {"schemas": {"c": {"tables": {"orders": {"columns": ["fax"]}}}}}
NEW = {"group_id": "sim_group", "service": "stripe"}
TASK = {"code": "reconnect", "message": "Reconnect", "details": "expired"}

# method, path in the definition, query, body, expected status
CALLS = [
    ("get", "/v1/account/info", None, None, 200),
    ("get", "/v1/connections", None, None, 200),
    ("get", "/v1/connections", {"limit": 1}, None, 200),
    ("post", "/v1/connections", None, NEW, 201),
    ("post", "/v1/connections", None, {**NEW, "connect_card_config": {"redirect_uri": "https://x.y"}}, 201),
    ("get", CONNECTION, None, None, 200),
    (CHANGE, CONNECTION, None, {"paused": True}, 200),
    (CHANGE, CONNECTION, None, {"schedule_type": "manual", "run_setup_tests": False}, 200),
    ("delete", CONNECTION, None, None, 200),
    ("post", f"{CONNECTION}/sync", None, {"force": True}, 200),
    ("post", f"{CONNECTION}/sync", None, {}, 200),
    ("post", f"{CONNECTION}/resync", None, {}, 200),
    ("post", f"{CONNECTION}/resync", None, {"scope": None}, 200),
    ("post", f"{CONNECTION}/resync", None, {"scope": {"schema": ["t"]}}, 200),
    ("post", f"{CONNECTION}/schemas/tables/resync", None, {"schema": ["t"]}, 200),
    (CHANGE, CONNECTION, None, {"schedule": {"schedule_type": "CRON", "cron": "0 6 * * 1-5"}}, 200),
    (
        CHANGE,
        CONNECTION,
        None,
        {"config": {"user": "u", "password": "p"}, "auth": {"refresh_token": "r"}},
        200,
    ),
    ("post", f"{CONNECTION}/test", None, {}, 200),
    (
        "post",
        f"{CONNECTION}/connect-card",
        None,
        {"connect_card_config": {"redirect_uri": "https://x.y"}},
        200,
    ),
    ("get", f"{CONNECTION}/schemas", None, None, 200),
    ("post", f"{CONNECTION}/schemas", None, SCHEMAS, 200),
    (CHANGE, f"{CONNECTION}/schemas", None, SCHEMAS, 200),
    (CHANGE, f"{CONNECTION}/schemas", None, {"schema_change_handling": "BLOCK_ALL"}, 200),
    ("post", f"{CONNECTION}/schemas/reload", None, {}, 200),
    ("post", f"{CONNECTION}/schemas/reload", None, {"exclude_mode": "EXCLUDE"}, 200),
    (CHANGE, f"{CONNECTION}/schemas/{{schemaName}}", None, {"enabled": False}, 200),
    (CHANGE, TABLE, None, {"enabled": False, "sync_mode": "HISTORY"}, 200),
    ("get", f"{CONNECTION}/schemas/{{schema}}/tables/{{table}}/columns", None, None, 200),
    (CHANGE, f"{TABLE}/columns/{{columnName}}", None, {"enabled": True, "hashed": True}, 200),
    ("post", f"{CONNECTION}/schemas/drop-columns", None, DROPPED, 200),
    ("get", f"{CONNECTION}/sync-history", None, None, 200),
    ("get", f"{CONNECTION}/sync-history", {"limit": 1}, None, 200),
    ("get", f"{CONNECTION}/warnings", None, None, 200),
    ("delete", f"{CONNECTION}/warnings/{{warningType}}", None, None, 200),
    ("post", f"{CONNECTION}/dismiss-warnings", None, {"warning_types": ["late"]}, 200),
    ("get", f"{CONNECTION}/errors", None, None, 200),
    ("get", "/v1/groups", None, None, 200),
    ("get", "/v1/groups/{groupId}", None, None, 200),
    ("get", "/v1/groups/{groupId}/connections", None, None, 200),
    ("get", "/v1/destinations", None, None, 200),
    ("get", "/v1/destinations/{destinationId}", None, None, 200),
    ("get", "/v1/users", None, None, 200),
    ("get", "/v1/users/{userId}", None, None, 200),
    ("post", "/v1/groups", None, {"name": "Second"}, 201),
    (CHANGE, GROUP, None, {"name": "Renamed"}, 200),
    ("delete", GROUP, None, None, 200),
    ("get", f"{GROUP}/users", None, None, 200),
    ("post", f"{GROUP}/users", None, {"email": "mate@example.com", "role": "View Destination"}, 200),
    ("delete", f"{GROUP}/users/{{userId}}", None, None, 200),
    ("get", "/v1/users", {"active": "true"}, None, 200),
    ("post", "/v1/users", None, NEW_USER, 201),
    (CHANGE, USER, None, {"role": "Account Reviewer", "phone": "+1"}, 200),
    ("delete", "/v1/users/{id}", None, None, 200),
    ("delete", f"{USER}/role", None, None, 200),
    ("get", "/v1/teams", None, None, 200),
    ("post", "/v1/teams", None, NEW_TEAM, 201),
    ("get", TEAM, None, None, 200),
    (CHANGE, TEAM, None, {"description": "other"}, 200),
    ("delete", TEAM, None, None, 200),
    ("delete", f"{TEAM}/role", None, None, 200),
    ("get", f"{TEAM}/users", None, None, 200),
    ("post", f"{TEAM}/users", None, {"user_id": "mate", "role": "Team Member"}, 201),
    ("get", f"{TEAM}/users/{{userId}}", None, None, 200),
    (CHANGE, f"{TEAM}/users/{{userId}}", None, {"role": "Team Manager"}, 200),
    ("delete", f"{TEAM}/users/{{userId}}", None, None, 200),
    *[
        made
        for owner in (USER, TEAM)
        for within, target in (("groups", "{groupId}"), ("connections", "{connectionId}"))
        for made in (
            ("get", f"{owner}/{within}", None, None, 200),
            ("post", f"{owner}/{within}", None, {"id": NEW_MEMBERSHIP[within], "role": VIEWS[within]}, 201),
            ("get", f"{owner}/{within}/{target}", None, None, 200),
            (CHANGE, f"{owner}/{within}/{target}", None, {"role": VIEWS[within]}, 200),
            ("delete", f"{owner}/{within}/{target}", None, None, 200),
        )
    ],
    ("get", "/v1/roles", None, None, 200),
    ("get", "/v1/system-keys", None, None, 200),
    ("get", "/v1/system-keys", {"limit": 1}, None, 200),
    ("post", "/v1/system-keys", None, NEW_KEY, 201),
    ("get", KEY, None, None, 200),
    (CHANGE, KEY, None, {"name": "renamed", "permissions": MAY}, 200),
    ("post", f"{KEY}/rotate", None, {"expiration_period": "SIX_MONTHS"}, 200),
    ("delete", KEY, None, None, 200),
    ("get", "/v1/metadata/connector-types", None, None, 200),
    ("get", "/v1/metadata/connector-types/{service}", None, None, 200),
    ("get", "/v1/transformations", None, None, 200),
    ("get", TRANSFORMATION, None, None, 200),
    ("post", f"{TRANSFORMATION}/run", None, {"full_refresh": True}, 200),
    ("post", f"{TRANSFORMATION}/cancel", None, None, 200),
    ("get", "/v1/webhooks", None, None, 200),
    ("get", "/v1/webhooks", {"limit": 1}, None, 200),
    ("post", "/v1/webhooks/account", None, NEW_WEBHOOK, 200),
    ("post", "/v1/webhooks/group/{groupId}", None, NEW_WEBHOOK, 200),
    ("get", WEBHOOK, None, None, 200),
    (CHANGE, WEBHOOK, None, {"events": ["sync_start"], "secret": "t"}, 200),
    ("delete", WEBHOOK, None, None, 200),
    ("post", f"{WEBHOOK}/test", None, {"event": "sync_end"}, 200),
]
NAMES = {
    "{webhookId}": "webhook_1",
    "{connectionId}": "c",
    "{transformationId}": "t",
    "{groupId}": "sim_group",
    "{destinationId}": "sim_group",
    "{userId}": "sim_user",
    "{warningType}": "late",
    "{service}": "google_ads",
    "{id}": "sim_user",
    "{teamId}": "team_1",
    "{keyId}": "key_1",
    "{schemaName}": "c",
    "{tableName}": "orders",
    "{columnName}": "email",
    "{schema}": "c",
    "{table}": "orders",
}


def describe(sim):
    """An account in which every field has a value somewhere and none somewhere else."""
    warning = {"code": "late", "message": "Late", "details": ""}
    sim.add_connection(
        "c",
        disabled_tables=["payments", "logs"],
        sync_frequency=1440,
        daily_sync_time="06:00",
        past_every=86_400,
        past_failing=2,
        config={"host": "db", "port": 5432, "password": "p", "tables": ["a"], "ssl": {"on": True}},
        default_plan=SyncPlan(duration=60),
        plans=[
            SyncPlan(duration=1, outcome="rescheduled", volume_mb=(None, None, None)),
            SyncPlan(duration=1, outcome="failure", tasks=[TASK], reason="no"),
            SyncPlan(duration=1, warnings=[warning]),
        ],
    )
    table = sim.account.connection("c").source.table("c", "orders")
    table.columns["fax"] = Column(name="fax", enabled=False, touched=True)
    sim.account.connection("c").source.tables["c"]["orders"].append("fax")
    for _ in range(3):
        sim.start_sync("c")
        sim.clock.advance(1)
    sim.add_connection("fresh", sync_frequency=None, setup_state="incomplete")
    sim.add_connection("failed", default_plan=SyncPlan(duration=1, outcome="failure", tasks=[TASK]))
    sim.add_connection("put_off", default_plan=SyncPlan(duration=1, outcome="rescheduled"))
    for name in ("failed", "put_off"):
        sim.start_sync(name)
    sim.clock.advance(1)
    describe_people(sim)
    sim.add_transformation("t", duration=60)
    sim.add_transformation("done", type="QUICKSTART", duration=1)
    sim.account.transformation("done").run(sim.clock.now(), sim.switches, full_refresh=False)
    for group_id in (None, "sim_group"):
        webhook = Webhook(
            id=sim.webhooks.new_id(),
            type="group" if group_id else "account",
            group_id=group_id,
            url="http://127.0.0.1:1/nobody-listens",
            events=["sync_end"],
            active=False,
            created_at=sim.clock.now(),
            created_by="sim_user",
        )
        sim.webhooks.add(webhook)


def describe_people(sim):
    now = sim.clock.now()
    sim.add_group("empty")
    sim.add_user("mate", "mate@example.com")
    sim.people.teams["team_1"] = Team(id="team_1", name="Team", role="Account Analyst")
    sim.people.add(
        "teams", "team_1", "users", membership=Membership(id="sim_user", role="Team Member", created_at=now)
    )
    for owner in (("users", "sim_user"), ("teams", "team_1")):
        for within, target in (("groups", "sim_group"), ("connections", "c")):
            row = Membership(id=target, role=VIEWS[within], created_at=now)
            sim.people.add(*owner, within, membership=row)
    sim.add_system_key("first", id="key_1", permissions=MAY)
    sim.add_system_key("second", expiration_period="ONE_WEEK")


def call(sim, api, method, path, query, body):
    for name, value in NAMES.items():
        path = path.replace(name, value)
    options = {} if body is None else {"json": body}
    return api.session.request(method.upper(), sim.url + path, params=query, timeout=10, **options)


@pytest.mark.parametrize("unset", ["omit", "null"])
@pytest.mark.parametrize(
    ("method", "path", "query", "body", "status"), CALLS, ids=[f"{c[0]} {c[1]}" for c in CALLS]
)
def test_an_answer_is_valid(sim, api, fivetran_openapi, unset, method, path, query, body, status):
    definition = definition_module.Definition(fivetran_openapi, nulls=unset == "null")
    describe(sim)
    sim.switches.unset_fields = unset
    if path.endswith("/cancel"):
        sim.account.transformation("t").run(sim.clock.now(), sim.switches, full_refresh=False)
    elif (method, path) == ("post", f"{CONNECTION}/schemas"):
        sim.account.connection("c").schema_captured = False
    elif path.endswith("/sync-history"):
        sim.start_sync("c")
    elif (method, path) == ("delete", GROUP):
        sim.account.connections.clear()  # one that has connections is refused
    answer = call(sim, api, method, path, query, body)
    assert answer.status_code == status, answer.text
    validator = definition.answer(method, path, status)
    if validator is not None:
        validator.validate(answer.json())


def test_each_state_of_a_connection_is_valid(sim, api, fivetran_openapi):
    definition = definition_module.Definition(fivetran_openapi)
    validator = definition.answer("get", CONNECTION, 200)
    describe(sim)
    sim.switches.unset_fields = "omit"
    seen = set()
    for name in ("c", "fresh", "failed", "put_off"):
        for act in (lambda _: None, sim.start_sync, sim.pause):
            act(name)
            answer = api.get(f"/v1/connections/{name}").json()
            validator.validate(answer)
            seen.add(answer["data"]["status"]["sync_state"])
            sim.clock.advance(0.5)
        validator.validate(api.get(f"/v1/connections/{name}").json())
        seen.add(api.state(name))
    assert seen == {"scheduled", "syncing", "paused", "rescheduled"}


@pytest.mark.parametrize("path", ["/v1/connections/{connectionId}", f"{CONNECTION}/sync", TRANSFORMATION])
def test_refusals_use_declared_statuses(sim, api, fivetran_openapi, path):
    method = "post" if path.endswith("/sync") else "get"
    declared = fivetran_openapi["paths"][path][method]["responses"]
    answer = call(sim, api, method, path, None, {} if method == "post" else None)
    assert answer.status_code == 404
    assert "404" in declared
    assert set(answer.json()) == {"code", "message"}


def test_a_type_that_cannot_load_tables_anew_is_refused_as_declared(sim, api, fivetran_openapi):
    path = f"{CONNECTION}/resync"
    declared = fivetran_openapi["paths"][path]["post"]["responses"]
    assert "does not support table-level re-sync" in declared["400"]["description"]
    sim.add_connection("c", service="google_sheets")
    assert call(sim, api, "post", path, None, {"scope": {"schema": ["t"]}}).status_code == 400
    assert call(sim, api, "post", path, None, {}).status_code == 200


def test_no_call_is_left_unchecked(sim):
    from airflow_provider_fivetran.simulator.application import build_application

    checked = {(call[0].upper(), anonymous(call[1])) for call in CALLS}
    served = {
        (method, anonymous(path))
        for path, methods in paths_of(build_application(sim))
        for method in methods
        if path.startswith("/v1/") and "connectors" not in path and not path.endswith("/force")
    }
    assert served == checked


def paths_of(app):
    """What is served, as the application itself describes it: newer FastAPI nests its routes differently."""
    for path, operations in app.openapi()["paths"].items():
        yield path, {method.upper() for method in operations}


def anonymous(path):
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


WRONG = [7, "word", True, 1.5, ["list"], {"an": "object"}]
BODIES = [
    ("post", "/v1/connections", NEW),
    (CHANGE, CONNECTION, {"paused": False}),
    ("post", f"{CONNECTION}/sync", {}),
    ("post", f"{CONNECTION}/resync", {}),
    ("post", f"{CONNECTION}/schemas/tables/resync", {}),
    ("post", f"{CONNECTION}/test", {}),
    ("post", f"{CONNECTION}/connect-card", {"connect_card_config": {"redirect_uri": "https://x.y"}}),
    ("post", f"{CONNECTION}/schemas", SCHEMAS),
    (CHANGE, f"{CONNECTION}/schemas", {}),
    ("post", f"{CONNECTION}/schemas/drop-columns", {}),
    (CHANGE, f"{CONNECTION}/schemas/{{schemaName}}", {"enabled": True}),
    (CHANGE, TABLE, {"enabled": True}),
    (CHANGE, f"{TABLE}/columns/{{columnName}}", {"enabled": True}),
    ("post", f"{CONNECTION}/dismiss-warnings", {}),
    ("post", f"{TRANSFORMATION}/run", {}),
    ("post", "/v1/webhooks/account", NEW_WEBHOOK),
    ("post", "/v1/webhooks/group/{groupId}", NEW_WEBHOOK),
    (CHANGE, WEBHOOK, {}),
    ("post", "/v1/users", NEW_USER),
    (CHANGE, USER, {}),
    (CHANGE, TEAM, {}),
    ("post", "/v1/system-keys", NEW_KEY),
    (CHANGE, KEY, {}),
    ("post", f"{WEBHOOK}/test", {}),
]


@pytest.mark.parametrize(("method", "path", "base"), BODIES, ids=[f"{b[0]} {b[1]}" for b in BODIES])
def test_what_the_definition_refuses_is_refused(sim, api, fivetran_openapi, method, path, base):
    definition = definition_module.Definition(fivetran_openapi)
    validator = definition.body(method, path)
    describe(sim)
    if (method, path) == ("post", f"{CONNECTION}/schemas"):
        sim.account.connection("c").schema_captured = False
    tried = 0
    for name in definition.properties(method, path):
        for value in WRONG:
            body = {**base, name: value}
            if validator.is_valid(body):
                continue
            answer = call(sim, api, method, path, None, body)
            assert answer.status_code == 400, f"{name}={value!r} was taken: {answer.text}"
            tried += 1
    assert tried >= 4


@pytest.mark.parametrize(("method", "path"), [("post", "/v1/connections"), (CHANGE, CONNECTION)])
def test_every_listed_value_is_taken(sim, api, fivetran_openapi, method, path):
    definition = definition_module.Definition(fivetran_openapi)
    describe(sim)
    for name, schema in definition.properties(method, path).items():
        for value in schema.get("enum", ()):
            body = {**(NEW if method == "post" else {}), name: value}
            answer = call(sim, api, method, path, None, body)
            assert answer.ok, f"{name}={value!r} was refused: {answer.text}"
