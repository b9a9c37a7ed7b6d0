"""When to look next: the promises of the cadence, for any sync, any budget and any chance."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core.cadence import (
    Usual,
    chance_of,
    pause_after_failed_reads,
    pause_between_looks,
    pause_for_the_budget,
    usual_of,
)
from facts import at, entry

spans = st.floats(0, 7 * 86400).map(lambda seconds: timedelta(seconds=seconds))
chances = st.floats(0, 1)
budgets = st.none() | st.integers(0, 30_000)
usuals = st.none() | st.tuples(spans, spans).map(lambda pair: Usual(min(pair), max(pair)))


def seconds(age, usual=None, **known):
    """The pause at an age, both in seconds; ``usual`` as a pair of seconds."""
    span = None if usual is None else Usual(*(timedelta(seconds=end) for end in usual))
    pause = pause_between_looks(timedelta(seconds=age), None, usual=span, **known)
    return pytest.approx(pause.total_seconds(), abs=0.01)


@pytest.mark.parametrize(("age", "pause"), [(0, 2), (30, 4), (60, 6), (195, 15), (86400, 15)])
def test_of_an_unknown_sync_the_first_looks_come_quickly(age, pause):
    assert seconds(age) == pause


@pytest.mark.parametrize(
    ("age", "pause"),
    [
        pytest.param(0, 15, id="sparse at first"),
        pytest.param(1500, 15, id="sparse in the middle"),
        pytest.param(2035, 7, id="when the usual end draws near"),
        pytest.param(2400, 7, id="close around the usual end"),
        pytest.param(2760 + 50, 12, id="less and less often when it overruns"),
        pytest.param(86400, 15, id="as any other when it overruns by far"),
    ],
)
def test_of_a_sync_that_usually_takes_forty_minutes(age, pause):
    assert seconds(age, (2400, 2400)) == pause


def test_of_a_sync_that_usually_takes_half_a_minute():
    looks, age = [], 0.0
    while age < 60:
        age += pause_between_looks(
            timedelta(seconds=age), None, usual=Usual(timedelta(seconds=27), timedelta(seconds=33))
        ).total_seconds()
        looks.append(age)
    around = [look for look in looks if 22 <= look <= 38]
    assert max(b - a for a, b in pairwise(around)) <= 1.6
    assert len(looks) < 30


@given(age=spans, usual=usuals, chance=chances)
def test_it_is_never_worse_than_looking_every_15_seconds(age, usual, chance):
    pause = pause_between_looks(age, None, usual=usual, chance=chance)
    assert timedelta(seconds=1.3) <= pause <= timedelta(seconds=15)


@given(age=spans, chosen=spans, usual=usuals, left=budgets, chance=chances)
def test_the_choice_of_the_user_is_a_floor(age, chosen, usual, left, chance):
    pause = pause_between_looks(age, chosen, usual=usual, requests_left=left, chance=chance)
    assert pause == max(chosen, pause_for_the_budget(1, left))


@given(start=st.integers(100, 20_000), others=st.integers(0, 100))
def test_looking_alone_never_uses_up_the_hour(start, others):
    """However many requests the account has left, and though others take some too."""
    left, passed = float(start), 0.0
    while passed < 3600:
        pause = pause_between_looks(timedelta(seconds=passed), None, requests_left=int(left))
        passed += pause.total_seconds()
        left -= 1 + (others / 100 if left > others else 0)
    assert left > 0


@given(left=st.integers(0, 30_000), reserved=st.integers(0, 10_000))
def test_the_less_is_left_the_longer_the_pause_and_there_is_always_another_look(left, reserved):
    pause = pause_for_the_budget(1, left, reserved=reserved)
    assert pause >= pause_for_the_budget(1, left + 1000, reserved=reserved)
    assert pause <= pause_for_the_budget(1, left, reserved=reserved + 1000)
    assert timedelta(0) < pause <= timedelta(minutes=5)


def test_without_word_of_the_budget_nothing_is_stretched():
    assert pause_for_the_budget(5, None) == timedelta(0)


def test_of_the_history_the_latest_good_syncs_count():
    entries = [
        entry("completed", -90_000, -80_000),  # the sixth latest
        *(entry("completed", -1000 * n, -1000 * n + 100 + n) for n in range(1, 6)),
        entry("failure", -50, -49),
        entry("completed", None, -10),
        entry("syncing", -5),
    ]
    usual = usual_of(entries)
    assert (usual.shortest, usual.longest) == (timedelta(seconds=101), timedelta(seconds=105))


def test_what_was_known_before_counts_as_long_as_it_is_among_the_latest():
    before = usual_of([entry("completed", -1000 * n, -1000 * n + 100 + n) for n in range(2, 7)])
    usual = usual_of([entry("completed", -1000, -990)], before)
    assert (usual.shortest, usual.longest) == (timedelta(seconds=10), timedelta(seconds=105))
    assert usual_of([], usual) == usual


def test_a_history_without_good_syncs_tells_nothing():
    assert usual_of([entry("failure", -50, -49), entry("syncing", -5)]) is None


def test_a_sync_that_ended_before_it_began_does_not_count():
    assert usual_of([entry("completed", -5, -10)]) is None


def test_chance_spreads_the_looks_of_connections_and_is_repeatable():
    drawn = [chance_of(f"connection_{number}", at(0)) for number in range(1000)]
    assert drawn == [chance_of(f"connection_{number}", at(0)) for number in range(1000)]
    assert all(0 <= chance <= 1 for chance in drawn)
    assert 0.45 < sum(drawn) / 1000 < 0.55
    assert chance_of("c", at(0)) != chance_of("c", at(2))


@pytest.mark.parametrize(
    ("failures", "usual", "asked", "pause"),
    [
        (1, 2, None, 2),
        (2, 2, None, 4),
        (40, 2, None, 60),
        (1, 90, None, 90),
        (1, 2, 600, 600),
        (6, 2, 5, 5),
        (1, 2, 1, 2),
        (1, 2, 1e12, 86400),
    ],
)
def test_after_failed_reads(failures, usual, asked, pause):
    assert pause_after_failed_reads(failures, timedelta(seconds=usual), asked) == timedelta(seconds=pause)
