"""Schema configurations are read, or read anew from the source, however slow or broken the answers are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.schema_config import SchemaConfig, SourceColumn
from airflow_provider_fivetran.core.schema_reading import (
    has_no_schema,
    read_config,
    reload_config,
    with_all_columns,
)
from schemas import config, locked, table
from scripted import Fivetran

READ = "GET c/schemas"
RELOAD = 'POST c/schemas/reload {"exclude_mode": "PRESERVE"}'
SHOP = config(shop={"orders": table(), "gone": table(False, **locked("DELETED"))})
NOTHING = SchemaConfig(schemas=(), is_given=False)
NO_SCHEMA = FivetranNotFound("404", status=404, code="NotFound_SchemaConfig")
HALF_AN_HOUR = timedelta(minutes=30)


def read(fivetran):
    return fivetran.drive(read_config("c", fivetran.clock))


def reload(fivetran, **arguments):
    return fivetran.drive(reload_config("c", fivetran.clock, **arguments))


def test_a_configuration_costs_one_request():
    fivetran = Fivetran(schemas=SHOP)
    assert read(fivetran) == SHOP
    assert fivetran.requests == [READ]


def test_that_there_is_none_yet_is_said_in_words():
    with pytest.raises(
        FivetranNotFound, match="has not read the schema of the source of c yet: the first"
    ) as raised:
        read(Fivetran(schemas=NO_SCHEMA))
    assert has_no_schema(raised.value)
    assert raised.value.permanent


def test_that_the_connection_does_not_exist_is_another_thing():
    with pytest.raises(FivetranNotFound, match="no such") as raised:
        read(Fivetran(schemas=FivetranNotFound("no such", status=404, code="NotFound_Connection")))
    assert not has_no_schema(raised.value)


def test_an_answer_without_schemas_does_not_look_like_a_source_that_lost_them():
    with pytest.raises(FivetranUnexpectedAnswer, match="no 'schemas'"):
        read(Fivetran(schemas=NOTHING))


def test_a_source_without_schemas_is_none():
    assert read(Fivetran(schemas=config())).schemas == ()


@pytest.mark.parametrize("error", [FivetranUnreachable("reset"), FivetranServerError("503")])
def test_what_cannot_be_read_now_is_asked_for_again(error):
    assert read(Fivetran(schemas=[error, error, SHOP])) == SHOP
    with pytest.raises(type(error)):
        read(Fivetran(schemas=error))


def test_a_reload_shows_what_there_is_then():
    fivetran = Fivetran(reload=SHOP)
    assert reload(fivetran) == SHOP
    assert fivetran.requests == [RELOAD]
    assert fivetran.notes == []


@pytest.mark.parametrize(
    "error",
    [
        FivetranUnreachable("timed out"),
        FivetranServerError("504"),
        FivetranUnexpectedAnswer("408"),
        FivetranConflict("409"),
        FivetranRateLimited("429"),
    ],
)
def test_a_reload_that_is_cut_off_is_asked_for_again_and_said_once(error):
    fivetran = Fivetran(reload=[error, error, error, SHOP])
    assert reload(fivetran) == SHOP
    assert fivetran.requests == [RELOAD] * 4
    assert len(fivetran.warnings) == 1
    assert "gave no answer yet, which large schemas do" in fivetran.warnings[0]
    assert fivetran.pauses == [15.0] * 3


def test_a_reload_waits_as_long_as_fivetran_wants():
    fivetran = Fivetran(reload=[FivetranRateLimited("429", retry_after=100), SHOP])
    reload(fivetran)
    assert fivetran.pauses == [100.0]


def test_a_reload_ends_by_itself():
    fivetran = Fivetran(reload=FivetranUnreachable("timed out"), latency=90)
    began = fivetran.now
    with pytest.raises(FivetranUnreachable):
        reload(fivetran)
    assert HALF_AN_HOUR - timedelta(minutes=2) < fivetran.now - began < HALF_AN_HOUR + timedelta(minutes=2)


@pytest.mark.parametrize("error", [FivetranApiError("400", status=400), FivetranForbidden("403"), NO_SCHEMA])
def test_a_reload_that_is_refused_is_not_repeated(error):
    fivetran = Fivetran(reload=error)
    with pytest.raises(type(error)):
        reload(fivetran)
    assert fivetran.requests == [RELOAD]


def test_a_reload_that_only_says_yes_is_followed_by_looks():
    fivetran = Fivetran(reload=NOTHING, schemas=[NO_SCHEMA, NO_SCHEMA, SHOP])
    assert reload(fivetran) == SHOP
    assert fivetran.requests == [RELOAD, READ, READ, READ]
    assert "may still be from before" in fivetran.warnings[0]


def test_looks_after_a_reload_end_by_themselves():
    fivetran = Fivetran(reload=NOTHING, schemas=NO_SCHEMA)
    with pytest.raises(FivetranNotFound, match="has not read the schema"):
        reload(fivetran, timeout=timedelta(minutes=1))
    assert sum(fivetran.pauses) <= 60


def test_all_columns_are_read_of_tables_that_are_there():
    columns = (SourceColumn(source_name="id", name="id", enabled=True),)
    fivetran = Fivetran(columns=columns)
    tables = [("shop", "orders"), ("shop", "gone"), ("shop", "none"), ("none", "orders")]
    found = fivetran.drive(with_all_columns("c", SHOP, tables, fivetran.clock))
    assert fivetran.requests == ["GET c/schemas/shop/tables/orders/columns"]
    orders = found.table("shop", "orders")
    assert (orders.columns, orders.has_all_columns) == (columns, True)
    assert found.table("shop", "gone") == SHOP.table("shop", "gone")
