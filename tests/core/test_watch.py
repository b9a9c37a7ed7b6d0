"""Waiting for a sync, driven by a script and a clock that jumps: what is asked, when, and what is said."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from airflow_provider_fivetran.core.cadence import Usual
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.protocol import Page
from airflow_provider_fivetran.core.ticket import Aim
from airflow_provider_fivetran.core.verdicts import (
    Cancelled,
    Failed,
    Gone,
    NeverStarted,
    Paused,
    Succeeded,
    TimedOut,
    TriggerAgain,
)
from airflow_provider_fivetran.core.watch import watch
from facts import T0, at, connection, entry, ticket
from scripted import Fivetran

LOOK = "GET c"
HISTORY = "GET c/sync-history"
SYNCING = connection("syncing")
DONE = connection(succeeded_at=at(30))
OUTAGE = FivetranUnreachable("connection refused")
HOUR = 3600.0


REFUSED = FivetranUnauthorized("expired: put a valid key there", status=401)
FORBIDDEN = FivetranForbidden("not for this key", status=403)


def wait(fivetran, wanted=None, **options):
    return fivetran.drive(watch(wanted or ticket(), fivetran.clock, **options))


def until(seconds, before, after):
    """A script that changes at a moment."""
    return lambda now: after if now >= at(seconds) else before


def test_the_common_case_asks_for_each_look_and_once_for_the_history():
    fivetran = Fivetran(look=until(30, SYNCING, DONE), history=(entry("completed", 2, 30),))
    assert isinstance(wait(fivetran), Succeeded)
    assert fivetran.requests[-1] == HISTORY
    assert set(fivetran.requests[:-1]) == {LOOK}
    assert len(fivetran.requests) < 15
    assert fivetran.pauses[0] == pytest.approx(2, abs=0.1)
    assert fivetran.said == ["c: the sync is running"]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (FivetranNotFound("no such route", status=404), Succeeded),
        (FivetranForbidden("not for this key", status=403), Succeeded),
        (FivetranApiError("bad request", status=400), Succeeded),
        ((entry("failure", 2, 30),), Failed),
    ],
    ids=["absent", "forbidden", "refused", "another word than the timestamps"],
)
def test_the_history_has_the_last_word_where_it_exists(history, expected):
    assert isinstance(wait(Fivetran(look=[SYNCING, DONE], history=history)), expected)


def test_a_history_that_is_absent_is_asked_for_once_in_a_wait():
    put_off = connection("rescheduled", succeeded_at=at(20), rescheduled_for=at(5000))
    fivetran = Fivetran(
        look=[SYNCING, connection("syncing", succeeded_at=at(20)), *[SYNCING] * 3, put_off, SYNCING, DONE],
        history=FivetranNotFound("no such route", status=404),
    )
    wait(fivetran)
    assert fivetran.requests.count(HISTORY) == 1


def test_a_history_that_cannot_be_read_is_asked_for_again():
    fivetran = Fivetran(look=[SYNCING, DONE], history=[OUTAGE, OUTAGE, (entry("failure", 2, 30),)])
    assert isinstance(wait(fivetran), Failed)
    assert fivetran.requests.count(HISTORY) == 3


@pytest.mark.parametrize(
    "error",
    [OUTAGE, FivetranServerError("503", status=503), FivetranUnexpectedAnswer("html")],
    ids=["unreachable", "server error", "garbage"],
)
def test_a_history_that_cannot_be_read_three_times_is_gone_without(error):
    fivetran = Fivetran(look=[SYNCING, DONE], history=error)
    assert isinstance(wait(fivetran), Succeeded)
    assert fivetran.requests.count(HISTORY) == 3


def test_a_sensor_goes_without_a_history_at_once():
    fivetran = Fivetran(look=[SYNCING, DONE], history=OUTAGE)
    assert isinstance(wait(fivetran, ticket(Aim.NEXT_END)), Succeeded)
    assert fivetran.requests.count(HISTORY) == 1


def test_a_history_that_cannot_be_read_does_not_carry_a_wait_beyond_its_end():
    fivetran = Fivetran(look=DONE, history=OUTAGE)
    wanted = ticket(timeout=timedelta(hours=1), poll_frequency=timedelta(minutes=50))
    assert isinstance(wait(fivetran, wanted), Succeeded)
    assert fivetran.now <= at(HOUR + 5)


def test_a_key_that_is_refused_at_the_history_is_endured_at_the_connection():
    fivetran = Fivetran(look=[SYNCING, DONE, REFUSED, DONE], history=[REFUSED, (entry("failure", 2, 30),)])
    assert isinstance(wait(fivetran), Failed)
    assert fivetran.requests == [LOOK, LOOK, HISTORY, LOOK, LOOK, HISTORY]
    assert len(fivetran.warnings) == 1


def test_a_long_history_is_read_to_its_end():
    pages = [
        Page((entry("completed", -4000, -3000, "old"),), "second"),
        Page((entry("failure", 2, 30),), None),
    ]
    fivetran = Fivetran(look=[SYNCING, DONE], history=pages)
    assert isinstance(wait(fivetran), Failed)
    assert fivetran.requests.count(HISTORY) == 2


def test_a_history_without_end_is_not_read_for_ever():
    cursors = iter(range(10**6))
    fivetran = Fivetran(look=[SYNCING, DONE], history=lambda _now: Page((), str(next(cursors))))
    assert isinstance(wait(fivetran), Succeeded)
    assert fivetran.requests.count(HISTORY) == 12


def test_an_outage_delays_the_verdict_and_is_said_once_at_its_begin_and_once_at_its_end():
    fivetran = Fivetran(look=[SYNCING, *[OUTAGE] * 6, DONE], history=(entry("completed", 2, 30),))
    assert isinstance(wait(fivetran), Succeeded)
    assert [text for text in fivetran.said if "cannot read" in text] == fivetran.warnings
    assert len(fivetran.warnings) == 1
    assert "connection refused" in fivetran.warnings[0]
    assert [text for text in fivetran.said if "can be read again after" in text] == [fivetran.said[-1]]


def test_two_outages_are_said_twice():
    look = [SYNCING, OUTAGE, SYNCING, OUTAGE, OUTAGE, DONE]
    fivetran = Fivetran(look=look, history=(entry("completed", 2, 30),))
    wait(fivetran)
    assert len(fivetran.warnings) == 2


def test_pauses_grow_in_an_outage_up_to_a_minute():
    fivetran = Fivetran(look=[*[OUTAGE] * 20, DONE], history=(entry("completed", 2, 30),))
    wait(fivetran)
    assert fivetran.pauses == sorted(fivetran.pauses)
    assert (fivetran.pauses[0], fivetran.pauses[-1]) == (pytest.approx(2, abs=0.1), 60)


def test_pauses_in_an_outage_begin_small_again_after_it():
    look = [*[OUTAGE] * 6, SYNCING, OUTAGE, DONE]
    fivetran = Fivetran(look=look, history=(entry("completed", 2, 30),))
    wait(fivetran)
    assert fivetran.pauses[5] >= 60
    assert fivetran.pauses[7] <= 15


def test_an_outage_never_makes_looks_quicker_than_the_user_chose():
    look = [SYNCING, *[OUTAGE] * 3, DONE]
    fivetran = Fivetran(look=look, history=(entry("completed", 2, 30),))
    wait(fivetran, ticket(poll_frequency=timedelta(minutes=20)))
    assert min(fivetran.pauses) >= 1200


@pytest.mark.parametrize(("seconds", "pause"), [(None, 2), (0, 2), (1, 2), (90, 90), (3600, 3600)])
def test_the_pause_that_fivetran_asks_for_is_obeyed(seconds, pause):
    limited = FivetranRateLimited("slow down", retry_after=seconds)
    fivetran = Fivetran(look=[limited, DONE], history=(entry("completed", 2, 30),))
    assert isinstance(wait(fivetran), Succeeded)
    assert fivetran.pauses == [pytest.approx(pause, abs=0.1)]


@pytest.mark.parametrize("seconds", [1e9, 1e15, 1e300])
def test_a_pause_without_sense_ends_with_the_wait(seconds):
    limited = FivetranRateLimited("slow down", retry_after=seconds)
    assert isinstance(wait(Fivetran(look=limited)), TimedOut)


def test_an_outage_ends_with_the_wait():
    fivetran = Fivetran(look=[SYNCING, OUTAGE])
    ended = wait(fivetran, ticket(timeout=timedelta(hours=2)))
    assert isinstance(ended, TimedOut)
    assert "connection refused" in ended.message
    assert fivetran.now == pytest.approx(at(2 * HOUR), abs=timedelta(seconds=1))


def test_an_outage_in_a_historical_sync_may_last_longer_than_a_day():
    fivetran = Fivetran(look=[connection("syncing", is_historical=True), OUTAGE])
    wait(fivetran)
    assert fivetran.now == pytest.approx(at(7 * 24 * HOUR), abs=timedelta(seconds=1))


def test_an_answer_at_the_end_of_an_outage_is_judged_even_at_the_end_of_the_wait():
    over = until(HOUR, OUTAGE, connection(failed_at=at(100)))
    fivetran = Fivetran(look=over, history=(entry("failure", 2, 100),))
    assert isinstance(wait(fivetran, ticket(timeout=timedelta(hours=1))), Failed)


def test_a_deleted_connection_ends_the_wait():
    fivetran = Fivetran(look=[SYNCING, FivetranNotFound("NotFound_Connection", status=404)])
    ended = wait(fivetran)
    assert isinstance(ended, Gone)
    assert "no longer exists" in ended.message


def test_an_answer_that_cannot_get_better_ends_the_wait():
    fivetran = Fivetran(look=[SYNCING, FivetranApiError("400", status=400)])
    with pytest.raises(FivetranApiError):
        wait(fivetran)
    assert fivetran.requests == [LOOK, LOOK]


# --- refused keys ---------------------------------------------------------------------------------------------

refusals = pytest.mark.parametrize("refusal", [REFUSED, FORBIDDEN], ids=["401", "403"])


@refusals
def test_a_refused_key_is_endured_until_another_is_there(refusal):
    look = lambda now: DONE if now >= at(560) else SYNCING if now < at(30) else refusal  # noqa: E731
    fivetran = Fivetran(look=look, history=(entry("completed", 2, 30),))
    assert isinstance(wait(fivetran), Succeeded)
    assert fivetran.warnings == [
        f"c: {refusal}. The sync goes on; its task waits 10 min for a key that works"
    ]
    assert fivetran.said[-1] == "c: Fivetran accepts a key again after 9 min"
    assert [text for text in fivetran.said if "accepts a key" in text] == [fivetran.said[-1]]
    assert len(fivetran.requests) < 30


@refusals
def test_a_refused_key_ends_the_wait_after_ten_minutes(refusal):
    fivetran = Fivetran(look=[SYNCING, refusal])
    with pytest.raises(type(refusal)) as caught:
        wait(fivetran)
    assert caught.value is refusal
    begun = fivetran.asked_at[1]
    lasted = (fivetran.now - begun).total_seconds()
    assert lasted == pytest.approx(600, abs=1)
    assert len(fivetran.warnings) == 1
    assert 10 <= len(fivetran.requests) <= 20


def test_pauses_after_a_refusal_grow_up_to_a_minute():
    fivetran = Fivetran(look=[SYNCING, REFUSED])
    with pytest.raises(FivetranUnauthorized):
        wait(fivetran)
    *growing, last = fivetran.pauses[1:]
    assert growing == sorted(growing)
    assert (growing[0], growing[-1]) == (pytest.approx(2, abs=0.3), 60)
    assert last <= 60


@refusals
def test_a_key_that_never_worked_ends_the_wait_at_once(refusal):
    fivetran = Fivetran(look=refusal)
    with pytest.raises(type(refusal)):
        wait(fivetran, key_has_worked=False)
    assert (fivetran.requests, fivetran.said) == ([LOOK], [])


def test_a_key_that_worked_once_in_a_wait_is_endured():
    fivetran = Fivetran(look=[SYNCING, REFUSED, DONE], history=(entry("completed", 2, 30),))
    assert isinstance(wait(fivetran, key_has_worked=False), Succeeded)


def test_each_refusal_of_a_wait_has_its_own_ten_minutes():
    def look(now):
        return SYNCING if int((now - T0).total_seconds() // 500) % 2 == 0 else REFUSED

    fivetran = Fivetran(look=look)
    assert isinstance(wait(fivetran, ticket(timeout=timedelta(hours=2))), TimedOut)
    assert len(fivetran.warnings) > 3


def test_ten_minutes_count_from_the_first_refusal_through_an_outage():
    fivetran = Fivetran(look=[SYNCING, REFUSED, *[OUTAGE] * 4, REFUSED])
    with pytest.raises(FivetranUnauthorized):
        wait(fivetran)
    assert (fivetran.now - fivetran.asked_at[1]).total_seconds() == pytest.approx(600, abs=1)
    assert [text.partition(": ")[2][:11] for text in fivetran.warnings] == ["expired: pu", "cannot read"]


def test_a_refusal_after_an_outage_has_its_ten_minutes():
    fivetran = Fivetran(look=[SYNCING, *[OUTAGE] * 20, REFUSED])
    with pytest.raises(FivetranUnauthorized):
        wait(fivetran)
    assert (fivetran.now - fivetran.asked_at[21]).total_seconds() == pytest.approx(600, abs=1)


def test_a_wait_that_looks_rarely_looks_once_more_before_a_refusal_ends_it():
    fivetran = Fivetran(look=[SYNCING, REFUSED, DONE], history=(entry("completed", 2, 30),))
    wanted = ticket(poll_frequency=timedelta(minutes=20))
    assert isinstance(wait(fivetran, wanted), Succeeded)
    assert min(fivetran.pauses) >= 1200


def test_a_refusal_does_not_carry_a_wait_beyond_its_end():
    fivetran = Fivetran(look=[SYNCING, REFUSED])
    ended = wait(fivetran, ticket(timeout=timedelta(minutes=5)))
    assert isinstance(ended, TimedOut)
    assert "put a valid key there" in ended.message
    assert fivetran.now == pytest.approx(at(300), abs=timedelta(seconds=1))


def test_only_the_pauses_after_a_refusal_are_held():
    fivetran = Fivetran(look=[SYNCING, OUTAGE, REFUSED, SYNCING, DONE], history=(entry("completed", 2, 30),))
    wait(fivetran)
    assert [pause.held for pause in fivetran.taken] == [False, False, True, False]


def test_a_put_off_under_manual_scheduling_asks_for_a_trigger_when_its_time_has_come():
    put_off = connection("rescheduled", schedule_type="manual", rescheduled_for=at(600))
    fivetran = Fivetran(look=[SYNCING, put_off])
    outcome = wait(fivetran)
    assert isinstance(outcome, TriggerAgain)
    assert outcome.announced == at(600)
    assert at(600) <= fivetran.now <= at(602)
    assert "manual scheduling" in outcome.message


def test_a_put_off_under_the_automatic_schedule_is_waited_out():
    def look(now):
        if now < at(20):
            return SYNCING
        if now < at(4 * HOUR):
            return connection("rescheduled", rescheduled_for=at(4 * HOUR))
        if now < at(4 * HOUR + 45):  # it takes a while to start
            return connection()
        return SYNCING if now < at(5 * HOUR) else connection(succeeded_at=at(5 * HOUR))

    fivetran = Fivetran(look=look, history=FivetranNotFound("none here", status=404))
    assert isinstance(wait(fivetran), Succeeded)
    assert [text for text in fivetran.said if "put the sync off" in text] == [
        "c: Fivetran put the sync off until 2026-11-02 14:00:00 UTC"
    ]


@pytest.mark.parametrize("lag", [0.05, 1, 3])
def test_timestamps_that_follow_the_state_late_do_not_make_a_success_a_cancelled_sync(lag):
    def look(now):
        return SYNCING if now < at(30) else connection(succeeded_at=at(30) if now >= at(30 + lag) else T0)

    fivetran = Fivetran(look=look, history=FivetranNotFound("none here", status=404), latency=0.3)
    wanted = ticket(poll_frequency=timedelta(seconds=2))
    assert isinstance(wait(fivetran, wanted), Succeeded)


def test_a_history_that_shows_our_sync_late_does_not_make_a_success_a_cancelled_sync():
    def look(now):
        return SYNCING if now < at(30) else connection(succeeded_at=at(30) if now >= at(33) else T0)

    fivetran = Fivetran(look=look, history=(), latency=0.3)
    assert isinstance(wait(fivetran, ticket(poll_frequency=timedelta(seconds=2))), Succeeded)


@pytest.mark.parametrize("history", [FivetranNotFound("none here", status=404), ()], ids=["absent", "empty"])
def test_a_sync_that_left_no_trace_was_cancelled(history):
    fivetran = Fivetran(look=[SYNCING, connection()], history=history)
    assert isinstance(wait(fivetran), Cancelled)
    assert fivetran.now < at(30)


def test_a_trigger_without_effect_is_never_started_after_the_time_to_start():
    fivetran = Fivetran(look=connection())
    assert isinstance(wait(fivetran), NeverStarted)
    assert at(HOUR) <= fivetran.now <= at(HOUR + 2)
    # After a minute, for it may have been cancelled before it was seen, and at the end.
    assert fivetran.requests.count(HISTORY) == 2


def test_a_pause_while_waiting_ends_the_wait_when_the_sync_has_stopped():
    stopping = connection("syncing", paused=True)
    fivetran = Fivetran(look=[SYNCING, stopping, connection("paused", paused=True)])
    assert isinstance(wait(fivetran), Paused)
    assert fivetran.said == [
        "c: the sync is running",
        "c: the connection was paused; waiting for its sync to stop",
    ]


def test_what_is_waited_for_is_said_when_it_changes():
    unknown = connection("warming_up")
    fivetran = Fivetran(look=[connection(), connection(), SYNCING, SYNCING, unknown, SYNCING, DONE])
    wait(fivetran)
    assert [text.partition(": ")[2][:24] for text in fivetran.said] == [
        "the trigger was accepted",
        "the sync is running",
        "Fivetran calls its state",
        "the sync is running",
    ]


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wrong_clock_of_ours_changes_no_verdict(hours):
    """Our clock is wrong by hours; the ticket was taken by it and is put right by the first answer."""
    wrong = timedelta(hours=hours)
    ended = connection(succeeded_at=at(60))
    fivetran = Fivetran(
        look=lambda now: ended if now - wrong >= at(60) else connection("syncing"),
        history=OUTAGE,
        now=T0 + wrong,
        ahead=-wrong,
    )
    taken = T0 + wrong
    wanted = ticket(Aim.NEXT_END, taken_at=taken, asked_at=taken, begun_at=taken, by_our_clock=True)
    assert isinstance(wait(fivetran, wanted), Succeeded)
    assert fivetran.now - wrong < at(80)


def test_a_wait_that_was_begun_in_another_process_ends_when_it_would_have_ended_there():
    fivetran = Fivetran(look=SYNCING, now=at(23 * HOUR))
    assert isinstance(wait(fivetran), TimedOut)
    assert fivetran.now == pytest.approx(at(24 * HOUR), abs=timedelta(seconds=1))


# --- how long syncs usually take ------------------------------------------------------------------------------

LONG = until(1200, SYNCING, connection(succeeded_at=at(1200)))
EARLIER_RUNS = tuple(entry("completed", -3600 * n, -3600 * n + 1200, f"s{n}") for n in range(1, 6))
LONG_HISTORY = until(1200, EARLIER_RUNS, (*EARLIER_RUNS, entry("completed", 2, 1200)))


def test_a_wait_that_lasts_asks_once_how_long_syncs_take_and_looks_closely_around_that():
    fivetran, usual = Fivetran(look=LONG, history=LONG_HISTORY), {}
    assert isinstance(wait(fivetran, usual=usual), Succeeded)
    asked = [when for when, what in zip(fivetran.asked_at, fivetran.requests, strict=True) if what == HISTORY]
    assert len(asked) == 2  # how long it takes, and how it ended
    assert at(180) <= asked[0] < at(200)
    looks = [when for when, what in zip(fivetran.asked_at, fivetran.requests, strict=True) if what == LOOK]
    assert max(b - a for a, b in pairwise(looks) if a > at(1200 * 0.9)) < timedelta(seconds=7.2)
    assert set(usual) == {"c"}


@pytest.mark.parametrize(
    ("fields", "usual"),
    [({"poll_frequency": timedelta(seconds=15)}, {}), ({}, {"c": Usual(timedelta(1), timedelta(1))})],
    ids=["the user chose", "known already"],
)
def test_a_wait_does_not_ask_for_what_it_cannot_use(fields, usual):
    fivetran = Fivetran(look=LONG, history=LONG_HISTORY)
    wait(fivetran, ticket(**fields), usual=usual)
    assert fivetran.requests.count(HISTORY) == 1


def test_a_usual_duration_that_cannot_be_had_is_asked_for_once_and_does_no_harm():
    unreadable = FivetranServerError("sorry", status=500)
    fivetran = Fivetran(look=LONG, history=until(600, unreadable, (entry("completed", 2, 1200),)))
    assert isinstance(wait(fivetran), Succeeded)
    assert fivetran.requests.count(HISTORY) == 2
    assert fivetran.warnings == []
