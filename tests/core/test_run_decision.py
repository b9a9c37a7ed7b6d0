"""What became of a run of a transformation: one example for each rule, and what holds whatever Fivetran shows."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_fivetran.core import errors
from airflow_provider_fivetran.core.awaited import Aim
from airflow_provider_fivetran.core.events import BrokenOff, write_event
from airflow_provider_fivetran.core.run_decision import TRACE_LAG, RunSeen, deleted, judge_run
from airflow_provider_fivetran.core.run_ticket import CLOCKS_APART, RunTicket
from airflow_provider_fivetran.core.runs import (
    RunEnded,
    RunRecord,
    RunStatus,
    error_of_run,
    read_run_event,
    write_run_event,
)
from airflow_provider_fivetran.core.transformations import Transformation
from airflow_provider_fivetran.core.verdicts import Waiting
from facts import T0, at, run_ticket, transformation

LAG = TRACE_LAG.total_seconds()


def judged(ticket, *looks, now=100.0, since=10.0):
    """The verdict after these looks, of which the last but one was ``since`` seconds after the ticket."""
    seen = None
    for number, look in enumerate(looks):
        when = at(now if number == len(looks) - 1 else since)
        seen = RunSeen.of(ticket, look, when, seen)
    return judge_run(ticket, seen, at(now))


def status_of(verdict):
    return verdict.record.status if isinstance(verdict, RunEnded) else verdict.saying


# --- ours, because it began after the ticket ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status", "is_good"),
    [
        ("succeeded", RunStatus.SUCCEEDED, True),
        ("partially_succeeded", RunStatus.PARTIALLY_SUCCEEDED, False),
        ("failed", RunStatus.FAILED, False),
        ("canceled", RunStatus.CANCELLED, False),
        ("blocked", RunStatus.BLOCKED, False),
    ],
)
@pytest.mark.parametrize("before", [None, -3600.0])
def test_a_run_that_began_after_the_ticket_and_ended_is_judged_by_its_status(word, status, is_good, before):
    ticket = run_ticket(found=transformation("new" if before is None else "succeeded", before, before))
    verdict = judged(ticket, transformation(word, 2, 50))
    assert (verdict.record.status, verdict.is_good) == (status, is_good)
    assert (verdict.record.started_at, verdict.record.ended_at) == (at(2), at(50))


def test_a_partial_success_is_enough_where_the_user_says_so():
    found = transformation("partially_succeeded", 2, 50)
    assert judged(run_ticket(partial_is_enough=True), found).is_good
    assert "when_partially_succeeded" in judged(run_ticket(), found).message


def test_a_blocked_run_is_waited_for_where_the_user_says_so():
    ticket = run_ticket(wait_while_blocked=True)
    assert isinstance(judged(ticket, transformation("blocked", 2, 50)), Waiting)
    assert isinstance(judged(ticket, transformation("blocked")), Waiting)
    blocked_from_the_start = run_ticket(found=transformation("blocked"), wait_while_blocked=True)
    assert isinstance(
        judged(blocked_from_the_start, transformation("blocked"), transformation("blocked")), Waiting
    )


@pytest.mark.parametrize("word", ["scheduling", "running", "terminating"])
def test_a_run_under_way_is_waited_for(word):
    for ticket in (run_ticket(aim) for aim in Aim):
        assert isinstance(judged(ticket, transformation(word, 2)), Waiting)


def test_a_success_from_before_the_ticket_is_not_ours():
    assert isinstance(judged(run_ticket(), transformation()), Waiting)


def test_a_run_of_the_same_beginning_as_the_last_known_is_not_ours():
    found = transformation("succeeded", 0, 5)
    assert isinstance(judged(run_ticket(found=found), found), Waiting)


def test_a_beginning_that_moved_but_is_older_than_the_ticket_is_not_ours():
    assert isinstance(judged(run_ticket(), transformation("succeeded", -60, -30)), Waiting)


@pytest.mark.parametrize("behind", [0, 3])
def test_the_clock_that_dates_runs_may_be_behind_that_of_the_answers(behind):
    found = transformation("succeeded", 0.5 - behind, 1 - behind)
    assert status_of(judged(run_ticket(), found)) is RunStatus.SUCCEEDED


def test_a_status_without_its_end_is_the_status_of_the_run_before():
    """``last_started_at`` may move before the status does."""
    assert isinstance(judged(run_ticket(), transformation("succeeded", 2)), Waiting)


def test_a_failure_whose_end_is_never_noted_is_believed_after_a_while():
    looks = [transformation("running", 2), transformation("failed", 2), transformation("failed", 2)]
    seen = None
    for look, when in zip(looks, (10, 20, 20 + LAG), strict=True):
        seen = RunSeen.of(run_ticket(), look, at(when), seen)
    assert status_of(judge_run(run_ticket(), seen, at(20 + LAG))) is RunStatus.FAILED
    assert isinstance(judge_run(run_ticket(), seen, at(20 + LAG - 1)), Waiting)


# --- before it began ------------------------------------------------------------------------------------------


def test_one_that_is_cancelled_in_the_queue_leaves_only_a_word():
    verdict = judged(run_ticket(), transformation("canceled"), transformation("canceled"), now=10 + LAG)
    assert (status_of(verdict), verdict.record.ended_at) == (RunStatus.CANCELLED, None)
    assert isinstance(judged(run_ticket(), transformation("canceled"), now=11), Waiting)


def test_a_word_that_was_there_before_the_trigger_says_nothing():
    ticket = run_ticket(found=transformation("canceled"))
    assert isinstance(judged(ticket, transformation("canceled"), transformation("canceled")), Waiting)


def test_one_that_was_cancelled_before_and_in_the_queue_again():
    ticket = run_ticket(found=transformation("canceled"))
    seen = RunSeen.of(ticket, transformation("scheduling"), at(5))
    seen = RunSeen.of(ticket, transformation("canceled"), at(10), seen)
    assert status_of(judge_run(ticket, seen, at(10 + LAG))) is RunStatus.CANCELLED


def test_a_transformation_that_stays_blocked_ends_the_wait():
    ticket = run_ticket(found=transformation("blocked"))
    assert (
        status_of(judged(ticket, transformation("blocked"), transformation("blocked"))) is RunStatus.BLOCKED
    )


def test_a_trigger_after_which_nothing_shows_itself_in_time():
    limit = 1 + 3600
    assert isinstance(judged(run_ticket(), transformation(), transformation(), now=limit - 1), Waiting)
    verdict = judged(run_ticket(), transformation(), transformation(), now=limit)
    assert status_of(verdict) is RunStatus.NEVER_STARTED
    assert "within 60 min" in verdict.message


def test_a_long_queue_is_no_trigger_after_which_nothing_shows_itself():
    ticket = run_ticket()
    assert isinstance(
        judged(ticket, transformation("scheduling"), transformation("scheduling"), now=4000), Waiting
    )


# --- attached -------------------------------------------------------------------------------------------------


def test_a_run_that_was_joined_keeps_its_beginning():
    verdict = judged(run_ticket(Aim.RUNNING), transformation("succeeded", -60, 30))
    assert (status_of(verdict), verdict.record.started_at) == (RunStatus.SUCCEEDED, at(-60))


def test_a_run_that_was_joined_in_the_queue_may_begin_later_or_have_begun():
    ticket = run_ticket(Aim.RUNNING, transformation("scheduling"))
    assert status_of(judged(ticket, transformation("succeeded", 5, 30))) is RunStatus.SUCCEEDED
    assert isinstance(judged(ticket, transformation("succeeded")), Waiting)


# --- sensors --------------------------------------------------------------------------------------------------


def test_the_next_end_is_awaited_and_not_the_last():
    ticket = run_ticket(Aim.NEXT_END, transformation())
    assert isinstance(judged(ticket, transformation()), Waiting)
    assert isinstance(judged(ticket, transformation("succeeded", -10, 0)), Waiting)
    assert status_of(judged(ticket, transformation("succeeded", -10, 1))) is RunStatus.SUCCEEDED
    assert status_of(judged(ticket, transformation("failed", -10, 1))) is RunStatus.FAILED


def test_an_end_at_the_very_time_counts_as_completed_after_it():
    ticket = run_ticket(Aim.SUCCESS_AFTER, transformation())
    assert status_of(judged(ticket, transformation("succeeded", -10, 0))) is RunStatus.SUCCEEDED
    assert isinstance(judged(ticket, transformation("succeeded", -10, -1)), Waiting)


def test_a_paused_transformation_is_said_to_be_paused():
    verdict = judged(run_ticket(Aim.NEXT_END, transformation()), transformation(paused=True))
    assert "paused" in verdict.saying


# --- whatever Fivetran shows ----------------------------------------------------------------------------------

many = settings(max_examples=200, deadline=None)
seconds = st.integers(-4000, 4000)
words = st.sampled_from(
    [
        "new",
        "scheduling",
        "running",
        "terminating",
        "succeeded",
        "failed",
        "canceled",
        "blocked",
        "partially_succeeded",
    ]
) | st.text(max_size=8)
found = st.builds(transformation, words, st.none() | seconds, st.none() | seconds, paused=st.booleans())
spans = st.integers(1, 10**8).map(lambda n: timedelta(milliseconds=n))
tickets = st.builds(
    run_ticket,
    st.sampled_from(Aim),
    found,
    taken_at=st.integers(-5, 5).map(at),
    begun_at=st.integers(-5000, 0).map(at),
    triggered_at=st.none() | st.integers(0, 100).map(at),
    timeout=st.none() | spans,
    start_timeout=spans,
    poll_frequency=st.none() | spans,
    partial_is_enough=st.booleans(),
    wait_while_blocked=st.booleans(),
    is_ours=st.booleans(),
)


@st.composite
def waits(draw, wanted=tickets, last=found):
    ticket, now, seen = draw(wanted), at(draw(st.integers(0, 100))), None
    for look in [*draw(st.lists(found, max_size=2)), draw(last)]:
        now += timedelta(seconds=draw(st.sampled_from([0.1, 2, 30, 4000, 90000])))
        seen = RunSeen.of(ticket, look, now, seen)
    return ticket, seen, now


@many
@given(waits())
def test_every_look_has_a_verdict_always_the_same_and_no_wait_outlives_its_deadline(wait):
    ticket, _, now = wait
    verdict = judge_run(*wait)
    assert judge_run(*wait) == verdict
    if isinstance(verdict, Waiting):
        assert now < ticket.deadline()
        assert now < verdict.until <= ticket.deadline()


@many
@given(waits(last=st.builds(transformation, st.just("succeeded"), seconds, st.integers(-4000, -16))))
def test_a_success_older_than_the_ticket_is_never_ours(wait):
    verdict = judge_run(*wait)
    assert not (isinstance(verdict, RunEnded) and verdict.is_good)


@many
@given(waits())
def test_a_success_says_so_and_has_both_its_times_since_the_ticket(wait):
    ticket, seen, _ = wait
    verdict = judge_run(*wait)
    if isinstance(verdict, RunEnded) and verdict.is_good:
        shown = seen.transformation
        assert shown.status in {"succeeded", "partially_succeeded"}
        since = ticket.taken_at - (CLOCKS_APART if ticket.is_of_one_sync else timedelta(0))
        assert since <= shown.ended_at == verdict.record.ended_at
        if ticket.is_of_one_sync:
            assert ticket.ended_at is None or shown.ended_at > ticket.ended_at
        if ticket.aim is Aim.TRIGGERED:
            assert since <= shown.started_at <= shown.ended_at
            assert ticket.started_at is None or shown.started_at > ticket.started_at


@many
@given(waits())
def test_a_run_under_way_is_never_over(wait):
    ticket, seen, now = wait
    if seen.transformation.is_active and now < ticket.deadline():
        assert isinstance(judge_run(*wait), Waiting)


@many
@given(waits())
def test_a_lost_memory_never_makes_a_success_of_a_failure(wait):
    ticket, seen, now = wait
    whole, lost = judge_run(*wait), judge_run(ticket, RunSeen.of(ticket, seen.transformation, now), now)
    if isinstance(whole, RunEnded) and isinstance(lost, RunEnded):
        assert whole.is_good == lost.is_good


# --- what travels ---------------------------------------------------------------------------------------------


@many
@given(tickets)
def test_a_ticket_survives_its_round_trip(ticket):
    assert RunTicket.from_json(json.loads(json.dumps(ticket.to_json()))) == ticket


def test_what_is_no_ticket_is_refused():
    with pytest.raises(ValueError, match="not a ticket"):
        RunTicket.from_json({"transformation_id": "t"})


@pytest.mark.parametrize("status", RunStatus)
def test_each_end_survives_its_round_trip_and_is_a_success_or_an_error_of_its_own(status):
    record = RunRecord(
        transformation_id="t", status=status, name="shop", started_at=T0, ended_at=at(5), reason="why"
    )
    ended = RunEnded(record, "what happened", status is RunStatus.SUCCEEDED)
    assert read_run_event(json.loads(json.dumps(write_run_event(ended)))) == ended
    error = error_of_run(ended)
    if status is RunStatus.SUCCEEDED:
        assert error is None
    else:
        assert isinstance(error, errors.FivetranTransformationError)
        assert (str(error), error.transformation_id) == ("what happened", "t")


def test_the_record_has_the_duration_in_seconds():
    record = RunRecord(transformation_id="t", status=RunStatus.FAILED, started_at=T0, ended_at=at(5))
    assert record.to_json()["duration"] == 5.0


def test_a_wait_that_broke_off_is_read_with_all_that_its_error_knows():
    error = errors.FivetranUnauthorized("no", status=401, transformation_id="t")
    outcome = read_run_event(json.loads(json.dumps(write_event(BrokenOff(error)))))
    assert isinstance(outcome, BrokenOff)
    assert vars(outcome.error) == vars(error)


GOOD = write_run_event(RunEnded(RunRecord(transformation_id="t", status=RunStatus.SUCCEEDED), "well", True))


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        {"verdict": "Succeeded", "record": {}, "message": ""},
        {**GOOD, "is_good": "yes"},
        {**GOOD, "message": 1},
        {**GOOD, "record": None},
        {**GOOD, "record": {**GOOD["record"], "status": "failed"}},
        {**GOOD, "record": {**GOOD["record"], "status": "splendid"}},
        {**GOOD, "record": {**GOOD["record"], "link": 1}},
        {**GOOD, "record": {**GOOD["record"], "ended_at": "soon"}},
        {name: value for name, value in GOOD.items() if name != "is_good"},
    ],
)
def test_a_foreign_event_is_an_error_and_never_a_success(event):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match="does not understand"):
        read_run_event(event)


def test_a_deleted_transformation_is_an_error_that_no_retry_mends():
    error = error_of_run(deleted(run_ticket()))
    assert isinstance(error, errors.FivetranTransformationDeleted)
    assert error.permanent


# --- as Fivetran shows it -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"project_id": "p", "name": "shop", "steps": []}, "shop"),
        ({"package_name": "github", "connection_ids": ["c"]}, "github"),
        (None, ""),
    ],
)
def test_a_transformation_is_read_with_the_name_of_its_kind(config, name):
    data = {"id": "t", "status": "PARTIALLY_SUCCEEDED", "type": "QUICKSTART", "paused": True}
    data |= {"last_started_at": "2026-11-02T10:00:00.000001Z", "output_model_names": ["a"]}
    shown = Transformation.from_json(data | ({"transformation_config": config} if config else {}))
    assert (shown.name, shown.status, shown.paused) == (name, "partially_succeeded", True)
    assert (shown.started_at, shown.ended_at) == (T0 + timedelta(microseconds=1), None)
    assert shown.output_models == ("a",)
