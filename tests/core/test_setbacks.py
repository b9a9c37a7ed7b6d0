"""What follows when syncs of many cannot be started: another try, a rest, or giving up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.setbacks import COME_BACK, Setbacks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GONE = FivetranUnreachable("no way there")


def endure(setbacks, name, error, *, may_run=False, now=NOW):
    return setbacks.endure(name, error, now, may_run=may_run)


def carried(setbacks):
    """As the next visit finds it."""
    return Setbacks.from_json(json.loads(json.dumps(setbacks.to_json())))


def test_a_connection_is_tried_at_three_visits_and_then_given_up():
    setbacks = Setbacks()
    for _ in range(2):
        assert endure(setbacks, "a", GONE) is None
        assert setbacks.end_of_visit(NOW, came_to_nothing=False) == ["a"]
        assert setbacks.wake_at(NOW, anything_runs=True) == NOW + COME_BACK
        setbacks = carried(setbacks)
    given_up = endure(setbacks, "a", GONE)
    assert (given_up.status, given_up.error) == ("not_started", "FivetranUnreachable")
    assert setbacks.end_of_visit(NOW, came_to_nothing=False) == []
    assert setbacks.wake_at(NOW, anything_runs=True) is None


def test_what_is_tried_again_is_named_once():
    setbacks = Setbacks()
    endure(setbacks, "a", GONE)
    assert setbacks.end_of_visit(NOW, came_to_nothing=True) == ["a"]
    assert setbacks.end_of_visit(NOW, came_to_nothing=True) == []


def test_one_whose_sync_may_run_is_given_up_as_unknown():
    setbacks = Setbacks()
    assert [endure(setbacks, "a", GONE, may_run=True) for _ in range(2)] == [None, None]
    assert endure(setbacks, "a", GONE, may_run=True).status == "unknown"


def test_many_in_a_row_bring_a_rest_of_a_minute_and_one_that_is_served_ends_the_row():
    setbacks = Setbacks()
    for number in range(7):
        endure(setbacks, f"c{number}", GONE)
    setbacks.started_one()
    endure(setbacks, "d", GONE)
    assert not setbacks.rests(NOW)
    for number in range(7):
        endure(setbacks, f"e{number}", FivetranServerError("502", status=502))
    assert setbacks.rests(NOW)
    assert carried(setbacks).rests(NOW + MINUTE - timedelta(seconds=1))
    assert not carried(setbacks).rests(NOW + MINUTE)


@pytest.mark.parametrize(
    ("wanted", "rest"),
    [(None, MINUTE), (5, MINUTE), (600, timedelta(minutes=10)), (86400, timedelta(hours=1))],
)
def test_a_spent_account_is_left_alone_and_costs_no_connection_a_try(wanted, rest):
    setbacks = Setbacks(key_has_worked=True)
    for _ in range(5):
        assert endure(setbacks, "a", FivetranRateLimited("429", retry_after=wanted)) is None
    setbacks.end_of_visit(NOW, came_to_nothing=True)
    assert setbacks.wake_at(NOW, anything_runs=True) == NOW + rest
    assert setbacks.to_json()["tries"] == {}


def test_ten_visits_in_vain_leave_no_hope():
    setbacks = Setbacks()
    for visit in range(10):
        assert setbacks.hopeless is None, visit
        setbacks = carried(setbacks)
        for number in range(8):
            endure(setbacks, f"c{visit}_{number}", GONE, now=NOW)
        setbacks.end_of_visit(NOW, came_to_nothing=True)
    assert setbacks.hopeless is GONE


def test_a_visit_that_only_rested_counts_neither_way_and_one_that_came_to_something_begins_anew():
    setbacks = Setbacks()
    for number in range(8):
        endure(setbacks, f"c{number}", GONE)
    setbacks.end_of_visit(NOW, came_to_nothing=True)
    rested = carried(setbacks)
    rested.end_of_visit(NOW, came_to_nothing=True)
    assert rested.to_json()["in_vain"] == 1
    served = carried(setbacks)
    served.started_one()
    served.end_of_visit(NOW + MINUTE, came_to_nothing=False)
    assert served.to_json()["in_vain"] == 0


def test_a_key_that_never_worked_ends_the_task_and_one_that_has_is_waited_for():
    refused = FivetranUnauthorized("401")
    setbacks = Setbacks()
    assert endure(setbacks, "a", refused).status == "not_started"
    assert setbacks.fatal is refused
    worked = Setbacks()
    worked.started_one()
    assert endure(worked, "a", refused) is None
    assert worked.fatal is None
    assert worked.rests(NOW)


def test_what_could_not_be_noted_ends_the_task():
    setbacks = Setbacks(key_has_worked=True)
    error = FivetranError("given up")
    assert endure(setbacks, "a", error, may_run=True).status == "unknown"
    assert setbacks.fatal is error


def test_where_nothing_runs_a_visit_follows_within_a_minute():
    assert Setbacks().wake_at(NOW, anything_runs=False) == NOW + MINUTE
    assert Setbacks().wake_at(NOW, anything_runs=True) is None
