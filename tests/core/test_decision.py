"""What became of the awaited sync: each rule of the one decision, by example."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.decision import Seen, judge
from airflow_provider_fivetran.core.models import Notice, SetupTest
from airflow_provider_fivetran.core.ticket import Aim
from airflow_provider_fivetran.core.verdicts import (
    AskHistory,
    Cancelled,
    Failed,
    NeverStarted,
    Paused,
    Rescheduled,
    Succeeded,
    TimedOut,
    TriggerAgain,
    Waiting,
)
from facts import EARLIER, EARLIER_STILL, RECONNECT, T0, at, connection, entry, ticket

HOUR = 3600.0
DAY = 24 * HOUR


def verdict(wanted, found, seconds, *, history=None, absent=False, before=(), since=1):
    """Judge what was found so many seconds after the ticket.

    ``before`` are earlier looks of the same wait, as pairs of seconds and connection; ``absent``: there is no
    history here; ``since``: when this wait began to look.
    """
    looks = [*before, (seconds, found)]
    seen = replace(Seen.first(wanted, looks[0][1], at(looks[0][0])), looking_since=at(since))
    for later, connection_then in looks[1:]:
        seen = seen.then(wanted, connection_then, at(later))
    if absent:
        seen = seen.without_history()
    if history is not None:
        seen = seen.with_history(wanted, tuple(history), at(seconds))
    return judge(wanted, seen, at(seconds))


def rule(sentence, expected, wanted, found, seconds, **more):
    return pytest.param(expected, wanted, found, seconds, more, id=sentence)


OLD_SUCCESS = connection()
SYNCING = connection("syncing")
NEW_SUCCESS = connection(succeeded_at=at(30))
NEW_FAILURE = connection(failed_at=at(30))
PAUSED = connection("paused", paused=True)


@pytest.mark.parametrize(
    ("expected", "wanted", "found", "seconds", "more"),
    [
        rule("a sync that runs is waited for", Waiting, ticket(), SYNCING, 20),
        rule(
            "a success older than the ticket is never ours",
            Waiting,
            ticket(succeeded_at=EARLIER_STILL),
            OLD_SUCCESS,
            20,
            absent=True,
        ),
        rule(
            "a failure older than the ticket is never ours",
            Waiting,
            ticket(),
            connection(failed_at=EARLIER),
            20,
            absent=True,
        ),
        rule(
            "a success in the second of the ticket is not newer than it",
            Waiting,
            ticket(),
            connection(succeeded_at=T0),
            20,
            absent=True,
        ),
        rule(
            "a success that the ticket knows is not a new one, whatever the clocks say",
            Waiting,
            ticket(succeeded_at=at(5)),
            connection(succeeded_at=at(5)),
            20,
            absent=True,
        ),
        rule("a new end makes the history worth its request", AskHistory, ticket(), NEW_SUCCESS, 31),
        rule("a new success without a history is ours", Succeeded, ticket(), NEW_SUCCESS, 31, absent=True),
        rule("a new failure without a history is ours", Failed, ticket(), NEW_FAILURE, 31, absent=True),
        rule(
            "a first success counts where there was none before",
            Succeeded,
            ticket(succeeded_at=None),
            NEW_SUCCESS,
            31,
            absent=True,
        ),
        rule(
            "a failure after a success is a failure",
            Failed,
            ticket(),
            connection(succeeded_at=at(20), failed_at=at(30)),
            31,
            absent=True,
        ),
        rule(
            "a success after a failure is a success, for Fivetran repeats what fails",
            Succeeded,
            ticket(),
            connection(succeeded_at=at(30), failed_at=at(20)),
            31,
            absent=True,
        ),
        rule(
            "a failure newer than the last success but older than the ticket does not make a new success bad",
            Succeeded,
            ticket(failed_at=at(-60)),
            connection(succeeded_at=at(30), failed_at=at(-60)),
            31,
            absent=True,
        ),
        rule(
            "an end that the history has not got yet is judged by the timestamps",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            31,
            history=[],
        ),
        rule(
            "a success while Fivetran still calls the next sync historical is not the re-sync",
            Waiting,
            ticket(until_not_historical=True),
            connection(succeeded_at=at(30), is_historical=True),
            31,
            absent=True,
        ),
        rule(
            "a success after which nothing is historical any longer is the re-sync",
            Succeeded,
            ticket(until_not_historical=True),
            NEW_SUCCESS,
            31,
            absent=True,
        ),
        rule(
            "an end in the second of the trigger is held",
            Waiting,
            ticket(),
            connection(succeeded_at=at(1.5)),
            3,
            absent=True,
        ),
        rule(
            "an end in the second of the trigger counts when nothing else came",
            Succeeded,
            ticket(),
            connection(succeeded_at=at(1.5)),
            12,
            absent=True,
        ),
        rule(
            "an end in the second of the trigger is held after a trigger that came long after the look",
            Waiting,
            ticket(triggered_at=at(90)),
            connection(succeeded_at=at(90.5)),
            93,
            absent=True,
        ),
        rule(
            "an end in the second of the ticket is held when nobody knows the time of the trigger",
            Waiting,
            ticket(triggered_at=None),
            connection(succeeded_at=at(0.5)),
            3,
            absent=True,
        ),
        rule(
            "an end soon after a forced restart may be the stopped sync's and is held",
            Waiting,
            ticket(sync_state="syncing"),
            connection(failed_at=at(5)),
            7,
            absent=True,
        ),
        rule(
            "an end soon after a forced restart counts when nothing else came in a minute",
            Failed,
            ticket(sync_state="syncing"),
            connection(failed_at=at(5)),
            62,
            absent=True,
        ),
        rule(
            "what ended by the second in which Fivetran answered the restart is never ours",
            Paused,
            ticket(sync_state="syncing", triggered_at=at(2)),
            connection("paused", paused=True, succeeded_at=at(2.9)),
            70,
            absent=True,
        ),
        rule(
            "what ended a second after the answer to the restart is ours",
            Succeeded,
            ticket(sync_state="syncing", triggered_at=at(2)),
            connection("paused", paused=True, succeeded_at=at(3)),
            70,
            absent=True,
        ),
        rule(
            "without a restart a sync may be over at once",
            Succeeded,
            ticket(triggered_at=at(2)),
            connection(succeeded_at=at(1.5)),
            70,
            absent=True,
        ),
        rule(
            "while another sync runs, a new end is asked about",
            AskHistory,
            ticket(),
            connection("syncing", succeeded_at=at(30)),
            31,
        ),
        rule(
            "while another sync runs and there is no history, a new end waits for it",
            Waiting,
            ticket(),
            connection("syncing", succeeded_at=at(30)),
            31,
            absent=True,
        ),
        rule(
            "a wait past its end times out, saying what it waited for",
            TimedOut,
            ticket(),
            SYNCING,
            DAY,
            absent=True,
        ),
        rule(
            "the history is asked which sync it is that a wait leaves behind",
            AskHistory,
            ticket(),
            SYNCING,
            DAY,
        ),
        rule("a wait has not timed out a second before its end", Waiting, ticket(), SYNCING, DAY - 1),
        rule(
            "a historical sync may take days",
            Waiting,
            ticket(),
            connection("syncing", is_historical=True),
            2 * DAY,
        ),
        rule(
            "a historical sync may take seven days and no longer",
            TimedOut,
            ticket(),
            connection("syncing", is_historical=True),
            7 * DAY,
            absent=True,
        ),
        rule(
            "a re-sync that was asked for may take days", Waiting, ticket(historical=True), SYNCING, 2 * DAY
        ),
        rule(
            "a limit that the user set holds for historical syncs too",
            TimedOut,
            ticket(timeout=timedelta(hours=2)),
            connection("syncing", is_historical=True),
            2 * HOUR,
            absent=True,
        ),
        rule(
            "a success found at the very end of the wait is a success",
            Succeeded,
            ticket(),
            connection(succeeded_at=at(DAY - 1)),
            DAY + 5,
            absent=True,
        ),
    ],
)
def test_by_the_timestamps(expected, wanted, found, seconds, more):
    assert type(verdict(wanted, found, seconds, **more)) is expected


@pytest.mark.parametrize(
    ("expected", "wanted", "found", "seconds", "more"),
    [
        *(
            rule(
                f"history says {word} of our sync",
                expected,
                ticket(),
                found,
                40,
                history=[entry(word, 2, 30)],
            )
            for word, expected, found in [
                ("completed", Succeeded, NEW_SUCCESS),
                ("successful", Succeeded, NEW_SUCCESS),
                ("success", Succeeded, NEW_SUCCESS),
                ("failure", Failed, NEW_FAILURE),
                ("failed", Failed, NEW_FAILURE),
                ("failure_with_task", Failed, NEW_FAILURE),
                ("canceled", Cancelled, OLD_SUCCESS),
                ("cancelled", Cancelled, OLD_SUCCESS),
                ("incomplete", Cancelled, OLD_SUCCESS),
                ("paused", Cancelled, OLD_SUCCESS),
                ("rescheduled", Waiting, OLD_SUCCESS),
                ("running", Succeeded, NEW_SUCCESS),
            ]
        ),
        rule(
            "history says cancelled while the state is scheduled",
            Cancelled,
            ticket(),
            OLD_SUCCESS,
            40,
            history=[entry("canceled", 2, 30)],
        ),
        rule(
            "history says cancelled while a newer sync runs",
            Cancelled,
            ticket(),
            SYNCING,
            40,
            history=[entry("canceled", 2, 30), entry("running", 31, sync_id="next")],
        ),
        rule(
            "history says paused and the connection is",
            Paused,
            ticket(),
            PAUSED,
            40,
            history=[entry("paused", 2, 30)],
        ),
        rule(
            "a connection that was paused after our sync ended does not matter",
            Succeeded,
            ticket(),
            connection("paused", paused=True, succeeded_at=at(30)),
            40,
            history=[entry("completed", 2, 30)],
        ),
        rule(
            "our failure counts though the next sync was a success",
            Failed,
            ticket(),
            connection(succeeded_at=at(50), failed_at=at(30)),
            60,
            history=[entry("failure", 2, 30), entry("completed", 31, 50, "next")],
        ),
        rule(
            "our success counts though the next sync failed",
            Succeeded,
            ticket(),
            connection(succeeded_at=at(30), failed_at=at(50)),
            60,
            history=[entry("failure", 31, 50, "next"), entry("completed", 2, 30)],
        ),
        rule(
            "a sync that began long before the ticket is not ours",
            Waiting,
            ticket(),
            NEW_SUCCESS,
            40,
            history=[entry("completed", -600, 30, "other")],
        ),
        rule(
            "a success while Fivetran still has the re-sync to come is not the re-sync",
            Waiting,
            ticket(until_not_historical=True),
            connection(succeeded_at=at(30), is_historical=True),
            40,
            history=[entry("completed", 2, 30, "ordinary")],
        ),
        rule(
            "a success after which nothing historical is to come is the re-sync",
            Succeeded,
            ticket(until_not_historical=True),
            NEW_SUCCESS,
            40,
            history=[entry("completed", 2, 30)],
        ),
        rule(
            "a sync that had begun unseen is ours if it outlived the trigger, which only joined it",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            40,
            history=[entry("completed", -5, 30)],
        ),
        rule(
            "a sync that had begun unseen and ended before the trigger is not ours",
            Waiting,
            ticket(triggered_at=at(40)),
            NEW_SUCCESS,
            60,
            history=[entry("completed", -5, 30, "other")],
        ),
        rule(
            "a success whose sync the history dates with no start is ours",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            40,
            history=[entry("completed", None, 30)],
        ),
        rule(
            "a success whose sync began three seconds early by the clock of the history is ours",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            40,
            history=[entry("completed", -3, 30)],
        ),
        rule(
            "an attached sync that begins a little later by the clock of the history is the one",
            Succeeded,
            ticket(aim=Aim.RUNNING, sync_state="syncing"),
            NEW_SUCCESS,
            40,
            history=[entry("completed", 3, 30)],
        ),
        rule(
            "a sync that is known to be another's is not ours however it began",
            Waiting,
            ticket(other_sync_id="other"),
            NEW_SUCCESS,
            40,
            history=[entry("completed", 0, 30, "other")],
        ),
        rule(
            "after a forced restart the sync that ran is not ours, even if it had just begun",
            Waiting,
            ticket(sync_state="syncing"),
            connection("scheduled"),
            40,
            history=[entry("canceled", -1, 5, "other")],
        ),
        rule(
            "nor if it began in the second of the look and its id could not be read",
            Waiting,
            ticket(sync_state="syncing"),
            connection("scheduled"),
            40,
            history=[entry("canceled", 0.5, 5, "other")],
        ),
        rule(
            "a sync that began in the second of the look and outlived the forced restart is ours",
            Succeeded,
            ticket(sync_state="syncing"),
            connection("scheduled", succeeded_at=at(30)),
            70,
            history=[entry("completed", 0.5, 30)],
        ),
        rule(
            "a failure that the history dates not yet is a failure",
            Failed,
            ticket(),
            NEW_FAILURE,
            40,
            history=[entry("failure", 2, None)],
        ),
        rule(
            "clocks that differ by two seconds do not hide our sync",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            40,
            history=[entry("completed", -2, 30)],
        ),
        rule(
            "a sync that began and ended between the look and the trigger is not ours once ours shows",
            Waiting,
            ticket(triggered_at=at(60)),
            connection("syncing", succeeded_at=at(40)),
            65,
            history=[entry("completed", 20, 40, "other"), entry("running", 61)],
        ),
        rule(
            "a sync that began and ended between the look and the trigger is held, for ours may still come",
            Waiting,
            ticket(triggered_at=at(60)),
            connection(succeeded_at=at(40)),
            65,
            history=[entry("completed", 20, 40, "other")],
        ),
        rule(
            "a sync that began and ended between the look and the trigger counts when nothing else comes",
            Succeeded,
            ticket(triggered_at=at(60)),
            connection(succeeded_at=at(40)),
            75,
            history=[entry("completed", 20, 40, "other")],
        ),
        rule(
            "a sync that began with the trigger and was quick is not held",
            Succeeded,
            ticket(triggered_at=at(1)),
            connection(succeeded_at=at(1.8)),
            3,
            history=[entry("completed", 1.2, 1.8)],
        ),
        rule(
            "an entry without a beginning is nobody's",
            Waiting,
            ticket(),
            OLD_SUCCESS,
            40,
            history=[entry("completed", None, 30)],
        ),
        rule(
            "a put-off sync goes on as the one after it",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            40,
            history=[entry("completed", 20, 30, "again"), entry("rescheduled", 2, 10)],
        ),
        rule(
            "a sync that was put off twice goes on as the third",
            Failed,
            ticket(),
            NEW_FAILURE,
            40,
            history=[
                entry("rescheduled", 2, 5),
                entry("rescheduled", 6, 9, "b"),
                entry("failure", 10, 30, "c"),
            ],
        ),
        rule(
            "a word that is newer than this code leaves it to the timestamps",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            40,
            history=[entry("went_splendidly", 2, 30)],
        ),
        rule(
            "a word that is newer than this code leaves it to the state",
            Waiting,
            ticket(),
            SYNCING,
            40,
            history=[entry("went_splendidly", 2, 30)],
        ),
        rule(
            "history still calls a sync running that has just come to rest",
            Waiting,
            ticket(),
            OLD_SUCCESS,
            40,
            before=[(20, SYNCING)],
            history=[entry("running", 2)],
        ),
        rule(
            "history still calls a sync running that came to rest some seconds ago",
            Waiting,
            ticket(),
            OLD_SUCCESS,
            90,
            before=[(20, SYNCING), (40, OLD_SUCCESS)],
            history=[entry("running", 2)],
        ),
        rule(
            "a sync that began after the look and was stopped in the second of our restart may not be ours: held",
            Waiting,
            ticket(sync_state="syncing", other_sync_id="other"),
            connection("syncing", succeeded_at=at(1)),
            3,
            history=[entry("completed", -9, 1, "other"), entry("canceled", 1.2, 1.6, "next")],
        ),
        rule(
            "a restarted sync that ended well is ours, though another was stopped in the second of the restart",
            Succeeded,
            ticket(sync_state="syncing", other_sync_id="other"),
            NEW_SUCCESS,
            31,
            history=[
                entry("completed", -9, 1, "other"),
                entry("canceled", 1.2, 1.6, "next"),
                entry("completed", 1.7, 30),
            ],
        ),
        rule(
            "a restarted sync that was stopped in its first second is known as cancelled a minute later",
            Cancelled,
            ticket(sync_state="syncing", other_sync_id="other"),
            OLD_SUCCESS,
            62,
            history=[entry("canceled", -9, 1, "other"), entry("canceled", 1.2, 1.6)],
        ),
        rule(
            "a put-off sync goes on as the next one and not as the last",
            Succeeded,
            ticket(),
            connection(succeeded_at=at(30), failed_at=at(50)),
            60,
            history=[
                entry("rescheduled", 2, 10),
                entry("completed", 20, 30, "b"),
                entry("failure", 40, 50, "c"),
            ],
        ),
        rule(
            "a sync that began and ended between the look and the trigger stays another's while ours runs",
            Waiting,
            ticket(triggered_at=at(60)),
            connection("syncing", succeeded_at=at(40)),
            300,
            history=[entry("completed", 20, 40, "other"), entry("running", 61)],
        ),
        rule(
            "an end that the ticket knows is not ours, whatever the clocks say",
            Waiting,
            ticket(succeeded_at=at(5)),
            connection(succeeded_at=at(5)),
            40,
            history=[entry("completed", 1, 5, "other")],
        ),
        rule(
            "history that calls a sync running two minutes after it came to rest is not believed",
            Cancelled,
            ticket(),
            OLD_SUCCESS,
            180,
            before=[(20, SYNCING), (40, OLD_SUCCESS)],
            history=[entry("running", 2)],
        ),
        rule(
            "history that never says how a success ended does not hide it for ever",
            Succeeded,
            ticket(),
            NEW_SUCCESS,
            180,
            before=[(20, SYNCING), (40, NEW_SUCCESS)],
            history=[entry("running", 2)],
        ),
        rule(
            "a sensor that waits while a sync runs does so though the history has an end",
            Waiting,
            ticket(Aim.NEXT_END, wait_while_syncing=True),
            connection("syncing", succeeded_at=at(30)),
            40,
            history=[entry("completed", 2, 30), entry("running", 35, sync_id="next")],
        ),
    ],
)
def test_by_the_history(expected, wanted, found, seconds, more):
    assert type(verdict(wanted, found, seconds, **more)) is expected


RUNNING = ticket(Aim.RUNNING)


@pytest.mark.parametrize(
    ("expected", "found", "seconds", "more"),
    [
        pytest.param(Waiting, SYNCING, 20, {}, id="it is waited for"),
        pytest.param(Succeeded, NEW_SUCCESS, 31, {"absent": True}, id="its success is ours"),
        pytest.param(
            AskHistory, OLD_SUCCESS, 20, {}, id="its end without a trace makes the history worth asking"
        ),
        pytest.param(
            Succeeded,
            NEW_SUCCESS,
            31,
            {"history": [entry("completed", -900, 30)]},
            id="it began before the ticket",
        ),
        pytest.param(
            Failed,
            NEW_SUCCESS,
            31,
            {"history": [entry("failure", 0.5, 30)]},
            id="it began in the very second of the ticket",
        ),
        pytest.param(
            Cancelled,
            connection(succeeded_at=at(50)),
            60,
            {"history": [entry("canceled", -900, 30), entry("completed", 31, 50, "restarted")]},
            id="another's restart cancelled it, and the success is not its own",
        ),
        pytest.param(
            Failed,
            NEW_FAILURE,
            31,
            {"history": [entry("completed", -2000, -1000, "older"), entry("failure", -900, 30)]},
            id="a sync that had ended before the ticket is not it",
        ),
        pytest.param(
            Waiting,
            connection("syncing", succeeded_at=at(30)),
            40,
            {"history": [entry("running", -900), entry("completed", -2000, 30, "other")]},
            id="it is the newest of those that ran",
        ),
    ],
)
def test_a_sync_that_was_running_already(expected, found, seconds, more):
    assert type(verdict(RUNNING, found, seconds, **more)) is expected


@pytest.mark.parametrize(
    ("expected", "found", "seconds", "more"),
    [
        pytest.param(Waiting, OLD_SUCCESS, 20, {}, id="nothing has ended since"),
        pytest.param(Waiting, SYNCING, 20, {}, id="a sync runs"),
        pytest.param(AskHistory, NEW_SUCCESS, 31, {}, id="an end makes the history worth asking"),
        pytest.param(Succeeded, NEW_SUCCESS, 31, {"absent": True}, id="a success"),
        pytest.param(Failed, NEW_FAILURE, 31, {"absent": True}, id="a failure"),
        pytest.param(
            Failed,
            connection(succeeded_at=at(30), failed_at=at(20)),
            31,
            {"absent": True},
            id="the first end counts, and that was a failure",
        ),
        pytest.param(
            Succeeded,
            connection(succeeded_at=at(20), failed_at=at(30)),
            31,
            {"absent": True},
            id="the first end counts, and that was a success",
        ),
        pytest.param(
            Succeeded,
            connection("syncing", succeeded_at=at(30)),
            31,
            {"absent": True},
            id="the next sync that runs already does not matter",
        ),
        pytest.param(
            Failed,
            connection(succeeded_at=at(30), failed_at=at(20)),
            31,
            {
                "history": [
                    entry("completed", 21, 30, "second"),
                    entry("failure", -900, 20, "first"),
                    entry("canceled", -1000, 10, "none"),
                    entry("completed", -3000, -2000, "old"),
                ]
            },
            id="history knows which ended first",
        ),
        pytest.param(
            Succeeded, NEW_SUCCESS, 31, {"history": []}, id="history has it not yet: the timestamps must do"
        ),
        pytest.param(Paused, PAUSED, 20, {}, id="a paused connection will end nothing"),
        pytest.param(Waiting, connection("rescheduled"), 20, {}, id="put off is waited for"),
        pytest.param(
            Waiting,
            connection("rescheduled", schedule_type="manual", rescheduled_for=at(-100)),
            20,
            {},
            id="a sensor never asks for a trigger",
        ),
        pytest.param(Waiting, connection("new_word"), 20, {}, id="an unknown state is waited for"),
    ],
)
def test_the_next_sync_to_end(expected, found, seconds, more):
    assert type(verdict(ticket(Aim.NEXT_END), found, seconds, **more)) is expected


@pytest.mark.parametrize(
    ("expected", "policies", "found"),
    [
        pytest.param(Succeeded, {}, NEW_SUCCESS, id="a success after the time"),
        pytest.param(Waiting, {}, OLD_SUCCESS, id="a success before the time"),
        pytest.param(Succeeded, {}, connection(succeeded_at=T0), id="a success at the very time"),
        pytest.param(Failed, {}, connection(failed_at=T0), id="a failure at the very time"),
        pytest.param(Waiting, {}, connection(succeeded_at=None), id="no end at all"),
        pytest.param(Failed, {}, NEW_FAILURE, id="a failure after the time"),
        pytest.param(
            Succeeded,
            {},
            connection(succeeded_at=at(20), failed_at=at(30)),
            id="a success after the time stays one",
        ),
        pytest.param(
            Waiting,
            {},
            connection(succeeded_at=EARLIER_STILL, failed_at=EARLIER),
            id="a failure before the time",
        ),
        pytest.param(
            Failed,
            {"older_failures_count": True},
            connection(succeeded_at=EARLIER_STILL, failed_at=EARLIER),
            id="a failure before the time, if those count",
        ),
        pytest.param(
            Failed,
            {"older_failures_count": True},
            connection(succeeded_at=None, failed_at=EARLIER),
            id="a failure where nothing ever succeeded, if those count",
        ),
        pytest.param(
            Waiting,
            {"older_failures_count": True},
            connection(succeeded_at=EARLIER, failed_at=EARLIER_STILL),
            id="a failure that was healed before the time",
        ),
        pytest.param(
            Succeeded, {}, connection("syncing", succeeded_at=at(30)), id="a sync that runs does not matter"
        ),
        pytest.param(
            Waiting,
            {"wait_while_syncing": True},
            connection("syncing", succeeded_at=at(30)),
            id="a sync that runs matters, if it is to",
        ),
        pytest.param(Paused, {}, PAUSED, id="a paused connection"),
    ],
)
def test_a_success_after_a_time(expected, policies, found):
    assert type(verdict(ticket(Aim.SUCCESS_AFTER, **policies), found, 40)) is expected
    assert type(verdict(ticket(Aim.SUCCESS_AFTER, **policies), found, 40, history=[])) is expected


def put_off(until=600.0, **changes):
    announced = None if until is None else at(until)
    return connection("rescheduled", rescheduled_for=announced, **changes)


MANUAL_PUT_OFF = put_off(schedule_type="manual")
OLD_PUT_OFF = {"sync_state": "rescheduled", "rescheduled_for": at(-60)}
FUTURE_PUT_OFF = {"sync_state": "rescheduled", "rescheduled_for": at(600)}
STATES = [
    rule("the trigger is not seen yet", Waiting, ticket(), OLD_SUCCESS, 20),
    rule(
        "no sync showed itself within the hour: history is asked", AskHistory, ticket(), OLD_SUCCESS, HOUR + 1
    ),
    rule(
        "a wait that goes on elsewhere after an hour looks for two minutes before it says never started",
        Waiting,
        ticket(),
        OLD_SUCCESS,
        2 * HOUR,
        absent=True,
        since=2 * HOUR - 60,
    ),
    rule(
        "a wait that goes on elsewhere and sees nothing for two minutes: never started",
        NeverStarted,
        ticket(),
        OLD_SUCCESS,
        2 * HOUR,
        absent=True,
        since=2 * HOUR - 120,
    ),
    rule(
        "no sync showed itself within the hour and history knows of none",
        NeverStarted,
        ticket(),
        OLD_SUCCESS,
        HOUR + 1,
        history=[],
    ),
    rule(
        "no sync showed itself and there is no history",
        NeverStarted,
        ticket(),
        OLD_SUCCESS,
        HOUR + 1,
        absent=True,
    ),
    rule(
        "no sync shows itself in the state but history has one",
        Waiting,
        ticket(),
        OLD_SUCCESS,
        HOUR,
        history=[entry("running", 30)],
    ),
    rule(
        "the time to start is the user's",
        NeverStarted,
        ticket(start_timeout=timedelta(minutes=5)),
        OLD_SUCCESS,
        301,
        absent=True,
    ),
    rule(
        "a state that this version does not know is waited for",
        Waiting,
        ticket(),
        connection("warming_up"),
        20,
    ),
    rule(
        "a state that this version does not know has an end too",
        TimedOut,
        ticket(),
        connection("warming_up"),
        DAY,
    ),
    rule(
        "it ran and left no trace: history is asked",
        AskHistory,
        ticket(),
        OLD_SUCCESS,
        40,
        before=[(20, SYNCING)],
    ),
    rule(
        "it ran and left no trace at first sight: the state may be ahead of the timestamps",
        Waiting,
        ticket(),
        OLD_SUCCESS,
        40,
        before=[(20, SYNCING)],
        absent=True,
    ),
    rule(
        "it ran and left no trace, and still none later",
        Cancelled,
        ticket(),
        OLD_SUCCESS,
        60,
        before=[(20, SYNCING), (40, OLD_SUCCESS)],
        absent=True,
    ),
    rule(
        "it ran, and so did the sync after it",
        Waiting,
        ticket(),
        SYNCING,
        60,
        before=[(20, SYNCING), (40, OLD_SUCCESS)],
        absent=True,
    ),
    rule(
        "after a forced restart it may be the old sync that is seen running",
        Waiting,
        ticket(sync_state="syncing"),
        OLD_SUCCESS,
        70,
        before=[(20, SYNCING)],
        absent=True,
    ),
    rule(
        "a minute after a forced restart it is ours that is seen running",
        Cancelled,
        ticket(sync_state="syncing"),
        OLD_SUCCESS,
        120,
        before=[(61, SYNCING), (90, OLD_SUCCESS)],
        absent=True,
    ),
    rule("a paused connection: history is asked why", AskHistory, ticket(), PAUSED, 20),
    rule("a paused connection without a history", Paused, ticket(), PAUSED, 20, absent=True),
    rule("a paused connection of which history knows nothing new", Paused, ticket(), PAUSED, 20, history=[]),
    rule(
        "a pause that has not stopped the sync yet", Waiting, ticket(), connection("syncing", paused=True), 20
    ),
    rule(
        "put off under the automatic schedule: Fivetran starts it again",
        Waiting,
        ticket(),
        put_off(),
        20,
    ),
    rule(
        "put off under the automatic schedule, overdue, but within the time to start",
        Waiting,
        ticket(),
        put_off(),
        600 + HOUR - 1,
    ),
    rule(
        "put off under the automatic schedule and never started again",
        NeverStarted,
        ticket(),
        put_off(),
        600 + HOUR,
    ),
    rule("put off without saying until when", Waiting, ticket(), put_off(None), 20),
    rule(
        "put off, and the task is not to wait for that",
        Rescheduled,
        ticket(fail_when_rescheduled=True),
        put_off(),
        20,
    ),
    rule("put off under manual scheduling: not yet", Waiting, ticket(), MANUAL_PUT_OFF, 599),
    rule("put off under manual scheduling: its time has come", TriggerAgain, ticket(), MANUAL_PUT_OFF, 600),
    rule(
        "put off under manual scheduling without saying until when: half an hour",
        Waiting,
        ticket(),
        put_off(None, schedule_type="manual"),
        20 + 1799,
        before=[(20, put_off(None, schedule_type="manual"))],
    ),
    rule(
        "put off under manual scheduling without saying until when: after half an hour",
        TriggerAgain,
        ticket(),
        put_off(None, schedule_type="manual"),
        20 + 1800,
        before=[(20, put_off(None, schedule_type="manual"))],
    ),
    rule(
        "put off under manual scheduling: the user's wait comes first",
        TriggerAgain,
        ticket(reschedule_wait=timedelta(seconds=30)),
        MANUAL_PUT_OFF,
        50,
        before=[(20, MANUAL_PUT_OFF)],
    ),
    rule(
        "a put-off from before the trigger still shows for a moment",
        Waiting,
        ticket(fail_when_rescheduled=True, **FUTURE_PUT_OFF),
        put_off(),
        20,
    ),
    rule(
        "a put-off from before the trigger that still shows a minute later is one of ours",
        Rescheduled,
        ticket(fail_when_rescheduled=True, **FUTURE_PUT_OFF),
        put_off(),
        60,
    ),
    rule(
        "a put-off that was over before the trigger is not ours however long it shows",
        Waiting,
        ticket(fail_when_rescheduled=True, **OLD_PUT_OFF),
        put_off(-60),
        600,
        absent=True,
    ),
    rule(
        "a put-off that was over before the trigger and nothing since: never started",
        NeverStarted,
        ticket(**OLD_PUT_OFF),
        put_off(-60),
        HOUR + 1,
        absent=True,
    ),
    rule(
        "another put-off than the one before the trigger is ours",
        Rescheduled,
        ticket(fail_when_rescheduled=True, **OLD_PUT_OFF),
        put_off(),
        20,
    ),
    rule(
        "it was put off, and is at rest for a moment before it starts again, without a history",
        Waiting,
        ticket(),
        OLD_SUCCESS,
        5 * HOUR,
        before=[(20, SYNCING), (40, put_off(5 * HOUR - 1)), (5 * HOUR - 30, put_off(5 * HOUR - 1))],
        absent=True,
    ),
    rule(
        "it was put off, and is at rest for a moment before it starts again",
        Waiting,
        ticket(),
        OLD_SUCCESS,
        5 * HOUR,
        before=[(20, SYNCING), (40, put_off(5 * HOUR - 1)), (5 * HOUR - 30, put_off(5 * HOUR - 1))],
        history=[entry("rescheduled", 2, 30)],
    ),
    rule(
        "it was put off, its wait was picked up by another process, and it is at rest before it starts again",
        Waiting,
        ticket(),
        OLD_SUCCESS,
        5 * HOUR,
        history=[entry("rescheduled", 2, 30)],
    ),
    rule(
        "it was put off, and did not start again within the time that a start may take",
        NeverStarted,
        ticket(),
        OLD_SUCCESS,
        7 * HOUR,
        before=[(20, SYNCING), (40, put_off(5 * HOUR)), (5 * HOUR, OLD_SUCCESS)],
        history=[entry("rescheduled", 2, 30)],
    ),
    rule(
        "it was put off, and did not start again within the time that a start may take, without a history",
        NeverStarted,
        ticket(),
        OLD_SUCCESS,
        7 * HOUR,
        before=[(20, SYNCING), (40, put_off(5 * HOUR)), (5 * HOUR, OLD_SUCCESS)],
        absent=True,
    ),
    rule(
        "it was put off, and did not start again within the time that a start may take: history is asked",
        AskHistory,
        ticket(),
        OLD_SUCCESS,
        7 * HOUR,
        before=[(20, SYNCING), (40, put_off(5 * HOUR)), (5 * HOUR, OLD_SUCCESS)],
    ),
    rule(
        "it was put off, and the connection was paused meanwhile",
        Paused,
        ticket(),
        PAUSED,
        HOUR,
        before=[(20, SYNCING), (40, put_off())],
        history=[entry("rescheduled", 2, 30)],
    ),
]


@pytest.mark.parametrize(("expected", "wanted", "found", "seconds", "more"), STATES)
def test_by_the_state(expected, wanted, found, seconds, more):
    assert type(verdict(wanted, found, seconds, **more)) is expected


def test_a_put_off_that_only_the_history_told_of_is_remembered():
    wanted = ticket()
    seen = Seen.first(wanted, SYNCING, at(20)).then(wanted, OLD_SUCCESS, at(40))
    seen = seen.with_history(wanted, (entry("rescheduled", 2, 30),), at(40))
    later = seen.then(wanted, OLD_SUCCESS, at(100)).without_history()
    assert isinstance(judge(wanted, later, at(100)), Waiting)


def test_history_is_asked_once_for_each_new_end_while_another_sync_runs():
    wanted, found = ticket(), connection("syncing", succeeded_at=at(30))
    seen = Seen.first(wanted, found, at(31)).with_history(wanted, (), at(31))
    again = seen.then(wanted, found, at(60))
    assert isinstance(judge(wanted, again, at(60)), Waiting)
    newer = seen.then(wanted, connection("syncing", succeeded_at=at(90)), at(91))
    assert isinstance(judge(wanted, newer, at(91)), AskHistory)


def test_the_question_to_the_history_reaches_from_before_the_ticket_to_just_after_now():
    asked = verdict(ticket(), NEW_SUCCESS, 31)
    assert asked == AskHistory(T0 - timedelta(hours=6), at(31 + 60))


def test_the_question_to_the_history_reaches_back_less_than_seven_days():
    asked = verdict(ticket(historical=True), connection(succeeded_at=at(30)), 6.99 * DAY)
    assert asked.until - asked.since < timedelta(days=7)


def test_the_question_to_the_history_is_by_the_clock_of_fivetran():
    ahead = timedelta(minutes=10)
    wanted = ticket(taken_at=T0 + ahead)
    asked = verdict(wanted, connection(succeeded_at=at(700)), 31)
    assert asked.until == at(31 + 60) + ahead


@pytest.mark.parametrize(
    ("wanted", "found", "seconds", "until"),
    [
        pytest.param(ticket(), SYNCING, 0, 2, id="quickly at first"),
        pytest.param(ticket(), SYNCING, 3000, 3015, id="every 15 s later"),
        pytest.param(ticket(poll_frequency=timedelta(minutes=2)), SYNCING, 0, 120, id="as the user chose"),
        pytest.param(ticket(), SYNCING, DAY - 1, DAY, id="never after the end of the wait"),
        pytest.param(ticket(), OLD_SUCCESS, HOUR - 1, HOUR + 1, id="never after the time to start"),
        pytest.param(ticket(), put_off(), 20, 80, id="a put-off every minute"),
        pytest.param(ticket(), put_off(), 590, 600, id="a put-off when its time comes"),
        pytest.param(ticket(), connection(succeeded_at=at(1.5)), 3, 5.2, id="a held end soon"),
        pytest.param(
            ticket(), connection(succeeded_at=at(1.5)), 10, 11, id="a held end when it is no longer held"
        ),
    ],
)
def test_when_to_look_again(wanted, found, seconds, until):
    pause = (verdict(wanted, found, seconds, absent=True).until - at(seconds)).total_seconds()
    assert 0.9 * (until - seconds) <= pause <= until - seconds + 1e-6


def test_a_success_carries_what_the_history_tells():
    told = entry("completed", 2, 30, volume_mb={"extract": 1.5})
    record = verdict(ticket(), NEW_SUCCESS, 40, history=[told]).record
    assert (record.status, record.sync_id, record.started_at, record.ended_at) == (
        "succeeded",
        "ours",
        at(2),
        at(30),
    )
    assert record.volume_mb == {"extract": 1.5}
    assert record.to_json()["duration"] == 28


def test_a_wait_that_is_over_tells_which_sync_it_leaves_behind():
    record = verdict(ticket(), SYNCING, DAY, history=[entry("syncing", 2)]).record
    assert (record.status, record.sync_id, record.started_at) == ("timed_out", "ours", at(2))
    assert record.ended_at is None


def test_a_success_that_the_history_dates_not_yet_is_dated_by_the_timestamp():
    done = verdict(ticket(), NEW_SUCCESS, 40, history=[entry("completed", 2, None)])
    assert isinstance(done, Succeeded)
    assert done.record.ended_at == at(30)


def test_a_failure_that_says_a_book_is_shortened():
    notices = tuple(Notice(code="c", message="x" * 10**6) for _ in range(50))
    book = connection(failed_at=at(30), tasks=notices, warnings=notices)
    ended = verdict(ticket(), book, 40, history=[entry("failure", 2, 30, reason="y" * 10**6)])
    assert len(ended.message) < 13_000
    assert len(ended.record.reason) < 13_000


@pytest.mark.parametrize("seconds", [600, None])
def test_the_record_of_a_put_off_tells_until_when(seconds):
    ended = verdict(ticket(fail_when_rescheduled=True), put_off(seconds), 20)
    assert isinstance(ended, Rescheduled)
    assert ended.record.rescheduled_for == (seconds and at(seconds))


def test_a_failure_says_everything_that_fivetran_says():
    broken = connection(
        failed_at=at(30),
        setup_state="broken",
        tasks=(RECONNECT,),
        warnings=(Notice(code="slow", message="The source is slow", details="since Monday"),),
        setup_tests=(SetupTest(title="Login", status="failed", message="wrong password"),),
    )
    message = verdict(ticket(), broken, 40, history=[entry("failure", 2, 30, reason="Quota")]).message
    for part in (
        "payments",
        "2026-11-02 10:00:30",
        "Quota",
        "Reconnect it",
        "warning: The source is slow: since Monday (slow)",
        "Login: wrong password",
        "broken",
    ):
        assert part in message
    assert "https://fivetran.com/dashboard/connections/c" in message


def test_what_a_task_says_too_is_not_said_twice():
    task = Notice(code="reconnect", message="Reconnect your account", details="The token has expired.")
    broken = connection(failed_at=at(30), tasks=(task,))
    message = verdict(
        ticket(), broken, 40, history=[entry("failure", 2, 30, reason="Reconnect your account")]
    ).message
    assert message.count("Reconnect your account") == 1
    assert "The token has expired" in message


@pytest.mark.parametrize(
    ("ended", "parts"),
    [
        (
            verdict(ticket(), SYNCING, DAY, absent=True),
            ["c reached its limit after 24 h", "the sync is running"],
        ),
        (verdict(ticket(), PAUSED, 20, absent=True), ["is paused", "Unpause it"]),
        (
            verdict(ticket(), OLD_SUCCESS, HOUR + 1, absent=True),
            ["no sync has shown itself for 60 min", "scheduled"],
        ),
        (verdict(ticket(), OLD_SUCCESS, 40, history=[entry("canceled", 2, 30)]), ["cancelled", "'canceled'"]),
        (
            verdict(ticket(fail_when_rescheduled=True), put_off(), 20),
            ["put the sync off until 2026-11-02 10:10:00 UTC", "when_rescheduled is 'fail'"],
        ),
        (
            verdict(ticket(), connection("warming_up"), DAY),
            ["'warming_up', a word that this version does not know"],
        ),
    ],
    ids=["timed out", "paused", "never started", "cancelled", "rescheduled", "unknown state"],
)
def test_each_end_says_what_happened_and_where_to_look(ended, parts):
    for part in [*parts, "https://fivetran.com/dashboard/connections/c"]:
        assert part in ended.message
