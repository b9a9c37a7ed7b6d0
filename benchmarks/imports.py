"""What it costs a DAG file to import the operators and sensors, beyond what it imports from Airflow anyway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from benchmarks.rows import Import, Spread

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 21
AIRFLOW = "Airflow"
PACKAGES = {"ours": "airflow_provider_fivetran", "peer": "fivetran_provider_async"}

_SCRIPT = """
import json, sys, time
started, before = time.perf_counter(), len(sys.modules)
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger
if {package!r}:
    started, before = time.perf_counter(), len(sys.modules)
    import {package}.operators, {package}.sensors
print(json.dumps([(time.perf_counter() - started) * 1000, len(sys.modules) - before]))
"""


def measure(only: str | None) -> Iterator[Import]:
    """Import in one new process after the other, in turn, so that a busy moment meets all alike."""
    scripts = {AIRFLOW: _SCRIPT.format(package="").replace("import .operators, .sensors", "pass")}
    scripts |= {
        who: _SCRIPT.format(package=package) for who, package in PACKAGES.items() if only in {None, who}
    }
    found: dict[str, list[tuple[float, int]]] = {who: [] for who in scripts}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        unwanted = ("AIRFLOW_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
        environment |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        for number in range(ROUNDS + 1):
            for who, script in scripts.items():
                milliseconds, modules = _import(script, environment)
                if number:  # the first time they are compiled, and come from the disk
                    found[who].append((milliseconds, modules))
    for who, rows in found.items():
        spread = Spread.of(milliseconds for milliseconds, _ in rows)
        yield Import(who=who, milliseconds=spread, modules=rows[0][1], airflow=who == AIRFLOW)


def _import(script: str, environment: dict[str, str]) -> tuple[float, int]:
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    milliseconds, modules = json.loads(done.stdout.splitlines()[-1])
    return milliseconds, modules
