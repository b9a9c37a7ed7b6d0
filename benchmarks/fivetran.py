"""The simulator in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

AUTH = ("sim-key", "sim-secret")
NO_LIMIT = 10**9


class Fivetran:
    """A running simulator."""

    def __init__(self, url: str) -> None:
        self.url = url


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
            yield Fivetran(line["url"])
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
