"""Telling a task that a person killed from one that only changed its triggerer, or was cleared.

Airflow (3.3) calls a trigger's ``on_kill`` when the trigger leaves its triggerer, which also happens when the task
was cleared and runs anew, and when a stalled triggerer finds that another one has taken its triggers over. Seen on
3.3.2; a sync must go on in both cases. So the database is asked whether the task is still alive.
"""

from __future__ import annotations

from typing import Any

__all__ = ["is_over"]

# A cleared task has no state until the scheduler comes to it: what is not one of these words goes on.
_OVER = frozenset({"failed", "success", "skipped", "removed", "upstream_failed"})


async def is_over(ti: Any) -> bool:
    """Whether the task of a trigger has ended for good.

    :param ti: the ``task_instance`` of the trigger.
    """
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult  # noqa: PLC0415

    answer = await task_runner.SUPERVISOR_COMMS.asend(
        GetTaskStates(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[ti.task_id], map_index=ti.map_index)
    )
    if not isinstance(answer, TaskStatesResult):
        return False
    states = answer.task_states.get(ti.run_id, {})
    return bool(states) and all(state in _OVER for state in states.values())
