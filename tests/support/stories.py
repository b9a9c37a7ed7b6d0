"""Running one task the way Airflow does, in each of its modes, and telling afterwards what happened.

Nothing of Airflow is replaced but the task instance, which only keeps XComs. Each stage of a task runs in an
operator made anew, as it would in another process, and all that crosses a process boundary is serialized with
Airflow's own code and read back.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import AirflowFailException, BaseSensorOperator, TaskDeferred

from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
from airflow_provider_fivetran.sensors import FivetranSensor
from airflow_provider_fivetran.simulator import SyncPlan

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from pathlib import Path

    from airflow.triggers.base import BaseTrigger, StartTriggerArgs

    from airflow_provider_fivetran.simulator import Request, Run, Simulator

try:  # Airflow 3
    from airflow.sdk.bases.operator import ExecutorSafeguard

    CALLED_BY_AIRFLOW = ExecutorSafeguard.sentinel_value
    IS_AIRFLOW_2 = False
except ImportError:
    from airflow.models.base import _sentinel as CALLED_BY_AIRFLOW  # noqa: N812

    IS_AIRFLOW_2 = True
try:  # Airflow 3.2 and newer
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:
    from airflow.exceptions import AirflowRescheduleException

ENCRYPT = getattr(Trigger, "encrypt_kwargs", None) or Trigger._encrypt_kwargs  # the latter before Airflow 3
ID = "c"
CONNECTION = rf"/v1/connections/{ID}$"
HISTORY = r"/sync-history$"
SYNC = r"/sync$"
QUICK = {"poll_frequency": 0.1, "fivetran_retry_delay": 0.05}


class Eavesdropper(list):
    """The simulator's log of requests, which can act on what it hears, before the answer goes out."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: list[Callable[[Request], None]] = []

    def append(self, request: Request) -> None:
        super().append(request)
        for rule in list(self._rules):
            rule(request)

    def clear(self) -> None:
        super().clear()
        self._rules.clear()

    def at(self, method: str, path: str, do: Callable[[], Any], *, nth: int = 1) -> None:
        """Do something at the ``nth`` request like this from now on."""
        left = [nth]

        def rule(request: Request) -> None:
            if request.method == method and re.search(path, request.path):
                left[0] -= 1
                if left[0] == 0:
                    do()

        self._rules.append(rule)


class TaskStateStore:
    """What Airflow 3.3 keeps for a task through all its tries: JSON, in a file, so that it outlives a process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str, default: Any = None) -> Any:
        return self._read().get(key, default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self._write(self._read() | {key: value})

    def delete(self, key: str) -> None:
        kept = self._read()
        kept.pop(key, None)
        self._write(kept)

    def _read(self) -> dict[str, Any]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def _write(self, kept: dict[str, Any]) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(kept))
        new.replace(self._path)


class TaskInstance:
    """Keeps what a task pushes, as JSON, and nothing else."""

    def __init__(self, task_id: str = "task") -> None:
        self.task_id = task_id
        self.dag_id, self.run_id, self.map_index = "dag", uuid4().hex, -1
        self.try_number, self.max_tries = 1, 0
        self.pushed: dict[str, str] = {}
        # What the task has left in the run before.
        self.before: dict[str, str] = {}
        self.rescheduled_at: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.dumps(value)

    def xcom_pull(
        self,
        *,
        task_ids: str,
        key: str,
        map_indexes: int = -1,
        include_prior_dates: bool = False,
        run_id: str | None = None,
    ) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        is_before = include_prior_dates or run_id not in {None, self.run_id}
        there = self.before | self.pushed if is_before else self.pushed
        return json.loads(there[key]) if key in there else None

    def is_rescheduled(self, began: datetime, until: datetime) -> None:
        """Airflow ends the process, clears the XComs and starts the task again at that time."""
        self.pushed.clear()
        self.rescheduled_at = self.rescheduled_at or datetime.now(UTC)
        if IS_AIRFLOW_2:
            self._remember_in_the_database(began, until)
        threading.Event().wait(max(0.0, (until - datetime.now(UTC)).total_seconds()))

    def _remember_in_the_database(self, began: datetime, until: datetime) -> None:
        from airflow.models import TaskReschedule
        from airflow.utils.session import create_session
        from sqlalchemy import text

        with create_session() as session:
            session.execute(text("PRAGMA foreign_keys=OFF"))  # there is no row for the task instance
            names = {"task_id": self.task_id, "dag_id": self.dag_id, "run_id": self.run_id, "try_number": 1}
            session.add(
                TaskReschedule(**names, start_date=began, end_date=datetime.now(UTC), reschedule_date=until)
            )

    if not IS_AIRFLOW_2:

        def get_first_reschedule_date(self, context: Any) -> datetime | None:
            return self.rescheduled_at


def eventually(is_so: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait until something is so."""
    limit = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.02)


def across_processes(arguments: dict[str, Any]) -> dict[str, Any]:
    """Write arguments as JSON and as Airflow stores those of a trigger, and read them back."""
    by_json = json.loads(json.dumps(arguments))
    by_airflow = Trigger._decrypt_kwargs(ENCRYPT(arguments))
    assert by_json == arguments
    assert by_airflow == arguments
    return by_airflow


def rebuilt(trigger: BaseTrigger) -> BaseTrigger:
    """The trigger as another process makes it: from its import path and its arguments."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**across_processes(arguments))


def as_scheduled(args: StartTriggerArgs, ti: TaskInstance, began: datetime | None = None) -> BaseTrigger:
    """The trigger of a task that begins in the triggerer: by way of the serialized DAG and the scheduler."""
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
    from airflow.serialization.serialized_objects import (
        _decode_start_trigger_args,
        _encode_start_trigger_args,
    )

    args = _decode_start_trigger_args(json.loads(json.dumps(_encode_start_trigger_args(args))))
    row = Trigger(classpath=args.trigger_cls, kwargs=args.trigger_kwargs or {})
    kept = Trigger._decrypt_kwargs(row.encrypted_kwargs)
    module, _, name = args.trigger_cls.rpartition(".")
    decoded = {name: smart_decode_trigger_kwargs(value) for name, value in kept.items()}
    trigger = getattr(importlib.import_module(module), name)(**decoded)
    trigger.task_instance = ti
    assert args.timeout is not None
    trigger.timeout_after = (began or datetime.now(UTC)) + args.timeout
    return trigger


class Supervisor:
    """What stands between a task or a trigger and Airflow (3): of its requests it knows those about XComs."""

    def __init__(self, ti: TaskInstance) -> None:
        self._ti = ti
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from airflow.sdk.execution_time.supervisor import set_supervisor_comms

        self._stack.enter_context(set_supervisor_comms(self))
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def send(self, message: Any) -> Any:
        from airflow.sdk.execution_time.comms import XComResult

        kind = type(message).__name__
        if kind in {"SetXCom", "GetXCom", "DeleteXCom"}:
            assert (message.dag_id, message.run_id) == (self._ti.dag_id, self._ti.run_id)
            assert (message.task_id, message.map_index) == (self._ti.task_id, self._ti.map_index)
        if kind == "SetXCom":
            self._ti.xcom_push(message.key, message.value)
        elif kind == "DeleteXCom":
            self._ti.pushed.pop(message.key, None)
        elif kind == "GetXCom":
            return XComResult(key=message.key, value=self._ti.pushed.get(message.key))
        return None

    async def asend(self, message: Any) -> Any:
        return self.send(message)


def execute(task: Any, context: dict[str, Any]) -> Any:
    """Begin a task, as Airflow's task runner does."""
    return task.execute(context, **{f"{type(task).__name__}__sentinel": CALLED_BY_AIRFLOW})


async def all_events(trigger: BaseTrigger) -> list[Any]:
    return [event.payload async for event in trigger.run()]


@dataclass
class Story:
    """What became of a task."""

    way: Way
    ti: TaskInstance = field(default_factory=TaskInstance)
    value: Any = None
    error: BaseException | None = None
    deferrals: list[TaskDeferred] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    @property
    def sim(self) -> Simulator:
        return self.way.sim

    @property
    def record(self) -> dict[str, Any] | None:
        return self.xcom("fivetran_sync")

    def xcom(self, key: str) -> Any:
        return json.loads(self.ti.pushed[key]) if key in self.ti.pushed else None

    def sent(self, method: str | None = None, path: str | None = None) -> list[Request]:
        return [
            request
            for request in self.requests
            if (method is None or request.method == method)
            and (path is None or re.search(path, request.path))
        ]

    @property
    def triggers(self) -> list[Request]:
        return self.sent("POST", r"/(sync|resync)$")

    @property
    def cause(self) -> BaseException | None:
        """The error as this provider means it."""
        return self.error.__cause__ if isinstance(self.error, AirflowFailException) else self.error

    def ended_well(self, run: Run | None = None) -> Story:
        """It is green, and by the simulator's own record that is right: the awaited run (the last) ended well."""
        if self.error is not None:
            raise AssertionError(f"{self.way.name}: it failed") from self.error
        truth = run or self.sim.runs(ID)[-1]
        assert truth.status == "COMPLETED"
        assert isinstance(self.value, str)
        assert datetime.fromisoformat(self.value) == truth.ended_at
        assert datetime.fromisoformat(self.value).tzinfo is not None
        assert self.record is not None
        assert self.record["status"] == "succeeded"
        assert self.record["ended_at"] == self.value
        assert self.record["connection_id"] == ID
        assert ID in self.record["link"]
        return self

    def failed(self, kind: type[BaseException], *texts: str, status: str | None = None) -> Story:
        """It is red for this reason, says so, and left a record if there was anything to record."""
        assert self.error is not None, f"{self.way.name}: it is green"
        is_right = isinstance(self.cause, kind)
        if not is_right:
            raise AssertionError(f"{self.way.name}: wrong error {self.error!r}") from self.error
        assert isinstance(self.error, AirflowFailException) == getattr(kind, "permanent", False)
        for text in texts:
            assert text in str(self.error)
        if status is not None:
            assert self.record is not None
            assert self.record["status"] == status
        return self

    def gist(self) -> tuple[Any, ...]:
        """All that must not depend on the way it was run."""
        record = self.record or {}
        return (
            type(self.error).__name__,
            type(self.cause).__name__,
            type(self.value).__name__,
            record.get("status"),
            # The ways run on accounts of their own, whose times need not agree to the second.
            re.sub(r"[-\d]+ [:\d]+ UTC", "a time", record.get("reason") or ""),
            record.get("volume_mb"),
            (record.get("sync_id") is not None, record.get("ended_at") is not None),
            [
                (request.method, request.path, json.dumps(request.body))
                for request in self.requests
                if request.method != "GET"
            ],
            [run.status for run in self.sim.accepted(ID)],
            "fivetran_link" in self.ti.pushed,
        )


@dataclass
class Way:
    """One way to run a task, on an account of its own."""

    name: str
    sim: Simulator
    conn_id: str
    deferrable: bool

    @property
    def heard(self) -> Eavesdropper:
        return self.sim.requests  # type: ignore[return-value]

    def add(self, *plans: SyncPlan, **fields: Any) -> None:
        """Add the connection; its syncs follow the plans, and then go on like the last of them."""
        fields.setdefault("default_plan", plans[-1] if plans else SyncPlan(duration=0.3))
        fields.setdefault("schema", "shop")
        self.sim.add_connection(ID, plans=plans, **fields)

    @property
    def variable(self) -> str:
        return f"AIRFLOW_CONN_{self.conn_id.upper()}"

    def declare(self, **fields: Any) -> None:
        """Declare the Airflow connection in the environment, as users do."""
        usual = {"conn_type": "fivetran", "login": "sim-key", "password": "sim-secret", "host": self.sim.url}
        os.environ[self.variable] = json.dumps(usual | fields)

    def impatient(self, seconds: float) -> None:
        """Let the Airflow connection give Fivetran only so long for an answer."""
        self.declare(extra={"timeout": seconds})

    def make(self, kind: type, **arguments: Any) -> Any:
        return kind(**self.arguments(kind, **arguments))

    def arguments(self, kind: type, **arguments: Any) -> dict[str, Any]:
        """What to make a task with, so that it belongs to this way and loses no time."""
        given = {"task_id": "task", "fivetran_conn_id": self.conn_id, "deferrable": self.deferrable}
        if issubclass(kind, BaseSensorOperator):
            given |= {"poke_interval": 0.1, "fivetran_retry_delay": 0.05, "timeout": 20}
        else:
            given |= QUICK
        named = "transformation" if "Transformation" in kind.__name__ else "connector"
        if f"{named}_name" not in arguments:
            given[f"{named}_id"] = ID
        if issubclass(kind, FivetranResyncOperator) and arguments.get("scope") is None:
            given["confirm"] = arguments.get("connector_id", ID)
        return given | arguments

    def sync(self, **arguments: Any) -> Story:
        return self.run(FivetranOperator, **arguments)

    def resync(self, **arguments: Any) -> Story:
        return self.run(FivetranResyncOperator, **arguments)

    def sense(self, **arguments: Any) -> Story:
        return self.run(FivetranSensor, **arguments)

    def run(self, kind: type, **arguments: Any) -> Story:
        """Run a task to its end, whatever that is."""
        return self.tell(Story(self), lambda: self.make(kind, **arguments))

    def tell(self, story: Story, make: Callable[[], Any], **more: Any) -> Story:
        """Run a task, made anew for each of its stages, to its end.

        :param more: what Airflow puts into the context besides.
        """
        before = len(self.heard)
        context = {"ti": story.ti, "task_instance": story.ti, **more}

        def begin() -> Any:
            task = make()
            if task.start_trigger_args is None:
                return execute(task, context)
            name, given = self._begin_in_the_triggerer(story, task.start_trigger_args)
            return make().resume_execution(name, given, context)

        step: Callable[[], Any] | None = begin
        try:
            while step is not None:
                began = datetime.now(UTC)
                try:
                    story.value = step()
                    step = None
                except TaskDeferred as deferral:
                    name, given = self._wait_in_the_triggerer(story, deferral)
                    step = lambda: make().resume_execution(name, given, context)  # noqa: B023, E731
                except AirflowRescheduleException as later:
                    story.ti.is_rescheduled(began, later.reschedule_date)
        except Exception as error:  # noqa: BLE001 - what it is, is what the tests look at
            story.error = error
        story.requests = list(self.heard)[before:]
        return story

    @staticmethod
    def _begin_in_the_triggerer(story: Story, args: StartTriggerArgs) -> tuple[str, dict[str, Any]]:
        """As the scheduler of Airflow 3.3 does with a task that needs no worker for that."""
        with Supervisor(story.ti):
            events = asyncio.run(all_events(as_scheduled(args, story.ti)))
        assert len(events) == 1
        story.events += events
        return args.next_method, across_processes({**(args.next_kwargs or {}), "event": events[0]})

    @staticmethod
    def _wait_in_the_triggerer(story: Story, deferral: TaskDeferred) -> tuple[str, dict[str, Any]]:
        story.deferrals.append(deferral)
        events = asyncio.run(all_events(rebuilt(deferral.trigger)))
        assert len(events) == 1
        story.events += events
        return deferral.method_name, across_processes({**(deferral.kwargs or {}), "event": events[0]})
