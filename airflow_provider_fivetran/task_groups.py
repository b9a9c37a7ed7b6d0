"""One task for each of many connections, in a task group. Making it sends no request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskGroup, XComArg

from airflow_provider_fivetran.arguments import check_ids, check_text, ids_of
from airflow_provider_fivetran.operators import FivetranOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sync_each"]

# What names the connection is for this module to say.
_OURS = ("task_id", "connector_id", "connector_name", "destination_name", "task_group")


def sync_each(
    connections: Sequence[str] | Mapping[str, str] | XComArg, *, group_id: str = "fivetran", **arguments: Any
) -> TaskGroup:
    """Make a task group with a :class:`~airflow_provider_fivetran.operators.FivetranOperator` for each connection.

    Each connection has a task of its own to look at, clear and retry; for hundreds, one
    :class:`~airflow_provider_fivetran.operators.FivetranSyncManyOperator` costs Airflow far less.

    ::

        sync = sync_each({"orders": "iodized_turnip", "crm": "canned_peach"}, deferrable=True, retries=2)
        sync >> transform

    :param connections: ids of connections; or ids by the names that the tasks are to have; or what another task
        returns, a list that is only known when the DAG runs: then it is one mapped task, ``sync``.
    :param group_id: id of the task group.
    :param arguments: of each operator, as for ``FivetranOperator``. To bound how many syncs run at once give a
        ``pool`` that counts deferred tasks (``include_deferred``).
    :raises ValueError: there are no connections, one has no id, two tasks would have the same id, or an argument is
        not allowed.
    """
    check_text("group_id", group_id)
    named = [name for name in _OURS if name in arguments]
    if named:
        raise ValueError(
            f"{' and '.join(named)} are given; allowed are the arguments of FivetranOperator but {', '.join(_OURS)}"
        )
    # Before the group exists: a DAG file may catch the error and go on.
    tasks = {} if isinstance(connections, XComArg) else _task_ids(connections)
    with TaskGroup(group_id=group_id) as group:
        if isinstance(connections, XComArg):
            FivetranOperator.partial(task_id="sync", **arguments).expand(connector_id=connections)
        for task_id, connection_id in tasks.items():
            FivetranOperator(task_id=task_id, connector_id=connection_id, **arguments)
    return group


def _task_ids(connections: Sequence[str] | Mapping[str, str]) -> Mapping[str, str]:
    """The connections by the ids of their tasks."""
    if isinstance(connections, Mapping):
        check_ids("connections", list(connections.values()))
        for name in connections:
            check_text("a name in connections", name)
        return connections
    check_ids("connections", connections)
    return {name: name for name in ids_of("connections", connections)}
