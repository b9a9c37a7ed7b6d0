"""Making a schema configuration be as described: what is sent, what is refused before, and what is looked at after."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranForbidden,
    FivetranNotAsDescribed,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnauthorized,
    FivetranUnreachable,
    FivetranWrongDescription,
)
from airflow_provider_fivetran.core.schema_config import SchemaConfig, SourceColumn
from airflow_provider_fivetran.core.schema_description import read_description
from airflow_provider_fivetran.core.schema_ensuring import SchemaOrder, ensure_schema
from schemas import column, config, locked, table
from scripted import Fivetran

READ = "GET c/schemas"
RELOAD = 'POST c/schemas/reload {"exclude_mode": "PRESERVE"}'
COLUMNS = "GET c/schemas/shop/tables/orders/columns"
NO_SCHEMA = FivetranNotFound("404", status=404, code="NotFound_SchemaConfig")
SHOP = config(shop={"orders": table(), "logs": table(), "system": table(**locked("SYSTEM_TABLE"))})
DONE = config(shop={"orders": table(), "logs": table(False), "system": table(**locked("SYSTEM_TABLE"))})
NO_LOGS = {"shop": {"tables": {"logs": False}}}
CHANGE = "PATCH c/schemas " + json.dumps(
    {"schemas": {"shop": {"enabled": True, "tables": {"logs": {"enabled": False}}}}}, sort_keys=True
)


def ensure(fivetran, schemas=NO_LOGS, handling=None, **policies):
    order = SchemaOrder(connection_id="c", description=read_description(schemas, handling), **policies)
    changes = fivetran.drive(ensure_schema(order, fivetran.clock))
    if changes.failure is not None:
        raise changes.failure
    return changes


def test_what_differs_is_changed_in_one_request_whose_answer_is_looked_at():
    fivetran = Fivetran(schemas=SHOP, change=DONE)
    changes = ensure(fivetran)
    assert fivetran.requests == [READ, CHANGE]
    assert changes.is_changed
    assert [one.in_words() for one in changes.differences] == [
        "the table 'logs' in 'shop' is enabled, and should not be"
    ]
    assert "the table 'logs' in 'shop' is enabled" in fivetran.said[0]


def test_what_is_as_described_is_left_alone():
    fivetran = Fivetran(schemas=DONE)
    changes = ensure(fivetran)
    assert fivetran.requests == [READ]
    assert (changes.is_changed, changes.differences) == (False, ())


def test_a_dry_run_shows_and_changes_nothing():
    fivetran = Fivetran(schemas=SHOP)
    changes = ensure(fivetran, when_different="show")
    assert fivetran.requests == [READ]
    assert (changes.is_changed, len(changes.differences)) == (False, 1)
    assert "nothing was changed" in fivetran.said[-1]


def test_a_difference_can_be_an_error():
    fivetran = Fivetran(schemas=SHOP)
    with pytest.raises(
        FivetranNotAsDescribed, match=r"in 1 place:\n- the table 'logs' in 'shop' is enab"
    ) as raised:
        ensure(fivetran, when_different="fail")
    assert fivetran.requests == [READ]
    assert raised.value.connection_id == "c"
    assert raised.value.link in str(raised.value)


@pytest.mark.parametrize("when_different", ["change", "show", "fail"])
def test_all_that_cannot_be_is_told_before_anything_is_sent(when_different):
    fivetran = Fivetran(schemas=SHOP)
    with pytest.raises(FivetranWrongDescription) as raised:
        ensure(
            fivetran,
            {"shop": {"tables": {"log": False, "system": False, "logs": False}}, "web": True},
            when_different=when_different,
        )
    text = str(raised.value)
    assert "no table 'log' in 'shop' (did you mean 'logs'?)" in text
    assert "no schema 'web'" in text
    assert (
        "'system' in 'shop' is enabled, and should not be, but Fivetran does not let it be changed: it is a"
        in text
    )
    assert fivetran.requests == [READ]
    assert raised.value.permanent


def test_what_is_missing_can_be_left_out_with_a_warning():
    fivetran = Fivetran(schemas=SHOP, change=DONE)
    schemas = {"shop": {"tables": {"logs": False, "sold": {"sync_mode": "HISTORY"}}}}
    assert ensure(fivetran, schemas, when_missing="ignore").is_changed
    assert fivetran.requests == [READ, CHANGE]
    assert "no table 'sold'" in fivetran.warnings[0]


def test_others_are_disabled_where_they_can_be():
    fivetran = Fivetran(schemas=SHOP, change=DONE)
    changes = ensure(fivetran, {"shop": ["orders"]}, others="disable")
    assert fivetran.requests == [READ, CHANGE]
    assert [one.table for one in changes.differences] == ["logs"]


def test_a_schema_is_emptied_only_by_a_mapping_that_names_no_table():
    with pytest.raises(ValueError, match=r"schemas\['shop'\] is \[\]; allowed"):
        read_description({"shop": []})
    none = config(
        shop={"orders": table(False), "logs": table(False), "system": table(**locked("SYSTEM_TABLE"))}
    )
    fivetran = Fivetran(schemas=SHOP, change=none)
    changes = ensure(fivetran, {"shop": {"tables": {}}}, others="disable")
    assert [one.table for one in changes.differences] == ["orders", "logs"]


def test_a_table_in_a_disabled_schema_is_warned_about():
    asleep = config(off=("shop",), shop={"orders": table()})
    fivetran = Fivetran(schemas=asleep)
    ensure(fivetran, {"shop": {"tables": ["orders"]}})
    assert "'orders', for its schema 'shop' is not enabled" in fivetran.warnings[0]


class TestColumns:
    PLAIN = (
        SourceColumn(source_name="id", name="id", enabled=True),
        SourceColumn(source_name="email", name="email", enabled=True),
    )
    HASHED: ClassVar = {"shop": {"tables": {"orders": {"columns": {"email": {"hashed": True}}}}}}
    AFTER = config(shop={"orders": table(columns={"email": column(hashed=True)})})

    def test_that_fivetran_does_not_show_are_looked_for_in_the_source(self):
        fivetran = Fivetran(schemas=SHOP, columns=self.PLAIN, change=self.AFTER)
        assert ensure(fivetran, self.HASHED).is_changed
        assert fivetran.requests[:2] == [READ, COLUMNS]
        assert '"email": {"enabled": true, "hashed": true}' in fivetran.requests[2]

    def test_that_it_shows_cost_no_request_of_their_own(self):
        fivetran = Fivetran(schemas=self.AFTER)
        ensure(fivetran, self.HASHED)
        assert fivetran.requests == [READ]

    def test_that_do_not_exist_are_told_before_anything_is_sent(self):
        fivetran = Fivetran(schemas=SHOP, columns=self.PLAIN)
        wrong = {"shop": {"tables": {"orders": {"columns": {"mail": {"hashed": True}}}}}}
        with pytest.raises(
            FivetranWrongDescription, match=r"no column 'mail' of 'orders' .*did you mean 'email'"
        ):
            ensure(fivetran, wrong)
        assert fivetran.requests == [READ, COLUMNS]

    @pytest.mark.parametrize("error", [FivetranApiError("400", status=400), FivetranForbidden("403")])
    def test_that_cannot_be_read_are_not_checked_and_that_is_said(self, error):
        fivetran = Fivetran(schemas=SHOP, columns=error, change=self.AFTER)
        assert ensure(fivetran, self.HASHED).is_changed
        assert "is not checked" in fivetran.warnings[0]

    def test_a_refused_key_is_no_warning(self):
        with pytest.raises(FivetranUnauthorized):
            ensure(Fivetran(schemas=SHOP, columns=FivetranUnauthorized("401")), self.HASHED)


class TestWhereThereIsNoSchemaYet:
    def test_it_is_reloaded(self):
        fivetran = Fivetran(schemas=NO_SCHEMA, reload=SHOP, change=DONE)
        assert ensure(fivetran).is_changed
        assert fivetran.requests == [READ, RELOAD, CHANGE]

    def test_or_the_description_is_handed_over(self):
        fivetran = Fivetran(schemas=NO_SCHEMA)
        changes = ensure(fivetran, handling="BLOCK_ALL", when_no_schema="prepare")
        assert (changes.is_prepared, changes.is_changed, changes.differences) == (True, False, ())
        body = {
            "schemas": {"shop": {"enabled": True, "tables": {"logs": {"enabled": False}}}},
            "schema_change_handling": "BLOCK_ALL",
        }
        assert fivetran.requests == [READ, f"POST c/schemas {json.dumps(body, sort_keys=True)}"]

    def test_or_that_is_an_error(self):
        with pytest.raises(FivetranNotFound, match="has not read the schema"):
            ensure(Fivetran(schemas=NO_SCHEMA), when_no_schema="fail")

    @pytest.mark.parametrize("when_no_schema", ["reload", "prepare", "fail"])
    @pytest.mark.parametrize("when_different", ["show", "fail"])
    def test_what_is_to_change_nothing_does_neither(self, when_different, when_no_schema):
        fivetran = Fivetran(schemas=NO_SCHEMA)
        with pytest.raises(FivetranNotFound):
            ensure(fivetran, when_different=when_different, when_no_schema=when_no_schema)
        assert fivetran.requests == [READ]


def test_a_reload_in_any_case():
    fivetran = Fivetran(reload=SHOP, change=DONE)
    ensure(fivetran, reload=True)
    assert fivetran.requests == [RELOAD, CHANGE]


def test_a_dry_run_does_not_let_fivetran_read_the_source_anew():
    fivetran = Fivetran(schemas=SHOP)
    ensure(fivetran, reload=True, when_different="show")
    assert fivetran.requests == [READ]
    assert "the source is not read anew" in fivetran.said[0]


class TestAfterwards:
    def test_a_change_that_shows_late_is_waited_for(self):
        fivetran = Fivetran(schemas=[SHOP, SHOP, DONE], change=SHOP)
        assert ensure(fivetran).is_changed
        assert fivetran.requests == [READ, CHANGE, READ, READ]
        assert fivetran.pauses == [5.0, 5.0]

    def test_an_answer_that_shows_nothing_is_followed_by_a_look(self):
        fivetran = Fivetran(schemas=[SHOP, DONE], change=SchemaConfig(schemas=(), is_given=False))
        assert ensure(fivetran).is_changed
        assert fivetran.requests == [READ, CHANGE, READ]

    def test_a_change_that_fivetran_took_and_did_not_make_is_an_error(self):
        fivetran = Fivetran(schemas=SHOP, change=SHOP)
        with pytest.raises(FivetranNotAsDescribed, match=r"took the changes .* and yet:\n- the table 'logs'"):
            ensure(fivetran)
        assert fivetran.requests == [READ, CHANGE, READ, READ, READ]

    def test_what_differs_elsewhere_since_then_is_no_failure_of_the_change(self):
        after = config(shop={"orders": table(False), "logs": table(False), "system": table()})
        fivetran = Fivetran(schemas=SHOP, change=after)
        assert ensure(fivetran, {"shop": {"tables": {"orders": True, "logs": False}}}).is_changed

    @pytest.mark.parametrize(
        "error",
        [
            FivetranUnreachable("no answer", maybe_received=True),
            FivetranServerError("503", status=503),
            FivetranRateLimited("slow down"),
            FivetranConflict("Failed to stop in-progress sync"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_what_may_help_is_asked_for_again_for_two_minutes(self, error):
        fivetran = Fivetran(schemas=SHOP, change=[error, error, DONE])
        assert ensure(fivetran).is_changed
        assert fivetran.requests == [READ, CHANGE, CHANGE, CHANGE]
        preparing = Fivetran(schemas=NO_SCHEMA, prepare=[error, config()])
        assert ensure(preparing, when_no_schema="prepare").is_prepared
        for never in (Fivetran(schemas=SHOP, change=error), Fivetran(schemas=NO_SCHEMA, prepare=error)):
            with pytest.raises(type(error)):
                ensure(never, when_no_schema="prepare")
            assert 100 < sum(never.pauses) <= 120

    def test_a_refusal_is_not_asked_for_again(self):
        fivetran = Fivetran(schemas=SHOP, change=FivetranForbidden("403", status=403))
        with pytest.raises(FivetranForbidden):
            ensure(fivetran)
        assert fivetran.requests == [READ, CHANGE]

    def test_a_sync_that_cannot_be_stopped_may_have_ended_at_the_next_try(self):
        fivetran = Fivetran(schemas=SHOP, change=FivetranConflict("Failed to stop in-progress sync"))
        with pytest.raises(FivetranConflict, match="in-progress") as raised:
            ensure(fivetran)
        assert not raised.value.permanent


def test_of_very_many_differences_an_xcom_tells_a_thousand_and_counts_all():
    many = config(shop={f"t{number}": table() for number in range(1500)})
    none = config(shop={f"t{number}": table(False) for number in range(1500)})
    fivetran = Fivetran(schemas=many, change=none)
    told = ensure(fivetran, {"shop": {"tables": {f"t{number}": False for number in range(1500)}}}).to_json()
    assert (told["count"], len(told["differences"])) == (1500, 1000)
    assert len(fivetran.said[0]) < 7000
