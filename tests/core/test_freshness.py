"""What a report of freshness says of each connection, and what of that is a failure."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core import freshness_words
from airflow_provider_fivetran.core.errors import FivetranNeedsAttention, FivetranNotFresh
from airflow_provider_fivetran.core.freshness import (
    STATES,
    Demand,
    FreshnessReport,
    Waited,
    judge_freshness,
)
from airflow_provider_fivetran.core.freshness_words import error_of, remarks_of, summary_of, what_is_wrong
from airflow_provider_fivetran.core.models import Notice
from airflow_provider_fivetran.core.survey import Selection
from facts import T0, at, connection

SINCE = at(-3600)
DEMAND = Demand(fresh_since=SINCE)
NEW, OLD = at(-60), at(-7200)
RECONNECT = Notice(code="reconnect", message="Reconnect your account")
BROKEN = {"setup_state": "broken"}
PAUSED = {"paused": True}
DELAYED = {"update_state": "delayed"}
PUT_OFF = {"state": "rescheduled", "rescheduled_for": at(1800)}


def judged(demand=DEMAND, missing=(), **changes):
    """What is found of one connection."""
    report = judge_freshness([connection(**changes)], dict.fromkeys(missing, "why"), demand, T0)
    return report.findings[0]


# --- the state ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "state", "is_fresh"),
    [
        ({"succeeded_at": NEW}, "fresh", True),
        ({"succeeded_at": SINCE}, "fresh", True),
        ({"succeeded_at": SINCE - timedelta(microseconds=1)}, "stale", False),
        ({"succeeded_at": OLD}, "stale", False),
        ({"succeeded_at": None}, "never_succeeded", False),
        ({"succeeded_at": NEW} | DELAYED, "delayed", True),
        ({"succeeded_at": OLD} | DELAYED, "delayed", False),
        ({"succeeded_at": None} | DELAYED, "never_succeeded", False),
        ({"succeeded_at": NEW} | PUT_OFF, "rescheduled", True),
        ({"succeeded_at": OLD} | PUT_OFF | DELAYED, "rescheduled", False),
        ({"succeeded_at": NEW} | PAUSED, "paused", True),
        ({"succeeded_at": OLD, "state": "paused"}, "paused", False),
        ({"succeeded_at": None} | PAUSED, "paused", False),
        ({"succeeded_at": NEW} | BROKEN, "broken", True),
        ({"succeeded_at": None, "setup_state": "incomplete"}, "broken", False),
        ({"succeeded_at": OLD} | BROKEN | PAUSED | DELAYED, "broken", False),
        ({"succeeded_at": NEW, "setup_state": "a new word", "update_state": "another"}, "fresh", True),
    ],
)
def test_the_state_is_the_worst_that_is_so(changes, state, is_fresh):
    found = judged(**changes)
    assert (found.state, found.is_fresh) == (state, is_fresh)


def test_a_failure_after_the_last_success_leaves_the_data_as_fresh_as_they_are():
    assert judged(succeeded_at=NEW, failed_at=at(-5)).state == "fresh"


def test_fresh_within_counts_back_from_fivetrans_clock():
    demand = Demand(fresh_within=timedelta(hours=1))
    assert judged(demand, succeeded_at=at(-3600)).state == "fresh"
    assert judged(demand, succeeded_at=at(-3601)).state == "stale"


@pytest.mark.parametrize(
    "given_", [{}, {"fresh_since": SINCE, "fresh_within": timedelta(hours=1)}], ids=["neither", "both"]
)
def test_exactly_one_demand_is_made(given_):
    with pytest.raises(
        ValueError, match=r"give either fresh_since or fresh_within; fresh_since is .*, fresh_within is"
    ):
        Demand(**given_)


# --- what of it is a failure ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("when_broken", BROKEN),
        ("when_paused", PAUSED),
        ("when_delayed", DELAYED),
        ("when_rescheduled", PUT_OFF),
    ],
)
@pytest.mark.parametrize(
    ("policy", "success", "is_failure", "ends_wait"),
    [
        ("fail_if_stale", NEW, False, False),
        ("fail_if_stale", OLD, True, True),
        ("fail_if_stale", None, True, True),
        ("wait", NEW, False, False),
        ("wait", OLD, True, False),
        ("fail", NEW, True, True),
        ("fail", OLD, True, True),
        ("ignore", NEW, False, False),
        ("ignore", OLD, False, False),
        ("ignore", None, False, False),
    ],
)
def test_a_policy_decides_about_its_trouble(name, trouble, policy, success, is_failure, ends_wait):
    found = judged(Demand(fresh_since=SINCE, **{name: policy}), succeeded_at=success, **trouble)
    assert (found.is_failure, found.ends_wait) == (is_failure, ends_wait)


@pytest.mark.parametrize(
    "name", ["when_broken", "when_paused", "when_delayed", "when_rescheduled", "when_missing"]
)
def test_a_policy_says_nothing_of_those_without_its_trouble(name):
    ignoring = Demand(fresh_since=SINCE, **{name: "ignore"})
    assert judged(ignoring, succeeded_at=OLD).is_failure
    failing = Demand(fresh_since=SINCE, **{name: "fail"})
    assert not judged(failing, succeeded_at=NEW).is_failure


@pytest.mark.parametrize(
    ("policies", "is_failure", "ends_wait"),
    [
        ({"when_rescheduled": "wait", "when_delayed": "fail"}, True, True),
        ({"when_rescheduled": "ignore", "when_delayed": "fail"}, True, True),
        ({"when_rescheduled": "ignore", "when_delayed": "fail_if_stale"}, False, False),
        ({"when_rescheduled": "wait", "when_delayed": "ignore"}, False, False),
        ({"when_rescheduled": "wait", "when_delayed": "fail_if_stale"}, True, True),
    ],
)
def test_of_several_troubles_the_strictest_word_decides(policies, is_failure, ends_wait):
    found = judged(Demand(fresh_since=SINCE, **policies), succeeded_at=OLD, **PUT_OFF, **DELAYED)
    assert (found.is_failure, found.ends_wait) == (is_failure, ends_wait)


def test_a_broken_connection_whose_sync_runs_may_mend_itself():
    found = judged(succeeded_at=OLD, state="syncing", **BROKEN)
    assert (found.is_failure, found.ends_wait) == (True, False)
    strict = judged(
        Demand(fresh_since=SINCE, when_broken="fail"), succeeded_at=OLD, state="syncing", **BROKEN
    )
    assert strict.ends_wait


@pytest.mark.parametrize(
    ("policy", "is_failure", "ends_wait"),
    [("fail", True, True), ("wait", True, False), ("ignore", False, False)],
)
def test_what_is_missing_is_reported_with_why(policy, is_failure, ends_wait):
    demand = Demand(fresh_since=SINCE, when_missing=policy)
    [found] = judge_freshness([], {"gone": "hidden"}, demand, T0).findings
    assert (found.connection_id, found.state, found.reasons) == ("gone", "missing", "hidden")
    assert (found.is_fresh, found.is_failure, found.ends_wait) == (False, is_failure, ends_wait)
    assert found.link.endswith("/gone")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"succeeded_at": OLD}, FivetranNotFresh),
        ({"succeeded_at": OLD} | DELAYED, FivetranNotFresh),
        ({"succeeded_at": OLD} | PAUSED, FivetranNeedsAttention),
        ({"succeeded_at": OLD} | BROKEN, FivetranNeedsAttention),
        ({"succeeded_at": OLD, "state": "syncing"} | BROKEN, FivetranNotFresh),
    ],
)
def test_only_what_no_retry_mends_is_an_error_that_ends_retries(changes, kind):
    error = error_of(judge_freshness([connection(**changes)], {}, DEMAND, T0))
    assert type(error) is kind
    assert error.permanent == (kind is FivetranNeedsAttention)
    assert error.connection_id == "c"


# --- the report ---------------------------------------------------------------------------------------------------

ACCOUNT = [
    connection(id="good", succeeded_at=NEW),
    connection(id="older", succeeded_at=at(-1800)),
    connection(id="stale", succeeded_at=OLD),
    connection(id="staler", succeeded_at=OLD - timedelta(days=2)),
    connection(id="broken", succeeded_at=OLD, failed_at=at(-30), tasks=(RECONNECT,), **BROKEN),
    connection(id="never", succeeded_at=None),
    connection(id="late", succeeded_at=NEW, **DELAYED),
]
REPORT = judge_freshness(ACCOUNT, {"gone": "hidden"}, DEMAND, T0)


def test_what_matters_most_comes_first():
    assert [f.connection_id for f in REPORT.findings] == [
        "broken",
        "gone",
        "never",
        "staler",
        "stale",
        "late",
        "older",
        "good",
    ]
    assert [f.connection_id for f in REPORT.failures] == ["broken", "gone", "never", "staler", "stale"]
    assert not REPORT.is_as_demanded


def test_all_data_are_there_up_to_the_oldest_success_of_the_fresh():
    assert REPORT.oldest_success == at(-1800)
    assert judge_freshness([], {}, DEMAND, T0).oldest_success_text is None


def test_all_states_are_counted():
    assert REPORT.counts == {
        "broken": 1,
        "missing": 1,
        "never_succeeded": 1,
        "paused": 0,
        "stale": 2,
        "delayed": 1,
        "rescheduled": 0,
        "fresh": 2,
    }


def test_one_text_says_of_each_why_since_when_and_where_to_look():
    lines = what_is_wrong(REPORT).split("\n")
    assert lines[0] == (
        "5 of 8 Fivetran connections are not as demanded; each should have ended well at 2026-11-02 09:00:00 UTC "
        "or later:"
    )
    assert lines[1] == (
        "- payments (stripe, broken) is broken; last success 2 h ago at 2026-11-02 08:00:00 UTC; last failure at "
        "2026-11-02 09:59:30 UTC; task: Reconnect your account (reconnect); the setup is broken. "
        "https://fivetran.com/dashboard/connections/broken"
    )
    assert lines[2] == "- gone is missing; hidden. https://fivetran.com/dashboard/connections/gone"
    assert [line.split("; ")[0] for line in lines[3:]] == [
        "- payments (stripe, never) has never succeeded. https://fivetran.com/dashboard/connections/never",
        "- payments (stripe, staler) is stale",
        "- payments (stripe, stale) is stale",
    ]


def test_what_is_fresh_and_yet_unhealthy_is_remarked():
    assert (
        remarks_of(REPORT)
        .split("\n")[1]
        .startswith("- payments (stripe, late) is delayed; last success 60 s ago")
    )
    assert remarks_of(judge_freshness(ACCOUNT[:1], {}, DEMAND, T0)) == ""


def test_a_put_off_says_until_when_and_a_second_trouble_is_named():
    report = judge_freshness([connection(succeeded_at=OLD, **PUT_OFF, **DELAYED)], {}, DEMAND, T0)
    assert "is put off until 2026-11-02 10:30:00 UTC; " in what_is_wrong(report)
    assert "it is delayed too" in what_is_wrong(report)


def test_a_sync_that_runs_is_named():
    report = judge_freshness([connection("syncing", succeeded_at=OLD)], {}, DEMAND, T0)
    assert "; a sync is running. " in what_is_wrong(report)


def test_of_very_many_all_are_counted_and_those_that_fit_are_named():
    wordy = Notice(code="c", message="long " * 500)
    many = [connection(id=f"c{n:04}", succeeded_at=OLD, tasks=(wordy,)) for n in range(3000)]
    text = what_is_wrong(judge_freshness(many, {}, DEMAND, T0))
    assert len(text) <= freshness_words.MOST_IN_ALL + 1000
    assert text.startswith("3000 of 3000")
    assert "c0000" in text
    assert "that do not fit here; the XCom fivetran_freshness has all" in text
    listed, left = text.count("https://"), int(text.rsplit(" and ", 1)[1].split()[0])
    named = text.rsplit("more: ", 1)[1].count("(stale)")
    assert listed + named + left == 3000


def test_a_summary_is_one_line():
    assert summary_of(REPORT) == (
        "8 Fivetran connections: 1 broken, 1 missing, 1 never succeeded, 2 stale, 1 delayed, 2 fresh; fresh is what "
        "ended well at 2026-11-02 09:00:00 UTC or later"
    )


def test_a_report_of_a_thousand_fits_into_an_xcom():
    many = [connection(id=f"phonetics_scone_{n}", succeeded_at=NEW) for n in range(1000)]
    assert len(json.dumps(judge_freshness(many, {}, DEMAND, T0).to_json())) < 600_000


# --- promises -----------------------------------------------------------------------------------------------------

moments = st.none() | st.integers(-10_000, 10_000).map(at)
notices = st.lists(
    st.builds(Notice, code=st.text(max_size=5), message=st.text(max_size=900)), max_size=3
).map(tuple)
connections = st.lists(
    st.builds(
        connection,
        st.sampled_from(["scheduled", "syncing", "paused", "rescheduled", "a new word", ""]),
        id=st.text("abc_", min_size=1, max_size=4),
        schema=st.text(max_size=5),
        succeeded_at=moments,
        failed_at=moments,
        paused=st.booleans(),
        setup_state=st.sampled_from(["connected", "broken", "incomplete", "a new word"]),
        update_state=st.sampled_from(["on_schedule", "delayed", ""]),
        rescheduled_for=moments,
        tasks=notices,
        warnings=notices,
    ),
    unique_by=lambda c: c.id,
    max_size=8,
)
policies = st.sampled_from(["fail_if_stale", "wait", "fail", "ignore"])
demands = st.builds(
    Demand,
    fresh_since=st.integers(-10_000, 10_000).map(at),
    when_broken=policies,
    when_paused=policies,
    when_delayed=policies,
    when_rescheduled=policies,
    when_missing=policies,
) | st.builds(Demand, fresh_within=st.timedeltas(timedelta(seconds=1), timedelta(days=3)))
missing_ones = st.dictionaries(st.text("xyz", min_size=1, max_size=4), st.text(max_size=5), max_size=4)


@given(connections, missing_ones, demands)
def test_what_is_older_than_demanded_is_never_called_fresh(seen, missing, demand):
    report = judge_freshness(seen, missing, demand, T0)
    ends = {c.id: c.succeeded_at for c in seen}
    for found in report.findings:
        success = ends.get(found.connection_id)
        is_young = success is not None and success >= report.fresh_since
        assert found.is_fresh == is_young
        assert is_young or found.state != "fresh"
        assert found.state in STATES


@given(connections, missing_ones, demands)
def test_each_connection_is_named_exactly_once(seen, missing, demand):
    report = judge_freshness(seen, missing, demand, T0)
    assert sorted(f.connection_id for f in report.findings) == sorted([*(c.id for c in seen), *missing])
    assert sum(report.counts.values()) == len(report.findings)


@given(connections, missing_ones, demands)
def test_only_a_policy_to_ignore_lets_anything_pass_that_is_not_fresh(seen, missing, demand):
    report = judge_freshness(seen, missing, demand, T0)
    may_ignore = "ignore" in {value for name, value in demand.to_json().items() if name.startswith("when_")}
    for found in report.findings:
        assert found.is_fresh or found.is_failure or (may_ignore and found.state not in {"stale", "fresh"})
        assert found.is_failure or not found.ends_wait


@given(connections, missing_ones, demands)
def test_a_report_survives_as_json_and_its_texts_stay_short(seen, missing, demand):
    report = judge_freshness(seen, missing, demand, T0)
    assert FreshnessReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    waited = Waited(report=report, is_over=True, trouble="x")
    assert Waited.from_event(json.loads(json.dumps(waited.to_json()))) == waited
    assert Demand.from_json(json.loads(json.dumps(demand.to_json()))) == demand
    assert len(what_is_wrong(report)) <= freshness_words.MOST_IN_ALL + 1000
    assert (error_of(report) is None) == report.is_as_demanded


@given(
    st.none() | st.lists(st.text(max_size=3), max_size=5).map(tuple),
    st.none() | st.text(max_size=3),
    st.frozensets(st.text(max_size=3), max_size=3),
)
def test_a_selection_survives_as_json_and_asks_for_each_once(ids, group, exclude):
    selection = Selection(connection_ids=ids, group_id=group, exclude=exclude)
    assert Selection.from_json(json.loads(json.dumps(selection.to_json()))) == selection
    assert set(selection.ids) == set(ids or ()) - exclude
    assert len(set(selection.ids)) == len(selection.ids)


# --- what comes from elsewhere ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        [],
        REPORT.to_json() | {"checked_at": "yesterday"},
        REPORT.to_json() | {"connections": [{}]},
        REPORT.to_json() | {"connections": [REPORT.findings[0].to_json() | {"state": "splendid"}]},
    ],
    ids=["empty", "none", "list", "time", "finding", "state"],
)
def test_what_is_no_report_is_refused(data):
    with pytest.raises(ValueError, match=r"not a report of freshness|is not a state|isoformat"):
        FreshnessReport.from_json(data)


@pytest.mark.parametrize("event", [None, {}, {"verdict": "BrokenOff"}, "Waited"])
def test_an_event_of_another_kind_is_left_to_others(event):
    assert Waited.from_event(event) is None


@pytest.mark.parametrize(
    "event",
    [
        {"verdict": "Waited"},
        {"verdict": "Waited", "report": None, "is_over": False},
        {"verdict": "Waited", "is_over": 1},
    ],
)
def test_an_event_without_a_report_is_no_success(event):
    with pytest.raises(ValueError, match="neither a report nor"):
        Waited.from_event(event)
