"""Many waits, one poll: what is asked of Fivetran, and when each wait learns of its end. Hours pass in an instant."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_fivetran.core.verdicts import Failed, Succeeded, TimedOut
from airflow_provider_fivetran.transport import aio, polling
from facts import at
from virtual_time import Account, Fleet, Sync, VirtualLoop, named, run, waited

# --- one poll for many ----------------------------------------------------------------------------------------


def test_five_hundred_waits_share_one_request_at_a_time(loop):
    account = Account(loop, named(500))
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert account.kinds["look"] == 0
    assert account.kinds["history"] == 500  # one confirmation each
    assert account.kinds["list"] < 20
    assert max(fleet.late.values()) < 5


def test_one_wait_reads_its_own_connection_and_nothing_else(loop):
    account = Account(loop, named(1))
    assert isinstance(waited(loop, account).verdicts["c0"], Succeeded)
    assert set(account.kinds) == {"look", "history"}


def test_few_waits_read_their_own_connections_each(loop):
    account = Account(loop, named(3))
    waited(loop, account)
    assert set(account.kinds) == {"look", "history"}


def test_verdicts_are_those_of_each_wait(loop):
    syncs = {f"c{n}": Sync(1, 20 + n / 10, ends_well=n % 3 > 0) for n in range(100)}
    verdicts = waited(loop, Account(loop, syncs)).verdicts
    assert {name for name, verdict in verdicts.items() if isinstance(verdict, Failed)} == {
        name for name, sync in syncs.items() if not sync.ends_well
    }


def test_who_has_news_hears_them_before_those_who_have_none(loop):
    account = Account(loop, named(200, end=600) | {"last": Sync(1, 30)})
    told, give = [], account.poller._give

    def giving(ask, answer):
        told.append((loop.time(), ask.subject))
        give(ask, answer)

    account.poller._give = giving
    waited(loop, account, poll_frequency=timedelta(seconds=10))
    when = next(when for when, name in told if name == "last" and when > 30)
    assert next(name for at, name in told if at == when) == "last"


def test_waits_of_one_group_ask_for_that_group_alone(loop):
    account = Account(loop, named(50), group_of=lambda name: "ours" if name in OURS else "other")
    fleet = Fleet(account, group_id="ours")
    run(loop, fleet.wait_for_all(OURS))
    assert account.kinds["list ours"] > 5
    assert account.kinds["list"] == 0


OURS = [f"c{number}" for number in range(20)]


def test_waits_that_do_not_know_their_group_learn_it_from_the_first_list(loop):
    account = Account(loop, named(20))
    waited(loop, account)
    assert account.kinds["list"] == 1
    assert account.kinds["list g"] > 1


def test_waits_of_two_groups_ask_for_the_whole_account(loop):
    account = Account(loop, named(20), group_of=lambda name: "even" if int(name[1:]) % 2 else "odd")
    waited(loop, account)
    assert account.kinds["list"] > 5
    assert not {"list odd", "list even"} & set(account.kinds)


def test_a_connection_that_moved_to_another_group_is_still_found(loop):
    account = Account(
        loop, named(20), group_of=lambda name: "new" if name == "c7" and loop.time() > 10 else "old"
    )
    fleet = waited(loop, account, group_id="old")
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())


def test_a_list_of_several_pages_is_read_as_far_as_needed(loop):
    account = Account(loop, named(250), rows_on_a_page=100, group_of=lambda name: name)
    fleet = Fleet(account)
    wanted = [f"c{number}" for number in range(120)]  # on the first two of three pages
    run(loop, fleet.wait_for_all(wanted))
    assert all(isinstance(fleet.verdicts[name], Succeeded) for name in wanted)
    rounds = account.times("list")
    assert len(rounds) % 2 == 0
    assert account.kinds["look"] == 0


def test_few_waits_of_a_large_account_do_not_read_all_its_pages(loop):
    account = Account(loop, named(1000), rows_on_a_page=100, group_of=lambda name: name)
    wanted = [f"c{number}" for number in range(990, 998)]
    run(loop, Fleet(account).wait_for_all(wanted))
    assert account.kinds["list"] <= 10  # what it takes to learn how long the list is
    assert account.kinds["look"] > 10


def test_two_waits_on_one_connection_both_learn_of_its_end(loop):
    account = Account(loop, named(10))
    fleet = Fleet(account)
    run(loop, fleet.wait_for_all([*account.syncs, "c3", "c3"]))
    assert len(account.times("history")) == 12


# --- joining and leaving --------------------------------------------------------------------------------------


def test_a_wait_that_joins_gets_the_next_answer_and_sends_no_request_of_its_own(loop):
    account = Account(loop, named(40, end=60))
    fleet = Fleet(account)

    async def story():
        early = [fleet.wait(f"c{number}") for number in range(20)]
        late = [fleet.wait(f"c{number}", joining=10 + number / 7) for number in range(20, 40)]
        await asyncio.gather(*early, *late)
        await account.close()

    run(loop, story())
    assert account.kinds["look"] == 0
    assert min(b - a for a, b in pairwise(sorted(account.times("list") + account.times("list g")))) > 1.3


def test_a_thousand_waits_that_begin_anew_at_once_cause_one_request(loop):
    account = Account(loop, named(1000, end=3600))
    fleet = Fleet(account)

    async def story():
        waits = [
            asyncio.create_task(fleet.wait(name, joining=number / 5000))
            for number, name in enumerate(account.syncs)
        ]
        await asyncio.sleep(1.5)
        await fleet.leave(waits)

    run(loop, story())
    assert len(account.requests) <= 2


def test_a_wait_that_leaves_is_forgotten_and_the_others_go_on(loop):
    account = Account(loop, named(20))
    fleet = Fleet(account)

    async def story():
        leaving = [asyncio.create_task(fleet.wait(f"c{number}")) for number in range(10)]
        staying = [asyncio.create_task(fleet.wait(f"c{number}")) for number in range(10, 20)]
        await asyncio.sleep(9.05)  # some of them in the middle of a request
        for wait in leaving:
            wait.cancel()
        await asyncio.gather(*staying)
        await account.close()

    run(loop, story())
    assert set(fleet.verdicts) == {f"c{number}" for number in range(10, 20)}


def test_nothing_is_asked_after_the_last_has_left(loop):
    account = Account(loop, named(20))
    fleet = Fleet(account)

    async def story():
        await fleet.wait_for_all()
        sent = len(account.requests)
        await asyncio.sleep(600)
        assert len(account.requests) == sent

    run(loop, story())


# --- when -----------------------------------------------------------------------------------------------------


def test_a_change_is_delivered_at_once_even_to_a_wait_that_would_look_much_later(loop):
    """One busy wait brings the news to those that are sparse by now."""
    syncs = {f"c{number}": Sync(1, 901) for number in range(20)}
    syncs |= {"short": Sync(880, 960)}
    account = Account(loop, syncs, group_of=lambda name: name)
    fleet = Fleet(account)

    async def story():
        old = [fleet.wait(name) for name in syncs if name != "short"]
        await asyncio.gather(
            *old, fleet.wait("short", joining=880, taken_at=at(880), asked_at=at(880), triggered_at=at(880))
        )
        await account.close()

    run(loop, story())
    assert max(late for name, late in fleet.late.items() if name != "short") < 4


@settings(max_examples=25, deadline=None)
@given(
    floors=st.lists(st.floats(1, 40), min_size=1, max_size=12),
    unset=st.integers(0, 12),
)
def test_nobody_is_looked_for_more_often_than_its_user_chose(floors, unset):
    loop = VirtualLoop()
    with pytest.MonkeyPatch.context() as patch:
        for module in (aio, polling):
            patch.setattr(module, "utcnow", loop.utcnow)
        account = Account(loop, named(len(floors) + unset, end=120))
        fleet = Fleet(account)
        served: dict[str, list[float]] = {}
        give = polling.Poller._give

        def noting(self, ask, answer):
            asked_at = loop.time() if answer is None else self._listed_at
            served.setdefault(ask.subject, []).append(asked_at)
            give(self, ask, answer)

        patch.setattr(polling.Poller, "_give", noting)

        async def story():
            chosen = [timedelta(seconds=floor) for floor in floors] + [None] * unset
            waits = [
                fleet.wait(name, poll_frequency=floor)
                for name, floor in zip(account.syncs, chosen, strict=True)
            ]
            await asyncio.gather(*waits)
            await account.close()

        run(loop, story())
    for name, floor in zip(account.syncs, floors, strict=False):
        assert all(b - a >= floor - 1e-6 for a, b in pairwise(served[name]))
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())


def test_waits_with_the_same_frequency_fall_into_step(loop):
    account = Account(loop, named(100, end=100), latency=0.2)
    fleet = Fleet(account, poll_frequency=timedelta(seconds=2))

    async def story():
        await asyncio.gather(*(fleet.wait(name, joining=n / 50) for n, name in enumerate(account.syncs)))
        await account.close()

    run(loop, story())
    lists = account.kinds["list"] + account.kinds["list g"]
    assert lists <= 110 / 2 + 3
    assert sorted(fleet.late.values())[50] < 1.6
    assert max(fleet.late.values()) < 2.6


def test_a_list_of_several_slow_pages_is_read_no_more_often_than_the_user_chose(loop):
    account = Account(loop, named(50, end=200), rows_on_a_page=10, latency=0.7, group_of=lambda name: name)
    waited(loop, account, poll_frequency=timedelta(seconds=20))
    lists = account.times("list")
    rounds = [lists[number : number + 5] for number in range(0, len(lists) - 5, 5)]
    for earlier, later in pairwise(rounds):
        assert all(b - a >= 20 for a, b in zip(earlier, later, strict=True))
    assert 8 <= len(rounds) <= 11


def test_a_deadline_is_kept_though_the_budget_is_used_up(loop):
    account = Account(loop, named(20, end=5000), left=0)
    fleet = waited(loop, account, timeout=timedelta(seconds=100))
    assert all(isinstance(verdict, TimedOut) for verdict in fleet.verdicts.values())
    assert loop.time() < 110


# --- the account's budget -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 30, 80])
def test_an_hour_of_looks_takes_less_than_a_tenth_of_the_hour_however_many_wait(loop, count):
    account = Account(loop, named(count, end=3600))
    waited(loop, account)
    looks = sum(1 for when, kind in account.requests if kind != "history" and when <= 3600)
    assert looks <= 1200 + polling.BURST + 5


def test_a_shorter_pause_that_the_user_chose_is_kept_to(loop):
    account = Account(loop, named(1, end=300))
    waited(loop, account, poll_frequency=timedelta(seconds=1))
    assert account.kinds["look"] > 270


def test_a_shorter_pause_is_kept_to_by_two_or_three_waits_however_long_they_last(loop):
    """One after the other they would take turns once the burst is used up."""
    account = Account(loop, {f"c{n}": Sync(1, 900 + n / 3) for n in range(3)})
    fleet = waited(loop, account, poll_frequency=timedelta(seconds=2))
    assert max(fleet.late.values()) < 2.3
    assert account.kinds["look"] + account.kinds["list"] < 900 / 2 + 3 * polling.BURST


def test_on_a_trial_account_the_waits_leave_enough_for_their_ends(loop):
    """Fifty syncs under 500 requests an hour, of which starting them took a hundred."""
    refused = []

    def limited(call, data):
        # The worst case: nothing becomes free again within the hour.
        if len(account.requests) > 400:
            refused.append(call)
            data["status_of_answer"], data["headers_of_answer"] = 429, {"Retry-After": "60"}

    account = Account(loop, {f"c{n}": Sync(1, 60 + 66 * n) for n in range(50)}, left=400, answer=limited)
    fleet = waited(loop, account)
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())
    assert not refused
    assert sorted(fleet.late.values())[25] < 30


def test_a_list_that_comes_too_soon_is_not_asked_for_before_fivetran_says(loop):
    def limited(call, data):
        if 10 < loop.time() < 130:
            data["status_of_answer"], data["headers_of_answer"] = 429, {"Retry-After": "120"}

    account = Account(loop, named(50, end=20), answer=limited)
    fleet = Fleet(account)

    async def story():
        early = [fleet.wait(f"c{number}") for number in range(25)]
        late = [fleet.wait(f"c{number}", joining=30) for number in range(25, 50)]
        await asyncio.gather(*early, *late)
        await account.close()

    run(loop, story())
    during = [when for when in account.times("list") + account.times("list g") if 10 < when < 120]
    assert len(during) <= 3  # the one attempt that was refused, with its repetitions
    assert all(isinstance(verdict, Succeeded) for verdict in fleet.verdicts.values())


def test_a_lone_long_sync_is_looked_for_closely_around_its_usual_end(loop):
    account = Account(loop, {"c": Sync(1, 2400)}, earlier={"c": [2300, 2350, 2450, 2400]})
    fleet = waited(loop, account)
    assert fleet.late["c"] < 6.5
    assert account.kinds["history"] == 2  # how long it takes, and how it ended
    assert account.kinds["look"] < 250


def test_what_one_wait_learns_of_a_connection_the_next_one_uses(loop):
    account = Account(loop, {"c": Sync(1, 40)}, earlier={"c": [39, 40, 41]})
    fleet = Fleet(account)

    async def story():
        await fleet.wait("c")
        first = len(account.requests)
        account.syncs["c"] = Sync(100, 140)
        begin = at(99)
        await fleet.wait(
            "c",
            joining=99 - loop.time(),
            taken_at=begin,
            asked_at=begin,
            triggered_at=begin,
            succeeded_at=at(40),
        )
        await account.close()
        return first

    run(loop, story())
    assert fleet.late["c"] < 1.7


def test_closing_cancels_who_still_waits(loop):
    account = Account(loop, named(5))

    async def story():
        waits = [asyncio.create_task(Fleet(account).wait(name)) for name in account.syncs]
        await asyncio.sleep(5)
        await account.close()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waits)
        await asyncio.wait(waits)

    run(loop, story())
