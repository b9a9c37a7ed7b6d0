"""The trigger as the triggerer runs it: rebuilt from its arguments, one event, and never in the way of the others."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import time
import weakref
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_fivetran import triggerer, triggers
from airflow_provider_fivetran.core.events import BrokenOff, read_event
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.core.verdicts import (
    Cancelled,
    Failed,
    Gone,
    NeverStarted,
    Paused,
    Succeeded,
    TimedOut,
)
from airflow_provider_fivetran.exceptions import FivetranError, FivetranUnauthorized
from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from airflow_provider_fivetran.triggers import FivetranSyncTrigger
from stories import CONNECTION, HISTORY, ID, TaskInstance, across_processes, all_events, execute, rebuilt

BAD = SyncPlan(duration=0.2, outcome="failure")
ENDLESS = SyncPlan(duration=3600)
SECRETS = ("sim-secret", "c2ltLWtleTpzaW0tc2VjcmV0")


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def deferred(way, **arguments) -> FivetranSyncTrigger:
    """The trigger that an operator leaves behind."""
    from airflow.providers.common.compat.sdk import TaskDeferred

    ti = TaskInstance()
    with pytest.raises(TaskDeferred) as caught:
        execute(way.make(FivetranOperator, **arguments), {"ti": ti, "task_instance": ti})
    return caught.value.trigger


def by_hand(way, **fields) -> FivetranSyncTrigger:
    """A trigger for a sync that is awaited since a moment ago."""
    now = datetime.now(UTC)
    given = {
        "connection_id": ID,
        "aim": Aim.TRIGGERED,
        "taken_at": now - timedelta(seconds=5),
        "begun_at": now,
        "asked_at": now - timedelta(seconds=5),
        "poll_frequency": timedelta(seconds=0.1),
        "timeout": timedelta(seconds=20),
    }
    return FivetranSyncTrigger(Ticket(**given | fields).to_json(), way.conn_id, retry_delay=0.05)


def only_event(events):
    assert len(events) == 1
    across_processes({"event": events[0]})
    return read_event(events[0])


class TestArguments:
    def test_they_survive_the_way_to_another_process(self, deferrable):
        deferrable.add(ENDLESS)
        trigger = deferred(deferrable, when_killed="stop", poll_frequency=timedelta(seconds=0.5))
        again = rebuilt(trigger)
        assert type(again) is FivetranSyncTrigger
        assert again.serialize() == trigger.serialize()

    def test_they_are_plain_json_without_secrets(self, deferrable):
        deferrable.add(ENDLESS)
        path, arguments = deferred(deferrable).serialize()
        assert path == "airflow_provider_fivetran.triggers.FivetranSyncTrigger"
        text = json.dumps(arguments)
        assert not any(secret in text for secret in (*SECRETS, "sim-key"))

    def test_a_newer_field_is_ignored(self, deferrable):
        deferrable.add(SyncPlan(duration=0.1))
        trigger = deferred(deferrable)
        trigger.ticket["from_the_future"] = {"a": 1}
        assert isinstance(only_event(asyncio.run(all_events(rebuilt(trigger)))), Succeeded)


class TestOneEvent:
    @pytest.mark.parametrize(
        ("plan", "happens", "kind"),
        [
            (SyncPlan(duration=0.2), None, Succeeded),
            (BAD, None, Failed),
            (ENDLESS, "pause", Paused),
            (ENDLESS, "delete", Gone),
            (ENDLESS, "cancel", Cancelled),
            (ENDLESS, None, TimedOut),
            (SyncPlan(outcome="never_starts"), None, NeverStarted),
        ],
        ids=lambda value: getattr(value, "__name__", None),
    )
    def test_whatever_the_end(self, deferrable, plan, happens, kind):
        deferrable.sim.switches.update(stop_lag=0)
        deferrable.add(plan, succeeded_at=ago(hours=1))
        never = kind is NeverStarted
        trigger = deferred(deferrable, timeout=20 if never else 1, start_timeout=0.5)
        if happens:
            deferrable.heard.at("GET", CONNECTION, lambda: getattr(deferrable.sim, happens)(ID))
        assert type(only_event(asyncio.run(all_events(rebuilt(trigger))))) is kind

    def test_a_revoked_key(self, deferrable):
        deferrable.add(ENDLESS)
        trigger = deferred(deferrable)
        deferrable.sim.revoke("sim-key")
        outcome = only_event(asyncio.run(all_events(rebuilt(trigger))))
        assert isinstance(outcome, BrokenOff)
        assert isinstance(outcome.error, FivetranUnauthorized)
        assert outcome.error.status == 401

    def test_an_airflow_connection_that_does_not_exist(self, deferrable, airflow_db):
        trigger = by_hand(deferrable)
        trigger.fivetran_conn_id = "not_there"
        outcome = only_event(asyncio.run(all_events(rebuilt(trigger))))
        assert isinstance(outcome, BrokenOff)
        assert "not_there" in str(outcome.error)
        assert outcome.error.connection_id == ID
        assert outcome.error.link == f"https://fivetran.com/dashboard/connections/{ID}"

    @pytest.mark.parametrize(
        "fields",
        [
            {"password": ""},
            {"login": "", "password": "no pair"},
            {"host": "http://example.com"},
            {"extra": {"timeout": "soon"}},
        ],
        ids=["no-secret", "no-pair", "unencrypted", "timeout"],
    )
    def test_an_airflow_connection_that_cannot_be_used(self, deferrable, fields):
        deferrable.declare(**fields)
        outcome = only_event(asyncio.run(all_events(rebuilt(by_hand(deferrable)))))
        assert isinstance(outcome, BrokenOff)
        assert isinstance(outcome.error, FivetranError)

    @pytest.mark.parametrize(("ticket", "named"), [({"connection_id": ID}, ID), ({"connection_id": 5}, None)])
    def test_a_ticket_that_is_none(self, deferrable, ticket, named):
        trigger = FivetranSyncTrigger(ticket, deferrable.conn_id)
        outcome = only_event(asyncio.run(all_events(rebuilt(trigger))))
        assert isinstance(outcome, BrokenOff)
        assert outcome.error.connection_id == named

    def test_a_mistake_of_this_program(self, deferrable, monkeypatch, caplog, capsys):
        def mistaken(*_args, **_options):
            raise KeyError("mistake")

        monkeypatch.setattr(triggers, "watch", mistaken)
        outcome = only_event(asyncio.run(all_events(rebuilt(by_hand(deferrable)))))
        assert isinstance(outcome, BrokenOff)
        assert str(outcome.error) == "KeyError: 'mistake'"
        assert "Traceback" in caplog.text + "".join(capsys.readouterr())


class TestManyWaits:
    def test_share_one_look_and_read_nothing_else_but_how_each_sync_ended(self, deferrable):
        sim = deferrable.sim
        names = [f"many_{number}" for number in range(40)]
        for number, name in enumerate(names):
            plan = SyncPlan(duration=2.5, outcome="failure" if number % 4 == 0 else "success")
            sim.add_connection(name, default_plan=plan)
            sim.start_sync(name)
        sim.requests.clear()
        waits = [by_hand(deferrable, connection_id=name, poll_frequency=None) for name in names]

        async def all_at_once():
            return await asyncio.gather(*(all_events(rebuilt(wait)) for wait in waits))

        kinds = [type(only_event(events)) for events in asyncio.run(all_at_once())]
        assert kinds == [Failed, Succeeded, Succeeded, Succeeded] * 10
        asked = [request.path.rpartition("/")[2] for request in sim.requests]
        assert asked.count("sync-history") == 40
        assert 2 <= asked.count("connections") <= 6
        assert len(asked) == 40 + asked.count("connections")


class TestUnreadableAirflowConnection:
    """What hinders Airflow from giving its connection delays a wait, and does not end it."""

    @pytest.fixture
    def reading(self, monkeypatch):
        """Errors that Airflow answers with, one for each read, before it gives its connection."""
        from airflow.providers.common.compat import connection

        errors, usual = [], connection.get_async_connection

        async def get_async_connection(conn_id):
            if errors:
                error = errors.pop(0)
                await asyncio.sleep(0 if error else 3600)
                raise error
            return await usual(conn_id)

        monkeypatch.setattr(connection, "get_async_connection", get_async_connection)
        return errors

    @pytest.mark.parametrize(
        "error", [PermissionError("vault"), RuntimeError("supervisor"), OSError("secret-backend-token")]
    )
    def test_at_the_first_read(self, deferrable, reading, error, caplog, capsys):
        deferrable.add(SyncPlan(duration=0.2))
        trigger = deferred(deferrable)
        reading += [error] * 4
        with caplog.at_level(logging.INFO):
            assert isinstance(only_event(asyncio.run(all_events(rebuilt(trigger)))), Succeeded)
        assert reading == []
        said = caplog.text + "".join(capsys.readouterr())
        assert (
            f"connection {deferrable.conn_id!r} cannot be read at the moment: {type(error).__name__}" in said
        )
        assert "secret-backend-token" not in said

    def test_until_the_deadline(self, deferrable, reading):
        reading += [PermissionError("vault")] * 1000
        trigger = by_hand(deferrable, timeout=timedelta(seconds=1))
        outcome = only_event(asyncio.run(all_events(rebuilt(trigger))))
        assert isinstance(outcome, TimedOut)
        assert "PermissionError" in str(outcome)

    def test_that_is_never_answered(self, deferrable, reading, monkeypatch):
        reading += [None] * 1000
        monkeypatch.setattr(triggerer, "LONGEST_READ", 0.05)
        trigger = by_hand(deferrable, timeout=timedelta(seconds=0.5))
        assert isinstance(only_event(asyncio.run(all_events(rebuilt(trigger)))), TimedOut)

    async def test_while_a_person_edits_it(self, deferrable, reading):
        deferrable.add(SyncPlan(duration=1.5), succeeded_at=ago(hours=1))
        trigger = await asyncio.to_thread(deferred, deferrable, fivetran_retry_limit=1)
        waiting = asyncio.create_task(all_events(rebuilt(trigger)))
        await asyncio.sleep(0.5)
        deferrable.sim.add_key("new-key", "new-secret")
        deferrable.declare(login="new-key", password="")
        deferrable.sim.revoke("sim-key")
        await asyncio.sleep(0.5)
        deferrable.declare(login="new-key", password="new-secret")
        assert isinstance(only_event(await waiting), Succeeded)

    async def test_a_wait_that_ended_is_not_kept_for_the_key(self, deferrable):
        deferrable.add(ENDLESS)
        deferrable.sim.start_sync(ID)
        first, second = (
            by_hand(deferrable, aim=Aim.RUNNING, timeout=timedelta(seconds=s)) for s in (0.3, 30)
        )
        kept = weakref.ref(first)
        ending = asyncio.create_task(all_events(first))
        going = asyncio.create_task(all_events(second))
        del first
        await ending
        del ending
        gc.collect()
        assert kept() is None
        going.cancel()


class TestRestarts:
    def test_the_deadline_is_absolute(self, deferrable):
        deferrable.add(ENDLESS)
        deferrable.sim.start_sync(ID)
        trigger = by_hand(deferrable, aim=Aim.RUNNING, begun_at=ago(hours=2), timeout=timedelta(hours=1))
        started = time.monotonic()
        assert isinstance(only_event(asyncio.run(all_events(rebuilt(trigger)))), TimedOut)
        assert time.monotonic() - started < 2

    async def test_a_triggerer_that_restarts_goes_on_with_the_wait(self, deferrable):
        deferrable.add(SyncPlan(duration=1.2), succeeded_at=ago(hours=1))
        trigger = await asyncio.to_thread(deferred, deferrable)
        seen = asyncio.Event()
        loop = asyncio.get_running_loop()
        deferrable.heard.at("GET", CONNECTION, lambda: loop.call_soon_threadsafe(seen.set), nth=2)
        first = asyncio.create_task(all_events(rebuilt(trigger)))
        await seen.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        again = rebuilt(trigger)
        outcome = only_event(await all_events(again))
        assert isinstance(outcome, Succeeded)
        assert outcome.record.ended_at == deferrable.sim.runs(ID)[0].ended_at
        assert len(deferrable.sim.runs(ID)) == 1

    def test_a_triggerer_that_was_away_while_the_sync_ended(self, deferrable):
        deferrable.add(SyncPlan(duration=0.05), succeeded_at=ago(hours=1))
        trigger = deferred(deferrable)
        with deferrable.sim.account.lock:
            deferrable.sim.clock.advance(60)
        assert isinstance(only_event(asyncio.run(all_events(rebuilt(trigger)))), Succeeded)


class TestNeverInTheWay:
    async def test_the_loop_is_never_blocked_for_50_ms(self, deferrable):
        """A whole wait through faults of every kind, with others waiting on the same loop."""
        from airflow_provider_fivetran.transport import aio  # noqa: F401 - its import has a test of its own

        deferrable.sim.switches.update(history_lag=0.3)
        blocks = []
        while (
            len(blocks) < 3 and min(blocks, default=1) >= 0.05
        ):  # the machine may be busy with something else
            deferrable.add(SyncPlan(duration=1.5), succeeded_at=ago(hours=1))
            trigger = await asyncio.to_thread(deferred, deferrable)
            for kind in ("status", "reset", "lost", "html", "garbage", "wrong_shape", "huge"):
                deferrable.sim.faults.add(Fault(kind, "GET", CONNECTION, size_mb=2))
                deferrable.sim.faults.add(Fault(kind, "GET", HISTORY, size_mb=2))
            event, longest = await watched(all_events(rebuilt(trigger)))
            assert isinstance(only_event(event), Succeeded)
            # How often the history is asked depends on when the looks come.
            assert [fault.kind for fault in deferrable.sim.faults.waiting() if fault.path == CONNECTION] == []
            blocks.append(longest)
            deferrable.sim.delete(ID)
        assert min(blocks) < 0.05

    def test_the_first_import_is_not_made_on_the_loop(self, deferrable):
        """In a process of its own, as the first wait of a triggerer finds it."""
        deferrable.add(SyncPlan(duration=0.6), succeeded_at=ago(hours=1))
        trigger = deferred(deferrable)
        script = """
import asyncio, importlib, json, sys, threading
path, arguments = json.loads(sys.argv[1])
import airflow.jobs.triggerer_job_runner, airflow.providers.common.compat.connection
module, _, name = path.rpartition(".")
kind = getattr(importlib.import_module(module), name)
on_the_loop = []
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "aiohttp":
            on_the_loop.append(threading.current_thread() is threading.main_thread())
sys.meta_path.insert(0, Spy())
async def main():
    events = [event async for event in kind(**arguments).run()]
    print(json.dumps([on_the_loop, events[0].payload["verdict"]]))
asyncio.run(main())
"""
        out = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, json.dumps(trigger.serialize())],
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ),
        )
        assert out.returncode == 0, out.stderr
        on_the_loop, verdict = json.loads(out.stdout.strip().splitlines()[-1])
        assert verdict == "Succeeded"
        # Where Airflow itself has loaded aiohttp already, there is nothing to import.
        assert on_the_loop in ([False], [])

    async def test_nothing_is_left_behind(self, deferrable):
        deferrable.add(SyncPlan(duration=0.1))
        trigger = await asyncio.to_thread(deferred, deferrable)
        await all_events(rebuilt(trigger))
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def watched(work):
    """Do some work on the loop; give its result and the longest time for which the loop did nothing else."""
    gaps = []

    async def watch():
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - began)

    watching = asyncio.create_task(watch())
    try:
        return await work, max(gaps)
    finally:
        watching.cancel()


class TestSecrets:
    def test_they_are_in_no_log(self, deferrable, caplog, capsys):
        deferrable.add(BAD)
        with caplog.at_level(logging.DEBUG):
            trigger = deferred(deferrable)
            deferrable.sim.faults.add(Fault("reset", "GET", CONNECTION))
            deferrable.sim.faults.add(Fault("html", "GET", CONNECTION))
            events = asyncio.run(all_events(rebuilt(trigger)))
        said = caplog.text + json.dumps(events) + "".join(capsys.readouterr())
        assert not any(secret in said for secret in SECRETS)
