"""Reading Fivetran's JSON: what is missing is tolerated, and what is wrong is named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.models import (
    Account,
    Connection,
    Destination,
    Group,
    Notice,
    SetupTest,
    SyncHistoryEntry,
    Webhook,
    WebhookTest,
    dashboard_link,
)

CONNECTION = {
    "id": "c",
    "group_id": "g",
    "service": "stripe",
    "service_version": 3,
    "schema": "payments",
    "paused": False,
    "sync_frequency": 360,
    "schedule_type": "auto",
    "succeeded_at": "2026-11-02T10:00:00.123456Z",
    "failed_at": None,
    "config": {"secret": "******"},
    "setup_tests": [{"title": "Login", "status": "FAILED", "message": "wrong password"}],
    "status": {
        "setup_state": "connected",
        "sync_state": "rescheduled",
        "update_state": "delayed",
        "is_historical_sync": True,
        "rescheduled_for": "2026-11-02T11:00:00Z",
        "tasks": [{"code": "reconnect", "message": "Reconnect", "details": "expired"}],
        "warnings": [{"code": "late", "message": "Late", "details": None}],
    },
}
ENTRY = {
    "sync_id": "s",
    "status": "COMPLETED",
    "start": "2026-11-02T10:00:00Z",
    "end": None,
    "reason": "because",
    "stages": {
        "extract": {"volume": 1.5},
        "process": {"volume": None},
        "load": {},
        "new_stage": {"volume": 2},
    },
}
TEN = datetime(2026, 11, 2, 10, tzinfo=UTC)


def changed(record, path, value):
    *parents, last = path.split(".")
    record = {**record}
    here = record
    for name in parents:
        here[name] = {**here[name]}
        here = here[name]
    here[last] = value
    return record


def test_a_whole_connection():
    read = Connection.from_json(CONNECTION)
    assert (read.id, read.group_id, read.service, read.schema) == ("c", "g", "stripe", "payments")
    assert (read.paused, read.schedule_type, read.sync_frequency) == (False, "auto", 360)
    assert (read.succeeded_at, read.failed_at) == (TEN.replace(microsecond=123456), None)
    assert (read.status.setup_state, read.status.sync_state, read.status.update_state) == (
        "connected",
        "rescheduled",
        "delayed",
    )
    assert (read.status.is_historical, read.status.rescheduled_for) == (True, TEN.replace(hour=11))
    assert [str(task) for task in read.status.tasks] == ["Reconnect: expired (reconnect)"]
    assert [str(warning) for warning in read.status.warnings] == ["Late (late)"]
    assert [str(test) for test in read.setup_tests] == ["Login: wrong password"]
    assert read.setup_tests[0].has_failed
    assert read.link == "https://fivetran.com/dashboard/connections/c"


def test_a_connection_of_which_only_the_id_is_known():
    read = Connection.from_json({"id": "c"})
    assert (read.succeeded_at, read.failed_at, read.paused) == (None, None, False)
    assert (read.status.sync_state, read.status.is_historical, read.status.tasks) == ("", False, ())
    assert not read.is_syncing
    assert not read.is_at_rest


@pytest.mark.parametrize(
    "path",
    [
        "group_id",
        "service",
        "schema",
        "paused",
        "schedule_type",
        "succeeded_at",
        "failed_at",
        "sync_frequency",
        "setup_tests",
        "status",
        "status.sync_state",
        "status.setup_state",
        "status.update_state",
        "status.is_historical_sync",
        "status.rescheduled_for",
        "status.tasks",
        "status.warnings",
    ],
)
def test_a_field_without_a_value_is_tolerated(path):
    Connection.from_json(changed(CONNECTION, path, None))


TEXTS = ["id", "schedule_type", "succeeded_at", "failed_at", "status.sync_state", "status.setup_state"]
WRONG = [
    *((path, wrong) for path in [*TEXTS, "status.rescheduled_for"] for wrong in (5, True, ["a"], {"a": 1})),
    *((path, wrong) for path in ("paused", "status.is_historical_sync") for wrong in ("false", 0, [], {})),
    *(
        (path, wrong)
        for path in ("status.tasks", "status.warnings", "setup_tests")
        for wrong in ("a", 1, {}, [1])
    ),
    *(("status", wrong) for wrong in ("syncing", [], 1, True)),
    *((path, "soon") for path in ("succeeded_at", "failed_at", "status.rescheduled_for")),
    ("succeeded_at", ""),
    ("succeeded_at", "0001-01-01T00:00:00+14:00"),
    ("failed_at", "9999-12-31T23:59:59-14:00"),
    ("sync_frequency", "360"),
    ("sync_frequency", True),
    ("sync_frequency", 10**400),
    ("id", None),
]


@pytest.mark.parametrize(
    ("path", "wrong"), WRONG, ids=[f"{path}={str(wrong)[:30]!r}" for path, wrong in WRONG]
)
def test_a_value_of_another_type_is_an_error_that_names_the_field(path, wrong):
    with pytest.raises(FivetranUnexpectedAnswer, match=f"'{path.rpartition('.')[2]}'") as caught:
        Connection.from_json(changed(CONNECTION, path, wrong))
    assert "documented" in str(caught.value)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("\u00fcber\n\u2603\t\U0001f600", "\u00fcber\n\u2603\t\U0001f600"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
    ],
)
def test_texts_can_be_stored_and_logged(sent, read):
    """JSON may hold NUL and halves of characters, which no database and no log takes."""
    notice = {"code": sent, "message": sent, "details": sent}
    connection = Connection.from_json({"id": sent, "schema": sent, "status": {"tasks": [notice]}})
    assert (connection.id, connection.schema) == (read, read)
    assert str(connection.status.tasks[0]) == f"{read}: {read} ({read})"
    assert SyncHistoryEntry.from_json({**ENTRY, "reason": sent}).reason == read


def test_words_are_compared_in_lower_case():
    read = Connection.from_json({"id": "c", "schedule_type": "MANUAL", "status": {"sync_state": "SYNCING"}})
    assert (read.schedule_type, read.is_syncing) == ("manual", True)


def test_a_whole_entry_of_the_history():
    read = SyncHistoryEntry.from_json(ENTRY)
    assert (read.sync_id, read.status, read.started_at, read.ended_at) == ("s", "completed", TEN, None)
    assert (read.reason, read.volume_mb) == ("because", {"extract": 1.5, "new_stage": 2})


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("sync_id", None),
        ("sync_id", 5),
        ("status", None),
        ("status", 5),
        ("start", 5),
        ("start", "soon"),
        ("end", {}),
        ("reason", []),
        ("stages", []),
        ("stages.extract", "1.5"),
        ("stages.extract.volume", "1.5"),
        ("stages.extract.volume", 10**400),
        ("stages.extract.volume", float("inf")),
    ],
)
def test_a_wrong_entry_of_the_history_names_the_field(path, wrong):
    with pytest.raises(FivetranUnexpectedAnswer, match=f"'{path.rpartition('.')[2]}'"):
        SyncHistoryEntry.from_json(changed(ENTRY, path, wrong))


@pytest.mark.parametrize(
    ("status", "end", "meaning"),
    [
        ("COMPLETED", "2026-11-02T11:00:00Z", "is_success"),
        ("SUCCESSFUL", "2026-11-02T11:00:00Z", "is_success"),
        ("FAILURE", "2026-11-02T11:00:00Z", "is_failure"),
        ("FAILURE_WITH_TASK", "2026-11-02T11:00:00Z", "is_failure"),
        ("RESCHEDULED", "2026-11-02T11:00:00Z", "is_put_off"),
        ("RESCHEDULED", None, "is_put_off"),
        ("CANCELED", "2026-11-02T11:00:00Z", "is_stopped"),
        ("PAUSED", None, "is_stopped"),
        ("INCOMPLETE", "2026-11-02T11:00:00Z", "is_stopped"),
        ("RUNNING", None, "is_running"),
        ("whatever", None, "is_running"),
        ("whatever", "2026-11-02T11:00:00Z", None),
    ],
)
def test_each_word_of_the_history_means_one_thing(status, end, meaning):
    read = SyncHistoryEntry.from_json({**ENTRY, "status": status, "end": end})
    meanings = ("is_success", "is_failure", "is_put_off", "is_stopped", "is_running")
    assert [name for name in meanings if getattr(read, name)] == ([meaning] if meaning else [])


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        ({"code": "late", "message": "Late"}, "Late (late)"),
        ({"code": "late"}, "late"),
        ({"message": "Late"}, "Late"),
        ({"message": "Late", "details": "by an hour"}, "Late: by an hour"),
        ({"code": "late", "details": ["not", "a", "text"]}, "late"),
        ({}, ""),
    ],
)
def test_notices_in_words(notice, words):
    assert str(Notice.from_json(notice)) == words


def test_a_setup_test_without_a_message_says_its_status():
    assert str(SetupTest.from_json({"title": "Login", "status": "JOB_FAILED"})) == "Login: job_failed"


def test_the_other_records():
    group = Group.from_json({"id": "g", "name": "Warehouse"})
    assert (group.id, group.name) == ("g", "Warehouse")
    account = Account.from_json(
        {"account_id": "a", "account_name": "n", "user_id": None, "system_key_id": "k"}
    )
    assert (account.account_id, account.user_id, account.system_key_id) == ("a", None, "k")
    place = Destination.from_json(
        {"id": "d", "group_id": "g", "service": "snowflake", "setup_status": "CONNECTED"}
    )
    assert (place.id, place.group_id, place.service, place.setup_status) == (
        "d",
        "g",
        "snowflake",
        "connected",
    )
    assert Account.from_json({}).account_id == ""


@pytest.mark.parametrize(
    ("connection_id", "end"),
    [("abc_def", "abc_def"), ("a/b", "a%2Fb"), ("a b", "a%20b"), ("?x=1#y", "%3Fx%3D1%23y"), ("ü", "%C3%BC")],
)
def test_a_link_stays_one_link_whatever_the_id(connection_id, end):
    assert dashboard_link(connection_id) == f"https://fivetran.com/dashboard/connections/{end}"


# The answer in Fivetran's pages on webhooks, of a group.
WEBHOOK = {
    "id": "program_quoth",
    "type": "group",
    "group_id": "g",
    "url": "https://airflow.example/hook?token=abc",
    "events": ["sync_start", "sync_end"],
    "active": True,
    "secret": "******",
    "created_at": "2022-04-29T09:41:08.583Z",
    "created_by": "_airworthy",
}


def test_a_whole_webhook():
    read = Webhook.from_json(WEBHOOK)
    assert (read.id, read.group_id, read.events) == ("program_quoth", "g", ("sync_start", "sync_end"))
    assert (read.is_active, read.is_signed, read.created_by) == (True, True, "_airworthy")
    assert read.created_at == datetime(2022, 4, 29, 9, 41, 8, 583000, tzinfo=UTC)


def test_a_webhook_of_the_account_has_no_group_and_need_not_be_signed():
    read = Webhook.from_json({"id": "w", "type": "account", "group_id": "", "secret": None})
    assert read == Webhook(id="w", url="", events=(), is_active=False)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://airflow.example/hook?token=abc", "https://airflow.example/hook"),
        ("https://user:pass@airflow.example:8443/a/b#part", "https://airflow.example:8443/a/b"),
        ("https://airflow.example?token=a/b@c", "https://airflow.example"),
        ("airflow.example/hook", "airflow.example/hook"),
        ("", ""),
    ],
)
def test_the_address_of_a_webhook_can_be_shown(url, address):
    read = Webhook.from_json(WEBHOOK | {"url": url})
    assert (read.url, read.address) == (url, address)
    assert "token" not in repr(read)


@pytest.mark.parametrize(
    ("field", "wrong"), [("id", None), ("events", "sync_end"), ("events", [1]), ("active", "yes")]
)
def test_a_wrong_webhook_names_the_field(field, wrong):
    with pytest.raises(FivetranUnexpectedAnswer, match=f"'{field}'"):
        Webhook.from_json(WEBHOOK | {field: wrong})


def test_what_became_of_a_test_delivery():
    said = {"succeed": False, "status": 503, "message": "Unavailable"}
    assert WebhookTest.from_json(said) == WebhookTest(has_succeeded=False, status=503, message="Unavailable")
    assert WebhookTest.from_json({"succeed": True}) == WebhookTest(
        has_succeeded=True, status=None, message=""
    )
