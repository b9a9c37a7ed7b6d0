"""Turns JSON into plans, faults, connections and whole accounts; refuses what it does not know, in words."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .account import DEFAULT_GROUP
from .checking import check_types
from .faults import Fault
from .mishaps import Mishap
from .records import Connection, Key, SyncPlan
from .transformations import Transformation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .simulator import Simulator

_FLAGS = {
    "paused",
    "historical",
    "pause_after_trial",
    "breaks_setup",
    "takes_effect",
    "may_list",
    "may_read_history",
    "may_write",
    "system",
    "active",
    "schema_captured",
    "resyncs_tables",
    "test_heals",
    "authorized",
    "administrator",
}
_TEXTS = {
    "id",
    "name",
    "key",
    "secret",
    "email",
    "group_id",
    "service",
    "schema",
    "connected_by",
    "kind",
    "outcome",
    "event",
    "webhooks",
    "type",
    "project_id",
}
_LISTS = {
    "plans",
    "tasks",
    "warnings",
    "volume_mb",
    "output_model_names",
    "groups",
    "hidden",
    "permissions",
    "tables",
    "disabled_tables",
}
_OBJECTS = {"plan", "default_plan", "config", "auth", "schedule", "source_tables"}
_TIMES = {"created_at", "succeeded_at", "failed_at"}

# What only the machinery sets.
_INTERNAL = {
    "run",
    "rescheduled",
    "rescheduled_for",
    "retry_at",
    "interval",
    "scheduled_at",
    "enabled_at",
    "past_until",
    "system_key_id",
    "levels",
    "expires_at",
    "pending_resync",
    "warned_at",
    "settings",
    "flexible_schedule",
    "source",
    "runs",
    "starts_at",
    "last_started_at",
    "last_ended_at",
}


def plan_from(data: Mapping[str, Any]) -> SyncPlan:
    values = _checked(data, _names(SyncPlan))
    for name in ("tasks", "warnings"):
        for row in values.get(name, ()):
            check_types(name, row, dict)
    if "volume_mb" in values:
        values["volume_mb"] = _volumes(values["volume_mb"])
    return SyncPlan(**values)


def fault_from(data: Mapping[str, Any]) -> Fault:
    return Fault(**_checked(data, _names(Fault), required=("kind",)))


def mishap_from(data: Mapping[str, Any]) -> Mishap:
    return Mishap(**_checked(data, _names(Mishap), required=("kind",)))


def add_connection(simulator: Simulator, data: Mapping[str, Any]) -> Connection:
    """Add a connection described as JSON; ``plan`` is short for ``default_plan``."""
    values = _checked(data, {*_names(Connection), "plan"}, required=("id",))
    if "plan" in values:
        values["default_plan"] = values.pop("plan")
    if "default_plan" in values:
        values["default_plan"] = plan_from(values["default_plan"])
    values["plans"] = [plan_from(plan) for plan in values.get("plans", ())]
    return simulator.add_connection(values.pop("id"), **values)


def load_account(simulator: Simulator, data: Mapping[str, Any]) -> None:
    """Fill a simulator from a description like that of the ``--account`` file."""
    sections: dict[str, Callable[[Simulator, Mapping[str, Any]], object]] = {
        "keys": _add_key,
        "system_keys": _add_system_key,
        "groups": _add_group,
        "users": _add_user,
        "connections": add_connection,
        "transformations": add_transformation,
        "faults": lambda simulator, row: simulator.faults.add(fault_from(row)),
        "mishaps": lambda simulator, row: simulator.deliveries.mishaps.add(mishap_from(row)),
    }
    allowed = [*sections, "switches", "default_plan"]
    for name in data:
        if name not in allowed:
            raise ValueError(f"section {name!r} is unknown; allowed: {', '.join(allowed)}")
    simulator.switches.update(**data.get("switches", {}))
    if "default_plan" in data:
        simulator.account.set_default_plan(plan_from(data["default_plan"]))
    for name, add in sections.items():
        rows = data.get(name, [])
        check_types(name, rows, list)
        for row in rows:
            check_types(f"{name}[]", row, dict)
            add(simulator, row)


def add_transformation(simulator: Simulator, data: Mapping[str, Any]) -> Transformation:
    values = _checked(data, _names(Transformation), required=("id",))
    return simulator.add_transformation(values.pop("id"), **values)


def _add_key(simulator: Simulator, data: Mapping[str, Any]) -> None:
    simulator.add_key(**_checked(data, _names(Key), required=("key", "secret")))


def _add_system_key(simulator: Simulator, data: Mapping[str, Any]) -> None:
    names = {"id", "name", "key", "secret", "permissions"}
    values = _checked(data, names, required=("name",))
    simulator.add_system_key(values.pop("name"), **values)


def _add_group(simulator: Simulator, data: Mapping[str, Any]) -> None:
    names = {"id", "name", "service", "region", "time_zone_offset", "setup_status", "config"}
    values = _checked(data, names, required=("id",))
    added = simulator.add_group(values.pop("id"), **values)
    always = simulator.account.groups[DEFAULT_GROUP]
    if added.name == always.name and added is not always:
        always.name = DEFAULT_GROUP  # a name that is described is to mean one group


def _add_user(simulator: Simulator, data: Mapping[str, Any]) -> None:
    names = {"id", "email", "given_name", "family_name", "role", "active"}
    values = _checked(data, names, required=("id", "email"))
    simulator.add_user(values.pop("id"), **values)


def _names(record: type) -> set[str]:
    return {field.name for field in fields(record)} - _INTERNAL


def _checked(data: Mapping[str, Any], allowed: set[str], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """A copy in which every name is allowed, every value has its kind, and nothing required is missing."""
    for name in required:
        if name not in data:
            raise ValueError(f"{name} is missing; required: {', '.join(required)}")
    for name in data:
        if name not in allowed:
            raise ValueError(f"field {name!r} is unknown; allowed: {', '.join(sorted(allowed))}")
    return {name: _value(name, value) for name, value in data.items()}


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return _time(name, value)
    for names, kind in ((_FLAGS, bool), (_TEXTS, str), (_LISTS, list), (_OBJECTS, dict)):
        if name in names:
            check_types(name, value, kind)
    return value


def _time(name: str, value: Any) -> datetime:
    check_types(name, value, str)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{name} is {value!r}; allowed: an ISO 8601 time") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _volumes(value: list[Any]) -> tuple[float | None, float | None, float | None]:
    numbers = [item for item in value if item is None or isinstance(item, int | float)]
    try:
        extract, process, load = numbers
    except ValueError as error:
        raise ValueError(f"volume_mb is {value!r}; allowed: a list of three numbers or nulls") from error
    return extract, process, load
