"""What differs between a description and what Fivetran shows: secrets are neither the same nor a difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core.differences import compare
from airflow_provider_fivetran.core.secret import Secret
from airflow_provider_fivetran.core.setups import Description, Setup, put
from airflow_provider_fivetran.core.sync_schedule import SyncSchedule

MASK = "******"


def described(**fields):
    return Description(**{"group_id": "g", "name": "shop", "service": "postgres"} | fields)


def found(**fields):
    return Setup.from_json({"id": "c", "group_id": "g", "service": "postgres", "schema": "shop", **fields})


def told(wanted, now):
    comparison = compare(wanted, now)
    return [str(difference) for difference in comparison.differences], list(comparison.unknown)


@pytest.mark.parametrize(
    ("wanted", "now"),
    [
        pytest.param(
            {"host": "db"}, {"host": "db", "port": 1}, id="what is not described is nobody's business"
        ),
        pytest.param({"port": 5432}, {"port": "5432"}, id="a number and its text"),
        pytest.param({"ratio": 5.0}, {"ratio": 5}, id="a number and the same with a fraction"),
        pytest.param({"tls": True}, {"tls": "true"}, id="a truth and its text"),
        pytest.param({"tls": "True"}, {"tls": True}, id="a truth that a template has written"),
        pytest.param({"accounts": ["b", "a"]}, {"accounts": ["a", "b"]}, id="a list in another order"),
        pytest.param({"user": None}, {}, id="unset, and not shown"),
        pytest.param({"schema_prefix": "shop"}, {}, id="what names it is its schema"),
        pytest.param({"timeframe_months": "SIX"}, {}, id="chosen at first, and not shown"),
        pytest.param({"user": Secret("u")}, {"user": "u"}, id="borrowed, shown, and the same"),
        pytest.param({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 1, "d": 2}], "e": 3}}, id="deep within"),
    ],
)
def test_these_are_the_same(wanted, now):
    assert told(described(config=wanted), found(config=now)) == ([], [])


@pytest.mark.parametrize(
    ("wanted", "now", "difference"),
    [
        pytest.param({"host": "a"}, {"host": "b"}, "config.host: 'b' -> 'a'", id="a value"),
        pytest.param({"host": "a"}, {}, "config.host: not shown -> 'a'", id="nothing is shown"),
        pytest.param({"l": ["a"]}, {"l": ["a", "b"]}, "config.l: ['a', 'b'] -> ['a']", id="a longer list"),
        pytest.param({"l": [{"t": 1}]}, {"l": [{"t": 2}]}, "config.l.0.t: 2 -> 1", id="a field in a list"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, "config.a.b: 2 -> 1", id="a field in a field"),
        pytest.param({"a": None}, {"a": "x"}, "config.a: 'x' -> None", id="to be unset"),
        pytest.param(
            {"api_token": "x"}, {"api_token": "y"}, "config.api_token: '***' -> '***'", id="looks secret"
        ),
        pytest.param(
            {"user": Secret("x")}, {"user": "y"}, "config.user: '***' -> '***'", id="borrowed, and shown"
        ),
        pytest.param(
            {"timeframe_months": "SIX"},
            {"timeframe_months": "TWELVE"},
            "config.timeframe_months: 'TWELVE' -> 'SIX'",
            id="chosen at first",
        ),
    ],
)
def test_a_difference_is_told_with_both_values(wanted, now, difference):
    assert told(described(config=wanted), found(config=now)) == ([difference], [])


@pytest.mark.parametrize(
    ("wanted", "now"),
    [
        pytest.param({"p": Secret("x")}, {"p": MASK}, id="a secret behind its mask"),
        pytest.param({"p": Secret("x")}, {}, id="a secret that is not shown"),
        pytest.param({"p": "plain"}, {"p": MASK}, id="what only Fivetran takes for a secret"),
        pytest.param({"p": Secret(MASK)}, {"p": MASK}, id="not even stars and stars are the same"),
        pytest.param({"p": Secret("12345")}, {"p": MASK}, id="a secret in digits"),
        pytest.param({"p": "abcd"}, {"p": "ab****"}, id="a part of it is shown"),
    ],
)
def test_what_is_masked_is_neither_the_same_nor_a_difference(wanted, now):
    assert told(described(config=wanted), found(config=now)) == ([], ["config.p"])


def test_a_masked_field_hides_no_difference_beside_it():
    wanted = {"rows": [{"key": "k", "value": Secret("x")}, {"key": "new", "value": Secret("y")}]}
    now = {"rows": [{"key": "k", "value": MASK}, {"key": "old", "value": MASK}]}
    differences, unknown = told(described(config=wanted), found(config=now))
    assert differences == ["config.rows.1.key: 'old' -> 'new'"]
    assert unknown == ["config.rows.0.value", "config.rows.1.value"]


def test_what_holds_a_secret_and_is_not_shown_cannot_be_compared():
    wanted = {"rows": [{"key": "k", "value": Secret("x")}]}
    assert told(described(config=wanted), found()) == ([], ["config.rows.0.key", "config.rows.0.value"])


def test_beside_a_borrowed_text_what_fivetran_shows_is_hidden_too():
    [difference] = compare(
        described(config={"users": ["me", Secret("x")]}), found(config={"users": ["a", "b", "c"]})
    ).differences
    assert difference.to_json() == {"field": "config.users", "now": "***", "wanted": ["me", "***"]}


def test_nothing_of_the_auth_section_can_be_compared():
    auth = {"client_access": {"client_id": "id", "client_secret": Secret("x")}, "scopes": ["a"]}
    assert told(described(auth=auth), found()) == (
        [],
        ["auth.client_access.client_id", "auth.client_access.client_secret", "auth.scopes.0"],
    )


def test_settings_schedule_and_pause_are_compared_where_they_are_described():
    wanted = described(settings={"data_delay_sensitivity": "HIGH"}, paused=False)
    assert told(wanted, found(data_delay_sensitivity="LOW", paused=True))[0] == [
        "data_delay_sensitivity: 'LOW' -> 'HIGH'",
        "paused: True -> False",
    ]
    assert told(described(), found(data_delay_sensitivity="LOW", paused=True)) == ([], [])


@pytest.mark.parametrize(
    ("now", "differs"),
    [
        ({"sync_frequency": 1440}, False),
        ({"sync_frequency": 1440, "daily_sync_time": "06:00"}, False),
        ({"schedule": {"schedule_type": "TIME_OF_DAY", "time_of_day": "06:00"}}, False),
        (
            {
                "schedule": {
                    "schedule_type": "TIME_OF_DAY",
                    "time_of_day": "06:00",
                    "days_of_week": ["MONDAY"],
                }
            },
            True,
        ),
        ({"sync_frequency": 720}, True),
        ({"schedule_type": "manual"}, True),
        ({}, True),
    ],
)
def test_every_1440_minutes_is_once_a_day_at_whatever_time(now, differs):
    wanted = described(schedule=SyncSchedule.of({"interval": 1440}))
    assert bool(compare(wanted, found(**now)).differences) == differs


def test_another_type_is_a_difference_that_stays():
    [difference] = compare(described(), found(service="mysql")).fixed
    assert str(difference) == "service: 'mysql' -> 'postgres'"


def test_a_long_value_is_cut():
    [difference] = compare(described(config={"a": "x" * 900}), found(config={"a": "y"})).differences
    assert len(str(difference)) < 250
    assert difference.to_json()["wanted"] == "x" * 900


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abc", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqrs"), inner, max_size=3),
    max_leaves=8,
)


@given(config=st.dictionaries(st.sampled_from("pqrs"), PLAIN, max_size=4))
def test_a_connection_that_shows_what_is_described_does_not_differ(config):
    assert told(described(config=config), found(config=config)) == ([], [])


@given(config=st.dictionaries(st.sampled_from("pqrs"), PLAIN, max_size=4), secret=st.text(min_size=1))
def test_no_secret_is_ever_shown_whatever_fivetran_shows(config, secret):
    wanted = described(config={"k": Secret(f"<{secret}>")})
    for now in (config, {"k": config}, {"k": "other"}, {"k": MASK}, {}):
        comparison = compare(wanted, found(config=now))
        assert f"<{secret}>" not in str([d.to_json() for d in comparison.differences]) + repr(wanted)


class TestPlaces:
    def test_a_value_is_put_where_its_path_leads_and_nothing_else_changes(self):
        tree = {"config": {"a": 1, "rows": [{"key": "k"}, {"key": "l"}]}, "auth": {}}
        there = put(put(tree, "config.rows.1.value", "v"), "auth.client.secret", "s")
        assert there == {
            "config": {"a": 1, "rows": [{"key": "k"}, {"key": "l", "value": "v"}]},
            "auth": {"client": {"secret": "s"}},
        }
        assert tree == {"config": {"a": 1, "rows": [{"key": "k"}, {"key": "l"}]}, "auth": {}}

    @pytest.mark.parametrize("path", ["config.rows.2.value", "config.rows.x", "config.a.b"])
    def test_a_path_that_leads_nowhere_is_refused(self, path):
        with pytest.raises(ValueError, match=r"the path .* leads"):
            put({"config": {"a": 1, "rows": [{}, {}]}}, path, "v")
