"""A real Airflow whose parts can be killed, stopped and restarted one by one, and the database under it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_server import LOOPBACK, Airflow, NotReadyError, _free_port
from services import Services, _members, _signal_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TASK = "sync"
API_SERVER = "API server"
AIRFLOW = [sys.executable, "-m", "airflow"]
STARTS_WITHIN = 120.0
BETWEEN_LOOKS = 0.4
ATTEMPTS = 8
# Shortened, so that nobody has to wait five minutes to see what becomes of a task without its worker.
SHORTENED = {
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}


class Processes(Services):
    """Processes of which each may also be disturbed on purpose."""

    def signal(self, name: str, signum: int) -> None:
        """Send a signal to a service and to all that came of it."""
        _signal_sessions({self._running[name].pid}, signum)

    def kill(self, name: str) -> None:
        """End a service and all that came of it at once, as if its machine had died."""
        process = self._running.pop(name)
        while _members({process.pid}):
            _signal_sessions({process.pid}, signal.SIGKILL)
            process.poll()
            time.sleep(0.05)
        process.wait()

    def terminate(self, name: str) -> None:
        """Ask a service to end, and wait until it has."""
        process = self._running.pop(name)
        process.terminate()
        process.wait(STARTS_WITHIN)

    def set_aside(self, name: str) -> subprocess.Popen[bytes] | None:
        """Leave a service out of :meth:`stop`; whoever asks must end it."""
        return self._running.pop(name, None)

    def members(self, name: str) -> list[int]:
        """The ids of a service's process and of all that came of it."""
        return _members({self._running[name].pid})

    def holds(self, pid: int) -> bool:
        """Whether this is a process that came of one of ours."""
        with contextlib.suppress(OSError):
            return os.getsid(pid) in {process.pid for process in self._running.values()}
        return False


class Database:
    """What Airflow keeps its state in: a PostgreSQL of our own, or SQLite where there is none."""

    def __init__(self, scratch: Path, services: Processes, *, sqlite: bool) -> None:
        self._services = services
        self._folder = scratch / "postgres"
        self._socket_port = _free_port()
        self._binaries = None if sqlite else _postgres_binaries()
        self.name = "SQLite" if self._binaries is None else f"PostgreSQL {self._binaries.parent.name}"
        if self._binaries is None and not sqlite:
            self.name += " (no PostgreSQL with its two Python drivers is installed)"

    def start(self) -> dict[str, str]:
        """Start it and return what Airflow must know of it."""
        if self._binaries is None:
            return {}
        password = secrets.token_hex(12)
        self._folder.mkdir(mode=0o700)
        password_file = self._folder / "password"
        password_file.write_text(password)
        data = self._folder / "data"
        prefix = self._as_somebody_else()
        options = ["--username=airflow", f"--pwfile={password_file}", "--auth=scram-sha-256", "--no-sync"]
        command = [*prefix, str(self._binaries / "initdb"), f"--pgdata={data}", *options, "--encoding=UTF8"]
        self._services.run("initdb", command, os.environ, self._folder)
        settings = {
            "port": self._socket_port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 300,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*prefix, str(self._binaries / "postgres"), "-D", str(data), *flags]
        self._services.start("PostgreSQL", command, os.environ, self._folder)
        self._wait_until_ready(password)
        address = f"airflow:{password}@{LOOPBACK}:{self._socket_port}/postgres"
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}"}

    def _as_somebody_else(self) -> list[str]:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return []
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        for path in (self._folder, *self._folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]

    def _wait_until_ready(self, password: str) -> None:
        import psycopg2

        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            self._services.check()
            with contextlib.suppress(psycopg2.OperationalError):
                psycopg2.connect(
                    host=LOOPBACK,
                    port=self._socket_port,
                    user="airflow",
                    password=password,
                    dbname="postgres",
                ).close()
                return
            if time.monotonic() > deadline:
                raise NotReadyError("PostgreSQL did not become ready in time.")
            time.sleep(0.1)

    @staticmethod
    def stop(process: subprocess.Popen[bytes] | None) -> None:
        """End it at once, together with its backends, which have sessions of their own."""
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(STARTS_WITHIN)


class LiveAirflow(Airflow):
    """A private Airflow, the triggerers of which come and go."""

    def __init__(self, home: Path, dags: Path, services: Processes) -> None:
        super().__init__(home, dags, services)
        self._processes = services
        self._env: dict[str, str] = {}
        self._schedulers = 0
        self._triggerers = 0
        self._jobs: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self, env: Mapping[str, str]) -> None:
        """Prepare the database and start all but the triggerers."""
        self._env = dict(env)
        self.home.mkdir(parents=True, exist_ok=True)
        self._passwords_file.touch(mode=0o600)
        self._passwords_file.write_text(f'{{"admin": "{self.password}"}}')
        self._services.run("database set-up", [*AIRFLOW, "db", "migrate"], env, self.home)
        self.start_api_server()
        self._services.start("DAG processor", [*AIRFLOW, "dag-processor"], env, self.home)
        self.start_scheduler()

    def start_api_server(self) -> None:
        self._services.start(API_SERVER, [*AIRFLOW, "api-server"], self._env, self.home)

    def kill_api_server(self) -> None:
        self._processes.kill(API_SERVER)

    def start_scheduler(self) -> str:
        self._schedulers += 1
        name = f"scheduler {self._schedulers}"
        self._services.start(name, [*AIRFLOW, "scheduler", "--skip-serve-logs"], self._env, self.home)
        return name

    def kill_scheduler(self) -> None:
        """Kill it with its workers and all tasks that run in them."""
        self._processes.kill(f"scheduler {self._schedulers}")

    def start_triggerer(self) -> str:
        """Start one more; it can be waited for with :meth:`wait_for_triggerer`."""
        self._triggerers += 1
        name = f"triggerer {self._triggerers}"
        self._services.start(name, [*AIRFLOW, "triggerer", "--skip-serve-logs"], self._env, self.home)
        return name

    def wait_for_triggerer(self, name: str) -> int:
        """Return the id of its job once it has one. One triggerer must be waited for before the next starts."""
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            self._services.check()
            known = set(self._jobs.values())
            with contextlib.suppress(NotReadyError):
                path = "/api/v2/jobs?job_type=TriggererJob&job_state=running&limit=100"
                new = {job["id"] for job in self._call("GET", path)["jobs"]} - known
                if new:
                    self._jobs[name] = new.pop()
                    return self._jobs[name]
            time.sleep(BETWEEN_LOOKS)
        raise NotReadyError(f"{name} did not become ready in time.")

    def end_triggerer(self, name: str) -> None:
        """Ask a triggerer to end, and wait until it has."""
        self._processes.terminate(name)

    def job(self, name: str) -> int:
        """The id under which Airflow knows a triggerer that was waited for."""
        return self._jobs[name]

    def log_in(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            self._services.check()
            try:
                body = {"username": "admin", "password": self.password}
                self._token = self._call("POST", "/auth/token", body)["access_token"]
            except NotReadyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(BETWEEN_LOOKS)
            else:
                return

    def has(self, dag_id: str) -> bool:
        return self._knows(dag_id)

    # --- the hands of a person ------------------------------------------------------------------------------

    def run_dag(self, dag_id: str, run_id: str, conf: Mapping[str, str]) -> None:
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        self._write("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", body, done="409")

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int | None) -> None:
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}"
        path += "" if map_index is None else f"/{map_index}"
        self._write("PATCH", path, {"new_state": state}, done="409")

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self._write("POST", f"/api/v2/dags/{quote(dag_id)}/clearTaskInstances", body)

    def all_tasks(self) -> list[dict[str, Any]]:
        """Every task instance there is."""
        return self._all("/api/v2/dags/~/dagRuns/~/taskInstances?order_by=id", "task_instances")

    def assets(self) -> list[dict[str, Any]]:
        return self._all("/api/v2/assets?order_by=id", "assets")

    def asset_events(self) -> list[dict[str, Any]]:
        """Every asset event there is, oldest first."""
        return self._all("/api/v2/assets/events?order_by=timestamp", "asset_events")

    def remembers(self, asset: Mapping[str, Any], key: str) -> bool:
        """Whether an asset's state store has a value for the key."""
        try:
            self._call("GET", f"/api/v2/assets/{asset['id']}/state-store/{quote(key)}")
        except NotReadyError as error:
            if " answers 404 " in str(error):
                return False
            raise
        return True

    def _all(self, path: str, what: str) -> list[dict[str, Any]]:
        """All pages of a list."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"{path}&limit=100&offset={len(found)}")[what]
            found += page
            if len(page) < 100:
                return found

    def _write(self, method: str, path: str, body: Mapping[str, Any], *, done: str = "done") -> None:
        """Airflow may answer 500 to writes that meet (on SQLite they do): try again.

        ``done`` is the status of an answer that says, after such a 500, that it had been done all the same.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._lock:
                    self._call(method, path, body)
            except NotReadyError as error:
                if attempt > 1 and f"answers {done} " in str(error):
                    return
                if attempt == ATTEMPTS or " answers 4" in str(error):
                    raise
                time.sleep(attempt * 0.5)
            else:
                return

    def quarrels(self, dag_id: str, run_id: str) -> list[str]:
        """Lines in which the scheduler says that its executor and the database disagree about the task of a run."""
        about = f"{dag_id}.{TASK} {run_id} "
        lines: list[str] = []
        for number in range(1, self._schedulers + 1):
            text = self._services.log(f"scheduler {number}").read_text(errors="replace")
            lines += [line for line in text.splitlines() if "finished with state" in line and about in line]
        return lines

    def task_logs(self, dag_id: str, run_id: str) -> str:
        """All that was logged by the task of a run and by its triggers."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
        return "\n".join(path.read_text(errors="replace") for path in folder.rglob("*.log*"))


class Watch(threading.Thread):
    """One reader of Airflow's task instances for all who wait for one."""

    def __init__(self, airflow: LiveAirflow) -> None:
        super().__init__(daemon=True, name="watch")
        self._airflow = airflow
        self._stopped = threading.Event()
        self._tasks: dict[tuple[str, str], dict[str, Any]] = {}
        # The states and tries that were seen, in order.
        self._seen: dict[tuple[str, str], list[str]] = {}

    def run(self) -> None:
        while not self._stopped.wait(BETWEEN_LOOKS):
            with contextlib.suppress(NotReadyError):
                tasks = self._airflow.all_tasks()
                # Of mapped tasks the first is the one that is disturbed.
                firsts = [task for task in tasks if task["map_index"] <= 0]
                self._tasks = {(task["dag_id"], task["dag_run_id"]): task for task in firsts}
                for key, task in self._tasks.items():
                    self._note(key, f"{task['state'] or 'none'}/{task['try_number']}")

    def _note(self, key: tuple[str, str], state: str) -> None:
        seen = self._seen.setdefault(key, [])
        if not seen or seen[-1] != state:
            seen.append(state)

    def stop(self) -> None:
        self._stopped.set()

    def seen(self, dag_id: str, run_id: str) -> list[str]:
        return self._seen.get((dag_id, run_id), [])

    def task(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        return self._tasks.get((dag_id, run_id))


def sync_id_of(event: Mapping[str, Any]) -> str:
    """Which sync an asset event tells of."""
    extra = event["extra"]
    record = extra.get("payload", extra)
    return str(record.get("sync_id"))


def _postgres_binaries() -> Path | None:
    """The newest that Debian's packages have installed, or that the PATH finds, if Python can talk to it."""
    if not all(importlib.util.find_spec(driver) for driver in ("psycopg2", "asyncpg")):
        return None
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    found.sort(key=lambda folder: _number(folder.parent.name))
    on_path = shutil.which("postgres")
    if not found and on_path:
        found = [Path(on_path).resolve().parent]
    return found[-1] if found else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0


def until(reached: Callable[[], bool], seconds: float, check: Callable[[], None]) -> bool:
    """Whether it was reached within so many seconds."""
    deadline = time.monotonic() + seconds
    while not reached():
        check()
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
