"""A task of a DAG run over all its tries, and what Airflow 3.3 keeps for it from one to the next."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_fivetran.operators import FivetranOperator
from stories import CONNECTION, Story, TaskInstance, TaskStateStore, all_events, execute, rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable

    from stories import Way

# The request that pauses a connection, unpauses it or changes its schedule.
CHANGE = ("PATCH", CONNECTION)


class Died(BaseException):
    """The process is gone, and nothing of it is carried out any more."""


class Store(TaskStateStore):
    """A task state store that can be out of order, and at which a process can die."""

    def __init__(self) -> None:
        self._text = "{}"
        self.broken: set[str] = set()
        self.dies_before: Callable[[Any], bool] = lambda memo: False
        """Whether the process dies when it is about to note this."""

    def get(self, key: str, default: Any = None) -> Any:
        self._check("get")
        return super().get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._check("set")
        if self.dies_before(value["memo"]):
            raise Died
        super().set(key, value, retention=retention)

    def delete(self, key: str) -> None:
        self._check("delete")
        super().delete(key)

    def _check(self, what: str) -> None:
        if what in self.broken:
            raise RuntimeError(f"no {what} today")

    def _read(self) -> dict[str, Any]:
        return json.loads(self._text)

    def _write(self, kept: dict[str, Any]) -> None:
        self._text = json.dumps(kept)

    @property
    def memo(self) -> Any:
        """What is noted of the only task."""
        noted = list(self._read().values())
        return noted[0]["memo"] if noted else None

    def amend(self, change: Callable[[Any], object]) -> None:
        kept = self._read()
        for note in kept.values():
            change(note["memo"])
        self._write(kept)


class Task:
    """A task, try after try.

    :param arguments: of the operator, as the DAG file has them; ``retries`` too.
    """

    def __init__(self, way: Way, kind: type = FivetranOperator, **arguments: Any) -> None:
        self._way, self._kind = way, kind
        self.arguments = {"retries": 2} | arguments
        self.store = Store()
        self.ti = TaskInstance()
        self.ti.max_tries = self.arguments["retries"]

    @property
    def context(self) -> dict[str, Any]:
        return {"ti": self.ti, "task_instance": self.ti, "task_state_store": self.store}

    def make(self) -> Any:
        return self._way.make(self._kind, **self.arguments)

    def lives(self) -> Story:
        """A try that comes to its end, whatever that is."""
        return self._way.tell(Story(self._way, self.ti), self.make, task_state_store=self.store)

    def dies(self, *, before: Callable[[Any], bool] | None = None) -> TaskDeferred | None:
        """A try that is not heard of again once it waits, or when it is about to note something.

        :return: its deferral, unless it has died before.
        """
        task = self.make()
        task.deferrable = True
        self.store.dies_before = before or (lambda memo: False)
        try:
            with pytest.raises((TaskDeferred, Died)) as caught:
                execute(task, self.context)
        finally:
            self.store.dies_before = lambda memo: False
        return caught.value if isinstance(caught.value, TaskDeferred) else None

    def deferred(self) -> Any:
        """A try up to the event of its trigger."""
        deferral = self.dies()
        assert deferral is not None
        [event] = asyncio.run(all_events(rebuilt(deferral.trigger)))
        return event

    def resumed(self, event: object) -> Any:
        """What follows that event, up to the next deferral if there is one."""
        return self.make().resume_execution("execute_complete", {"event": event}, self.context)

    def resumed_without_an_event(self, error: str) -> Any:
        """What follows when the trigger has died or was late."""
        return self.make().resume_execution("__fail__", {"error": error}, self.context)

    def retried(self) -> Task:
        self._next_try()
        return self

    def cleared(self, **changed: Any) -> Task:
        """Airflow lets a task that was cleared have as many tries more as it has retries.

        :param changed: arguments that the DAG file has now.
        """
        self.arguments |= changed
        self.ti.max_tries = self.ti.try_number + self.arguments["retries"]
        self._next_try()
        return self

    def _next_try(self) -> None:
        self.ti.try_number += 1
        self.ti.pushed.clear()
