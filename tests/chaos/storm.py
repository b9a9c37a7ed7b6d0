"""Many tasks in bad weather: random ends, meddling people and a broken network, and then a look at who was right.

Each task is a real operator on a connection of its own; half of them wait in a worker, half in a trigger. A share of
all requests is disturbed. Afterwards each verdict is compared with the simulator's own record of what happened.
Everything random comes from the seed, so a bad one can be replayed (what the clock decides stays with the clock):

    python tests/chaos/storm.py --seed 7 --tasks 200 --disturbed 0.3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # as a command it has no conftest to give it an Airflow of its own
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_fivetran.exceptions import FivetranError
from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.simulator import Fault, Simulator, SyncPlan
from stories import TaskInstance, execute

if TYPE_CHECKING:
    from airflow_provider_fivetran.simulator import Run

CONN_ID = "fivetran_storm"
# Where a task may end red without a sync having failed: it never came to start one.
NOT_BEGUN = {
    "FivetranConflict",
    "FivetranNotFound",
    "FivetranRateLimited",
    "FivetranServerError",
    "FivetranTriggerUncertain",
    "FivetranUnexpectedAnswer",
    "FivetranUnreachable",
}
WORDS = {
    "succeeded": {"COMPLETED"},
    "failed": {"FAILURE"},
    "cancelled": {"CANCELED", "INCOMPLETE", "PAUSED"},
    "paused": {"CANCELED", "PAUSED", "RESCHEDULED"},
}
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "reset"},
    {"kind": "lost"},
    {"kind": "html"},
    {"kind": "garbage"},
    {"kind": "wrong_shape"},
    {"kind": "slow", "delay": 0.7},
    {"kind": "slow", "delay": 3.0},
)


@dataclass
class Task:
    """One task, what befalls it, and what it made of it."""

    connection_id: str
    arguments: dict[str, Any]
    delay: float
    already_running: bool
    meddling: str | None
    meddling_after: float
    began: datetime | None = None
    record: dict[str, Any] | None = None
    error: str = ""

    @property
    def verdict(self) -> str:
        return self.record["status"] if self.record else self.error


@dataclass
class Report:
    """What became of all tasks."""

    seed: int
    weather: str
    verdicts: Counter[str]
    requests: int
    wrong: list[str]

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.most_common())
        head = f"seed {self.seed} ({self.weather}): {sum(self.verdicts.values())} tasks, {self.requests} requests, "
        return head + f"{len(self.wrong)} wrong; {counts}" + "".join(f"\n  {line}" for line in self.wrong)


def storm(seed: int, tasks: int, disturbed: float) -> Report:
    """Run so many tasks at once and judge their verdicts."""
    luck = random.Random(seed)
    sim = Simulator(seed=seed)
    history = luck.choice([True, True, True, "not_found", "forbidden"])
    sim.switches.update(
        history=history,
        history_lag=luck.choice([0.0, 0.0, 1.0]),
        start_lag=luck.choice([0.0, 0.3]),
        sync_while_running=luck.choice(["ok", "conflict"]),
    )
    cast = [_task(sim, luck, f"c{number}") for number in range(tasks)]
    if disturbed:
        for fault in FAULTS:
            sim.faults.add(Fault(**fault, times=None, probability=disturbed / len(FAULTS)))
    with sim.serving(port=0) as url:
        os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(
            {
                "conn_type": "fivetran",
                "login": "sim-key",
                "password": "sim-secret",
                "host": url,
                "extra": {"timeout": 2},
            }
        )
        asyncio.run(_all(sim, cast))
    weather = f"history {history}, {disturbed:.0%} of requests disturbed"
    wrong = [f"{task.connection_id}: {fault}" for task in cast if (fault := _fault_of(sim, task))]
    return Report(seed, weather, Counter(task.verdict for task in cast), len(sim.requests), wrong)


def _task(sim: Simulator, luck: random.Random, connection_id: str) -> Task:
    outcome = luck.choices(
        ["success", "failure", "rescheduled", "canceled", "incomplete"], [5, 2, 1.5, 0.7, 0.5]
    )[0]
    schedule = luck.choice(["auto", "manual"])
    sim.add_connection(
        connection_id,
        schema=connection_id,
        schedule_type=schedule,
        every=luck.choice([None, None, None, 5.0]) if schedule == "auto" else None,
        plans=[
            SyncPlan(
                duration=luck.uniform(0.1, 4),
                queue_delay=luck.choice([0, 0, 0.5, 1.5]),
                outcome=outcome,
                reschedule_after=luck.uniform(0.5, 2),
            )
        ],
        default_plan=SyncPlan(duration=luck.uniform(0.1, 2.5)),
    )
    return Task(
        connection_id=connection_id,
        arguments={
            "when_running": luck.choice(["attach", "queue", "restart"]),
            "when_paused": "unpause",
            "start_timeout": 40,
            "timeout": 300,
            "poll_frequency": 0.3,
            "fivetran_retry_delay": 0.1,
            "deferrable": luck.random() < 0.5,
        },
        delay=luck.uniform(0, 6),
        already_running=luck.random() < 0.25,
        meddling=luck.choice([None] * 7 + ["cancel", "pause", "delete"]),
        meddling_after=luck.uniform(0.2, 3),
    )


# --- running a task as Airflow does ---------------------------------------------------------------------------


async def _all(sim: Simulator, cast: list[Task]) -> None:
    with ThreadPoolExecutor(len(cast)) as workers:
        await asyncio.gather(*(_run(sim, task, workers) for task in cast))


async def _run(sim: Simulator, task: Task, workers: ThreadPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(task.delay)
    if task.already_running:
        sim.start_sync(task.connection_id)
    if task.meddling is not None:
        loop.call_later(task.meddling_after, getattr(sim, task.meddling), task.connection_id)
    task.began = sim.clock.now()
    ti = TaskInstance(task.connection_id)
    event: Any = None
    try:
        while True:
            left = await loop.run_in_executor(workers, _stage, task, ti, event)
            if left is None:
                break
            [event] = [event.payload async for event in left.trigger.run()]
    except (FivetranError, AirflowFailException) as error:
        cause = error.__cause__ if isinstance(error, AirflowFailException) else error
        task.error = type(cause).__name__
    task.record = ti.xcom_pull(task_ids=task.connection_id, key="fivetran_sync")


def _stage(task: Task, ti: TaskInstance, event: Any) -> TaskDeferred | None:
    """One visit to a worker; what it deferred to, if it did."""
    operator = FivetranOperator(
        task_id=task.connection_id,
        connector_id=task.connection_id,
        fivetran_conn_id=CONN_ID,
        **task.arguments,
    )
    context = {"ti": ti, "task_instance": ti}
    try:
        if event is None:
            execute(operator, context)
        else:
            operator.execute_complete(context, event)
    except TaskDeferred as left:
        return left
    return None


# --- who was right --------------------------------------------------------------------------------------------


def _fault_of(sim: Simulator, task: Task) -> str | None:
    """What is wrong with a verdict, by the simulator's own record; ``None`` if nothing is."""
    runs = [run for run in sim.accepted(task.connection_id) if run.started_at is not None]
    ours = [run for run in runs if run.cause in {"api", "force"}]
    if sim.switches.history is not True:
        # Without a history nothing tells of a sync whose answer was lost and that was stopped before it was seen.
        ours = [run for run in ours[:-1] if run.status in {"COMPLETED", "FAILURE", "RESCHEDULED"}] + ours[-1:]
    put_off = sum(run.status == "RESCHEDULED" for run in runs)
    if len(ours) > 1 + put_off:
        return f"triggered {len(ours)} times, {put_off} of its syncs were put off"
    verdict = task.verdict
    if verdict in WORDS:
        return _fault_of_end(task, runs, ours)
    if verdict == "never_started":
        told = any(run.ended_at is None or run.status in {"COMPLETED", "FAILURE"} for run in ours)
        return "never_started, but it started" if told else None
    if verdict == "gone" or verdict in NOT_BEGUN:
        return None
    return f"ended with {verdict!r}"


def _fault_of_end(task: Task, runs: list[Run], ours: list[Run]) -> str | None:
    record, verdict = task.record or {}, task.verdict
    assert task.began is not None
    possible = [run for run in runs if run.ended_at is None or run.ended_at > task.began]
    if ours:
        possible = [run for run in possible if run.accepted_at >= ours[-1].accepted_at]
    if record["sync_id"] is not None:
        possible = [run for run in possible if run.sync_id == record["sync_id"]]
    elif record["ended_at"] is not None:
        ended_at = datetime.fromisoformat(record["ended_at"])
        possible = [run for run in possible if run.ended_at == ended_at]
    if any(run.status in WORDS[verdict] for run in possible) or (verdict == "paused" and not possible):
        return None
    truth = [(run.cause, run.status, run.sync_id) for run in runs]
    return f"{verdict} ({record['sync_id']}, {record['ended_at']}), but the truth is {truth}"


def main() -> int:
    """Run storms from the command line; 1 if any verdict was wrong."""
    parser = argparse.ArgumentParser(description="Run tasks in bad weather and judge their verdicts.")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="seed of the first storm")
    parser.add_argument("--storms", type=int, default=1, help="how many storms, each with the next seed")
    parser.add_argument("--tasks", type=int, default=50, help="tasks in each storm")
    parser.add_argument("--disturbed", type=float, default=0.3, help="share of requests that are disturbed")
    options = parser.parse_args()
    wrong = 0
    for seed in range(options.seed, options.seed + options.storms):
        report = storm(seed, options.tasks, options.disturbed)
        print(report, flush=True)
        wrong += len(report.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
