"""The tables of a re-sync are looked for before it is asked for: what is wrong with them is said, in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranResyncRefused,
    FivetranServerError,
    FivetranTriggerUncertain,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.schema_config import SchemaConfig, SourceSchema, SourceTable
from airflow_provider_fivetran.core.scoping import misfits
from airflow_provider_fivetran.core.starting import Order, Started, start
from facts import at, connection
from scripted import Fivetran

LOOK = "GET c"
SCHEMAS = "GET c/schemas"
SCHEMAS_OF_SHOP = (
    SourceSchema(
        source_name="Shop",
        name="web_shop",
        enabled=True,
        tables=(
            SourceTable(source_name="orders", name="all_orders", enabled=True),
            SourceTable(source_name="order_items", name="order_items", enabled=True),
            SourceTable(source_name="logs", name="logs", enabled=False),
        ),
    ),
    SourceSchema(source_name="old", name="web_old", enabled=False, tables=()),
    SourceSchema(source_name="empty", name="web_empty", enabled=True, tables=()),
)
CONFIG = SchemaConfig(schemas=SCHEMAS_OF_SHOP, change_handling="ALLOW_ALL")
GOOD = {"Shop": ("orders", "order_items")}
IDLE = connection()


def begin(fivetran, scope=GOOD, **policies):
    order = Order(connection_id="c", resync=True, scope=scope, **policies)
    return fivetran.drive(start(order, fivetran.clock))


@pytest.mark.parametrize(
    ("scope", "wrong"),
    [
        pytest.param(GOOD, [], id="all is well"),
        pytest.param(
            {"Shop": ["Orders"]},
            ["the schema 'Shop' has no table 'Orders' (did you mean 'orders'?)"],
            id="another case",
        ),
        pytest.param(
            {"Shop": ["ordr_items", "orders"]},
            ["the schema 'Shop' has no table 'ordr_items' (did you mean 'order_items' or 'orders'?)"],
            id="a typing error",
        ),
        pytest.param(
            {"Shop": ["all_orders"]},
            ["the schema 'Shop' has no table 'all_orders' (did you mean 'orders'?)"],
            id="as in the destination",
        ),
        pytest.param({"Shop": ["xyz"]}, ["the schema 'Shop' has no table 'xyz'"], id="nothing is near"),
        pytest.param({"Shop": ["logs"]}, ["the table 'logs' in 'Shop' is disabled"], id="a disabled table"),
        pytest.param(
            {"shop": ["orders"]}, ["there is no schema 'shop' (did you mean 'Shop'?)"], id="a schema's case"
        ),
        pytest.param(
            {"web_shop": ["orders"]},
            ["there is no schema 'web_shop' (did you mean 'Shop'?)"],
            id="a schema as in the destination",
        ),
        pytest.param({"old": ["a", "b"]}, ["the schema 'old' is disabled"], id="a disabled schema"),
        pytest.param(
            {"empty": ["a"], "Shop": ["logs"]},
            ["the schema 'empty' has no table 'a'", "the table 'logs' in 'Shop' is disabled"],
            id="several",
        ),
    ],
)
def test_what_is_wrong_with_a_scope(scope, wrong):
    assert list(misfits(CONFIG, scope)) == wrong


def test_a_scope_that_fits_costs_one_request():
    fivetran = Fivetran(look=IDLE, schemas=CONFIG)
    assert isinstance(begin(fivetran), Started)
    assert fivetran.requests == [
        SCHEMAS,
        LOOK,
        'POST c/resync {"scope": {"Shop": ["orders", "order_items"]}}',
    ]
    assert fivetran.warnings == []


def test_a_resync_of_everything_needs_none():
    fivetran = Fivetran(look=IDLE)
    begin(fivetran, scope=None)
    assert SCHEMAS not in fivetran.requests


def test_a_scope_that_does_not_fit_ends_before_anything_is_changed():
    fivetran = Fivetran(look=connection("paused", paused=True), schemas=CONFIG)
    with pytest.raises(
        FivetranResyncRefused, match=r"nothing was started: .*'Order' \(did you mean"
    ) as raised:
        begin(fivetran, {"Shop": ["Order"]}, when_paused="unpause")
    assert fivetran.requests == [SCHEMAS]
    assert (raised.value.connection_id, raised.value.permanent) == ("c", True)
    assert str(raised.value.link) in str(raised.value)


def test_of_very_many_that_do_not_exist_some_are_told():
    fivetran = Fivetran(look=IDLE, schemas=CONFIG)
    with pytest.raises(FivetranResyncRefused, match="'x9'; and more") as raised:
        begin(fivetran, {"Shop": [f"x{number}" for number in range(10_000)]})
    assert len(str(raised.value)) < 1_000


def test_a_sync_that_begins_meanwhile_is_not_taken_for_the_resync():
    def slowly(_now):
        fivetran.now += timedelta(seconds=60)
        return CONFIG

    fivetran = Fivetran(look=lambda now: connection("syncing") if now > at(30) else IDLE, schemas=slowly)
    started = begin(fivetran)
    assert started.then_start_ours
    assert fivetran.requests == [SCHEMAS, LOOK]


def test_it_is_not_done_twice_for_one_task():
    fivetran = Fivetran(look=IDLE, schemas=CONFIG)
    begin(fivetran, {"Shop": ["no_more"]}, scope_is_checked=True)
    assert fivetran.requests == [LOOK, 'POST c/resync {"scope": {"Shop": ["no_more"]}}']


@pytest.mark.parametrize(
    "error",
    [
        FivetranForbidden("403"),
        FivetranNotFound("404 NotFound_SchemaConfig"),
        FivetranApiError("405", status=405),
        FivetranUnexpectedAnswer("a page"),
    ],
)
def test_a_configuration_that_is_not_to_be_read_is_a_warning(error):
    fivetran = Fivetran(look=IDLE, schemas=error)
    assert isinstance(begin(fivetran), Started)
    assert fivetran.requests[-1].startswith("POST c/resync")
    assert any("is not checked" in text and str(error) in text for text in fivetran.warnings)


def test_an_empty_configuration_says_nothing_about_tables():
    fivetran = Fivetran(look=IDLE, schemas=SchemaConfig(schemas=()))
    begin(fivetran)
    assert fivetran.requests[-1].startswith("POST c/resync")
    assert "is not checked" in fivetran.warnings[0]


@pytest.mark.parametrize(
    "error", [FivetranUnreachable("reset"), FivetranServerError("503"), FivetranRateLimited("429")]
)
def test_a_configuration_that_cannot_be_read_now_is_asked_for_again_and_nothing_is_started(error):
    assert isinstance(begin(Fivetran(look=IDLE, schemas=[error, error, CONFIG])), Started)
    fivetran = Fivetran(look=IDLE, schemas=error)
    with pytest.raises(type(error)):
        begin(fivetran)
    assert set(fivetran.requests) == {SCHEMAS}


def test_a_refused_key_is_no_warning():
    fivetran = Fivetran(look=IDLE, schemas=FivetranUnauthorized("401"))
    with pytest.raises(FivetranUnauthorized):
        begin(fivetran)


@pytest.mark.parametrize("scope", [GOOD, None], ids=["tables", "everything"])
def test_what_a_400_means(scope):
    error = FivetranApiError("400 InvalidInput: no", status=400, code="InvalidInput")
    fivetran = Fivetran(look=IDLE, schemas=CONFIG, resync=error)
    with pytest.raises(
        FivetranApiError if scope is None else FivetranResyncRefused, match="InvalidInput"
    ) as raised:
        begin(fivetran, scope)
    assert raised.value.status == 400
    assert ("single tables" in str(raised.value)) == (scope is not None)
    assert len([request for request in fivetran.requests if request.startswith("POST")]) == 1


def test_a_lost_answer_leaves_the_same_doubt_as_before():
    fivetran = Fivetran(look=IDLE, schemas=CONFIG, resync=FivetranUnreachable("reset"))
    with pytest.raises(FivetranTriggerUncertain):
        begin(fivetran)
    assert fivetran.requests.count(SCHEMAS) == 1
