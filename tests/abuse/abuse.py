"""A real api-server whose webhook receiver is abused: what it answers, how fast, and how it is afterwards.

``python tests/abuse/abuse.py`` takes about three minutes and prints a table; ``--scale 0.05`` makes it short. The
api-server runs on a loopback port, with a database of its own in a scratch folder that is gone afterwards. The exit
code is 1 if an answer was not as it should be, the api-server stopped answering, or an event was lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

# Its parts that start processes serve here too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "example_dags" / "demo"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from airflow_server import Airflow
from attacks import (
    ALIVE,
    ATTACKS,
    CONNECTION,
    FIRST,
    OTHER_SECRET,
    SECOND,
    SECRET,
    WITHOUT_SECRET,
    Siege,
    good,
    wrong_content_type,
)
from client import Client, Outcome
from services import Interrupts, Services, Stopped

if TYPE_CHECKING:
    from attacks import Attack

STARTS_WITHIN = 120.0
AIRFLOW = [sys.executable, "-m", "airflow"]
HOST = "abused.example.com"
# How the rest of the api-server fares meanwhile: asked so often, in seconds.
BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Row:
    """What one attack came to."""

    attack: Attack
    outcome: Outcome
    meanwhile: Outcome
    memory: float
    """Of the api-server afterwards, in MB."""

    @property
    def is_right(self) -> bool:
        return set(self.outcome.answers) <= self.attack.expected and set(self.meanwhile.answers) == {"200"}


class Target:
    """An Airflow of which only the api-server runs."""

    def __init__(self, scratch: Path, services: Services) -> None:
        self._home = scratch / "home"
        self._services = services
        self._airflow = Airflow(self._home, scratch / "dags", services)
        self.port = self._airflow.port
        self._process: psutil.Process | None = None

    def start(self) -> None:
        for folder in (self._home, self._home.parent / "dags", self._home.parent / "tmp"):
            folder.mkdir(parents=True)
        env = self._airflow.environment({"host": HOST, "extra": json.dumps({"webhook_secret": SECRET})})
        env[f"AIRFLOW_CONN_{FIRST.upper()}"] = env.pop("AIRFLOW_CONN_FIVETRAN_DEFAULT")
        for conn_id, extra in ((SECOND, {"webhook_secret": OTHER_SECRET}), (WITHOUT_SECRET, {})):
            described = {"conn_type": "fivetran", "host": HOST, "extra": json.dumps(extra)}
            env[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(described)
        self._services.run("database set-up", [*AIRFLOW, "db", "migrate"], env, self._home)
        self._make_asset()
        process = self._services.start("API server", [*AIRFLOW, "api-server"], env, self._home)
        self._process = psutil.Process(process.pid)
        deadline = time.monotonic() + STARTS_WITHIN
        while asyncio.run(Client(self.port).send([ALIVE], at_once=1)).answers != {"200": 1}:
            self._services.check()
            if time.monotonic() > deadline:
                raise TimeoutError("the api-server did not answer in time")
            time.sleep(0.2)

    def _make_asset(self) -> None:
        """As a DAG would that is scheduled on it."""
        uri = f"fivetran://{HOST}/{CONNECTION}"
        with self._database() as database, database:
            now = "2026-01-01 00:00:00.000000"
            database.execute(
                'INSERT INTO asset (name, uri, "group", extra, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)',
                (uri, uri, "asset", "{}", now, now),
            )
            database.execute("INSERT INTO asset_active (name, uri) VALUES (?, ?)", (uri, uri))

    def events(self) -> int:
        with self._database() as database:
            return int(database.execute("SELECT count(*) FROM asset_event").fetchone()[0])

    def _database(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._home / "airflow.db", timeout=30))

    def memory(self) -> float:
        """Of the api-server and all that came of it, in MB."""
        assert self._process is not None
        family = [self._process, *self._process.children(recursive=True)]
        return sum(process.memory_info().rss for process in family) / 1e6


async def endure(attack: Attack, target: Target, scale: float) -> Row:
    """Carry out one attack while somebody else uses the api-server."""
    client = Client(target.port)
    meanwhile = Outcome()

    async def look() -> None:
        seen = await client.send([ALIVE], at_once=1)
        meanwhile.add(next(iter(seen.answers)), seen.seconds[0])

    async def use() -> None:
        while not over.is_set():
            await look()
            await asyncio.sleep(BETWEEN_LOOKS)

    over = asyncio.Event()
    user = asyncio.create_task(use())
    outcome = await attack.run(Siege(client, scale))
    over.set()
    await user
    return Row(attack, outcome, meanwhile, target.memory())


def abuse(target: Target, scale: float, *, talk: bool = False) -> tuple[list[Row], list[str]]:
    """Carry out all attacks; return what came of them and what was not as it should be."""
    rows: list[Row] = []
    before = target.memory()
    if talk:
        print(f"The api-server has {before:.0f} MB.\n\n{HEADINGS}")
    for attack in ATTACKS:
        row = asyncio.run(endure(attack, target, scale))
        rows.append(row)
        if talk:
            print(line(row), flush=True)
    wrong = [
        f"{row.attack.name}: {dict(row.outcome.answers)}, {dict(row.meanwhile.answers)}"
        for row in rows
        if not row.is_right
    ]
    should, are = expected_events(rows), target.events()
    if should != are:
        wrong.append(f"{are} events where there should be {should}")
    if talk:
        print(f"\n{are} events for {should} syncs; {target.memory() - before:+.0f} MB.")
    return rows, wrong


def expected_events(rows: list[Row]) -> int:
    """One for each good delivery, one for all that are the same, and those among the slow ones."""
    taken = [row for row in rows if row.attack.run in {good, wrong_content_type}]
    once = sum(row.outcome.answers["200"] for row in taken)
    return once + 1 + 20 * sum("slow-loris" in row.attack.name for row in rows)


HEADINGS = (
    "| what | requests | a second | answered | median | 99 of 100 | slowest | version page meanwhile, slowest | memory after |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    outcome = row.outcome
    answers = ", ".join(f"{count} x {answer}" for answer, count in sorted(outcome.answers.items()))
    note = f" ({outcome.note})" if outcome.note else ""
    times = " | ".join(f"{outcome.percentile(share):,.0f} ms" for share in (0.5, 0.99, 1))
    return (
        f"| {row.attack.name} | {len(outcome.seconds):,} | {outcome.rate:,.0f} | {answers}{note} | {times} "
        f"| {row.meanwhile.percentile(1):,.0f} ms | {row.memory:.0f} MB |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="how much of it; 1 by default")
    scale = parser.parse_args().scale
    interrupts = Interrupts()
    scratch = Path(tempfile.mkdtemp(prefix="fivetran-abuse-"))
    services = Services(scratch, interrupts)
    try:
        target = Target(scratch, services)
        target.start()
        _, wrong = abuse(target, scale, talk=True)
    except Stopped as stopped:
        return stopped.exit_code
    finally:
        interrupts.ignore()
        services.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    print("\n".join(["", *wrong]) if wrong else "\nAll as it should be.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
