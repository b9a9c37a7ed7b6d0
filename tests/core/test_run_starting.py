"""Starting, watching and cancelling a run: what is sent to Fivetran, and what is not, whatever is lost on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.awaited import Aim
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranForbidden,
    FivetranNotFound,
    FivetranServerError,
    FivetranTransformationRunning,
    FivetranTransformationTimeout,
    FivetranTriggerUncertain,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.run_starting import (
    RunOrder,
    RunSkipped,
    RunStarted,
    start_run,
    take_up_run,
)
from airflow_provider_fivetran.core.run_watch import cancel_run, watch_run
from airflow_provider_fivetran.core.runs import RunStatus
from facts import T0, at, run_ticket, transformation
from scripted import Fivetran

RUN = 'POST t/run {"full_refresh": false}'
CANCEL = "POST t/cancel {}"
LOOK = "GET t"
IDLE = transformation()
RUNS = transformation("running", -60)
LOST = FivetranUnreachable("lost", maybe_received=True)


def order(**changes):
    return RunOrder(transformation_id="t", **changes)


class Kept(list):
    """What a start said about how far it had come."""

    def __call__(self, progress):
        self.append(progress)


def started(fivetran, kept=None, *, begun_at=None, **changes):
    keep = Kept() if kept is None else kept
    return fivetran.drive(start_run(order(**changes), fivetran.clock, begun_at=begun_at, keep=keep))


# --- idle -----------------------------------------------------------------------------------------------------


def test_an_idle_transformation_takes_a_look_and_a_trigger():
    fivetran, kept = Fivetran(look=IDLE), Kept()
    begun = started(fivetran, kept)
    assert fivetran.requests == [LOOK, RUN]
    assert (begun.ticket.aim, begun.ticket.is_ours, begun.then_start_ours) == (Aim.TRIGGERED, True, False)
    assert begun.ticket.started_at == IDLE.started_at
    before, after = kept
    assert (before.unanswered, before.comes_before_a_change) == (True, True)
    assert (after.unanswered, after.ticket) == (False, begun.ticket)


def test_a_full_refresh_is_asked_for():
    fivetran = Fivetran(look=IDLE)
    started(fivetran, full_refresh=True)
    assert fivetran.requests[-1] == 'POST t/run {"full_refresh": true}'


def test_the_policies_travel_with_the_ticket():
    ticket = started(
        Fivetran(look=IDLE),
        when_partially_succeeded="succeed",
        when_blocked="wait",
        timeout=timedelta(hours=2),
        poll_frequency=timedelta(seconds=3),
    ).ticket
    assert (ticket.partial_is_enough, ticket.wait_while_blocked) == (True, True)
    assert (ticket.timeout, ticket.poll_frequency) == (timedelta(hours=2), timedelta(seconds=3))


def test_a_refusal_leaves_nothing_to_go_on_with():
    kept = Kept()
    with pytest.raises(FivetranForbidden):
        started(Fivetran(look=IDLE, run=FivetranForbidden("no")), kept)
    assert kept[-1].ticket is None


def test_a_start_that_comes_too_late_starts_nothing():
    fivetran = Fivetran(look=IDLE)
    with pytest.raises(FivetranTransformationTimeout, match="nothing was started"):
        started(fivetran, begun_at=T0 - timedelta(hours=3), timeout=timedelta(hours=2))
    assert fivetran.requests == [LOOK]


# --- one runs already -----------------------------------------------------------------------------------------


def test_by_default_it_is_taken_as_ours_and_nothing_is_sent():
    fivetran = Fivetran(look=RUNS)
    begun = started(fivetran)
    assert fivetran.requests == [LOOK]
    assert (begun.ticket.aim, begun.ticket.is_ours, begun.then_start_ours) == (Aim.RUNNING, False, False)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"when_running": "queue"}, RUNS),
        ({"full_refresh": True}, RUNS),
        ({"full_refresh": True, "maybe_started": True}, RUNS),
        ({}, transformation("terminating", -60)),
        ({"maybe_started": True}, transformation("terminating", -60)),
    ],
)
def test_it_is_waited_for_and_ours_comes_after_it(changes, found):
    fivetran = Fivetran(look=found)
    begun = started(fivetran, **changes)
    assert fivetran.requests == [LOOK]
    assert (begun.ticket.aim, begun.ticket.is_ours, begun.then_start_ours) == (Aim.RUNNING, False, True)


def test_it_is_cancelled_and_ours_is_started_once_it_has_stopped():
    stopped = transformation("canceled", -60, 3)
    fivetran = Fivetran(look=[RUNS, RUNS, transformation("terminating", -60), stopped])
    begun = started(fivetran, when_running="restart")
    assert fivetran.requests == [LOOK, LOOK, CANCEL, LOOK, LOOK, LOOK, RUN]
    assert (begun.ticket.aim, begun.ticket.status) == (Aim.TRIGGERED, "canceled")


def test_one_that_will_not_stop_is_waited_for():
    fivetran = Fivetran(look=RUNS)
    begun = started(fivetran, when_running="restart")
    assert begun.then_start_ours
    assert RUN not in fivetran.requests
    assert fivetran.requests.count(CANCEL) == 1


def test_it_is_an_error_or_a_reason_to_skip():
    with pytest.raises(FivetranTransformationRunning, match="when_running is 'fail'"):
        started(Fivetran(look=RUNS), when_running="fail")
    assert isinstance(started(Fivetran(look=RUNS), when_running="skip"), RunSkipped)


@pytest.mark.parametrize("when_running", ["attach", "queue", "restart", "fail", "skip"])
def test_one_that_an_earlier_try_may_have_started_is_neither_doubled_nor_cancelled(when_running):
    fivetran = Fivetran(look=RUNS)
    begun = started(fivetran, when_running=when_running, maybe_started=True)
    assert fivetran.requests == [LOOK]
    assert (begun.ticket.aim, begun.ticket.is_ours, begun.then_start_ours) == (Aim.RUNNING, True, False)


# --- one begins between the look and the trigger --------------------------------------------------------------


def test_a_conflict_with_a_run_that_just_began_is_judged_by_the_same_policy():
    kept = Kept()
    fivetran = Fivetran(look=[IDLE, RUNS], run=FivetranConflict("runs"))
    begun = started(fivetran, kept)
    assert fivetran.requests == [LOOK, RUN, LOOK, LOOK]
    assert begun.ticket.aim is Aim.RUNNING
    assert kept[1].ticket is None
    with pytest.raises(FivetranTransformationRunning):
        started(Fivetran(look=[IDLE, RUNS], run=FivetranConflict("runs")), when_running="fail")


def test_a_conflict_without_a_run_is_an_error():
    with pytest.raises(FivetranConflict):
        started(Fivetran(look=IDLE, run=FivetranConflict("it is paused")))


# --- the answer is lost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [LOST, FivetranServerError("500", status=500)])
@pytest.mark.parametrize(
    "shown",
    [transformation("scheduling"), transformation("running", 1), transformation("succeeded", 1, 2)],
)
def test_a_trigger_that_took_is_not_sent_again(lost, shown):
    fivetran = Fivetran(look=[IDLE, shown], run=lost)
    begun = started(fivetran)
    assert fivetran.requests == [LOOK, RUN, LOOK]
    assert begun.ticket.is_ours


def test_a_trigger_that_did_not_take_is_sent_again():
    fivetran = Fivetran(look=IDLE, run=[LOST, None])
    started(fivetran)
    assert fivetran.requests.count(RUN) == 2
    assert sum(fivetran.pauses) >= 15


def test_a_trigger_that_took_late_is_recognised_by_the_conflict():
    late = [IDLE] * 6 + [transformation("running", 20)]
    fivetran = Fivetran(look=late, run=[LOST, FivetranConflict("runs")])
    begun = started(fivetran)
    assert fivetran.requests.count(RUN) == 2
    assert (begun.ticket.aim, begun.ticket.is_ours) == (Aim.TRIGGERED, True)


def test_doubt_that_nothing_resolves_is_said():
    kept = Kept()
    with pytest.raises(FivetranTriggerUncertain, match="look there"):
        started(Fivetran(look=IDLE, run=LOST), kept)
    assert kept[-1].unanswered


# --- taken up by another process ------------------------------------------------------------------------------


def taken_up(fivetran, ticket, *, unanswered=True):
    begun = RunStarted(ticket=ticket)
    return fivetran.drive(take_up_run(order(), begun, fivetran.clock, unanswered=unanswered, keep=Kept()))


def test_a_known_trigger_is_not_looked_for():
    fivetran = Fivetran(look=IDLE)
    assert taken_up(fivetran, run_ticket(), unanswered=False).ticket == run_ticket()
    assert fivetran.requests == []


@pytest.mark.parametrize("shown", [transformation("scheduling"), transformation("succeeded", 1, 2)])
def test_a_trigger_that_was_sent_is_found(shown):
    fivetran = Fivetran(look=shown, now=at(60))
    assert taken_up(fivetran, run_ticket()).ticket.triggered_at == at(1)
    assert fivetran.requests == [LOOK]


def test_a_trigger_that_was_not_sent_is_sent():
    fivetran = Fivetran(look=IDLE, now=at(60))
    taken_up(fivetran, run_ticket())
    assert fivetran.requests.count(RUN) == 1


def test_too_late_nothing_is_triggered():
    fivetran = Fivetran(look=IDLE, now=at(3601))
    taken_up(fivetran, run_ticket(timeout=timedelta(hours=1)))
    assert fivetran.requests == []


# --- waiting --------------------------------------------------------------------------------------------------


def test_a_wait_looks_until_the_run_has_ended():
    looks = [transformation("scheduling"), transformation("running", 2), transformation("succeeded", 2, 9)]
    fivetran = Fivetran(look=looks)
    ended = fivetran.drive(watch_run(run_ticket(), fivetran.clock))
    assert (ended.record.status, ended.record.ended_at) == (RunStatus.SUCCEEDED, at(9))
    assert fivetran.said == ["transformation t: its run is queued", "transformation t: it runs"]
    assert all(1.5 <= pause <= 15 for pause in fivetran.pauses if pause)


@pytest.mark.parametrize("shown", [[], [transformation("scheduling")]])
def test_a_trigger_that_leads_to_nothing_ends_the_wait_without_its_deadline(shown):
    fivetran = Fivetran(look=[*shown, IDLE])
    ended = fivetran.drive(watch_run(run_ticket(start_timeout=timedelta(minutes=5)), fivetran.clock))
    assert ended.record.status is RunStatus.NEVER_STARTED
    assert timedelta(minutes=5) <= fivetran.now - T0 < timedelta(minutes=6)


def test_an_outage_delays_the_verdict_and_a_deletion_ends_the_wait():
    fivetran = Fivetran(look=[FivetranServerError("503"), LOST, transformation("failed", 2, 9)])
    assert fivetran.drive(watch_run(run_ticket(), fivetran.clock)).record.status is RunStatus.FAILED
    assert len(fivetran.warnings) == 1
    gone = Fivetran(look=FivetranNotFound("no"))
    assert gone.drive(watch_run(run_ticket(), gone.clock)).record.status is RunStatus.GONE


def test_an_outage_that_lasts_ends_with_the_deadline():
    fivetran = Fivetran(look=LOST)
    ended = fivetran.drive(watch_run(run_ticket(timeout=timedelta(hours=1)), fivetran.clock))
    assert ended.record.status is RunStatus.TIMED_OUT
    assert "cannot be read" in ended.message
    assert fivetran.now - T0 <= timedelta(hours=1, seconds=1)


def test_a_refused_key_is_endured_for_ten_minutes_once_it_has_worked():
    fivetran = Fivetran(look=FivetranUnauthorized("no"))
    with pytest.raises(FivetranUnauthorized):
        fivetran.drive(watch_run(run_ticket(), fivetran.clock))
    assert fivetran.now - T0 >= timedelta(minutes=10)
    assert "The run goes on" in fivetran.warnings[0]
    at_once = Fivetran(look=FivetranUnauthorized("no"))
    with pytest.raises(FivetranUnauthorized):
        at_once.drive(watch_run(run_ticket(), at_once.clock, key_has_worked=False))
    assert at_once.requests == [LOOK]


# --- cancelling -----------------------------------------------------------------------------------------------


def cancelled(fivetran, ticket, **patience):
    fivetran.drive(cancel_run(ticket, fivetran.clock, **patience))
    return fivetran.requests.count(CANCEL)


OURS = transformation("running", 2)
STOPPED = transformation("canceled", 2, 9)


def test_our_run_is_cancelled_and_watched_until_it_has_stopped():
    fivetran = Fivetran(look=[OURS, transformation("terminating", 2), STOPPED])
    assert cancelled(fivetran, run_ticket()) == 1
    assert fivetran.requests == [LOOK, CANCEL, LOOK, LOOK]
    assert fivetran.said == ["transformation t: its run was cancelled"]


def test_our_run_is_cancelled_in_the_queue_too():
    assert cancelled(Fivetran(look=[transformation("scheduling"), STOPPED]), run_ticket()) == 1


@pytest.mark.parametrize(
    ("ticket", "shown"),
    [
        (run_ticket(), STOPPED),  # over
        (run_ticket(), transformation("scheduling", 2, 9)),  # ours is over, and another is queued
        (run_ticket(), transformation("running", 12, 9)),
        (run_ticket(), transformation("terminating", 2)),  # was told already
        (run_ticket(Aim.RUNNING), transformation("running", -60)),  # somebody else's
    ],
)
def test_no_other_run_is_cancelled(ticket, shown):
    assert cancelled(Fivetran(look=shown), ticket) == 0


def test_a_run_of_an_earlier_try_that_was_joined_is_cancelled():
    ticket = run_ticket(Aim.RUNNING, is_ours=True)
    assert cancelled(Fivetran(look=[RUNS, transformation("canceled", -60, 9)]), ticket) == 1


def test_what_is_lost_is_tried_again_as_long_as_the_run_is_there():
    fivetran = Fivetran(look=[OURS, OURS, STOPPED], cancel=[LOST, None])
    assert cancelled(fivetran, run_ticket()) == 2


def test_a_run_that_ends_just_then_is_no_trouble():
    fivetran = Fivetran(look=[OURS, STOPPED], cancel=FivetranConflict("idle"))
    cancelled(fivetran, run_ticket())
    assert fivetran.warnings == []


@pytest.mark.parametrize(
    "answers",
    [{"look": OURS}, {"look": LOST}, {"look": OURS, "cancel": FivetranApiError("no", status=400)}],
)
def test_what_cannot_be_cancelled_is_said_and_raises_nothing(answers):
    fivetran = Fivetran(**answers)
    cancelled(fivetran, run_ticket(), patience=timedelta(seconds=3))
    assert fivetran.now - T0 < timedelta(seconds=6)
    assert any("look there" in text for text in fivetran.warnings)
