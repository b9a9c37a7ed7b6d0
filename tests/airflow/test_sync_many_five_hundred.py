"""Five hundred connections, of which a fifth fails, in one task: what it tells, what it asks, and what it holds."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_fivetran.exceptions import FivetranSyncsFailed
from airflow_provider_fivetran.simulator import SyncPlan
from many import ManyTask
from stories import across_processes, all_events, execute, rebuilt

CONNECTIONS, AT_ONCE = 500, 100
NAMES = [f"c{number:03}" for number in range(CONNECTIONS)]
BAD = set(NAMES[::5])
GOOD_PLAN = SyncPlan(duration=5)
BAD_PLAN = SyncPlan(duration=5, outcome="failure", reason="the source is locked")


@pytest.fixture
def account(deferrable):
    for name in NAMES:
        deferrable.sim.add_connection(name, default_plan=BAD_PLAN if name in BAD else GOOD_PLAN)
    return deferrable


def by_kind(requests):
    """How many requests of which kind."""
    kinds = Counter()
    for request in requests:
        last = request.path.rsplit("/", 1)[-1]
        kinds[f"{request.method} {'connection' if last in NAMES else last}"] += 1
    return kinds


@pytest.mark.timeout(600)
def test_each_is_told_with_few_requests_and_one_worker_slot_at_a_time(account):
    task = ManyTask(
        account, name_pattern="c*", max_parallel=AT_ONCE, poll_frequency=None, when_some_fail="fail"
    )
    began, in_workers, visits, largest = time.monotonic(), 0.0, 0, 0
    step = lambda: execute(task.make(), task.context)  # noqa: E731
    while True:
        entered = time.monotonic()
        visits += 1
        try:
            step()
        except TaskDeferred as deferral:
            in_workers += time.monotonic() - entered
            largest = max(largest, len(str(deferral.trigger.serialize())))
            [event] = asyncio.run(all_events(rebuilt(deferral.trigger)))
            given = across_processes({"event": event})
            step = lambda: task.make().resume_execution("execute_complete", given, task.context)  # noqa: B023, E731
        except FivetranSyncsFailed as error:
            in_workers += time.monotonic() - entered
            failure = error
            break
    took = time.monotonic() - began

    told = task.ti.xcom_pull(task_ids="task", key="fivetran_syncs")
    assert told["counts"] == {"succeeded": CONNECTIONS - len(BAD), "failed": len(BAD)}
    assert {each["connection_id"] for each in told["connections"] if each["status"] == "failed"} == BAD
    for each in told["connections"]:
        is_bad = each["connection_id"] in BAD
        assert ("the source is locked" in (each["reason"] or "")) == is_bad
        assert each["link"].endswith(each["connection_id"])
        assert (each["ended_at"] is not None) or is_bad
    assert str(failure).startswith("100 of 500 Fivetran connections did not sync well")

    syncs = [account.sim.runs(name) for name in NAMES]
    assert [len(runs) for runs in syncs] == [1] * CONNECTIONS
    moments = sorted([(runs[0].started_at, 1) for runs in syncs] + [(runs[0].ended_at, -1) for runs in syncs])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    assert most <= AT_ONCE

    kinds = by_kind(account.heard)
    total = sum(kinds.values())
    sys.stdout.write(
        f"{CONNECTIONS} connections, {len(BAD)} fail, at most {most} at once: {took:.0f} s, {total} requests "
        f"({', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}), {visits} visits to a worker of "
        f"{in_workers:.1f} s in all, never two at once; largest trigger {largest} characters\n"
    )
    assert kinds["POST sync"] == CONNECTIONS
    assert total <= 5 * CONNECTIONS
    assert visits <= 2 * CONNECTIONS / AT_ONCE + 5
