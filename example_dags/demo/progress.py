"""Say what happens while it happens: a line for each change of a task, and what is waited for since when."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from airflow_server import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_server import Airflow

QUIET = {None, "scheduled", "queued"}  # on their way; nothing to tell
ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
REPEAT_AFTER = 5.0  # seconds between two lines about the same wait, where a line cannot be rewritten
LONGEST_SILENCE = 20.0  # seconds for which Airflow may leave its own API unanswered under load


def line(name: str, state: str, remark: str = "") -> str:
    """Who, what became of it, and a word about that, in columns."""
    return f"{name:<30} {state:<9} {remark}".rstrip()


class Progress:
    """Print lines that begin with the time since the demo began."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._rewrites = sys.stdout.isatty()
        self._unfinished = False

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        self._finish_line()
        self._write(f"{self._clock()} {text}\n")

    def say_again(self, text: str) -> None:
        """Say how a wait goes on, in place of what was last said about it if that is possible."""
        if self._rewrites:
            self._write(f"\r\033[K{self._clock()} {text}")
            self._unfinished = True
        else:
            self.say(text)

    def plain(self, text: str = "") -> None:
        self._finish_line()
        self._write(f"{text}\n")

    def _finish_line(self) -> None:
        if self._unfinished:
            self._write("\r\033[K")
            self._unfinished = False

    def _clock(self) -> str:
        minutes, seconds = divmod(int(self.seconds()), 60)
        return f"{minutes:02d}:{seconds:02d}"

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class Follower:
    """Watch one run of a DAG until it has ended."""

    def __init__(self, airflow: Airflow, dag_id: str, run_id: str, progress: Progress) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._run_id = run_id
        self._progress = progress
        self._states: dict[tuple[str, int], str | None] = {}
        self._since: dict[tuple[str, int], float] = {}
        self._first: dict[tuple[str, int], float] = {}
        self._last_repeat = 0.0
        self._answered = time.monotonic()
        self.deferred: set[str] = set()

    def follow(self, deadline: float | None, check: Callable[[], None]) -> tuple[str, list[dict[str, Any]]]:
        """Return how the run ended and its tasks.

        :raises NotReadyError: at the deadline, naming what was still waited for.
        """
        while True:
            check()
            state, tasks = self._look()
            for task in tasks:
                self._tell(task)
            if state in ("success", "failed"):
                return state, tasks
            self._tell_waiting(tasks)
            if deadline is not None and time.monotonic() > deadline:
                raise NotReadyError(f"The time limit has passed. {self._whats_left(tasks)}")
            time.sleep(0.5)

    def _look(self) -> tuple[str, list[dict[str, Any]]]:
        try:
            state = self._airflow.run_state(self._dag_id, self._run_id)
            tasks = self._airflow.tasks(self._dag_id, self._run_id)
        except NotReadyError:
            if time.monotonic() - self._answered > LONGEST_SILENCE:
                raise
            return "unknown", []
        self._answered = time.monotonic()
        return state, tasks

    def _tell(self, task: dict[str, Any]) -> None:
        key, state = _key(task), task["state"]
        if state in QUIET or self._states.get(key) == state:
            return
        now = time.monotonic()
        self._states[key], self._since[key] = state, now
        self._first.setdefault(key, now)
        self._last_repeat = now
        if state == "deferred":
            self.deferred.add(task["task_id"])
        self._progress.say(_line(task, self._remark(task)))

    def _tell_waiting(self, tasks: list[dict[str, Any]]) -> None:
        waiting = [task for task in tasks if task["state"] == "deferred"]
        now = time.monotonic()
        if waiting and now - self._last_repeat >= (1.0 if sys.stdout.isatty() else REPEAT_AFTER):
            self._last_repeat = now
            oldest = min(waiting, key=lambda task: self._since[_key(task)])
            self._progress.say_again(_line(oldest, self._remark(oldest)))

    def _remark(self, task: dict[str, Any]) -> str:
        state = task["state"]
        if state == "deferred":
            waited = time.monotonic() - self._since[_key(task)]
            since = f", {waited:.0f} s" if waited >= 1 else ""
            return f"waiting for Fivetran's sync of {_connection(task)}{since}"
        if state == "running" and task["task_id"] in self.deferred:
            return "Fivetran's sync has ended"
        if state in ("success", "failed"):
            return f"after {time.monotonic() - self._first[_key(task)]:.0f} s"
        return ""

    def _whats_left(self, tasks: list[dict[str, Any]]) -> str:
        left = [_line(task, self._remark(task)) for task in tasks if task["state"] not in ENDED | QUIET]
        return "Still under way:\n" + "\n".join(f"    {each}" for each in left) if left else ""


def _key(task: dict[str, Any]) -> tuple[str, int]:
    return task["task_id"], task["map_index"]


def _line(task: dict[str, Any], remark: str) -> str:
    name = task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else "")
    return line(name, task["state"], remark)


def _connection(task: dict[str, Any]) -> str:
    fields = task.get("rendered_fields") or {}
    return str(fields.get("connector_id") or fields.get("connector_name") or "the connection")
