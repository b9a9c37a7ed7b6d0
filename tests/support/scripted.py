"""Drives the procedures of the core with scripted answers and a clock that jumps over every pause."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_fivetran.core.protocol import Answer, Call, Page
from airflow_provider_fivetran.core.schema_config import SchemaConfig
from airflow_provider_fivetran.core.steps import Look, Note, Pause, Procedure
from facts import T0

MOST_STEPS = 40_000
NO_SCHEMAS = SchemaConfig(schemas=())


class Fivetran:
    """Answers calls by script.

    A script is a list, of which each call takes the next item and the last item stays; or one item for all. An
    item is a value, an exception, or a function of the present time that gives or raises one. Each call takes
    ``latency``; Fivetran's clock is ``ahead`` of ours.
    """

    def __init__(
        self,
        *,
        look: Any = None,
        history: Any = (),
        sync: Any = None,
        resync: Any = None,
        change: Any = None,
        test: Any = None,
        run: Any = None,
        cancel: Any = None,
        find: Any = (),
        create: Any = None,
        delete: Any = None,
        kind: Any = None,
        schemas: Any = NO_SCHEMAS,
        reload: Any = None,
        columns: Any = (),
        prepare: Any = NO_SCHEMAS,
        latency: float = 0.1,
        ahead: timedelta | None = timedelta(0),
        now: datetime = T0,
    ) -> None:
        self._scripts = {
            name: list(script) if isinstance(script, list) else [script]
            for name, script in {
                "look": look,
                "sync-history": history,
                "sync": sync,
                "resync": resync,
                "change": change,
                "test": test,
                "run": run,
                "cancel": cancel,
                "schemas": schemas,
                "find": find,
                "create": create,
                "delete": delete,
                "kind": kind,
                "reload": reload,
                "columns": columns,
                "prepare": prepare,
            }.items()
        }
        self._latency = timedelta(seconds=latency)
        self._ahead = ahead
        self.now = now
        self.requests: list[str] = []
        self.asked_at: list[datetime] = []
        self.pauses: list[float] = []
        self.taken: list[Pause] = []
        self.notes: list[Note] = []

    def clock(self) -> datetime:
        return self.now

    @property
    def warnings(self) -> list[str]:
        return [note.text for note in self.notes if note.is_warning]

    @property
    def said(self) -> list[str]:
        return [note.text for note in self.notes]

    def drive(self, procedure: Procedure[Any]) -> Any:
        """Carry out a procedure until it returns or raises."""
        reply: Any = None
        try:
            for _ in range(MOST_STEPS):
                step = procedure.throw(reply) if isinstance(reply, Exception) else procedure.send(reply)
                reply = self._carry_out(step)
        except StopIteration as end:
            return end.value
        raise AssertionError(f"the procedure did not end within {MOST_STEPS} steps")

    def _carry_out(self, step: Any) -> Any:
        if isinstance(step, Note):
            self.notes.append(step)
            return None
        if isinstance(step, Pause):
            self.taken.append(step)
            self.pauses.append((step.until - self.now).total_seconds())
            self.now = max(self.now, step.until)
            return None
        return self._answer(step.call if isinstance(step, Look) else step)

    def _answer(self, call: Call[Any]) -> Any:
        self.requests.append(described(call))
        self.asked_at.append(self.now)
        script = self._scripts[_kind(call)]
        item = script.pop(0) if len(script) > 1 else script[0]
        self.now += self._latency
        value = item(self.now) if isinstance(item, Callable) else item
        if isinstance(value, Exception):
            return value
        if _kind(call) in {"sync-history", "find"} and isinstance(value, Sequence):
            value = Page(tuple(value), None)
        ours = None if self._ahead is None else (self.now + self._ahead).replace(microsecond=0)
        return Answer(value, server_time=ours)


def described(call: Call[Any]) -> str:
    """A call as one line: the method, the path from the connection or transformation on, and the body."""
    where = call.path.removeprefix("/v1/connections/").removeprefix("/v1/transformations/")
    return f"{call.method} {where}" + (
        "" if call.body is None else f" {json.dumps(call.body, sort_keys=True)}"
    )


def _kind(call: Call[Any]) -> str:
    if call.method in {"PATCH", "DELETE"}:
        return "change" if call.method == "PATCH" else "delete"
    if call.path == "/v1/connections":
        return "create" if call.method == "POST" else "find"
    if "connector-types" in call.path:
        return "kind"
    last = call.path.rpartition("/")[2]
    if call.method == "POST" and last == "schemas":
        return "prepare"
    known = {"sync", "resync", "test", "sync-history", "schemas", "reload", "columns", "run", "cancel"}
    return last if last in known else "look"
