"""A desk for each connection of a task that starts many syncs: to a visit it looks as if the task were about one.

What the visit for a connection notes and pushes is kept apart from what those for the others do, and they may be at
work at the same time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_fivetran.links import RECORD_XCOM

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

__all__ = ["NOTES_XCOM", "Desks"]

# Where Airflow keeps nothing through tries, what the running syncs have noted is carried over a deferral in this.
NOTES_XCOM = "fivetran_errands"


class Desks:
    """The desks of one visit of a task to a worker. Airflow's store is asked by one of them at a time."""

    def __init__(self, context: Context) -> None:
        self._ti = context["ti"]
        self._store = context.get("task_state_store")
        self._lock = threading.Lock()
        self._carried: dict[str, Any] = {}

    def context_of(self, connection_id: str) -> Context:
        """What Airflow gives to a task, as the visit for this connection is to see it."""
        drawer = None if self._store is None else _Drawer(self._store, connection_id, self._lock)
        desk = _Desk(self._ti, connection_id, self._carried)
        return cast("Context", {"ti": desk, "task_state_store": drawer})

    def carry_notes(self, connection_ids: list[str]) -> None:
        """Take what these have noted over a deferral, where nothing else does."""
        if self._store is None:
            carried = {name: self._carried[name] for name in connection_ids if name in self._carried}
            self._ti.xcom_push(key=NOTES_XCOM, value=carried)

    def find_notes(self) -> None:
        """Take up again what was carried."""
        if self._store is None:
            found = self._ti.xcom_pull(
                task_ids=self._ti.task_id, key=NOTES_XCOM, map_indexes=self._ti.map_index
            )
            self._carried.update(found or {})


class _Desk:
    """The task instance, as the visit for one connection sees it: all that such a visit asks of one.

    :param carried: where all desks leave what is to be carried over a deferral, by connection.
    """

    def __init__(self, ti: Any, connection_id: str, carried: dict[str, Any]) -> None:
        self.task_id = ti.task_id
        self.map_index = ti.map_index
        self.try_number = ti.try_number
        self.max_tries = ti.max_tries
        self._connection_id = connection_id
        self._carried = carried

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what is noted. The record is with the visit, and told of with those of all others."""
        if key != RECORD_XCOM:
            self._carried[self._connection_id] = value

    def xcom_pull(self, **_which: Any) -> Any:
        return self._carried.get(self._connection_id)


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
