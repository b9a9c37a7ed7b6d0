"""Ending a task as a person or Airflow does, in the triggerer or in a worker."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import suppress
from types import SimpleNamespace

from stories import TaskInstance, TaskStateStore

# What the triggerer of Airflow 3.3.2 does with a trigger that a person's action removed, on each of its rounds.
USER_ACTION = "__airflow_user_action__"
ROUND = 0.05
THE_TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="task", map_index=-1, try_number=1)


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


class KilledInstance(TaskInstance):
    """The task instance of a worker that is being ended, on Airflow 3.

    :param state: what Airflow's database says of the task; an error: how it fails to; a number: how many seconds
        it takes for that.
    """

    def __init__(self, state, *, retries=0):
        super().__init__()
        self.max_tries = retries
        self._state = state

    def get_task_states(self, *, dag_id, run_ids, task_ids, map_index):
        assert (dag_id, run_ids, task_ids, map_index) == (self.dag_id, [self.run_id], [self.task_id], -1)
        if isinstance(self._state, Exception):
            raise self._state
        if isinstance(self._state, float):
            threading.Event().wait(self._state)
        return {self.run_id: {self.task_id: self._state}}


class Store(TaskStateStore):
    """Kept for as long as a test."""

    def __init__(self):
        self._kept = {}

    def _read(self):
        return self._kept

    def _write(self, kept):
        self._kept = kept
