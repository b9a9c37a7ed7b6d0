"""What is known of the two providers that DAG files may have been written for, and what it is called here.

The one is ``fivetran_provider_async`` (distribution ``airflow-provider-fivetran-async``, up to 2.4), the other
``fivetran_provider`` (an older distribution with our own name, up to 1.1.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ASYNC",
    "CLASSES",
    "CONCERNED",
    "DISTRIBUTION",
    "HOOK_METHODS",
    "MENTION",
    "MODULES",
    "OLD",
    "OURS",
    "OperatorOrSo",
    "is_of_a_peer",
    "why_gone",
]

OURS = "airflow_provider_fivetran"
ASYNC = "fivetran_provider_async"
OLD = "fivetran_provider"
DISTRIBUTION = "airflow-provider-fivetran-async"

MENTION = re.compile(rf"\b(?:{ASYNC}|{OLD})(?:\.\w+)*")
"""The name of a peer's package in any text."""

CONCERNED = re.compile(rf"{MENTION.pattern}|\b{DISTRIBUTION}\b")
"""What a file has in it somewhere that has to do with a peer."""

MODULES: Mapping[str, str] = {
    ASYNC: OURS,
    **{f"{ASYNC}.{kind}": f"{OURS}.{kind}" for kind in ("hooks", "operators", "sensors", "triggers")},
    OLD: OURS,
    **{f"{OLD}.{kind}.fivetran": f"{OURS}.{kind}" for kind in ("hooks", "operators", "sensors")},
}
"""Their modules, and where the same things are here."""


@dataclass(frozen=True, slots=True)
class OperatorOrSo:
    """A class that is here too, with what has to be done about the arguments it is called with."""

    kind: Literal["operator", "sensor", "hook"]
    here: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Arguments that have another name here."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """Arguments that do not exist here, or do nothing, and what to do instead."""
    added: Mapping[str, str] = field(default_factory=dict)
    """Arguments, with their values, without which the same call would do something else altogether."""
    kept_with: Mapping[str, str] = field(default_factory=dict)
    """Arguments whose defaults differ on purpose, with the value that does what the peer did."""
    one_of: tuple[str, ...] = ()
    """Arguments of which a call has to give one here."""
    remark: str | None = None
    """What else a person should know about each call."""


_CONN_ID = {"fivetran_conn_id": '"fivetran"'}
_TIMEOUT = {"timeout_seconds": "timeout"}
_RETRIES = {"retry_limit": "fivetran_retry_limit", "retry_delay": "fivetran_retry_delay"}
_SENSED = {"xcom": "completed_after_time", "reschedule_time": "reschedule_wait_time"}
_SENSORS_ONLY_READ = {
    "reschedule_wait_time": "does nothing here: a sensor only reads, and starts nothing after a put-off",
}
_NO_SUCH_ARGUMENTS = {
    "timeout_seconds": "is no argument here: put the seconds into the extra 'timeout' of the Airflow connection",
    "fivetran_conn": "is no argument here: give fivetran_conn_id, the id of an Airflow connection",
}
_SYNC = {
    "deferrable": "True",
    "schedule_type": '"manual"',
    "when_paused": '"unpause"',
    "when_running": '"restart"',
    "when_broken": '"test"',
}
_OLD_SYNC = {name: value for name, value in _SYNC.items() if name != "deferrable"} | {"when_broken": '"fail"'}
_RESYNC = {name: value for name, value in _SYNC.items() if name != "when_running"}

CLASSES: Mapping[str, OperatorOrSo] = {
    f"{ASYNC}.operators.FivetranOperator": OperatorOrSo(
        "operator", f"{OURS}.operators.FivetranOperator", renamed=_TIMEOUT, kept_with=_SYNC
    ),
    f"{ASYNC}.operators.FivetranResyncOperator": OperatorOrSo(
        "operator",
        f"{OURS}.operators.FivetranResyncOperator",
        renamed=_TIMEOUT,
        kept_with=_RESYNC,
        one_of=("scope", "confirm"),
    ),
    f"{ASYNC}.sensors.FivetranSensor": OperatorOrSo(
        "sensor",
        f"{OURS}.sensors.FivetranSensor",
        renamed=_SENSED,
        gone=_SENSORS_ONLY_READ,
        kept_with={"deferrable": "True"},
    ),
    f"{ASYNC}.hooks.FivetranHook": OperatorOrSo(
        "hook", f"{OURS}.hooks.FivetranHook", renamed=_RETRIES, gone=_NO_SUCH_ARGUMENTS
    ),
    f"{OLD}.operators.fivetran.FivetranOperator": OperatorOrSo(
        "operator",
        f"{OURS}.operators.FivetranOperator",
        renamed=_TIMEOUT,
        added=_CONN_ID | {"wait_for_completion": "False"},
        kept_with=_OLD_SYNC,
        remark="it did not wait for its sync there, and wait_for_completion=False keeps that; without this, and "
        "without a sensor behind it, the task itself waits and knows what became of its sync",
    ),
    f"{OLD}.sensors.fivetran.FivetranSensor": OperatorOrSo(
        "sensor", f"{OURS}.sensors.FivetranSensor", renamed=_SENSED, added=_CONN_ID
    ),
    f"{OLD}.hooks.fivetran.FivetranHook": OperatorOrSo(
        "hook", f"{OURS}.hooks.FivetranHook", renamed=_RETRIES, gone=_NO_SUCH_ARGUMENTS, added=_CONN_ID
    ),
}
"""Their public classes that are here too."""

_LINK = "the link of a task is airflow_provider_fivetran.links.FivetranConnectionLink, and is there by itself"
_GONE = {
    f"{ASYNC}.operators.RegistryLink": _LINK,
    f"{OLD}.operators.fivetran.RegistryLink": _LINK,
    f"{ASYNC}.operators.FivetranOperatorAsync": "since version 2 it is FivetranOperator with deferrable=True",
    f"{ASYNC}.sensors.FivetranSensorAsync": "since version 2 it is FivetranSensor with deferrable=True",
    f"{ASYNC}.triggers.FivetranTrigger": "use FivetranSensor with deferrable=True, or, to start DAGs when a sync "
    "ends, a watcher with FivetranSyncEndedTrigger",
    f"{ASYNC}.hooks.FivetranHookAsync": "there is no asynchronous hook; in a worker use FivetranHook, and to wait "
    "in the triggerer FivetranSensor with deferrable=True",
    f"{ASYNC}.utils.operator_utils": "the tables of a connection are assets here: see table_assets",
}


def is_of_a_peer(dotted: str) -> bool:
    """Whether a dotted name leads into one of the two packages."""
    return dotted.partition(".")[0] in {ASYNC, OLD}


def why_gone(dotted: str) -> str:
    """Say of a dotted name of a peer that it is not here, and what to use instead, where that is known."""
    for name, instead in _GONE.items():
        if f"{dotted}.".startswith(f"{name}."):
            return f"{dotted} is not here: {instead}"
    return f"{dotted} is not here"


_NOT_THE_DICT = "here it returns a record with attributes, not a dict"
_SEE_POLICIES = "here start_sync takes when_paused and when_broken, and set_schedule_type sets the schedule"
_WAITS = "here wait_for_sync(ticket) waits for the sync that start_sync(connection_id) gave the ticket of"
HOOK_METHODS: Mapping[str, str] = {
    "check_connector": _SEE_POLICIES,
    "get_connector": f"here it is get_fivetran_connection(connection_id); {_NOT_THE_DICT}",
    "get_connector_async": "there is no asynchronous hook; in a worker use get_fivetran_connection",
    "get_connector_id": "here it is find_connection(connector_name, destination_name).id",
    "get_connector_schemas": f"here it is get_schema_config(connection_id); {_NOT_THE_DICT}",
    "get_connectors": f"here it is list_connections(group_id=...); {_NOT_THE_DICT}",
    "get_destinations": f"here it is get_destination(destination_id); {_NOT_THE_DICT}",
    "get_groups": f"here it is get_group(group_id), or list_groups() for all; {_NOT_THE_DICT}",
    "get_last_sync": "here get_fivetran_connection(connection_id) has succeeded_at and failed_at",
    "get_last_sync_async": "there is no asynchronous hook; get_fivetran_connection has succeeded_at and failed_at",
    "get_metadata": "there is no such method here: Fivetran has taken that API away",
    "get_sync_status": _WAITS,
    "get_sync_status_async": _WAITS,
    "is_synced_after_target_time": _WAITS,
    "is_synced_after_target_time_async": _WAITS,
    "pause_and_restart": "there is no such method here; operators have when_rescheduled",
    "prep_connector": _SEE_POLICIES,
    "set_schedule_type": _NOT_THE_DICT,
    "start_fivetran_sync": f"here start_sync returns a ticket, not a time; {_WAITS.removeprefix('here ')}",
    "test_connector": f"here it is run_setup_tests(connection_id); {_NOT_THE_DICT}",
}
"""Public methods of the peers' hooks that are not here or return something else, with what to do instead."""
