"""The simulator that counts its requests and tells the truth about its syncs, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psutil
import requests

from benchmarks.counts import Counts
from benchmarks.fivetran import NO_LIMIT, account
from benchmarks.passing import Passing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

WORKER_KEY, TRIGGERER_KEY = "worker-key", "triggerer-key"
"""Two keys of one account, so that the requests can be told apart."""
SECRET = "sim-secret"  # noqa: S105 - opens nothing but the simulator


@dataclass(frozen=True, slots=True)
class Run:
    """What really became of a sync."""

    accepted_at: datetime
    ended_at: datetime | None
    ended_well: bool


class Fivetran:
    """A running simulator."""

    def __init__(self, url: str, process: subprocess.Popen[str], passing: Passing) -> None:
        self.url = url
        self.passing = passing
        self._talk = process
        self._process = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        spent = self._process.cpu_times()
        return float(spent.user + spent.system)

    def counts(self) -> Counts:
        if self._talk.stdin is None or self._talk.stdout is None:
            raise RuntimeError("the simulator was not asked to listen")
        self._talk.stdin.write("counts\n")
        self._talk.stdin.flush()
        return Counts(json.loads(self._talk.stdout.readline()))

    def delete(self, connection_id: str) -> None:
        answer = requests.post(f"{self.url}/_control/connections/{connection_id}/delete", timeout=60)
        answer.raise_for_status()

    def runs(self) -> dict[str, list[Run]]:
        """Every sync that was accepted, by the id of its connection, oldest first."""
        rows: list[dict[str, Any]] = requests.get(f"{self.url}/_control/runs", timeout=60).json()["runs"]
        found: dict[str, list[Run]] = {}
        for row in rows:
            ended_at = datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None
            run = Run(datetime.fromisoformat(row["accepted_at"]), ended_at, row["status"] == "COMPLETED")
            found.setdefault(row["connection_id"], []).append(run)
        return found


@contextmanager
def serving(
    plans: Mapping[str, Mapping[str, object]],
    folder: Path,
    *,
    budget: int = NO_LIMIT,
    earlier: Sequence[Mapping[str, float]] = (),
) -> Iterator[Fivetran]:
    """Serve an account with these connections, whose syncs go as planned.

    :param budget: requests that the account allows in an hour.
    :param earlier: rounds of syncs that have been, each with the seconds by connection; without any the connections
        have ended well an hour ago, and left no trace in the history.
    """
    passing = Passing.begin(folder / "clock")
    described = account(plans)
    described["switches"] = {"hourly_budget": budget}
    described["keys"] = [{"key": key, "secret": SECRET} for key in (WORKER_KEY, TRIGGERER_KEY)]
    if earlier:
        for row in described["connections"]:
            del row["succeeded_at"]
    description = {"clock": str(passing.path), "earlier": earlier, "account": described}
    file = folder / "account.json"
    file.write_text(json.dumps(description), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.simulated", str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield Fivetran(json.loads(line), process, passing)
        finally:
            process.terminate()
