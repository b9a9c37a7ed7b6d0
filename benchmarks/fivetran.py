"""The simulator in a process of its own, its clock, its counter of requests, and the truth about its syncs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

AUTH = ("sim-key", "sim-secret")
NO_LIMIT = 10**9


@dataclass(slots=True)
class Clock:
    """The simulator's clock as it can be read in any process of this machine, whose monotonic clock they share."""

    at: datetime
    monotonic: float
    speed: float

    @classmethod
    def real(cls) -> Clock:
        return cls(datetime.now(UTC), time.monotonic(), 1.0)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=(time.monotonic() - self.monotonic) * self.speed)

    def set(self, other: Clock) -> None:
        self.at, self.monotonic, self.speed = other.at, other.monotonic, other.speed


@dataclass(frozen=True, slots=True)
class Run:
    """What really became of a sync."""

    ended_at: datetime
    ended_well: bool


class Fivetran:
    """A running simulator."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._process = psutil.Process(pid)
        self._session = requests.Session()
        self._session.auth = AUTH
        self._asked = 0

    def cpu_seconds(self) -> float:
        spent = self._process.cpu_times()
        return float(spent.user + spent.system)

    def requests(self) -> int:
        """How many requests have arrived, by the budget of which they are taken."""
        answer = self._session.get(f"{self.url}/v1/account/info", timeout=60)
        answer.raise_for_status()
        self._asked += 1
        return NO_LIMIT - int(answer.headers["X-Rate-Limit-Remaining"]) - self._asked

    def clock(self, *, speed: float) -> Clock:
        """Let time pass so fast from now on."""
        before = time.monotonic()
        answer = self._session.post(f"{self.url}/_control/clock", json={"speed": speed}, timeout=60).json()
        return Clock(datetime.fromisoformat(answer["now"]), (before + time.monotonic()) / 2, speed)

    def runs(self) -> dict[str, Run]:
        """Every sync that has ended, by the id of its connection."""
        rows: list[dict[str, Any]] = self._session.get(f"{self.url}/_control/runs", timeout=60).json()["runs"]
        return {
            row["connection_id"]: Run(datetime.fromisoformat(row["ended_at"]), row["status"] == "COMPLETED")
            for row in rows
            if row["ended_at"]
        }


def account(plans: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An account with these connections, whose syncs go as planned, and which have synced before."""
    earlier = datetime.now(UTC) - timedelta(hours=1)
    return {
        "switches": {"hourly_budget": NO_LIMIT},
        "connections": [
            {"id": name, "plan": plan, "schedule_type": "manual", "succeeded_at": earlier.isoformat()}
            for name, plan in plans.items()
        ],
    }


@contextmanager
def serving(plans: Mapping[str, Mapping[str, Any]], folder: Path) -> Iterator[Fivetran]:
    """Serve an account with these connections."""
    described = folder / "account.json"
    described.write_text(json.dumps(account(plans)), encoding="utf-8")
    command = [sys.executable, "-m", "airflow_provider_fivetran.simulator", "--account", str(described)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            line = json.loads(process.stdout.readline() if process.stdout else "")
            yield Fivetran(line["url"], process.pid)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
