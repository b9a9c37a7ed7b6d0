"""One task for each of many connections, in a task group. Making it sends no request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskGroup, XComArg

from airflow_provider_fivetran.arguments import check_ids, check_text, ids_of, is_known
from airflow_provider_fivetran.operators import FivetranOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sync_each"]

# Characters, in Airflow.
LONGEST_TASK_ID, LONGEST_GROUP_ID = 250, 200

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

    :param connections: ids of connections; or ids by the names that the tasks are to have; each connection once. Or
        what another task returns, a list that is only known when the DAG runs: then it is one mapped task, ``sync``,
        with as many instances as the list has entries.
    :param group_id: id of the task group.
    :param arguments: of each operator, as for ``FivetranOperator``. To bound how many syncs run at once give a
        ``pool`` that counts deferred tasks (``include_deferred``).
    :raises ValueError: there are no connections, one has no id or stands there twice, a task cannot have that name,
        or an argument is not allowed. A DAG file that goes on after an error about ``connections`` or ``group_id``
        has no part of the group in its DAG; of one about the other arguments the operator says, as ever, and what
        was made before it stays in the DAG.
    """
    _check_key("group_id", group_id, "", LONGEST_GROUP_ID)
    named = [name for name in _OURS if name in arguments]
    if named:
        raise ValueError(
            f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} given; allowed are the arguments of "
            f"FivetranOperator but {', '.join(_OURS)}"
        )
    # Before the group exists: what is wrong must leave no half of it in the DAG of a file that goes on.
    tasks = {} if isinstance(connections, XComArg) else _task_ids(connections, group_id)
    with TaskGroup(group_id=group_id) as group:
        if isinstance(connections, XComArg):
            FivetranOperator.partial(task_id="sync", **arguments).expand(connector_id=connections)
        for task_id, connection_id in tasks.items():
            FivetranOperator(task_id=task_id, connector_id=connection_id, **arguments)
    return group


def _task_ids(connections: Sequence[str] | Mapping[str, str], group_id: str) -> dict[str, str]:
    """The connections by the ids of their tasks."""
    if isinstance(connections, Mapping):
        check_ids("connections", list(connections.values()))
        named = list(connections.items())
    else:
        check_ids("connections", connections)
        if not is_known(connections):
            raise ValueError(
                f"connections is {connections!r}, with a template; allowed is one for a connection that has a name, "
                "of which Airflow makes the id of its task: {'orders': '{{ ... }}'}"
            )
        ids_of("connections", connections)
        each = connections.split(",") if isinstance(connections, str) else list(connections)
        named = [(name.strip(), name.strip()) for name in each]
        if isinstance(connections, (set, frozenset)):
            named.sort()
    names: dict[str, str] = {}
    for name, connection_id in named:
        _check_key("a name in connections", name, ".", LONGEST_TASK_ID - len(group_id) - 1)
        if connection_id in names:
            raise ValueError(
                f"connections has {connection_id!r} twice, for the tasks {names[connection_id]!r} and {name!r}; "
                "allowed is each connection once: its tasks would sync it side by side"
            )
        names[connection_id] = name
    return {name: connection_id for connection_id, name in names.items()}


def _check_key(what: str, value: object, also: str, longest: int) -> None:
    """Check what Airflow makes an id of.

    :param also: characters that are allowed in it besides.
    """
    check_text(what, value)
    if not isinstance(value, str) or len(value) > longest or not re.fullmatch(rf"[\w{also}-]+", value):
        raise ValueError(
            f"{what} is {value!r}; allowed are up to {longest} letters, digits and {' '.join(also + '-_')}, of "
            "which Airflow makes an id"
        )
