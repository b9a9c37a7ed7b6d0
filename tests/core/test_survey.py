"""How many requests it takes to look at many connections, and that each is seen whatever the list shows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranForbidden,
    FivetranLookupError,
    FivetranServerError,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.freshness import Demand
from airflow_provider_fivetran.core.protocol import read_answer
from airflow_provider_fivetran.core.survey import Selection, report_on, survey
from facts import T0, at

DEMAND = Demand(fresh_since=T0)


@dataclass
class Fivetran:
    """An account in memory: ``names`` are its connections.

    :param hidden: of these the list does not show; a single look is refused.
    :param broken_rows: the list shows these in a shape that cannot be read.
    """

    names: list[str]
    rows_on_a_page: int = 1000
    list_answers: int = 200
    look_answers: int = 200
    hidden: frozenset[str] = frozenset()
    broken_rows: frozenset[str] = frozenset()
    requests: Counter[str] = field(default_factory=Counter)
    dates: bool = True

    def send(self, call):
        status, data = 200, {}
        if call.path == "/v1/connections":
            self.requests["list"] += 1
            status = self.list_answers
            shown = [name for name in self.names if name not in self.hidden]
            if "group_id" in call.params:
                shown = [name for name in shown if name.startswith(call.params["group_id"])]
            first = int(call.params.get("cursor", 0))
            after = first + self.rows_on_a_page
            data = {
                "items": [self._row(name, broken=name in self.broken_rows) for name in shown[first:after]]
            }
            data |= {"next_cursor": str(after)} if after < len(shown) else {}
        else:
            self.requests["look"] += 1
            name = call.connection_id
            status = 403 if name in self.hidden else self.look_answers if name in self.names else 404
            data = self._row(name)
        headers = {"Date": "Mon, 02 Nov 2026 10:00:00 GMT"} if self.dates else {}
        return read_answer(call, status, headers, json.dumps({"code": "x", "data": data}).encode())

    def _row(self, name, *, broken=False):
        return {"id": name, "succeeded_at": 7 if broken else "2026-11-02T10:00:00Z", "status": {}}


def surveyed(fivetran, *ids, group=None, exclude=()):
    """Drive the procedure to its end."""
    selection = Selection(
        connection_ids=tuple(ids) if ids else None, group_id=group, exclude=frozenset(exclude)
    )
    procedure = survey(selection)
    answer = error = None
    try:
        while True:
            call = procedure.throw(error) if error else procedure.send(answer)
            answer = error = None
            try:
                answer = fivetran.send(call)
            except FivetranError as failed:
                error = failed
    except StopIteration as end:
        return end.value


def names(count):
    return [f"c{number}" for number in range(count)]


# --- what it costs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "asked", "lists", "looks"),
    [
        (10, 1, 0, 1),
        (10, 3, 0, 3),
        (10, 4, 1, 0),
        (500, 500, 1, 0),
        (1000, 1000, 1, 0),
        (1001, 1001, 1, 1),  # the last is cheaper to read alone than with a page
        (2500, 2500, 3, 0),
        (50_000, 10, 1, 0),
    ],
)
def test_connections_by_their_ids(account, asked, lists, looks):
    fivetran = Fivetran(names(account))
    assert set(surveyed(fivetran, *names(asked)).connections) == set(names(asked))
    assert fivetran.requests == Counter(list=lists, look=looks)


def test_a_few_at_the_end_of_a_long_list_are_looked_at_alone_after_a_few_pages():
    fivetran = Fivetran(names(50_000))
    last = names(50_000)[-5:]
    assert set(surveyed(fivetran, *last).connections) == set(last)
    assert fivetran.requests == Counter(list=5, look=5)


@pytest.mark.parametrize(("account", "pages"), [(0, 1), (500, 1), (1000, 1), (1001, 2), (2500, 3)])
def test_all_connections_of_the_key(account, pages):
    fivetran = Fivetran(names(account))
    assert set(surveyed(fivetran).connections) == set(names(account))
    assert fivetran.requests == Counter(list=pages)


def test_a_group_is_asked_for_by_its_id():
    fivetran = Fivetran(["g1", "g2", "h1"])
    assert set(surveyed(fivetran, group="g", exclude=["g2"]).connections) == {"g1"}
    assert fivetran.requests == Counter(list=1)


def test_what_is_excluded_costs_nothing():
    fivetran = Fivetran(names(5))
    assert set(surveyed(fivetran, *names(5), exclude=["c0", "c1"]).connections) == {"c2", "c3", "c4"}
    assert fivetran.requests == Counter(look=3)


def test_a_key_that_may_not_list_looks_at_each():
    fivetran = Fivetran(names(20), list_answers=403)
    assert set(surveyed(fivetran, *names(20)).connections) == set(names(20))
    assert fivetran.requests == Counter(list=1, look=20)


# --- what is seen --------------------------------------------------------------------------------------------------


def test_what_the_list_does_not_show_is_looked_at_and_said_to_be_missing():
    seen = surveyed(Fivetran(names(9), hidden=frozenset({"c8"})), *names(9), "gone")
    assert set(seen.connections) == set(names(8))
    assert set(seen.missing) == {"c8", "gone"}
    assert "403" in seen.missing["c8"]
    assert "404" in seen.missing["gone"]


def test_a_row_that_cannot_be_read_is_looked_at_alone():
    fivetran = Fivetran(names(9), broken_rows=frozenset({"c3"}))
    assert set(surveyed(fivetran, *names(9)).connections) == set(names(9))
    assert fivetran.requests == Counter(list=1, look=1)


def test_a_row_that_cannot_be_read_among_all_is_not_left_out_in_silence():
    with pytest.raises(FivetranUnexpectedAnswer, match="succeeded_at"):
        surveyed(Fivetran(names(9), broken_rows=frozenset({"c3"})))


@pytest.mark.parametrize(
    ("trouble", "ids", "kind"),
    [
        ({"list_answers": 401}, names(9), FivetranUnauthorized),
        ({"list_answers": 503}, names(9), FivetranServerError),
        ({"list_answers": 403}, (), FivetranForbidden),
        ({"look_answers": 401}, ["c1"], FivetranUnauthorized),
        ({"look_answers": 503}, ["c1"], FivetranServerError),
    ],
)
def test_of_what_cannot_be_read_nothing_is_said(trouble, ids, kind):
    with pytest.raises(kind):
        surveyed(Fivetran(names(9), **trouble), *ids)


def test_a_list_without_an_end_is_no_answer():
    class Endless(Fivetran):
        def send(self, call):
            self.requests["list"] += 1
            data = {"items": [], "next_cursor": str(self.requests["list"])}
            return read_answer(call, 200, {}, json.dumps({"data": data}).encode())

    with pytest.raises(FivetranUnexpectedAnswer, match="does not end after 1000 pages"):
        surveyed(Endless([]))


@given(
    st.sets(st.sampled_from(names(12))),
    st.lists(st.sampled_from(names(12)), min_size=1),
    st.sets(st.sampled_from(names(12))),
    st.sets(st.sampled_from(names(12))),
    st.integers(1, 5),
    st.sampled_from([200, 403]),
)
def test_each_that_is_asked_for_is_seen_or_missing_and_the_requests_are_bounded(
    account, asked, hidden, exclude, rows, list_answers
):
    fivetran = Fivetran(sorted(account), rows, list_answers, hidden=frozenset(hidden))
    seen = surveyed(fivetran, *asked, exclude=exclude)
    wanted = set(asked) - exclude
    assert set(seen.connections) | set(seen.missing) == wanted
    assert set(seen.connections) == wanted & account - hidden
    assert fivetran.requests.total() <= 2 * len(wanted)


# --- the report ----------------------------------------------------------------------------------------------------


def test_the_time_is_fivetrans_where_it_says():
    ours = T0 + timedelta(hours=1)
    selection = Selection(connection_ids=("c1",))
    seen = surveyed(Fivetran(names(2)), "c1")
    assert report_on(seen, selection, DEMAND, ours).checked_at == at(0)
    silent = surveyed(Fivetran(names(2), dates=False), "c1")
    assert report_on(silent, selection, DEMAND, ours).checked_at == ours


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        (Selection(), "among all connections that the key may see"),
        (Selection(group_id="g"), "among the connections of the group g"),
        (
            Selection(connection_ids=("a",), exclude=frozenset({"a"})),
            "the one that is asked for, without 1 that are excluded",
        ),
    ],
)
def test_that_there_is_nothing_to_look_at_is_an_error_unless_it_may_be(selection, text):
    empty = surveyed(Fivetran([]))
    with pytest.raises(FivetranLookupError, match=text):
        report_on(empty, selection, DEMAND, T0)
    assert report_on(empty, selection, Demand(fresh_since=T0, when_empty="pass"), T0).is_as_demanded
