"""A person ends a deferred task: what becomes of its sync, however long the triggerer takes and often it cancels."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_fivetran import triggers
from airflow_provider_fivetran.core.starting import Undo
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.simulator import SyncPlan
from airflow_provider_fivetran.triggers import FivetranSyncTrigger
from stories import ID

# What the triggerer of Airflow 3.3.2 does with a trigger that a person's action removed, on each of its rounds.
USER_ACTION = "__airflow_user_action__"
ROUND = 0.05
THE_TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="task", map_index=-1, try_number=1)


@pytest.fixture
def asked(monkeypatch):
    """What became of the task, which takes long to find out, and who asked."""

    class Asked(list):
        state = "failed"

    questions = Asked()

    async def state(ti):
        questions.append(ti)
        await asyncio.sleep(0.5)
        if isinstance(questions.state, Exception):
            raise questions.state
        return questions.state

    monkeypatch.setattr(triggers, "state_in_triggerer", state)
    return questions


def waiting(way, when_killed, undone=None):
    """A trigger that waits for a sync that runs."""
    way.sim.switches.update(stop_lag=0)
    way.add(SyncPlan(duration=3600), schedule_type="manual")
    way.sim.start_sync(ID)
    now = datetime.now(UTC)
    ticket = Ticket(
        connection_id=ID,
        aim=Aim.RUNNING,
        taken_at=now,
        begun_at=now,
        asked_at=now,
        poll_frequency=timedelta(seconds=0.1),
    )
    errand = {"undo": undone.to_json()} if undone else None
    trigger = FivetranSyncTrigger(ticket.to_json(), way.conn_id, when_killed=when_killed, errand=errand)
    trigger.task_instance = THE_TASK
    return trigger


async def run_trigger(trigger):
    """As Airflow's ``TriggerRunner.run_trigger``."""
    try:
        async for _event in trigger.run():
            raise AssertionError("the wait ended by itself")
    except asyncio.CancelledError as cancelled:
        if cancelled.args and cancelled.args[0] == USER_ACTION:
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(trigger.on_kill(), timeout=30)
        raise


async def killed(trigger):
    """End the task as a person does, and give what follows from that the time that it takes."""
    others = asyncio.all_tasks()
    task = asyncio.create_task(run_trigger(trigger))
    del trigger
    await asyncio.sleep(0.5)
    while not task.done():
        task.cancel(USER_ACTION)
        await asyncio.sleep(ROUND)
    assert task.cancelled()
    del task
    gc.collect()
    async with asyncio.timeout(10):
        await asyncio.gather(*(asyncio.all_tasks() - others))


def syncs(way):
    return way.sim.runs(ID)[0].ended_at is None


def changes(way):
    return [{**r.body, "run_setup_tests": None} for r in way.heard if r.method == "PATCH"]


async def test_a_sync_is_stopped_although_the_triggerer_cancels_again_and_again(deferrable, asked):
    await killed(waiting(deferrable, "stop"))
    assert asked == [THE_TASK]
    assert not syncs(deferrable)
    assert not deferrable.sim.account.connection(ID).paused


async def test_a_sync_that_is_stopped_leaves_the_connection_as_it_was(deferrable, asked):
    undone = Undo(pause=True, schedule_type="auto")
    await killed(waiting(deferrable, "stop", undone))
    connection = deferrable.sim.account.connection(ID)
    assert not syncs(deferrable)
    assert (connection.paused, connection.schedule_type) == (True, "auto")


async def test_a_sync_that_is_left_goes_on_and_the_schedule_is_put_back(deferrable, asked):
    undone = Undo(pause=True, schedule_type="auto")
    await killed(waiting(deferrable, "leave", undone))
    connection = deferrable.sim.account.connection(ID)
    assert syncs(deferrable)
    assert (connection.paused, connection.schedule_type) == (False, "auto")


@pytest.mark.parametrize("undone", [None, Undo(), Undo(pause=True)])
async def test_a_sync_that_is_left_with_nothing_to_put_back_costs_no_question(deferrable, asked, undone):
    await killed(waiting(deferrable, "leave", undone))
    assert asked == []
    assert changes(deferrable) == []
    assert syncs(deferrable)


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "running", "deferred", "restarting"])
@pytest.mark.parametrize("when_killed", ["stop", "leave"])
async def test_a_task_that_goes_on_elsewhere_keeps_its_sync_and_its_changes(
    deferrable, asked, when_killed, state
):
    asked.state = state
    await killed(waiting(deferrable, when_killed, Undo(schedule_type="auto")))
    assert asked == [THE_TASK]
    assert changes(deferrable) == []
    assert syncs(deferrable)


async def test_a_question_that_fails_is_said_and_stops_nothing(deferrable, asked, caplog, capsys):
    asked.state = RuntimeError("no supervisor")
    await killed(waiting(deferrable, "stop"))
    assert "no supervisor" in caplog.text + "".join(capsys.readouterr())
    assert syncs(deferrable)
