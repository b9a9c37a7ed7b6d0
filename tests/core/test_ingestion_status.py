"""What the latest ingestion of a connection was, by what the list and the history show of it."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.core.ingestion_status import status_row, with_history
from airflow_provider_fivetran.core.snapshot_tables import COLUMNS, plain, restored
from facts import at, connection, entry

NAMES = {"users": {"u": "ann@example.com"}, "groups": {"g": "Warehouse"}}


def listed(state="scheduled", *, owner="u", **changes):
    """The row by what the list shows, read at ten o'clock."""
    given = connection(state, **changes)
    row = dict.fromkeys((column.name for column in COLUMNS["connections"]), None) | {
        "name": given.schema,
        "group_id": given.group_id,
        "connected_by": owner,
        "succeeded_at": given.succeeded_at,
        "failed_at": given.failed_at,
    }
    return status_row(given, row, NAMES, at(0))


@pytest.mark.parametrize(
    ("state", "changes", "status", "ended_at"),
    [
        pytest.param("scheduled", {"succeeded_at": None}, "never", None, id="it has never synced"),
        pytest.param("scheduled", {"succeeded_at": at(-60)}, "succeeded", at(-60), id="it only succeeded"),
        pytest.param(
            "scheduled", {"succeeded_at": None, "failed_at": at(-60)}, "failed", at(-60), id="it only failed"
        ),
        pytest.param(
            "scheduled",
            {"succeeded_at": at(-60), "failed_at": at(-90)},
            "succeeded",
            at(-60),
            id="it succeeded after a failure",
        ),
        pytest.param(
            "scheduled",
            {"succeeded_at": at(-90), "failed_at": at(-60)},
            "failed",
            at(-60),
            id="it failed after a success",
        ),
        pytest.param("syncing", {"succeeded_at": at(-60)}, "running", None, id="it is syncing"),
        pytest.param("rescheduled", {"succeeded_at": at(-60)}, "rescheduled", None, id="it was put off"),
    ],
)
def test_without_history_the_list_decides(state, changes, status, ended_at):
    row = listed(state, **changes)
    assert (row["last_status"], row["last_ended_at"]) == (status, ended_at)
    assert (row["last_sync_id"], row["syncs"]) == (None, None)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("completed", "succeeded"),
        ("failure", "failed"),
        ("canceled", "cancelled"),
        ("paused", "cancelled"),
        ("rescheduled", "rescheduled"),
        ("a_word_of_tomorrow", "a_word_of_tomorrow"),
    ],
)
def test_the_newest_entry_of_the_history_decides(word, status):
    entries = [entry("completed", -900, -800, "older"), entry(word, -700, -600, "newest", reason="why")]
    row = with_history(listed(succeeded_at=at(-800)), entries)
    assert (row["last_status"], row["last_sync_id"], row["last_reason"]) == (status, "newest", "why")
    assert (row["last_started_at"], row["last_ended_at"], row["last_seconds"]) == (at(-700), at(-600), 100)


def test_a_sync_that_runs_is_newer_than_all_that_ended():
    row = with_history(
        listed("syncing"), [entry("completed", -90, -80), entry("running", -60, sync_id="runs")]
    )
    assert (row["last_status"], row["last_sync_id"], row["last_seconds"]) == ("running", "runs", None)


@pytest.mark.parametrize("word", ["incomplete", "rescheduled", "a_word_of_tomorrow"])
def test_a_sync_without_an_end_is_not_newer_than_those_that_began_later(word):
    entries = [entry(word, -900, None, "endless"), entry("completed", -90, -80, "newest")]
    for shown in (entries, entries[::-1]):
        row = with_history(listed(succeeded_at=at(-80)), shown)
        assert (row["last_status"], row["last_sync_id"]) == ("succeeded", "newest")


def test_a_sync_that_has_not_begun_is_the_newest():
    entries = [entry("completed", -90, -80), entry("queued", None, None, "waits")]
    assert with_history(listed(succeeded_at=at(-80)), entries)["last_sync_id"] == "waits"


def test_a_sync_that_the_list_shows_running_and_the_history_not_yet_runs():
    row = with_history(listed("syncing"), [entry("completed", -90, -80)])
    assert (row["last_status"], row["last_sync_id"], row["syncs"]) == ("running", None, 1)


def test_a_sync_that_the_list_shows_running_has_ended_when_the_history_is_read():
    row = with_history(listed("syncing"), [entry("completed", -90, 30)])
    assert (row["last_status"], row["last_ended_at"]) == ("succeeded", at(30))


def test_an_end_that_the_history_does_not_show_yet_counts():
    row = with_history(listed(succeeded_at=at(-10)), [entry("failure", -90, -80)])
    assert (row["last_status"], row["last_ended_at"], row["failed_syncs"]) == ("succeeded", at(-10), 1)


def test_an_end_whose_two_records_differ_by_a_moment_is_one_end():
    row = with_history(listed(succeeded_at=at(-79.5)), [entry("completed", -90, -80, "known")])
    assert row["last_sync_id"] == "known"


def test_a_success_of_long_ago_is_told_where_the_history_is_empty():
    row = with_history(listed(succeeded_at=at(-90 * 86_400)), [])
    assert (row["last_status"], row["syncs"], row["failed_syncs"]) == ("succeeded", 0, 0)
    assert (row["mean_seconds"], row["load_mb"]) == (None, None)


def test_the_syncs_of_the_history_are_counted_and_their_times_and_volumes_summed_up():
    entries = [
        entry("completed", -900, -800, "a", volume_mb={"extract": 9.0, "load": 2.0}),
        entry("completed", -700, -500, "b", volume_mb={"load": 3.0}),
        entry("failure", -400, -390, "c"),
        entry("running", -60, None, "d"),
    ]
    row = with_history(listed(), entries)
    assert (row["syncs"], row["failed_syncs"], row["mean_seconds"], row["load_mb"]) == (4, 1, 150, 5.0)


def test_volumes_whose_sum_is_no_number_have_none():
    entries = [entry("completed", -90, -80, name, volume_mb={"load": 1.5e308}) for name in "ab"]
    assert with_history(listed(), entries)["load_mb"] is None


def test_owner_and_destination_have_names_where_these_are_known():
    row = listed()
    assert (row["owner_id"], row["owner_email"], row["destination"]) == ("u", "ann@example.com", "Warehouse")
    assert row["link"] == "https://fivetran.com/dashboard/connections/c"
    stranger = listed(owner=None, group_id="other")
    assert (stranger["owner_id"], stranger["owner_email"], stranger["destination"]) == (None, None, None)


def test_fivetrans_own_words_are_told():
    row = listed(setup_state="broken")
    assert "broken" in row["notices"]
    assert listed()["notices"] is None


def test_a_row_survives_being_put_aside():
    row = listed(rescheduled_for=at(5), succeeded_at=at(-1.5))
    assert restored("latest_status", plain(row)) == row
    assert list(row) == [column.name for column in COLUMNS["latest_status"]]
