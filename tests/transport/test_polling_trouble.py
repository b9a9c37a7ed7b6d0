"""Many waits, one poll: what goes wrong on the way harms no wait. Hours pass in an instant."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from airflow_provider_fivetran.core.endpoints import get_connection
from airflow_provider_fivetran.core.errors import FivetranError, FivetranUnreachable
from airflow_provider_fivetran.core.steps import Look
from airflow_provider_fivetran.core.verdicts import Gone, Succeeded, TimedOut
from airflow_provider_fivetran.transport import polling
from virtual_time import Account, Fleet, Sync, named, run, waited


def is_list(call):
    return call.path == "/v1/connections"


def hiding(*names):
    """The list does not show these."""

    def hide(call, data):
        if is_list(call):
            data["items"] = [row for row in data["items"] if row["id"] not in names]

    return hide


def forbidding(call, data):
    if is_list(call):
        data["status_of_answer"] = 403


@pytest.fixture
def rounds(monkeypatch):
    """How many rounds the poller has gone."""
    counted = []
    real = polling.Poller._round

    async def counting(self, now):
        counted.append(now)
        assert len(counted) < 20_000, f"the poller runs wild at {now}"
        await real(self, now)

    monkeypatch.setattr(polling.Poller, "_round", counting)
    return counted


def test_a_key_that_may_not_list_lets_each_wait_ask_for_itself(loop, caplog):
    def forbidden(call, data):
        if call.path == "/v1/connections":
            data["status_of_answer"] = 403

    account = Account(loop, named(30), answer=forbidden)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert account.kinds["list"] == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "each of 30 waits asks for itself" in caplog.text


def test_a_list_that_was_forbidden_is_tried_again_after_a_while(loop):
    def forbidden_at_first(call, data):
        if call.path == "/v1/connections" and loop.time() < 300:
            data["status_of_answer"] = 403

    account = Account(loop, named(30, end=1800), answer=forbidden_at_first)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert account.kinds["list"] == 1
    assert account.kinds["list g"] > 30
    assert min(account.times("list g")) > 600
    assert max(account.times("look")) < 700


def test_many_waits_that_must_ask_for_themselves_take_turns(loop):
    def forbidden(call, data):
        if call.path == "/v1/connections":
            data["status_of_answer"] = 403

    account = Account(loop, named(120, end=3500), answer=forbidden)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert sum(when < 3600 for when in account.times("look")) <= 7200 + 240
    assert max(fleet.late.values()) < 70  # a hundred and twenty turns of half a second


@pytest.mark.parametrize("minutes", [1, 30])
def test_an_outage_delays_every_verdict_and_nothing_else(loop, minutes):
    def outage(call, _data):
        if 10 < loop.time() < 10 + 60 * minutes:
            raise FivetranUnreachable("connection refused", maybe_received=False)

    account = Account(loop, named(100), answer=outage)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert len([note for note in fleet.notes if "asking again" in note]) == 100
    assert len([note for note in fleet.notes if "can be read again" in note]) == 100
    during = [when for when, _ in account.requests if 10 < when < 10 + 60 * minutes]
    assert len(during) < 10 + 9 * minutes


def test_each_wait_is_told_of_an_error_as_its_own(loop):
    def refused(call, data):
        if loop.time() > 10:
            data["status_of_answer"] = 401

    account = Account(loop, named(20), answer=refused)
    fleet = Fleet(account)
    told: dict[str, FivetranError] = {}

    async def story():
        async def wait(name):
            try:
                await fleet.wait(name, timeout=timedelta(hours=2))
            except FivetranError as error:
                told[name] = error

        await asyncio.gather(*(wait(name) for name in account.syncs))
        await account.close()

    run(loop, story())
    assert {name: error.connection_id for name, error in told.items()} == {
        name: name for name in account.syncs
    }


def test_a_row_that_is_not_as_documented_harms_its_own_wait_alone(loop):
    def broken_row(call, data):
        for row in data.get("items", []):
            if row.get("id") == "c3" and loop.time() < 60:
                row["paused"] = "perhaps"

    account = Account(loop, named(20), answer=broken_row)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert max(late for name, late in fleet.late.items() if name != "c3") < 5
    assert [note for note in fleet.notes if "asking again" in note] == [
        note for note in fleet.notes if note.startswith("c3: cannot read")
    ]


@pytest.mark.parametrize("rubbish", ["a text", [1, 2], [{"id": ["c1"]}], [{}], None])
def test_a_list_that_makes_no_sense_loses_no_wait(loop, rubbish):
    def strange(call, data):
        if call.path == "/v1/connections":
            data.clear()
            data["items"] = rubbish

    fleet = waited(loop, Account(loop, named(20), answer=strange))
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())


def test_a_list_that_fails_alone_is_done_without(loop, caplog):
    """It may take Fivetran too long to put together, while each connection can be read."""

    def slow(call, data):
        if call.path == "/v1/connections":
            raise FivetranUnreachable("no answer in time", maybe_received=True)

    account = Account(loop, named(30, end=100), answer=slow)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert "asks for itself" in caplog.text
    assert max(fleet.late.values()) < 20


def test_a_list_that_hangs_holds_up_no_deadline(loop):
    def hanging(call, data):
        if call.path == "/v1/connections":
            account.latency = 80

    account = Account(loop, named(30, end=5000), answer=hanging)
    fleet = waited(loop, account, timeout=timedelta(seconds=30))
    assert all(isinstance(verdict, TimedOut) for verdict in fleet.verdicts.values())
    assert loop.time() < 30 + 10 + 85


def test_an_error_of_the_poller_itself_loses_no_wait(loop, monkeypatch, caplog):
    def broken(_asks):
        raise RuntimeError("a fault of this program")

    monkeypatch.setattr(polling, "group_of", broken)
    account = Account(loop, named(20))
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert "a fault of this program" in caplog.text
    assert account.kinds["look"] < 20 * 20  # each at its own pace


def test_a_connection_that_the_list_does_not_show_is_looked_for_alone(loop):
    def hidden(call, data):
        if call.path == "/v1/connections":
            data["items"] = [row for row in data["items"] if row["id"] != "c3"]

    account = Account(loop, named(20), answer=hidden)
    fleet = waited(loop, account)
    assert isinstance(fleet.verdicts["c3"], Succeeded)
    assert fleet.late["c3"] < 10
    assert account.kinds["list g"] > 5


def test_a_list_that_shows_next_to_nothing_is_done_without(loop):
    def hidden(call, data):
        if call.path == "/v1/connections":
            data["items"] = data["items"][:1]

    account = Account(loop, named(20), answer=hidden)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert account.kinds["list"] + account.kinds["list g"] == 1


def test_a_connection_that_is_deleted_ends_its_wait(loop):
    account = Account(loop, named(20, end=300))
    fleet = Fleet(account)

    async def story():
        waits = asyncio.gather(*(fleet.wait(name) for name in list(account.syncs)))
        await asyncio.sleep(60)
        del account.syncs["c3"]
        await waits
        await account.close()

    run(loop, story())
    assert isinstance(fleet.verdicts.pop("c3"), Gone)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())


# --- deadlines, turns and hidden connections ------------------------------------------------------------------


@pytest.mark.parametrize(("others", "left", "answer"), [(2, 0, None), (600, None, forbidding)])
def test_a_deadline_is_kept_behind_others_that_must_wait_for_their_turn(loop, rounds, others, left, answer):
    account = Account(
        loop, named(others + 1, end=5000), left=left, answer=answer or (lambda _call, _data: None)
    )
    fleet = Fleet(account)

    async def story():
        waits = [
            asyncio.create_task(fleet.wait(f"c{n}", timeout=timedelta(hours=1))) for n in range(1, others + 1)
        ]
        await asyncio.sleep(5)
        await fleet.wait("c0", timeout=timedelta(seconds=100))
        await fleet.leave(waits)

    run(loop, story())
    assert isinstance(fleet.verdicts["c0"], TimedOut)
    assert loop.time() < 110
    assert len(rounds) < 2000


def test_hidden_connections_at_their_deadline_cause_no_storm_of_lists(loop):
    account = Account(loop, named(22, end=5000), left=0, answer=hiding("c20", "c21"))
    fleet = Fleet(account)

    async def story():
        waits = [asyncio.create_task(fleet.wait(f"c{n}", timeout=timedelta(hours=1))) for n in range(21)]
        await fleet.wait("c21", timeout=timedelta(seconds=100), joining=1)
        await fleet.leave(waits)

    run(loop, story())
    assert len(account.requests) < 50


@pytest.mark.parametrize("left", [None, 2000, 400])
def test_a_hidden_connection_is_looked_for_however_little_is_left(loop, left):
    hide = hiding("hidden")

    def steady(call, data):
        account.left = left
        hide(call, data)

    account = Account(loop, named(20, end=1500) | {"hidden": Sync(1, 60)}, left=left, answer=steady)
    assert waited(loop, account).late["hidden"] < 120


def test_a_hidden_connection_does_not_make_the_others_slow(loop):
    """It is on none of twenty pages; the others are all on the first."""
    syncs = named(100, end=600) | {f"x{n}": Sync(1, 2) for n in range(1900)} | {"hidden": Sync(1, 60)}
    account = Account(loop, syncs, rows_on_a_page=100, group_of=lambda name: name, answer=hiding("hidden"))
    fleet = Fleet(account)
    run(loop, fleet.wait_for_all([f"c{n}" for n in range(100)] + ["hidden"]))
    assert max(fleet.late.values()) < 16


def test_a_row_that_only_the_list_shows_wrongly_is_looked_for_alone(loop):
    def broken_row(_call, data):
        for row in data.get("items", []):
            if row.get("id") == "c3":
                row["paused"] = "perhaps"

    account = Account(loop, named(20, end=500) | {"c3": Sync(1, 60)}, answer=broken_row)
    assert waited(loop, account).late["c3"] < 20


# --- clocks, cancellations, and other people's faults ---------------------------------------------------------


@pytest.mark.parametrize("count", [1, 20])
def test_a_clock_that_is_set_back_holds_up_nobody(loop, count):
    account = Account(loop, named(count, end=60))
    fleet = Fleet(account)

    async def story():
        waits = asyncio.gather(*(fleet.wait(name) for name in account.syncs))
        await asyncio.sleep(30)
        loop.set_back = timedelta(hours=1)
        await waits
        await account.close()

    run(loop, story())
    assert max(fleet.late.values()) < 30


@pytest.mark.parametrize("steps", range(6))
def test_closing_right_after_somebody_joined_ends(steps):
    """On a real loop: whatever it is doing at that moment, the poller hears that it is cancelled."""

    async def never(_call):
        await asyncio.sleep(3600)

    async def story():
        poller, now = polling.Poller(never, lambda: None), polling.utcnow()

        def look(seconds):
            span = timedelta(seconds=seconds)
            return Look(get_connection("c"), due=now + span, pace=span, latest=now + timedelta(hours=1))

        first = asyncio.create_task(poller.answer(look(1000)))
        await asyncio.sleep(0.02)
        joining = asyncio.create_task(poller.answer(look(500)))
        for _ in range(steps):
            await asyncio.sleep(0)
        first.cancel()
        joining.cancel()
        await asyncio.wait_for(poller.close(), 5)

    asyncio.run(story())


def test_a_cancelled_request_does_not_end_the_poller_for_good(loop, caplog):
    """As one of Airflow's own channel may be."""

    def cancelled(call, _data):
        if is_list(call) and 10 < loop.time() < 20:
            raise asyncio.CancelledError

    fleet = waited(loop, Account(loop, named(20, end=100), answer=cancelled))
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert max(fleet.late.values()) < 60
    assert "each wait looks alone" in caplog.text


def test_without_a_poller_the_waits_keep_to_a_common_budget(loop, monkeypatch):
    def broken(_asks):
        raise RuntimeError("a fault of this program")

    monkeypatch.setattr(polling, "group_of", broken)
    account = Account(loop, named(300, end=1200))
    waited(loop, account)
    assert sum(when < 1200 for when in account.times("look")) < 1.2 * 1200 / polling.GAP_WITHOUT_LIST


def test_an_unusable_airflow_connection_is_no_fault_of_the_poller(loop, caplog):
    def unusable(_call, _data):
        raise ValueError("the password (the API secret) is empty")

    fleet = Fleet(Account(loop, named(20), answer=unusable))

    async def story():
        outcomes = await asyncio.gather(*(fleet.wait(f"c{n}") for n in range(20)), return_exceptions=True)
        await fleet.account.close()
        return outcomes

    assert {type(outcome) for outcome in run(loop, story())} == {ValueError}
    assert not caplog.records


def test_the_pause_that_fivetran_asks_for_counts_from_its_answer(loop):
    def limited(call, data):
        if is_list(call) and 10 < loop.time() < 170:
            data["status_of_answer"], data["headers_of_answer"] = 429, {"Retry-After": "60"}

    account = Account(loop, named(50, end=600), answer=limited, latency=15)
    fleet = Fleet(account)

    async def story():
        late = [fleet.wait(f"c{n}", joining=140) for n in range(25, 50)]
        await asyncio.gather(*(fleet.wait(f"c{n}") for n in range(25)), *late)
        await account.close()

    run(loop, story())
    lists = sorted(when for when in account.times("list") + account.times("list g") if 10 < when < 170)
    assert min(b - a for a, b in pairwise(lists)) >= 75


@pytest.mark.parametrize("count", [1, 20])
def test_a_slow_answer_brings_the_next_look_no_closer_than_the_user_chose(loop, count):
    account = Account(loop, named(count, end=400))

    def slow_once(_call, _data):
        account.latency = 15 if 100 < loop.time() < 190 else 0.05

    account.answer = slow_once
    waited(loop, account, poll_frequency=timedelta(seconds=60))
    looks = sorted(when for when, kind in account.requests if kind != "history")
    assert min(b - a for a, b in pairwise(looks)) > 59


def test_an_outage_takes_no_more_requests_than_looking_does(loop):
    def outage(_call, data):
        if loop.time() > 300:
            data["status_of_answer"] = 500

    account = Account(loop, named(200, end=9000), answer=outage)
    fleet = Fleet(account)

    async def story():
        waits = [
            asyncio.create_task(fleet.wait(name, joining=n * 0.5)) for n, name in enumerate(account.syncs)
        ]
        await asyncio.sleep(1500)
        await fleet.leave(waits)

    run(loop, story())
    during = [when for when, _ in account.requests if when > 300]
    assert len(during) < 1.2 * 1200 / polling.GAP + polling.BURST


@pytest.mark.parametrize("count", [1, 20])
def test_now_and_then_a_429_delays_a_verdict_by_seconds(loop, count):
    """Something between us and Fivetran may limit as well, and say nothing of how long."""
    asked = []

    def now_and_then(_call, data):
        asked.append(1)
        if len(asked) % 4 == 0:
            data["status_of_answer"] = 429

    assert max(waited(loop, Account(loop, named(count), answer=now_and_then)).late.values()) < 60


@pytest.mark.parametrize("count", [1, 20])
def test_a_fivetran_that_never_answers_holds_up_no_deadline(loop, count):
    def silent(_call, _data):
        account.latency = 400

    account = Account(loop, named(count, end=5000), answer=silent)
    fleet = waited(loop, account, timeout=timedelta(seconds=30))
    assert all(isinstance(verdict, TimedOut) for verdict in fleet.verdicts.values())
    assert loop.time() < 30 + 2 * 10 + 5


def test_without_the_list_no_more_than_forty_looks_come_at_once(loop):
    account = Account(loop, named(200, end=900), answer=forbidding)
    waited(loop, account)
    looks = account.times("look")
    assert max(sum(begin <= when < begin + 5 for when in looks) for begin in looks) <= polling.BURST + 12


def test_429s_in_a_row_are_waited_for_as_long_as_they_say(loop):
    def limited(_call, data):
        if 4 < loop.time() < 40:
            data["status_of_answer"], data["headers_of_answer"] = 429, {"Retry-After": "5"}

    assert max(waited(loop, Account(loop, named(20, end=12), answer=limited)).late.values()) < 40
