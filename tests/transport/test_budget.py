"""A budget of requests, as a property of any series of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.transport.budget import Budget

GAP = 3.0


@given(pauses=st.lists(st.floats(0, 100), max_size=60), burst=st.integers(0, 40))
def test_in_any_stretch_no_more_pass_than_the_gap_and_the_burst_allow(pauses, burst):
    budget, now, passed = Budget(burst=burst * GAP), 0.0, []
    for pause in pauses:
        now = max(now + pause, budget.free_at())
        budget.spend(now, GAP)
        passed.append(now)
    for first, begin in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first <= burst + (end - begin) / GAP + 1e-6


def test_a_stretched_gap_is_kept_whatever_burst_is_left():
    budget = Budget(burst=120)
    budget.spend(0, GAP, stretched=24)
    assert budget.free_at() == 24
    budget.spend(24, GAP)
    assert budget.free_at() == 24


def test_closed_it_opens_at_its_time_and_not_before():
    budget = Budget(burst=120)
    budget.close(60)
    budget.close(30)
    budget.spend(0, GAP)
    assert budget.free_at() == 60
