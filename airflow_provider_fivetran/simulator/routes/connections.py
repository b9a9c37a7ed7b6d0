"""Connections: listing, reading, creating, changing, deleting, testing."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.account import Account
from airflow_provider_fivetran.simulator.answers import page_of_connections, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import (
    CHANGED_CONNECTION,
    NEW_CONNECTION,
    check_card,
    check_fields,
    read_body,
)
from airflow_provider_fivetran.simulator.problems import invalid
from airflow_provider_fivetran.simulator.records import Connection
from airflow_provider_fivetran.simulator.rights import readable, require_list, visible_connections
from airflow_provider_fivetran.simulator.shapes import shape_connection

router = APIRouter()

# Fields of the body that are kept as they are and shown again.
_PLAIN = (
    "data_delay_sensitivity",
    "data_delay_threshold",
    "daily_sync_time",
    "pause_after_trial",
    "networking_method",
)
_SETTINGS = (
    "private_link_id",
    "proxy_agent_id",
    "hybrid_deployment_agent_id",
    "external_secrets_manager_id",
    "destination_configuration",
    "destination_schema_names",
)
# These say how to carry out a change and change nothing themselves.
_NOT_KEPT = {"run_setup_tests", "trust_certificates", "trust_fingerprints"}


@router.get("")
async def list_connections(request: Request) -> Response:
    require_list(request)
    connections = visible_connections(request, request.query_params.get("group_id"))
    schema = request.query_params.get("schema")
    rows = [row for row in connections if schema is None or row.schema == schema]
    return page_of_connections(request, "Connections list retrieved successfully", rows)


@router.get("/{connection_id}")
async def get_connection(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    return success(request, "Connection details retrieved successfully", shape_connection(connection))


@router.post("")
async def create_connection(request: Request) -> JSONResponse:
    body = await read_body(request) or {}
    for name in ("group_id", "service"):
        if name not in body:
            raise invalid(f"Field '{name}' is required")
    check_fields(body, NEW_CONNECTION)
    check_card(body)
    simulator = simulator_of(request)
    account = simulator.account
    with account.lock:
        account.group(body["group_id"])
        connection = account.add_connection(
            account.new_connection_id(),
            group_id=body["group_id"],
            service=body["service"],
            schema=_schema_name(body),
            setup_state="incomplete",
            paused=body.get("paused", False),
            schedule_type=body.get("schedule_type", "auto"),
            sync_frequency=body.get("sync_frequency", 360),
            config=dict(body.get("config", {})),
            schema_captured=False,
            historical=True,
        )
        _keep(connection, body)
        shape = _shape_with_tests(request, connection, tests=body.get("run_setup_tests", True))
        if "connect_card_config" in body:
            shape["connect_card_config"] = body["connect_card_config"]
            token = f"card-{connection.id}"
            uri = f"https://fivetran.com/connect-card/setup?auth={token}"
            shape["connect_card"] = {"token": token, "uri": uri}
    return success(request, "Connection has been created", shape, 201)


@router.patch("/{connection_id}")
async def change_connection(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    body = await read_body(request) or {}
    check_fields(body, CHANGED_CONNECTION)
    if not body.keys() - _NOT_KEPT:
        raise invalid("At least one field to change is required")
    account = simulator_of(request).account
    with account.lock:
        tests = body.get("run_setup_tests", True)
        if tests:
            simulator_of(request).spend_setup_test()
        _keep(connection, body)
        connection.config.update(body.get("config", {}))
        _move(account, connection_id, body)
        shape = _shape_with_tests(request, connection, tests=tests, counted=True)
    return success(request, "Connection has been updated", shape)


@router.delete("/{connection_id}")
async def delete_connection(request: Request, connection_id: str) -> JSONResponse:
    readable(request, connection_id)
    simulator_of(request).account.delete(connection_id)
    return success(request, f"Connection with id '{connection_id}' has been deleted")


@router.post("/{connection_id}/test")
async def run_setup_tests(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    body = await read_body(request)
    if body is None:
        raise invalid("The request body is required")
    check_fields(body, {"trust_certificates": bool, "trust_fingerprints": bool})
    shape = _shape_with_tests(request, connection, tests=True)
    return success(request, "Setup tests were completed", shape)


def _schema_name(body: dict[str, Any]) -> str:
    config = body.get("config", {})
    name = config.get("schema") or config.get("schema_prefix") or body["service"]
    return str(name)


def _keep(connection: Connection, body: dict[str, Any]) -> None:
    for name in _PLAIN:
        if name in body:
            setattr(connection, name, body[name])
    for name in _SETTINGS:
        if name in body:
            connection.settings[name] = body[name]


def _move(account: Account, connection_id: str, body: dict[str, Any]) -> None:
    """Apply the fields that move the connection. Pausing goes first, so that nothing starts in between."""
    if body.get("paused") is True:
        account.pause(connection_id)
    if "sync_frequency" in body:
        account.set_sync_frequency(connection_id, body["sync_frequency"])
    if "schedule_type" in body:
        account.set_schedule_type(connection_id, body["schedule_type"])
    if body.get("is_historical_sync") is True:
        account.restart_as_historical(connection_id)
    if body.get("paused") is False:
        account.unpause(connection_id)


def _shape_with_tests(
    request: Request, connection: Connection, *, tests: bool, counted: bool = False
) -> dict[str, Any]:
    """The connection, after setup tests if asked for, which cost a share of their own budget."""
    if not tests:
        return shape_connection(connection)
    simulator = simulator_of(request)
    if not counted:
        simulator.spend_setup_test()
    results = simulator.account.run_setup_tests(connection.id)
    return {**shape_connection(connection), "setup_tests": results}
