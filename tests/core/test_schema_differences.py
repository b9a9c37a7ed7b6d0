"""What differs between a schema configuration and a description, in words, and the request that mends it."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.core import schema_differences
from airflow_provider_fivetran.core.schema_config import SourceColumn
from airflow_provider_fivetran.core.schema_description import read_description, read_earlier
from airflow_provider_fivetran.core.schema_differences import (
    body_of,
    differences,
    without_others,
)
from schemas import column, config, locked, table

SHOP = config(
    off=("old",),
    shop={
        "orders": table(),
        "customers": table(columns={"email": column(hashed=True), "fax": column(False)}),
        "logs": table(False),
        "system": table(False, **locked("SYSTEM_TABLE")),
        "always": table(**locked("OTHER", "it is needed")),
        "gone": table(False, **locked("DELETED")),
        "plain": table(sync_mode=None, supports_columns_config=False),
        "simple": table(supports_history_mode=False),
    },
    old={"t": table()},
)
ALL = dict.fromkeys(("orders", "customers", "always", "plain", "simple"), True) | {
    "logs": False,
    "system": False,
}


def shop(**tables):
    """A description of these tables and, as they are, of all others."""
    return read_description({"shop": {"tables": ALL | tables}, "old": False})


def told(description, before=False, now=SHOP):
    return [one.in_words(before=before) for one in differences(now, description)]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        pytest.param({}, [], id="all is as described"),
        pytest.param(
            {"orders": False}, ["the table 'orders' in 'shop' is enabled, and should not be"], id="enabled"
        ),
        pytest.param(
            {"logs": True}, ["the table 'logs' in 'shop' is not enabled, and should be"], id="not enabled"
        ),
        pytest.param(
            {"orders": {"sync_mode": "HISTORY"}},
            ["the sync_mode of the table 'orders' in 'shop' is SOFT_DELETE, and should be HISTORY"],
            id="sync mode",
        ),
        pytest.param({"orders": {"sync_mode": "SOFT_DELETE"}}, [], id="the sync mode that it has"),
        pytest.param(
            {"customers": {"columns": {"email": {"hashed": False}}}},
            ["the column 'email' of 'customers' in 'shop' is hashed, and should not be"],
            id="hashed",
        ),
        pytest.param(
            {"customers": {"columns": {"name": {"hashed": True}}}},
            ["the column 'name' of 'customers' in 'shop' is not hashed, and should be"],
            id="a column that nobody touched is not hashed",
        ),
        pytest.param({"customers": {"columns": {"name": True, "fax": False}}}, [], id="and it is enabled"),
        pytest.param(
            {"system": True},
            [
                (
                    "the table 'system' in 'shop' is not enabled, and should be, but Fivetran does not let it be changed: "
                    "it is a system table"
                )
            ],
            id="a locked table",
        ),
        pytest.param(
            {"always": False},
            [
                (
                    "the table 'always' in 'shop' is enabled, and should not be, but Fivetran does not let it be changed: "
                    "it is needed"
                )
            ],
            id="a locked table with a reason of its own",
        ),
        pytest.param(
            {"plain": {"sync_mode": "LIVE", "columns": {"x": {"hashed": True}}}},
            [
                (
                    "the sync_mode of the table 'plain' in 'shop' is not set, and should be LIVE, but Fivetran does not let "
                    "it be changed: this connection cannot switch the sync mode of this table"
                ),
                (
                    "the column 'x' of 'plain' in 'shop' is not hashed, and should be, but Fivetran does not let it be "
                    "changed: the columns of this table cannot be configured"
                ),
            ],
            id="neither sync mode nor columns",
        ),
        pytest.param(
            {"simple": {"sync_mode": "HISTORY"}},
            [
                (
                    "the sync_mode of the table 'simple' in 'shop' is SOFT_DELETE, and should be HISTORY, but Fivetran does "
                    "not let it be changed: this table does not support HISTORY"
                )
            ],
            id="no history",
        ),
        pytest.param(
            {"Orders": True},
            ["there is no table 'Orders' in 'shop' (did you mean 'orders'?)"],
            id="another case",
        ),
        pytest.param(
            {"gone": True},
            ["there is no table 'gone' in 'shop': it was deleted in the source"],
            id="deleted in the source",
        ),
    ],
)
def test_what_is_said_of_tables(tables, said):
    assert told(shop(**tables)) == said


def test_what_is_said_of_schemas_and_of_the_connection():
    description = read_description({"shop": False, "Old": True}, "BLOCK_ALL")
    assert told(description) == [
        "the schema_change_handling is ALLOW_ALL, and should be BLOCK_ALL",
        "the schema 'shop' is enabled, and should not be",
        "the schema 'old' is not described, and not enabled",
        "there is no schema 'Old' (did you mean 'old'?)",
    ]


def test_what_is_not_described_is_new_unless_nobody_could_have_it():
    assert told(read_description({"shop": ["orders"], "old": False})) == [
        "the table 'customers' in 'shop' is not described, and enabled",
        "the table 'logs' in 'shop' is not described, and not enabled",
        "the table 'always' in 'shop' is not described, and enabled (it is needed)",
        "the table 'plain' in 'shop' is not described, and enabled",
        "the table 'simple' in 'shop' is not described, and enabled",
    ]


def test_of_a_schema_whose_tables_are_not_described_none_is_new():
    assert told(read_description({"shop": True, "old": False})) == []


COLUMNS = (
    SourceColumn(source_name="id", name="id", enabled=True),
    SourceColumn(source_name="email", name="email", enabled=True),
)


def test_columns_are_new_or_missing_only_where_all_are_known():
    known = SHOP.with_columns("shop", "orders", COLUMNS)
    described = {"columns": {"id": True, "mail": {"hashed": True}}}
    assert told(shop(orders=described), now=known) == [
        "there is no column 'mail' of 'orders' in 'shop' (did you mean 'email'?)"
    ]
    described = {"columns": ["id"], "all_columns": True}
    assert told(shop(orders=described), now=known) == [
        "the column 'email' of 'orders' in 'shop' is not described, and enabled"
    ]
    assert told(shop(orders=described)) == []


def test_what_changed_since_an_earlier_look():
    before = config(
        shop={
            "orders": table(),
            "customers": table(columns={"email": column(hashed=True)}),
            "logs": table(),
            "sold": table(),
        },
        gone={},
    )
    after = config(
        "BLOCK_ALL",
        shop={
            "orders": table(sync_mode="HISTORY", columns={"note": column(False)}),
            "customers": table(),
            "logs": table(False),
            "fresh": table(False),
            "sold": table(False, **locked("DELETED")),
        },
    )
    assert told(read_earlier(before.to_json()), before=True, now=after) == [
        "the schema_change_handling is BLOCK_ALL, and was ALLOW_ALL before",
        "the sync_mode of the table 'orders' in 'shop' is HISTORY, and was SOFT_DELETE before",
        "the column 'note' of 'orders' in 'shop' is not enabled, and was before",
        "the column 'email' of 'customers' in 'shop' is not hashed, and was before",
        "the table 'logs' in 'shop' is not enabled, and was before",
        "the table 'fresh' in 'shop' is new, and not enabled",
        "there is no table 'sold' in 'shop' any more: it was deleted in the source",
        "there is no schema 'gone' any more",
    ]


def test_columns_that_were_all_read_before_show_which_are_new_and_which_are_gone():
    before = SHOP.with_columns("shop", "orders", COLUMNS)
    changed = (COLUMNS[0], SourceColumn(source_name="phone", name="phone", enabled=False))
    after = SHOP.with_columns("shop", "orders", changed)
    assert told(read_earlier(before.to_json()), before=True, now=after) == [
        "there is no column 'email' of 'orders' in 'shop' any more",
        "the column 'phone' of 'orders' in 'shop' is new, and not enabled",
    ]


def test_a_difference_as_json_has_its_words_and_no_empty_fields():
    [one] = differences(SHOP, shop(orders=False))
    assert one.to_json() == {
        "kind": "changed",
        "part": "table",
        "schema": "shop",
        "table": "orders",
        "field": "enabled",
        "wanted": False,
        "found": True,
        "text": "the table 'orders' in 'shop' is enabled, and should not be",
    }


class TestTheRequest:
    def body(self, description, *, disable=False):
        return body_of(SHOP, without_others(differences(SHOP, description), disable=disable))

    def test_names_only_what_changes_and_says_of_all_on_the_way_what_it_is(self):
        assert self.body(shop(customers={"columns": {"email": False, "name": {"hashed": True}}})) == {
            "schemas": {
                "shop": {
                    "enabled": True,
                    "tables": {
                        "customers": {
                            "enabled": True,
                            "columns": {
                                "email": {"enabled": False},
                                "name": {"enabled": True, "hashed": True},
                            },
                        }
                    },
                }
            }
        }

    def test_several_changes_of_one_table_are_one_entry(self):
        change = {"enabled": True, "sync_mode": "HISTORY"}
        assert self.body(shop(logs=change))["schemas"]["shop"]["tables"] == {"logs": change}

    def test_a_table_of_a_disabled_schema_leaves_the_schema_disabled(self):
        description = read_description({"old": {"tables": {"t": False}}, "shop": True}, "BLOCK_ALL")
        assert self.body(description) == {
            "schema_change_handling": "BLOCK_ALL",
            "schemas": {"old": {"enabled": False, "tables": {"t": {"enabled": False}}}},
        }

    def test_others_are_left_or_disabled_where_they_can_be(self):
        description = read_description({"shop": ["orders"]})
        assert self.body(description) == {}
        assert self.body(description, disable=True) == {
            "schemas": {
                "shop": {
                    "enabled": True,
                    "tables": {name: {"enabled": False} for name in ("customers", "plain", "simple")},
                }
            }
        }

    def test_another_schema_is_disabled_as_a_whole(self):
        now = config(a={"t": table()}, b={"t": table()})
        found = without_others(differences(now, read_description({"a": True})), disable=True)
        assert body_of(now, found) == {"schemas": {"b": {"enabled": False}}}


class Name(str):
    """A name that counts how often names are compared."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Name.compared += 1
        return str.__eq__(self, other)


def test_each_of_very_many_tables_is_found_without_looking_through_all_of_them():
    shop = {Name(f"t{number}"): table() for number in range(1000)}
    present = config(shop=shop)
    described = {str(name): {"enabled": False, "columns": {"x": False}} for name in shop}
    Name.compared = 0
    found = [*differences(present, read_description({"shop": {"tables": described}}))]
    body = body_of(present, found)
    assert len(body["schemas"]["shop"]["tables"]) == 1000
    assert Name.compared < 20_000


def test_what_may_be_meant_is_looked_for_only_of_the_first_names_that_are_missing(monkeypatch):
    looked = []
    monkeypatch.setattr(
        schema_differences, "hint", lambda name, _: looked.append(name) or " (did you mean it?)"
    )
    now = config(shop={f"fresh_{number}": table() for number in range(100)})
    was = config(shop={f"stale_{number}": table() for number in range(100)})
    missing = [one for one in differences(now, read_earlier(was.to_json())) if one.kind == "missing"]
    assert len(missing) == 100
    assert looked == [f"stale_{number}" for number in range(20)]
    assert [bool(one.obstacle) for one in missing] == [True] * 20 + [False] * 80
