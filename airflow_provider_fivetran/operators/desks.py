"""A desk for each connection of a task that starts many syncs: to a visit it looks as if the task were about one.

What the visit for a connection notes and pushes is kept apart from what those for the others do, and they may be at
work at the same time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_fivetran.links import RECORD_XCOM

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

__all__ = ["NOTES_XCOM", "Desk", "Desks"]

# Where Airflow keeps nothing through tries, what the running syncs have noted is carried over a deferral in this.
NOTES_XCOM = "fivetran_errands"


class Desks:
    """The desks of one visit of a task to a worker. Airflow is asked by one of them at a time."""

    def __init__(self, context: Context) -> None:
        self._ti = context["ti"]
        self._store = context.get("task_state_store")
        self._lock = threading.Lock()
        self._state: list[Any] = []
        self._notes: dict[str, Any] = {}

    @property
    def notes_last(self) -> bool:
        """Whether what is noted is there for the next try."""
        return self._store is not None

    def of(self, connection_id: str) -> Desk:
        """A desk for this connection, with nothing on it."""
        return Desk(self, connection_id)

    def carry_notes(self, connection_ids: list[str]) -> None:
        """Take what these have noted over a deferral, where nothing else does."""
        if self._store is None:
            carried = {name: self._notes[name] for name in connection_ids if name in self._notes}
            self._ti.xcom_push(key=NOTES_XCOM, value=carried)

    def find_notes(self) -> None:
        """Take up again what was carried."""
        if self._store is None:
            found = self._ti.xcom_pull(
                task_ids=self._ti.task_id, key=NOTES_XCOM, map_indexes=self._ti.map_index
            )
            self._notes = dict(found or {})

    # --- what a desk does ---------------------------------------------------------------------------------

    def context_of(self, desk: Desk, connection_id: str) -> Context:
        """What Airflow gives to a task, as the visit for one connection is to see it."""
        drawer = None if self._store is None else _Drawer(self._store, connection_id, self._lock)
        return cast("Context", {"ti": desk, "task_state_store": drawer})

    def note(self, connection_id: str, value: Any) -> None:
        self._notes[connection_id] = value

    def noted(self, connection_id: str) -> Any:
        return self._notes.get(connection_id)

    def ask(self, question: Callable[..., Any], **about: Any) -> Any:
        """Ask Airflow once for all of them what has become of the task."""
        with self._lock:
            if not self._state:
                self._state.append(question(**about))
            return self._state[0]

    def of_ti(self, name: str) -> Any:
        """Whatever else Airflow says of the task."""
        return getattr(self._ti, name)


class Desk:
    """The task instance, as the visit for one connection sees it."""

    def __init__(self, desks: Desks, connection_id: str) -> None:
        self._desks = desks
        self._connection_id = connection_id

    @property
    def context(self) -> Context:
        return self._desks.context_of(self, self._connection_id)

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what is noted. The record is with the visit, and told of with those of all others."""
        if key != RECORD_XCOM:
            self._desks.note(self._connection_id, value)

    def xcom_pull(self, **_which: Any) -> Any:
        return self._desks.noted(self._connection_id)

    def __getattr__(self, name: str) -> Any:
        value = self._desks.of_ti(name)
        if name != "get_task_states":
            return value
        return lambda **about: self._desks.ask(value, **about)


class _Drawer:
    """The part of the task's state store that is about one connection."""

    def __init__(self, store: Any, connection_id: str, lock: threading.Lock) -> None:
        self._store = store
        self._connection_id = connection_id
        self._lock = lock

    def get(self, key: str, default: Any = None) -> Any:
        with self._lock:
            return self._store.get(self._named(key), default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        with self._lock:
            self._store.set(self._named(key), value, retention=retention)

    def delete(self, key: str) -> None:
        with self._lock:
            self._store.delete(self._named(key))

    def _named(self, key: str) -> str:
        return f"{key}.{self._connection_id}"
