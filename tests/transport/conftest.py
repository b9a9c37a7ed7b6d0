"""An event loop in which hours pass in an instant."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.transport import aio, listing, polling
from virtual_time import VirtualLoop


@pytest.fixture
def loop(monkeypatch):
    loop = VirtualLoop()
    for module in (aio, listing, polling):
        monkeypatch.setattr(module, "utcnow", loop.utcnow)
    yield loop
    loop.close()
