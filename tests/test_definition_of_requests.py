"""Every request that this provider can send is one that Fivetran's own definition of its API allows."""

from __future__ import annotations

import importlib.util
import inspect
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_fivetran.core import account_endpoints, endpoints, schema_endpoints, setup_endpoints
from airflow_provider_fivetran.core.sync_schedule import SyncSchedule
from airflow_provider_fivetran.core.system_keys import Permission

spec = importlib.util.spec_from_file_location(
    "definition", Path(__file__).parent / "simulator" / "definition.py"
)
definition_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(definition_module)

NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)
WEBHOOK = {"url": "https://x.example", "events": ["sync_end"], "active": True, "secret": "s"}
SCHEMAS = {
    "s": {
        "enabled": True,
        "tables": {
            "t": {
                "enabled": True,
                "sync_mode": "HISTORY",
                "columns": {"x": {"enabled": True, "hashed": True}},
            },
        },
    },
}
MADE = {
    "get_account": [endpoints.get_account()],
    "get_connection": [endpoints.get_connection("c")],
    "list_connections": [
        endpoints.list_connections(),
        endpoints.list_connections(group_id="g"),
        endpoints.list_connections(schema="s"),
        endpoints.list_connections(group_id="g", schema="s"),
    ],
    "list_user_rows": [endpoints.list_user_rows()],
    "list_group_rows": [endpoints.list_group_rows()],
    "list_destination_rows": [endpoints.list_destination_rows()],
    "list_sync_rows": [endpoints.list_sync_rows("c", since=NOW - timedelta(days=1), until=NOW)],
    "list_connection_rows": [endpoints.list_connection_rows(), endpoints.list_connection_rows(group_id="g")],
    "change_connection": [
        endpoints.change_connection("c", {"paused": True}),
        endpoints.change_connection("c", {"paused": False, "schedule_type": "manual"}),
        endpoints.change_connection("c", {"schedule_type": "auto"}, setup_tests=True),
    ],
    "sync_connection": [endpoints.sync_connection("c"), endpoints.sync_connection("c", force=True)],
    "resync_connection": [
        endpoints.resync_connection("c"),
        endpoints.resync_connection("c", scope={"public": ("a", "b"), "other": ["c"]}),
    ],
    "run_setup_tests": [
        endpoints.run_setup_tests("c"),
        endpoints.run_setup_tests("c", trust={"trust_certificates": True, "trust_fingerprints": True}),
    ],
    "list_setups": [setup_endpoints.list_setups(group_id="g", schema="s")],
    "create_connection": [
        setup_endpoints.create_connection({"group_id": "g", "service": "postgres", "paused": True}),
        setup_endpoints.create_connection(
            {
                "group_id": "g",
                "service": "postgres",
                "config": {"schema_prefix": "s"},
                "auth": {"refresh_token": "r"},
                "destination_schema_names": "FIVETRAN_NAMING",
                "sync_frequency": 60,
                "schedule_type": "auto",
            }
        ),
    ],
    "change_setup": [
        setup_endpoints.change_setup(
            "c", {"paused": True}, setup_tests=True, trust={"trust_certificates": True}
        ),
        setup_endpoints.change_setup("c", {"config": {"host": "h"}, "auth": {"refresh_token": "r"}}),
        *(
            setup_endpoints.change_setup("c", SyncSchedule.of(schedule).changes())
            for schedule in (
                "manual",
                {"interval": 60},
                {"time_of_day": "06:00"},
                {"time_of_day": "06:00", "days_of_week": ["MONDAY"]},
                {"cron": "0 6 * * 1-5"},
            )
        ),
    ],
    "delete_connection": [setup_endpoints.delete_connection("c")],
    "create_connect_card": [
        setup_endpoints.create_connect_card("c", {"redirect_uri": "https://x.example", "all_fields": True})
    ],
    "list_connector_types": [setup_endpoints.list_connector_types()],
    "get_connector_type": [setup_endpoints.get_connector_type("postgres")],
    "get_sync_history": [endpoints.get_sync_history("c", since=NOW - timedelta(days=1), until=NOW)],
    "get_schema_config": [schema_endpoints.get_schema_config("c")],
    "get_table_columns": [schema_endpoints.get_table_columns("c", "s", "t")],
    "prepare_schema_config": [
        schema_endpoints.prepare_schema_config("c", {"schemas": {"s": {"enabled": True}}})
    ],
    "change_schema_config": [
        schema_endpoints.change_schema_config("c", {"schema_change_handling": "BLOCK_ALL"}),
        schema_endpoints.change_schema_config("c", {"schemas": SCHEMAS, "is_type_locked": True}),
    ],
    "change_source_schema": [schema_endpoints.change_source_schema("c", "s", {"enabled": True})],
    "change_source_table": [schema_endpoints.change_source_table("c", "s", "t", {"enabled": True})],
    "change_source_column": [
        schema_endpoints.change_source_column("c", "s", "t", "x", {"enabled": True, "hashed": True})
    ],
    "reload_schema_config": [
        schema_endpoints.reload_schema_config("c"),
        schema_endpoints.reload_schema_config("c", exclude_mode="EXCLUDE"),
    ],
    "drop_columns": [schema_endpoints.drop_columns("c", {"s": {"t": ["x"]}})],
    "list_groups": [endpoints.list_groups()],
    "get_group": [endpoints.get_group("g")],
    "list_destinations": [endpoints.list_destinations()],
    "get_destination": [endpoints.get_destination("d")],
    "list_webhooks": [endpoints.list_webhooks()],
    "get_webhook": [endpoints.get_webhook("w")],
    "create_webhook": [
        endpoints.create_webhook(WEBHOOK),
        endpoints.create_webhook(WEBHOOK, group_id="g"),
    ],
    "change_webhook": [
        endpoints.change_webhook("w", {"secret": "new"}),
        endpoints.change_webhook("w", {"url": "https://x.example", "events": ["sync_end"], "active": True}),
    ],
    "test_webhook": [endpoints.test_webhook("w", "sync_end")],
    "delete_webhook": [endpoints.delete_webhook("w")],
    "get_transformation": [endpoints.get_transformation("t")],
    "list_transformations": [
        endpoints.list_transformations(),
        endpoints.list_transformations(group_id="g"),
    ],
    "list_transformation_rows": [
        endpoints.list_transformation_rows(),
        endpoints.list_transformation_rows(group_id="g"),
    ],
    "run_transformation": [
        endpoints.run_transformation("t"),
        endpoints.run_transformation("t", full_refresh=True),
    ],
    "cancel_transformation": [endpoints.cancel_transformation("t")],
}
EACH_MEMBERSHIP = [
    (whose, "x", within) for whose in ("users", "teams") for within in ("groups", "connections")
]
PERMISSIONS = [
    Permission(resource_type="CONNECTOR", access_level="MANAGE", group_ids=("g",)).to_json(),
    Permission(resource_type="DESTINATION", access_level="READ", ids=("d",)).to_json(),
    Permission(resource_type="TRANSFORMATION", access_level="NONE").to_json(),
]
MADE_OF_THE_ACCOUNT = {
    "create_group": [account_endpoints.create_group("Warehouse")],
    "change_group": [account_endpoints.change_group("g", "Warehouse")],
    "delete_group": [account_endpoints.delete_group("g")],
    "list_group_users": [
        account_endpoints.list_group_users("g"),
        account_endpoints.list_group_users("g", active=True),
    ],
    "add_user_to_group": [
        account_endpoints.add_user_to_group("g", email="a@b.example", role="View Destination")
    ],
    "remove_user_from_group": [account_endpoints.remove_user_from_group("g", "u")],
    "list_users": [account_endpoints.list_users(), account_endpoints.list_users(active=False)],
    "get_user": [account_endpoints.get_user("u")],
    "create_user": [
        account_endpoints.create_user({"email": "a@b.example", "given_name": "A", "family_name": "B"}),
        account_endpoints.create_user(
            {"email": "a@b.example", "given_name": "A", "family_name": "B", "role": "R", "phone": "1"}
        ),
    ],
    "change_user": [
        account_endpoints.change_user(
            "u", {"given_name": "A", "family_name": "B", "role": "R", "phone": "1", "picture": "p"}
        )
    ],
    "delete_user": [account_endpoints.delete_user("u")],
    "list_teams": [account_endpoints.list_teams()],
    "get_team": [account_endpoints.get_team("t")],
    "create_team": [account_endpoints.create_team({"name": "T", "role": "R", "description": "d"})],
    "change_team": [account_endpoints.change_team("t", {"name": "T", "role": "R", "description": "d"})],
    "delete_team": [account_endpoints.delete_team("t")],
    "list_team_members": [
        account_endpoints.list_team_members("t"),
        account_endpoints.list_team_members("t", active=True),
    ],
    "get_team_member": [account_endpoints.get_team_member("t", "u")],
    "add_team_member": [account_endpoints.add_team_member("t", "u", "Team Member")],
    "change_team_member": [account_endpoints.change_team_member("t", "u", "Team Manager")],
    "remove_team_member": [account_endpoints.remove_team_member("t", "u")],
    "list_memberships": [account_endpoints.list_memberships(*place) for place in EACH_MEMBERSHIP],
    "get_membership": [account_endpoints.get_membership(*place, "m") for place in EACH_MEMBERSHIP],
    "add_membership": [account_endpoints.add_membership(*place, "m", "R") for place in EACH_MEMBERSHIP],
    "change_membership": [account_endpoints.change_membership(*place, "m", "R") for place in EACH_MEMBERSHIP],
    "delete_membership": [account_endpoints.delete_membership(*place, "m") for place in EACH_MEMBERSHIP],
    "remove_account_role": [
        account_endpoints.remove_account_role(whose, "x") for whose in ("users", "teams")
    ],
    "list_roles": [account_endpoints.list_roles()],
    "list_system_keys": [account_endpoints.list_system_keys()],
    "get_system_key": [account_endpoints.get_system_key("k")],
    "create_system_key": [
        account_endpoints.create_system_key(
            {"name": "k", "expiration_period": period, "permissions": PERMISSIONS}
        )
        for period in ("INFINITE", "ONE_WEEK", "ONE_MONTH", "THREE_MONTHS", "SIX_MONTHS")
    ],
    "change_system_key": [
        account_endpoints.change_system_key("k", {"name": "n", "permissions": PERMISSIONS})
    ],
    "rotate_system_key": [account_endpoints.rotate_system_key("k", "SIX_MONTHS")],
    "delete_system_key": [account_endpoints.delete_system_key("k")],
}
# The definition that the tests use leaves out what differs by service, and so this.
UNDECLARED = {
    "/v1/connections": {"config", "auth"},
    "/v1/destinations/{destinationId}": {"config"},
    "/v1/transformations": {"transformation_config"},
    "/v1/transformations/{transformationId}": {"transformation_config"},
}
# Answers have it since 2026. That changes take it too is how Fivetran's own Terraform provider works.
UNDECLARED["/v1/connections/{connectionId}"] = {"config", "schedule"}
CALLS = [call for calls in (MADE | MADE_OF_THE_ACCOUNT).values() for call in calls]
each_call = pytest.mark.parametrize(
    "call", CALLS, ids=[f"{call.method} {call.path} {dict(call.params) or call.body or ''}" for call in CALLS]
)


@pytest.fixture(scope="module")
def definition(fivetran_openapi):
    return definition_module.Definition(fivetran_openapi)


def declared(definition, call):
    """The path in the definition that a call takes, and what is declared of it."""
    for path, operations in definition.paths.items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
        if re.fullmatch(pattern, call.path) and "{" not in call.path and call.method.lower() in operations:
            return path, operations[call.method.lower()]
    raise AssertionError(f"no {call.method} {call.path} in the definition")


def parameters(definition, call, place):
    path, operation = declared(definition, call)
    both = [*definition.paths[path].get("parameters", ()), *operation.get("parameters", ())]
    return {item["name"]: item for item in both if item["in"] == place}


@pytest.mark.parametrize(
    ("modules", "checked"),
    [
        pytest.param((endpoints, setup_endpoints, schema_endpoints), MADE, id="connections"),
        pytest.param((account_endpoints,), MADE_OF_THE_ACCOUNT, id="account"),
    ],
)
def test_no_call_is_left_unchecked(modules, checked):
    made = {
        name
        for module in modules
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert made == set(checked) == {name for module in modules for name in module.__all__}


@each_call
def test_a_call_is_declared_and_not_on_its_way_out(definition, call):
    path, operation = declared(definition, call)
    assert not operation.get("deprecated")
    assert "connectors" not in path
    assert not path.endswith("/force")


def test_how_much_of_the_definition_there_is(definition):
    current = {
        (method, path)
        for path, operations in definition.paths.items()
        for method, operation in operations.items()
        if method in {"get", "post", "put", "patch", "delete"} and not operation.get("deprecated")
    }
    made = {(call.method.lower(), declared(definition, call)[0]) for call in CALLS}
    print(f"{len(made)} of {len(current)} operations that are not deprecated")  # noqa: T201 - shown by -rP
    assert made <= current


@each_call
def test_only_declared_query_parameters_are_sent_with_values_that_fit(definition, call):
    known = parameters(definition, call, "query")
    assert set(call.params) <= set(known)
    for name, parameter in known.items():
        assert not parameter.get("required") or name in call.params
        assert not parameter.get("deprecated") or name not in call.params
        schema = parameter.get("schema", {})
        if name in call.params and schema.get("type") == "integer":
            assert schema.get("minimum", 1) <= int(call.params[name]) <= schema.get("maximum", 1000)
        elif name in call.params and schema.get("format") == "date-time":
            assert definition_module.is_time(call.params[name])


@each_call
def test_no_header_is_required_that_is_not_sent(definition, call):
    for name, header in parameters(definition, call, "header").items():
        assert name == "Accept" or not header.get("required"), name


@each_call
def test_a_body_is_valid(definition, call):
    path, operation = declared(definition, call)
    validator = definition.body(call.method.lower(), path)
    if call.body is None:
        assert not operation.get("requestBody", {}).get("required")
        assert call.method in {"GET", "DELETE"}
    elif validator is None:  # none is declared; an empty one carries the Content-Type that POST has to have
        assert call.body == {}
    else:
        validator.validate(call.body)
        declared_fields = set(definition.properties(call.method.lower(), path))
        assert set(call.body) <= declared_fields | UNDECLARED.get(path, set())


@each_call
def test_a_call_that_changes_something_has_a_body_in_json(definition, call):
    if call.method in {"POST", "PATCH"}:
        _, operation = declared(definition, call)
        content = operation.get("requestBody", {}).get("content", {"application/json": {}})
        assert any(kind.startswith("application/json") for kind in content)
        assert call.body is not None


class Reading(dict):
    """A JSON object that remembers which of its fields were read."""

    def __init__(self, **values):
        super().__init__(values)
        self.names = set()

    def get(self, name, default=None):
        self.names.add(name)
        return super().get(name, default)


def fields_of(schema, components):
    """The declared fields of an object, through references and the ways to say that it may be null."""
    if "$ref" in schema:
        schema = components["schemas"][schema["$ref"].rpartition("/")[2]]
    found = dict(schema.get("properties", {}))
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found |= fields_of(part, components)
    if "items" in schema:
        found |= fields_of(schema["items"], components)
    return found


@each_call
def test_each_field_that_is_read_of_an_answer_is_declared(definition, call):
    path, operation = declared(definition, call)
    status = 200 if "200" in operation["responses"] else 201
    schema = definition.answer(call.method.lower(), path, status).schema
    components = schema["components"]
    data = fields_of(schema, components).get("data", {})
    known = fields_of(data, components)
    if "items" in known:
        known = fields_of(known["items"], components)
        is_word = known.get("status", {}).get("type") == "string"
        item = Reading(id="x", sync_id="x", status="x" if is_word or "sync_id" in known else Reading())
        call.read({"items": [item]})
    else:
        is_word = known.get("status", {}).get("type") == "string"
        item = Reading(id="x", **({"status": "x"} if is_word else {}))
        if "properties" in known.get("status", {}) or "$ref" in known.get("status", {}):
            item["status"] = Reading()
        if "connect_card" in known:
            item["connect_card"] = {"uri": "x"}
        call.read(item)
    assert item.names <= set(known) | UNDECLARED.get(path, set())
    status = item.get("status")
    if isinstance(status, Reading) and status.names:
        assert status.names <= set(fields_of(known["status"], components))
