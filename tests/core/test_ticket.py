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
