"""The metadata of a type: what is wrong with a description is told with its field, and values get their types."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.core.connector_types import ConnectorType
from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.secret import Secret

KIND = ConnectorType.from_json(
    {
        "id": "shop",
        "name": "Shop",
        "type": "API",
        "config": {
            "type": "object",
            "required": ["schema"],
            "properties": {
                "schema": {"type": "string"},
                "port": {"type": "integer"},
                "ratio": {"type": "number"},
                "tls": {"type": "boolean"},
                "mode": {"type": "object", "enum": ["FAST", "SLOW"]},
                "key": {"type": "string", "format": "password"},
                "id": {"type": "string", "readonly": True},
                "accounts": {"type": "array", "items": {"type": "string"}},
                "reports": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["table"],
                        "properties": {
                            "table": {"type": "string"},
                            "kind": {"type": "string", "enum": ["A"]},
                        },
                    },
                },
                "free": {"type": "object"},
                "newer": {"type": "vector"},
            },
        },
        "auth": {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}},
    }
)


def fit(config, *, auth=None, for_creation=False):
    fitted, mistakes = KIND.fit({"config": config, "auth": auth or {}}, for_creation=for_creation)
    return fitted["config"], mistakes


@pytest.mark.parametrize(
    ("value", "fitted"),
    [
        ({"schema": 5}, {"schema": "5"}),
        ({"port": "5432"}, {"port": 5432}),
        ({"ratio": "0.5"}, {"ratio": 0.5}),
        ({"tls": " FALSE "}, {"tls": False}),
        ({"mode": "FAST"}, {"mode": "FAST"}),
        ({"accounts": [1, "b"]}, {"accounts": ["1", "b"]}),
        ({"reports": ({"table": "t", "kind": "A"},)}, {"reports": [{"table": "t", "kind": "A"}]}),
        ({"free": {"anything": [1]}}, {"free": {"anything": [1]}}),
        ({"newer": object}, {"newer": object}),
        ({"port": None}, {"port": None}),
    ],
    ids=str,
)
def test_a_value_that_fits_gets_its_type(value, fitted):
    assert fit(value) == (fitted, [])


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ({"prot": 1}, "config.prot does not exist (did you mean 'port'?)"),
        ({"xyz": 1}, "config.xyz does not exist"),
        ({"port": True}, "config.port is True; allowed is a whole number"),
        ({"port": 1.5}, "config.port is 1.5; allowed is a whole number"),
        ({"ratio": "half"}, "config.ratio is 'half'; allowed is a number"),
        ({"tls": 1}, "config.tls is 1; allowed is true or false"),
        ({"schema": ["s"]}, "config.schema is ['s']; allowed is a text"),
        ({"mode": "fast"}, "config.mode is 'fast'; allowed are 'FAST', 'SLOW'"),
        ({"id": "x"}, "config.id is set by Fivetran alone"),
        ({"accounts": "a,b"}, "config.accounts is 'a,b'; allowed is a list"),
        ({"reports": [{"table": "t"}, {"kind": "B"}]}, "config.reports.1.table is required"),
        ({"reports": [{"table": "t", "kind": "B"}]}, "config.reports.0.kind is 'B'; allowed are 'A'"),
        ({"free": "text"}, "config.free is 'text'; allowed is an object with fields"),
        ({"port": Secret("needle")}, "config.port is '***'; allowed is a whole number"),
    ],
    ids=str,
)
def test_a_mistake_is_told_with_its_field(value, mistake):
    assert mistake in fit(value)[1]


def test_what_is_required_has_to_be_there_when_it_is_made():
    assert fit({}, for_creation=True)[1] == ["config.schema is required"]
    assert fit({"schema": "s"}, auth={"token": None}, for_creation=True)[1] == ["auth.token is required"]
    assert fit({"schema": "s"}, for_creation=True)[1] == []  # the auth section may be left to a Connect Card
    assert fit({"port": 1})[1] == []


def test_of_a_type_whose_fields_are_not_told_nothing_is_judged():
    bare = ConnectorType.from_json({"id": "new", "name": "New", "type": "API"})
    given = {"config": {"anything": 1}, "auth": {}}
    assert bare.fit(given, for_creation=True) == (given, [])
    assert bare.named("shop") == {"schema": "shop"}


@pytest.mark.parametrize(
    ("fields", "name", "naming"),
    [
        (["schema_prefix"], "shop", {"schema_prefix": "shop"}),
        (["schema"], "shop", {"schema": "shop"}),
        (["schema", "table"], "shop.orders", {"schema": "shop", "table": "orders"}),
        (["schema"], "shop.orders", {"schema": "shop.orders"}),
    ],
)
def test_the_fields_that_name_a_connection_depend_on_its_type(fields, name, naming):
    properties = {field: {"type": "string"} for field in fields}
    kind = ConnectorType.from_json({"id": "x", "name": "X", "config": {"properties": properties}})
    assert kind.named(name) == naming


def test_secrets_are_those_that_are_declared_as_such():
    assert list(KIND.config.secrets("config")) == ["config.key"]
    secret = {"type": "string", "format": "password"}
    rows = {"type": "array", "items": {"type": "object", "properties": {"value": secret}}}
    lists = {"rows": rows, "keys": {"type": "array", "items": secret}}
    kind = ConnectorType.from_json({"id": "x", "config": {"properties": lists}})
    assert list(kind.config.secrets("config")) == ["config.rows.value", "config.keys"]


def test_metadata_that_is_none_is_an_answer_that_cannot_be_read():
    with pytest.raises(FivetranUnexpectedAnswer, match="'config'"):
        ConnectorType.from_json({"id": "x", "config": ["host"]})
