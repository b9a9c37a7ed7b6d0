"""A task that syncs many connections, from worker to triggerer and back, without the pauses that Airflow needs."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_fivetran import trigger_many
from airflow_provider_fivetran.core import setbacks
from airflow_provider_fivetran.operators import FivetranSyncManyOperator
from airflow_provider_fivetran.simulator import SyncPlan
from stories import Story, TaskInstance, TaskStateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stories import Way

WELL = SyncPlan(duration=0.3)
BADLY = SyncPlan(duration=0.3, outcome="failure", reason="the source is locked")
ENDLESS = SyncPlan(duration=3600)


@contextmanager
def hurried() -> Iterator[None]:
    """Let a task come back to a worker at once, and not after a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trigger_many, "SETTLE", timedelta(0))
        patch.setattr(trigger_many, "LINGER", timedelta(seconds=0.1))
        patch.setattr(trigger_many, "GATHER", timedelta(seconds=0.3))
        patch.setattr(setbacks, "COME_BACK", timedelta(seconds=0.3))
        yield


def add(way: Way, *names: str, plan: SyncPlan = WELL, **fields: Any) -> None:
    """Put connections into the simulated account."""
    for name in names:
        way.sim.add_connection(name, default_plan=plan, **fields)


def runs(way: Way, name: str) -> list[str]:
    """How each sync of a connection that was triggered has ended, or that it runs."""
    return [run.status for run in way.sim.accepted(name)]


class Store(TaskStateStore):
    """Kept for as long as a test; a process can die when it is about to note something."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.retentions: dict[str, timedelta | None] = {}
        self.dies_before: Callable[[str, Any], bool] = lambda _key, _value: False
        self.broken = False

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if self.broken:
            raise RuntimeError("this process was given up")
        if self.dies_before(key, value):
            raise DiedError
        self.retentions[key] = retention
        super().set(key, value, retention=retention)

    def _read(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.kept))

    def _write(self, kept: dict[str, Any]) -> None:
        self.kept = kept


class DiedError(BaseException):
    """The process is gone, and nothing of it is carried out any more."""


class ManyTask:
    """A task of a DAG run, try after try.

    :param arguments: of the operator.
    """

    def __init__(self, way: Way, *, has_store: bool = True, **arguments: Any) -> None:
        self.way = way
        self.store = Store() if has_store else None
        self.arguments = {"retries": 2, "poll_frequency": 0.1, "fivetran_retry_delay": 0.01} | arguments
        self.ti = TaskInstance()
        self.ti.max_tries = 2

    @property
    def context(self) -> dict[str, Any]:
        kept = {"task_state_store": self.store} if self.store is not None else {}
        return {"ti": self.ti, "task_instance": self.ti, **kept}

    def make(self) -> FivetranSyncManyOperator:
        return FivetranSyncManyOperator(task_id="task", fivetran_conn_id=self.way.conn_id, **self.arguments)

    def lives(self) -> Story:
        """A try that comes to its end, whatever that is."""
        kept = {"task_state_store": self.store} if self.store is not None else {}
        return self.way.tell(Story(self.way, self.ti), self.make, **kept)

    def retried(self) -> ManyTask:
        self.ti.try_number += 1
        self.ti.pushed.clear()
        return self

    def cleared(self) -> ManyTask:
        self.ti.max_tries = self.ti.try_number + 2
        return self.retried()


def statuses(story: Story) -> dict[str, str]:
    """By connection, from the XCom."""
    return {each["connection_id"]: each["status"] for each in story.xcom("fivetran_syncs")["connections"]}
