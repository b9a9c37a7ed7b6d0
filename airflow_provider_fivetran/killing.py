"""Telling a task that a person ended from one that goes on: in another triggerer, in its next try, or cleared.

Airflow (3.3) calls a trigger's ``on_kill`` when the trigger leaves its triggerer, which also happens when the task
was cleared and runs anew, and when a stalled triggerer finds that another one has taken its triggers over. And it
ends a worker's process in the same way for a task that was marked failed, for one that was cleared, and on a machine
that shuts down. Seen on 3.3.2; a sync must go on where its task does. So the database is asked.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

__all__ = ["has_ended", "may_be_stopped", "state_in_triggerer", "state_in_worker", "will_be_retried"]

log = logging.getLogger(__name__)

# A cleared task has no state until the scheduler comes to it: what is not one of these words goes on.
_ENDED = frozenset({"failed", "success", "skipped", "removed", "upstream_failed"})
# Whoever sets a task to success wants what comes after it to run, and whoever clears it wants it to go on.
_NEVER_STOPPED = frozenset({"success", "restarting"})
# Seconds to wait for Airflow's answer in a worker that has five until it is killed.
LONGEST_QUESTION = 1.5


def has_ended(state: str | None) -> bool:
    """Whether a task in this state is over for good."""
    return state in _ENDED


def may_be_stopped(state: str | None) -> bool:
    """Whether the sync of a task that was brought into this state may be stopped, if its policy says so."""
    return state not in _NEVER_STOPPED


def will_be_retried(ti: Any, state: str | None) -> bool:
    """Whether Airflow starts the task of a worker that is being ended once more.

    :param ti: the task instance of the worker.
    :param state: what the database says of it; ``None``: not known.
    """
    if has_ended(state):
        return False
    return state == "restarting" or 0 < ti.try_number <= ti.max_tries


async def state_in_triggerer(ti: Any) -> str | None:
    """The state of a trigger's task, as the database has it; ``None`` when it has none at the moment.

    :param ti: the ``task_instance`` of the trigger.
    """
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult  # noqa: PLC0415

    answer = await task_runner.SUPERVISOR_COMMS.asend(
        GetTaskStates(dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[ti.task_id], map_index=ti.map_index)
    )
    return _only_state(answer.task_states, ti) if isinstance(answer, TaskStatesResult) else None


def state_in_worker(ti: Any) -> str | None:
    """The state of a worker's task, as the database has it; ``None`` where Airflow (before 3) cannot be asked.

    For a signal handler: what the signal interrupted may hold the channel to Airflow, so the question has a thread
    and a time limit of its own.
    """
    if not hasattr(ti, "get_task_states"):
        return None
    found: list[str | None] = []

    def ask() -> None:
        try:
            states = ti.get_task_states(
                dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=[ti.task_id], map_index=ti.map_index
            )
            found.append(_only_state(states, ti))
        except Exception:
            log.warning("Airflow does not tell whether this task goes on", exc_info=True)

    question = threading.Thread(target=ask, daemon=True)
    question.start()
    question.join(LONGEST_QUESTION)
    return found[0] if found else None


def _only_state(task_states: dict[str, Any], ti: Any) -> str | None:
    states = list(task_states.get(ti.run_id, {}).values())
    return str(states[0]) if len(states) == 1 and states[0] is not None else None
