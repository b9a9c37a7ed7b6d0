"""What the core promises whatever Fivetran says: tried with thousands of made-up answers."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_fivetran.core import errors
from airflow_provider_fivetran.core.cadence import pause_after_failed_reads, pause_between_looks
from airflow_provider_fivetran.core.decision import Seen, judge
from airflow_provider_fivetran.core.endpoints import get_connection, sync_connection
from airflow_provider_fivetran.core.events import BrokenOff, error_of, read_event, write_event
from airflow_provider_fivetran.core.history import awaited_entry
from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry
from airflow_provider_fivetran.core.retrying import LONGEST_PAUSE, may_repeat, pause_before_repeating
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.core.verdicts import (
    AskHistory,
    Cancelled,
    Ended,
    Failed,
    Gone,
    NeverStarted,
    Paused,
    Rescheduled,
    Succeeded,
    SyncRecord,
    TimedOut,
    TriggerAgain,
    Waiting,
)
from facts import EARLIER, RECONNECT, T0, at, connection, entry, ticket, whole_error

many = settings(max_examples=80, deadline=None)

STATES = ("scheduled", "syncing", "paused", "rescheduled")
WORDS = ("completed", "failure", "canceled", "rescheduled", "paused", "incomplete", "running")
seconds = st.integers(-4000, 4000)
maybe_seconds = st.none() | seconds
moments = st.none() | seconds.map(at)
words = st.sampled_from(STATES) | st.text(max_size=12)
spans = st.integers(1, 10**9).map(lambda n: timedelta(milliseconds=n))
maybe_spans = st.none() | spans
aims = st.sampled_from(Aim)


@st.composite
def connections(draw, states=words, **fixed):
    fields = {
        "paused": st.booleans(),
        "schedule_type": st.sampled_from(["auto", "manual"]) | st.text(max_size=5),
        "succeeded_at": moments,
        "failed_at": moments,
        "setup_state": words,
        "update_state": words,
        "is_historical": st.booleans(),
        "rescheduled_for": moments,
        "tasks": st.sampled_from([(), (RECONNECT,)]),
    }
    drawn = {name: draw(strategy) for name, strategy in fields.items() if name not in fixed}
    return connection(draw(states), **drawn, **fixed)


@st.composite
def entries(draw):
    word = draw(st.sampled_from(WORDS) | st.text(max_size=12))
    return entry(word, draw(maybe_seconds), draw(maybe_seconds), draw(st.sampled_from("abcd")))


histories = st.none() | st.lists(entries(), max_size=4).map(tuple)


@st.composite
def tickets(draw, aim=aims, **fixed):
    fields = {
        "taken_at": st.integers(-5, 5).map(at),
        "begun_at": st.integers(-5000, 0).map(at),
        "triggered_at": st.none() | st.integers(0, 100).map(at),
        "sync_state": words,
        "succeeded_at": moments,
        "failed_at": moments,
        "rescheduled_for": moments,
        "historical": st.booleans(),
        "other_sync_id": st.none() | st.sampled_from("abcd"),
        "timeout": maybe_spans,
        "start_timeout": spans,
        "fail_when_rescheduled": st.booleans(),
        "reschedule_wait": maybe_spans,
        "poll_frequency": maybe_spans,
        "wait_while_syncing": st.booleans(),
        "older_failures_count": st.booleans(),
    }
    drawn = {name: draw(strategy) for name, strategy in fields.items() if name not in fixed}
    return ticket(draw(aim), **drawn, **fixed)


@st.composite
def waits(draw, wanted=None, found=None, history=histories):
    """A ticket, what one to three looks showed, and when the last of them was."""
    wanted = draw(tickets() if wanted is None else wanted)
    looks = draw(st.lists(connections(), max_size=2))
    looks.append(draw(connections() if found is None else found))
    now = at(draw(st.integers(0, 100)))
    seen = Seen.first(wanted, looks[0], now)
    for look in looks[1:]:
        now += timedelta(seconds=draw(st.sampled_from([0.1, 2, 30, 100, 4000, 90000])))
        seen = seen.then(wanted, look, now)
    shown = draw(history)
    if shown is not None:
        seen = seen.with_history(wanted, shown, now)
    elif draw(st.booleans()):
        seen = seen.without_history()
    return wanted, seen, now


def limit(wanted, seen):
    return wanted.deadline(historical=seen.was_historical)


# --- the decision ---------------------------------------------------------------------------------------------


@many
@given(waits())
def test_whatever_is_seen_there_is_a_verdict_and_always_the_same(wait):
    verdict = judge(*wait)
    assert isinstance(verdict, (Waiting, AskHistory, TriggerAgain, Ended))
    assert judge(*wait) == verdict


@many
@given(waits())
def test_a_wait_never_goes_on_at_its_end_and_never_looks_after_it(wait):
    wanted, seen, now = wait
    verdict = judge(wanted, seen, now)
    if isinstance(verdict, Waiting):
        assert now < verdict.until <= limit(wanted, seen)
    assert not (now >= limit(wanted, seen) and isinstance(verdict, Waiting))


@many
@given(waits())
def test_what_was_read_is_not_asked_for_again(wait):
    wanted, seen, now = wait
    if not seen.can_ask:
        assert not isinstance(judge(wanted, seen, now), AskHistory)


@many
@given(waits())
def test_the_history_is_only_asked_for_what_fivetran_allows(wait):
    verdict = judge(*wait)
    if isinstance(verdict, AskHistory):
        assert timedelta(0) < verdict.until - verdict.since <= timedelta(days=7)


old_ends = st.none() | st.integers(-4000, -1).map(at)


@many
@given(
    waits(
        wanted=tickets(taken_at=T0, older_failures_count=False),
        found=connections(),
        history=st.none() | st.just(()),
    ),
    old_ends,
    old_ends,
)
def test_an_end_older_than_the_ticket_is_never_ours(wait, success, failure):
    wanted, seen, now = wait
    old = connection(
        seen.connection.status.sync_state,
        paused=seen.connection.paused,
        succeeded_at=success,
        failed_at=failure,
    )
    assert not isinstance(judge(wanted, seen.then(wanted, old, now), now), (Succeeded, Failed))


@many
@given(waits(wanted=tickets(st.just(Aim.TRIGGERED)), history=st.none()), st.floats(0.001, 1000))
def test_without_a_history_a_failure_newer_than_the_success_is_never_a_success(wait, later):
    wanted, seen, now = wait
    success = seen.connection.succeeded_at or at(20)
    failure = max(success, wanted.taken_at, wanted.failed_at or success) + timedelta(seconds=later)
    failed = connection(seen.connection.status.sync_state, succeeded_at=success, failed_at=failure)
    seen = seen.then(wanted, failed, now).without_history()
    assert not isinstance(judge(wanted, seen, now), Succeeded)


@many
@given(waits(history=st.lists(entries(), min_size=1, max_size=4).map(tuple)))
def test_the_verdict_never_contradicts_the_awaited_entry(wait):
    wanted, seen, now = wait
    awaited = awaited_entry(wanted, seen.history)
    verdict = judge(wanted, seen, now)
    if awaited is None:
        return
    if isinstance(verdict, (Succeeded, Failed)) and (awaited.is_success or awaited.is_failure):
        assert isinstance(verdict, Succeeded) == awaited.is_success
    if awaited.is_stopped:
        assert not isinstance(verdict, (Succeeded, Failed))
    if awaited.is_success or awaited.is_failure:
        assert isinstance(verdict, (Succeeded, Failed, Waiting, TimedOut))


@many
@given(waits(wanted=tickets(st.sampled_from([Aim.NEXT_END, Aim.SUCCESS_AFTER]))))
def test_a_sensor_is_never_told_to_trigger(wait):
    assert not isinstance(judge(*wait), TriggerAgain)


@many
@given(tickets(), st.lists(entries(), max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_the_history_does_not_matter(wanted, shown, random):
    shuffled = list(shown)
    random.shuffle(shuffled)
    starts = [e.started_at for e in shown]
    ends = [e.ended_at for e in shown]
    if len(set(starts)) == len(starts) and len(set(ends)) == len(ends):
        assert awaited_entry(wanted, tuple(shown)) == awaited_entry(wanted, tuple(shuffled))


@many
@given(tickets(), st.lists(entries(), max_size=5))
def test_a_triggered_sync_is_never_the_one_that_is_known_to_be_anothers(wanted, shown):
    wanted = wanted.but(aim=Aim.TRIGGERED)
    shown = tuple(e for e in shown if not e.is_put_off)
    awaited = awaited_entry(wanted, shown)
    assert awaited is None or awaited.sync_id != wanted.other_sync_id
    assert awaited is None or awaited.started_at >= wanted.taken_at - timedelta(seconds=60)


@many
@given(waits(wanted=tickets(timeout=None, historical=False), found=connections(is_historical=False)))
def test_a_lost_memory_never_turns_a_verdict_into_its_opposite(wait):
    wanted, seen, now = wait
    fresh = Seen.first(wanted, seen.connection, now)
    fresh = (
        fresh.with_history(wanted, seen.history, now) if seen.history is not None else fresh.without_history()
    )
    verdicts = {type(judge(wanted, fresh, now)), type(judge(wanted, seen, now))}
    assert not {Succeeded, Failed} <= verdicts


# --- what travels ---------------------------------------------------------------------------------------------


def through_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


@many
@given(tickets(by_our_clock=True))
def test_a_ticket_survives_its_round_trip(wanted):
    assert Ticket.from_json(through_json(wanted.to_json())) == wanted


@given(tickets(), st.dictionaries(st.text(min_size=1).map(lambda s: f"new_{s}"), st.integers()))
def test_what_a_newer_version_wrote_into_a_ticket_is_ignored(wanted, unknown):
    assert Ticket.from_json(through_json({**wanted.to_json(), **unknown})) == wanted


@pytest.mark.parametrize("missing", ["connection_id", "aim", "taken_at", "begun_at", "asked_at"])
def test_a_ticket_without_what_every_version_needs_is_refused(missing):
    data = ticket().to_json()
    del data[missing]
    with pytest.raises(ValueError, match=missing):
        Ticket.from_json(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@many
@given(st.sampled_from(sorted(ticket(timeout=timedelta(1), triggered_at=T0).to_json())), json_values)
@example("timeout", 1e300)
@example("taken_at", "0001-01-01T00:00:00+05:00")
def test_a_garbled_ticket_is_a_value_error_or_a_ticket(name, value):
    with contextlib.suppress(ValueError):
        assert isinstance(Ticket.from_json({**ticket().to_json(), name: value}), Ticket)


@pytest.mark.parametrize("data", [None, [], "ticket", 5])
def test_what_is_no_ticket_is_refused(data):
    with pytest.raises(ValueError, match="not a ticket"):
        Ticket.from_json(data)


records = st.builds(
    SyncRecord,
    connection_id=st.text(min_size=1),
    status=st.just("succeeded"),
    link=st.text(),
    sync_id=st.none() | st.text(),
    started_at=moments,
    ended_at=moments,
    rescheduled_for=moments,
    volume_mb=st.dictionaries(st.text(), st.floats(0, 10**9)),
    reason=st.none() | st.text(),
)


@many
@given(records)
def test_a_record_survives_its_round_trip(record):
    assert SyncRecord.from_json(through_json(record.to_json())) == record


ENDS = {
    Succeeded: "succeeded",
    Failed: "failed",
    Cancelled: "cancelled",
    Rescheduled: "rescheduled",
    Paused: "paused",
    Gone: "gone",
    NeverStarted: "never_started",
    TimedOut: "timed_out",
}


def ended(kind, **fields):
    fields = {"connection_id": "c", "status": ENDS[kind], "link": "https://x", "ended_at": T0} | fields
    return kind(SyncRecord(**fields), "what happened")


@pytest.mark.parametrize("kind", ENDS)
def test_each_end_of_a_wait_survives_its_round_trip_as_an_event(kind):
    event = ended(kind, volume_mb={"load": 1.5}, started_at=EARLIER)
    assert read_event(through_json(write_event(event))) == event


@pytest.mark.parametrize("announced", [None, T0])
def test_the_wish_for_a_trigger_survives_its_round_trip_as_an_event(announced):
    event = TriggerAgain(announced, "it is time")
    assert read_event(through_json(write_event(event))) == event


@pytest.mark.parametrize("name", errors.__all__)
def test_each_error_survives_its_round_trip_as_an_event(name):
    error = whole_error(name)
    read = read_event(through_json(write_event(BrokenOff(error)))).error
    assert (type(read), str(read), vars(read)) == (type(error), "it broke", vars(error))


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_that_knows_nothing_survives_its_round_trip_as_an_event(name):
    error = getattr(errors, name)("it broke")
    assert vars(read_event(through_json(write_event(BrokenOff(error)))).error) == vars(error)


def test_an_event_of_an_older_version_is_still_an_error():
    event = {"verdict": "BrokenOff", "error": "FivetranRateLimited", "message": "it broke", "status": 429}
    read = read_event({**event, "code": None, "connection_id": "c"}).error
    assert (type(read), read.connection_id, read.retry_after) == (errors.FivetranRateLimited, "c", None)


def test_an_end_that_an_older_version_wrote_is_still_an_end():
    event = write_event(ended(Rescheduled))
    del event["record"]["rescheduled_for"]
    assert error_of(read_event(event)).rescheduled_for is None


def test_the_error_of_a_put_off_knows_until_when():
    event = ended(Rescheduled, rescheduled_for=T0)
    assert error_of(read_event(through_json(write_event(event)))).rescheduled_for == T0


def test_an_error_of_a_newer_version_is_still_an_error():
    event = {"verdict": "BrokenOff", "error": "FivetranNewKindOfError", "message": "it broke"}
    assert type(read_event(event).error) is errors.FivetranError


@pytest.mark.parametrize("kind", ENDS)
def test_each_end_but_success_is_an_error_with_its_message(kind):
    error = error_of(ended(kind))
    if kind is Succeeded:
        assert error is None
    else:
        assert (str(error), error.connection_id, error.link) == ("what happened", "c", "https://x")


def test_no_two_ends_mean_the_same_error():
    kinds = [type(error_of(ended(kind))) for kind in ENDS]
    assert len(set(kinds)) == len(ENDS)


FOREIGN = [
    None,
    "success",
    5,
    [],
    {},
    {"status": "success", "message": "", "return_value": "2026-01-01"},
    {"verdict": None},
    {"verdict": []},
    {"verdict": {}},
    {"verdict": "Ended", "record": {}, "message": ""},
    {"verdict": "Splendid", "record": {}, "message": ""},
    {"verdict": "Waiting"},
    {"verdict": "Succeeded"},
    {"verdict": "Succeeded", "record": None, "message": ""},
    {"verdict": "Succeeded", "record": "c", "message": ""},
    {"verdict": "Succeeded", "record": [], "message": ""},
    {"verdict": "Succeeded", "record": {}, "message": ""},
    {"verdict": "Succeeded", "record": {"connection_id": "c"}, "message": ""},
    {
        "verdict": "Succeeded",
        "record": {"connection_id": 5, "status": "succeeded", "link": ""},
        "message": "",
    },
    {"verdict": "Succeeded", "record": {"connection_id": "c", "status": "failed", "link": ""}, "message": ""},
    {
        "verdict": "Succeeded",
        "record": {"connection_id": "c", "status": "succeeded", "link": "", "ended_at": "soon"},
        "message": "",
    },
    {
        "verdict": "Succeeded",
        "record": {"connection_id": "c", "status": "succeeded", "link": "", "ended_at": 5},
        "message": "",
    },
    {
        "verdict": "Succeeded",
        "record": {
            "connection_id": "c",
            "status": "succeeded",
            "link": "",
            "ended_at": "0001-01-01T00:00+05:00",
        },
        "message": "",
    },
    {"verdict": "BrokenOff"},
    {"verdict": "BrokenOff", "error": "annotations", "message": ""},
    {"verdict": "BrokenOff", "error": "FivetranError", "message": "", "status": "503"},
    {"verdict": "BrokenOff", "error": "FivetranError", "message": "", "link": 5},
    {"verdict": "BrokenOff", "error": "FivetranRateLimited", "message": "", "retry_after": "soon"},
    {"verdict": "BrokenOff", "error": "FivetranRateLimited", "message": "", "retry_after": float("nan")},
    {"verdict": "BrokenOff", "error": "FivetranSyncRescheduled", "message": "", "rescheduled_for": "soon"},
    {"verdict": "BrokenOff", "error": "ClassVar", "message": ""},
    {"verdict": "BrokenOff", "error": "__doc__", "message": ""},
    {"verdict": "TriggerAgain", "announced": "soon", "message": ""},
]


@pytest.mark.parametrize("event", FOREIGN, ids=[str(event)[:70] for event in FOREIGN])
def test_a_foreign_event_is_an_error(event):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match="does not understand"):
        read_event(event)


@many
@given(json_values)
def test_garbage_is_never_an_event(event):
    with pytest.raises(errors.FivetranUnexpectedAnswer):
        read_event(event)


@many
@given(st.sampled_from(["verdict", "record", "message"]), json_values)
def test_a_garbled_success_is_an_error_or_the_success_that_it_was(name, value):
    right = write_event(ended(Succeeded))
    try:
        read = read_event({**right, name: value})
    except errors.FivetranUnexpectedAnswer:
        return
    assert read.record == ended(Succeeded).record


# --- pauses ---------------------------------------------------------------------------------------------------

attempts = st.integers(1, 10**6)


@many
@given(attempts, st.floats(0.001, 60), st.floats(0, 1), st.none() | st.floats(0, LONGEST_PAUSE))
@example(1025, 1.0, 0.0, None)
def test_pauses_before_a_repetition_stay_within_bounds(attempt, first, jitter, asked):
    error = errors.FivetranRateLimited("slow down", retry_after=asked)
    pause = pause_before_repeating(error, attempt, first=first, jitter=jitter)
    assert min(first, LONGEST_PAUSE) <= pause <= LONGEST_PAUSE * 1.5
    assert pause >= (asked or 0)


@many
@given(attempts, st.floats(0.001, 60))
def test_pauses_before_a_repetition_grow(attempt, first):
    pauses = [pause_before_repeating(None, n, first=first, jitter=0) for n in (attempt, attempt + 1)]
    assert pauses == sorted(pauses)


@many
@given(attempts, maybe_spans, st.none() | st.floats(0, allow_nan=False, allow_infinity=False))
@example(1, None, 1e300)
def test_pauses_after_failed_reads_stay_within_bounds(failures, chosen, asked):
    usual = pause_between_looks(timedelta(hours=1), chosen)
    pause = pause_after_failed_reads(failures, usual, asked)
    assert usual <= pause <= max(usual, timedelta(minutes=5), timedelta(seconds=min(asked or 0, 86400)))


@many
@given(st.floats(0, 10**7).map(lambda s: timedelta(seconds=s)))
def test_the_pace_of_looks_is_between_two_and_fifteen_seconds_and_never_quickens(age):
    pause = pause_between_looks(age, None)
    assert timedelta(seconds=2) <= pause <= timedelta(seconds=15)
    assert pause <= pause_between_looks(age + timedelta(seconds=1), None)


READ, TRIGGER = get_connection("c"), sync_connection("c")


@pytest.mark.parametrize(
    ("error", "reading", "triggering"),
    [
        pytest.param(errors.FivetranUnreachable("", maybe_received=False), True, True, id="never sent"),
        pytest.param(errors.FivetranUnreachable("", maybe_received=True), True, False, id="perhaps received"),
        pytest.param(errors.FivetranServerError(""), True, False, id="5xx"),
        pytest.param(errors.FivetranUnexpectedAnswer(""), True, False, id="garbage"),
        pytest.param(errors.FivetranRateLimited("", retry_after=None), True, True, id="rate limited"),
        pytest.param(
            errors.FivetranRateLimited("", retry_after=60), True, True, id="rate limited for a minute"
        ),
        pytest.param(
            errors.FivetranRateLimited("", retry_after=61), False, False, id="rate limited for long"
        ),
        pytest.param(errors.FivetranUnauthorized(""), False, False, id="401"),
        pytest.param(errors.FivetranForbidden(""), False, False, id="403"),
        pytest.param(errors.FivetranNotFound(""), False, False, id="404"),
        pytest.param(errors.FivetranConflict(""), False, False, id="409"),
        pytest.param(errors.FivetranApiError(""), False, False, id="another refusal"),
        pytest.param(KeyError(""), False, False, id="a mistake of ours"),
    ],
)
def test_what_is_worth_repeating(error, reading, triggering):
    assert (may_repeat(READ, error), may_repeat(TRIGGER, error)) == (reading, triggering)


# --- models ---------------------------------------------------------------------------------------------------


@many
@given(json_values)
def test_no_value_of_a_field_makes_reading_fail_in_another_way_than_saying_so(value):
    whole = {"id": "c", "sync_id": "s", "status": "completed", "start": "2026-01-01T00:00:00Z"}
    for read in (Connection.from_json, SyncHistoryEntry.from_json):
        for name in (
            "id",
            "paused",
            "succeeded_at",
            "status",
            "sync_frequency",
            "start",
            "stages",
            "setup_tests",
        ):
            try:
                read({**whole, "status": {} if read == Connection.from_json else "completed", name: value})
            except errors.FivetranUnexpectedAnswer as error:
                assert "where" in str(error)  # noqa: PT017


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_survives_the_wire(moment):
    text = moment.isoformat().replace("+00:00", "Z")
    assert Connection.from_json({"id": "c", "succeeded_at": text}).succeeded_at == moment
