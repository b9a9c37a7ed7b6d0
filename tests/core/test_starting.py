"""Starting a sync, driven by a script: which requests each policy sends, and what a lost answer leads to."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranConnectionBroken,
    FivetranConnectionPaused,
    FivetranError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranSyncRunning,
    FivetranSyncTimeout,
    FivetranTriggerUncertain,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.models import SetupTest
from airflow_provider_fivetran.core.schema_config import SchemaConfig, SourceSchema, SourceTable
from airflow_provider_fivetran.core.starting import (
    NotNeeded,
    Order,
    Progress,
    Skipped,
    Started,
    Undo,
    start,
    take_up,
    undo,
)
from airflow_provider_fivetran.core.ticket import Aim
from airflow_provider_fivetran.core.verdicts import Failed, Succeeded
from airflow_provider_fivetran.core.watch import watch
from facts import EARLIER, RECONNECT, T0, at, connection, entry, ticket
from scripted import Fivetran

LOOK = "GET c"
HISTORY = "GET c/sync-history"
SYNC = 'POST c/sync {"force": false}'
RESTART = 'POST c/sync {"force": true}'
RESYNC = "POST c/resync {}"
SCHEMAS = "GET c/schemas"
TEST = "POST c/test {}"

IDLE = connection()
SYNCING = connection("syncing")
PAUSED = connection("paused", paused=True)
RESCHEDULED = connection("rescheduled", rescheduled_for=at(600))
BROKEN = connection(setup_state="broken", tasks=(RECONNECT,))
INCOMPLETE = connection(setup_state="incomplete")
PUBLIC = SourceSchema(
    source_name="public",
    name="shop",
    enabled=True,
    tables=tuple(SourceTable(source_name=name, name=name, enabled=True) for name in "ab"),
)
LOST = FivetranUnreachable("reset")
CONFLICT = FivetranConflict("409", status=409)
FRESH = timedelta(hours=2)


def change(**fields):
    return f"PATCH c {json.dumps({**fields, 'run_setup_tests': False}, sort_keys=True)}"


def begin(fivetran, *, begun_at=None, keep=lambda _progress: None, **policies):
    order = Order(connection_id="c", **policies)
    return fivetran.drive(start(order, fivetran.clock, begun_at=begun_at, keep=keep))


def case(sentence, found, policies, requests):
    return pytest.param(found, policies, requests, id=sentence)


@pytest.mark.parametrize(
    ("found", "policies", "requests"),
    [
        case("idle: look and trigger", IDLE, {}, [LOOK, SYNC]),
        case("put off: look and trigger", RESCHEDULED, {}, [LOOK, SYNC]),
        case("attach sends no trigger", SYNCING, {"when_running": "attach"}, [LOOK]),
        case("queue sends no trigger", SYNCING, {"when_running": "queue"}, [LOOK]),
        case(
            "restart remembers the running sync and forces",
            SYNCING,
            {"when_running": "restart"},
            [LOOK, HISTORY, RESTART],
        ),
        case("restart forces nothing where nothing runs", IDLE, {"when_running": "restart"}, [LOOK, SYNC]),
        case(
            "a policy for running syncs does not matter to an idle one",
            IDLE,
            {"when_running": "fail"},
            [LOOK, SYNC],
        ),
        case("a policy for paused ones does not matter either", IDLE, {"when_paused": "skip"}, [LOOK, SYNC]),
        case(
            "unpause, then trigger",
            PAUSED,
            {"when_paused": "unpause"},
            [LOOK, change(paused=False), SYNC],
        ),
        case(
            "unpause and restore, then trigger",
            PAUSED,
            {"when_paused": "unpause_and_restore"},
            [LOOK, change(paused=False), SYNC],
        ),
        case(
            "unpause and set the schedule in one request",
            PAUSED,
            {"when_paused": "unpause", "schedule_type": "manual"},
            [LOOK, change(paused=False, schedule_type="manual"), SYNC],
        ),
        case(
            "set the schedule, then trigger",
            IDLE,
            {"schedule_type": "manual"},
            [LOOK, change(schedule_type="manual"), SYNC],
        ),
        case("a schedule that is right is left alone", IDLE, {"schedule_type": "auto"}, [LOOK, SYNC]),
        case(
            "set the schedule of a sync that runs already",
            SYNCING,
            {"schedule_type": "manual"},
            [LOOK, change(schedule_type="manual")],
        ),
        case("try what is broken", BROKEN, {"when_broken": "try"}, [LOOK, SYNC]),
        case("a re-sync", IDLE, {"resync": True}, [LOOK, RESYNC]),
        case(
            "a re-sync of tables",
            IDLE,
            {"resync": True, "scope": {"public": ("a", "b")}},
            [SCHEMAS, LOOK, 'POST c/resync {"scope": {"public": ["a", "b"]}}'],
        ),
        case("a re-sync never takes a running sync as its own", SYNCING, {"resync": True}, [LOOK]),
        case(
            "a success that is too old is not fresh",
            IDLE,
            {"fresh_within": timedelta(minutes=30)},
            [LOOK, SYNC],
        ),
        case(
            "a success that a failure followed is not fresh",
            connection(failed_at=at(-60)),
            {"fresh_within": FRESH},
            [LOOK, SYNC],
        ),
        case(
            "what never succeeded is not fresh",
            connection(succeeded_at=None),
            {"fresh_within": FRESH},
            [LOOK, SYNC],
        ),
    ],
)
def test_what_is_sent(found, policies, requests):
    history = (entry("running", -300, sync_id="other"),)
    fivetran = Fivetran(look=found, history=history, schemas=SchemaConfig(schemas=(PUBLIC,)))
    assert isinstance(begin(fivetran, **policies), Started)
    assert fivetran.requests == requests
    assert fivetran.warnings == []


@pytest.mark.parametrize(
    ("found", "policies", "error"),
    [
        case("paused, which is an error", PAUSED, {}, FivetranConnectionPaused),
        case("running, which is an error", SYNCING, {"when_running": "fail"}, FivetranSyncRunning),
        case("broken, which is an error", BROKEN, {"when_broken": "fail"}, FivetranConnectionBroken),
        case(
            "incomplete, which no sync can heal", INCOMPLETE, {"when_broken": "try"}, FivetranConnectionBroken
        ),
        case("incomplete, which is an error", INCOMPLETE, {"when_broken": "fail"}, FivetranConnectionBroken),
        case(
            "paused comes before broken",
            connection("paused", paused=True, setup_state="broken"),
            {"when_broken": "fail"},
            FivetranConnectionPaused,
        ),
        case(
            "paused comes before running, while the sync is being stopped",
            connection("syncing", paused=True),
            {"when_running": "fail"},
            FivetranConnectionPaused,
        ),
        case(
            "broken comes before anything is changed",
            connection("paused", paused=True, setup_state="broken"),
            {"when_broken": "fail", "when_paused": "unpause", "schedule_type": "manual"},
            FivetranConnectionBroken,
        ),
    ],
)
def test_what_a_policy_forbids_is_an_error_that_says_where_to_look(found, policies, error):
    fivetran = Fivetran(look=found)
    with pytest.raises(error, match=r"https://fivetran\.com/dashboard/connections/c") as caught:
        begin(fivetran, **policies)
    assert fivetran.requests == [LOOK]
    assert caught.value.connection_id == "c"


@pytest.mark.parametrize(
    ("found", "policies", "kind", "status"),
    [
        pytest.param(PAUSED, {"when_paused": "skip"}, Skipped, "skipped", id="paused is skipped"),
        pytest.param(SYNCING, {"when_running": "skip"}, Skipped, "skipped", id="running is skipped"),
        pytest.param(IDLE, {"fresh_within": FRESH}, NotNeeded, "fresh", id="fresh needs no sync"),
        pytest.param(
            PAUSED,
            {"fresh_within": FRESH, "when_paused": "skip"},
            NotNeeded,
            "fresh",
            id="fresh comes before paused",
        ),
        pytest.param(
            SYNCING,
            {"fresh_within": FRESH, "when_running": "fail"},
            NotNeeded,
            "fresh",
            id="fresh comes before running",
        ),
        pytest.param(
            BROKEN,
            {"fresh_within": FRESH, "when_broken": "fail"},
            NotNeeded,
            "fresh",
            id="fresh comes before broken",
        ),
        pytest.param(
            connection(failed_at=EARLIER - timedelta(minutes=1)),
            {"fresh_within": FRESH},
            NotNeeded,
            "fresh",
            id="a failure before the success does not matter",
        ),
    ],
)
def test_what_needs_no_sync(found, policies, kind, status):
    fivetran = Fivetran(look=found)
    done = begin(fivetran, **policies)
    assert isinstance(done, kind)
    assert (done.record.status, done.record.ended_at) == (status, EARLIER)
    assert fivetran.requests == [LOOK]


# --- broken set-ups -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [BROKEN, INCOMPLETE], ids=["broken", "incomplete"])
def test_setup_tests_that_heal_let_the_sync_begin(found):
    fivetran = Fivetran(look=found, test=IDLE)
    assert isinstance(begin(fivetran, when_broken="test"), Started)
    assert fivetran.requests == [LOOK, TEST, SYNC]


@pytest.mark.parametrize("found", [BROKEN, INCOMPLETE], ids=["broken", "incomplete"])
def test_setup_tests_that_fail_are_an_error_that_says_which(found):
    test = SetupTest(title="Login", status="failed", message="wrong password")
    fivetran = Fivetran(look=found, test=connection(setup_state="broken", setup_tests=(test,)))
    with pytest.raises(FivetranConnectionBroken, match="Login: wrong password"):
        begin(fivetran, when_broken="test")
    assert fivetran.requests == [LOOK, TEST]


def test_a_sound_setup_is_not_tested():
    fivetran = Fivetran(look=IDLE)
    begin(fivetran, when_broken="test")
    assert fivetran.requests == [LOOK, SYNC]


@pytest.mark.parametrize(
    ("when_running", "expected"), [("fail", FivetranSyncRunning), ("skip", Skipped), ("attach", Started)]
)
def test_a_sync_that_began_during_the_setup_tests_is_not_stopped(when_running, expected):
    fivetran = Fivetran(look=BROKEN, test=SYNCING)
    try:
        outcome = begin(fivetran, when_broken="test", when_running=when_running)
    except FivetranSyncRunning as error:
        outcome = error
    assert isinstance(outcome, expected)
    assert fivetran.requests == [LOOK, TEST]


# --- tickets --------------------------------------------------------------------------------------------------


def test_a_ticket_for_a_trigger_is_taken_before_it():
    fivetran = Fivetran(look=IDLE, ahead=timedelta(minutes=5), latency=1.5)
    ticket = begin(
        fivetran,
        timeout=timedelta(hours=3),
        when_rescheduled="fail",
        poll_frequency=timedelta(seconds=7),
        reschedule_wait=timedelta(seconds=8),
        start_timeout=timedelta(seconds=9),
        begun_at=at(-100),
    ).ticket
    assert (ticket.aim, ticket.sync_state, ticket.succeeded_at) == (Aim.TRIGGERED, "scheduled", EARLIER)
    # Fivetran's clock is five minutes ahead, and its header knows no fractions.
    assert (ticket.asked_at, ticket.taken_at, ticket.triggered_at) == (at(1.5), at(301), at(303))
    assert ticket.begun_at == at(-100)
    assert (ticket.timeout, ticket.fail_when_rescheduled) == (timedelta(hours=3), True)
    assert (ticket.poll_frequency, ticket.reschedule_wait, ticket.start_timeout) == (
        timedelta(seconds=7),
        timedelta(seconds=8),
        timedelta(seconds=9),
    )


def test_without_a_date_header_our_clock_must_do_and_is_not_trusted():
    ticket = begin(Fivetran(look=IDLE, ahead=None, latency=1)).ticket
    assert ticket.taken_at == at(1 - 60)
    assert ticket.triggered_at == at(2 - 60)


@pytest.mark.parametrize(
    ("found", "policies", "aim", "then_start_ours", "historical"),
    [
        pytest.param(SYNCING, {}, Aim.RUNNING, False, False, id="attached"),
        pytest.param(SYNCING, {"when_running": "queue"}, Aim.RUNNING, True, False, id="queued"),
        pytest.param(SYNCING, {"resync": True}, Aim.RUNNING, True, True, id="a re-sync behind a sync"),
        pytest.param(SYNCING, {"when_running": "restart"}, Aim.TRIGGERED, False, False, id="restarted"),
        pytest.param(IDLE, {"resync": True}, Aim.TRIGGERED, False, True, id="a re-sync"),
        pytest.param(
            connection("syncing", is_historical=True),
            {},
            Aim.RUNNING,
            False,
            True,
            id="attached to a historical one",
        ),
    ],
)
def test_what_a_ticket_stands_for(found, policies, aim, then_start_ours, historical):
    started = begin(Fivetran(look=found), **policies)
    assert (started.ticket.aim, started.then_start_ours, started.ticket.historical) == (
        aim,
        then_start_ours,
        historical,
    )


def test_a_restart_remembers_which_sync_it_stops():
    history = (entry("completed", -900, -600, "older"), entry("running", -300, sync_id="stopped"))
    started = begin(Fivetran(look=SYNCING, history=history), when_running="restart")
    assert started.ticket.other_sync_id == "stopped"


@pytest.mark.parametrize("error", [FivetranNotFound("404"), FivetranForbidden("403"), LOST])
def test_a_restart_does_without_a_history(error):
    fivetran = Fivetran(look=SYNCING, history=error)
    assert begin(fivetran, when_running="restart").ticket.other_sync_id is None
    # One that cannot be read at the moment is asked again for a while.
    assert fivetran.requests == [LOOK, *[HISTORY] * fivetran.requests.count(HISTORY), RESTART]


def test_a_restart_with_a_wrong_key_sends_no_trigger():
    fivetran = Fivetran(look=SYNCING, history=FivetranUnauthorized("401"))
    with pytest.raises(FivetranUnauthorized):
        begin(fivetran, when_running="restart")
    assert fivetran.requests == [LOOK, HISTORY]


def test_the_requests_of_a_whole_sync_are_look_trigger_polls_and_one_history():
    state = iter([IDLE, *[SYNCING] * 5])
    fivetran = Fivetran(
        look=lambda _now: next(state, connection(succeeded_at=at(30))), history=(entry("completed", 2, 30),)
    )
    started = begin(fivetran)
    assert isinstance(fivetran.drive(watch(started.ticket, fivetran.clock)), Succeeded)
    assert fivetran.requests == [LOOK, SYNC, *[LOOK] * 6, HISTORY]


# --- putting back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "policies", "back"),
    [
        pytest.param(PAUSED, {"when_paused": "unpause"}, {}, id="unpaused for good"),
        pytest.param(PAUSED, {"when_paused": "unpause_and_restore"}, {"paused": True}, id="paused again"),
        pytest.param(IDLE, {"when_paused": "unpause_and_restore"}, {}, id="never was paused"),
        pytest.param(IDLE, {"schedule_type": "manual"}, {}, id="a schedule for good"),
        pytest.param(
            IDLE,
            {"schedule_type": "manual", "restore_schedule": True},
            {"schedule_type": "auto"},
            id="a schedule put back",
        ),
        pytest.param(
            IDLE, {"schedule_type": "auto", "restore_schedule": True}, {}, id="a schedule that was right"
        ),
        pytest.param(
            PAUSED,
            {"when_paused": "unpause_and_restore", "schedule_type": "manual", "restore_schedule": True},
            {"paused": True, "schedule_type": "auto"},
            id="both",
        ),
    ],
)
def test_what_is_to_be_put_back(found, policies, back):
    undone = begin(Fivetran(look=found), **policies).undo
    assert undone.changes() == back
    assert Undo.from_json(json.loads(json.dumps(undone.to_json()))) == undone
    fivetran = Fivetran(change=IDLE)
    fivetran.drive(undo("c", undone, fivetran.clock))
    assert fivetran.requests == ([change(**back)] if back else [])


@pytest.mark.parametrize("error", [LOST, FivetranForbidden("403"), FivetranApiError("400")])
def test_what_cannot_be_put_back_is_said_and_is_no_error(error):
    fivetran = Fivetran(change=error)
    assert not fivetran.drive(undo("c", Undo(pause=True), fivetran.clock))
    assert "could not put back {'paused': True}, do it by hand" in fivetran.warnings[-1]
    assert fivetran.now <= at(125)


@pytest.mark.parametrize(
    "error", [FivetranForbidden("403"), FivetranRateLimited("429", retry_after=3600), CONFLICT]
)
def test_a_start_that_is_refused_leaves_to_put_back_what_it_had_changed(error):
    kept = []
    fivetran = Fivetran(look=PAUSED, sync=error)
    with pytest.raises(type(error)):
        begin(
            fivetran,
            keep=kept.append,
            when_paused="unpause_and_restore",
            schedule_type="manual",
            restore_schedule=True,
        )
    assert kept[-1] == Progress(undo=Undo(pause=True, schedule_type="auto"))


def test_a_change_whose_answer_was_lost_is_to_be_put_back():
    kept = []
    fivetran = Fivetran(look=PAUSED, change=LOST)
    with pytest.raises(FivetranUnreachable):
        begin(fivetran, keep=kept.append, when_paused="unpause_and_restore")
    # It is tried for minutes; what cannot be told is put back.
    assert len(fivetran.requests) > 4
    assert set(fivetran.requests[1:]) == {change(paused=False)}
    assert kept[-1] == Progress(undo=Undo(pause=True), comes_before_a_change=True)


@pytest.mark.parametrize("error", [FivetranForbidden("403"), FivetranUnauthorized("401")])
def test_a_change_that_was_refused_needs_no_putting_back(error):
    kept = []
    fivetran = Fivetran(look=PAUSED, change=error)
    with pytest.raises(type(error)):
        begin(fivetran, keep=kept.append, when_paused="unpause_and_restore")
    assert fivetran.requests == [LOOK, change(paused=False)]
    assert kept[-1] == Progress(undo=Undo())


def test_of_two_tasks_in_one_what_was_found_first_is_put_back():
    first, second = Undo(pause=True, schedule_type="auto"), Undo(schedule_type="manual")
    assert second.and_earlier(first) == first
    assert Undo().and_earlier(first) == first
    assert first.and_earlier(Undo()) == first


@pytest.mark.parametrize("data", [None, {}, {"pause": None}, {"pause": "yes", "schedule_type": ""}])
def test_nothing_is_put_back_without_a_clear_order(data):
    assert Undo.from_json(data).changes() == {}


# --- lost answers ---------------------------------------------------------------------------------------------

TOOK = {
    "it runs": SYNCING,
    "it ended well already": connection(succeeded_at=at(3)),
    "it ended badly already": connection(failed_at=at(3)),
    "it was put off already": RESCHEDULED,
}
LOSSES = {
    "no answer": LOST,
    "garbage": FivetranUnexpectedAnswer("html"),
    "a server error": FivetranServerError("502", status=502),
}


@pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("after", TOOK.values(), ids=TOOK)
def test_a_trigger_that_took_is_not_sent_again(lost, after):
    fivetran = Fivetran(look=[IDLE, IDLE, after], sync=lost)
    assert isinstance(begin(fivetran), Started)
    assert fivetran.requests == [LOOK, SYNC, LOOK, LOOK]
    assert len(fivetran.warnings) == 1
    assert fivetran.said[-1] == "c: the trigger took"


@pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
def test_a_trigger_that_did_not_take_is_sent_once_more(lost):
    fivetran = Fivetran(look=IDLE, sync=[lost, None])
    assert isinstance(begin(fivetran), Started)
    assert fivetran.requests.count(SYNC) == 2
    assert fivetran.requests[-1] == SYNC
    assert sum(fivetran.pauses) >= 15


def test_a_trigger_that_never_gets_through_is_uncertain_in_the_end():
    fivetran = Fivetran(look=IDLE, sync=LOST)
    with pytest.raises(FivetranTriggerUncertain, match=r"https://fivetran\.com/dashboard/connections/c"):
        begin(fivetran)
    assert fivetran.requests.count(SYNC) == 3


def test_looks_that_fail_after_a_lost_answer_are_repeated():
    fivetran = Fivetran(look=[IDLE, LOST, FivetranServerError("503"), SYNCING], sync=LOST)
    assert isinstance(begin(fivetran), Started)
    assert fivetran.requests == [LOOK, SYNC, LOOK, LOOK, LOOK]


def test_a_sync_that_was_cancelled_before_it_was_seen_is_not_started_again():
    fivetran = Fivetran(look=IDLE, sync=LOST, history=(entry("canceled", 2, 4, "ours"),))
    begin(fivetran)
    assert fivetran.requests.count(SYNC) == 1
    assert fivetran.requests[-1] == HISTORY


def test_nothing_is_triggered_again_while_nothing_can_be_read():
    fivetran = Fivetran(look=[IDLE, LOST], sync=LOST)
    with pytest.raises(FivetranTriggerUncertain):
        begin(fivetran)
    assert fivetran.requests.count(SYNC) == 1


def test_a_look_that_is_refused_after_a_lost_answer_is_the_error_if_no_key_comes_for_ten_minutes():
    fivetran = Fivetran(look=[IDLE, FivetranUnauthorized("401")], sync=LOST)
    with pytest.raises(FivetranUnauthorized):
        begin(fivetran)
    assert at(500) <= fivetran.now <= at(620)


def test_a_key_that_is_replaced_while_a_trigger_is_looked_for_does_not_lose_the_sync():
    refused = FivetranUnauthorized("401", status=401)
    fivetran = Fivetran(look=[IDLE, refused, refused, SYNCING], sync=LOST)
    assert isinstance(begin(fivetran), Started)
    assert fivetran.requests.count(SYNC) == 1


def test_a_history_that_cannot_be_read_at_first_is_asked_again_before_a_second_trigger():
    cancelled = entry("canceled", 2, 4, "ours")
    fivetran = Fivetran(look=IDLE, sync=LOST, history=[FivetranServerError("503", status=503), (cancelled,)])
    begin(fivetran)
    assert fivetran.requests.count(SYNC) == 1


def test_a_history_that_cannot_be_read_for_long_leaves_a_lost_trigger_uncertain():
    fivetran = Fivetran(look=IDLE, sync=LOST, history=FivetranServerError("503", status=503))
    with pytest.raises(FivetranTriggerUncertain):
        begin(fivetran)
    assert fivetran.requests.count(SYNC) == 1


@pytest.mark.parametrize("when", [at(-30), T0], ids=["before the ticket", "in its second"])
def test_an_end_that_is_not_after_the_ticket_does_not_show_that_a_trigger_took(when):
    found = connection(succeeded_at=when)
    fivetran = Fivetran(look=found, sync=[LOST, None])
    begin(fivetran)
    assert fivetran.requests.count(SYNC) == 2


def test_a_put_off_from_before_does_not_show_that_a_trigger_took():
    fivetran = Fivetran(look=RESCHEDULED, sync=[LOST, None])
    begin(fivetran)
    assert fivetran.requests.count(SYNC) == 2


def test_a_sync_that_failed_before_the_lost_answer_was_looked_into_is_the_awaited_one():
    """The next sync on the schedule has begun when the wait begins: its end is not the end of ours."""
    history = (entry("failure", 2, 8, "ours"), entry("completed", 20, 40, "next"))
    after = connection(succeeded_at=at(40), failed_at=at(8))
    fivetran = Fivetran(
        look=[IDLE, LOST, LOST, LOST, LOST, connection(failed_at=at(8)), after], sync=LOST, history=history
    )
    started = begin(fivetran)
    fivetran.now = at(60)
    assert isinstance(fivetran.drive(watch(started.ticket, fivetran.clock)), Failed)


def test_a_resync_shows_itself_as_a_historical_sync():
    fivetran = Fivetran(look=[IDLE, SYNCING, connection("syncing", is_historical=True)], resync=LOST)
    assert isinstance(begin(fivetran, resync=True), Started)
    assert fivetran.requests == [LOOK, RESYNC, LOOK, LOOK]


@pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("scope", [None, {"public": ["a"]}], ids=["whole", "tables"])
def test_a_resync_is_never_sent_twice(lost, scope):
    fivetran = Fivetran(look=IDLE, resync=lost)
    with pytest.raises(FivetranTriggerUncertain):
        begin(fivetran, resync=True, scope=scope)
    assert sum(request.startswith("POST") for request in fivetran.requests) == 1


@pytest.mark.parametrize("lost", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(
    "history", [FivetranNotFound("404"), LOST, ()], ids=["absent", "unreadable", "empty"]
)
def test_a_restart_is_never_sent_twice_where_nothing_tells_the_syncs_apart(lost, history):
    fivetran = Fivetran(look=SYNCING, sync=lost, history=history)
    with pytest.raises(FivetranTriggerUncertain):
        begin(fivetran, when_running="restart")
    assert fivetran.requests.count(RESTART) == 1


@pytest.mark.parametrize("running", [SYNCING, connection("syncing", is_historical=True)])
def test_a_sync_that_runs_does_not_tell_that_a_resync_of_tables_took(running):
    fivetran = Fivetran(look=[IDLE, running], resync=LOST)
    with pytest.raises(FivetranTriggerUncertain):
        begin(fivetran, resync=True, scope={"public": ["a"]})


def test_a_restart_took_if_the_sync_before_it_was_cancelled_though_ours_does_not_show_yet():
    history = [(entry("running", -300, sync_id="stopped"),), (entry("canceled", -300, 5, "stopped"),)]
    fivetran = Fivetran(look=SYNCING, sync=LOST, history=history)
    begin(fivetran, when_running="restart")
    assert fivetran.requests.count(RESTART) == 1


def test_a_restart_that_took_shows_itself_in_the_history():
    before = entry("running", -300, sync_id="stopped")
    history = [(before,), (before,), (entry("canceled", -300, 5, "stopped"), entry("running", 6))]
    fivetran = Fivetran(look=SYNCING, sync=LOST, history=history)
    assert begin(fivetran, when_running="restart").ticket.other_sync_id == "stopped"
    assert fivetran.requests == [LOOK, HISTORY, RESTART, LOOK, HISTORY, LOOK, HISTORY]


def test_a_restart_that_did_not_take_is_sent_once_more():
    history = (entry("completed", -900, -600, "older"), entry("running", -300, sync_id="stopped"))
    fivetran = Fivetran(look=SYNCING, sync=[LOST, None], history=history)
    assert isinstance(begin(fivetran, when_running="restart"), Started)
    assert fivetran.requests.count(RESTART) == 2
    assert sum(fivetran.pauses) >= 90  # Fivetran may need a minute to stop the other sync


# --- conflicts ------------------------------------------------------------------------------------------------


def test_a_conflict_because_another_start_came_first_makes_that_sync_ours():
    fivetran = Fivetran(look=[IDLE, SYNCING], sync=CONFLICT)
    started = begin(fivetran)
    assert started.ticket.aim is Aim.TRIGGERED
    assert fivetran.requests == [LOOK, SYNC, LOOK]


def test_a_conflict_without_a_sync_is_a_refusal():
    fivetran = Fivetran(look=IDLE, sync=CONFLICT)
    with pytest.raises(FivetranConflict):
        begin(fivetran)
    assert fivetran.requests.count(SYNC) == 1


def test_a_restart_that_would_be_a_resync_waits_for_the_running_sync_first():
    fivetran = Fivetran(look=SYNCING)
    assert begin(fivetran, resync=True, when_running="restart").then_start_ours
    assert fivetran.requests == [LOOK]


def test_a_sync_that_unpausing_started_is_not_the_resync():
    fivetran = Fivetran(look=[PAUSED, SYNCING], change=PAUSED)
    assert begin(fivetran, resync=True, when_paused="unpause").then_start_ours
    assert fivetran.requests == [LOOK, change(paused=False), LOOK]


def test_a_sync_that_a_pause_is_stopping_is_not_shared():
    fivetran = Fivetran(look=connection("syncing", paused=True), change=PAUSED)
    assert begin(fivetran, when_paused="unpause").then_start_ours


def test_a_start_that_comes_again_after_the_deadline_starts_nothing():
    fivetran = Fivetran(look=IDLE)
    with pytest.raises(FivetranSyncTimeout, match="nothing was started"):
        begin(fivetran, timeout=timedelta(hours=1), begun_at=at(-3601))
    assert fivetran.requests == [LOOK]


@pytest.mark.parametrize(
    "policy", ["when_running", "when_paused", "when_broken", "when_rescheduled", "schedule_type"]
)
def test_a_policy_that_does_not_exist_is_refused(policy):
    with pytest.raises(ValueError, match=rf"{policy} is 'Attach'; allowed are '"):
        Order(connection_id="c", **{policy: "Attach"})


def test_a_running_sync_that_the_history_does_not_show_yet_is_looked_for_again():
    history = [(), (entry("running", -1, sync_id="other"),)]
    fivetran = Fivetran(look=SYNCING, history=history)
    assert begin(fivetran, when_running="restart").ticket.other_sync_id == "other"
    assert fivetran.requests == [LOOK, HISTORY, HISTORY, RESTART]


def test_a_running_sync_that_no_history_shows_is_restarted_all_the_same():
    fivetran = Fivetran(look=SYNCING)
    assert begin(fivetran, when_running="restart").ticket.other_sync_id is None
    assert fivetran.requests == [LOOK, HISTORY, HISTORY, HISTORY, RESTART]


def test_a_conflict_at_a_restart_is_a_refusal():
    history = (entry("running", -300, sync_id="other"),)
    fivetran = Fivetran(look=SYNCING, sync=CONFLICT, history=history)
    with pytest.raises(FivetranConflict):
        begin(fivetran, when_running="restart")
    # One that cannot be read at the moment is asked again for a while.
    assert fivetran.requests == [LOOK, *[HISTORY] * fivetran.requests.count(HISTORY), RESTART]


@pytest.mark.parametrize("scope", [None, {"public": ["a"]}], ids=["whole", "tables"])
@pytest.mark.parametrize("historical", [False, True])
def test_a_conflict_at_a_resync_is_a_refusal_even_if_a_sync_runs(scope, historical):
    """That sync is somebody else's and no re-sync."""
    fivetran = Fivetran(look=[connection(is_historical=historical), SYNCING], resync=CONFLICT)
    with pytest.raises(FivetranConflict):
        begin(fivetran, resync=True, scope=scope)


@pytest.mark.parametrize(
    "error",
    [
        FivetranUnauthorized("401"),
        FivetranForbidden("403"),
        FivetranNotFound("404"),
        FivetranRateLimited("429"),
    ],
)
def test_a_refusal_is_the_error_and_nothing_else_is_sent(error):
    fivetran = Fivetran(look=IDLE, sync=error)
    with pytest.raises(type(error)):
        begin(fivetran)
    assert fivetran.requests == [LOOK, SYNC]


def test_an_api_that_cannot_be_reached_is_asked_again_for_minutes():
    fivetran = Fivetran(look=[LOST, LOST, LOST, IDLE])
    assert begin(fivetran).ticket.aim is Aim.TRIGGERED
    assert fivetran.requests == [LOOK, LOOK, LOOK, LOOK, SYNC]


def test_an_api_that_cannot_be_reached_for_minutes_is_an_error():
    fivetran = Fivetran(look=LOST)
    with pytest.raises(FivetranUnreachable):
        begin(fivetran)
    assert len(fivetran.requests) > 3
    assert set(fivetran.requests) == {LOOK}


@pytest.mark.parametrize("error", [FivetranNotFound("404"), FivetranUnauthorized("401")])
def test_a_connection_that_cannot_be_looked_at_is_not_triggered(error):
    fivetran = Fivetran(look=error)
    with pytest.raises(type(error)):
        begin(fivetran)
    assert fivetran.requests == [LOOK]


# --- another process has begun --------------------------------------------------------------------------------


def go_on(fivetran, begun, *, unanswered=True, seconds=20, **policies):
    """Go on with the ticket of a process that died, so many seconds after it was taken."""
    fivetran.now = at(seconds)
    kept = []
    order = Order(connection_id="c", **policies)
    procedure = take_up(order, begun, fivetran.clock, unanswered=unanswered, keep=kept.append)
    return fivetran.drive(procedure), kept


BEGUN = Started(ticket=ticket(), undo=Undo(schedule_type="auto"))


def test_a_trigger_that_was_answered_is_only_waited_for():
    fivetran = Fivetran()
    assert go_on(fivetran, BEGUN, unanswered=False) == (BEGUN, [])
    assert not fivetran.requests


def test_a_trigger_that_may_have_been_sent_too_long_ago_is_left_to_the_wait():
    begun = Started(ticket=ticket(timeout=timedelta(seconds=15)))
    fivetran = Fivetran()
    assert go_on(fivetran, begun) == (begun, [])
    assert not fivetran.requests


@pytest.mark.parametrize(
    ("found", "history"),
    [
        (SYNCING, ()),
        (connection(succeeded_at=at(9)), ()),
        (connection(failed_at=at(9)), ()),
        (connection("rescheduled", rescheduled_for=at(900)), ()),
        (IDLE, (entry("canceled", 2, 9),)),
    ],
    ids=["running", "ended well", "failed", "put off", "cancelled, as only the history tells"],
)
def test_a_sync_that_another_process_has_triggered_is_not_triggered_again(found, history):
    fivetran = Fivetran(look=found, history=history)
    started, kept = go_on(fivetran, BEGUN)
    assert SYNC not in fivetran.requests
    assert started.ticket == BEGUN.ticket
    assert started.undo == BEGUN.undo
    assert [progress.unanswered for progress in kept] == [False]


def test_a_trigger_that_another_process_did_not_come_to_send_is_sent():
    fivetran = Fivetran(look=IDLE)
    started, kept = go_on(fivetran, BEGUN)
    assert fivetran.requests.count(SYNC) == 1
    assert started.ticket.taken_at == T0
    assert started.ticket.triggered_at > at(20)
    assert [progress.unanswered for progress in kept] == [True, False]


def test_a_restart_that_another_process_has_sent_is_not_sent_again():
    begun = Started(ticket=ticket(sync_state="syncing", other_sync_id="other"))
    fivetran = Fivetran(look=SYNCING, history=(entry("canceled", -9, 1, "other"),))
    go_on(fivetran, begun, when_running="restart")
    assert RESTART not in fivetran.requests


def test_a_resync_that_does_not_show_is_not_sent_by_another_process():
    fivetran = Fivetran(look=IDLE)
    with pytest.raises(FivetranTriggerUncertain):
        go_on(fivetran, BEGUN, resync=True)
    assert RESYNC not in fivetran.requests


def test_a_resync_that_another_process_has_sent_shows_itself_as_historical():
    fivetran = Fivetran(look=connection("syncing", is_historical=True))
    started, _ = go_on(fivetran, BEGUN, resync=True)
    assert started.ticket == BEGUN.ticket


def test_a_trigger_that_fivetran_refuses_leaves_nothing_to_look_for():
    kept = []
    order = Order(connection_id="c", schedule_type="manual", restore_schedule=True)
    fivetran = Fivetran(look=IDLE, sync=FivetranForbidden("403", status=403))
    with pytest.raises(FivetranForbidden):
        fivetran.drive(start(order, fivetran.clock, keep=kept.append))
    assert [progress.unanswered for progress in kept] == [False, True, False]
    assert kept[-1].ticket is None
    assert kept[-1].undo == Undo(schedule_type="auto")


def test_what_may_have_been_triggered_is_noted_before_the_trigger_is_sent():
    kept = []
    fivetran = Fivetran(look=IDLE, sync=lambda now: kept.append("sent"))
    fivetran.drive(start(Order(connection_id="c"), fivetran.clock, keep=kept.append))
    before, sent, after = kept
    assert sent == "sent"
    assert (before.unanswered, after.unanswered) == (True, False)
    assert before.ticket.taken_at == after.ticket.taken_at


def test_a_trigger_is_sent_again_only_if_that_may_be():
    def only_once(progress):
        if kept:
            raise FivetranError("no more")
        kept.append(progress)

    kept = []
    fivetran = Fivetran(look=IDLE, sync=FivetranUnreachable("lost"))
    with pytest.raises(FivetranError, match="no more"):
        fivetran.drive(start(Order(connection_id="c"), fivetran.clock, keep=only_once))
    assert fivetran.requests.count(SYNC) == 1


def test_a_key_that_is_refused_for_minutes_while_a_trigger_is_looked_for_is_the_error():
    refused = FivetranUnauthorized("401", status=401)
    fivetran = Fivetran(look=IDLE, history=refused)
    with pytest.raises(FivetranUnauthorized):
        go_on(fivetran, BEGUN)
    assert SYNC not in fivetran.requests


MANY_TABLES = {"shop": tuple(f"t{number}" for number in range(30))}


@pytest.mark.parametrize(
    ("policies", "says"),
    [
        ({}, "c: triggered a sync. https://"),
        ({"resync": True}, "c: triggered a re-sync of everything. https://"),
        ({"resync": True, "scope": {"public": ("a", "b")}}, "c: triggered a re-sync of public.a, public.b. "),
        ({"resync": True, "scope": MANY_TABLES, "scope_is_checked": True}, "shop.t9 and 20 more. https://"),
    ],
)
def test_what_was_triggered_is_said(policies, says):
    fivetran = Fivetran(look=IDLE, schemas=SchemaConfig(schemas=(PUBLIC,)))
    begin(fivetran, **policies)
    assert says in fivetran.said[-1]
    assert len(fivetran.said[-1]) < 250
