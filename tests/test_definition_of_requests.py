"""Every request that this provider can send is one that Fivetran's own definition of its API allows."""

from __future__ import annotations

import importlib.util
import inspect
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_fivetran.core import account_endpoints, endpoints
from airflow_provider_fivetran.core.system_keys import Permission

spec = importlib.util.spec_from_file_location(
    "definition", Path(__file__).parent / "simulator" / "definition.py"
)
definition_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(definition_module)

NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)
WEBHOOK = {"url": "https://x.example", "events": ["sync_end"], "active": True, "secret": "s"}
MADE = {
    "get_account": [endpoints.get_account()],
    "get_connection": [endpoints.get_connection("c")],
    "list_connections": [
        endpoints.list_connections(),
        endpoints.list_connections(group_id="g"),
        endpoints.list_connections(schema="s"),
        endpoints.list_connections(group_id="g", schema="s"),
    ],
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
    "run_setup_tests": [endpoints.run_setup_tests("c")],
    "get_sync_history": [endpoints.get_sync_history("c", since=NOW - timedelta(days=1), until=NOW)],
    "get_schema_config": [endpoints.get_schema_config("c")],
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
account = account_endpoints
EACH_MEMBERSHIP = [
    (whose, "x", within) for whose in ("users", "teams") for within in ("groups", "connections")
]
PERMISSIONS = [
    Permission(resource_type="CONNECTOR", access_level="MANAGE", group_ids=("g",)).to_json(),
    Permission(resource_type="DESTINATION", access_level="READ", ids=("d",)).to_json(),
    Permission(resource_type="TRANSFORMATION", access_level="NONE").to_json(),
]
MADE_OF_THE_ACCOUNT = {
    "create_group": [account.create_group("Warehouse")],
    "change_group": [account.change_group("g", "Warehouse")],
    "delete_group": [account.delete_group("g")],
    "list_group_users": [account.list_group_users("g"), account.list_group_users("g", active=True)],
    "add_user_to_group": [account.add_user_to_group("g", email="a@b.example", role="View Destination")],
    "remove_user_from_group": [account.remove_user_from_group("g", "u")],
    "list_users": [account.list_users(), account.list_users(active=False)],
    "get_user": [account.get_user("u")],
    "create_user": [
        account.create_user({"email": "a@b.example", "given_name": "A", "family_name": "B"}),
        account.create_user(
            {"email": "a@b.example", "given_name": "A", "family_name": "B", "role": "R", "phone": "1"}
        ),
    ],
    "change_user": [
        account.change_user(
            "u", {"given_name": "A", "family_name": "B", "role": "R", "phone": "1", "picture": "p"}
        )
    ],
    "delete_user": [account.delete_user("u")],
    "list_teams": [account.list_teams()],
    "get_team": [account.get_team("t")],
    "create_team": [account.create_team({"name": "T", "role": "R", "description": "d"})],
    "change_team": [account.change_team("t", {"name": "T", "role": "R", "description": "d"})],
    "delete_team": [account.delete_team("t")],
    "list_team_members": [account.list_team_members("t"), account.list_team_members("t", active=True)],
    "get_team_member": [account.get_team_member("t", "u")],
    "add_team_member": [account.add_team_member("t", "u", "Team Member")],
    "change_team_member": [account.change_team_member("t", "u", "Team Manager")],
    "remove_team_member": [account.remove_team_member("t", "u")],
    "list_memberships": [account.list_memberships(*place) for place in EACH_MEMBERSHIP],
    "get_membership": [account.get_membership(*place, "m") for place in EACH_MEMBERSHIP],
    "add_membership": [account.add_membership(*place, "m", "R") for place in EACH_MEMBERSHIP],
    "change_membership": [account.change_membership(*place, "m", "R") for place in EACH_MEMBERSHIP],
    "delete_membership": [account.delete_membership(*place, "m") for place in EACH_MEMBERSHIP],
    "remove_account_role": [account.remove_account_role(whose, "x") for whose in ("users", "teams")],
    "list_roles": [account.list_roles()],
    "list_system_keys": [account.list_system_keys()],
    "get_system_key": [account.get_system_key("k")],
    "create_system_key": [
        account.create_system_key({"name": "k", "expiration_period": period, "permissions": PERMISSIONS})
        for period in ("INFINITE", "ONE_WEEK", "ONE_MONTH", "THREE_MONTHS", "SIX_MONTHS")
    ],
    "change_system_key": [account.change_system_key("k", {"name": "n", "permissions": PERMISSIONS})],
    "rotate_system_key": [account.rotate_system_key("k", "SIX_MONTHS")],
    "delete_system_key": [account.delete_system_key("k")],
}
# The definition that the tests use leaves out what differs by service, and so this.
UNDECLARED = {
    "/v1/destinations/{destinationId}": {"config"},
    "/v1/transformations": {"transformation_config"},
    "/v1/transformations/{transformationId}": {"transformation_config"},
}
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


@pytest.mark.parametrize(("module", "checked"), [(endpoints, MADE), (account, MADE_OF_THE_ACCOUNT)])
def test_no_call_is_left_unchecked(module, checked):
    made = {
        name
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert made == set(checked) == set(module.__all__)


@each_call
def test_a_call_is_declared_and_not_on_its_way_out(definition, call):
    path, operation = declared(definition, call)
    assert not operation.get("deprecated")
    assert "connectors" not in path
    assert not path.endswith("/force")


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
        assert set(call.body) <= set(definition.properties(call.method.lower(), path))


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
        call.read(item)
    assert item.names <= set(known) | UNDECLARED.get(path, set())
    status = item.get("status")
    if isinstance(status, Reading) and status.names:
        assert status.names <= set(fields_of(known["status"], components))
