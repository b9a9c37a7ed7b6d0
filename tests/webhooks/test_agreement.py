"""A watcher and the receiver hear of the same ends, and one of the two tells of each, in Airflow's real tables."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta

import pytest

from airflow_provider_fivetran.claiming import Claims
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.claims import CLAIMS_KEPT, GRACE, RECEIVER, SEEN, Receiver
from airflow_provider_fivetran.core.landings import Watermark
from airflow_provider_fivetran.core.verdicts import SyncRecord
from airflow_provider_fivetran.webhooks.deliveries import read_delivery
from airflow_provider_fivetran.webhooks.keyring import Sender
from receiver_stage import asset, declare, events, remember, state
from webhook_bodies import SECRET, delivery

OURS = "airflow_provider_fivetran.triggers.FivetranSyncEndedTrigger"


def a_receiver(since=2 * GRACE, heard=timedelta(0)):
    """What is kept of a receiver that came, and was there last, so long ago."""
    return Receiver(since=utcnow() - since, heard=utcnow() - heard).to_json()


class TablesStore:
    """The asset state store as the triggerer gives it to a watcher, without the triggerer's channel."""

    def __init__(self, asset_id):
        from airflow.state import AssetScope, get_state_backend

        self._backend, self._scope = get_state_backend(), AssetScope(asset_id=asset_id)

    async def aget(self, key, default=None):
        value = await asyncio.to_thread(self._backend.get, self._scope, key)
        return default if value is None else json.loads(value)

    async def aset(self, key, value):
        await asyncio.to_thread(self._backend.set, self._scope, key, json.dumps(value))


class Watched:
    """An asset of an account, with a watcher that has looked at it."""

    def __init__(self, account, tables, *, receiver="there", watcher=OURS, failures=False):
        self.account, self.tables = account, tables
        receiver = a_receiver() if receiver == "there" else receiver
        uri = account.uri("failures/speak_menial" if failures else "speak_menial")
        self.id = asset(uri, watcher=watcher)
        self.mark = Watermark(utcnow() - timedelta(minutes=3), since=utcnow() - timedelta(hours=1))
        self.keep_mark()
        if receiver is not None:
            remember(self.id, RECEIVER, receiver)

    def keep_mark(self):
        remember(self.id, SEEN, self.mark.to_json())

    def forget_mark(self):
        from airflow.state import AssetScope, get_state_backend

        get_state_backend().delete(AssetScope(asset_id=self.id), SEEN)

    def delivered(self, body=None, **changes):
        """What the receiver did with a delivery."""
        told = self.tables.tell(
            read_delivery(body or delivery(**changes)),
            Sender(self.account.conn_id, self.account.host, (SECRET,)),
        )
        return {"emitted": told.emitted, "repeated": told.repeated, "watched": told.watched}

    def taken(self, sync_id="s", **changes):
        """Whether a watcher that has found this end tells of it."""
        fields = {"connection_id": "speak_menial", "status": "succeeded", "link": "https://x"}
        record = SyncRecord(**{**fields, "sync_id": sync_id, "ended_at": utcnow(), **changes})
        claims = Claims(TablesStore(self.id), 0.05)
        return asyncio.run(claims.take(record, self.mark))

    def receiver(self):
        return json.loads(state(self.id)[RECEIVER])


EMITTED, REPEATED, LEFT = (
    {"emitted": 0, "repeated": 0, "watched": 0} | one
    for one in ({"emitted": 1}, {"repeated": 1}, {"watched": 1})
)


@pytest.fixture
def watched(account, tables):
    return Watched(account, tables)


def test_the_receiver_that_hears_of_an_end_first_tells_and_the_watcher_does_not(watched):
    assert watched.delivered(sync_id="s") == EMITTED
    assert not watched.taken("s")
    assert watched.delivered(sync_id="s") == REPEATED
    assert len(events(watched.id)) == 1


def test_the_watcher_that_finds_an_end_first_tells_and_the_receiver_does_not(watched):
    assert watched.taken("s")
    assert watched.delivered(sync_id="s") == REPEATED
    assert events(watched.id) == []


def test_a_watcher_that_ended_before_it_told_tells_when_it_runs_again(watched):
    assert watched.taken("s")
    assert watched.taken("s")


@pytest.mark.parametrize(
    ("word", "status"), [("CANCELED", "cancelled"), ("some new word", "cancelled"), ("FAILURE", "failed")]
)
def test_a_bad_end_is_the_same_whatever_word_each_has_for_it(account, tables, word, status):
    watched = Watched(account, tables, failures=True)
    assert watched.delivered(sync_id="s", status=word) == EMITTED
    assert not watched.taken("s", status=status)
    assert watched.taken("s", status="rescheduled")


def test_a_watcher_learns_of_a_receiver_before_that_tells_of_anything(account, tables):
    watched = Watched(account, tables, receiver=None)
    assert watched.delivered(sync_id="first") == LEFT
    assert watched.delivered(sync_id="first") == LEFT, "for a minute"
    assert watched.taken("first")
    remember(watched.id, RECEIVER, a_receiver())
    assert watched.delivered(sync_id="first") == REPEATED
    assert watched.delivered(sync_id="second") == EMITTED
    assert not watched.taken("second")


def test_a_watcher_without_a_receiver_writes_nothing_for_an_end(account, tables):
    watched = Watched(account, tables, receiver=None)
    assert watched.taken("s")
    assert list(state(watched.id)) == [SEEN]


def test_an_asset_whose_memory_cannot_be_read_is_left_to_its_watcher(watched):
    remember(watched.id, SEEN, "not a mark")
    assert watched.delivered() == LEFT


def test_an_asset_is_left_for_a_while_to_a_watcher_that_has_not_looked_yet(account, tables):
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    watched = Watched(account, tables, receiver=None)
    watched.forget_mark()
    assert watched.delivered(sync_id="s") == LEFT
    with create_session() as session:
        trigger = session.query(Trigger).filter(Trigger.assets.any(id=watched.id)).one()
        trigger.created_date = utcnow() - 2 * GRACE
    assert watched.delivered(sync_id="s") == EMITTED, "there may be no triggerer"
    assert not watched.taken("s")


def test_an_asset_is_left_to_a_watcher_that_two_share_for_it_remembers_nothing(account, tables):
    from airflow.models.asset import AssetModel
    from airflow.utils.session import create_session

    watched = Watched(account, tables)
    with create_session() as session:
        trigger = session.get(AssetModel, watched.id).triggers[0]
        other = session.get(AssetModel, asset(account.uri("other")))
        other.add_trigger(trigger, "watcher")
    assert watched.delivered() == LEFT


def test_an_asset_is_left_to_a_watcher_whose_memory_is_elsewhere(watched, monkeypatch):
    from airflow import state

    class Elsewhere:
        def get(self, scope, key, **_):
            return json.dumps(watched.mark.to_json()) if key == SEEN else None

    monkeypatch.setattr(state, "get_state_backend", Elsewhere)
    assert watched.delivered() == LEFT


def test_what_the_watcher_told_before_there_was_a_receiver_is_not_repeated_by_a_late_delivery(watched):
    told = watched.mark.until - timedelta(minutes=10)
    assert watched.delivered(created=told.isoformat()) == REPEATED


def test_a_late_delivery_of_what_the_watcher_does_not_see_is_told(account, tables):
    """Its mark moves on for all that it sees; of what nobody claimed since there are claims, that says nothing."""
    watched = Watched(account, tables, receiver=a_receiver(since=timedelta(hours=2)))
    ended = watched.mark.until - timedelta(minutes=10)
    assert watched.delivered(created=ended.isoformat(), sync_id="s") == EMITTED
    assert watched.taken("t", ended_at=ended)
    assert watched.delivered(created=ended.isoformat(), sync_id="t") == REPEATED


def test_a_receiver_that_has_long_been_gone_is_not_reckoned_with(account, tables):
    watched = Watched(account, tables, receiver=a_receiver(CLAIMS_KEPT * 2, CLAIMS_KEPT))
    before = set(state(watched.id))
    assert watched.taken("s")
    assert set(state(watched.id)) == before
    assert watched.delivered(sync_id="t") == LEFT, "it begins anew"


def test_a_receiver_says_every_day_that_it_is_there(account, tables):
    watched = Watched(account, tables, receiver=a_receiver(timedelta(days=5), timedelta(days=3)))
    since = watched.receiver()["since"]
    assert watched.delivered() == EMITTED
    assert watched.receiver()["since"] == since
    assert utcnow() - Receiver.from_json(watched.receiver(), utcnow()).heard < timedelta(minutes=1)


def test_what_ended_before_there_was_a_watcher_is_told_by_a_late_delivery(watched):
    before = watched.mark.since - timedelta(minutes=10)
    assert watched.delivered(created=before.isoformat()) == EMITTED


def test_a_delivery_without_the_id_of_its_sync_is_left_to_the_watcher(watched):
    assert watched.delivered(sync_id=None) == LEFT


# --- while all DAGs of an asset are paused, Airflow runs no watcher ---------------------------------------------


def test_the_receiver_tells_while_the_watcher_is_stopped_and_that_knows_afterwards(account, tables):
    paused = Watched(account, tables, receiver=None, watcher=None)
    assert paused.delivered(sync_id="s") == EMITTED
    assert not paused.taken("s")
    assert paused.taken("not delivered")


# --- without ids: an account that has no sync history -----------------------------------------------------------


def test_a_connection_whose_ids_the_watcher_does_not_know_is_left_to_it_for_a_day(account, tables):
    watched = Watched(account, tables)
    assert watched.taken(None)
    assert watched.delivered() == LEFT
    receiver = Receiver.from_json(watched.receiver(), utcnow())
    assert not receiver.tells("speak_menial", utcnow() + timedelta(hours=24))
    assert receiver.tells("speak_menial", utcnow() + timedelta(hours=26))
    assert receiver.tells("another", utcnow())


def test_an_end_that_a_receiver_told_is_not_told_without_its_id(watched):
    assert watched.delivered(sync_id="s") == EMITTED
    assert not watched.taken(None, ended_at=utcnow() - timedelta(seconds=2))
    assert watched.taken(None, ended_at=utcnow() + timedelta(minutes=2)), "another one, later"


def test_a_put_off_that_a_receiver_told_is_not_told_without_its_id(account, tables):
    watched = Watched(account, tables, failures=True)
    assert watched.delivered(sync_id="s", status="RESCHEDULED") == EMITTED
    assert not watched.taken(None, status="rescheduled", ended_at=utcnow() + timedelta(minutes=1))
    assert watched.taken(None, status="failed")


def test_a_delivery_that_comes_late_hides_no_later_end(watched):
    early, late = utcnow() - timedelta(minutes=2), utcnow()
    assert watched.delivered(sync_id="late", created=late.isoformat()) == EMITTED
    assert watched.delivered(sync_id="early", created=early.isoformat()) == EMITTED
    assert not watched.taken(None, ended_at=late)


# --- at the same moment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_id", [True, False], ids=["with_ids", "without_ids"])
def test_of_all_who_hear_of_an_end_at_the_same_moment_one_tells(monkeypatch, tables, with_id):
    for _ in range(20):
        watched = Watched(declare(monkeypatch, webhook_secret=SECRET), tables)
        body, start, takes = delivery(sync_id="s"), threading.Barrier(3), []

        def deliver(body=body, start=start, watched=watched):
            start.wait()
            watched.delivered(body)

        def find(start=start, takes=takes, watched=watched):
            start.wait()
            takes.append(watched.taken("s" if with_id else None))

        threads = [threading.Thread(target=act) for act in (deliver, deliver, find)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(events(watched.id)) + sum(takes) == 1


def test_while_the_store_is_away_the_watcher_waits_for_it_and_says_so_once(watched, caplog):
    class Away(TablesStore):
        tries = 0

        async def aget(self, key, default=None):
            Away.tries += 1
            if Away.tries < 5:
                raise RuntimeError("the database is down")
            return await super().aget(key, default)

    watched.delivered(sync_id="s")
    record = SyncRecord(
        connection_id="speak_menial", status="succeeded", link="https://x", sync_id="s", ended_at=utcnow()
    )
    assert not asyncio.run(Claims(Away(watched.id), 0.01).take(record, watched.mark))
    assert caplog.text.count("cannot be read, trying again") == 1
