"""The log tells of refusals, however many there are, in few lines."""

from __future__ import annotations

from airflow_provider_fivetran.webhooks.refusals import SECONDS_BETWEEN, Refusals


def test_each_reason_is_said_once_a_minute_with_how_many_there_were(caplog):
    now = 0.0
    refusals = Refusals(lambda: now)
    for _ in range(3):
        refusals.note("unsigned")
        refusals.note("too large")
    now = SECONDS_BETWEEN
    refusals.note("unsigned")
    now = 2 * SECONDS_BETWEEN
    refusals.note("unsigned")
    assert [record.getMessage().removeprefix("Fivetran webhook refused: ") for record in caplog.records] == [
        "unsigned",
        "too large",
        "unsigned (3 of them since this was said last)",
        "unsigned",
    ]
