"""Every URL of this project, and that no id leads out of its place in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core import endpoints as e
from airflow_provider_fivetran.core.protocol import Credentials, Settings
from airflow_provider_fivetran.core.secret import Secret

SINCE = datetime(2026, 11, 2, 10, tzinfo=UTC)
UNTIL = datetime(2026, 11, 2, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
CALLS = [
    (e.get_account(), "GET", "/v1/account/info", {}, None, True),
    (e.get_connection("c"), "GET", "/v1/connections/c", {}, None, True),
    (e.list_connections(), "GET", "/v1/connections", {"limit": "1000"}, None, True),
    (
        e.list_connections(group_id="g", schema="s"),
        "GET",
        "/v1/connections",
        {"limit": "1000", "group_id": "g", "schema": "s"},
        None,
        True,
    ),
    (
        e.change_connection("c", {"paused": True}),
        "PATCH",
        "/v1/connections/c",
        {},
        {"paused": True, "run_setup_tests": False},
        True,
    ),
    (
        e.change_connection("c", {"paused": True}, setup_tests=True),
        "PATCH",
        "/v1/connections/c",
        {},
        {"paused": True, "run_setup_tests": True},
        False,
    ),
    (e.sync_connection("c"), "POST", "/v1/connections/c/sync", {}, {"force": False}, False),
    (e.sync_connection("c", force=True), "POST", "/v1/connections/c/sync", {}, {"force": True}, False),
    (e.resync_connection("c"), "POST", "/v1/connections/c/resync", {}, {}, False),
    (
        e.resync_connection("c", scope={"public": ("a", "b")}),
        "POST",
        "/v1/connections/c/resync",
        {},
        {"scope": {"public": ["a", "b"]}},
        False,
    ),
    (e.run_setup_tests("c"), "POST", "/v1/connections/c/test", {}, {}, False),
    (
        e.get_sync_history("c", since=SINCE, until=UNTIL),
        "GET",
        "/v1/connections/c/sync-history",
        {"start_time": "2026-11-02T10:00:00.000Z", "end_time": "2026-11-02T11:00:00.123Z", "limit": "1000"},
        None,
        True,
    ),
    (e.list_groups(), "GET", "/v1/groups", {"limit": "1000"}, None, True),
    (e.get_group("g"), "GET", "/v1/groups/g", {}, None, True),
    (e.list_destinations(), "GET", "/v1/destinations", {"limit": "1000"}, None, True),
    (e.get_destination("d"), "GET", "/v1/destinations/d", {}, None, True),
    (e.list_webhooks(), "GET", "/v1/webhooks", {"limit": "1000"}, None, True),
    (e.get_webhook("w"), "GET", "/v1/webhooks/w", {}, None, True),
    (e.create_webhook({"url": "u"}), "POST", "/v1/webhooks/account", {}, {"url": "u"}, False),
    (e.create_webhook({"url": "u"}, group_id="g"), "POST", "/v1/webhooks/group/g", {}, {"url": "u"}, False),
    (e.change_webhook("w", {"active": True}), "PATCH", "/v1/webhooks/w", {}, {"active": True}, True),
    (e.test_webhook("w", "sync_end"), "POST", "/v1/webhooks/w/test", {}, {"event": "sync_end"}, False),
    (e.delete_webhook("w"), "DELETE", "/v1/webhooks/w", {}, None, True),
]


@pytest.mark.parametrize(
    ("call", "method", "path", "params", "body", "safe"), CALLS, ids=[f"{c[1]} {c[2]} {c[4]}" for c in CALLS]
)
def test_each_call(call, method, path, params, body, safe):
    assert (call.method, call.path, call.params, call.body, call.safe) == (method, path, params, body, safe)


def test_what_may_have_to_stop_a_running_sync_is_given_time():
    slow = [call for call, *_ in CALLS if call.slow]
    assert [(call.method, call.body.get("force")) for call in slow] == [("PATCH", None)] * 2 + [
        ("POST", True)
    ]
    for timeout, limits in ((1.0, {1.0, 75.0}), (90.0, {90.0})):
        settings = Settings(credentials=Credentials.of("k", "s"), timeout=timeout)
        assert {settings.limit_of(call) for call, *_ in CALLS} == limits
        assert {settings.limit_of(call) for call in slow} == {max(timeout, 75.0)}


def test_a_change_cannot_ask_for_setup_tests_by_the_way():
    assert e.change_connection("c", {"run_setup_tests": True}).body == {"run_setup_tests": False}


OF_ONE = [
    e.get_connection,
    e.sync_connection,
    e.resync_connection,
    e.run_setup_tests,
    e.get_group,
    e.get_destination,
    lambda it: e.change_connection(it, {}),
    lambda it: e.get_sync_history(it, since=SINCE, until=UNTIL),
    e.get_webhook,
    e.delete_webhook,
    lambda it: e.change_webhook(it, {}),
    lambda it: e.test_webhook(it, "sync_end"),
]


@pytest.mark.parametrize("make", OF_ONE)
@pytest.mark.parametrize(
    ("given_id", "part"),
    [
        ("a/b", "a%2Fb"),
        ("../groups/g", "..%2Fgroups%2Fg"),
        ("a b", "a%20b"),
        ("a?x=1", "a%3Fx%3D1"),
        ("a#b", "a%23b"),
        ("a%2Fb", "a%252Fb"),
        ("ü", "%C3%BC"),
        ("a\r\nb", "a%0D%0Ab"),
        ("a\\b", "a%5Cb"),
        ("...", "..."),
        ("%2e%2e", "%252e%252e"),
        (".%2E/x", ".%252E%2Fx"),
        ("a?b#c", "a%3Fb%23c"),
        ("//evil.example", "%2F%2Fevil.example"),
    ],
)
def test_an_id_stays_one_part_of_its_path(make, given_id, part):
    assert make(given_id).path.split("/")[3] == part
    assert make(given_id).path.count("/") == make("x").path.count("/")


def test_the_group_of_a_new_webhook_stays_one_part_of_its_path():
    assert e.create_webhook({}, group_id="../account").path == "/v1/webhooks/group/..%2Faccount"
    with pytest.raises(ValueError, match="cannot be an id"):
        e.create_webhook({}, group_id="")


def test_a_secret_is_sent_and_not_shown():
    call = e.create_webhook({"url": "u", "secret": Secret("of the webhook")})
    assert json.loads(json.dumps(call.body)) == {"url": "u", "secret": "of the webhook"}
    assert "of the webhook" not in repr(call)
    assert "'***'" in repr(call)


def test_a_call_about_a_connection_knows_which():
    about = [
        call.path.split("/")[3:4] == ["c"] and call.path.startswith("/v1/connections/") for call, *_ in CALLS
    ]
    assert [call.connection_id for call, *_ in CALLS] == ["c" if it else None for it in about]
    assert sum(about) == 9


@pytest.mark.parametrize("make", OF_ONE)
@pytest.mark.parametrize("wrong", ["", ".", "..", None, 5, ["c"]])
def test_what_cannot_be_an_id_is_refused(make, wrong):
    with pytest.raises(ValueError, match="cannot be an id"):
        make(wrong)


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_no_id_leads_to_another_path(given_id):
    try:
        path = e.get_connection(given_id).path
    except UnicodeEncodeError:  # half a character
        return
    assert path.startswith("/v1/connections/")
    assert path.count("/") == 3
    assert not set(path) & set("?#\\ \r\n")
    assert path.isascii()
