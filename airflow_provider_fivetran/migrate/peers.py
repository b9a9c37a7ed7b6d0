"""What is known of the two providers that DAG files may have been written for, and what it is called here.

The one is ``fivetran_provider_async`` (distribution ``airflow-provider-fivetran-async``, up to 2.4), the other
``fivetran_provider`` (an older distribution with our own name, up to 1.1.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ASYNC",
    "CLASSES",
    "CONCERNED",
    "DISTRIBUTION",
    "HERE_TOO",
    "HOOK_MEMBERS",
    "MENTION",
    "MISSING_HERE",
    "MODULES",
    "OLD",
    "OURS",
    "OperatorOrSo",
    "is_missing_here",
    "is_of_a_peer",
    "why_gone",
]

OURS = "airflow_provider_fivetran"
ASYNC = "fivetran_provider_async"
OLD = "fivetran_provider"
DISTRIBUTION = "airflow-provider-fivetran-async"

MENTION = re.compile(rf"\b(?:{ASYNC}|{OLD})(?:\.\w+)*")
"""The name of a peer's package in any text."""

CONCERNED = re.compile(
    rf"{MENTION.pattern}|\b{DISTRIBUTION}\b|\bfrom[ \t]+{OURS}\b|\bimport\b[^\r\n]*\b{OURS}\b"
)
"""What a file has in it somewhere that has to do with a peer, or that imports this package."""

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
    is_ours: bool = False
    """It is imported from here already, so that a file may have been written for it, or rewritten."""


_CONN_ID = {"fivetran_conn_id": '"fivetran"'}
_TIMEOUT = {"timeout_seconds": "timeout"}
_RETRIES = {"retry_limit": "fivetran_retry_limit", "retry_delay": "fivetran_retry_delay"}
_SENSED = {"xcom": "completed_after_time", "reschedule_time": "reschedule_wait_time"}
_SENSORS_ONLY_READ = {
    "reschedule_wait_time": "does nothing in this provider, whose sensors only read and start no sync: remove it",
}
_NO_SUCH_ARGUMENTS = {
    "timeout_seconds": "is no argument of this provider's hook: put the seconds into the extra 'timeout' of the "
    "Airflow connection",
    "fivetran_conn": "is no argument of this provider's hook: give fivetran_conn_id instead",
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

_OF_PEERS: Mapping[str, OperatorOrSo] = {
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
        remark="it did not wait for its sync, and wait_for_completion=False keeps that; remove this, and the sensor "
        "behind it, and the task itself waits and knows what became of its sync",
    ),
    f"{OLD}.sensors.fivetran.FivetranSensor": OperatorOrSo(
        "sensor", f"{OURS}.sensors.FivetranSensor", renamed=_SENSED, added=_CONN_ID
    ),
    f"{OLD}.hooks.fivetran.FivetranHook": OperatorOrSo(
        "hook", f"{OURS}.hooks.FivetranHook", renamed=_RETRIES, gone=_NO_SUCH_ARGUMENTS, added=_CONN_ID
    ),
}
CLASSES: Mapping[str, OperatorOrSo] = {
    **_OF_PEERS,
    **{
        known.here: replace(known, kept_with={}, is_ours=True)
        for name, known in _OF_PEERS.items()
        if name.startswith(f"{ASYNC}.")
    },
}
"""Their public classes that are here too, and the same imported from here, with what a person was left with."""

_LINK = "its tasks have airflow_provider_fivetran.links.FivetranConnectionLink by themselves"
_GONE_OF_ASYNC = {
    "operators.RegistryLink": _LINK,
    "operators.FivetranOperatorAsync": "use FivetranOperator with deferrable=True",
    "sensors.FivetranSensorAsync": "use FivetranSensor with deferrable=True",
    "triggers.FivetranTrigger": "use FivetranSensor with deferrable=True, or, to start DAGs when a sync ends, a "
    "watcher with FivetranSyncEndedTrigger",
    "hooks.FivetranHookAsync": "use FivetranHook in a worker, and FivetranSensor with deferrable=True to wait in "
    "the triggerer",
    "utils.operator_utils": "the tables of a connection are assets, see table_assets",
}
MISSING_HERE: Mapping[str, str] = {
    **{f"{OURS}.{name}": instead for name, instead in _GONE_OF_ASYNC.items()},
    **{f"{OURS}.{kind}.fivetran": f"it is {OURS}.{kind}" for kind in ("hooks", "operators", "sensors")},
}
"""What one gets who only puts our package's name into an import from a peer."""

_GONE = {
    **MISSING_HERE,
    **{f"{ASYNC}.{name}": instead for name, instead in _GONE_OF_ASYNC.items()},
    f"{OLD}.operators.fivetran.RegistryLink": _LINK,
}


def is_of_a_peer(dotted: str) -> bool:
    """Whether a dotted name leads into one of the two packages."""
    return dotted.partition(".")[0] in {ASYNC, OLD}


def is_missing_here(dotted: str) -> bool:
    """Whether a dotted name is one of a peer that only got the name of our package put before it."""
    return any(f"{dotted}.".startswith(f"{name}.") for name in MISSING_HERE)


def why_gone(dotted: str) -> str:
    """Say of a dotted name that it is not here, and what to use instead, where that is known."""
    for name, instead in _GONE.items():
        if f"{dotted}.".startswith(f"{name}."):
            return f"{dotted} does not exist in this provider: {instead}"
    return f"{dotted} does not exist in this provider"


_A_RECORD = "returns a record with attributes, not a dict"
_NONE = "does not exist in this provider"
_SEE_POLICIES = (
    f"{_NONE}: start_sync takes when_paused and when_broken, and set_schedule_type sets the schedule"
)
_WAITS = f"{_NONE}: start_sync(connection_id) returns a ticket, and wait_for_sync(ticket) waits for that sync"
_TIMES = "get_fivetran_connection(connection_id), whose record has succeeded_at and failed_at"
HOOK_MEMBERS: Mapping[str, str] = {
    "_do_api_call": f"{_NONE}: use the method of the hook for that call, or get_conn().session",
    "check_connector": _SEE_POLICIES,
    "conn_id": f"{_NONE}: use fivetran_conn_id",
    "fivetran_conn": f"{_NONE}: use get_connection(fivetran_conn_id)",
    "get_connector": f"{_NONE}: use get_fivetran_connection(connection_id), which {_A_RECORD}",
    "get_connector_async": f"{_NONE}: use get_fivetran_connection(connection_id), in a worker, which {_A_RECORD}",
    "get_connector_id": f"{_NONE}: use find_connection(connector_name, destination_name).id",
    "get_connector_schemas": f"{_NONE}: use get_schema_config(connection_id), which {_A_RECORD}",
    "get_connectors": f"{_NONE}: use list_connections(group_id=...), which returns records, not dicts",
    "get_destinations": f"{_NONE}: use get_destination(destination_id), which {_A_RECORD}",
    "get_groups": f"{_NONE}: use get_group(group_id), which {_A_RECORD}, or list_groups() for all",
    "get_last_sync": f"{_NONE}: use {_TIMES}",
    "get_last_sync_async": f"{_NONE}: use {_TIMES}, in a worker",
    "get_metadata": f"{_NONE}: Fivetran has taken that API away",
    "get_sync_status": _WAITS,
    "get_sync_status_async": _WAITS,
    "is_synced_after_target_time": _WAITS,
    "is_synced_after_target_time_async": _WAITS,
    "pause_and_restart": f"{_NONE}: operators have when_rescheduled",
    "prep_connector": _SEE_POLICIES,
    "retry_delay": f"{_NONE}: use fivetran_retry_delay",
    "retry_limit": f"{_NONE}: use fivetran_retry_limit",
    "set_schedule_type": f"{_A_RECORD}, in this provider",
    "start_fivetran_sync": _WAITS,
    "test_connector": f"{_NONE}: use run_setup_tests(connection_id), which {_A_RECORD}",
    "timeout_seconds": f"{_NONE}: the extra 'timeout' of the Airflow connection says it",
}
"""Methods and attributes of the peers' hooks that are not here or return something else, with what to do instead."""

HERE_TOO = {"set_schedule_type"}
"""Those that are here under the same name."""
