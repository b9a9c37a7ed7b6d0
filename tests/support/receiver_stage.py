"""A receiver on a loopback port, and what Airflow's tables hold before and after."""

from __future__ import annotations

import itertools
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from webhook_bodies import signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_numbers = itertools.count(1)


@dataclass
class Account:
    """A Fivetran account as an Airflow connection of its own, on a host that no other test has."""

    conn_id: str
    host: str

    def uri(self, rest: str) -> str:
        return f"fivetran://{self.host}/{rest}"


@dataclass
class Door:
    """The receiver as Fivetran sees it."""

    url: str

    def post(self, conn_id: str, body: bytes, headers: dict[str, str] | None = None) -> requests.Response:
        """Deliver a body, well signed unless other headers are given."""
        headers = signed(body) if headers is None else headers
        with requests.Session() as session:
            return session.post(f"{self.url}/webhooks/{conn_id}", data=body, headers=headers, timeout=15)


def declare(monkeypatch: pytest.MonkeyPatch, **extra: object) -> Account:
    """Declare an Airflow connection in the environment."""
    number = next(_numbers)
    account = Account(f"fivetran_{number}", f"api-{number}.example.com")
    connection = {"conn_type": "fivetran", "host": account.host, "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{account.conn_id.upper()}", json.dumps(connection))
    return account


@contextmanager
def served(tables, *patience) -> Iterator[Door]:
    """Serve a receiver that nobody has asked anything yet."""
    import uvicorn

    from airflow_provider_fivetran.webhooks.application import Receiver, build_application

    app = build_application(Receiver(tables, *patience))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Door(f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(10)


def asset(uri: str, *, watcher: str | None = None) -> int:
    """Make an asset that some DAG knows; return its id."""
    from airflow.models.asset import AssetActive, AssetModel
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        model = AssetModel(name=f"named otherwise {uri}", uri=uri)
        session.add(model)
        session.flush()
        session.add(AssetActive(name=model.name, uri=uri))
        if watcher is not None:
            trigger = Trigger(classpath=watcher, kwargs={})
            session.add(trigger)
            session.flush()
            model.add_trigger(trigger, "watcher")
        return model.id


def events(asset_id: int) -> list[dict]:
    """What the events of an asset say, oldest first."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return [
            event.extra
            for event in session.scalars(
                select(AssetEvent).where(AssetEvent.asset_id == asset_id).order_by(AssetEvent.id)
            )
        ]


def remember(asset_id: int, key: str, value: object) -> None:
    """Let Airflow keep something for an asset, as for its watcher."""
    from airflow.state import AssetScope, get_state_backend

    get_state_backend().set(AssetScope(asset_id=asset_id), key, json.dumps(value))


def state(asset_id: int) -> dict[str, str]:
    """What Airflow keeps for an asset."""
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(AssetStateStoreModel).where(AssetStateStoreModel.asset_id == asset_id))
        return {row.key: row.value for row in rows}
