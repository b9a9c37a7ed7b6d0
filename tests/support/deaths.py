"""Running a task in processes that are killed at a chosen point, and started again as Airflow does.

Each visit to a worker is a process of its own, forked from this one. At its point it gets the signal that nothing
can catch. What the task left with Airflow, in files, is all that the next process has.
"""

from __future__ import annotations

import asyncio
import atexit
import faulthandler
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import requests
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_fivetran.core import triggering
from stories import TaskInstance, TaskStateStore, across_processes, all_events, eventually, execute, rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable

    from stories import Way

# Seconds that a visit, and an import of Airflow, may take before it counts as stuck.
LONGEST_VISIT, LONGEST_IMPORT = 40, 120
VISIT, XCOMS, STORE, OUTCOME, EXIT = "visit.pickle", "xcoms.json", "store.json", "outcome.pickle", "exit"


class Nursery:
    """A process that has imported Airflow, has no threads, and forks a process for each folder it is told of.

    (A lock that another thread holds at a fork stays locked in the child, so the tests' own process must not fork.)
    """

    def __init__(self) -> None:
        self._telling = threading.Lock()
        with TemporaryDirectory() as folder:
            ready = Path(folder) / "ready"
            self._process = subprocess.Popen(
                [sys.executable, "-c", "import sys, deaths; deaths.nurse(sys.argv[1])", str(ready)],
                stdin=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            atexit.register(self._end)
            eventually(ready.exists, seconds=LONGEST_IMPORT)

    def run(self, folder: Path) -> int:
        """Let a process carry out the visit in this folder; its exit code, or the signal that killed it, negative."""
        code = folder / EXIT
        code.unlink(missing_ok=True)
        with self._telling:
            assert self._process.stdin is not None
            self._process.stdin.write(f"{folder}\n")
            self._process.stdin.flush()
        eventually(code.exists, seconds=LONGEST_VISIT)
        return int(code.read_text())

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


_MAKING = threading.Lock()


def nursery() -> Nursery:
    """The one of this test run, also where stories that are told at once ask for it."""
    with _MAKING:
        return _nursery()


_nursery = cache(Nursery)


def nurse(ready: str) -> None:
    """Fork and reap until the last folder has been told of."""
    Path(ready).touch()
    at_work: dict[int, Path] = {}
    told = selectors.DefaultSelector()
    told.register(sys.stdin, selectors.EVENT_READ)
    while True:
        if told.select(timeout=0.02):
            lines = os.read(sys.stdin.fileno(), 65536).decode()  # each is written, and read, in one piece
            if not lines:  # nobody is left to hear of those at work
                for pid in at_work:
                    os.kill(pid, signal.SIGKILL)
                return
            for folder in map(Path, lines.split()):
                pid = os.fork()
                if pid == 0:
                    carry_out(folder)
                    os._exit(0)
                at_work[pid] = folder
        for pid in list(at_work):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                new = at_work[pid] / "new"
                new.write_text(str(os.waitstatus_to_exitcode(status)))
                new.rename(at_work.pop(pid) / EXIT)


class Points:
    """Counts what a process does to the outside; at the chosen point it is killed."""

    def __init__(self, die_at: int | None) -> None:
        self.passed = 0
        self._die_at = die_at

    def pass_one(self) -> None:
        self.passed += 1
        if self.passed == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """The same act, with a point before it and one after it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.pass_one()
            result = act(*args, **kwargs)
            self.pass_one()
            return result

        return watched


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a process needs for one visit to a worker."""

    kind: type
    arguments: dict[str, Any]
    environment: dict[str, str]
    looks: dict[str, Any]
    has_store: bool
    try_number: int
    max_tries: int
    die_at: int | None
    resumed: tuple[str, dict[str, Any]] | None
    """Name and arguments of the method that Airflow resumes; ``None``: it executes the task."""


@dataclass
class Life:
    """A task from its first try to its end.

    :ivar value: what it returned.
    :ivar error: the name of the error that ended it, if one did.
    :ivar points: how many points were passed in all.
    :ivar deaths: how often its process was killed.
    :ivar had_no_notes: when it was, nothing was noted in the store, yet or any more.
    """

    way: Way
    kind: type
    arguments: dict[str, Any]
    folder: Path
    has_store: bool = True
    looks: dict[str, Any] = field(default_factory=dict)
    """Constants of ``core.triggering`` to replace in each process."""
    value: Any = None
    error: str = ""
    points: int = 0
    deaths: int = 0
    had_no_notes: bool = False
    try_number: int = 1
    max_tries: int = 3

    def live(self, *, die_at: int | None = None, before_the_retry: Callable[[], Any] = lambda: None) -> Life:
        """Run the task to its end; kill its process once, at this point."""
        self.folder.mkdir()
        resumed: tuple[str, dict[str, Any]] | None = None
        while True:
            left = None if die_at is None or self.deaths else die_at - self.points
            outcome = self._in_a_process(resumed, left)
            if outcome is None:
                self.deaths += 1
                self.points += left or 0
                self.try_number += 1
                store = self.folder / STORE
                self.had_no_notes = not store.exists() or json.loads(store.read_text()) == {}
                (self.folder / XCOMS).unlink(missing_ok=True)  # as Airflow clears them
                before_the_retry()
                resumed = None
                continue
            self.points += outcome["points"]
            if "deferral" not in outcome:
                self.value, self.error = outcome["value"], outcome["error"]
                return self
            resumed = self._wait_in_the_triggerer(*outcome["deferral"])

    @staticmethod
    def _wait_in_the_triggerer(trigger: Frozen, method: str, kwargs: Any) -> tuple[str, dict[str, Any]]:
        [event] = asyncio.run(all_events(rebuilt(trigger)))
        return method, across_processes({**(kwargs or {}), "event": event})

    def _in_a_process(self, resumed: tuple[str, dict[str, Any]] | None, die_at: int | None) -> Any:
        """What a visit led to; ``None``: it was killed."""
        visit = Visit(
            kind=self.kind,
            arguments=self.way.arguments(self.kind, **self.arguments),
            environment={self.way.variable: os.environ[self.way.variable]},
            looks=self.looks,
            has_store=self.has_store,
            try_number=self.try_number,
            max_tries=self.max_tries,
            die_at=die_at,
            resumed=resumed,
        )
        (self.folder / VISIT).write_bytes(pickle.dumps(visit))
        code = nursery().run(self.folder)
        if code == -signal.SIGKILL:
            return None
        assert code == 0, f"a visit is broken, after {self.points} points"
        return pickle.loads((self.folder / OUTCOME).read_bytes())


def carry_out(folder: Path) -> None:
    """In a process of its own: one visit to a worker."""
    visit: Visit = pickle.loads((folder / VISIT).read_bytes())
    faulthandler.dump_traceback_later(LONGEST_VISIT - 5)  # what a visit that is stuck was doing
    os.environ.update(visit.environment)
    vars(triggering).update(visit.looks)
    points = Points(visit.die_at)
    requests.Session.send = points.around(requests.Session.send)  # type: ignore[method-assign]
    ti = TaskInstance()
    ti.try_number, ti.max_tries = visit.try_number, visit.max_tries
    xcoms = TaskStateStore(folder / XCOMS)
    ti.xcom_push = points.around(xcoms.set)  # type: ignore[method-assign]
    ti.xcom_pull = lambda *, key, **_: xcoms.get(key)  # type: ignore[method-assign]
    context: dict[str, Any] = {"ti": ti, "task_instance": ti}
    if visit.has_store:
        store = TaskStateStore(folder / STORE)
        for name in ("set", "delete"):
            setattr(store, name, points.around(getattr(store, name)))
        context["task_state_store"] = store
    task = visit.kind(**visit.arguments)
    outcome: dict[str, Any] = {"value": None, "error": ""}
    try:
        if visit.resumed is None:
            outcome["value"] = execute(task, context)
        else:
            outcome["value"] = task.resume_execution(*visit.resumed, context)
    except TaskDeferred as left:
        outcome["deferral"] = (Frozen(left.trigger.serialize()), left.method_name, left.kwargs)
    except Exception as error:  # noqa: BLE001 - what it is, is what the tests look at
        cause = error.__cause__ if isinstance(error, AirflowFailException) else error
        outcome["error"] = f"{type(cause).__name__}: {cause}"
    points.pass_one()
    (folder / OUTCOME).write_bytes(pickle.dumps(outcome | {"points": points.passed}))


@dataclass(frozen=True)
class Frozen:
    """A trigger as Airflow stores it."""

    serialized: tuple[str, dict[str, Any]]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return self.serialized
