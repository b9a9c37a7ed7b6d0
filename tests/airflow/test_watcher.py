"""The trigger of asset watchers as the triggerer runs it, against a Fivetran that syncs on its own."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing
from datetime import timedelta

import pytest

from airflow_provider_fivetran import triggers
from airflow_provider_fivetran.assets import IS_AIRFLOW_2, connection_asset, failure_asset, sync_record_of
from airflow_provider_fivetran.simulator import SyncPlan
from airflow_provider_fivetran.triggers import FivetranSyncEndedTrigger
from stories import ID, rebuilt


def watcher(way, *ids, **arguments):
    """A watcher as Airflow makes it again in the triggerer."""
    made = FivetranSyncEndedTrigger(
        list(ids) or ID, **{"fivetran_conn_id": way.conn_id, "poll_frequency": 1.0} | arguments
    )
    return rebuilt(made)


async def told(trigger, count, begun, lasting=20.0):
    """So many events, where ``begun`` is called once the watcher has had its first look."""
    events = []
    async with asyncio.timeout(lasting), aclosing(trigger.run()) as running:
        asyncio.get_running_loop().call_later(2.5, begun)
        async for event in running:
            events.append(event.payload)
            if len(events) == count:
                return events
    return events


def test_a_sync_that_fivetran_starts_is_told_with_its_record(deferrable):
    deferrable.sim.add_connection(ID, plans=[SyncPlan(duration=0.5)])
    [payload] = asyncio.run(told(watcher(deferrable), 1, lambda: deferrable.sim.start_sync(ID)))
    record = sync_record_of({"from_trigger": True, "payload": payload})
    [run] = [run for run in deferrable.sim.runs(ID) if run.ended_at is not None]
    assert (record.connection_id, record.status, record.sync_id) == (ID, "succeeded", run.sync_id)


def test_an_airflow_connection_that_cannot_be_used_is_said_once_and_tried_again(
    deferrable, monkeypatch, caplog
):
    monkeypatch.setattr(triggers, "AFTER_A_FAILURE", 0.2)
    variable = os.environ.pop(deferrable.variable)
    deferrable.sim.add_connection(ID, plans=[SyncPlan(duration=0.5)])

    def begun():
        os.environ[deferrable.variable] = variable
        threading.Timer(2.5, lambda: deferrable.sim.start_sync(ID)).start()

    assert len(asyncio.run(told(watcher(deferrable), 1, begun))) == 1
    assert caplog.text.count("cannot be watched") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"connector_id": []}, r"connector_id is \[\]; allowed"),
        ({"connector_id": "a/b"}, "connector_id is 'a/b'"),
        ({"connector_id": ["a", ""]}, "connector_id is ''"),
        ({"connector_id": 5}, "connector_id is 5"),
        ({"connector_id": [None]}, "connector_id is .None."),
        ({"failures": "yes"}, "failures is 'yes'"),
        ({"fivetran_conn_id": ""}, "fivetran_conn_id is ''"),
        ({"poll_frequency": True}, "poll_frequency is True"),
        ({"poll_frequency": timedelta(hours=2)}, "poll_frequency is 7200.0; allowed are 1 to 3600"),
        ({"connector_id": "a", "group_id": "g"}, "give connector_id or group_id"),
        ({"poll_frequency": 0.5}, "poll_frequency is 0.5; allowed are 1 to 3600"),
        ({"poll_frequency": "15"}, "poll_frequency is '15'"),
    ],
)
def test_a_wrong_argument_is_named_when_the_dag_is_parsed(arguments, named):
    with pytest.raises(ValueError, match=named):
        FivetranSyncEndedTrigger(**arguments)


def test_a_pause_between_two_looks_is_a_timedelta_or_seconds():
    one = FivetranSyncEndedTrigger("a", poll_frequency=timedelta(minutes=1))
    assert one.serialize() == FivetranSyncEndedTrigger("a", poll_frequency=60).serialize()


@pytest.mark.parametrize(
    ("make", "trigger"),
    [
        (lambda watchers: connection_asset("a", watchers=watchers), {"connector_id": "a", "failures": True}),
        (lambda watchers: failure_asset("a", watchers=watchers), {"connector_id": "a"}),
        (lambda watchers: connection_asset("a", watchers=watchers), {"connector_id": "b"}),
        (lambda watchers: connection_asset("a", watchers=watchers), {}),
    ],
)
@pytest.mark.skipif(IS_AIRFLOW_2, reason="assets have watchers in Airflow 3 and newer only")
def test_an_asset_refuses_a_watcher_of_something_else(make, trigger):
    from airflow.sdk import AssetWatcher

    with pytest.raises(ValueError, match="watchers: fivetran://"):
        make([AssetWatcher(name="w", trigger=FivetranSyncEndedTrigger(**trigger))])
