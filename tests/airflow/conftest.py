"""Accounts to run tasks against: one for each way to run a task, emptied before each test."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from inspect import signature
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("stories")

from airflow_provider_fivetran import trigger_waiting  # noqa: E402
from airflow_provider_fivetran.core import enduring, steps  # noqa: E402
from airflow_provider_fivetran.simulator import Simulator  # noqa: E402
from airflow_provider_fivetran.transport import aio  # noqa: E402
from stories import Eavesdropper, Way  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

# Stories mostly wait. More of them at once than this would wait for the processor instead.
AT_ONCE = 8


@pytest.fixture(autouse=True, scope="module")
def short_patience() -> Iterator[pytest.MonkeyPatch]:
    """Wait for a second instead of minutes for somebody to replace a refused key, and ask for it often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "REFUSAL_PATIENCE", timedelta(seconds=1))
        patch.setattr(enduring, "SLOWEST_AFTER_REFUSAL", timedelta(seconds=0.2))
        patch.setattr(aio, "REST", 0.1)
        yield patch


class Arena:
    """Simulators to run ways against, each used by one test at a time."""

    def __init__(self) -> None:
        self._free: SimpleQueue[list[Way]] = SimpleQueue()
        self._stack = ExitStack()
        self._pairs = 0
        self._add()

    def _add(self) -> None:
        pair = []
        for name in ("blocking", "deferrable"):
            simulator = Simulator()
            simulator.requests = Eavesdropper()
            self._stack.enter_context(simulator.serving())
            pair.append(
                Way(name, simulator, f"fivetran_{name}_{self._pairs}", deferrable=name == "deferrable")
            )
        self._pairs += 1
        self._free.put(pair)

    def grow(self, size: int) -> None:
        while self._pairs < size:
            self._add()

    @contextmanager
    def ways(self) -> Iterator[list[Way]]:
        pair = self._free.get()
        try:
            for way in pair:
                way.sim.reset()
                way.declare()
            yield pair
        finally:
            for way in pair:
                os.environ.pop(way.variable, None)
            self._free.put(pair)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    arena.close()


@pytest.fixture
def asked(monkeypatch):
    """What became of the task, which takes long to find out, and who asked."""

    class Asked(list):
        state = "failed"

    questions = Asked()

    async def state(ti):
        questions.append(ti)
        await asyncio.sleep(0.5)
        if isinstance(questions.state, Exception):
            raise questions.state
        return questions.state

    monkeypatch.setattr(trigger_waiting, "state_in_triggerer", state)
    return questions


@pytest.fixture
def ways(arena: Arena) -> Iterator[list[Way]]:
    """Every way to run an operator, each on an account of its own."""
    with arena.ways() as pair:
        yield pair


@pytest.fixture
def blocking(ways: list[Way]) -> Way:
    return ways[0]


@pytest.fixture
def deferrable(ways: list[Way]) -> Way:
    return ways[1]


@pytest.fixture(params=[False, True], ids=["blocking", "deferrable"])
def way(ways: list[Way], request: pytest.FixtureRequest) -> Way:
    """Both ways, one after the other."""
    return ways[request.param]


# --- stories are told at once ---------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "at_once: these tests take nothing but ways, and those of a module run side by side"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Start all tests of a module that are marked ``at_once`` when the first is due; then wait for each in its turn."""
    if pyfuncitem.get_closest_marker("at_once") is None:
        return None
    told: dict[str, Future[None]] = pyfuncitem.session.__dict__.setdefault("_told_at_once", {})
    if pyfuncitem.nodeid not in told:
        arena = (
            pyfuncitem.funcargs["arena"]
            if "arena" in pyfuncitem.funcargs
            else pyfuncitem._request.getfixturevalue("arena")
        )
        items = [
            i
            for i in pyfuncitem.session.items
            if i.get_closest_marker("at_once") and i.path == pyfuncitem.path
        ]
        arena.grow(min(AT_ONCE, len(items)) + 1)
        pool = ThreadPoolExecutor(AT_ONCE)
        for item in items:
            told[item.nodeid] = pool.submit(_tell, item, arena)
        pool.shutdown(wait=False)
    told[pyfuncitem.nodeid].result()
    return True


def _tell(item: pytest.Function, arena: Arena) -> None:
    given = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    with arena.ways() as pair:
        if "way" in given:
            given["way"] = pair[given["way"]]
        known = {"ways": pair, "blocking": pair[0], "deferrable": pair[1], **given}
        item.obj(**{name: known[name] for name in signature(item.obj).parameters})
