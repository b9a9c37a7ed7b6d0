"""What a body says happened, and what it may not make us believe."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core.verdicts import SyncRecord
from airflow_provider_fivetran.webhooks.deliveries import (
    LONGEST_REASON,
    Ignored,
    Probe,
    SyncEnded,
    TransformationTold,
    read_delivery,
)
from webhook_bodies import CAPTURED, delivery

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def uris(body: bytes) -> set[str]:
    ended = read_delivery(body)
    assert isinstance(ended, SyncEnded)
    return {subject.uri for subject in ended.subjects("api.fivetran.com")}


def test_a_captured_delivery_is_read():
    ended = read_delivery(CAPTURED)
    assert isinstance(ended, SyncEnded)
    assert ended.told_at == datetime(2026, 5, 22, 0, 6, 8, 638000, tzinfo=UTC)
    assert ended.record == SyncRecord(
        connection_id="speak_menial",
        status="succeeded",
        link="https://fivetran.com/dashboard/connections/speak_menial",
        sync_id="0c7a1a2e-6f0a-4f39-9d0c-5b0a4a6f4f11",
        ended_at=ended.told_at,
    )


def test_a_success_is_one_of_the_connection_its_group_and_the_account():
    assert uris(CAPTURED) == {
        "fivetran://api.fivetran.com/speak_menial",
        "fivetran://api.fivetran.com/groups/projected_sickle",
        "fivetran://api.fivetran.com/account",
    }


@pytest.mark.parametrize(
    "status", ["FAILED", "FAILURE", "FAILURE_WITH_TASK", "RESCHEDULED", "CANCELED", "CANCELLED"]
)
def test_any_other_end_is_a_failure_of_the_same_three(status):
    assert uris(delivery(status=status)) == {
        "fivetran://api.fivetran.com/failures/speak_menial",
        "fivetran://api.fivetran.com/failures/groups/projected_sickle",
        "fivetran://api.fivetran.com/failures/account",
    }


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("SUCCESSFUL", "succeeded"),
        ("COMPLETED", "succeeded"),
        ("FAILURE_WITH_TASK", "failed"),
        ("RESCHEDULED", "rescheduled"),
        ("CANCELED", "cancelled"),
        ("PARTLY_DONE", "failed"),
        (None, "failed"),
    ],
)
def test_the_status_is_put_into_our_words(status, ours):
    assert read_delivery(delivery(status=status)).record.status == ours


def test_an_end_without_a_known_word_says_so():
    assert (
        read_delivery(delivery(status="PARTLY_DONE")).record.reason
        == "Fivetran's word for this end is 'PARTLY_DONE'"
    )
    assert read_delivery(delivery(data=None)).record.reason == "Fivetran does not say how it ended"


def test_a_reason_and_a_task_are_told():
    body = delivery(status="FAILURE_WITH_TASK", details={"reason": "no  such\nhost", "taskType": "reconnect"})
    assert read_delivery(body).record.reason == "no such host; task reconnect"


def test_a_put_off_sync_says_until_when():
    body = delivery(
        status="RESCHEDULED", details={"reason": "quota", "rescheduledAt": "2026-05-22T03:00:00Z"}
    )
    record = read_delivery(body).record
    assert record.rescheduled_for == datetime(2026, 5, 22, 3, tzinfo=UTC)
    assert record.reason == "quota"


def test_long_and_odd_texts_are_cut_and_cleaned():
    body = delivery(status="FAILED", details={"reason": "\0\ud800" + "x" * 5000})
    reason = read_delivery(body).record.reason
    assert len(reason) == LONGEST_REASON
    assert "\0" not in reason
    reason.encode()


def test_deliveries_of_one_end_have_one_identity_and_other_ends_have_others():
    body = delivery(sync_id="s1")
    same = read_delivery(body).identity
    assert read_delivery(body).identity == same
    others = [
        delivery(sync_id="s2"),
        delivery(sync_id="s1", connector_id="other"),
        delivery(sync_id="s1", status="RESCHEDULED"),
        delivery(sync_id=None, created="2026-05-22T00:06:08Z"),
        delivery(sync_id=None, created="2026-05-22T00:06:09Z"),
    ]
    assert len({same, *(read_delivery(other).identity for other in others)}) == 6


def test_the_record_survives_the_way_through_the_event():
    record = read_delivery(
        delivery(status="RESCHEDULED", details={"rescheduledAt": "2026-05-22T03:00:00Z"})
    ).record
    assert SyncRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("event", ["sync_end", "sync_start", "transformation_start", "anything"])
def test_the_connection_that_fivetran_makes_up_is_a_test(event):
    assert read_delivery(delivery(event, connector_id="_connection_1")) == Probe()


@pytest.mark.parametrize("family", ["dbt_run", "transformation", "transformation_run"])
@pytest.mark.parametrize("what", ["start", "succeeded", "failed"])
def test_transformations_are_known_under_all_their_names(family, what):
    assert read_delivery(delivery(f"{family}_{what}")) == TransformationTold(what)


@pytest.mark.parametrize(
    "event",
    ["sync_start", "status", "create_connector", "resync_table", "an_event_of_2031", "transformation_paused"],
)
def test_other_events_are_ignored(event):
    assert read_delivery(delivery(event)) == Ignored(event)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b'{"event":"sync_end"', "not JSON"),
        (b'{"event":NaN}', "not JSON"),
        (b"[" * 65000, "not JSON"),
        (b'{"a":' * 10000, "not JSON"),
        (b'{"event":' + b"9" * 60000 + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "'event'"),
        (b'{"event":7}', "'event'"),
        (b'{"event":"<script>"}', "'event'"),
        (delivery(connector_id=None), "'connector_id' is missing"),
        (delivery(connector_id=7), "'connector_id' is not an id"),
        (delivery(connector_id="../admin"), "'connector_id' is not an id"),
        (delivery(connector_id="x" * 101), "'connector_id' is not an id"),
        (delivery(connector_id="account"), "nothing at Fivetran has"),
        (delivery(connector_id="groups"), "nothing at Fivetran has"),
        (delivery(destination_group_id="a/b"), "'destination_group_id' is not an id"),
        (delivery(sync_id=["s"]), "'sync_id' is not an id"),
        (delivery(created=None), "'created' is not a time"),
        (delivery(created="yesterday"), "'created' is not a time"),
        (delivery(created=1716336368), "'created' is not a time"),
    ],
)
def test_what_cannot_be_right_is_refused_and_not_repeated(body, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_delivery(body)
    assert "admin" not in str(caught.value)
    assert "script" not in str(caught.value)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body):
    with suppress(ValueError):
        read_delivery(body)


@given(
    st.fixed_dictionaries(
        {"event": st.sampled_from(["sync_end", "dbt_run_start"]) | ANYTHING},
        optional=dict.fromkeys(
            ["created", "connector_id", "sync_id", "destination_group_id", "data"], ANYTHING
        ),
    )
)
def test_any_json_is_read_or_refused(data):
    with suppress(ValueError):
        read_delivery(json.dumps(data).encode())


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["status", "reason", "taskType", "rescheduledAt"], ANYTHING)
    )
)
def test_whatever_the_details_say_the_record_can_be_stored(details):
    record = read_delivery(delivery(status=None, details=details, created="2026-05-22T00:06:08Z")).record
    json.dumps(record.to_json(), allow_nan=False).encode()
    assert len(record.reason or "") <= LONGEST_REASON
