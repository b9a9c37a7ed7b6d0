"""What a snapshot of a large account takes: requests, seconds, memory; with a narrow key, and killed on its way.

``make snapshot`` serves an account from this process and takes each snapshot in a process of its own, with a key
that may only view. The exit code is 1 if a snapshot that was killed and gone on with differs from a whole one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.simulator import Simulator, SyncPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_fivetran.simulator import Request

PATIENCE = 3_600.0
GROUPS, USERS, TRANSFORMATIONS = 20, 100, 200
EVERY, FAILING = 6 * 3600.0, 10
# What a key that may only view cannot do, and two that may see less.
KEYS: dict[str, dict[str, Any]] = {
    "view": {},
    "without-users": {"hidden": ["users", "transformations"]},
    "without-history": {"may_read_history": False},
}
SECRET = "s"  # noqa: S105 - opens nothing but the simulator


@dataclass(frozen=True)
class Scene:
    """One snapshot."""

    name: str
    arguments: dict[str, Any]
    key: str = "view"
    # When it has made such a part of its requests the process is killed, and at the next the next.
    kills: tuple[float, ...] = ()


SCENES = {
    "whole": Scene("JSON Lines", {}),
    "parquet": Scene("Parquet", {"file_format": "parquet"}),
    "lists": Scene("without history", {"history_days": 0}),
    "without-users": Scene("a key that may not see users and transformations", {}, "without-users"),
    "without-history": Scene("a key that may not read the history", {}, "without-history"),
    "killed": Scene(
        "killed after a third and two thirds, then completed (seconds and memory of the last process)",
        {},
        kills=(1 / 3, 2 / 3),
    ),
}


class Counting(Simulator):
    """Counts requests, and does something at one of them."""

    def __init__(self) -> None:
        # Its clock stands, so that all snapshots are of the same moment.
        super().__init__(speed=0)
        self.asked = 0
        self.kill_at: int | None = None
        self.victim: subprocess.Popen[str] | None = None

    def note(self, request: Request) -> None:
        self.asked += request.path != "/v1/account/info"
        if self.victim is not None and self.asked == self.kill_at:
            self.victim.send_signal(signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the snapshots, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", default="1000,5000", help="how many, separated by commas")
    parser.add_argument("--only", default=",".join(SCENES), help=f"of {', '.join(SCENES)}")
    parser.add_argument("--take", help=argparse.SUPPRESS)
    choices = parser.parse_args(arguments)
    if choices.take is not None:
        print(json.dumps(_take(**json.loads(choices.take))))
        return 0
    print("| snapshot | connections | requests | rows | seconds | CPU s | MiB, at first and at most |")
    print("|---|---|---|---|---|---|---|", flush=True)
    differ = False
    scratch = Path(tempfile.mkdtemp(prefix="fivetran-snapshot-"))
    try:
        for count in map(int, choices.connections.split(",")):
            with _account(count) as simulator:
                for name in choices.only.split(","):
                    if name == "parquet" and importlib.util.find_spec("pyarrow") is None:
                        print("| Parquet: pyarrow is not installed |", flush=True)
                        continue
                    _play(SCENES[name], simulator, count, scratch / f"{name}-{count}")
            whole, killed = (scratch / f"{name}-{count}" for name in ("whole", "killed"))
            if whole.exists() and killed.exists():
                same = _rows(whole) == _rows(killed)
                differ = differ or not same
                print(
                    f"\nOf {count:,}: the one that was killed has the {'same' if same else 'OTHER'} rows.\n"
                )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return int(differ)


@contextmanager
def _account(count: int) -> Iterator[Counting]:
    simulator = Counting()
    simulator.switches.hourly_budget = 1_000_000
    for name, rights in KEYS.items():
        simulator.add_key(name, SECRET, may_write=False, webhooks="none", system=True, **rights)
    for number in range(GROUPS):
        simulator.add_group(f"group_{number}", f"Warehouse {number}")
    for number in range(USERS):
        simulator.add_user(f"user_{number}", f"user{number}@example.com")
    for number in range(TRANSFORMATIONS):
        simulator.add_transformation(f"transformation_{number}")
    for number in range(count):
        simulator.add_connection(
            f"connection_{number:05}",
            group_id=f"group_{number % GROUPS}",
            connected_by=f"user_{number % USERS}",
            past_every=EVERY,
            past_failing=FAILING,
            default_plan=SyncPlan(duration=60.0 + number % 600),
        )
    with simulator.serving():
        yield simulator


def _play(scene: Scene, simulator: Counting, count: int, target: Path) -> None:
    simulator.asked = 0
    for part in scene.kills:
        simulator.kill_at = int(count * part)
        _process(scene, simulator, target)
        if (target / "_snapshot.json").exists():
            raise RuntimeError("it was not killed in time")
    simulator.kill_at = None
    taken = _process(scene, simulator, target)
    rows = sum(taken["rows"].values())
    print(
        f"| {scene.name} | {count:,} | {simulator.asked:,} | {rows:,} | {taken['seconds']:.1f} | {taken['cpu']:.1f} "
        f"| {taken['mib_before']:.0f}, {taken['mib']:.0f} |",
        flush=True,
    )


def _process(scene: Scene, simulator: Counting, target: Path) -> dict[str, Any]:
    """Take a snapshot in a process of its own; nothing is told of one that is killed."""
    connection = {"conn_type": "fivetran", "login": scene.key, "password": SECRET, "host": simulator.url}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.snapshot"]
    simulator.victim = subprocess.Popen(
        [*command, "--take", json.dumps({"target": str(target), **scene.arguments})],
        env={**os.environ, "AIRFLOW_CONN_FIVETRAN_BENCH": json.dumps(connection)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said, complaints = simulator.victim.communicate(timeout=PATIENCE)
    code = simulator.victim.returncode
    if code == -signal.SIGKILL and simulator.kill_at is not None:
        return {}
    if code:
        raise RuntimeError(complaints)
    taken: dict[str, Any] = json.loads(said.splitlines()[-1])
    return taken


def _take(**arguments: Any) -> dict[str, Any]:
    """Take a snapshot in this process, and measure it."""
    from airflow_provider_fivetran.hooks import FivetranHook

    with FivetranHook("fivetran_bench") as hook:
        hook.get_account()  # loads what a hook needs in any case
        before = resource.getrusage(resource.RUSAGE_SELF)
        began = time.monotonic()
        summary = hook.take_snapshot(**arguments)
        seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": summary["rows"],
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "mib_before": before.ru_maxrss / 1024,
        "mib": after.ru_maxrss / 1024,
    }


def _rows(target: Path) -> dict[str, list[str]]:
    """All rows by table, in the order in which they were written."""
    return {
        folder.name: [line for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]
        for folder in sorted(target.iterdir())
        if folder.is_dir()
    }


if __name__ == "__main__":
    sys.exit(main())
