"""Setting connections up: creating, changing and deleting them, their setup tests, and Connect Cards."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
import copy
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from airflow_provider_fivetran.simulator.account import Account
from airflow_provider_fivetran.simulator.answers import simulator_of, success
from airflow_provider_fivetran.simulator.bodies import (
    CHANGED_CONNECTION,
    NEW_CONNECTION,
    check_card,
    check_fields,
    read_body,
)
from airflow_provider_fivetran.simulator.connector_types import check_setup, lets_in, schema_name
from airflow_provider_fivetran.simulator.problems import invalid
from airflow_provider_fivetran.simulator.records import Connection
from airflow_provider_fivetran.simulator.rights import readable
from airflow_provider_fivetran.simulator.schedules import check_schedule
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
    config, auth = copy.deepcopy(body.get("config", {})), copy.deepcopy(body.get("auth", {}))
    check_setup(body["service"], config)
    named = schema_name(body["service"], config)
    with account.lock:
        account.group(body["group_id"])
        if simulator.switches.names_are_unique:
            _refuse_twins(account, body["group_id"], named)
        connection = account.add_connection(
            account.new_connection_id(),
            group_id=body["group_id"],
            service=body["service"],
            schema=named or body["service"],
            setup_state="incomplete",
            paused=body.get("paused", False),
            schedule_type=body.get("schedule_type", "auto"),
            sync_frequency=body.get("sync_frequency", 360),
            config=config,
            auth=auth,
            authorized=lets_in(body["service"], config, auth),
            schema_captured=False,
            historical=True,
        )
        _keep(connection, body)
        shape = _shape_with_tests(request, connection, body, tests=body.get("run_setup_tests", True))
        if "connect_card_config" in body:
            shape |= _card(connection, body["connect_card_config"])
    return success(request, "Connection has been created", shape, 201)


@router.patch("/{connection_id}")
async def change_connection(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    body = await read_body(request) or {}
    check_fields(body, CHANGED_CONNECTION)
    if not body.keys() - _NOT_KEPT:
        raise invalid("At least one field to change is required")
    simulator = simulator_of(request)
    account = simulator.account
    if "schedule" in body:
        check_schedule(body["schedule"])
    with account.lock:
        tests = body.get("run_setup_tests", True)
        if tests:
            simulator.spend_setup_test()
        if body.keys() & {"config", "auth"}:
            account.stop_for_change(connection_id)
        _keep(connection, body)
        connection.config.update(copy.deepcopy(body.get("config", {})))
        connection.auth.update(copy.deepcopy(body.get("auth", {})))
        if body.keys() & {"config", "auth"} and lets_in(
            connection.service, connection.config, connection.auth
        ):
            connection.authorized = True
        _move(account, connection_id, body)
        shape = _shape_with_tests(request, connection, body, tests=tests, counted=True)
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
    shape = _shape_with_tests(request, connection, body, tests=True)
    return success(request, "Setup tests were completed", shape)


@router.post("/{connection_id}/connect-card")
async def create_connect_card(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    body = await read_body(request) or {}
    check_fields(body, {"connect_card_config": dict})
    if "connect_card_config" not in body:
        raise invalid("Field 'connect_card_config' is required")
    check_card(body)
    card = {"connector_id": connection_id, **_card(connection, body["connect_card_config"])}
    return success(request, "Connection Connect Card has been created", card)


def _card(connection: Connection, config: dict[str, Any]) -> dict[str, Any]:
    token = f"card-{connection.id}"
    uri = f"https://fivetran.com/connect-card/setup?redirect_uri={config['redirect_uri']}&auth={token}"
    return {"connect_card_config": config, "connect_card": {"token": token, "uri": uri}}


def _refuse_twins(account: Account, group_id: str, named: str | None) -> None:
    taken = {row.schema for row in account.connections.values() if row.group_id == group_id}
    if named in taken:
        raise invalid(f"Destination schema with name '{named}' already exists")


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
    if "schedule" in body:
        account.set_schedule(connection_id, body["schedule"])
    if body.get("is_historical_sync") is True:
        account.restart_as_historical(connection_id)
    if body.get("paused") is False:
        account.unpause(connection_id)


def _shape_with_tests(
    request: Request, connection: Connection, body: dict[str, Any], *, tests: bool, counted: bool = False
) -> dict[str, Any]:
    """The connection, after setup tests if asked for, which cost a share of their own budget."""
    if not tests:
        return shape_connection(connection)
    simulator = simulator_of(request)
    if not counted:
        simulator.spend_setup_test()
    results = simulator.account.run_setup_tests(
        connection.id, trusts_certificates=body.get("trust_certificates", False)
    )
    return {**shape_connection(connection), "setup_tests": results}
