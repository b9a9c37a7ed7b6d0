"""Every Python block of the README and of docs/ is complete: it runs as printed, in a DAG, against the simulator."""

from __future__ import annotations

import dis
import json
import re
import sys
import textwrap
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import pytest

from airflow_provider_fivetran.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.newest  # what a reader of today copies is for the newest Airflow

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[pytest.ParameterSet]:
    found = []
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            place = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, block.start()) + 1}"
            found.append(pytest.param(textwrap.dedent(block[2]), place, id=place))
    return found


def globals_read(code: CodeType) -> set[str]:
    """Names that the code, or a function in it, takes from the module that it is in."""
    names = {
        step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= globals_read(constant)
    return names


@pytest.fixture(scope="module")
def account() -> Iterator[Simulator]:
    """The account that the examples speak of."""
    simulator = Simulator()
    simulator.add_group("decent_dropsy")
    for connection_id in ("iodized_turnip", "canned_peach"):
        simulator.add_connection(connection_id)
    simulator.add_transformation("shop_models", name="shop")
    with simulator.serving():
        yield simulator


@pytest.fixture
def connections(account, monkeypatch):
    """The Airflow connections that the examples name, all of them to that account."""
    connection = {"conn_type": "fivetran", "login": "sim-key", "password": "sim-secret", "host": account.url}
    for name in ("DEFAULT", "ADMIN"):
        monkeypatch.setenv(f"AIRFLOW_CONN_FIVETRAN_{name}", json.dumps(connection))


@pytest.mark.parametrize(("source", "place"), blocks())
def test_the_example_runs_as_it_is_printed(source, place, connections, monkeypatch):
    from airflow.sdk import DAG

    module = ModuleType("example_in_docs")  # where the types of a task's arguments are looked up
    monkeypatch.setitem(sys.modules, module.__name__, module)
    code = compile(source, place, "exec")

    with DAG("docs", schedule=None):
        exec(code, vars(module))

    known = vars(module).keys() | vars(sys.modules["builtins"]).keys()
    assert globals_read(code) - known == set(), "names that the body of a function would not find"


def test_the_examples_are_found():
    assert {place.values[1].partition(":")[0] for place in blocks()} >= {"README.md", "docs/hook.md"}
