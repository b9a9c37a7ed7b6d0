"""The simulated schema configuration: what a sync or a reload learns of the source, and what can be changed."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.simulator import SyncPlan

ON, OFF = {"enabled": True}, {"enabled": False}
PATH = "/v1/connections/c/schemas"
SHOP = {"shop": {"orders": ["id", "email"], "logs": ["id"]}}


@pytest.fixture
def shop(sim):
    sim.add_connection("c", schema="shop", source_tables=SHOP, default_plan=SyncPlan(duration=1))
    return sim


def tables(api, schema="shop"):
    return api.get(PATH).json()["data"]["schemas"][schema]["tables"]


def patch(api, body, path=""):
    return api.session.request("PATCH", api.url + PATH + path, json=body, timeout=10)


def handling(api, word):
    assert patch(api, {"schema_change_handling": word}).ok


def reload(api, **body):
    return api.post(f"{PATH}/reload", body)


def columns(api, table="orders"):
    return api.get(f"{PATH}/shop/tables/{table}/columns").json()["data"]["columns"]


def test_columns_that_nobody_touched_are_shown_only_when_asked_for(shop, api):
    assert tables(api)["orders"]["columns"] == {}
    assert list(columns(api)) == ["id", "email"]
    patch(api, {"enabled": True, "hashed": True}, "/shop/tables/orders/columns/email")
    assert tables(api)["orders"]["columns"]["email"]["hashed"] is True
    assert columns(api)["email"]["hashed"] is True


@pytest.mark.parametrize("learn", ["reload", "sync"])
@pytest.mark.parametrize(
    ("word", "table", "column"),
    [("ALLOW_ALL", True, True), ("ALLOW_COLUMNS", False, True), ("BLOCK_ALL", False, False)],
)
def test_what_is_new_is_learned_later_and_taken_as_the_handling_says(shop, api, word, table, column, learn):
    handling(api, word)
    shop.set_source("c", {"shop": {"orders": ["id", "email", "phone"], "logs": ["id"], "fresh": ["id"]}})
    assert "fresh" not in tables(api)
    assert "phone" in columns(api)
    if learn == "reload":
        assert reload(api).ok
    else:
        shop.start_sync("c")
        shop.clock.advance(1)
    assert tables(api)["fresh"]["enabled"] is table
    assert columns(api)["phone"]["enabled"] is column


def test_a_table_that_is_gone_is_locked_and_comes_back(shop, api):
    shop.set_source("c", {"shop": {"orders": ["id"]}})
    reload(api)
    assert tables(api)["logs"]["enabled_patch_settings"] == {"allowed": False, "reason_code": "DELETED"}
    shop.set_source("c", SHOP)
    reload(api)
    assert tables(api)["logs"]["enabled_patch_settings"] == {"allowed": True}


@pytest.mark.parametrize(("mode", "enabled"), [("PRESERVE", False), ("INCLUDE", True), ("EXCLUDE", False)])
def test_a_reload_keeps_or_sets_what_is_enabled(shop, api, mode, enabled):
    patch(api, OFF, "/shop/tables/logs")
    assert reload(api, exclude_mode=mode).ok
    assert tables(api)["logs"]["enabled"] is enabled
    assert tables(api)["orders"]["enabled"] is (mode != "EXCLUDE")


def test_a_change_is_made_in_each_way(shop, api):
    body = {
        "schemas": {
            "shop": {"enabled": True, "tables": {"orders": {"enabled": True, "sync_mode": "HISTORY"}}}
        }
    }
    assert patch(api, body).ok
    assert patch(api, OFF, "/shop/tables/logs").ok
    assert {name: (one["enabled"], one["sync_mode"]) for name, one in tables(api).items()} == {
        "orders": (True, "HISTORY"),
        "logs": (False, "SOFT_DELETE"),
    }
    assert patch(api, OFF, "/shop").ok
    assert api.get(PATH).json()["data"]["schemas"]["shop"]["enabled"] is False


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("", {"schemas": {"Shop": ON}}, 404),
        ("/Shop", ON, 404),
        ("/shop/tables/Orders", ON, 404),
        ("/shop/tables/orders/columns/fax", ON, 404),
        ("/shop/tables/orders/columns/id", OFF, 400),
        ("/shop/tables/logs", {"enabled": True, "sync_mode": "NEVER"}, 400),
        ("/shop", {}, 400),
        ("", {"schemas": {"shop": {}}}, 400),
        ("", {"schema_change_handling": "NO"}, 400),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(shop, api, path, body, status):
    before = api.get(PATH).json()
    assert patch(api, body, path).status_code == status
    assert api.get(PATH).json() == before


def test_a_change_with_one_mistake_changes_nothing(shop, api):
    body = {"schemas": {"shop": {"enabled": False, "tables": {"logs": OFF, "none": OFF}}}}
    assert patch(api, body).status_code == 404
    assert tables(api)["logs"]["enabled"] is True
    assert api.get(PATH).json()["data"]["schemas"]["shop"]["enabled"] is True


def test_a_locked_table_keeps_its_state(shop, api):
    shop.account.connection("c").source.table("shop", "logs").lock = "SYSTEM_TABLE"
    assert patch(api, OFF, "/shop/tables/logs").status_code == 400
    assert patch(api, ON, "/shop/tables/logs").ok


def test_a_disabled_column_can_be_dropped_and_no_other(shop, api):
    body = {"schemas": {"shop": {"tables": {"orders": {"columns": ["email"]}}}}}
    assert api.post(f"{PATH}/drop-columns", body).status_code == 409
    patch(api, OFF, "/shop/tables/orders/columns/email")
    assert api.post(f"{PATH}/drop-columns", body).ok


class TestBeforeTheFirstSync:
    @pytest.fixture
    def new(self, sim):
        sim.add_connection(
            "c", schema="shop", source_tables=SHOP, schema_captured=False, default_plan=SyncPlan(duration=1)
        )
        return sim

    @pytest.mark.parametrize("path", ["", "/shop/tables/orders/columns"])
    def test_there_is_nothing_to_read(self, new, api, path):
        assert api.get(PATH + path).json()["code"] == "NotFound_SchemaConfig"

    def test_there_is_nothing_to_change(self, new, api):
        assert patch(api, OFF, "/shop").json()["code"] == "NotFound_SchemaConfig"

    def test_a_reload_reads_it(self, new, api):
        assert set(reload(api).json()["data"]["schemas"]["shop"]["tables"]) == {"orders", "logs"}
        assert set(tables(api)) == {"orders", "logs"}

    def test_a_reload_may_show_nothing(self, new, api):
        new.switches.reload_shows_schemas = False
        assert reload(api).json()["data"] == {}
        assert set(tables(api)) == {"orders", "logs"}

    def test_a_reload_needs_a_setup_that_works(self, new, api):
        new.break_setup("c")
        assert reload(api).status_code == 400

    def test_settings_are_kept_for_the_first_sync(self, new, api):
        column = {"email": {"enabled": True, "hashed": True}, "id": OFF, "none": OFF}
        orders = {"enabled": True, "columns": column}
        body = {
            "schemas": {"shop": {"enabled": True, "tables": {"orders": orders, "logs": OFF, "none": OFF}}},
            "schema_change_handling": "BLOCK_ALL",
        }
        shown = api.post(PATH, body).json()["data"]
        assert shown["schemas"]["shop"]["tables"]["logs"]["enabled"] is False
        new.start_sync("c")
        new.clock.advance(1)
        assert {name: one["enabled"] for name, one in tables(api).items()} == {"orders": True, "logs": False}
        assert columns(api)["email"]["hashed"] is True
        assert columns(api)["id"]["enabled"] is True  # what cannot be excluded is ignored
        assert api.get(PATH).json()["data"]["schema_change_handling"] == "BLOCK_ALL"

    def test_settings_are_for_connections_without_a_schema_only(self, shop, api):
        assert api.post(PATH, {"schemas": {}}).status_code == 409


def test_a_change_may_be_only_said(shop, api):
    shop.switches.schema_changes_take_effect = False
    assert patch(api, OFF, "/shop/tables/logs").ok
    assert tables(api)["logs"]["enabled"] is True


def test_a_sync_that_cannot_be_stopped_is_in_the_way(shop, api):
    shop.start_sync("c")
    shop.switches.stop_fails = True
    assert patch(api, OFF, "/shop").status_code == 409
    shop.clock.advance(1)
    assert patch(api, OFF, "/shop").ok


def test_the_source_is_set_from_outside(shop, api):
    url = f"{shop.url}/_control/connections/c/source"
    assert api.session.post(url, json={"shop": {"fresh": ["id"]}}, timeout=10).ok
    reload(api)
    assert tables(api)["fresh"]["enabled"] is True
    assert api.session.post(url, json={"shop": ["fresh"]}, timeout=10).status_code == 400


def test_a_source_is_described_with_its_connection(sim, api):
    body = {"id": "c", "schema": "shop", "source_tables": SHOP}
    assert api.session.post(f"{sim.url}/_control/connections", json=body, timeout=10).ok
    assert list(columns(api)) == ["id", "email"]
    wrong = {"id": "d", "source_tables": {"shop": {"orders": "id"}}}
    assert api.session.post(f"{sim.url}/_control/connections", json=wrong, timeout=10).status_code == 400
