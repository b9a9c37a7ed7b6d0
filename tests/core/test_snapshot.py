"""What a snapshot asks for, what it keeps, and that an interrupted one is completed without a row lost or doubled."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_fivetran.core.errors import (
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranSnapshotIncomplete,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.protocol import read_answer
from airflow_provider_fivetran.core.snapshot import take_snapshot
from airflow_provider_fivetran.core.snapshot_plan import Plan, Progress
from airflow_provider_fivetran.core.snapshot_tables import COLUMNS, TABLES
from airflow_provider_fivetran.core.steps import Note, Pause
from facts import T0

DATE = "Mon, 02 Nov 2026 10:00:00 GMT"
FIVETRAN_TIME = datetime(2026, 11, 2, 10, tzinfo=UTC)
HISTORY = "sync-history"
HTML = "<html>Bad gateway</html>"
HIDDEN = {"code": "Forbidden", "message": "not for this key"}


@dataclass
class Account:
    """An account in memory. Each connection has two syncs, or as many as ``syncs`` says.

    :param answers: of these paths, and of these connections' histories: another HTTP status, or a page of HTML.
    :param outage_at: from the first request of this path on nothing but 503 is answered.
    :param hour: how many requests are left in the account's hour.
    """

    size: int = 3
    rows_on_a_page: int = 1000
    answers: dict[str, int | str] = field(default_factory=dict)
    outage_at: str = ""
    syncs: dict[str, list[Any]] = field(default_factory=dict)
    odd: dict[str, Any] = field(default_factory=dict)
    hour: int | None = None
    requests: list[str] = field(default_factory=list)
    params: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def asked(self):
        return Counter(path.rpartition("/")[2] for path in self.requests)

    def send(self, call):
        self.requests.append(call.path)
        self.params[call.path] = dict(call.params)
        headers = {"Date": DATE}
        if self.hour is not None:
            self.hour -= 1
            headers["X-Rate-Limit-Remaining"] = str(self.hour)
        status = self.answers.get(call.path, self.answers.get(call.path.rpartition("/")[2], 200))
        if self.outage_at in self.requests:
            status = 503
        if status == HTML:
            return read_answer(call, 200, headers, HTML.encode())
        if status != 200:
            return read_answer(call, status, headers, json.dumps(HIDDEN).encode())
        rows = self.rows_of(call)
        first = int(call.params.get("cursor", 0))
        after = first + self.rows_on_a_page
        data = {"items": rows[first:after]} | ({"next_cursor": str(after)} if after < len(rows) else {})
        if call.path == "/v1/account/info":
            data = {"account_id": "a"}
        return read_answer(call, 200, headers, json.dumps({"code": "Success", "data": data}).encode())

    def rows_of(self, call):
        if call.path == "/v1/connections":
            return [
                self.odd.get(name, {"id": name, "group_id": "g", "connected_by": "u", "schema": f"of_{name}"})
                for name in self.names
            ]
        if call.connection_id:
            usual = [{"sync_id": f"{call.connection_id}-{n}", "status": "COMPLETED"} for n in range(2)]
            return self.syncs.get(call.connection_id, usual)
        return {
            "/v1/account/info": [],
            "/v1/users": [{"id": "u", "email": "ann@example.com"}],
            "/v1/groups": [{"id": "g", "name": "Warehouse"}],
            "/v1/destinations": [{"id": "g", "group_id": "g"}],
            "/v1/transformations": [{"id": "t", "status": "NEW"}],
        }[call.path]

    @property
    def names(self):
        return [f"c{number}" for number in range(self.size)]


@dataclass
class Kept:
    """A keeper in memory, which remembers what a killed process would leave behind."""

    tables: dict[str, list] = field(default_factory=dict)
    aside: dict[int, str] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    under_way: list[tuple[str, list]] = field(default_factory=list)

    def add(self, table, rows):
        assert all(list(row) == [column.name for column in COLUMNS[table]] for row in rows)
        self.under_way.append((table, list(rows)))

    def put_aside(self, number, rows):
        self.aside[number] = json.dumps(rows)

    def take_up(self, number):
        return json.loads(self.aside[number])

    def commit(self, progress):
        for table, rows in self.under_way:
            self.tables.setdefault(table, []).extend(rows)
        self.under_way.clear()
        self.progress = json.loads(json.dumps(progress))

    def column(self, table, name):
        return [row[name] for row in self.tables.get(table, [])]


@dataclass
class Snapshot:
    """Tries to take one."""

    account: Account = field(default_factory=Account)
    kept: Kept = field(default_factory=Kept)
    notes: list[str] = field(default_factory=list)
    now: datetime = T0

    def attempt(self, *, killed_after=None, **plan):
        """Drive one try, to its end, or until the process is gone after so many requests."""
        plan = Plan(**{"tables": TABLES, "history_days": 7, "leave_requests": 0} | plan)
        self.kept.under_way.clear()
        procedure = take_snapshot(plan, self.kept, lambda: self.now, Progress(**self.kept.progress))
        answer = error = None
        sent = 0
        try:
            while True:
                step = procedure.throw(error) if error else procedure.send(answer)
                answer = error = None
                if isinstance(step, Note):
                    self.notes.append(step.text)
                elif isinstance(step, Pause):
                    self.now = max(self.now, step.until)
                elif sent == killed_after:
                    return None
                else:
                    sent += 1
                    try:
                        answer = self.account.send(step)
                    except Exception as failed:  # noqa: BLE001 - goes to the procedure, as a transport does it
                        error = failed
        except StopIteration as end:
            return end.value


def taken(*, account=None, **plan):
    snapshot = Snapshot(account or Account())
    snapshot.attempt(**plan)
    return snapshot


class TestRequests:
    @pytest.mark.parametrize(("size", "pages"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3)])
    def test_there_is_one_for_each_connection_and_one_for_each_thousand_rows(self, size, pages):
        snapshot = taken(account=Account(size))
        assert len(snapshot.account.requests) == 4 + pages + size
        assert snapshot.kept.progress["requests"] == 4 + pages + size
        assert snapshot.account.asked[HISTORY] == size

    def test_without_history_there_are_five(self):
        snapshot = taken(account=Account(1000), history_days=0)
        assert len(snapshot.account.requests) == 5
        assert len(snapshot.kept.tables["latest_status"]) == 1000
        assert "syncs" not in snapshot.kept.tables

    @pytest.mark.parametrize(
        ("tables", "asked"),
        [
            (["users"], {"users": 1}),
            (["connections"], {"connections": 1}),
            (["groups", "destinations"], {"groups": 1, "destinations": 1}),
            (["syncs"], {"connections": 1, HISTORY: 3}),
            (["latest_status"], {"users": 1, "groups": 1, "connections": 1, HISTORY: 3}),
        ],
    )
    def test_what_only_other_tables_need_is_not_asked_for(self, tables, asked):
        snapshot = taken(tables=tuple(tables))
        assert snapshot.account.asked == asked
        assert set(snapshot.kept.tables) == set(tables)

    def test_the_window_of_the_history_is_by_fivetrans_clock_and_within_its_reach(self):
        snapshot = Snapshot(now=FIVETRAN_TIME - timedelta(hours=3))
        snapshot.attempt()
        window = snapshot.account.params["/v1/connections/c0/sync-history"]
        since, until = (datetime.fromisoformat(window[name]) for name in ("start_time", "end_time"))
        assert until - FIVETRAN_TIME == timedelta(minutes=1)
        assert timedelta(days=6.99) < FIVETRAN_TIME - since < timedelta(days=7)

    def test_the_history_may_reach_less_far_back(self):
        window = taken(history_days=0.5).account.params["/v1/connections/c0/sync-history"]
        assert datetime.fromisoformat(window["start_time"]) == FIVETRAN_TIME - timedelta(hours=12)

    def test_a_history_of_many_pages_is_read_to_its_end(self):
        account = Account(1, rows_on_a_page=2)
        account.syncs["c0"] = [{"sync_id": str(n), "status": "COMPLETED"} for n in range(5)]
        snapshot = taken(account=account)
        assert account.asked[HISTORY] == 3
        assert snapshot.kept.column("syncs", "sync_id") == list("01234")


class TestKept:
    def test_each_table_has_its_rows(self):
        kept = taken().kept
        assert {table: len(rows) for table, rows in kept.tables.items()} == {
            "users": 1,
            "groups": 1,
            "destinations": 1,
            "transformations": 1,
            "connections": 3,
            "syncs": 6,
            "latest_status": 3,
        }

    def test_the_latest_status_has_names_for_owner_and_destination(self):
        row = taken().kept.tables["latest_status"][0]
        assert (row["name"], row["destination"], row["owner_email"]) == (
            "of_c0",
            "Warehouse",
            "ann@example.com",
        )
        assert (row["syncs"], row["read_at"]) == (2, FIVETRAN_TIME)

    def test_a_connection_that_the_list_shows_twice_is_kept_once(self):
        account = Account(4)
        account.odd["c3"] = {"id": "c1"}
        kept = taken(account=account).kept
        assert kept.column("connections", "id") == ["c0", "c1", "c2"]
        assert kept.column("latest_status", "connection_id") == ["c0", "c1", "c2"]

    def test_the_log_tells_how_far_it_is(self):
        notes = taken(account=Account(250, hour=20_000)).notes
        assert "snapshot: connections: 250" in notes
        assert notes[-2] == (
            "snapshot: 200 of 250 connections, 400 syncs; 205 requests, 19,795 left in this hour"
        )
        assert notes[-1].startswith("snapshot complete: 250 of 250 connections, 500 syncs; 255 requests")


class TestNotSeen:
    @pytest.mark.parametrize("table", ["users", "groups", "destinations", "transformations", "connections"])
    @pytest.mark.parametrize("status", [403, 404])
    def test_a_list_that_may_not_be_seen_is_told_and_the_others_are_there(self, table, status):
        snapshot = taken(account=Account(answers={f"/v1/{table}": status}))
        [row] = snapshot.kept.tables["not_seen"]
        assert (row["table"], row["id"]) == (table, None)
        assert f"HTTP {status} Forbidden: not for this key" in row["why"]
        assert table not in snapshot.kept.tables
        assert len(snapshot.kept.tables) >= 5
        assert any(note.startswith(f"snapshot: {table} cannot be seen") for note in snapshot.notes)

    def test_the_status_is_told_without_names_that_may_not_be_seen(self):
        kept = taken(account=Account(answers={"/v1/users": 403})).kept
        row = kept.tables["latest_status"][0]
        assert (row["owner_id"], row["owner_email"], row["destination"]) == ("u", None, "Warehouse")

    def test_a_key_that_may_see_nothing_at_all_is_an_error(self):
        answers = {f"/v1/{table}": 403 for table in TABLES}
        with pytest.raises(FivetranForbidden):
            taken(account=Account(answers=answers))

    @pytest.mark.parametrize("path", ["/v1/users", "/v1/connections", HISTORY])
    def test_a_refused_key_is_an_error(self, path):
        with pytest.raises(FivetranUnauthorized):
            taken(account=Account(answers={path: 401}))

    @pytest.mark.parametrize(
        "tables", [["latest_status"], ["syncs"], ["connections"], ["syncs", "latest_status"]]
    )
    @pytest.mark.parametrize("status", [403, 404])
    def test_without_the_list_that_all_wanted_tables_are_made_of_it_fails(self, tables, status):
        snapshot = Snapshot(Account(answers={"/v1/connections": status}))
        with pytest.raises((FivetranForbidden, FivetranNotFound)):
            snapshot.attempt(tables=tuple(tables))
        snapshot.account.answers = {}
        snapshot.attempt(tables=tuple(tables))
        assert all(snapshot.kept.tables[table] for table in tables)
        assert "not_seen" not in snapshot.kept.tables

    def test_where_one_wanted_table_may_be_seen_it_does_not_fail(self):
        kept = taken(account=Account(answers={"/v1/connections": 403}), tables=("users", "syncs")).kept
        assert set(kept.tables) == {"users", "not_seen"}

    def test_a_history_that_is_refused_fails_where_nothing_else_is_wanted(self):
        snapshot = Snapshot(Account(50, answers={HISTORY: 403}))
        for _ in range(2):
            with pytest.raises(FivetranForbidden):
                snapshot.attempt(tables=("syncs",))
        assert snapshot.account.asked[HISTORY] == 4
        snapshot.account.answers = {}
        snapshot.attempt(tables=("syncs",))
        assert snapshot.kept.column("not_seen", "id") == ["c0", "c1"]
        assert len(snapshot.kept.tables["syncs"]) == 96

    def test_connections_that_are_gone_do_not_hide_the_histories_of_others(self):
        gone = {f"/v1/connections/c{number}/sync-history": 404 for number in range(5)}
        snapshot = taken(account=Account(20, answers=gone))
        assert snapshot.account.asked[HISTORY] == 20
        assert snapshot.kept.column("not_seen", "id") == [f"c{number}" for number in range(5)]
        assert len(snapshot.kept.tables["latest_status"]) == 20
        assert len(snapshot.kept.tables["syncs"]) == 30

    def test_a_history_that_is_refused_from_the_start_is_asked_for_three_times(self):
        snapshot = taken(account=Account(50, answers={HISTORY: 403}))
        assert snapshot.account.asked[HISTORY] == 3
        assert snapshot.kept.column("not_seen", "id") == ["c0", "c1", "c2", None]
        assert "not asked for any more after 3 refusals" in snapshot.kept.column("not_seen", "why")[-1]
        assert len(snapshot.kept.tables["latest_status"]) == 50
        assert set(snapshot.kept.column("latest_status", "syncs")) == {None}

    def test_a_history_that_is_refused_for_some_is_asked_for_all(self):
        hidden = {f"/v1/connections/c{number}/sync-history": 403 for number in range(1, 20)}
        snapshot = taken(account=Account(20, answers=hidden))
        assert snapshot.account.asked[HISTORY] == 20
        assert len(snapshot.kept.tables["not_seen"]) == 19
        assert len(snapshot.kept.tables["latest_status"]) == 20

    def test_a_row_that_cannot_be_understood_is_told_and_hides_no_other(self):
        account = Account(3)
        account.odd["c1"] = {"id": "c1", "succeeded_at": 7}
        account.syncs["c2"] = [{"sync_id": "good", "status": "COMPLETED"}, {"sync_id": "bad"}]
        kept = taken(account=account).kept
        assert kept.column("connections", "id") == ["c0", "c2"]
        assert [(row["table"], row["id"]) for row in kept.tables["not_seen"]] == [
            ("connections", "c1"),
            ("syncs", "c2"),
        ]
        assert "'succeeded_at'" in kept.column("not_seen", "why")[0]
        assert kept.column("syncs", "sync_id")[-1] == "good"

    def test_an_id_that_no_database_takes_is_written_so_that_one_does(self):
        account = Account(1)
        account.odd["c0"] = {"id": "c\0", "succeeded_at": 7}
        assert taken(account=account).kept.column("not_seen", "id") == ["c\N{REPLACEMENT CHARACTER}"]


def broken(*numbers, answer):
    return {f"/v1/connections/c{number}/sync-history": answer for number in numbers}


class TestNotGiven:
    """Fivetran does not give the history of a connection, but answers other questions."""

    @pytest.mark.parametrize("answer", [500, 503, 409, HTML])
    @pytest.mark.parametrize("numbers", [[7], [0, 1, 2], range(10, 40), [19, 49]])
    def test_it_is_told_and_the_others_are_there(self, answer, numbers):
        snapshot = taken(account=Account(50, answers=broken(*numbers, answer=answer)))
        assert snapshot.kept.column("not_seen", "id") == [f"c{number}" for number in numbers]
        assert len(snapshot.kept.tables["syncs"]) == 2 * (50 - len(numbers))
        assert snapshot.kept.column("latest_status", "connection_id") == snapshot.account.names
        assert snapshot.now == T0
        why = snapshot.kept.column("not_seen", "why")[0]
        assert f"HTTP {answer}" in why or HTML in why
        told = [note for note in snapshot.notes if "cannot be read" in note]
        assert told[0] == f"snapshot: the sync history of c{numbers[0]} cannot be read: {why}"

    def test_each_costs_three_requests(self):
        account = taken(account=Account(50, answers=broken(7, 30, answer=500))).account
        assert account.asked[HISTORY] == 50 + 2 * 2
        assert account.requests.count("/v1/connections/c6/sync-history") == 2
        assert account.requests.count("/v1/connections/c29/sync-history") == 2

    @pytest.mark.parametrize("status", [200, 403, 404])
    def test_any_answer_tells_that_fivetran_is_there(self, status):
        snapshot = Snapshot(Account(10, answers=broken(7, answer=500)))
        send = snapshot.account.send

        def answer(call):
            if call.path in snapshot.account.requests:
                snapshot.account.answers["/v1/connections/c6/sync-history"] = status
            return send(call)

        snapshot.account.send = answer
        snapshot.attempt()
        assert snapshot.kept.column("not_seen", "id") == ["c7"]
        assert len(snapshot.kept.tables["syncs"]) == 18

    def test_what_is_given_when_it_is_asked_for_again_is_not_told(self):
        snapshot = Snapshot(Account(10, answers=broken(7, answer=500)))
        send = snapshot.account.send

        def answer(call):
            if snapshot.account.requests[-1:] == ["/v1/connections/c7/sync-history"]:
                snapshot.account.answers.clear()
            return send(call)

        snapshot.account.send = answer
        snapshot.attempt()
        assert "not_seen" not in snapshot.kept.tables
        assert len(snapshot.kept.tables["syncs"]) == 20

    def test_an_outage_of_all_histories_ends_the_try_and_the_next_goes_on(self):
        snapshot = Snapshot(Account(50))
        send = snapshot.account.send

        def answer(call):
            if call.path == "/v1/connections/c20/sync-history":
                snapshot.account.answers[HISTORY] = 503
            return send(call)

        snapshot.account.send = answer
        with pytest.raises(FivetranServerError, match="503"):
            snapshot.attempt()
        snapshot.account.send = send
        snapshot.account.answers = {}
        snapshot.attempt()
        assert snapshot.kept.column("latest_status", "syncs") == [2] * 50
        assert "not_seen" not in snapshot.kept.tables

    def test_where_no_history_is_given_at_all_it_fails_after_ten_and_the_next_try_passes_them(self):
        snapshot = Snapshot(Account(50, answers={HISTORY: 500}))
        for tries in (1, 2):
            with pytest.raises(FivetranServerError):
                snapshot.attempt()
            assert snapshot.kept.progress["connections_done"] == 9 * tries
            assert "snapshot: no sync history is given; history_days=0 does without" in snapshot.notes
        assert snapshot.account.asked["info"] == snapshot.account.asked[HISTORY] / 2 == 20
        snapshot.account.answers = {}
        snapshot.attempt()
        assert snapshot.kept.column("not_seen", "id") == [f"c{number}" for number in range(18)]
        assert snapshot.kept.column("latest_status", "connection_id") == snapshot.account.names

    def test_a_key_that_is_refused_meanwhile_is_an_error(self):
        with pytest.raises(FivetranUnauthorized):
            taken(account=Account(answers={HISTORY: 500, "/v1/account/info": 401}))


WHOLE = taken(account=Account(250)).kept.tables


class TestInterrupted:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(0, 260), max_size=4))
    def test_a_process_that_is_killed_at_any_time_loses_no_row_and_doubles_none(self, deaths):
        snapshot = Snapshot(Account(250))
        for requests in deaths:
            snapshot.attempt(killed_after=requests)
        snapshot.attempt()
        assert snapshot.kept.tables == WHOLE
        # A hundred histories, and the lists, if it was killed before their end.
        assert len(snapshot.account.requests) <= 255 + (100 + 5) * len(deaths)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 249))
    def test_an_outage_loses_nothing_that_was_read(self, number):
        snapshot = Snapshot(Account(250, outage_at=f"/v1/connections/c{number}/sync-history"))
        with pytest.raises(FivetranServerError):
            snapshot.attempt()
        assert timedelta(minutes=1.5) < snapshot.now - T0 <= timedelta(minutes=2)
        snapshot.account.outage_at = ""
        snapshot.account.requests.clear()
        snapshot.attempt()
        assert snapshot.kept.tables == WHOLE
        assert snapshot.account.asked == {HISTORY: 250 - number}

    def test_fivetran_is_waited_for_two_minutes_before_that(self):
        snapshot = Snapshot(Account(answers={"/v1/groups": 503}))
        with pytest.raises(FivetranServerError):
            snapshot.attempt()
        assert timedelta(minutes=1.5) < snapshot.now - T0 <= timedelta(minutes=2)

    def test_a_long_pause_that_fivetran_wants_ends_the_try(self):
        snapshot = Snapshot()
        send = snapshot.account.send

        def refuse(call):
            if call.connection_id == "c1":
                raise FivetranRateLimited("wait", retry_after=3000)
            return send(call)

        snapshot.account.send = refuse
        with pytest.raises(FivetranRateLimited):
            snapshot.attempt()
        assert snapshot.kept.column("latest_status", "connection_id") == ["c0"]

    def test_the_log_says_that_it_goes_on(self):
        snapshot = Snapshot(Account(250))
        snapshot.attempt(killed_after=120)
        snapshot.attempt()
        assert (
            "snapshot going on where the try before stopped: 100 of 250 connections, 200 syncs; 105 requests"
            in snapshot.notes
        )
        assert snapshot.kept.progress["tries"] == 2

    @pytest.mark.parametrize(("status", "email"), [(200, "ann@example.com"), (403, None)])
    def test_names_that_were_lost_are_read_again_as_far_as_they_may(self, status, email):
        snapshot = Snapshot()
        snapshot.attempt(killed_after=4)
        snapshot.account.answers["/v1/users"] = status
        snapshot.attempt()
        assert snapshot.account.asked == {
            "users": 2,
            "groups": 2,
            "destinations": 1,
            "transformations": 1,
            "connections": 1,
            HISTORY: 3,
        }
        assert snapshot.kept.column("users", "email") == ["ann@example.com"]
        assert snapshot.kept.column("latest_status", "owner_email") == [email] * 3
        assert snapshot.kept.column("latest_status", "destination") == ["Warehouse"] * 3

    def test_a_list_without_an_end_is_an_error(self):
        account = Account(1)
        account.rows_of = lambda _call: [{"id": "x"}] * 3_000
        account.rows_on_a_page = 1
        with pytest.raises(FivetranUnexpectedAnswer, match="the list of users does not end after 1000 pages"):
            taken(account=account)


class TestBudget:
    def test_a_try_makes_no_more_than_it_may_and_the_next_goes_on(self):
        snapshot = Snapshot(Account(250))
        for number in (1, 2):
            with pytest.raises(
                FivetranSnapshotIncomplete, match="this try has made all of its max_requests, 100"
            ):
                snapshot.attempt(max_requests=100)
            assert len(snapshot.account.requests) == 100 * number
        snapshot.attempt(max_requests=100)
        assert len(snapshot.account.requests) == 255
        assert snapshot.kept.tables == WHOLE

    def test_requests_are_left_to_others(self):
        snapshot = Snapshot(Account(250, hour=400))
        with pytest.raises(FivetranSnapshotIncomplete, match="has 180 requests left in this hour"):
            snapshot.attempt(leave_requests=180)
        assert snapshot.account.hour == 180
        assert snapshot.kept.progress["connections_done"] == 215

    def test_a_small_account_spends_half_of_what_there_was_in_all_tries_together(self):
        snapshot = Snapshot(Account(250, hour=201))
        for _ in range(3):
            with pytest.raises(
                FivetranSnapshotIncomplete, match="leave_requests, 2000, leaves 100 to others"
            ):
                snapshot.attempt(leave_requests=2_000)
        assert 95 <= snapshot.account.hour <= 100
        snapshot.account.hour = 500
        snapshot.attempt(leave_requests=2_000)
        assert snapshot.kept.tables == WHOLE

    def test_where_no_answer_tells_what_is_left_nothing_stops_it(self):
        assert taken(account=Account(250), leave_requests=2_000).kept.tables == WHOLE
