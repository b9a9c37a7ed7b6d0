"""Which entry of the sync history is the awaited sync, where the seconds around the look leave room for doubt."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.core.history import awaited_entry
from facts import at, entry, ticket


@pytest.mark.parametrize(
    ("wanted", "entries", "expected"),
    [
        pytest.param(
            ticket(triggered_at=at(0)),
            (entry("canceled", -1, 0.2),),
            None,
            id="a sync that was cancelled right before the look is not ours, though it ended in its second",
        ),
        pytest.param(
            ticket(triggered_at=at(0)),
            (entry("canceled", -1, 0.2, "before"), entry("running", 2)),
            "ours",
            id="nor does it hide ours",
        ),
        pytest.param(
            ticket(),
            (entry("running", -1),),
            "ours",
            id="a sync that runs is ours, though by the clock of the history it began before the look",
        ),
        pytest.param(
            ticket(),
            (entry("completed", -1, 1.5),),
            "ours",
            id="so is one that outlived the second of the look",
        ),
        pytest.param(
            ticket(),
            (entry("canceled", 0.1, 0.9),),
            "ours",
            id="so is one that began in that second and was cancelled at once",
        ),
    ],
)
def test_which_sync_is_ours_in_the_second_of_the_look(wanted, entries, expected):
    found = awaited_entry(wanted, entries)
    assert (found and found.sync_id) == expected
