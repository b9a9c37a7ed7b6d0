"""A schema configuration that has drifted: what fails, what is reported, and what the words are."""

from __future__ import annotations

import json

import pytest

from airflow_provider_fivetran.core.errors import FivetranNotFound
from airflow_provider_fivetran.core.schema_config import SourceColumn
from airflow_provider_fivetran.core.schema_description import read_description, read_earlier
from airflow_provider_fivetran.core.schema_drift import DriftCheck, judge_drift, look_for_drift
from schemas import config, table
from scripted import Fivetran

READ = "GET c/schemas"
RELOAD = 'POST c/schemas/reload {"exclude_mode": "PRESERVE"}'
COLUMNS = "GET c/schemas/shop/tables/orders/columns"
BEFORE = config(shop={"orders": table(), "sold": table()})
NOW = config(shop={"orders": table(False), "fresh": table()})
EMAIL = SourceColumn(source_name="email", name="email", enabled=True)


def check(description, **policies):
    return DriftCheck(connection_id="c", description=description, **{"columns_of": {}} | policies)


def judge(**policies):
    return judge_drift(NOW, check(read_earlier(BEFORE.to_json()), is_earlier=True, **policies))


def kinds(found):
    return [one.kind for one in found]


def test_what_changed_or_is_gone_fails_and_what_is_new_is_reported():
    report = judge()
    assert (kinds(report.failures), kinds(report.reported)) == (["changed", "missing"], ["new"])
    assert report.count == 3
    assert report.summary() == "c: the schema configuration is not as it was before: 2 failed, 1 reported"
    error = report.error()
    assert str(error).splitlines() == [
        "c: the schema configuration is not as it was before: 2 failed, 1 reported:",
        "- the table 'orders' in 'shop' is not enabled, and was before",
        "- there is no table 'sold' in 'shop' any more",
        error.link,
    ]
    assert (error.connection_id, error.permanent) == ("c", True)
    assert report.remarks() == (
        "c: reported of the schema configuration:\n- the table 'fresh' in 'shop' is new, and enabled"
    )


@pytest.mark.parametrize("policy", ["fail", "report", "ignore"])
@pytest.mark.parametrize("kind", ["changed", "missing", "new"])
def test_each_kind_has_a_policy_of_its_own(kind, policy):
    report = judge(
        **{"when_changed": "ignore", "when_missing": "ignore", "when_new": "ignore"}
        | {f"when_{kind}": policy}
    )
    assert kinds(report.failures) == ([kind] if policy == "fail" else [])
    assert kinds(report.reported) == ([kind] if policy == "report" else [])
    assert (report.error() is None) == (policy != "fail")


def test_without_anything_to_compare_with_nothing_differs():
    report = judge_drift(NOW, check(None))
    assert (report.count, report.compared_with, report.error()) == (0, "nothing", None)
    assert "nothing" not in report.summary()
    assert "no earlier schema configuration to compare with yet" in report.summary()


def test_a_report_is_plain_json_and_says_what_it_was_compared_with():
    told = json.loads(json.dumps(judge().to_json()))
    assert told["compared_with"] == "earlier"
    assert told["is_as_expected"] is False
    assert [one["text"] for one in told["reported"]] == ["the table 'fresh' in 'shop' is new, and enabled"]
    assert told["reported"][0]["enabled"] is True
    described = judge_drift(NOW, check(read_description({"shop": ["orders", "fresh"]})))
    assert (
        described.to_json()["failures"][0]["text"]
        == "the table 'orders' in 'shop' is not enabled, and should be"
    )


def test_a_look_costs_one_request():
    fivetran = Fivetran(schemas=NOW)
    report = fivetran.drive(look_for_drift(check(None), fivetran.clock))
    assert report.config == NOW
    assert fivetran.requests == [READ]


def test_a_reload_comes_first_where_it_is_asked_for():
    fivetran = Fivetran(reload=NOW)
    fivetran.drive(look_for_drift(check(None, reload=True), fivetran.clock))
    assert fivetran.requests == [RELOAD]


def test_columns_are_read_of_the_tables_that_are_named_each_once():
    described = read_description(
        {"shop": {"tables": {"orders": {"columns": {"id": True}, "all_columns": True}, "fresh": True}}}
    )
    fivetran = Fivetran(schemas=NOW, columns=(EMAIL,))
    asked = check(described, columns_of={"shop": ("orders", "none")}, when_new="fail", when_missing="report")
    report = fivetran.drive(look_for_drift(asked, fivetran.clock))
    assert fivetran.requests == [READ, COLUMNS]
    assert [one.in_words() for one in report.failures] == [
        "the column 'email' of 'orders' in 'shop' is not described, and enabled"
    ]
    assert [one.in_words() for one in report.reported] == ["there is no column 'id' of 'orders' in 'shop'"]
    assert "'none' in 'shop'" in fivetran.warnings[0]


def test_columns_of_an_earlier_run_cost_nothing_unless_they_are_asked_for():
    earlier = read_earlier(NOW.with_columns("shop", "orders", (EMAIL,)).to_json())
    fivetran = Fivetran(schemas=NOW)
    fivetran.drive(look_for_drift(check(earlier, is_earlier=True), fivetran.clock))
    assert fivetran.requests == [READ]


def test_that_there_is_no_schema_yet_is_an_error():
    fivetran = Fivetran(schemas=FivetranNotFound("404", status=404, code="NotFound_SchemaConfig"))
    with pytest.raises(FivetranNotFound, match="has not read the schema"):
        fivetran.drive(look_for_drift(check(None), fivetran.clock))
