"""The simulated Fivetran of the demo: the account that the examples expect, landing into a DuckDB file."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from services import ServiceDiedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from services import Services

KEY, SECRET = "demo-key", "demo-secret"  # opens nothing but a simulator on this machine
SYNCED = "shop_orders"
NAME = "simulated Fivetran"
STARTS_WITHIN = 30.0


class SimulatedFivetran:
    """``python -m airflow_provider_fivetran.simulator``, started with an account of our own."""

    def __init__(self, services: Services, scratch: Path, warehouse: Path) -> None:
        self.url = ""
        self._services = services
        self._scratch = scratch
        self._warehouse = warehouse

    def start(self, seconds_per_sync: float, every: Mapping[str, float]) -> None:
        """Start it, with an account as in :func:`account`, and return when it listens."""
        description = self._scratch / "fivetran.json"
        description.write_text(json.dumps(account(seconds_per_sync, every)))
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

    def history(self, connection: str) -> list[dict[str, Any]]:
        """The sync history of a connection, as Fivetran's API tells it."""
        return list(self._call("GET", f"/v1/connections/{connection}/sync-history")["data"]["items"])

    def rest(self, connection: str) -> None:
        """Let Fivetran start no more syncs of a connection by itself; one that runs goes on."""
        self._call("PATCH", f"/v1/connections/{connection}", {"schedule_type": "manual"})

    def runs(self) -> list[dict[str, Any]]:
        """All syncs as they really were."""
        return list(self._call("GET", "/_control/runs")["runs"])

    def requests(self) -> list[dict[str, Any]]:
        """Whatever was asked of its API."""
        return list(self._call("GET", "/_control/requests")["requests"])

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + b64encode(f"{KEY}:{SECRET}".encode()).decode(),
                "Content-Type": "application/json",
            },
        )
        try:
            with _OPENER.open(request, timeout=10) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise ServiceDiedError(f"The {NAME} does not answer {method} {path}: {error}") from error


# Requests to ourselves must not go through a proxy that the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def account(seconds_per_sync: float, every: Mapping[str, float]) -> dict[str, Any]:
    """Describe the account. Connections in ``every`` sync by themselves, so many seconds apart."""
    plan = {"duration": seconds_per_sync}
    connections = [
        {"id": SYNCED, "schema": "shop", "service": "postgres"},
        {"id": "web_shop", "schema": "web_shop", "service": "mysql"},
        {"id": "card_payments", "schema": "card_payments", "service": "stripe"},
        {"id": "crm", "schema": "crm", "service": "salesforce"},
    ]
    return {
        "keys": [{"key": KEY, "secret": SECRET}],
        "connections": [{**row, "plan": plan, "every": every.get(row["id"])} for row in connections],
    }
