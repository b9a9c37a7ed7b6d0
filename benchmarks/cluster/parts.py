"""The parts of the cluster that `make live` does without: Redis, Celery's workers, and several triggerers."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from airflow_server import LOOPBACK, NotReadyError, _free_port
from stage import AIRFLOW, STARTS_WITHIN, LiveAirflow, Processes, until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WORKERS = 2
TASKS_PER_WORKER = 4
# Airflow's own defaults, written down because the time of a hand-over follows from them.
TRIGGERER_HEARTBEAT = 5
TRIGGERER_HEALTH_CHECK_THRESHOLD = 30
TRIGGERER_CAPACITY = 1000


class Parts(Processes):
    """The processes of the cluster, each of which can be looked at."""

    def session(self, name: str) -> int:
        """The session that a service and all that came of it belong to."""
        return self._running[name].pid


class Redis:
    """What carries the tasks from the scheduler to the workers."""

    def __init__(self, scratch: Path, parts: Parts) -> None:
        self._parts = parts
        self._folder = scratch / "redis"
        self._port = _free_port()
        self._password = secrets.token_hex(12)
        self.url = f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def start(self) -> None:
        self._folder.mkdir(mode=0o700)
        configuration = self._folder / "redis.conf"
        configuration.write_text(
            f"bind {LOOPBACK}\nport {self._port}\nrequirepass {self._password}\n"
            f'save ""\nappendonly no\ndir {self._folder}\n',
            encoding="utf-8",
        )
        self._parts.start("Redis", ["redis-server", str(configuration)], os.environ, self._folder)
        if not until(self._answers, STARTS_WITHIN, self._parts.check):
            raise NotReadyError("Redis did not become ready in time.")

    def _answers(self) -> bool:
        import redis

        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


class Cluster(LiveAirflow):
    """An Airflow whose tasks run in Celery's workers."""

    def __init__(self, home: Path, dags: Path, parts: Parts) -> None:
        super().__init__(home, dags, parts)
        self._parts = parts

    def start(self, env: Mapping[str, str]) -> None:
        super().start(env)
        names = [f"worker {number}" for number in range(1, WORKERS + 1)]
        for name in names:
            self._start_worker(name)
        for name in names:
            self._wait_for_worker(name)

    def _start_worker(self, name: str) -> None:
        options = [
            f"--concurrency={TASKS_PER_WORKER}",
            f"--celery-hostname={_host(name)}",
            f"--pid={self.home / _host(name)}.pid",
            "--skip-serve-logs",
        ]
        self._parts.start(name, [*AIRFLOW, "celery", "worker", *options], self._env, self.home)

    def _wait_for_worker(self, name: str) -> None:
        def is_ready() -> bool:
            return f"{_host(name)} ready." in self._parts.log(name).read_text(errors="replace")

        if not until(is_ready, STARTS_WITHIN, self._parts.check):
            raise NotReadyError(f"{name} did not become ready in time.")

    def wait_until_known(self, dag_id: str) -> None:
        """Return when the DAG can be triggered."""
        if not until(lambda: self.has(dag_id), STARTS_WITHIN, self._parts.check):
            raise NotReadyError(f"{dag_id} did not appear.")

    def one_more_triggerer(self) -> str:
        name = self.start_triggerer()
        self.wait_for_triggerer(name)
        return name


def settings(broker: str, tasks: int) -> dict[str, str]:
    """What of Airflow's configuration makes a cluster of it."""
    return {
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__OPERATION_TIMEOUT": "10",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(tasks),
        "AIRFLOW__CORE__MAX_MAP_LENGTH": str(max(tasks, 1024)),
        "AIRFLOW__CORE__PARALLELISM": str(4 * WORKERS * TASKS_PER_WORKER),
        "AIRFLOW__TRIGGERER__CAPACITY": str(TRIGGERER_CAPACITY),
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": str(TRIGGERER_HEARTBEAT),
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TRIGGERER_HEALTH_CHECK_THRESHOLD),
    }


def _host(name: str) -> str:
    return name.replace(" ", "-")


def pause(parts: Parts, seconds: float) -> None:
    """Let some time pass in which all processes must live."""
    until(lambda: False, seconds, parts.check)
