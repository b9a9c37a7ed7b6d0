"""The JSON shapes of the API's answers, made from the records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .connector_types import secret_fields
from .schedules import shape_schedule

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .records import Connection, Group, Run, User
    from .source import Column, Source, Table
    from .transformations import Transformation
    from .webhooks import Webhook

_MASK = "******"
_SECRET_WORDS = ("password", "secret", "token", "private_key", "api_key", "passphrase", "credentials")


def timestamp(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with microseconds and ``Z``, as Fivetran writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment is not None else None


def shape_connection(connection: Connection) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": connection.id,
        "group_id": connection.group_id,
        "service": connection.service,
        "service_version": connection.service_version,
        "schema": connection.schema,
        "connected_by": connection.connected_by,
        "created_at": timestamp(connection.created_at),
        "succeeded_at": timestamp(connection.succeeded_at),
        "failed_at": timestamp(connection.failed_at),
        "paused": connection.paused,
        "pause_after_trial": connection.pause_after_trial,
        "sync_frequency": connection.sync_frequency,
        "data_delay_threshold": connection.data_delay_threshold,
        "data_delay_sensitivity": connection.data_delay_sensitivity,
        "networking_method": connection.networking_method,
        "private_link_id": None,
        "proxy_agent_id": None,
        "hybrid_deployment_agent_id": None,
        "schedule_type": connection.schedule_type,
        "schedule": shape_schedule(connection),
        "source_sync_details": {},
        "config": mask(connection.config, secret_fields(connection.service)),
        "status": _shape_status(connection),
        **connection.settings,
    }
    if connection.sync_frequency == 1440 and connection.daily_sync_time is not None:  # noqa: PLR2004 - a day
        shape["daily_sync_time"] = connection.daily_sync_time
    return shape


def _shape_status(connection: Connection) -> dict[str, Any]:
    return {
        "setup_state": connection.setup_state,
        "schema_status": "ready",
        "sync_state": connection.sync_state,
        "update_state": connection.update_state,
        "is_historical_sync": connection.historical,
        "rescheduled_for": timestamp(connection.rescheduled_for),
        "tasks": connection.tasks,
        "warnings": connection.warnings,
    }


def shape_run(run: Run, running_status: str) -> dict[str, Any]:
    """One entry of the sync history."""
    extract, process, load = run.volume_mb
    shape: dict[str, Any] = {
        "sync_id": run.sync_id,
        "start": timestamp(run.started_at),
        "end": timestamp(run.ended_at),
        "status": running_status if run.running else run.status,
        "stages": {"extract": {"volume": extract}, "process": {"volume": process}, "load": {"volume": load}},
    }
    if run.reason:
        shape["reason"] = run.reason
    return shape


def shape_warnings(connection: Connection) -> list[dict[str, Any]]:
    created_at = timestamp(connection.warned_at or connection.created_at)
    rows = [
        {"code": warning["code"], "message": str(warning.get("message", "")), "created_at": created_at}
        for warning in connection.warnings
        if "code" in warning
    ]
    return [{"schema": connection.schema, "warnings": rows}] if rows else []


def shape_errors(connection: Connection) -> list[dict[str, Any]]:
    created_at = timestamp(connection.failed_at or connection.created_at)
    return [
        {
            "type": str(task.get("code", "unknown_sync_failure")),
            "title": str(task.get("code", "")).replace("_", " ").capitalize(),
            "reason": str(task.get("message", "")),
            "message": str(task.get("message", "")),
            "created_at": created_at,
        }
        for task in connection.tasks
    ]


def shape_schemas(source: Source) -> dict[str, Any]:
    """The schema config: all schemas and tables, and the columns that somebody has ever touched."""
    return {
        "enable_new_by_default": source.handling == "ALLOW_ALL",
        "schema_change_handling": source.handling,
        "schemas": {
            schema.name: {
                "name_in_destination": schema.name_in_destination,
                "enabled": schema.enabled,
                "tables": {table.name: _shape_table(table) for table in schema.tables.values()},
            }
            for schema in source.schemas.values()
        },
    }


def _shape_table(table: Table) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name_in_destination": table.name,
        "enabled": table.enabled,
        "supports_columns_config": table.takes_columns,
        "supports_history_mode": table.takes_history,
        "enabled_patch_settings": _shape_lock(table.lock, table.lock_reason),
        "columns": shape_columns([column for column in table.columns.values() if column.touched]),
    }
    return shape if table.sync_mode is None else {**shape, "sync_mode": table.sync_mode}


def shape_columns(columns: Iterable[Column]) -> dict[str, Any]:
    return {
        column.name: {
            "name_in_destination": column.name,
            "enabled": column.enabled,
            "hashed": column.hashed,
            "enabled_patch_settings": _shape_lock(column.lock, None),
        }
        for column in columns
    }


def _shape_lock(code: str | None, reason: str | None) -> dict[str, Any]:
    if code is None:
        return {"allowed": True}
    return {"allowed": False, "reason_code": code, **({} if reason is None else {"reason": reason})}


def shape_group(group: Group) -> dict[str, Any]:
    return {"id": group.id, "name": group.name, "created_at": timestamp(group.created_at)}


def shape_destination(group: Group, *, with_config: bool) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": group.id,
        "group_id": group.id,
        "service": group.service,
        "region": group.region,
        "time_zone_offset": group.time_zone_offset,
        "setup_status": group.setup_status,
        "daylight_saving_time_enabled": True,
        "networking_method": "Directly",
        "private_link_id": None,
        "proxy_agent_id": None,
        "hybrid_deployment_agent_id": None,
    }
    return {**shape, "config": mask(group.config), "setup_tests": []} if with_config else shape


def shape_user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "given_name": user.given_name,
        "family_name": user.family_name,
        "verified": not user.invited,
        "invited": user.invited,
        "picture": user.picture,
        "phone": user.phone,
        "role": user.role,
        "active": user.active,
        "logged_in_at": timestamp(user.created_at),
        "created_at": timestamp(user.created_at),
    }


def shape_webhook(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "type": webhook.type,
        "group_id": webhook.group_id,
        "url": webhook.url,
        "events": webhook.events,
        "active": webhook.active,
        "secret": _MASK if webhook.secret else None,
        "created_at": timestamp(webhook.created_at),
        "created_by": webhook.created_by,
    }


def shape_transformation(transformation: Transformation) -> dict[str, Any]:
    return {
        "id": transformation.id,
        "type": transformation.type,
        "status": transformation.status,
        "paused": transformation.paused,
        "schedule": transformation.schedule,
        "created_at": timestamp(transformation.created_at),
        "created_by_id": transformation.created_by_id,
        "last_started_at": timestamp(transformation.last_started_at),
        "last_ended_at": timestamp(transformation.last_ended_at),
        "output_model_names": transformation.output_model_names,
        "transformation_config": _shape_transformation_config(transformation),
    }


def _shape_transformation_config(transformation: Transformation) -> dict[str, Any]:
    if transformation.type == "QUICKSTART":
        return {"package_name": transformation.name, "connection_ids": [], "excluded_models": []}
    steps = [{"name": "build", "command": "dbt build"}]
    return {"project_id": transformation.project_id, "name": transformation.name, "steps": steps}


def mask(config: dict[str, Any], declared: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A copy with the secrets hidden, as the API never shows one again.

    ``declared`` are the names of fields that are secrets by the metadata of their type.
    """
    return {name: _mask_value(name, value, declared) for name, value in config.items()}


def _mask_value(name: str, value: Any, declared: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return mask(value, declared)
    if name in declared or any(word in name.lower() for word in _SECRET_WORDS):
        return _MASK
    return [_mask_value(name, item, declared) for item in value] if isinstance(value, list) else value


def without_unset(value: Any) -> Any:
    """A copy without the fields that are null, except where the definition demands them to be there."""
    if isinstance(value, dict):
        kept = ("sync_frequency", "start", "end", "volume")
        return {name: without_unset(item) for name, item in value.items() if item is not None or name in kept}
    if isinstance(value, list):
        return [without_unset(item) for item in value]
    return value
