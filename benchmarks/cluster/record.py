"""What Airflow's database says of the tasks, and what Fivetran says of its syncs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg2
import requests

from benchmarks.fivetran import AUTH, account

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DAG = "many_syncs"
PATIENCE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task at the end."""

    connection: str
    state: str | None
    tries: int
    woken_at: datetime | None
    """When its trigger's event reached Airflow: from then on it waits for a worker."""
    ended_at: datetime | None
    sync_id: str | None
    """The sync for which it says it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """A sync as it really was."""

    connection: str
    sync_id: str
    status: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    at: datetime


class Ledger:
    """Airflow's own tables, which are cheaper to read than its API is."""

    def __init__(self, address: str) -> None:
        self._connection = psycopg2.connect(address.replace("postgresql+psycopg2://", "postgresql://"))
        self._connection.autocommit = True

    def close(self) -> None:
        self._connection.close()

    def states(self, run_id: str) -> Counter[str]:
        """How many tasks of a run are in which state."""
        rows = self._rows(
            "SELECT state, count(*) FROM task_instance WHERE run_id = %s GROUP BY state", run_id
        )
        return Counter({state or "none": count for state, count in rows})

    def triggers(self) -> dict[int | None, int]:
        """How many triggers each triggerer has, by the id of its job."""
        return dict(self._rows("SELECT triggerer_id, count(*) FROM trigger GROUP BY triggerer_id"))

    def waiting_at(self, job: int, names: Mapping[tuple[str, int], str]) -> set[str]:
        """The connections whose tasks wait in this triggerer."""
        rows = self._rows(
            "SELECT task_id, map_index FROM task_instance JOIN trigger ON trigger.id = task_instance.trigger_id"
            " WHERE triggerer_id = %s",
            job,
        )
        return {names[task_id, index] for task_id, index in rows}

    def tasks(self, run_id: str, names: Mapping[tuple[str, int], str]) -> list[Task]:
        rows = self._rows(
            "SELECT task.task_id, task.map_index, state, try_number, scheduled_dttm, end_date, value"
            " FROM task_instance AS task LEFT JOIN xcom ON xcom.run_id = task.run_id"
            " AND xcom.task_id = task.task_id AND xcom.map_index = task.map_index AND key = 'fivetran_sync'"
            " WHERE task.run_id = %s",
            run_id,
        )
        return [
            Task(
                connection=names.get((task_id, index), f"{task_id}[{index}]"),
                state=state,
                tries=tries,
                woken_at=woken_at,
                ended_at=ended_at,
                sync_id=_sync_id(value),
            )
            for task_id, index, state, tries, woken_at, ended_at, value in rows
        ]

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            rows: list[Any] = cursor.fetchall()
            return rows


class Truth:
    """The simulator's own record."""

    def __init__(self, url: str) -> None:
        self._url = url

    def begin_anew(self, plans: Mapping[str, Mapping[str, Any]]) -> None:
        """Forget all that was, and have these connections, in an account with a real one's budget of requests."""
        self._post("reset", {})
        self._post("account", {"connections": account(plans)["connections"]})

    def syncs(self) -> list[Sync]:
        return [
            Sync(
                connection=row["connection_id"],
                sync_id=row["sync_id"],
                status=row["status"],
                ended_at=_time(row["ended_at"]),
            )
            for row in self._get("runs")
        ]

    def requests(self) -> list[Request]:
        return [
            Request(method=row["method"], path=row["path"], at=datetime.fromisoformat(row["at"]))
            for row in self._get("requests")
        ]

    def _get(self, what: str) -> Sequence[dict[str, Any]]:
        answer = requests.get(f"{self._url}/_control/{what}", auth=AUTH, timeout=PATIENCE)
        answer.raise_for_status()
        rows: Sequence[dict[str, Any]] = answer.json()[what]
        return rows

    def _post(self, what: str, body: Mapping[str, Any]) -> None:
        requests.post(
            f"{self._url}/_control/{what}", json=body, auth=AUTH, timeout=PATIENCE
        ).raise_for_status()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _sync_id(value: Any) -> str | None:
    """The id in the record that a task left; Airflow keeps it as JSON, itself in a text."""
    record = json.loads(value) if isinstance(value, str) else value
    return record.get("sync_id") if isinstance(record, dict) else None
