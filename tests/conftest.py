"""What every test may count on: an Airflow of its own, a Fivetran on this machine, and no way out of it."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

import airflow_home  # noqa: F401 - sets AIRFLOW_HOME, so it comes before anything that imports Airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_fivetran.simulator import Simulator


# A busy machine takes its time; whatever else the profile at hand says, such as that of a CI, stays.
hypothesis.settings.register_profile("unhurried", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("unhurried")

# Workers of pytest-xdist for each processor: most tests wait for a simulated sync, and not for the processor.
WORKERS_PER_PROCESSOR = 2
MOST_WORKERS = 12  # each imports Airflow anew


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """Say how many workers ``-n auto`` means, unless ``PYTEST_XDIST_AUTO_NUM_WORKERS`` does."""
    if wanted := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(wanted)
    return min(WORKERS_PER_PROCESSOR * (os.cpu_count() or 1), MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a worker begin with the files whose tests have a long time limit of their own, since they take longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=_seconds_allowed, reverse=True)


def _seconds_allowed(item: pytest.Item) -> int:
    own = item.get_closest_marker("timeout")
    return own.args[0] if own else 0


class NetworkForbiddenError(RuntimeError):
    """A test tried to leave this machine."""


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return text == socket.gethostname()


@pytest.fixture(autouse=True, scope="session")
def no_real_network() -> Iterator[None]:
    """Refuse every look-up and every connection that does not stay on this machine."""
    real_connect, real_connect_ex, real_look_up = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def check(host: object) -> None:
        if not _is_local(host):
            raise NetworkForbiddenError(f"a test tried to reach {host!r}; only this machine is allowed")

    def check_address(sock: socket.socket, address: object) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            check(address[0])

    def connect(self: socket.socket, address: object) -> None:
        check_address(self, address)
        return real_connect(self, address)

    def connect_ex(self: socket.socket, address: object) -> int:
        check_address(self, address)
        return real_connect_ex(self, address)

    def look_up(host: object, *args: object, **kwargs: object) -> object:
        check(host)
        return real_look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make Airflow's tables, once for the whole run."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Start a Fivetran account on this machine; its address is ``simulator.url``."""
    from airflow_provider_fivetran.simulator import Simulator

    account = Simulator()
    with account.serving(port=0) as url:
        account.url = url
        yield account


@pytest.fixture
def fivetran_conn(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Declare the default Airflow connection, leading to the simulator; return its id."""
    connection = {
        "conn_type": "fivetran",
        "login": "sim-key",
        "password": "sim-secret",
        "host": simulator.url,
    }
    monkeypatch.setenv("AIRFLOW_CONN_FIVETRAN_DEFAULT", json.dumps(connection))
    return "fivetran_default"


@pytest.fixture(scope="session")
def fivetran_openapi() -> dict:
    """Read Fivetran's own definition of its API, whose path is in ``FIVETRAN_OPENAPI``."""
    path = os.environ.get("FIVETRAN_OPENAPI")
    if not path:
        pytest.skip("FIVETRAN_OPENAPI names no file with Fivetran's OpenAPI definition")
    return json.loads(Path(path).read_text(encoding="utf-8"))
