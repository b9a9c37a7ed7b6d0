"""What people write about a schema configuration is read, or refused with the place and what is allowed there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core.schema_config import (
    SchemaConfig,
    SourceColumn,
    SourceSchema,
    SourceTable,
)
from airflow_provider_fivetran.core.schema_description import (
    DescribedColumn,
    DescribedSchema,
    DescribedTable,
    SchemaDescription,
    read_description,
    read_earlier,
)
from airflow_provider_fivetran.core.schema_differences import differences
from schemas import column, config, table

FULL = {
    "shop": {
        "enabled": True,
        "tables": {
            "orders": {"enabled": True, "sync_mode": "HISTORY"},
            "customers": {
                "columns": {"email": {"hashed": True}, "fax": False, "id": True},
                "all_columns": True,
            },
            "logs": False,
        },
    },
    "old": False,
    "web": ["a", "b"],
}
READ = SchemaDescription(
    schemas={
        "shop": DescribedSchema(
            enabled=True,
            tables={
                "orders": DescribedTable(enabled=True, sync_mode="HISTORY"),
                "customers": DescribedTable(
                    columns={
                        "email": DescribedColumn(hashed=True),
                        "fax": DescribedColumn(enabled=False),
                        "id": DescribedColumn(enabled=True),
                    },
                    has_all_columns=True,
                ),
                "logs": DescribedTable(enabled=False),
            },
        ),
        "old": DescribedSchema(enabled=False),
        "web": DescribedSchema(
            enabled=True, tables={"a": DescribedTable(enabled=True), "b": DescribedTable(enabled=True)}
        ),
    }
)


def test_short_and_long_forms_are_read():
    assert read_description(FULL) == READ


def test_json_text_is_read_the_same():
    assert read_description(json.dumps(FULL)) == READ


def test_the_handling_of_changes_can_be_all_that_is_described():
    assert read_description(None, "BLOCK_ALL") == SchemaDescription(change_handling="BLOCK_ALL")


def test_tables_as_a_list_leave_their_schema_as_it_is():
    assert read_description({"s": {"tables": ["a"]}}).schemas == {
        "s": DescribedSchema(tables={"a": DescribedTable(enabled=True)})
    }


def test_a_description_becomes_a_request_in_which_everything_says_whether_it_is_enabled():
    assert read_description(FULL, "ALLOW_COLUMNS").body() == {
        "schema_change_handling": "ALLOW_COLUMNS",
        "schemas": {
            "shop": {
                "enabled": True,
                "tables": {
                    "orders": {"enabled": True, "sync_mode": "HISTORY"},
                    "customers": {
                        "enabled": True,
                        "columns": {
                            "email": {"enabled": True, "hashed": True},
                            "fax": {"enabled": False},
                            "id": {"enabled": True},
                        },
                    },
                    "logs": {"enabled": False},
                },
            },
            "old": {"enabled": False, "tables": {}},
            "web": {"enabled": True, "tables": {"a": {"enabled": True}, "b": {"enabled": True}}},
        },
    }


@pytest.mark.parametrize(
    ("schemas", "said"),
    [
        (None, "nothing is described"),
        ({}, "nothing is described"),
        ("{}", "nothing is described"),
        ("None", "schemas is 'None'; allowed: a mapping, or one as JSON text; a template"),
        ("{'a': True}", "or one as JSON text"),
        (5, "schemas is 5; allowed: names with what each is to be"),
        ({"": True}, "schemas is {'': True}"),
        ({1: True}, "schemas is {1: True}"),
        ({"s": None}, r"schemas\['s'\] is None; allowed: True, False, or a mapping of 'enabled', 'tables'"),
        ({"s": "True"}, r"schemas\['s'\] is 'True'; allowed: True, False"),
        ({"s": {}}, r"schemas\['s'\] is {}"),
        ({"s": {"table": {}}}, r"schemas\['s'\] has 'table'; allowed are 'enabled', 'tables'"),
        ({"s": {"enabled": "no"}}, r"schemas\['s'\]\['enabled'\] is 'no'; allowed: True or False"),
        ({"s": {"enabled": 1}}, r"\['enabled'\] is 1; allowed: True or False"),
        ({"s": {"tables": "orders"}}, r"schemas\['s'\]\['tables'\] is 'orders'; allowed: names"),
        ({"s": ["orders", None]}, r"schemas\['s'\] is \['orders', None\]; allowed: names"),
        (
            {"s": []},
            r"schemas\['s'\] is \[\]; allowed: .*, at least one; of a schema whose tables .* True or False",
        ),
        ({"s": ()}, r"schemas\['s'\] is \(\); allowed: .*, at least one"),
        ({"s": {"tables": []}}, r"schemas\['s'\]\['tables'\] is \[\]; allowed: .*, at least one"),
        (
            {"s": {"tables": {"t": {"columns": []}}}},
            r"schemas\['s'\]\['tables'\]\['t'\]\['columns'\] is \[\]; allowed: .*, at least one",
        ),
        ({"s": {"tables": {"t": {"hashed": True}}}}, r"\['tables'\]\['t'\] has 'hashed'"),
        (
            {"s": {"tables": {"t": {"sync_mode": "history"}}}},
            r"\['t'\]\['sync_mode'\] is 'history'; allowed: 'SOFT_DELETE', 'HISTORY', 'LIVE'",
        ),
        (
            {"s": {"tables": {"t": {"columns": {"x": {"hash": True}}}}}},
            r"schemas\['s'\]\['tables'\]\['t'\]\['columns'\]\['x'\] has 'hash'; allowed are 'enabled', 'hashed'",
        ),
    ],
)
def test_what_is_no_description_is_refused_with_its_place(schemas, said):
    with pytest.raises(ValueError, match=said):
        read_description(schemas)


def test_a_wrong_handling_of_changes_is_refused():
    with pytest.raises(ValueError, match="schema_change_handling is 'BLOCK'; allowed: 'ALLOW_ALL'"):
        read_description(FULL, "BLOCK")


def test_a_very_long_wrong_value_is_cut():
    with pytest.raises(ValueError, match=r"\[\.\.\.\]; allowed") as raised:
        read_description("x" * 100_000)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("earlier", [5, "no", "null", {}, {"schemas": None}, {"schemas": {"s": 5}}])
def test_what_no_earlier_run_has_left_is_refused(earlier):
    with pytest.raises(ValueError, match="allowed"):
        read_earlier(earlier)


def test_a_word_of_fivetran_that_is_new_is_taken_from_an_earlier_run():
    now = config("SOME_NEW_WORD", s={"t": table(sync_mode="NEW_MODE")})
    assert list(differences(now, read_earlier(now.to_json()))) == []


names = st.text(min_size=1, max_size=5)
columns = st.builds(SourceColumn, source_name=names, name=names, enabled=st.booleans(), hashed=st.booleans())


def unlike(values):
    return st.lists(values, max_size=4, unique_by=lambda one: one.source_name).map(tuple)


tables = st.builds(
    SourceTable,
    source_name=names,
    name=names,
    enabled=st.booleans(),
    sync_mode=st.sampled_from([None, "SOFT_DELETE", "HISTORY"]),
    columns=unlike(columns),
    has_all_columns=st.booleans(),
)
configs = st.builds(
    SchemaConfig,
    schemas=unlike(
        st.builds(SourceSchema, source_name=names, name=names, enabled=st.booleans(), tables=unlike(tables))
    ),
    change_handling=st.sampled_from(["", "ALLOW_ALL", "BLOCK_ALL"]),
)


@given(configs)
def test_nothing_differs_from_what_it_was_a_moment_ago(present):
    assert list(differences(present, read_earlier(json.dumps(present.to_json())))) == []


def test_a_table_that_is_gone_is_not_left_for_the_next_run():
    gone = table(enabled_patch_settings={"allowed": False, "reason_code": "DELETED"})
    left = config(s={"gone": gone, "kept": table(sync_mode=None, columns={"x": column(False)})}).to_json()
    assert left == {
        "schema_change_handling": "ALLOW_ALL",
        "schemas": {"s": {"enabled": True, "tables": {"kept": {"enabled": True, "columns": {"x": False}}}}},
    }


@pytest.mark.parametrize("schemas", [{}, [], "{}"])
@pytest.mark.parametrize("handling", [None, "BLOCK_ALL"])
def test_no_schemas_are_no_description_of_none(schemas, handling):
    with pytest.raises(ValueError, match="nothing is described"):
        read_description(schemas, handling)
