"""A receiver in front of Airflow's real tables."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from receiver_stage import Account, Door, declare, served
from webhook_bodies import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_fivetran.webhooks.airflow_tables import AirflowTables


@pytest.fixture
def tables(airflow_db: None) -> AirflowTables:
    if find_spec("airflow.models.asset_state_store") is None:
        pytest.skip("the receiver needs Airflow 3.3")
    from airflow_provider_fivetran.webhooks.airflow_tables import AirflowTables

    return AirflowTables()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    """Declare an Airflow connection with a webhook secret, on a host that no other test has."""
    return declare(monkeypatch, webhook_secret=SECRET)


@pytest.fixture
def door(tables: AirflowTables) -> Iterator[Door]:
    """Serve a receiver that nobody has asked anything yet."""
    with served(tables) as door:
        yield door
