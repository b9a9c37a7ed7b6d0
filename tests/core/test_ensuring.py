"""Making a connection be as described, step by step: what is asked in which order, and when it gives up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_fivetran.core.connector_types import ConnectorType
from airflow_provider_fivetran.core.ensuring import SetupOrder, ensure, remove
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranForbidden,
    FivetranLookupError,
    FivetranNotAsDescribed,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
    FivetranWrongDescription,
)
from airflow_provider_fivetran.core.secret import Secret
from airflow_provider_fivetran.core.setups import Description, Setup
from scripted import Fivetran

WANTED = Description(group_id="g", name="shop", service="postgres", config={"host": "db"})
NO_TYPE = FivetranForbidden("no", status=403)
LOST = FivetranUnreachable("no answer", maybe_received=True)
TAKEN = FivetranApiError("exists", status=400)


def shown(**fields):
    usual = {
        "id": "c",
        "group_id": "g",
        "service": "postgres",
        "schema": "shop",
        "paused": True,
        "config": {"host": "db"},
        "status": {"setup_state": "connected", "sync_state": "paused"},
    }
    return Setup.from_json(usual | fields)


MADE = shown()
MADE_BY_ANOTHER = shown(id="d")


def drive(fivetran, wanted=WANTED, **order):
    return fivetran.drive(
        ensure(SetupOrder(description=wanted, **{"setup_tests": "never"} | order), fivetran.clock)
    )


def methods(fivetran):
    return [request.partition(" ")[0] for request in fivetran.requests]


def test_it_is_looked_for_checked_and_then_made():
    fivetran = Fivetran(find=(), kind=NO_TYPE, create=MADE)
    assert drive(fivetran).action == "created"
    assert methods(fivetran) == ["GET", "GET", "POST", "GET"]


@pytest.mark.parametrize(
    "lost",
    [LOST, FivetranServerError("oops", status=500), FivetranUnexpectedAnswer("a page", status=200)],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(("looks", "seconds"), [(1, 1), (4, 15), (6, 60)])
def test_after_a_lost_answer_it_is_looked_for_until_it_shows_itself(lost, looks, seconds):
    fivetran = Fivetran(find=[()] * looks + [[MADE]], kind=NO_TYPE, create=lost)
    assert drive(fivetran).connection_id == "c"
    assert methods(fivetran).count("POST") == 1
    assert sum(fivetran.pauses) == pytest.approx(seconds, abs=0.1)


def test_where_it_never_shows_itself_the_error_is_one_that_airflow_retries():
    fivetran = Fivetran(find=(), kind=NO_TYPE, create=LOST)
    with pytest.raises(FivetranUnreachable) as raised:
        drive(fivetran)
    assert not raised.value.permanent
    assert methods(fivetran).count("POST") == 1


@pytest.mark.parametrize(
    "error",
    [
        FivetranUnreachable("refused", maybe_received=False),
        FivetranRateLimited("slow down"),
        FivetranUnauthorized("no", status=401),
        FivetranForbidden("no", status=403),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_certainly_made_nothing_is_an_error_at_once(error):
    fivetran = Fivetran(find=(), kind=NO_TYPE, create=error)
    with pytest.raises(type(error)):
        drive(fivetran)
    assert methods(fivetran) == ["GET", "GET", "POST"]


def test_one_that_somebody_else_makes_in_the_same_moment_is_told_before_either_syncs():
    fivetran = Fivetran(find=[(), [MADE, MADE_BY_ANOTHER]], kind=NO_TYPE, create=MADE)
    told = r"created as c.*more than one connection named 'shop' in the group g: c, d.*delete c"
    with pytest.raises(FivetranLookupError, match=told) as raised:
        drive(fivetran, replace(WANTED, paused=False))
    assert (raised.value.connection_id, raised.value.link) == ("c", MADE.connection.link)
    assert methods(fivetran) == ["GET", "GET", "POST", "GET"]


@pytest.mark.parametrize("refusal", [TAKEN, FivetranConflict("exists", status=409)])
def test_a_refusal_while_somebody_else_makes_it_is_none(refusal):
    fivetran = Fivetran(
        find=[(), [shown(config={"host": "theirs"})]], kind=NO_TYPE, create=refusal, change=MADE
    )
    outcome = drive(fivetran)
    assert (outcome.action, [str(d) for d in outcome.differences]) == (
        "changed",
        ["config.host: 'theirs' -> 'db'"],
    )


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"pat": "open"}, "config.pat"),
        ({"pat": 12345}, "config.pat"),
        ({"rows": [{"name": "a", "value": Secret("x")}, {"value": "open"}]}, "config.rows.1.value"),
    ],
)
def test_a_secret_that_is_written_down_is_refused_wherever_it_stands(config, field):
    secret = {"type": "string", "format": "password"}
    rows = {"type": "array", "items": {"properties": {"name": {"type": "string"}, "value": secret}}}
    kind = ConnectorType.from_json(
        {"id": "postgres", "config": {"properties": {"pat": secret, "rows": rows}}}
    )
    fivetran = Fivetran(find=[[MADE]], kind=kind)
    with pytest.raises(FivetranWrongDescription, match=f"{field} is a secret"):
        drive(fivetran, replace(WANTED, config=config))
    assert methods(fivetran) == ["GET", "GET"]


def test_one_that_gets_another_name_is_told_for_it_would_be_made_again_and_again():
    fivetran = Fivetran(find=(), kind=NO_TYPE, create=shown(schema="Shop"))
    with pytest.raises(FivetranLookupError, match="'shop' was created as c, but Fivetran calls it 'Shop'"):
        drive(fivetran)


def test_a_table_in_the_config_is_a_part_of_the_name():
    wanted = replace(WANTED, config={"schema": "shop", "table": "orders"})
    fivetran = Fivetran(find=(), kind=NO_TYPE)
    with pytest.raises(FivetranWrongDescription, match=r"its config names it 'shop\.orders', and not 'shop'"):
        drive(fivetran, wanted)
    assert methods(fivetran) == ["GET", "GET"]
    assert drive(Fivetran(find=[[MADE]], kind=NO_TYPE), wanted).action == "unchanged"


def test_any_other_refusal_is_an_error():
    with pytest.raises(FivetranApiError, match="exists"):
        drive(Fivetran(find=(), kind=NO_TYPE, create=TAKEN))


def test_a_list_that_shows_another_case_or_group_shows_another_connection():
    others = [shown(schema="Shop"), shown(group_id="h")]
    assert drive(Fivetran(find=[others], kind=NO_TYPE, create=MADE)).action == "created"


def test_what_fivetran_takes_and_does_not_show_is_told_and_no_error():
    wanted = replace(WANTED, config={"host": "db", "quiet": "x"})
    fivetran = Fivetran(find=[[MADE]], kind=NO_TYPE, change=MADE)
    assert drive(fivetran, wanted).action == "changed"
    assert any("does not show, config.quiet" in text for text in fivetran.warnings)
    assert len([request for request in fivetran.requests if "run_setup_tests" in request]) == 1


def test_what_fivetran_does_not_take_is_sent_twice_and_then_an_error():
    fivetran = Fivetran(
        find=[[shown(config={"host": "old"})]], kind=NO_TYPE, change=shown(config={"host": "old"})
    )
    outcome = drive(fivetran)
    assert isinstance(outcome.failure, FivetranNotAsDescribed)
    assert "still shows config.host: 'old' -> 'db'" in str(outcome.failure)
    assert len([request for request in fivetran.requests if "run_setup_tests" in request]) == 2


TUNNEL = {"host": "old", "port": 22, "user": {"name": "u", "shell": "sh"}}


def change_of(fivetran):
    [change] = [request for request in fivetran.requests if "run_setup_tests" in request]
    return json.loads(change.partition("{")[1] + change.partition("{")[2])


@pytest.mark.parametrize(
    ("described", "sent"),
    [
        ({"host": "new"}, {**TUNNEL, "host": "new"}),
        ({"user": {"name": "v"}}, {**TUNNEL, "user": {"name": "v", "shell": "sh"}}),
        ({"host": "new", "port": None}, {**TUNNEL, "host": "new", "port": None}),
    ],
)
def test_an_object_that_is_described_in_part_keeps_its_other_fields(described, sent):
    found = shown(config={"host": "db", "tunnel": TUNNEL})
    made = shown(config={"host": "db", "tunnel": {name: value for name, value in sent.items() if value}})
    fivetran = Fivetran(find=[[found]], kind=NO_TYPE, change=made)
    assert drive(fivetran, replace(WANTED, config={"tunnel": described})).action == "changed"
    assert change_of(fivetran)["config"] == {"tunnel": sent}


def test_so_does_an_object_among_the_settings():
    warehouse = {"virtual_warehouse": "small", "newer": 1}
    found = shown(destination_configuration=warehouse)
    made = shown(destination_configuration={**warehouse, "virtual_warehouse": "big"})
    wanted = replace(WANTED, settings={"destination_configuration": {"virtual_warehouse": "big"}})
    fivetran = Fivetran(find=[[found]], kind=NO_TYPE, change=made)
    assert drive(fivetran, wanted).action == "changed"
    assert change_of(fivetran)["destination_configuration"] == {**warehouse, "virtual_warehouse": "big"}


@pytest.mark.parametrize("hidden", ["******", {"name": "n", "key": "******"}, [{"key": "******"}]])
@pytest.mark.parametrize("when_different", ["change", "show"])
def test_an_object_is_not_changed_in_part_where_that_would_lose_a_secret_of_it(hidden, when_different):
    found = shown(config={"host": "db", "tunnel": {**TUNNEL, "own": hidden}})
    fivetran = Fivetran(find=[[found]], kind=NO_TYPE)
    wanted = replace(WANTED, config={"tunnel": {"host": "new"}})
    with pytest.raises(FivetranWrongDescription, match=r"config\.tunnel\.own.*describe it too") as raised:
        drive(fivetran, wanted, when_different=when_different)
    assert raised.value.connection_id == "c"
    assert methods(fivetran) == ["GET", "GET"]


def test_a_mask_is_never_sent_back():
    found = shown(config={"host": "db", "tunnel": {**TUNNEL, "key": "******"}, "password": "******"})
    fivetran = Fivetran(find=[[found]], kind=NO_TYPE, change=found)
    drive(fivetran, replace(WANTED, config={"host": "db", "tunnel": {"key": Secret("k")}}))
    assert change_of(fivetran)["config"] == {"tunnel": {**TUNNEL, "key": "k"}}


def test_a_connection_that_is_not_as_described_is_never_let_go():
    wanted = replace(WANTED, paused=False)
    still = shown(config={"host": "old"})
    fivetran = Fivetran(find=[[still]], kind=NO_TYPE, change=still)
    assert drive(fivetran, wanted).failure is not None
    assert not [request for request in fivetran.requests if '"paused": false' in request]


def test_pausing_comes_with_the_change_and_letting_go_after_it():
    running = shown(paused=False, config={"host": "old"})
    pausing = Fivetran(find=[[running]], kind=NO_TYPE, change=MADE)
    drive(pausing, replace(WANTED, paused=True))
    [change] = [request for request in pausing.requests if "run_setup_tests" in request]
    assert '"config": {"host": "db"}, "paused": true' in change
    letting_go = Fivetran(
        find=[[shown(config={"host": "old"})]], kind=NO_TYPE, change=[MADE, shown(paused=False)]
    )
    drive(letting_go, replace(WANTED, paused=False))
    first, second = (request for request in letting_go.requests if "run_setup_tests" in request)
    assert "paused" not in first
    assert second.endswith('{"paused": false, "run_setup_tests": false}')


@pytest.mark.parametrize("found", [(), [MADE]])
def test_one_that_stays_paused_is_not_as_described(found):
    fivetran = Fivetran(find=[found], kind=NO_TYPE, create=MADE, change=MADE)
    outcome = drive(fivetran, replace(WANTED, paused=False))
    assert isinstance(outcome.failure, FivetranNotAsDescribed)
    assert "still shows paused: True -> False" in str(outcome.failure)


@pytest.mark.parametrize(
    ("state", "described", "policy", "person", "tested"),
    [
        ("connected", True, "when_needed", False, False),
        ("incomplete", True, "when_needed", False, True),
        ("broken", True, "when_needed", False, True),
        ("incomplete", True, "when_needed", True, False),
        ("incomplete", False, "when_needed", False, False),
        ("connected", True, "always", False, True),
        ("connected", True, "always", True, True),
        ("incomplete", True, "always", True, False),
        ("broken", True, "never", False, False),
    ],
)
def test_setup_tests_run_when_they_are_needed(state, described, policy, person, tested):
    now = shown(status={"setup_state": state})
    wanted = WANTED if described else replace(WANTED, config={})
    fivetran = Fivetran(find=[[now]], kind=NO_TYPE, test=MADE.connection)
    drive(fivetran, wanted, setup_tests=policy, awaits_person=person)
    assert any(request.startswith("POST c/test") for request in fivetran.requests) == tested


@pytest.mark.parametrize(
    "error", [LOST, FivetranServerError("oops", status=503), FivetranRateLimited("slow")]
)
def test_after_a_change_setup_tests_are_asked_for_until_they_were_run(error):
    old = shown(config={"host": "old"})
    fivetran = Fivetran(find=[[old]], kind=NO_TYPE, change=MADE, test=[error, MADE.connection])
    assert drive(fivetran, setup_tests="when_needed").is_tested
    assert methods(fivetran) == ["GET", "GET", "PATCH", "POST", "POST"]


def test_an_outage_is_waited_out_for_two_minutes():
    fivetran = Fivetran(find=[LOST, LOST, [MADE]], kind=NO_TYPE)
    assert drive(fivetran).action == "unchanged"
    with pytest.raises(FivetranUnreachable):
        drive(Fivetran(find=LOST))


def test_one_that_is_gone_when_it_is_to_be_deleted_is_as_wanted():
    fivetran = Fivetran(find=[[MADE]], delete=FivetranNotFound("gone", status=404))
    assert fivetran.drive(remove("g", "shop", "change", fivetran.clock)).action == "deleted"
    refused = Fivetran(find=[[MADE]], delete=FivetranForbidden("no", status=403))
    with pytest.raises(FivetranForbidden):
        refused.drive(remove("g", "shop", "change", refused.clock))
