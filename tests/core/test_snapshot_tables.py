"""The tables of a snapshot: read from rows as Fivetran's definition has them, and described for whoever queries them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.snapshot_tables import COLUMNS, LARGEST, TABLES, read_row

PAGE = Path(__file__).parents[2] / "docs" / "snapshot.md"
LISTED = ("users", "groups", "destinations", "transformations", "connections")
COLUMNS_READ = [(table, column) for table in LISTED for column in COLUMNS[table]]
# The definition that the tests use leaves this out, since it differs by type.
UNDECLARED = "transformation_config"


def declared(schema, components):
    """The declared fields of an object."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        found |= declared(part, components)
    if "items" in schema:
        found |= declared(schema["items"], components)
    return found


@pytest.mark.parametrize(
    ("table", "column"), COLUMNS_READ, ids=[f"{table}.{column.name}" for table, column in COLUMNS_READ]
)
def test_each_column_is_a_declared_field_of_its_list(fivetran_openapi, table, column):
    components = fivetran_openapi["components"]["schemas"]
    operation = fivetran_openapi["paths"][f"/v1/{table}"]["get"]
    [content] = operation["responses"]["200"]["content"].values()
    fields = declared(
        declared(declared(content["schema"], components)["data"], components)["items"], components
    )
    *outer, name = column.wire.split(".")
    if outer == [UNDECLARED]:
        assert UNDECLARED not in fields
        return
    for part in outer:
        fields = declared(fields[part], components)
    types = {
        "flag": {"boolean"},
        "integer": {"integer"},
        "number": {"number"},
        "text": {"string"},
        "moment": {"string"},
        "texts": {"array"},
    }
    assert column.kind == "json" or fields[name]["type"] in types[column.kind]
    assert (fields[name].get("format") == "date-time") == (column.kind == "moment")


def test_a_snapshot_has_these_tables_and_no_others():
    assert (*TABLES, "not_seen") == tuple(COLUMNS)


@pytest.mark.parametrize("table", COLUMNS)
def test_each_column_is_described_where_users_look(table):
    section = PAGE.read_text(encoding="utf-8").partition(f"### `{table}`\n")[2].partition("\n### ")[0]
    described = re.findall(r"^\| `(\w+)` \| (\w+) \| \S", section, re.MULTILINE)
    assert described == [(column.name, column.kind) for column in COLUMNS[table]]


def test_what_is_not_there_is_nothing_and_never_an_error():
    row = read_row("connections", {"id": "c"})
    assert row["succeeded_at"] is None
    assert row["is_paused"] is False
    assert row["tasks"] is None


def test_objects_are_kept_as_json():
    row = read_row(
        "connections",
        {"id": "c", "schedule": {"schedule_type": "CRON"}, "status": {"tasks": [{"code": "é"}]}},
    )
    assert json.loads(row["schedule"]) == {"schedule_type": "CRON"}
    assert row["tasks"] == '[{"code": "é"}]'


def test_the_configuration_of_a_source_is_left_out():
    secret = {"id": "c", "config": {"password": "needle"}, "connect_card": {"token": "needle"}}
    assert "needle" not in repr(read_row("connections", secret))
    assert "needle" not in repr(read_row("destinations", secret))


@pytest.mark.parametrize(
    ("field", "value"), [("id", None), ("id", 7), ("paused", "yes"), ("created_at", "soon"), ("status", [])]
)
def test_a_field_of_another_kind_is_named(field, value):
    with pytest.raises(FivetranUnexpectedAnswer, match=f"'{field}'"):
        read_row("connections", {"id": "c"} | {field: value})


@pytest.mark.parametrize("number", [LARGEST, -LARGEST, 360, 0])
def test_an_integer_is_read_as_it_is(number):
    assert read_row("connections", {"id": "c", "sync_frequency": number})["sync_frequency_minutes"] == number


@pytest.mark.parametrize("number", [2 * LARGEST, -(2**63), 1e300, 10**400])
def test_an_integer_that_no_file_takes_is_not_understood(number):
    with pytest.raises(
        FivetranUnexpectedAnswer, match="'sync_frequency' where a number of a sensible size is"
    ):
        read_row("connections", {"id": "c", "sync_frequency": number})
