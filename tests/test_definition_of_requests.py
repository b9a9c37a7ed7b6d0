"""Every request that this provider can send is one that Fivetran's own definition of its API allows."""

from __future__ import annotations

import importlib.util
import inspect
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_fivetran.core import endpoints, schema_endpoints

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
# The definition that the tests use leaves out what differs by service, and so this.
UNDECLARED = {
    "/v1/destinations/{destinationId}": {"config"},
    "/v1/transformations": {"transformation_config"},
    "/v1/transformations/{transformationId}": {"transformation_config"},
}
CALLS = [call for calls in MADE.values() for call in calls]
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


def test_no_call_is_left_unchecked():
    made = {
        name
        for module in (endpoints, schema_endpoints)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert made == set(MADE) == {*endpoints.__all__, *schema_endpoints.__all__}


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
    path, _ = declared(definition, call)
    schema = definition.answer(call.method.lower(), path, 200).schema
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
