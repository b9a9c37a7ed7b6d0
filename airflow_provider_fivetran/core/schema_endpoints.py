"""The URLs of a connection's schema configuration, as described calls like those of ``endpoints``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.paths import no_data, of_connection, segment
from airflow_provider_fivetran.core.protocol import Call
from airflow_provider_fivetran.core.schema_config import SchemaConfig, columns_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_fivetran.core.policies import ExcludeMode
    from airflow_provider_fivetran.core.schema_config import SourceColumn

__all__ = [
    "change_schema_config",
    "change_source_column",
    "change_source_schema",
    "change_source_table",
    "drop_columns",
    "get_schema_config",
    "get_table_columns",
    "prepare_schema_config",
    "reload_schema_config",
]


def _of_schemas(connection_id: str, *parts: str) -> dict[str, Any]:
    """What all calls about the schemas of a connection share: ``parts`` are names within their path."""
    return of_connection(connection_id, "/schemas" + "".join(f"/{segment(part)}" for part in parts))


def get_schema_config(connection_id: str) -> Call[SchemaConfig]:
    """``GET /v1/connections/{connectionId}/schemas``: schemas and tables, enabled or not, and some columns.

    404 (``NotFound_SchemaConfig``) before Fivetran has read the schema of the source for the first time.
    """
    return Call(method="GET", **_of_schemas(connection_id), read=SchemaConfig.from_json, safe=True)


def prepare_schema_config(connection_id: str, config: Mapping[str, Any]) -> Call[SchemaConfig]:
    """``POST /v1/connections/{connectionId}/schemas``: settings for a schema that Fivetran has still to read.

    Fivetran answers with the settings that it was sent, and tries to apply them after the initial sync has read the
    schema. What cannot be excluded is synced all the same.
    """
    return Call(
        method="POST", **_of_schemas(connection_id), body=config, read=SchemaConfig.from_json, safe=True
    )


def change_schema_config(connection_id: str, changes: Mapping[str, Any]) -> Call[SchemaConfig]:
    """``PATCH /v1/connections/{connectionId}/schemas``: what is not named stays as it is.

    Each schema, table and column that is named has to say whether it is enabled.
    """
    return _change(connection_id, changes)


def change_source_schema(connection_id: str, schema: str, changes: Mapping[str, Any]) -> Call[SchemaConfig]:
    """``PATCH /v1/connections/{connectionId}/schemas/{schemaName}``; ``enabled`` is required."""
    return _change(connection_id, changes, schema)


def change_source_table(
    connection_id: str, schema: str, table: str, changes: Mapping[str, Any]
) -> Call[SchemaConfig]:
    """``PATCH .../schemas/{schemaName}/tables/{tableName}``; ``enabled`` is required."""
    return _change(connection_id, changes, schema, "tables", table)


def change_source_column(
    connection_id: str, schema: str, table: str, column: str, changes: Mapping[str, Any]
) -> Call[SchemaConfig]:
    """``PATCH .../schemas/{schemaName}/tables/{tableName}/columns/{columnName}``; ``enabled`` is required."""
    return _change(connection_id, changes, schema, "tables", table, "columns", column)


def _change(connection_id: str, changes: Mapping[str, Any], *parts: str) -> Call[SchemaConfig]:
    # To set a field to a value twice is the same as once. Fivetran may have to stop a running sync first.
    return Call(
        method="PATCH",
        **_of_schemas(connection_id, *parts),
        body=changes,
        read=SchemaConfig.from_json,
        safe=True,
        slow=True,
    )


def reload_schema_config(connection_id: str, *, exclude_mode: ExcludeMode = "PRESERVE") -> Call[SchemaConfig]:
    """``POST /v1/connections/{connectionId}/schemas/reload``: let Fivetran read the schema of the source anew.

    It may take minutes. Not repeated blindly: each time reads the source, of which only so many are allowed.
    """
    return Call(
        method="POST",
        **_of_schemas(connection_id, "reload"),
        body={"exclude_mode": exclude_mode},
        read=SchemaConfig.from_json,
        slow=True,
        reads_source=True,
    )


def get_table_columns(connection_id: str, schema: str, table: str) -> Call[tuple[SourceColumn, ...]]:
    """``GET .../schemas/{schema}/tables/{table}/columns``: all columns, read from the source at this moment.

    Only for a connection whose setup is ``connected``.
    """
    return Call(
        method="GET",
        **_of_schemas(connection_id, schema, "tables", table, "columns"),
        read=columns_from_json,
        safe=True,
    )


def drop_columns(connection_id: str, columns: Mapping[str, Mapping[str, Sequence[str]]]) -> Call[None]:
    """``POST .../schemas/drop-columns``: the next sync drops these blocked columns, by schema and table.

    409 where one is not blocked (excluded from syncs).
    """
    return Call(
        method="POST",
        **_of_schemas(connection_id, "drop-columns"),
        body={
            "schemas": {
                schema: {"tables": {table: {"columns": list(names)} for table, names in tables.items()}}
                for schema, tables in columns.items()
            }
        },
        read=no_data,
        safe=True,
    )
