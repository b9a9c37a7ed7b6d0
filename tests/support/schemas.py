"""Schema configurations for tests, written short and read as Fivetran's answers are."""

from __future__ import annotations

from typing import Any

from airflow_provider_fivetran.core.schema_config import SchemaConfig


def locked(code: str, reason: str | None = None) -> dict[str, Any]:
    """Nobody can enable or disable it."""
    said = {} if reason is None else {"reason": reason}
    return {"enabled_patch_settings": {"allowed": False, "reason_code": code, **said}}


def column(enabled: bool = True, **fields: Any) -> dict[str, Any]:
    return {
        "name_in_destination": "x",
        "enabled": enabled,
        "hashed": False,
        "enabled_patch_settings": {"allowed": True},
        **fields,
    }


def table(enabled: bool = True, **fields: Any) -> dict[str, Any]:
    return {
        "name_in_destination": "x",
        "enabled": enabled,
        "sync_mode": "SOFT_DELETE",
        "supports_columns_config": True,
        "supports_history_mode": True,
        "enabled_patch_settings": {"allowed": True},
        "columns": {},
        **fields,
    }


def config(
    handling: str = "ALLOW_ALL", *, off: tuple[str, ...] = (), **schemas: dict[str, Any]
) -> SchemaConfig:
    """A configuration of schemas with tables; those in ``off`` are disabled."""
    return SchemaConfig.from_json(
        {
            "schema_change_handling": handling,
            "schemas": {
                name: {"name_in_destination": name, "enabled": name not in off, "tables": tables}
                for name, tables in schemas.items()
            },
        }
    )
