"""The schema configuration of a connection: reading, preparing, changing, reloading, and dropping columns."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from airflow_provider_fivetran.simulator.answers import simulator_of, success
from airflow_provider_fivetran.simulator.bodies import CHANGED_SCHEMAS, RELOAD, check_fields, read_body
from airflow_provider_fivetran.simulator.problems import ApiError, conflict, invalid
from airflow_provider_fivetran.simulator.records import Connection
from airflow_provider_fivetran.simulator.rights import readable
from airflow_provider_fivetran.simulator.shapes import shape_columns, shape_schemas
from airflow_provider_fivetran.simulator.source import Source

router = APIRouter()


@router.get("/{connection_id}/schemas")
async def get_schemas(request: Request, connection_id: str) -> JSONResponse:
    source = _captured(readable(request, connection_id))
    return success(request, "Schema config retrieved successfully", shape_schemas(source))


@router.post("/{connection_id}/schemas")
async def prepare_schemas(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    body = await read_body(request) or {}
    if connection.schema_captured:
        raise conflict(f"Connection with id '{connection_id}' has a schema config already")
    connection.source.prepare(body)
    shown = {"schema_change_handling": "ALLOW_ALL", **body, "schemas": _echo(body["schemas"])}
    return success(request, "Schema configuration pre-created successfully", shown)


@router.patch("/{connection_id}/schemas")
async def change_schemas(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    body = await read_body(request) or {}
    check_fields(body, CHANGED_SCHEMAS)
    return _changed(request, connection, body, "Schema configuration has been modified")


@router.patch("/{connection_id}/schemas/{schema_name}")
async def change_schema(request: Request, connection_id: str, schema_name: str) -> JSONResponse:
    connection = readable(request, connection_id)
    body = {"schemas": {schema_name: await read_body(request) or {}}}
    return _changed(request, connection, body, "Database schema configuration has been modified")


@router.patch("/{connection_id}/schemas/{schema_name}/tables/{table_name}")
async def change_table(
    request: Request, connection_id: str, schema_name: str, table_name: str
) -> JSONResponse:
    connection = readable(request, connection_id)
    change = {table_name: await read_body(request) or {}}
    body = _inside(connection, schema_name, change)
    return _changed(request, connection, body, "Table configuration has been modified")


@router.patch("/{connection_id}/schemas/{schema_name}/tables/{table_name}/columns/{column_name}")
async def change_column(
    request: Request, connection_id: str, schema_name: str, table_name: str, column_name: str
) -> JSONResponse:
    connection = readable(request, connection_id)
    table = _captured(connection).table(schema_name, table_name)
    change = {"enabled": table.enabled, "columns": {column_name: await read_body(request) or {}}}
    body = _inside(connection, schema_name, {table_name: change})
    return _changed(request, connection, body, "Column configuration has been modified")


@router.post("/{connection_id}/schemas/reload")
async def reload(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    # That any other mode is refused is likely and not documented.
    body = await read_body(request) or {}
    check_fields(body, RELOAD)
    if connection.setup_state != "connected":
        raise invalid(f"Connection with id '{connection_id}' is not connected to its source")
    connection.source.capture(body.get("exclude_mode", "PRESERVE"))
    connection.schema_captured = True
    if not simulator_of(request).switches.reload_shows_schemas:
        return success(request, "Schema reload has been started", {})
    return success(request, "Schema configuration has been reloaded", shape_schemas(connection.source))


@router.get("/{connection_id}/schemas/{schema_name}/tables/{table_name}/columns")
async def get_columns(
    request: Request, connection_id: str, schema_name: str, table_name: str
) -> JSONResponse:
    connection = readable(request, connection_id)
    columns = _captured(connection).live_columns(schema_name, table_name)
    if connection.setup_state != "connected":
        raise invalid(f"Connection with id '{connection_id}' is not connected to its source")
    shape = {"columns": shape_columns(columns)}
    return success(request, "Column configuration retrieved successfully", shape)


@router.post("/{connection_id}/schemas/drop-columns")
async def drop_columns(request: Request, connection_id: str) -> JSONResponse:
    source = _captured(readable(request, connection_id))
    body = await read_body(request) or {}
    if "schemas" not in body:
        raise invalid("Field 'schemas' is required")
    source.drop(body["schemas"])
    return success(request, "Column(s) successfully marked for deletion")


def _captured(connection: Connection) -> Source:
    if not connection.schema_captured:
        raise ApiError(
            404, "NotFound_SchemaConfig", f"Connection with id '{connection.id}' has no schema config"
        )
    return connection.source


def _inside(connection: Connection, schema: str, tables: dict[str, Any]) -> dict[str, Any]:
    """A change within a schema that stays as it is."""
    enabled = _captured(connection).schema(schema).enabled
    return {"schemas": {schema: {"enabled": enabled, "tables": tables}}}


def _changed(request: Request, connection: Connection, body: dict[str, Any], message: str) -> JSONResponse:
    source = _captured(connection)
    switches = simulator_of(request).switches
    if connection.sync_state == "syncing" and switches.stop_fails:
        raise conflict("Failed to stop in-progress sync after trying for 60 seconds")
    if switches.schema_changes_take_effect:
        source.change(body)
    return success(request, message, shape_schemas(source))


def _echo(schemas: dict[str, Any]) -> dict[str, Any]:
    """The settings of the request in the shape of an answer, which needs names and what can be changed."""

    def column(name: str, one: dict[str, Any]) -> dict[str, Any]:
        return {
            "hashed": False,
            **one,
            "name_in_destination": name,
            "enabled_patch_settings": {"allowed": True},
        }

    def table(name: str, one: dict[str, Any]) -> dict[str, Any]:
        return {
            **one,
            "name_in_destination": name,
            "columns": {each: column(each, value) for each, value in one.get("columns", {}).items()},
            "enabled_patch_settings": {"allowed": True},
            "supports_columns_config": True,
            "supports_history_mode": True,
        }

    return {
        name: {
            **schema,
            "name_in_destination": name,
            "tables": {each: table(each, value) for each, value in schema.get("tables", {}).items()},
        }
        for name, schema in schemas.items()
    }
