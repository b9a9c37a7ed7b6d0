"""Schedules: how they are said, what Fivetran shows, and which fields of a change make one so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.setups import Setup
from airflow_provider_fivetran.core.sync_schedule import DAYS, SyncSchedule

MANUAL = SyncSchedule.of("manual")
HOURLY = SyncSchedule.of({"interval": 60})
DAILY = SyncSchedule.of({"time_of_day": "06:00"})
WEEKLY = SyncSchedule.of({"time_of_day": "06:00", "days_of_week": ["MONDAY"]})
CRON = SyncSchedule.of({"cron": "0 6 * * 1-5"})
FLEXIBLE_HOURLY = {"schedule": {"schedule_type": "INTERVAL", "interval": 60}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"interval": timedelta(hours=1)}, {"interval": 60}, id="an interval in another unit"),
        pytest.param(timedelta(hours=1), {"interval": 60}, id="a bare timedelta"),
        pytest.param({"cron": " 0  6 * * 1-5 "}, {"cron": "0 6 * * 1-5"}, id="blanks in a cron expression"),
        pytest.param(
            {"time_of_day": "06:00", "days_of_week": list(DAYS)},
            {"time_of_day": "06:00"},
            id="all days of the week",
        ),
        pytest.param(
            {"time_of_day": "06:00", "days_of_week": ["friday", "MONDAY", "FRIDAY"]},
            {"time_of_day": "06:00", "days_of_week": ["MONDAY", "FRIDAY"]},
            id="days in another order",
        ),
    ],
)
def test_the_same_said_in_two_ways_is_the_same(one, other):
    assert SyncSchedule.of(one) == SyncSchedule.of(other)


@pytest.mark.parametrize(
    "value", ["auto", "", 60, None, [], {}, {"every": 5}, {"interval": True}, {"interval": "60"}]
)
def test_what_is_no_schedule_is_refused_with_what_is_allowed(value):
    with pytest.raises(ValueError, match=r"schedule is .*; allowed are"):
        SyncSchedule.of(value)


@pytest.mark.parametrize(
    ("shown", "schedule"),
    [
        pytest.param({"schedule_type": "manual", "sync_frequency": 60}, MANUAL, id="manual stands above all"),
        pytest.param({"schedule_type": "auto", "sync_frequency": 60}, HOURLY, id="the frequency alone"),
        pytest.param(
            {
                "sync_frequency": 1440,
                "daily_sync_time": "06:00",
                "schedule": {"schedule_type": "INTERVAL", "interval": 1440},
            },
            DAILY,
            id="a day and its hour",
        ),
        pytest.param(
            {"sync_frequency": None, "schedule": {"schedule_type": "CRON", "cron": "0 6 * * 1-5"}},
            CRON,
            id="cron",
        ),
        pytest.param(
            {
                "schedule": {
                    "schedule_type": "TIME_OF_DAY",
                    "time_of_day": "06:00",
                    "days_of_week": list(DAYS),
                }
            },
            DAILY,
            id="a time of day on every day",
        ),
        pytest.param(
            {
                "schedule": {
                    "schedule_type": "TIME_OF_DAY",
                    "time_of_day": "06:00",
                    "days_of_week": ["MONDAY"],
                }
            },
            WEEKLY,
            id="a time of day on some days",
        ),
        pytest.param(
            {"schedule": {"schedule_type": "LUNAR"}}, None, id="a kind that is newer than this code"
        ),
    ],
)
def test_what_fivetran_shows_is_read(shown, schedule):
    assert Setup.from_json({"id": "c", **shown}).schedule == schedule


@pytest.mark.parametrize(
    ("wanted", "now", "changes"),
    [
        pytest.param(MANUAL, CRON, {"schedule_type": "manual"}, id="manual ends whatever there is"),
        pytest.param(HOURLY, MANUAL, {"schedule_type": "auto", "sync_frequency": 60}, id="by the frequency"),
        pytest.param(HOURLY, CRON, FLEXIBLE_HOURLY, id="only a flexible one ends a flexible one"),
        pytest.param(
            DAILY,
            HOURLY,
            {"schedule_type": "auto", "sync_frequency": 1440, "daily_sync_time": "06:00"},
            id="a full hour each day",
        ),
        pytest.param(
            SyncSchedule.of({"time_of_day": "06:30"}),
            HOURLY,
            {
                "schedule": {
                    "schedule_type": "TIME_OF_DAY",
                    "time_of_day": "06:30",
                    "days_of_week": list(DAYS),
                }
            },
            id="half past each day",
        ),
        pytest.param(CRON, HOURLY, {"schedule": {"schedule_type": "CRON", "cron": "0 6 * * 1-5"}}, id="cron"),
    ],
)
def test_the_fields_that_every_account_has_are_used_where_they_can_say_it(wanted, now, changes):
    assert wanted.changes(now) == changes


def test_what_was_not_taken_plainly_is_said_with_the_other_field():
    assert HOURLY.changes(HOURLY, plainly=False) == FLEXIBLE_HOURLY
