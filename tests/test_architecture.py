"""The rules that keep the layers apart, the imports light and the files short."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_provider_fivetran"
LONGEST_FILE = 450
MOCKING_LINES_PER_100_TESTS = 5
HEAVY = {
    "aiohttp",
    "duckdb",
    "fastapi",
    "httpx",
    "openlineage",
    "pyarrow",
    "requests",
    "starlette",
    "tenacity",
    "urllib3",
    "uvicorn",
}
SHELLS = (f"{PACKAGE}.transport.blocking", f"{PACKAGE}.transport.aio", f"{PACKAGE}.simulator")

# Everything of Airflow that a DAG file which defines an operator and a sensor has loaded anyway.
BASELINE = """
import json, sys
from airflow.providers.common.compat.sdk import DAG, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred, XCom, conf, timezone
from airflow.triggers.base import BaseTrigger, TriggerEvent
before = set(sys.modules)
"""


@pytest.mark.newest
def test_import_contracts_hold():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_what_a_dag_file_imports_is_light():
    modules = ["operators", "sensors", "links", "assets", "task_groups"]
    if not importlib.metadata.version("apache-airflow").startswith(("2.", "3.0.", "3.1.", "3.2.")):
        modules.append("retry_policy")
    ours = "\n".join(f"import {PACKAGE}.{module}" for module in modules)
    script = f"{BASELINE}\n{ours}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    loaded = json.loads(done.stdout.strip().splitlines()[-1])
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert [name for name in loaded if name.startswith(SHELLS)] == []


def test_no_file_is_too_long_to_read():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / PACKAGE).rglob("*.py")
    }
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_mocks_stay_within_their_budget():
    """Where a mock seems to be needed, an argument is missing. Setting the environment is not mocking."""
    mocking = re.compile(r"mock|\bpatch\b|monkeypatch\.setattr", re.IGNORECASE)
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    tests = sum(1 for line in lines if re.match(r"\s*(async )?def test_", line))
    used = [line.strip() for line in lines if mocking.search(line)]
    assert len(used) <= tests * MOCKING_LINES_PER_100_TESTS / 100, used
