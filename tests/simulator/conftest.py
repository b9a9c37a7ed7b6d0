"""One simulator, served once and emptied before each test, whose clock moves only by hand; and a client to talk to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_fivetran.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = ("sim-key", "sim-secret")
CHANGE = "PATCH"


class Api:
    """A plain HTTP client that knows where the simulator is and which key to show."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.auth = KEY

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.session.get(self.url + path, params=query, timeout=10)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, json={} if body is None else body, timeout=10, **options)

    def change(self, connection_id: str, **body: Any) -> requests.Response:
        body.setdefault("run_setup_tests", False)
        path = f"{self.url}/v1/connections/{connection_id}"
        return self.session.request(CHANGE, path, json=body, timeout=10)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.url + path, timeout=10)

    def connection(self, connection_id: str) -> dict[str, Any]:
        return self.get(f"/v1/connections/{connection_id}").json()["data"]

    def state(self, connection_id: str) -> str:
        return self.connection(connection_id)["status"]["sync_state"]

    def history(self, connection_id: str, **query: Any) -> list[dict[str, Any]]:
        return self.get(f"/v1/connections/{connection_id}/sync-history", **query).json()["data"]["items"]


@pytest.fixture(scope="session")
def served() -> Iterator[Simulator]:
    simulator = Simulator(speed=0)
    with simulator.serving():
        yield simulator


@pytest.fixture
def sim(served: Simulator) -> Simulator:
    served.reset()
    return served


@pytest.fixture
def api(sim: Simulator) -> Iterator[Api]:
    client = Api(sim.url)
    yield client
    client.session.close()
