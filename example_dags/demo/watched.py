"""The other story of the demo: Fivetran keeps its own schedule, watchers see what landed, a DAG runs by itself."""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_server import NotReadyError
from progress import LONGEST_SILENCE, line
from report import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_server import Airflow
    from progress import Progress
    from simulated import SimulatedFivetran

DAG_ID = "fivetran_watched_then_dbt"
# What that DAG waits for, and how many seconds apart the simulated Fivetran syncs it.
EVERY = {"web_shop": 20.0, "card_payments": 27.0}
LOOK = re.compile(r"/v1/connections/(?P<connection>\w+)(?P<history>/sync-history)?")


@dataclass(frozen=True, order=True)
class News:
    """Something that happened, as a line of the demo."""

    at: dt.datetime
    who: str
    what: str
    remark: str = ""


class Landings:
    """Tell what happens until the DAG has a run that nobody asked for."""

    def __init__(self, airflow: Airflow, fivetran: SimulatedFivetran, progress: Progress) -> None:
        self._airflow = airflow
        self._fivetran = fivetran
        self._progress = progress
        self._told: set[News] = set()
        self._answered = time.monotonic()

    def wait_for_run(self, deadline: float, check: Callable[[], None]) -> str:
        """Return the id of the DAG's first run.

        :raises NotReadyError: at the deadline, or if Airflow has not answered for long.
        """
        while True:
            check()
            runs, events = self._look()
            requests, syncs = self._fivetran.requests(), self._fivetran.runs()
            self._tell([*looks(requests), *ends(syncs, requests), *landings(events), *created(runs)])
            if runs:
                return str(runs[0]["dag_run_id"])
            if time.monotonic() > deadline:
                landed = {record["connection_id"] for record in map(record_of, events)}
                missing = " and ".join(sorted(EVERY.keys() - landed)) or "the run itself"
                raise NotReadyError(
                    f"The time limit has passed, and {DAG_ID} has no run: still missing is {missing}."
                )
            time.sleep(0.5)

    def _look(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        try:
            found = self._airflow.runs(DAG_ID), self._airflow.asset_events()
        except NotReadyError:
            if time.monotonic() - self._answered > LONGEST_SILENCE:
                raise
            return [], []
        self._answered = time.monotonic()
        return found

    def _tell(self, news: Iterable[News]) -> None:
        for each in sorted(set(news) - self._told):
            self._told.add(each)
            self._progress.say(line(each.who, each.what, each.remark))


def looks(requests: Iterable[dict[str, Any]]) -> Iterator[News]:
    """What the watchers asked Fivetran."""
    for request in requests:
        asked = LOOK.fullmatch(request["path"])
        if asked and request["method"] == "GET":
            what, remark = ("reads", "the sync history: there is news") if asked["history"] else ("looks", "")
            yield News(_time(request["at"]), f"watcher of {asked['connection']}", what, remark)


def ends(syncs: Iterable[dict[str, Any]], requests: Iterable[dict[str, Any]]) -> Iterator[News]:
    """The syncs that ended under the eyes of a watcher: what ended before its first look is no news to it."""
    began: dict[str, dt.datetime] = {}
    for look in sorted(looks(requests)):
        began.setdefault(look.who.removeprefix("watcher of "), look.at)
    for sync in syncs:
        ended, watched_since = moment(sync["ended_at"]), began.get(sync["connection_id"])
        if ended is None or watched_since is None or ended <= watched_since:
            continue
        how = "synced" if sync["status"] == "COMPLETED" else sync["status"].lower()
        started = moment(sync["started_at"]) or ended
        remark = f"by Fivetran's own schedule, in {(ended - started).total_seconds():.0f} s"
        yield News(ended, sync["connection_id"], how, remark)


def landings(events: Iterable[dict[str, Any]]) -> Iterator[News]:
    """What the assets were told."""
    for event in events:
        record, at = record_of(event), _time(event["timestamp"])
        late = (at - _time(record["ended_at"])).total_seconds()
        yield News(at, f"asset of {record['connection_id']}", "event", f"{late:.1f} s after the sync's end")


def created(runs: Iterable[dict[str, Any]]) -> Iterator[News]:
    for run in runs:
        yield News(_time(run["queued_at"]), DAG_ID, "runs", f"made by the events: {run['run_type']}")


def record_of(event: dict[str, Any]) -> dict[str, Any]:
    """What a watcher says of the sync that ended; ``sync_record_of`` reads it in a DAG."""
    return dict(event["extra"]["payload"])


def last_to_land(events: Iterable[dict[str, Any]]) -> tuple[str, dt.datetime]:
    """The connection that was the last to have a sync that ended, and when that was."""
    first: dict[str, dt.datetime] = {}
    for record in map(record_of, events):
        name, ended = record["connection_id"], _time(record["ended_at"])
        first[name] = min(first.get(name, ended), ended)
    return max(first.items(), key=lambda item: item[1])


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
