"""The simulated Fivetran of the demo: the account that the examples expect, landing into a DuckDB file."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from services import ServiceDiedError

if TYPE_CHECKING:
    from pathlib import Path

    from services import Services

KEY, SECRET = "demo-key", "demo-secret"  # opens nothing but a simulator on this machine
SYNCED = "shop_orders"
NAME = "simulated Fivetran"
STARTS_WITHIN = 30.0
SCHEDULED_EVERY = 60.0


class SimulatedFivetran:
    """``python -m airflow_provider_fivetran.simulator``, started with an account of our own."""

    def __init__(self, services: Services, scratch: Path, warehouse: Path) -> None:
        self.url = ""
        self._services = services
        self._scratch = scratch
        self._warehouse = warehouse

    def start(self, seconds_per_sync: float, *, own_schedules: bool) -> None:
        """Start it and return when it listens."""
        description = self._scratch / "fivetran.json"
        description.write_text(json.dumps(account(seconds_per_sync, own_schedules=own_schedules)))
        module = [sys.executable, "-m", "airflow_provider_fivetran.simulator"]
        options = ["--port", "0", "--account", str(description), "--duckdb", str(self._warehouse)]
        self._services.start(NAME, [*module, *options], os.environ, self._scratch)
        self.url = self._address()

    def _address(self) -> str:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            self._services.check()
            first, newline, _ = self._services.log(NAME).read_text().partition("\n")
            if newline and first.startswith("{"):
                return str(json.loads(first)["url"])
            time.sleep(0.05)
        raise ServiceDiedError(f"The {NAME} did not listen in time.")


def account(seconds_per_sync: float, *, own_schedules: bool) -> dict[str, Any]:
    """Describe the account. With ``own_schedules`` Fivetran starts the syncs of one connection by itself."""
    plan = {"duration": seconds_per_sync}
    every = {"every": SCHEDULED_EVERY} if own_schedules else {}
    connections = [
        {"id": SYNCED, "schema": "shop", "service": "postgres"},
        {"id": "web_shop", "schema": "web_shop", "service": "mysql"},
        {"id": "card_payments", "schema": "card_payments", "service": "stripe"},
        {"id": "crm", "schema": "crm", "service": "salesforce", **every},
    ]
    return {
        "keys": [{"key": KEY, "secret": SECRET}],
        "connections": [{**row, "plan": plan} for row in connections],
    }
