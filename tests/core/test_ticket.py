"""What a ticket knows about time: which ends are earlier ones, and whose clock shows what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from facts import EARLIER, EARLIER_STILL, T0, at, ticket

MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        pytest.param((None, None), T0, id="nothing had ended: the ticket itself is later than nothing"),
        pytest.param((EARLIER, EARLIER_STILL), T0, id="all ends are older than the ticket"),
        pytest.param((at(3), EARLIER), at(3) + MOMENT, id="a success that the clocks place after the ticket"),
        pytest.param((EARLIER, at(3)), at(3) + MOMENT, id="a failure that the clocks place after the ticket"),
        pytest.param((T0, None), T0 + MOMENT, id="an end in the second of the ticket"),
    ],
)
def test_there_is_a_time_after_every_end_that_had_been(ends, expected):
    success, failure = ends
    assert ticket(succeeded_at=success, failed_at=failure).after_all_earlier == expected


def test_spans_and_moments_are_written_as_json_and_read_back_as_they_were():
    wanted = ticket(timeout=timedelta(minutes=5), reschedule_wait=timedelta(seconds=1.5), failed_at=EARLIER)
    written = wanted.to_json()
    assert (written["timeout"], written["reschedule_wait"]) == (300, 1.5)
    assert type(wanted).from_json(written) == wanted


DAY, WEEK, HOUR = timedelta(days=1), timedelta(days=7), timedelta(hours=1)


@pytest.mark.parametrize(
    ("timeout", "at_most", "historical", "expected"),
    [
        (None, None, False, DAY),
        (None, None, True, WEEK),
        (None, HOUR, False, HOUR),
        (None, HOUR, True, HOUR),
        pytest.param(None, 3 * DAY, False, DAY, id="what a task may take at most lengthens no wait"),
        (None, 3 * DAY, True, 3 * DAY),
        (2 * HOUR, HOUR, False, HOUR),
        (2 * HOUR, 3 * DAY, False, 2 * HOUR),
        (2 * DAY, None, False, 2 * DAY),
    ],
)
def test_a_wait_ends_with_the_shorter_of_its_own_limit_and_that_of_the_task(
    timeout, at_most, historical, expected
):
    waiting = ticket(timeout=timeout, at_most=at_most, historical=historical)
    assert waiting.deadline() == waiting.begun_at + expected
    assert ticket(timeout=timeout, at_most=at_most).deadline(historical=historical) == waiting.deadline()
    assert type(waiting).from_json(waiting.to_json()) == waiting
