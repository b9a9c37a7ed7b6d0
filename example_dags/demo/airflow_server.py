"""A real Airflow in a scratch folder: scheduler, triggerer, DAG processor, API server on a loopback port."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services import Services

LOOPBACK = "127.0.0.1"
USER = "admin"
LINES_OF_LOG, LONGEST_LINE = 20, 300
# Airflow reads it from its home: DAGs run when asked to or when data lands, not by the clock.
SETTINGS = """
from airflow.sdk.definitions.timetables.simple import NullTimetable


def dag_policy(dag):
    if dag.timetable.asset_condition is None:
        dag.timetable = NullTimetable()
"""
COMPONENTS = {
    "API server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "DAG processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


class NotReadyError(Exception):
    """Airflow does not answer, or not yet as hoped."""


class Airflow:
    """Start a private Airflow and talk to its REST API."""

    def __init__(self, home: Path, dags: Path, services: Services) -> None:
        self.home = home
        self.password = secrets.token_urlsafe(9)
        self.port = _free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._dags = dags
        self._services = services
        self._token = ""

    def environment(self, fivetran: Mapping[str, str], **more: str) -> dict[str, str]:
        """The environment of all components. Nothing of an Airflow configured outside gets in."""
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "_AIRFLOW", "FIVETRAN_", "DBT_"))
        }
        scratch = self.home.parent
        return outside | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_FIVETRAN_DEFAULT": json.dumps({"conn_type": "fivetran", **fivetran}),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": LOOPBACK,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",  # the first "dbt ls" takes its time
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__COSMOS__CACHE_DIR": str(scratch / "cosmos"),
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
            "NO_PROXY": _with(LOOPBACK, os.environ.get("NO_PROXY", "")),
            "no_proxy": _with(LOOPBACK, os.environ.get("no_proxy", "")),
            # Cosmos looks for dbt there.
            "PATH": _with_first(Path(sys.executable).parent, os.environ.get("PATH", "")),
            "TMPDIR": str(scratch / "tmp"),
            **more,
        }

    @property
    def _passwords_file(self) -> Path:
        return self.home / "passwords.json"

    def start(self, env: Mapping[str, str]) -> None:
        """Prepare the database and start the components; they can be used after :meth:`wait_until_ready`."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "airflow_local_settings.py").write_text(SETTINGS)
        self._passwords_file.touch(mode=0o600)
        self._passwords_file.write_text(json.dumps({USER: self.password}))
        airflow = [sys.executable, "-m", "airflow"]
        self._services.run("database set-up", [*airflow, "db", "migrate"], env, self.home)
        for name, arguments in COMPONENTS.items():
            self._services.start(name, [*airflow, *arguments], env, self.home)

    def wait_until_ready(self, dag_id: str, deadline: float) -> None:
        """Return when all components are healthy and the DAG can be triggered.

        :raises NotReadyError: at the deadline, or if the DAG file cannot be imported.
        """
        _until(self._is_healthy, deadline, "Airflow did not become healthy in time.", self._services.check)
        self._token = self._call("POST", "/auth/token", {"username": USER, "password": self.password})[
            "access_token"
        ]
        _until(lambda: self._knows(dag_id), deadline, f"{dag_id} did not appear.", self._services.check)

    def _is_healthy(self) -> bool:
        try:
            health = self._call("GET", "/api/v2/monitor/health")
        except NotReadyError:
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    def _knows(self, dag_id: str) -> bool:
        for error in self._call("GET", "/api/v2/importErrors")["import_errors"]:
            raise NotReadyError(f"{error['filename']} cannot be imported:\n{error['stack_trace']}")
        try:
            return not self._call("GET", f"/api/v2/dags/{quote(dag_id)}")["is_paused"]
        except NotReadyError:
            return False

    def trigger(self, dag_id: str, conf: Mapping[str, str]) -> str:
        """Start a run of the DAG and return its id."""
        body = {"logical_date": None, "conf": dict(conf)}
        return str(self._call("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a DAG, the first one first."""
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns?limit=100&order_by=id"
        return list(self._call("GET", path)["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return dict(self._call("GET", _run(dag_id, run_id)))

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.run(dag_id, run_id)["state"])

    def asset_events(self) -> list[dict[str, Any]]:
        """What all assets were told, the latest hundred."""
        return list(self._call("GET", "/api/v2/assets/events?limit=100&order_by=-timestamp")["asset_events"])

    def events_behind(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The asset events that a run was made of."""
        return list(self._call("GET", f"{_run(dag_id, run_id)}/upstreamAssetEvents")["asset_events"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        return list(self._call("GET", f"{_run(dag_id, run_id)}/taskInstances?limit=200")["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """What a task pushed under a key, or None."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        try:
            return self._call("GET", f"{path}?deserialize=false")["value"]
        except NotReadyError:
            return None

    def task_log(self, task: Mapping[str, Any]) -> str:
        """The last lines that a task wrote, read from the log folder: the API server may be dead."""
        folder = self.home / "logs" / f"dag_id={task['dag_id']}" / f"run_id={task['dag_run_id']}"
        folder /= f"task_id={task['task_id']}"
        if task["map_index"] >= 0:
            folder /= f"map_index={task['map_index']}"
        texts: list[str] = []
        files = folder.glob(f"attempt={task['try_number']}.log*")
        for file in sorted(files, key=lambda file: file.stat().st_mtime):
            texts += [_readable(line) for line in file.read_text(errors="replace").splitlines()]
        lines = [line for text in texts for line in text.splitlines() if not _is_noise(line)]
        return "".join(f"    {line[:LONGEST_LINE]}\n" for line in lines[-LINES_OF_LOG:])

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with _OPENER.open(request, timeout=15) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            what = HTTPStatus(error.code).phrase
            raise NotReadyError(f"Airflow answers {error.code} ({what}) to {method} {path}") from error
        except (OSError, ValueError) as error:
            raise NotReadyError(f"Airflow does not answer {method} {path}: {error}") from error


# Requests to ourselves must not go through a proxy that the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"


def _readable(line: str) -> str:
    """A line of Airflow's JSON task log as a person would like to read it."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    text = f"{str(entry.get('timestamp', ''))[11:19]} {entry.get('level', '')}: {entry.get('event', '')}"
    for error in entry.get("error_detail") or []:
        text += f"\n{error.get('exc_type')}: {error.get('exc_value')}"
    return re.sub(r"\x1b\[[0-9;]*m", "", text)  # dbt's colours


def _is_noise(line: str) -> bool:
    return not line.strip() or "::group::" in line or "::endgroup::" in line


def _until(reached: Callable[[], bool], deadline: float, complaint: str, check: Callable[[], None]) -> None:
    while not reached():
        check()
        if time.monotonic() > deadline:
            raise NotReadyError(complaint)
        time.sleep(0.3)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _with_first(folder: Path, path: str) -> str:
    return f"{folder}{os.pathsep}{path}" if path else str(folder)


def _with(host: str, hosts: str) -> str:
    return f"{hosts},{host}" if hosts else host
