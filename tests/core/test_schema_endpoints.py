"""Every URL of the schema configuration, and that no name leads out of its place in it."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.core import schema_endpoints as e
from airflow_provider_fivetran.core.protocol import Credentials, Settings

ON = {"enabled": True}
PATH = "/v1/connections/c/schemas"
CALLS = [
    (e.get_schema_config("c"), "GET", PATH, None, True),
    (e.get_table_columns("c", "s", "t"), "GET", f"{PATH}/s/tables/t/columns", None, True),
    (e.prepare_schema_config("c", {"schemas": {}}), "POST", PATH, {"schemas": {}}, True),
    (e.change_schema_config("c", {"schemas": {}}), "PATCH", PATH, {"schemas": {}}, True),
    (e.change_source_schema("c", "s", ON), "PATCH", f"{PATH}/s", ON, True),
    (e.change_source_table("c", "s", "t", ON), "PATCH", f"{PATH}/s/tables/t", ON, True),
    (e.change_source_column("c", "s", "t", "x", ON), "PATCH", f"{PATH}/s/tables/t/columns/x", ON, True),
    (e.reload_schema_config("c"), "POST", f"{PATH}/reload", {"exclude_mode": "PRESERVE"}, False),
    (
        e.drop_columns("c", {"s": {"t": ("x",)}}),
        "POST",
        f"{PATH}/drop-columns",
        {"schemas": {"s": {"tables": {"t": {"columns": ["x"]}}}}},
        True,
    ),
]


@pytest.mark.parametrize(("call", "method", "path", "body", "safe"), CALLS, ids=[c[0].path for c in CALLS])
def test_each_call(call, method, path, body, safe):
    assert (call.method, call.path, call.body, call.safe) == (method, path, body, safe)
    assert call.connection_id == "c"


def test_a_reload_is_given_minutes_and_a_change_the_time_to_stop_a_sync():
    for timeout, change, reload in ((1.0, 75.0, 600.0), (90.0, 90.0, 600.0), (1000.0, 1000.0, 1000.0)):
        settings = Settings(credentials=Credentials.of("k", "s"), timeout=timeout)
        assert settings.limit_of(e.change_schema_config("c", {})) == change
        assert settings.limit_of(e.reload_schema_config("c")) == reload
        assert settings.limit_of(e.get_schema_config("c")) == timeout


@pytest.mark.parametrize("name", ["a/b", "../x", "a b", "a?x", "a#b", "ü", "a%2Fb", "a\r\nb", "Käse/.."])
def test_a_name_stays_one_part_of_the_path(name):
    for make in (
        lambda it: e.get_table_columns("c", it, it),
        lambda it: e.change_source_column("c", it, it, it, ON),
        lambda it: e.change_source_schema(it, it, ON),
    ):
        assert make(name).path.count("/") == make("x").path.count("/")
        assert "?" not in make(name).path
        assert "#" not in make(name).path


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_would_be_another_path_is_refused(name):
    with pytest.raises(ValueError, match="cannot be an id"):
        e.change_source_table("c", "s", name, ON)
